"""Measures cases: suites list the cases, the runner and its workers measure them, and the store keeps records."""
