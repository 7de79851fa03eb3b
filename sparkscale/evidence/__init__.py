"""Checks how often printed intervals contain the true value: in simulations, and with fresh draws of real data."""
