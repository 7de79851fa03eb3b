"""The runner, and the clusters, data, records and progress that it needs."""
