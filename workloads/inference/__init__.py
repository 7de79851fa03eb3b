"""Batch inference: one prepared model is applied to far more rows than it was trained on."""
