"""Reading the files that commands are given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lattice_bridge.errors import InvalidMap
from lattice_bridge.shape import read_text
from lattice_bridge.tenant_map import TenantMap


def read(path: Path) -> str:
    """A file's text; wrong usage if it cannot be read."""
    try:
        return read_text(path)
    except InvalidMap as error:
        raise click.UsageError("; ".join(error.faults)) from error


def read_map(path: Path) -> TenantMap:
    """The map in a file. One that does not load ends the command with 1, and its faults."""
    try:
        return TenantMap.from_toml(read(path), path.parent)
    except InvalidMap as error:
        for fault in error.faults:
            click.echo(f"error: {fault}", err=True)
        sys.exit(1)


def read_event(path: Path) -> Any:
    """An event's JSON; `-` is stdin."""
    text = sys.stdin.read() if str(path) == "-" else read(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path}: not JSON: {error}") from error
