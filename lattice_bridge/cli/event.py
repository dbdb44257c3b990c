"""`lattice-bridge event`: Lattice's events, and the corpus of them that comes with lattice-bridge."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_check import check_command
from lattice_bridge.cli.event_convert import convert
from lattice_bridge.cli.event_file import COMPACT, JSON
from lattice_bridge.cli.event_new import new
from lattice_bridge.cli.event_parse import parse

EVIDENCE: Final = {"documented": "cyan", "observed": "green", "assumed": "yellow"}


@click.group(short_help="Make, read, check and convert Lattice events.")
def event() -> None:
    """Events as Lattice sends them to functions: make one, take one from the corpus, see what is read from one, where
    it departs from what Lattice sends, and what it is in another format. FILE is a file with an event's JSON, or - for
    stdin."""


@click.command(name="list", short_help="List the events of the corpus.")
@click.argument("pattern", default="*")
@JSON
def list_command(pattern: str, *, as_json: bool) -> None:
    """List the events that come with lattice-bridge, or those whose names fit PATTERN ('v2/*', '*/query-*'): what is
    special about each, and how well that is known. Exits with 1 if none fits."""
    from lattice_bridge.testing.corpus import UnknownEvent, all_events

    try:
        cases = [_case(case.name, case.expected) for case in all_events(pattern)]
    except UnknownEvent as error:
        show.say_error(f"error: {error!s}")
        sys.exit(1)
    if as_json:
        show.say_json(cases)
    elif show.is_terminal():
        rows = [(case["name"], (case["evidence"], EVIDENCE[case["evidence"]]), case["about"]) for case in cases]
        show.draw(show.table(("name", "known", "what is special about it"), rows))
    else:
        for case in cases:
            show.say(case["name"], case["evidence"], case["about"])


def _case(name: str, expected: Mapping[str, Any]) -> dict[str, Any]:
    """`reason` is null for an event that the bridge takes."""
    told = {key: expected[key] for key in ("about", "evidence", "source")}
    return {"name": name, **told, "reason": expected.get("reason")}


@click.command(name="show", short_help="Print an event of the corpus.")
@click.argument("name")
@click.option("--expected", is_flag=True, help="What it must be read as, rather than the event.")
@COMPACT
def show_command(name: str, *, expected: bool, compact: bool) -> None:
    """Print the event NAME as bare JSON, as `sam local invoke -e` takes it: lattice-bridge event show v2/cookies."""
    from lattice_bridge.testing.corpus import UnknownEvent, all_events, load_event

    try:
        found = load_event(name)
    except UnknownEvent as error:
        raise click.UsageError(f"{error}; `lattice-bridge event list` has all") from error
    show.say_json(all_events(name)[0].expected if expected else found, compact=compact)


for command in (new, list_command, show_command, parse, check_command, convert):
    event.add_command(command)
