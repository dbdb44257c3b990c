"""`python -m lattice_bridge`: the command where no console script is installed, or for one Python of several.

Rule: it is not deployed, as the commands are not.
"""

from lattice_bridge.cli import main

main()
