"""The summary that `lattice-bridge local` prints at its start: routes, functions, parts left out, commands to paste.

Rule: each printed command works when it is pasted, or its comment gives the reason of the refusal.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from lattice_bridge.cli import show
from lattice_bridge.config.options import function_fault
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.identity.principal import Principal
from lattice_bridge.local.aws.lambda_api import DEVELOPER_KEY
from lattice_bridge.local.environments.dependencies import BRIDGE_HANDLER
from lattice_bridge.local.front.authorization import NotAuthorized, authorize
from lattice_bridge.local.front.identities import Identity
from lattice_bridge.local.front.lattice import HttpRequest, Signer
from lattice_bridge.local.plan.auth_policy import admitted_callers
from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY, Action, Rule
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.message import Caller
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject


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


@dataclass(frozen=True, slots=True)
class Example:
    """A path and tenant that the plan's bridge serves, for commands to paste; or the faults of its bridge.toml."""

    path: str = "/"
    tenant: str = "TENANT"
    header: str = "x-tenant-id"
    faults: tuple[str, ...] = ()
    tenant_map: TenantMap | None = None

    def has_no_rule_for(self, principal: Principal) -> bool:
        """Whether the map has no rule for a caller; False if the map does not load."""
        subject = Subject(Caller(authenticated=True, iam=principal))
        return self.tenant_map is not None and decide(subject, self.tenant_map.rules, every_tenant).reason == "no_rule"


def example(plan: Plan) -> Example:
    """Reads the bridge.toml of the plan's bridge, if it has one."""
    bridge = next((function for function in plan.functions.values() if function.handler == BRIDGE_HANDLER), None)
    if bridge is None:
        return Example()
    try:
        settings = Settings.load({**bridge.environment, "LAMBDA_TASK_ROOT": str(bridge.code)})
    except BridgeError as error:
        return Example(faults=error.faults if isinstance(error, InvalidMap) else (error.detail,))
    rules = settings.tenant_map.rules
    path = next((backend.path for backend in settings.options.backends if backend.isolated), "/")
    tenant = next((tenant.id for tenant in rules.tenants.values() if tenant.active), "TENANT")
    return Example(path, tenant, rules.header, tenant_map=settings.tenant_map)


def commands(plan: Plan, signers: Mapping[str, Identity], front_url: str, lambda_url: str) -> Iterator[str]:
    """Gives the addresses of the stack, and commands to paste."""
    known = example(plan)
    # Without -g, curl reads brackets and braces in a URL as a pattern.
    url = ("-g " if set("[]{}") & set(known.path) else "") + shlex.quote(f"{front_url}{known.path}")
    yield f"Lattice front  {front_url}"
    yield f"Lambda API     {lambda_url}"
    yield ""
    if known.faults:
        yield "The bridge will answer every request with 503: its bridge.toml does not load."
        yield from (f"  - {fault}" for fault in known.faults)
    if refusal := _refusal(plan, HttpRequest("GET", known.path, [(known.header, known.tenant)]), None):
        yield f"Unsigned: 403, because {refusal}"
    else:
        yield "Unsigned, with a tenant id:"
        yield f"  curl -H {shlex.quote(f'{known.header}: {known.tenant}')} {url}"
    yield from _signed_commands(plan, signers, known, url)
    yield from _invoke_command(plan, lambda_url, known.tenant)
    yield ""
    yield "Ctrl-C stops the stack."


def _signed_commands(plan: Plan, signers: Mapping[str, Identity], known: Example, url: str) -> Iterator[str]:
    scope = shlex.quote(f"aws:amz:{plan.region}:vpc-lattice-svcs")
    signing = f"curl --aws-sigv4 {scope} -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'"
    yield "Signed by one of the identities; x-amz-security-token chooses the name of a role's session:"
    for identity in list(signers.values())[:4]:
        reason = _refusal(plan, HttpRequest("GET", known.path, []), identity.signer("me"))
        if reason is None and known.has_no_rule_for(identity.principal):
            reason = "no rule names it. Fix: write identities.toml"
        yield f"  # {identity.principal}{f': 403, because {reason}' if reason else ''}"
        yield f"  {signing} -H 'x-amz-security-token: session=me' --user {_user(identity)} {url}"


def _invoke_command(plan: Plan, lambda_url: str, tenant: str) -> Iterator[str]:
    isolated = next((function for function in plan.functions.values() if function.isolated), None)
    if isolated is not None and function_fault(isolated.name) is None:
        yield "Directly to a function, as the bridge does:"
        where = ("--endpoint-url", lambda_url, "--region", plan.region)
        which = ("--function-name", isolated.name, f"--tenant-id={tenant}", "/dev/stdout")
        credentials = f"AWS_ACCESS_KEY_ID={DEVELOPER_KEY.access_key} AWS_SECRET_ACCESS_KEY={DEVELOPER_KEY.secret_key}"
        yield f"  {credentials} {shlex.join(('aws', 'lambda', 'invoke', *where, *which))}"


def _refusal(plan: Plan, request: HttpRequest, signer: Signer | None) -> str | None:
    """Returns the reason why the auth policies of every service refuse a request; None if those of one allow it."""
    reasons = []
    for service in plan.services:
        try:
            authorize(service, request, signer)
        except NotAuthorized as error:
            reasons.append(str(error))
        else:
            return None
    return reasons[0] if reasons else None


def _user(identity: Identity) -> str:
    return shlex.quote(f"{identity.access_key}:{identity.secret_key}")


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
