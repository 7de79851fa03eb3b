"""Data-parallel training: one model that Spark trains on partitioned data, compared with single-node libraries."""
