"""The Lambda entry point: `lattice_bridge.main.handler`.

Rule: work at import, and nowhere else. Lambda gives the init phase a whole processor, and requests a share of one.
"""

from __future__ import annotations

import os

from lattice_bridge.bootstrap import make_handler

handler = make_handler(os.environ)
