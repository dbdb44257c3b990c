"""Writes packages as zips or folders.

Rule: a zip's bytes depend only on names and contents: names are sorted, times and modes are fixed. (Two releases of
zlib may compress differently.)
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lattice_bridge.packaging.contents import CannotPackage, File

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
LEVEL: Final = 6
"""zlib's. 9 takes three times as long, and a zip of the bridge becomes half a percent smaller."""

UPLOAD_LIMIT: Final = 50 * 1024 * 1024
UNZIPPED_LIMIT: Final = 250 * 1024 * 1024
"""Lambda's limits, of an uploaded zip and of its contents."""


@dataclass(slots=True)
class Size:
    """Bytes, compressed and not. Of a folder, no bytes are compressed."""

    zipped: int = 0
    unzipped: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """A zip or a folder that was written.

    Attributes:
        path: of it.
        size: of all of it; a zip's own index is counted as well.
        sha256: of a zip, as hex; None for a folder.
        packages: the size of each distribution, by `NAME VERSION`, and of the configuration; the largest first.
    """

    path: Path
    size: Size
    sha256: str | None = None
    packages: Mapping[str, Size] = field(default_factory=dict)


def write_zip(files: Mapping[str, File], archive: Path, prefix: str = "") -> Written:
    """Writes these files into a zip, by their names, each with `prefix` before it.

    An existing zip is replaced when the new one is complete.

    Raises:
        CannotPackage: Lambda does not accept a zip of this size. Nothing is replaced then.
    """
    sizes: dict[str, Size] = {}
    partial = archive.with_name(f".{archive.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w") as zipped:
            for name in sorted(files):
                entry = zipfile.ZipInfo(f"{prefix}{name}", EPOCH)
                entry.create_system = 3  # Unix: the modes are its own
                entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                zipped.writestr(entry, files[name].path.read_bytes(), compresslevel=LEVEL)
                size = sizes.setdefault(files[name].package, Size())
                size.zipped += entry.compress_size
                size.unzipped += entry.file_size
        total = Size(partial.stat().st_size, sum(size.unzipped for size in sizes.values()))
        check_size(archive, total)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)
    return Written(archive, total, digest, _largest_first(sizes))


def write_folder(files: Mapping[str, File], folder: Path) -> Written:
    """Writes these files into a folder, by their names.

    Raises:
        CannotPackage: the folder contains something, which would become part of the function; or Lambda does not accept
            so many bytes. Nothing is written then.
    """
    check_empty(folder)
    sizes: dict[str, Size] = {}
    for file in files.values():
        sizes.setdefault(file.package, Size()).unzipped += file.path.stat().st_size
    total = Size(0, sum(size.unzipped for size in sizes.values()))
    check_size(folder, total)
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.path.read_bytes())
    return Written(folder, total, None, _largest_first(sizes))


def check_empty(folder: Path) -> None:
    """Raises CannotPackage for a folder that contains something."""
    if folder.exists() and any(folder.iterdir()):
        raise CannotPackage(f"{folder}: is not empty, and all of it would be deployed. Fix: name a new folder")


def check_size(path: Path, size: Size) -> None:
    """Raises CannotPackage for more bytes than Lambda accepts."""
    for what, bytes_, limit in (("zipped", size.zipped, UPLOAD_LIMIT), ("unzipped", size.unzipped, UNZIPPED_LIMIT)):
        if bytes_ > limit:
            raise CannotPackage(
                f"{path}: {bytes_:,} bytes {what}, and Lambda accepts {limit:,}. Fix: if the map is large, put it into "
                "S3 and name it in LATTICE_BRIDGE_CONFIG"
            )


def _largest_first(sizes: Mapping[str, Size]) -> dict[str, Size]:
    return dict(sorted(sizes.items(), key=lambda item: (-item[1].zipped, -item[1].unzipped, item[0])))
