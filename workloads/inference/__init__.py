"""Distributed batch inference: one prepared model, applied to far more rows than it was trained on."""
