"""Reading the files that commands are given."""

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
from lattice_bridge.errors import Forbidden, InvalidMap
from lattice_bridge.message import Request

MAX_EVENTS_BYTES: Final = 256 * MIB
"""Bytes of a file of events: some hundred thousand."""


def read(path: Path) -> str:
    """A map's text; wrong usage if it cannot be read."""
    try:
        return read_text(path)
    except InvalidMap as error:
        raise click.UsageError(error.detail) from error


def read_events(path: Path) -> str:
    """The text of a file of events, one a line; wrong usage if it cannot be read."""
    try:
        return read_regular_text(path, MAX_EVENTS_BYTES)
    except BadFile as error:
        raise click.UsageError(str(error)) from error


def read_once(path: Path, limit: int) -> str:
    """The text of a file that the command does not read again; wrong usage if it cannot be read."""
    try:
        return decoded(path, read_argument(path, limit))
    except BadFile as error:
        raise click.UsageError(str(error)) from error


def read_map(path: Path) -> TenantMap:
    """The map in a file. One that does not load, alone or for what stands beside it, ends the command with 1."""
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
    """What a configuration's `[lattice] services` lists, given that it loads; of a map that stands alone, nothing."""
    return read_options(parse_document(read(path)).tables, []).services


def check_service(request: Request, services: frozenset[str]) -> None:
    """As the bridge does, before anything else of an event.

    Raises:
        Forbidden: the event is from elsewhere.
    """
    if services and request.service_arn not in services:
        raise Forbidden("service_not_allowed", "the event is not from a service in [lattice] services")
