"""Measures the cases of a run: prepares clusters and data, executes cases in workers, and stores records."""
