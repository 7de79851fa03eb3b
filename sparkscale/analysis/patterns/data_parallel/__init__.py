"""Sample or full data: the cost of each engine and the quality of its models, on samples and on all data."""
