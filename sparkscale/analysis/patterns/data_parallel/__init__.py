"""Sample or full data: what each engine costs and reaches on samples and on all data."""
