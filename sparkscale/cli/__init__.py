"""The command line: one module for each group of commands. What they do is in the packages below."""
