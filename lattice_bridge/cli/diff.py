"""`lattice-bridge diff`: what a new map changes, before it does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from lattice_bridge.cli.explain import in_words
from lattice_bridge.cli.files import read, read_map
from lattice_bridge.compare import changed_decisions, changed_rules


@click.command(short_help="Say what a new map changes.")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--events", type=click.Path(path_type=Path), help="Lattice events to replay, one JSON object a line.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def diff(old: Path, new: Path, events: Path | None, *, as_json: bool) -> None:
    """Compare the maps OLD and NEW: which callers gain access, lose it, or get other tenants. With --events, which of
    yesterday's requests. Exits with 0 if nothing changes, 1 if something does."""
    before, after = read_map(old), read_map(new)
    if events is None:
        changes = list(changed_rules(before.rules, after.rules, in_words))
    else:
        changes = list(changed_decisions(_lines(events), before.decide, after.decide))
    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes], indent=2))
    else:
        for change in changes:
            click.echo(f"{change.kind:8} {change.subject}: {change.before} → {change.after}")
        click.echo(f"{len(changes)} {'decisions' if events else 'rules'} differ")
    sys.exit(1 if changes else 0)


def _lines(path: Path) -> Iterator[object]:
    for number, line in enumerate(read(path).splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise click.UsageError(f"{path}:{number}: not JSON: {error}") from error
