"""What the commands of `event` read and write: JSON.

Rule: what cannot be read is wrong usage, and is said with where it is and what to do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from lattice_bridge.cli import show
from lattice_bridge.errors import BridgeError

EVENT = click.argument("file", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")
COMPACT = click.option("--compact", is_flag=True, help="On one line.")

LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a file. An event is at most 6 MB; people write theirs with blanks and escapes."""


def read_event(path: Path) -> Any:
    """The JSON in a file; `-` is stdin."""
    place = "stdin" if str(path) == "-" else show.safe(str(path))
    content = read_bytes(path)
    if not content.strip():
        raise click.UsageError(f"{place}: empty; give a file with an event's JSON")
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{place}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{place}: not JSON: {show.safe(str(error))}") from error


def read_bytes(path: Path) -> bytes:
    """A file's bytes; `-` is stdin."""
    if str(path) == "-" and sys.stdin is None:
        raise click.UsageError("stdin: closed; give a file instead of -")
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read(LIMIT + 1)
    except OSError as error:
        raise click.UsageError(f"{show.safe(str(path))}: {error.strerror or error}") from error
    if len(content) > LIMIT:
        place = "stdin" if str(path) == "-" else show.safe(str(path))
        raise click.UsageError(f"{place}: over {LIMIT // 2**20} MiB; Lambda takes events of 6 MB")
    return content


def say_json(value: Any, *, compact: bool = False) -> None:
    """JSON in ASCII: nothing in it acts on a terminal."""
    click.echo(json.dumps(value, separators=(",", ":")) if compact else json.dumps(value, indent=2))


def refuse(refusal: BridgeError) -> NoReturn:
    """Says why there is no answer, and ends the command with 1."""
    click.echo(f"error: {refusal.status} {refusal.reason}: {show.safe(refusal.detail)}", err=True)
    sys.exit(1)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")
