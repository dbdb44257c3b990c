"""How many examples a property is tried with.

Rule: `make test` has to be short, so a property gets few examples there. `make quick` gives it a fifth of them, and
`make thorough` twenty times as many.
"""

from __future__ import annotations

import os
from typing import Final

_TIMES: Final = float(os.environ.get("LATTICE_BRIDGE_EXAMPLES", "1"))


def examples(count: int) -> int:
    """The number of examples for a property that gets `count` of them in `make test`."""
    return max(20, round(count * _TIMES))
