"""The analysis of stored records: metrics, statistics, answers and tables. All are pure functions of records."""
