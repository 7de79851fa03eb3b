"""The history of figures: what asv is given, records, compares and publishes."""
