"""Runs the console script as `python -m sparkscale`."""

from sparkscale.cli.main import main

main()
