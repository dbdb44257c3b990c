"""`python -m lattice_bridge.cli`: the command where no console script is installed."""

from lattice_bridge.cli import main

main()
