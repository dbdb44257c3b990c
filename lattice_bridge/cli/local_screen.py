"""What `lattice-bridge local` shows before it serves: routes, functions, what is left out, commands to paste."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.table import Table

from lattice_bridge.local.identities import Identity
from lattice_bridge.local.plan import DEFAULT_PRIORITY, Action, Plan, Rule


def tables(plan: Plan) -> list[str]:
    """Routes and functions as lines of text, and what the stack does not do."""
    routes = Table(title="Routes", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("service", "request", "goes to", "event", "callers"):
        routes.add_column(column)
    for service in plan.services:
        for rule in service.rules:
            callers = "signed only" if service.signed_only else "anyone"
            routes.add_row(service.name, _request(rule), *_target(rule.action), callers)
    functions = Table(title="Functions", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("function", "tenant isolation", "handler", "timeout", "memory"):
        functions.add_column(column)
    for function in plan.functions.values():
        isolation = "one environment per tenant" if function.isolated else "none"
        functions.add_row(
            function.name, isolation, function.handler, f"{function.timeout:g} s", f"{function.memory} MB"
        )
    left_out = (
        ["In the template, but not done here:", *(f"  - {line}" for line in plan.left_out)] if plan.left_out else []
    )
    return [*_lines(routes), *_lines(functions), *left_out, ""]


def commands(plan: Plan, signers: Mapping[str, Identity], front_url: str, lambda_url: str) -> Iterator[str]:
    """Commands that work as they stand."""
    yield f"Lattice front  {front_url}"
    yield f"Lambda API     {lambda_url}"
    yield ""
    if not all(service.signed_only for service in plan.services):
        yield "Unsigned, naming a tenant:"
        yield f"  curl -H 'x-tenant-id: BlueTenant' {front_url}/isolated"
    yield f"Signed, as one of {len(signers)} identities (the session's name may be chosen):"
    for identity in list(signers.values())[:4]:
        yield f"  # {identity.principal}"
        yield (
            f'  curl --aws-sigv4 "aws:amz:{plan.region}:vpc-lattice-svcs" --user {identity.access_key}:{identity.secret_key} '
            f"-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' {front_url}/isolated"
        )
    isolated = next((function for function in plan.functions.values() if function.isolated), None)
    if isolated is not None:
        yield "Straight to a function, as the bridge does:"
        yield f"  aws lambda invoke --endpoint-url {lambda_url} --function-name {isolated.name} --tenant-id BlueTenant /dev/stdout"
    yield ""
    yield "Ctrl-C stops everything."


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


def _lines(table: Table) -> list[str]:
    text = io.StringIO()
    RichConsole(file=text, width=140).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
