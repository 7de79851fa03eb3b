"""Parallel tuning: how soon each way of searching finds what."""
