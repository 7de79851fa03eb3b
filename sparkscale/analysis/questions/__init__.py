"""Analyses across cases or runs. Each is one file, from a store and a request to blocks. So far there are none."""
