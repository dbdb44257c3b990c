"""MiB of this process, as the system counts them."""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path


def peak() -> float:
    """The most that was resident. Not `ru_maxrss`, which begins with what the parent had."""
    return _of("VmHWM:")


def resident() -> float:
    """What is resident."""
    return _of("VmRSS:")


def forget_peak() -> None:
    """From here on the peak is that of what follows, where the system can do so."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _of(name: str) -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition(name)[2].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
