"""How good a result is: scores on the hold-out, and validation parts."""
