"""Data-parallel training: one model over partitioned data, beside single-node libraries."""
