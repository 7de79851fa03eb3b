"""Parallel tuning: how good a configuration each engine finds, and how soon."""
