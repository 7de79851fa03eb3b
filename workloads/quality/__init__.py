"""The quality of results: scores on the hold-out, and validation parts."""
