"""The files that commands read: maps, events, templates.

Rule: a file that cannot be read is wrong usage (exit code 2); a map that does not load is a no (exit code 1).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from lattice_bridge.cli import show
from lattice_bridge.config.document import parse_document, read_text
from lattice_bridge.config.regular_file import MIB, BadFile, decoded, read_argument, read_regular_text
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import InvalidMap

MAX_EVENTS_BYTES: Final = 256 * MIB
"""Bytes of a file of events: some hundred thousand events."""


def read(path: Path) -> str:
    """The text of a map."""
    try:
        return read_text(path)
    except InvalidMap as error:
        raise click.UsageError(error.detail) from error


def read_events(path: Path) -> str:
    """The text of a file of events, one a line."""
    try:
        return read_regular_text(path, MAX_EVENTS_BYTES)
    except BadFile as error:
        raise click.UsageError(str(error)) from error


def read_once(path: Path, limit: int) -> str:
    """The text of a file that the command reads only once, which may be a pipe."""
    try:
        return decoded(path, read_argument(path, limit))
    except BadFile as error:
        raise click.UsageError(str(error)) from error


def read_map(path: Path) -> TenantMap:
    """The map in a file. If it does not load, or the other tables of the file do not, the command ends with 1."""
    try:
        document, faults = parse_document(read(path)), list[str]()
        read_options(document.tables, faults)
        if faults:
            raise InvalidMap(faults)
        return TenantMap.from_document(document, path.parent, region=os.environ.get("AWS_REGION"))
    except InvalidMap as error:
        for fault in error.faults:
            show.say_error(f"error: {fault}")
        sys.exit(1)


def read_services(path: Path) -> frozenset[str]:
    """The `[lattice] services` of a configuration that loads; none for a map in a file of its own."""
    return read_options(parse_document(read(path)).tables, []).services
