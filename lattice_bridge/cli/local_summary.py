"""The summary that `lattice-bridge local` prints at its start: routes, functions, parts left out, addresses.

Rule: text of a template is data, and never read as markup.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from lattice_bridge.cli import show
from lattice_bridge.local.aws.async_invokes import LATEST
from lattice_bridge.local.plan.event_buses import EventRule
from lattice_bridge.local.plan.event_target import Target
from lattice_bridge.local.plan.model import EventInvokeConfig, Function, Plan, Route, destination_name
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.plan.stream_mappings import StreamMapping

WIDEST: Final = 120
"""Columns that a table has at most."""


def tables(plan: Plan, columns: int | None = None) -> list[str]:
    """Returns lines of text: the routes of each way in, the functions, the queues, the event buses, the streams, the
    tables of DynamoDB, and the asynchronous invocations.

    Args:
        plan: of the stack.
        columns: of the terminal; None for those of standard output. A table has WIDEST at most.
    """
    width = min(WIDEST, columns or shutil.get_terminal_size((WIDEST, 24)).columns)
    found: list[str] = []
    for way in plan.ways_in:
        ordered = any(route.order for route in way.routes)
        columns_of_way = (*(["order"] if ordered else []), "requests", "go to", "event", "callers")
        routes = _table(f"{way.kind} {show.safe(way.name)}", columns_of_way)
        for route in way.routes:
            order = [route.order or "default"] if ordered else []
            row = (*order, route.requests, _target(route), route.event or "-", route.callers)
            routes.add_row(*map(_cell, row))
        found += _lines(routes, width)
    isolated = any(function.isolated for function in plan.functions.values())
    header = ("function", *(["environments"] if isolated else []), "runtime", "runs", "timeout")
    functions = _table("Functions", header, whole="function")
    for function in plan.functions.values():
        environments = ["per tenant" if function.isolated and not function.url else "shared"] if isolated else []
        cells = (function.name, *environments, function.runtime, what_runs(function, plan), f"{function.timeout:g} s")
        functions.add_row(*map(_cell, cells))
    found += _lines(functions, width)
    found += _lines(_queues(plan), width) if plan.queues else []
    found += _lines(_rules(plan), width) if plan.event_buses or plan.event_rules else []
    found += _lines(_streams(plan), width) if plan.streams else []
    found += _lines(_of_dynamodb(plan), width) if plan.tables else []
    configured = any(function.invoke_configs or function.dead_letters for function in plan.functions.values())
    return [*found, *(_lines(_async_invokes(plan), width) if configured else [])]


def _async_invokes(plan: Plan) -> Table:
    """The functions whose asynchronous invocations the template configures, each with the alias or version."""
    columns = ("function", "tries", "given up after", "on success", "on failure", "dead letters")
    table = _table("Asynchronous invocations", columns, whole="function")
    for function in plan.functions.values():
        configs = function.invoke_configs or ({LATEST: EventInvokeConfig()} if function.dead_letters else {})
        for qualifier, config in configs.items():
            name = function.name if qualifier == LATEST else f"{function.name}:{qualifier}"
            arns = (config.on_success, config.on_failure, function.dead_letters)
            targets = [destination_name(arn) or "-" for arn in arns]
            table.add_row(*map(_cell, (name, str(config.retries + 1), f"{config.max_age} s", *targets)))
    return table


def _queues(plan: Plan) -> Table:
    """The queues in the order of the names, with what reads each of them."""
    table = _table("Queues", ("queue", "invokes", "hidden for", "dead letters"), whole="queue")
    names = {queue.arn: queue.name for queue in plan.queues}
    for queue in sorted(plan.queues, key=lambda queue: queue.name):
        invoked = [_invoked(mapping) for mapping in plan.mappings if mapping.queue == queue.arn]
        dead = "-"
        if queue.dead_letters is not None:
            arn, receives = queue.dead_letters
            dead = f"{names[arn]} after {receives}"
        cells = (queue.name, "\n".join(invoked) or "-", f"{queue.visibility_timeout} s", dead)
        table.add_row(*map(_cell, cells))
    return table


def _rules(plan: Plan) -> Table:
    """The rules of each bus, by the names of the buses. A bus without rules has a row too."""
    table = _table("Event buses", ("bus", "rule", "takes", "targets"), whole="bus")
    for bus in sorted({bus.name for bus in plan.event_buses} | {rule.bus for rule in plan.event_rules}):
        rules = [rule for rule in plan.event_rules if rule.bus == bus]
        for rule in rules:
            targets = "\n".join(map(_delivered, rule.targets))
            state = "" if rule.enabled else " (not enabled)"
            table.add_row(*map(_cell, (bus, f"{rule.name}{state}", _taken(rule), targets or "-")))
        if not rules:
            table.add_row(*map(_cell, (bus, "-", "-", "-")))
    return table


def _taken(rule: EventRule) -> str:
    pattern = json.dumps(json.loads(rule.pattern)) if rule.pattern else None  # with spaces, at which a cell is folded
    return "\n".join(text for text in (pattern, rule.schedule) if text)


def _delivered(target: Target) -> str:
    dead = f" (dead letters: {target.dead_letters.rpartition(':')[2]})" if target.dead_letters else ""
    return f"{target.name}{dead}"


def _streams(plan: Plan) -> Table:
    """The streams in the order of the names, with what reads each of them."""
    table = _table("Streams", ("stream", "invokes", "shards", "keeps records for"), whole="stream")
    for stream in sorted(plan.streams, key=lambda stream: stream.name):
        shards = "on demand" if stream.shard_count is None else str(stream.shard_count)
        table.add_row(*map(_cell, (stream.name, _readers(stream.arn, plan), shards, f"{stream.retention_hours} h")))
    return table


def _of_dynamodb(plan: Plan) -> Table:
    """The tables of DynamoDB in the order of their names, with what reads the stream of each."""
    table = _table("DynamoDB tables", ("table", "invokes", "key", "stream", "expires by"), whole="table")
    for one in sorted(plan.tables, key=lambda one: one.name):
        key = ", ".join(f"{name} ({kind})" for name, kind in one.keys)
        cells = (one.name, _readers(one.arn, plan), key, one.view_type or "-", one.expires_by or "-")
        table.add_row(*map(_cell, cells))
    return table


def _readers(arn: str, plan: Plan) -> str:
    """What reads a stream, or the stream of a table."""
    return "\n".join(_invoked(mapping) for mapping in plan.stream_mappings if mapping.source == arn) or "-"


def _invoked(mapping: EventSourceMapping | StreamMapping) -> str:
    name = mapping.function.partition(":function:")[2] or mapping.function
    if isinstance(mapping, StreamMapping) and mapping.faults:
        return f"{name} (does not run)"
    parts = [f"batches of {mapping.batch_size}"] + ([f"{mapping.window:g} s"] if mapping.window else [])
    parts += [f"{mapping.lanes} at a time"] if isinstance(mapping, StreamMapping) and mapping.lanes > 1 else []
    parts += ["filtered"] if mapping.filters else []
    return f"{name} ({', '.join(parts)})" if mapping.enabled else f"{name} (not enabled)"


def what_runs(function: Function, plan: Plan) -> str:
    """The handler of a function, and where its code comes from: a path, relative to the template if it is below it."""
    if function.url:
        return function.url
    if function.inline is not None:
        return f"{function.handler} in the template"
    inside = function.code.is_relative_to(plan.folder)
    place = function.code.relative_to(plan.folder) if inside else function.code
    return f"{function.handler if function.runner != 'provided' else 'bootstrap'} in {place}"


def left_out(plan: Plan) -> list[str]:
    """Returns lines of text: every part of the template that is not emulated."""
    title = ["In the template, but not emulated here:"] if plan.left_out else []
    return [*title, *(f"  - {line}" for line in plan.left_out)]


def warnings(plan: Plan) -> list[str]:
    """Returns lines of text: what the stack assumes about the template, and an empty line after them."""
    lines = [f"warning: {line}" for line in plan.warnings]
    return [*lines, ""] if lines else []


def left_out_in_short(plan: Plan) -> list[str]:
    """Returns the number of these parts in one line, and an empty line; nothing if everything is emulated."""
    count = len(plan.left_out)
    if not count:
        return []
    parts = "1 part is" if count == 1 else f"{count} parts are"
    return [f"{parts} not emulated; `lattice-bridge local --plan` lists {'it' if count == 1 else 'them'}.", ""]


def addresses(front_url: str, aws_url: str, inspector_url: str | None = None) -> list[str]:
    """Returns the last lines: where the stack listens. The front's URL is the last word that a person needs.

    That of the inspector has its token: a person who reads the terminal may open the page.
    """
    inspector = [f"Inspector     {inspector_url}"] if inspector_url else []
    return [f"AWS endpoint  {aws_url}", *inspector, f"HTTP front    {front_url}  (Ctrl-C stops the stack)"]


def _target(route: Route) -> str:
    names = ", ".join(function.partition(":function:")[2] or function for function in route.functions)
    tenant = f"\ntenant: {route.tenant}" if route.tenant else ""
    return f"{names or route.answer}{tenant}"


def _cell(text: str) -> Text:
    """Makes a cell in which rich reads no markup: the text comes from a template."""
    return Text("\n".join(map(show.safe, text.split("\n"))))


def _table(title: str, columns: Iterable[str], whole: str = "") -> Table:
    """A table without rows. The cells of one column may be kept whole: no line of theirs is broken."""
    padding = (0, 1, 0, 0)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == whole)
    return table


def _lines(table: Table, width: int) -> list[str]:
    text = io.StringIO()
    RichConsole(file=text, width=width, color_system=None).print(table)
    return [*(line.rstrip() for line in text.getvalue().splitlines()), ""]
