"""Reads the files that a command or a configuration names. No other module opens such a file.

Rule: another person may have chosen the file. It is read only if it is a regular file, only up to a limit, and it is
never waited for: a FIFO without a writer and `/dev/zero` have no end.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024

_DESCRIPTOR: Final = r"/dev/(?:stdin|fd/[0-9]+)"
"""A file that the shell has opened for this command, as in `check <(make-map)`. No file has such a name."""

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


# ---- what a path leads to -------------------------------------------------------------------------------------------
# Path's own methods raise for a name that is too long, and for a path in a folder that may not be searched, before
# Python 3.14; Path.resolve raises for a link to itself, before Python 3.13.


def exists(path: str | Path) -> bool:
    """Whether there is anything at a path, as far as this can be seen."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: str | Path) -> bool:
    """Whether a path leads to a regular file, as far as this can be seen."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Whether a path leads to a folder, as far as this can be seen."""
    return os.path.isdir(path)  # noqa: PTH112


def real_path(path: str | Path) -> Path:
    """The absolute path without links, as far as this can be seen."""
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError:  # the working directory is gone
        return Path(path)


# ---- reading --------------------------------------------------------------------------------------------------------


class BadFile(Exception):
    """A file that is not read.

    Attributes:
        path: as it was given.
        what: the fault, such as `No such file or directory`.
        fix: the operator's next step.
    """

    def __init__(self, path: str | Path, what: str, fix: str) -> None:
        super().__init__(f"{path}: {what}. Fix: {fix}")
        self.path = path
        self.what = what
        self.fix = fix


def read_regular_file(path: str | Path, limit: int, *, within: Path | None = None) -> bytes:
    """The content of a regular file.

    A symbolic link to a regular file is one, wherever the file is, unless `within` is given.

    Args:
        path: of the file.
        limit: bytes that the file may have.
        within: the folder that must contain the file, after all links are followed. For a file that another file
            names, not the person who runs the command.

    Raises:
        BadFile: there is none, it is not readable, not a regular file, over the limit, or outside of `within`.
    """
    return _bounded(path, _read(path, limit + 1, within), limit)


def read_head(path: str | Path, count: int) -> bytes:
    """The first bytes of a regular file, or all if it has fewer.

    Raises:
        BadFile: as `read_regular_file`, whatever its size.
    """
    return _read(path, count, None)


def _read(path: str | Path, count: int, within: Path | None) -> bytes:
    place: str | Path = path
    try:
        if within is not None:
            place = os.path.realpath(path)
            if not Path(place).is_relative_to(os.path.realpath(within)):
                raise BadFile(path, f"outside of the folder {within}", "move the file into this folder")
        _refuse_other_kinds(path, Path(place).stat())  # before it is opened: some devices act when they are
        # O_NONBLOCK: if a FIFO has taken the file's place by now, open does not wait for a writer.
        descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _refuse_other_kinds(path, os.fstat(file.fileno()))
            return file.read(count)
    except OSError as error:
        raise BadFile(path, error.strerror or type(error).__name__, "name a file that you can read") from error
    except ValueError as error:  # a NUL or a lone surrogate in the path
        raise BadFile(path, "not a file's name", "name a file that you can read") from error


def read_argument(path: str | Path, limit: int) -> bytes:
    """The content of a file that a person names on the command line: a regular file, or one that the shell has opened.

    A pipe can be read once, so a command uses this only for a file that it reads once.

    Raises:
        BadFile: as `read_regular_file`.
    """
    if not re.fullmatch(_DESCRIPTOR, str(path)):
        return read_regular_file(path, limit)
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BadFile(path, error.strerror or type(error).__name__, "name a file that you can read") from error
    return _bounded(path, content, limit)


def read_regular_text(path: str | Path, limit: int, *, within: Path | None = None) -> str:
    """The text of a regular file, with its line ends as they are.

    Raises:
        BadFile: as `read_regular_file`, or the file is not UTF-8.
    """
    return decoded(path, read_regular_file(path, limit, within=within))


def decoded(path: str | Path, content: bytes) -> str:
    """A file's content as text.

    Raises:
        BadFile: it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFile(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8") from error


def over(limit: int) -> str:
    """`over 64 MiB`."""
    return f"over {limit // MIB} MiB" if limit >= MIB else f"over {limit // 1024} KiB"


def _bounded(path: str | Path, content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise BadFile(path, over(limit), "check that it is the file you mean")
    return content


def _refuse_other_kinds(path: str | Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(found.st_mode)), "of another kind")
        raise BadFile(path, f"not a regular file but {kind}", "name a regular file")
