"""Parallel tuning: hundreds of configurations of one model."""
