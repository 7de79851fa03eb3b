"""Runs the command line for `python -m sparkscale`."""

from sparkscale.cli.main import main

main()
