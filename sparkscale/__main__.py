"""`python -m sparkscale` is the console script."""

from sparkscale.cli.main import main

main()
