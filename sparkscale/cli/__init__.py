"""The command line: one module for each group of commands. Other packages do the work."""
