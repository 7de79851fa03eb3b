"""Data-parallel training: one model is trained by Spark on partitioned data, and by single-node libraries."""
