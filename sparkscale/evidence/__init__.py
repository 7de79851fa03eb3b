"""Evidence that the printed intervals hold: simulations with a known truth, and fresh draws of real data."""
