"""Plans a run: suites, their cases, and the order in which each round executes them."""
