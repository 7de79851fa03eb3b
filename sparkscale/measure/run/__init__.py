"""The runner and what it needs: clusters, data, records, progress."""
