"""`lattice-bridge diff`: the changes that a new map makes, before it is deployed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from lattice_bridge.bridge import check_service
from lattice_bridge.cli import show
from lattice_bridge.cli.files import MAX_EVENTS_BYTES, GivenMap, base_option, input_name, read_input_text, read_map
from lattice_bridge.config.regular_file import BadFile, is_folder
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.record import Record
from lattice_bridge.message import Request
from lattice_bridge.review.diff import Change, Side, changed_decisions, changed_rules, changed_tables
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.review.requests import check_enabled
from lattice_bridge.tenancy.decide import Decision

_STYLES: Final = {"gains": "green", "loses": "red", "changes": "yellow"}


_EXAMPLES: Final = """\b
Examples:
  lattice-bridge diff HEAD:bridge.toml bridge.toml
  lattice-bridge diff bridge.toml new.toml --events recorded
"""


@click.command(epilog=_EXAMPLES, short_help="Show what a new map changes.")
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@base_option
@click.option(
    "--events",
    type=click.Path(),
    metavar="FILE|DIR",
    help="Events to replay: a file with one event, or with one on each line; - for stdin; or a folder of files.",
)
@show.JSON
def diff(old: str, new: str, base: Path | None, events: str | None, *, as_json: bool) -> None:
    """Compare the maps OLD and NEW: which callers gain access, lose it, or get other tenants. Each is a file, - for
    stdin, or REVISION:PATH in git. With --events, compare the decisions for recorded requests and records of queues; a
    registry is not read, and its tenants count as active. Exits with 0 if nothing changes, 1 if something does."""
    given = [read_map(name, base) for name in (old, new)]
    before, after = (one.load() for one in given)
    if events is None:
        tables = (one.document.tables for one in given)
        changes = [*changed_rules(before.rules, after.rules), *changed_tables(*tables)]
    else:
        deciding = (_decide(before, given[0]), _decide(after, given[1]))
        decisions = list(changed_decisions(_events(events), *deciding))
        if not decisions:
            raise click.UsageError(f"{input_name(events)}: contains no event, so nothing was compared")
        changes = [change for change in decisions if change is not None]
    if as_json:
        show.say_json([asdict(change) for change in changes])
    else:
        _print(changes, "decision" if events else "change")
    sys.exit(1 if changes else 0)


def _decide(found: TenantMap, given: GivenMap) -> Side:
    """Decides as the bridge would, except for the registry: its content belongs to neither map."""
    enabled, sources = given.enabled, given.sources
    if found.lookups.registry is not None:
        found.find = every_tenant

    def decide(request: Request | Record) -> Decision:
        if isinstance(request, Record):
            return sources.decide(request, found.rules, found.find)
        try:
            check_enabled(request, enabled)
            check_service(request, enabled.services)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return found.decide(request)

    return Side(sources, decide)


def _print(changes: list[Change], what: str) -> None:
    if not show.is_terminal():
        for change in changes:
            show.say(change.kind, change.subject, change.before, change.after)
        show.say(_summary(changes, what))
        return
    subject = "request or record" if what == "decision" else "callers"
    if changes:
        show.draw(show.table(("", subject, "before", "after"), map(_row, changes)), "")
    show.draw((_summary(changes, what), "bold"))


def _row(change: Change) -> tuple[show.Cell, ...]:
    return (change.kind, _STYLES[change.kind]), change.subject, change.before, change.after


def _summary(changes: list[Change], what: str) -> str:
    """`3 changes: gains 1, loses 2, changes 0`, or `3 decisions differ: …`."""
    differs = {
        "change": ("no change", "1 change", "changes"),
        "decision": ("no decision differs", "1 decision differs", "decisions differ"),
    }
    none, one, several = differs[what]
    if not changes:
        return none
    kinds = [change.kind for change in changes]
    counted = ", ".join(f"{kind} {kinds.count(kind)}" for kind in _STYLES)
    return f"{one if len(changes) == 1 else f'{len(changes)} {several}'}: {counted}"


def _events(path: str) -> Iterator[object]:
    """The events in a file: one on each line, or one alone, as `event new` prints it. Or those in the files of a
    folder, as `local --record` writes them."""
    if not is_folder(path):
        yield from _lines(path)
        return
    from lattice_bridge.testing.corpus import UnknownEvent, all_events

    try:
        yield from (case.event for case in all_events(folder=Path(path)))
    except UnknownEvent as error:
        raise click.UsageError(f"{path}: contains no NAME.json. Fix: name a folder of events") from error
    except (BadFile, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _lines(path: str) -> Iterator[object]:
    text = read_input_text(path, MAX_EVENTS_BYTES).removeprefix("\ufeff")  # as every other command that reads events
    is_one = text.partition("\n")[0].strip() in ("{", "[")  # no line of a file with an event on each line
    for number, line in enumerate([text] if is_one else text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except RecursionError as error:
                raise click.UsageError(f"{input_name(path)}:{number}: nested too deeply") from error
            except ValueError as error:
                raise click.UsageError(f"{input_name(path)}:{number}: not JSON: {error}") from error
