"""What is measured: suites, their cases, and the rounds in which they are executed."""
