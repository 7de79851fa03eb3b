"""Where it runs: the only place that starts or stops a process of Spark."""
