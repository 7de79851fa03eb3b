"""The history of figures over commits: measures for asv, records in its files, compares and publishes."""
