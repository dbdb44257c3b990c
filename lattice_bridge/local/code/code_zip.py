"""Unpacks a zip that is a function's code, or a layer.

Rule: nothing of a zip is written outside the folder, and no link of it leads there. What Lambda refuses, too large or
with too many files, is refused before it fills the disk.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from lattice_bridge.config.regular_file import MIB, BadFile, over, read_regular_file

MAX_BYTES: Final = 250 * MIB
"""The most that Lambda unpacks (quota "Deployment package size")."""
MAX_ENTRIES: Final = 100_000

_ENTRY: Final = b"PK\x01\x02"
"""Begins each entry of the directory. They are counted before Python parses them: each takes a kilobyte of memory."""
_MAX_LINK: Final = 4096
_CHUNK: Final = MIB


class BadArchive(Exception):
    """A zip that is not unpacked. The message has the form `where: what is wrong. Fix: …`."""


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_folders: int = MAX_ENTRIES) -> None:
    """Unpacks a zip into a new folder, with all files read-only.

    Args:
        archive: the zip.
        folder: does not exist yet.
        max_bytes: that its files may have together.
        max_folders: that may be made for them.

    Raises:
        BadArchive: it cannot be read, is too large, or contains an entry that is not safe. The folder is then
            incomplete.
    """
    try:
        _unpack(archive, read_regular_file(archive, max_bytes), folder, max_bytes, max_folders)
    except BadFile as error:
        raise BadArchive(str(error)) from error
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError, zlib.error) as error:
        raise BadArchive(f"{archive}: cannot be unpacked: {error}. Fix: build the zip again") from error


def _unpack(archive: Path, data: bytes, folder: Path, max_bytes: int, max_folders: int) -> None:
    if data.count(_ENTRY) > MAX_ENTRIES:
        raise BadArchive(f"{archive}: more than {MAX_ENTRIES} files. Fix: package only what the function needs")
    folder.mkdir(mode=0o755)
    left = max_bytes
    links: list[tuple[Path, str]] = []
    folders: set[PurePosixPath] = set()
    with ZipFile(BytesIO(data)) as opened:
        for entry in opened.infolist():
            name = _safe_name(archive, entry)
            target = folder / name
            folders.update(takewhile(lambda parent: parent not in folders, name.parents))
            if len(folders) > max_folders:
                raise BadArchive(
                    f"{archive}: more than {max_folders} folders. Fix: package only what the function needs"
                )
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
                raise _unsafe(archive, entry, "neither a file nor a folder nor a link")
            target.parent.mkdir(parents=True, exist_ok=True)  # a real folder: no link exists yet
            if kind == stat.S_IFLNK and entry.file_size > _MAX_LINK:
                raise _unsafe(archive, entry, "a link with too long a path")
            content = b"".join(_chunks(opened, entry, left))
            left -= len(content)
            if left < 0:
                raise BadArchive(
                    f"{archive}: {over(max_bytes)} unpacked, which Lambda refuses. Fix: package only what the function "
                    "needs"
                )
            if kind == stat.S_IFLNK:
                links.append((target, os.fsdecode(content)))
            else:
                _write(target, content, executable=bool(entry.external_attr >> 16 & 0o111))
    _make_links(archive, folder, links)
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).chmod(0o555)


def _make_links(archive: Path, folder: Path, links: list[tuple[Path, str]]) -> None:
    for link, destination in links:
        link.symlink_to(destination)
    for link, destination in links:  # when all are there: one link may lead through another
        if not Path(os.path.realpath(link)).is_relative_to(os.path.realpath(folder)):
            raise BadArchive(f"{archive}: the link {link.name!r} leads to {destination!r}, outside. Fix: remove it")


def _safe_name(archive: Path, entry: ZipInfo) -> PurePosixPath:
    path = PurePosixPath(entry.filename)
    if path.is_absolute() or ".." in path.parts or path == PurePosixPath():
        raise _unsafe(archive, entry, "outside of the folder that it is unpacked to")
    return path


def _chunks(opened: ZipFile, entry: ZipInfo, limit: int) -> Iterator[bytes]:
    """Gives the content of an entry, until it is over the limit. The size in the directory may be wrong."""
    with opened.open(entry) as file:
        while limit >= 0 and (chunk := file.read(_CHUNK)):
            limit -= len(chunk)
            yield chunk


def _write(target: Path, content: bytes, *, executable: bool) -> None:
    target.touch(0o600, exist_ok=False)  # an entry that occurs twice fails
    target.write_bytes(content)
    target.chmod(0o555 if executable else 0o444)


def _unsafe(archive: Path, entry: ZipInfo, what: str) -> BadArchive:
    return BadArchive(f"{archive}: the entry {entry.filename[:200]!r} is {what}. Fix: build the zip again")
