"""Writes packages as zips or folders.

Rule: a zip's bytes depend only on names and contents: names are sorted, times and modes are fixed. (Two releases of
zlib may compress differently.)
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.package_contents import File

EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Size:
    """Bytes, compressed and not."""

    zipped: int = 0
    unzipped: int = 0


def write_zip(files: Mapping[str, File], archive: Path, prefix: str = "") -> None:
    """Writes these files into a zip, by their names, each with `prefix` before it."""
    with zipfile.ZipFile(archive, "w") as zipped:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{prefix}{name}", EPOCH)
            entry.create_system = 3  # Unix: the modes are its own
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, files[name].path.read_bytes(), compresslevel=9)


def write_folder(files: Mapping[str, File], folder: Path) -> None:
    """Writes these files into a folder, by their names."""
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, folder / name)


def sizes(archive: Path, files: Mapping[str, File], prefix: str = "") -> dict[str, Size]:
    """The size of each package in a zip of these files, the largest first."""
    found: dict[str, Size] = {}
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            size = found.setdefault(files[entry.filename.removeprefix(prefix)].package, Size())
            size.zipped += entry.compress_size
            size.unzipped += entry.file_size
    return dict(sorted(found.items(), key=lambda item: (-item[1].zipped, item[0])))
