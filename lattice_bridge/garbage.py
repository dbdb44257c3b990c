"""Python's garbage collector, paused while many objects are made.

Rule: short, and always switched on again. Each collection looks through every object that was made so far, so reading
one large document would look through its beginning again and again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Pauses the collector. Reference counts go on freeing what is dropped."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
