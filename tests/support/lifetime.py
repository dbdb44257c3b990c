"""Detects what lives on after it was used. A cycle lives until a collection, some requests and megabytes later."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from typing import Any


class Observed(dict[str, Any]):
    """A dict that one can see die."""


def outlives(use: Callable[[dict[str, Any]], object], content: Mapping[str, Any] | None = None) -> bool:
    """Whether a dict with this content lives on after its use, until the collector runs."""
    observed = Observed(content or {})
    seen = weakref.ref(observed)
    gc.disable()
    try:
        use(observed)
        del observed
        return seen() is not None
    finally:
        gc.enable()
