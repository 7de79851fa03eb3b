"""Batch inference: rows per second of each way to bring rows to the model."""
