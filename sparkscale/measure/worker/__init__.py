"""Starts and calls worker processes, and contains the code that runs inside them."""
