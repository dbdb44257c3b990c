"""Reads a file with an event, for the commands that take one.

Rule: a file that cannot be read is wrong usage. The message says where the fault is and how to fix it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from lattice_bridge.cli.files import input_name, read_input
from lattice_bridge.config.regular_file import MIB

COMPACT = click.option("--compact", is_flag=True, help="Print the JSON on one line.")

LIMIT: Final = 32 * MIB
"""Bytes of a file. An event has at most 6 MB; hand-written ones have spaces and escapes."""


def read_event(path: Path) -> Any:
    """The JSON in a file, or on standard input."""
    place = input_name(path)
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
        raise click.UsageError(f"{place}: not JSON: {error}. Fix: give a file with an event's JSON") from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or of standard input."""
    return read_input(path, LIMIT, "give one event; Lambda takes events of 6 MB")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")
