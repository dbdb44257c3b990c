"""Build hook: refuses symbolic links, and adds the corpus and the code's hash to a wheel.

Rule: no symbolic link is followed, in a wheel or an sdist: it would bring in a file from elsewhere on this machine.

A wheel contains the hash of the code, see lattice_bridge/config/code_hash.py. It contains the corpus as one file; an
editable install reads events/ where it is. At each start, pytest checks each installed file of every package with a
plugin: 446 more of them took 8 ms on Python 3.13.
"""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EPOCH = (1980, 1, 1, 0, 0, 0)


class Build(BuildHookInterface[Any]):
    """The same contents give the same bytes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        for file in self.build_config.builder.recurse_included_files():
            refuse_link(Path(file.path), Path(self.root))
        if self.target_name == "wheel":
            self._scratch = TemporaryDirectory()
            corpus, code = Path(self._scratch.name) / "events.zip", Path(self._scratch.name) / "code"
            write_corpus(Path(self.root) / "events", corpus)
            write_code_hash(Path(self.root) / "lattice_bridge", code)
            build_data["force_include"][str(corpus)] = "lattice_bridge/testing/events.zip"
            build_data["force_include"][str(code)] = "lattice_bridge/code.sha256"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        if version == "standard" and self.target_name == "wheel":
            self._scratch.cleanup()


def write_corpus(events: Path, archive: Path) -> None:
    """Writes events/ as a zip: events and replies with their expectations, and the map that decides them.

    A file without an expectation beside it is left out.
    """
    expected = [*events.rglob("*.expected.json")]
    cases = [path.with_name(path.name.replace(".expected", "")) for path in expected]
    for path in events.rglob("*"):
        refuse_link(path, events.parent)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted([*expected, *cases, events / "decisions.toml"]):
            entry = zipfile.ZipInfo(path.relative_to(events).as_posix(), EPOCH)
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def write_code_hash(package: Path, file: Path) -> None:
    """Writes the hash of the package's code, so that a cold start does not compute it."""
    # By its path: the package imports what is not installed here.
    module = runpy.run_path(str(package / "config" / "code_hash.py"))
    file.write_text(module["hash_of"](package), encoding="ascii")


def refuse_link(path: Path, folder: Path) -> None:
    """Raises ValueError if the path, or a folder on the way to it from `folder`, is a symbolic link."""
    name = path.relative_to(folder)
    if path.resolve() != folder.resolve() / name:
        raise ValueError(
            f"{name} is a symbolic link, or in a linked folder. Fix: replace the link with the file itself"
        )
