"""Data-parallel training: one model on partitioned data, compared with single-node libraries."""
