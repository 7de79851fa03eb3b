"""Workloads, engines and data sets. Code here starts no clocks and no clusters."""
