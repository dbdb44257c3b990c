"""`lattice-bridge event check`: where an event departs from what Lattice sends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import EVENT, JSON, read_event

if TYPE_CHECKING:
    from lattice_bridge.testing.departures import Departure

_STYLES: Final = {"documented": "cyan", "observed": "green", "assumed": "yellow"}


@click.command(name="check", short_help="Find where an event departs from what Lattice sends.")
@EVENT
@JSON
def check_command(file: Path, *, as_json: bool) -> None:
    """Find where the event in FILE (- for stdin) departs from what Lattice is documented, or was observed, to send; how
    well that is known, with its row in docs/wire.md; and whether the bridge takes it all the same. Exits with 0 if it
    departs nowhere, 1 if it does."""
    from lattice_bridge.testing.departures import departures, version_meant

    event = read_event(file)
    found = departures(event)
    version, taken = version_meant(event), not any(departure.refused for departure in found)
    if as_json:
        show.say_json({"version": version, "taken": taken, "departures": [asdict(departure) for departure in found]})
    elif show.is_terminal():
        if found:
            show.draw(show.table(("where", "what stands there", "what Lattice sends", "known", "bridge"), _rows(found)))
        show.draw(_summary(version, found, taken=taken))
    else:
        for fields in _lines(found):
            show.say(*fields)
        show.say(_summary(version, found, taken=taken)[0])
    sys.exit(1 if found else 0)


def _rows(found: list[Departure]) -> Iterator[tuple[show.Cell, ...]]:
    for departure in found:
        evidence = f"{departure.evidence}: {departure.row}", _STYLES[departure.evidence]
        bridge = ("refuses", "bold red") if departure.refused else ("takes it", "dim")
        yield departure.where or "the event", departure.found, (departure.sends, "bold"), evidence, bridge


def _lines(found: list[Departure]) -> Iterator[tuple[str, ...]]:
    for departure in found:
        bridge = "refused" if departure.refused else "taken"
        yield bridge, departure.where or "-", departure.found, departure.sends, departure.evidence, departure.row


def _summary(version: int | None, found: list[Departure], *, taken: bool) -> tuple[str, str]:
    kind = "no event of Lattice's" if version is None else f"a V{version} event"
    number = f"{len(found) or 'no'} departure{'' if len(found) == 1 else 's'} from what Lattice sends"
    style = "bold red" if not taken else "bold yellow" if found else "bold green"
    return f"{kind}: {number}; the bridge {'takes' if taken else 'refuses'} it", style
