"""The record store: runs, records with their tables, and the descriptions that records refer to."""
