"""Clusters: their profiles, budgets, daemons and Spark sessions.

Only this package starts or stops Spark's processes.
"""
