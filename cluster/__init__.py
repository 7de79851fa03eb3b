"""Clusters: profiles, budgets, daemons and sessions. Only this package starts or stops processes of Spark."""
