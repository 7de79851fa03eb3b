"""Parallel tuning: the best configuration that each engine finds, and the time until it finds one."""
