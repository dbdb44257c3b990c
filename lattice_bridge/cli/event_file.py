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
from lattice_bridge.config.regular_file import MIB, BadFile, over, read_argument
from lattice_bridge.errors import BridgeError

EVENT = click.argument("file", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")
COMPACT = click.option("--compact", is_flag=True, help="On one line.")

LIMIT: Final = 32 * MIB
"""Bytes of a file. An event is at most 6 MB; people write theirs with blanks and escapes."""


def read_event(path: Path) -> Any:
    """The JSON in a file, or on standard input."""
    place = "stdin" if str(path) == "-" else str(path)
    content = read_bytes(path)
    if not content.strip():
        raise click.UsageError(f"{place}: empty. Fix: give a file with an event's JSON")
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{place}: not UTF-8 at byte {error.start}. Fix: save it as UTF-8") from error
    except RecursionError as error:
        raise click.UsageError(f"{place}: nested too deeply. Fix: give an event as Lattice sends it") from error
    except ValueError as error:
        raise click.UsageError(f"{place}: not JSON: {error}") from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or of standard input."""
    try:
        if str(path) != "-":
            return read_argument(path, LIMIT)
        if sys.stdin is None:
            raise click.UsageError("stdin: closed. Fix: give a file instead of -")
        content: bytes = sys.stdin.buffer.read(LIMIT + 1)
    except BadFile as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"stdin: {error.strerror or error}. Fix: give a file instead of -") from error
    if len(content) > LIMIT:
        raise click.UsageError(f"stdin: {over(LIMIT)}. Fix: give one event; Lambda takes events of 6 MB")
    return content


def refuse(refusal: BridgeError) -> NoReturn:
    """Says why there is no answer, and ends the command with 1."""
    show.say_error(f"error: {refusal.status} {refusal.reason}: {refusal.detail}")
    sys.exit(1)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")
