"""The commands that `lattice-bridge local` prints at its start, to paste: one for each kind of caller.

Rule: a printed command works. The auth policies and the map decide it here as they will decide the request, and a kind
of caller that they do not allow gets no command.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from lattice_bridge.bridge import check_service
from lattice_bridge.config.options import function_fault
from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.http.headers import lower
from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY
from lattice_bridge.local.aws.invoke_checks import LambdaError, parse_function_name
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.front.authorization import NotAuthorized, authorize
from lattice_bridge.local.front.http_message import HttpRequest
from lattice_bridge.local.front.identities import SESSION, Identity
from lattice_bridge.local.front.lattice import event_v1, event_v2
from lattice_bridge.local.front.lattice_service import origin_of
from lattice_bridge.local.plan.listener_rules import TargetGroup, action_for
from lattice_bridge.local.plan.model import Plan, Service
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.tenancy.anchors import jwt_key
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Find, Rule, TenantFrom
from lattice_bridge.tenancy.subject import subject_of

_MOST: Final = 3
"""Issuers with a command, and further keys that are named."""

_TRIED: Final = 100
"""Identities, and tenants, that are tried."""


class Target(NamedTuple):
    """A service and a path whose requests reach a function.

    Attributes:
        service: receives the request.
        path: of the request.
        group: the target group of the function.
        bridge: the configuration of the function, if it is a bridge whose map is known.
    """

    service: Service
    path: str
    group: TargetGroup
    bridge: BridgeConfiguration | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that is printed if it is allowed.

    Attributes:
        target: of the request.
        identity: signs it; None for an unsigned request.
        issuer: of its token; None for a request without one.
        claims: of the token.
        tenant: the value of the tenant header; None for a request without it.
    """

    target: Target
    identity: Identity | None = None
    issuer: Issuer | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    tenant: str | None = None


class Outcome(NamedTuple):
    """The answer for an attempt.

    Attributes:
        attempt: that was decided.
        refusal: the reason why it is refused; empty if it is allowed.
        decision: of the map; None if no map decided.
    """

    attempt: Attempt
    refusal: str
    decision: Decision | None = None


def commands(definition: Definition, front_url: str, aws_url: str) -> Iterator[str]:
    """Gives commands to paste."""
    for configuration in definition.configurations:
        if configuration.settings is None and not configuration.faults:
            name, address = configuration.function.name, configuration.address
            yield f"No commands for requests to {name}: its map is not a file, but {address}."
    yield from _requests(definition, front_url)
    yield from _invoke_command(definition, aws_url)
    yield ""


def _requests(definition: Definition, front_url: str) -> Iterator[str]:
    plan, targets = definition.plan, list(islice(_targets(definition), _TRIED))
    signers = list(islice(_callers(definition.identities.values()), _TRIED))
    signed = [(signer, _best(Attempt(target, signer) for target in targets)) for signer in signers]
    others = [*_by_tokens(targets), _best(Attempt(target) for target in targets)]
    outcomes = [outcome for outcome in (*(outcome for _, outcome in signed), *others) if outcome is not None]
    if outcomes and all(outcome.refusal for outcome in outcomes):
        yield f"No request is allowed yet: {outcomes[0].refusal}"
    allowed = [(signer, outcome) for signer, outcome in signed if outcome and not outcome.refusal]
    for _, outcome in allowed[:1]:
        yield from _printed(outcome, plan, front_url)
        if more := list(_other_users(outcome, allowed[1:])):
            rest = f" and {len(more) - _MOST} more" if len(more) > _MOST else ""
            yield f"  # other values of --user: {', '.join(more[:_MOST])}{rest}"
    for other in others:
        if other is not None and not other.refusal:
            yield from _printed(other, plan, front_url)


def _other_users(printed: Outcome, allowed: Iterable[tuple[Identity, Outcome]]) -> Iterator[str]:
    """The keys that work in the printed command: with its path and tenant header."""
    for signer, outcome in allowed:
        if replace(outcome.attempt, identity=None) == replace(printed.attempt, identity=None):
            tenant = f", runs as {outcome.decision.tenant}" if outcome.decision else ""
            yield f"{_user(signer)} ({_name(signer)}{tenant})"


def _callers(identities: Iterable[Identity]) -> Iterator[Identity]:
    """The first identity of each caller: a caller may have several keys."""
    seen: set[tuple[str, str]] = set()
    for identity in identities:
        caller = (lower(str(identity.principal)), identity.session)
        if caller not in seen:
            seen.add(caller)
            yield identity


