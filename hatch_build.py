"""Puts the corpus into the wheel, as one file.

Rule: a wheel only; an editable install reads events/ where it is. pytest looks at each installed file of every package
with a plugin at each start, for everybody: 446 more of them took 8 ms of Python 3.13's.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EPOCH = (1980, 1, 1, 0, 0, 0)


class Corpus(BuildHookInterface[Any]):
    """events/ as lattice_bridge/testing/events.zip; the same contents give the same bytes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        events = Path(self.root) / "events"
        self._scratch = TemporaryDirectory()
        archive = Path(self._scratch.name) / "events.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(events.rglob("*.*")):
                entry = zipfile.ZipInfo(path.relative_to(events).as_posix(), EPOCH)
                file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        build_data["force_include"][str(archive)] = "lattice_bridge/testing/events.zip"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        if version == "standard":
            self._scratch.cleanup()
