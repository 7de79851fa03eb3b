"""sparkscale measures the costs and benefits of each way of scaling machine learning with Apache Spark."""

__version__ = "0.1.0"
