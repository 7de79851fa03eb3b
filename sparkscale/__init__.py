"""sparkscale: what each way of scaling machine learning with Apache Spark costs and what it buys."""

__version__ = "0.1.0"
