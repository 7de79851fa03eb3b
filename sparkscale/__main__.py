"""`python -m sparkscale` is the console script."""

from sparkscale.cli import main

main()