def _printed(outcome: Outcome, plan: Plan, front_url: str) -> Iterator[str]:
    yield f"  # {_described(outcome)}"
    yield f"  {_curl(outcome.attempt, plan, front_url)}"


def _invoke_command(definition: Definition, aws_url: str) -> Iterator[str]:
    plan = definition.plan
    isolated = next((function for function in plan.functions.values() if function.isolated), None)
    if isolated is None or function_fault(isolated.name) is not None:
        return
    maps = [configuration.settings for configuration in definition.configurations if configuration.settings]
    tenant = next((tenant for settings in maps for tenant in _tenants(settings)), "TENANT")
    where = ("--endpoint-url", aws_url, "--region", plan.region)
    which = ("--function-name", isolated.name, f"--tenant-id={tenant}", "/dev/stdout")
    credentials = f"AWS_ACCESS_KEY_ID={DEVELOPER_KEY.access_key} AWS_SECRET_ACCESS_KEY={DEVELOPER_KEY.secret_key}"
    yield "  # directly to a function, as the bridge does"
    yield f"  {credentials} {shlex.join(('aws', 'lambda', 'invoke', *where, *which))}"


# ---- what could be printed ------------------------------------------------------------------------------------------


def _targets(definition: Definition) -> Iterator[Target]:
    """The paths of the bridges' backends, the isolated ones first; `/` for a function that is not a bridge."""
    bridges = {configuration.function.name: configuration for configuration in definition.configurations}
    paths = ["/"]
    for configuration in bridges.values():
        backends = configuration.settings.options.backends if configuration.settings else ()
        paths[:0] = [backend.path for backend in sorted(backends, key=lambda backend: not backend.isolated)]
    for path in dict.fromkeys(paths):
        for service in definition.plan.services:
            for group, _ in action_for(service.rules, "GET", path, []).forward:
                name = _function_name(group.function)
                bridge = bridges.get(name)
                if bridge is None or (bridge.settings and _serves(bridge.settings, path)):
                    yield Target(service, path, group, bridge)


def _function_name(function: str) -> str:
    try:
        return parse_function_name(function).name
    except LambdaError:
        return function


def _serves(settings: Settings, path: str) -> bool:
    return any(backend.serves(path) for backend in settings.options.backends)


def _by_tokens(targets: list[Target]) -> Iterator[Outcome | None]:
    """The outcomes for the issuers of the maps, a few."""
    maps = {target.bridge.address: target.bridge for target in targets if target.bridge}
    issuers = [(bridge, entry.issuer) for bridge in maps.values() for entry in bridge.issuers]
    for bridge, issuer in issuers[:_MOST]:
        rule = bridge.settings.tenant_map.rules.owners.get(jwt_key(issuer.name)) if bridge.settings else None
        if rule is not None and bridge.settings is not None:
            claims = _claims(rule, _tenants(bridge.settings))
            yield _best(Attempt(target, issuer=issuer, claims=claims) for target in targets if target.bridge is bridge)


def _claims(rule: Rule, tenants: list[str]) -> dict[str, Any]:
    """The claims that a rule for tokens reads, with the first tenant."""
    outcome = rule.outcome
    if not isinstance(outcome, TenantFrom) or outcome.source != "claim" or not tenants:
        return {}
    value: Any = f"{outcome.pattern.before}{tenants[0]}{outcome.pattern.after}"
    value = [value] if outcome.is_list else value
    for name in reversed(outcome.claim):
        value = {name: value}
    return dict(value)


def _tenants(settings: Settings) -> list[str]:
    """Active tenants of a map, a few. Those of a registry are not known here, except if rules name them."""
    rules = settings.tenant_map.rules
    if settings.tenant_map.lookups.registry is None:
        return list(islice((tenant.id for tenant in rules.tenants.values() if tenant.active), _TRIED))
    named = (rule.outcome for rule in rules.owners.values() if isinstance(rule.outcome, frozenset))
    return list(islice((tenant for outcome in named for tenant in sorted(outcome)), _TRIED))


# ---- whether it is allowed ------------------------------------------------------------------------------------------


def _best(attempts: Iterable[Attempt]) -> Outcome | None:
    """The first outcome that is allowed, or else the first one. None without attempts."""
    first = None
    for attempt in attempts:
        outcome = decided(attempt)
        if outcome.decision is not None and outcome.decision.reason == "ambiguous":
            assert attempt.target.bridge is not None  # it has decided
            assert attempt.target.bridge.settings is not None
            chosen = (decided(replace(attempt, tenant=each)) for each in _tenants(attempt.target.bridge.settings))
            outcome = next((each for each in chosen if not each.refusal), outcome)
        if not outcome.refusal:
            return outcome
        first = first or outcome
    return first


