"""Measuring: suites say what is measured, the runner and its workers measure it, and the store keeps the records."""
