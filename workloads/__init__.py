"""What runs: workloads, engines and data sets. No clocks, no cluster start-up in here."""
