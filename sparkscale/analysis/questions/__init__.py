"""Analyses across cases or runs: each is one file, from a store and a wish to blocks. None is there yet."""
