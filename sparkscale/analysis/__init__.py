"""What it means: metrics, statistics and tables, all pure functions of stored records."""
