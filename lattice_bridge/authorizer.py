"""The Lambda entry point of the authorizer: `lattice_bridge.authorizer.handler`.

Rule: as in `main`, the authorizer is set up at import.
"""

from __future__ import annotations

import os

from lattice_bridge.runtime.process import no_collection

with no_collection():
    from lattice_bridge.authorize import make_authorizer

    handler = make_authorizer(os.environ)
