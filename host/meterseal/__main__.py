"""`python -m meterseal`."""

from meterseal.cli import main

main()
