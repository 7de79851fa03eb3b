"""The quality of results: scores on the hold-out, and losses on validation parts."""
