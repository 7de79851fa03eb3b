"""Measures: suites say what, the runner and its workers do it, the store gets the records."""
