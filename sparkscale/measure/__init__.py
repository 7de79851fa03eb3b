"""How it is measured: suites, the runner and its workers, the record store."""
