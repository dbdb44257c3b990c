"""The Lambda entry point: `lattice_bridge.main.handler`.

Rule: the bridge is set up at import. Lambda gives the init phase a whole processor, and requests a share of one.
"""

from __future__ import annotations

import os

from lattice_bridge.runtime.process import no_collection

with no_collection():  # imports make no garbage: to search it was 5 to 10 % of a start
    from lattice_bridge.bootstrap import make_handler

    handler = make_handler(os.environ)