def decided(attempt: Attempt) -> Outcome:
    """The outcome of an attempt: the auth policies decide first, then the map."""
    target, identity = attempt.target, attempt.identity
    signer = identity.signer(identity.session) if identity else None
    rules = target.bridge.settings.tenant_map.rules if target.bridge and target.bridge.settings else None
    headers = [("host", target.service.names[0])]
    if attempt.tenant is not None and rules is not None:
        headers.append((rules.header, attempt.tenant))
    request = HttpRequest("GET", target.path, headers)
    try:
        authorize(target.service, request, signer)
        if target.bridge is None or target.bridge.settings is None or rules is None:
            return Outcome(attempt, "")
        write = event_v1 if target.group.version == 1 else event_v2
        parsed = parse_event(write(request, origin_of(target.service, target.group, ""), signer))
        check_service(parsed, target.bridge.settings.options.services)
        tokens = {attempt.issuer.name: attempt.claims} if attempt.issuer else {}
        subject = subject_of(parsed, tokens, rules.header, rules.token_headers)
        # The tenants of a registry are not read: the stack has no DynamoDB.
        find: Find | None = None if target.bridge.settings.tenant_map.lookups.registry is None else every_tenant
        decision = decide(subject, rules, find)
    except (NotAuthorized, BridgeError) as error:
        return Outcome(attempt, error.detail if isinstance(error, BridgeError) else str(error))
    detail = decision.refusal.detail if decision.refusal else ""
    return Outcome(attempt, "" if decision.allowed else f"{decision.reason}: {detail}", decision)


# ---- as text --------------------------------------------------------------------------------------------------------


def _described(outcome: Outcome) -> str:
    attempt, decision = outcome.attempt, outcome.decision
    if attempt.identity is not None:
        caller = f"signed as the {_name(attempt.identity)}"
    else:
        caller = f"with a token of the issuer {attempt.issuer.name}" if attempt.issuer else "without a credential"
    return f"{caller}, runs as {decision.tenant} (rule {decision.rule})" if decision else caller


def _name(identity: Identity) -> str:
    principal = identity.principal
    kind = "role" if principal.kind == "assumed-role" else principal.kind
    session = "" if identity.session == SESSION else f" in the session {identity.session}"
    return f"{kind} {principal.name or principal.account}{session}"


def _user(identity: Identity) -> str:
    return shlex.quote(f"{identity.access_key}:{identity.secret_key}")


def _curl(attempt: Attempt, plan: Plan, front_url: str) -> str:
    words = ["curl"]
    if attempt.identity is not None:
        scope = shlex.quote(f"aws:amz:{plan.region}:vpc-lattice-svcs")
        words += [
            "--aws-sigv4",
            scope,
            "-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'",
            "--user",
            _user(attempt.identity),
        ]
    if attempt.issuer is not None:
        scheme = "Bearer " if attempt.issuer.header == "authorization" else ""
        # The name has letters, digits and - only: the map's checks refuse every other one.
        words += ["-H", f'"{attempt.issuer.header}: {scheme}$({_token_command(attempt)})"']
    settings = attempt.target.bridge.settings if attempt.target.bridge else None
    if attempt.tenant is not None and settings is not None:
        words += ["-H", shlex.quote(f"{settings.tenant_map.rules.header}: {attempt.tenant}")]
    if len(plan.services) > 1:
        words += ["-H", shlex.quote(f"Host: {attempt.target.service.names[0]}")]
    path = attempt.target.path
    # Without -g, curl reads brackets and braces in a URL as a pattern.
    return " ".join([*words, *(["-g"] if set("[]{}") & set(path) else []), shlex.quote(f"{front_url}{path}")])


def _token_command(attempt: Attempt) -> str:
    assert attempt.issuer is not None  # the attempt has a token
    words = [_program(), "token", "--issuer", attempt.issuer.name]
    file = attempt.target.bridge.file if attempt.target.bridge else None
    if file is not None and file.resolve() != Path("bridge.toml").resolve():
        words += ["--map", str(file)]
    for name, value in attempt.claims.items():
        words += ["--claim", f"{name}={value}" if isinstance(value, str) else f"{name}:={json.dumps(value)}"]
    return shlex.join(words)


def _program() -> str:
    """The command as this shell finds it."""
    return "lattice-bridge" if shutil.which("lattice-bridge") else str(Path(sys.argv[0]).resolve())
