"""The record store: runs, records with their tables, and what records refer to."""
