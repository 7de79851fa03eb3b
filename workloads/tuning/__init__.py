"""Parallel tuning: many configurations of one model are tried, and the best one is chosen."""
