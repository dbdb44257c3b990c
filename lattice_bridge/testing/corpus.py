"""The corpus under events/: events and replies as files, each with its expected reading, and how well that is known.

Rule: each call reads its file again, so a test that changes its event does not change another test's. The names in the
corpus are read once: to search its folders took fifty times as long as to read an event.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text

FOLDERS: Final = ("v1", "v2", "invalid")
"""The folders with HTTP events."""
RECORDS: Final = ("sqs", "kinesis", "dynamodb", "eventbridge", "pipes")
"""The folders with events of queues, streams, tables and buses, and with lists of Pipes. No pattern of HTTP events fits
them, since no function reads both."""

REPLIES: Final = "replies"
_EXPECTED: Final = ".expected.json"
_MAX_BYTES: Final = 32 * MIB


@dataclass(frozen=True, slots=True)
class Case:
    """One file of the corpus.

    Attributes:
        name: folder and file, as in `v2/query-repeated`.
        event: the content of the file; in `invalid/` not always an object.
        expected: the content of the file `.expected.json` beside it; empty if there is none. In the corpus it always
            has `about`, `evidence` (documented, observed or assumed) and `source`; in `v1/` and `v2/` also `request`;
            in the folders of records `records`, or `reason` if all of the event is refused; in `invalid/` `status`,
            `reason` and `detail_contains`; and `trap` and `decision` if a map must refuse it, see docs/traps.md.

    >>> from lattice_bridge.testing import all_events
    >>> (case,) = all_events("v2/header-capitals")
    >>> case.expected["evidence"]
    'observed'
    """

    name: str
    event: Any
    expected: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReplyCase:
    """One reply of a function.

    Attributes:
        name: folder and file, as in `invalid/status-string`.
        reply: what the function returned.
        expected: `about`, `evidence`, `source`, and `method` if it answers another than GET; `response` in `valid/`,
            `faults` and `front_refuses` in `invalid/`.
    """

    name: str
    reply: Any
    expected: dict[str, Any]


class UnknownEvent(KeyError):
    """No file has this name."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would put quotes around it


def load_event(name: str) -> Any:
    """An event of the corpus by its name, as in `v2/query-repeated`. Each call returns a new copy.

    Raises:
        UnknownEvent: a KeyError; no event has the name. The message lists similar names.

    >>> load_event("v2/query-repeated")["version"]
    '2.0'
    """
    known = _names(_corpus(), (*FOLDERS, *RECORDS))
    if name not in known:
        raise _unknown(f"no event {name!r}", name, known)
    return _read(_events() / f"{name}.json")


def all_events(pattern: str = "*", folder: str | Path | None = None) -> list[Case]:
    """The events whose names fit, in the order of their names.

    Args:
        pattern: as of a shell: `v2/*`, `*/query-*`; a `*` goes across a `/`. Events with records fit only a pattern
            that begins with their folder: `sqs/*`, `kinesis/*`, `dynamodb/*`, `eventbridge/*`, `pipes/*`.
        folder: a folder instead of the corpus: NAME.json, with or without NAME.expected.json, at any depth. Links to
            other folders are not followed.

    Raises:
        UnknownEvent: no name fits. A test of no events would pass.
        BadFile: a file or folder cannot be read, or a file is not a regular one, or over 32 MiB.
        ValueError: a file is not JSON.

    >>> [case.event["version"] for case in all_events("v2/query-repeated")]
    ['2.0']
    """
    root = _events() if folder is None else Path(folder)
    place = "the corpus" if folder is None else str(folder)
    first, mark, _ = pattern.partition("/")
    folders = (first,) if mark and first in RECORDS else FOLDERS
    known = _names(_corpus(), folders) if folder is None else _names(_files(root), None)
    names = _fitting(pattern, place, known)
    return [Case(name, _read(root / f"{name}.json"), _expected(root, name)) for name in names]


def all_replies(pattern: str = "*") -> list[ReplyCase]:
    """The replies whose names fit (`valid/*`, `invalid/*`), in the order of their names.

    Raises:
        UnknownEvent: none fits.
    """
    root = _events() / REPLIES
    files = (file.removeprefix(f"{REPLIES}/") for file in _corpus() if file.startswith(f"{REPLIES}/"))
    names = _fitting(pattern, "the corpus", _names(files, None))
    return [ReplyCase(name, _read(root / f"{name}.json"), _expected(root, name)) for name in names]


@cache
def _events() -> Traversable:
    """The folder of the corpus: in a wheel one zip file, which is read into memory; in the repository `events/`."""
    shipped = Path(__file__).with_name("events.zip")
    if shipped.is_file():
        return zipfile.Path(BytesIO(shipped.read_bytes()))
    return Path(__file__).parents[2] / "events"


@cache
def _corpus() -> tuple[str, ...]:
    """All JSON files of the corpus, with their folders."""
    return tuple(_files(_events()))


def _names(files: Iterable[str], folders: tuple[str, ...] | None) -> list[str]:
    names = (name.removesuffix(".json") for name in files if not name.endswith(_EXPECTED))
    return sorted(name for name in names if folders is None or name.partition("/")[0] in folders)


def _files(folder: Traversable, within: str = "") -> Iterator[str]:
    try:
        entries = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise BadFile(str(folder), error.strerror or type(error).__name__, "name a folder that you can read") from error
    for entry in entries:
        if entry.is_dir() and not (isinstance(entry, Path) and entry.is_symlink()):  # a link may lead back to here
            yield from _files(entry, f"{within}{entry.name}/")
        elif entry.name.endswith(".json"):
            yield f"{within}{entry.name}"


def _fitting(pattern: str, place: str, known: list[str]) -> list[str]:
    if names := [name for name in known if fnmatchcase(name, pattern)]:
        return names
    raise _unknown(f"no file in {place} fits {pattern!r}", pattern, known)


def _unknown(what: str, name: str, known: list[str]) -> UnknownEvent:
    near = list(dict.fromkeys([*get_close_matches(name, known, 5), *_endings(name, known)]))[:8]
    others = "there is 1 other" if len(known) == 1 else f"there are {len(known)} others"
    return UnknownEvent(f"{what}; similar names: {', '.join(near)}" if near else f"{what}; {others}")


def _endings(name: str, known: list[str]) -> Iterator[str]:
    """The same name in another folder, or without one."""
    last = name.rpartition("/")[2]
    return (other for other in known if last and last in other)


def _read(path: Traversable) -> Any:
    text = read_regular_text(path, _MAX_BYTES) if isinstance(path, Path) else path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _expected(root: Traversable, name: str) -> dict[str, Any]:
    path = root / f"{name}{_EXPECTED}"
    return _read(path) if path.is_file() else {}
