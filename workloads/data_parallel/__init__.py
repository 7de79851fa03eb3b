"""Data-parallel training: Spark trains one model on partitioned data, and single-node libraries train the same model.
"""
