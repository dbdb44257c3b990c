"""The summary that `lattice-bridge local` prints at its start: routes, functions, parts left out.

Rule: text of a template is data, and never read as markup.
"""

from __future__ import annotations

import io

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from lattice_bridge.cli import show
from lattice_bridge.local.plan.auth_policy import admitted_callers
from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY, Action, Rule
from lattice_bridge.local.plan.model import Plan


def tables(plan: Plan) -> list[str]:
    """Returns lines of text: the routes, the functions, and the parts of the template that are not emulated."""
    routes = Table(title="Routes", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("service", "request", "goes to", "event", "callers"):
        routes.add_column(column)
    for service in plan.services:
        for rule in service.rules:
            row = (service.name, _request(rule), *_target(rule.action), admitted_callers(service.policies))
            routes.add_row(*map(_cell, row))
    functions = Table(title="Functions", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("function", "tenant isolation", "handler", "timeout", "memory"):
        functions.add_column(column)
    for function in plan.functions.values():
        isolation = "one environment per tenant" if function.isolated else "none"
        cells = (function.name, isolation, function.handler, f"{function.timeout:g} s", f"{function.memory} MB")
        functions.add_row(*map(_cell, cells))
    left_out = [f"  - {line}" for line in plan.left_out]
    title = ["In the template, but not emulated here:"] if left_out else []
    return [*_lines(routes), *_lines(functions), *title, *left_out, ""]


def _request(rule: Rule) -> str:
    match = rule.match
    path = f"{match.path}*" if match.path_how == "Prefix" else match.path
    headers = "".join(f" {header.name} {header.how.lower()} {header.text}" for header in match.headers)
    priority = "default" if rule.priority == DEFAULT_PRIORITY else f"priority {rule.priority}"
    return f"{match.method or 'any'} {path}{headers} ({priority})"


def _target(action: Action) -> tuple[str, str]:
    if action.status is not None:
        return f"fixed response {action.status}", "-"
    names = [group.function.partition(":function:")[2] or group.function for group, _ in action.forward]
    return ", ".join(names), ", ".join(f"V{group.version}" for group, _ in action.forward)


def _cell(text: str) -> Text:
    """Makes a cell in which rich reads no markup: the text comes from a template."""
    return Text(show.safe(text))


def _lines(table: Table) -> list[str]:
    text = io.StringIO()
    RichConsole(file=text, width=140).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
