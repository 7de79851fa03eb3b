"""A package outside of sparkscale, for tests: workloads that do what they are told, wrong things included."""
