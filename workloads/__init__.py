"""Workloads, engines and data sets. The code in this package starts no clocks and no clusters."""
