"""`python -m meterseal` runs the command `meterseal`."""

from meterseal.cli import main

main()
