"""The Lambda entry point: `lattice_bridge.main.handler`.

Rule: the bridge is set up at import. Lambda gives the init phase a whole processor, and requests a share of one.
"""

from __future__ import annotations

import os

from lattice_bridge.runtime.process import no_collection

with no_collection():  # a tenth of a start: imports make no garbage
    from lattice_bridge.bootstrap import make_handler

    handler = make_handler(os.environ)
