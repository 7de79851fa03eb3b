"""Batch inference: rows per second of each way of reaching the model."""
