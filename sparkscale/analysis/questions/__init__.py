"""Questions: analyses that cover several cases or runs, each in its own file."""
