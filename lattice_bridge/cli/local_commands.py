"""The commands that `lattice-bridge local` prints at its start, to paste: one for each kind of caller.

Rule: a printed command works. The auth policies and the map decide it here as they will decide the request, and a kind
of caller that they do not allow gets no command. What cannot be decided here is a condition in the description.
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
from urllib.parse import quote

from lattice_bridge.bridge import check_service
from lattice_bridge.cli.local_targets import Target, targets_of
from lattice_bridge.cli.source_commands import source_commands, tenants_of
from lattice_bridge.config.options import function_fault
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import receive
from lattice_bridge.http.headers import lower
from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import SESSION, Identity
from lattice_bridge.local.plan.http_api import JwtAuthorizer
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Plan, WayIn
from lattice_bridge.local.web.sigv4 import SERVICE
from lattice_bridge.review.map_tests import every_tenant
from lattice_bridge.tenancy.anchors import api_key, jwt_key
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Find, Rule, TenantFrom
from lattice_bridge.tenancy.subject import subject_of

_MOST: Final = 3
"""Issuers with a command, and further keys that are named."""

_ABOUT: Final = "  # "
"""The beginning of a command's description."""
_CLAIMS: Final = "authorizer.claims."
_OTHERS: Final = "  # other values of --user:"

_TRIED: Final = 100
"""Identities, and tenants, that are tried."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that is printed if it is allowed.

    Attributes:
        target: of the request.
        identity: signs it; None for an unsigned request.
        issuer: of its token, which the map's rules verify; None for a request without one.
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
    yield from source_commands(definition, aws_url)
    yield from _invoke_command(definition, aws_url)
    yield ""


def first_command(definition: Definition, front_url: str, aws_url: str) -> str | None:
    """The first of the commands; None if nothing is allowed."""
    lines = commands(definition, front_url, aws_url)
    return next((line.strip() for line in lines if line.startswith("  ") and not line.startswith(_ABOUT)), None)


def _requests(definition: Definition, front_url: str) -> Iterator[str]:
    """Commands for each way in. Its name is in their descriptions if there are several."""
    ways = definition.plan.ways_in
    for way in ways:
        name = f"{way.kind} {way.name}: " if len(ways) > 1 else ""
        for line in _of_way(way, definition, front_url):
            if line.startswith(_ABOUT) and not line.startswith(_OTHERS):
                yield line.replace(_ABOUT, f"{_ABOUT}{name}", 1)
            else:
                yield line if line.startswith(" ") else f"{name}{line}"


def _of_way(way: WayIn, definition: Definition, front_url: str) -> Iterator[str]:
    found = sorted(islice(targets_of(way, definition), _TRIED), key=_preference)
    targets = [target for target in found if not target.condition]
    signers = list(islice(_callers(definition.identities.values()), _TRIED))
    signed = [
        (signer, _best(Attempt(target, signer) for target in targets if target.signed is not False))
        for signer in signers
    ]
    unsigned = [target for target in targets if not target.signed]
    others = [
        *_by_authorizers(unsigned, _all_tenants(definition)),
        *_by_tokens([target for target in unsigned if target.authorizer is None]),
        _best(Attempt(target) for target in unsigned if target.authorizer is None),
    ]
    outcomes = [outcome for outcome in (*(outcome for _, outcome in signed), *others) if outcome is not None]
    if outcomes and all(outcome.refusal for outcome in outcomes):
        yield f"No request is allowed yet: {outcomes[0].refusal}"
    allowed = [(signer, outcome) for signer, outcome in signed if outcome and not outcome.refusal]
    for _, outcome in allowed[:1]:
        yield from _printed(outcome, definition, front_url)
        if more := list(_other_users(outcome, allowed[1:])):
            rest = f" and {len(more) - _MOST} more" if len(more) > _MOST else ""
            yield f"{_OTHERS} {', '.join(more[:_MOST])}{rest}"
    for other in others:
        if other is not None and not other.refusal:
            yield from _printed(other, definition, front_url)
    for target in {target.condition: target for target in reversed(found) if target.condition}.values():
        claims = next(_authorizer_claims(target, _all_tenants(definition))) if target.authorizer else {}
        attempt = Attempt(target, signers[0] if target.signed and signers else None, claims=claims)
        yield f"{_ABOUT}{target.condition}"
        yield f"  {_curl(attempt, definition, front_url)}"


def _preference(target: Target) -> tuple[bool, bool]:
    """Requests to a bridge come first, and of those the ones that change nothing."""
    return target.bridge is None, target.method != "GET"


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


def _printed(outcome: Outcome, definition: Definition, front_url: str) -> Iterator[str]:
    yield f"{_ABOUT}{_described(outcome)}"
    yield f"  {_curl(outcome.attempt, definition, front_url)}"


def _invoke_command(definition: Definition, aws_url: str) -> Iterator[str]:
    """The command that invokes an isolated function, or the first one of a template that has nothing in front."""
    plan = definition.plan
    function = next((function for function in plan.functions.values() if function.isolated), None)
    if function is None and not plan.ways_in and not _has_sources(plan):
        function = next(iter(plan.functions.values()), None)
    if function is None or function_fault(function.name) is not None:
        return
    if not plan.ways_in and not _has_sources(plan):
        yield "The template has no API, load balancer, function URL or Lattice service. Invoke its functions directly:"
    where = ("--endpoint-url", aws_url, "--region", plan.region)
    tenant = (f"--tenant-id={_all_tenants(definition)[0]}",) if function.isolated else ()
    # The AWS CLI takes JSON as an argument only with an option that its first version does not have.
    which = ("--function-name", function.name, *tenant, "--payload", "fileb:///dev/stdin", "/dev/stdout")
    credentials = f"AWS_ACCESS_KEY_ID={DEVELOPER_KEY.access_key} AWS_SECRET_ACCESS_KEY={DEVELOPER_KEY.secret_key}"
    has_bridge = any(found.function.handler == BRIDGE_HANDLER for found in definition.configurations)
    yield f"  # directly to a function{', as the bridge does' if has_bridge else ''}"
    yield f"  echo '{{}}' | {credentials} {shlex.join(('aws', 'lambda', 'invoke', *where, *which))}"


def _has_sources(plan: Plan) -> bool:
    """Whether records or events invoke a function."""
    return bool(plan.mappings or plan.stream_mappings or plan.event_rules)


# ---- what could be printed ------------------------------------------------------------------------------------------


def _by_authorizers(targets: list[Target], tenants: list[str]) -> Iterator[Outcome | None]:
    """The outcomes for the JWT authorizers of the way in, a few."""
    authorizers = dict.fromkeys(target.authorizer for target in targets if target.authorizer)
    for authorizer in islice(authorizers, _MOST):
        own = [target for target in targets if target.authorizer == authorizer]
        yield _best(Attempt(target, claims=claims) for target in own for claims in _authorizer_claims(target, tenants))


def _authorizer_claims(target: Target, tenants: list[str]) -> Iterator[Mapping[str, Any]]:
    """Claims that the route requires, and those that a mapping, or the map's rule for the API, reads."""
    scope = {"scope": target.scopes[0]} if target.scopes else {}
    if target.tenant is not None and target.tenant.name.startswith(_CLAIMS):
        scope[target.tenant.name.removeprefix(_CLAIMS)] = tenants[0]
    settings = target.bridge.settings if target.bridge else None
    rule = settings.tenant_map.rules.owners.get(api_key(target.api)) if settings else None
    if rule is None or settings is None:
        yield scope
        return
    outcome = rule.outcome
    if isinstance(outcome, TenantFrom) and outcome.source == "authorizer" and outcome.claim[:1] == ("claims",):
        for tenant in tenants_of(settings):
            yield {**scope, outcome.claim[-1]: f"{outcome.pattern.before}{tenant}{outcome.pattern.after}"}
    else:
        yield scope


def _by_tokens(targets: list[Target]) -> Iterator[Outcome | None]:
    """The outcomes for the issuers of the maps, a few."""
    maps = {target.bridge.address: target.bridge for target in targets if target.bridge}
    issuers = [(bridge, entry.issuer) for bridge in maps.values() for entry in bridge.issuers]
    for bridge, issuer in issuers[:_MOST]:
        rule = bridge.settings.tenant_map.rules.owners.get(jwt_key(issuer.name)) if bridge.settings else None
        if rule is not None and bridge.settings is not None:
            claims = _claims(rule, tenants_of(bridge.settings))
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


def _all_tenants(definition: Definition) -> list[str]:
    """Tenants of the maps, or an example."""
    maps = [configuration.settings for configuration in definition.configurations if configuration.settings]
    return [tenant for settings in maps for tenant in tenants_of(settings)] or ["blue"]


# ---- whether it is allowed ------------------------------------------------------------------------------------------


def _best(attempts: Iterable[Attempt]) -> Outcome | None:
    """The first outcome that is allowed, or else the first one. None without attempts."""
    first = None
    for attempt in attempts:
        outcome = decided(attempt)
        if outcome.decision is not None and outcome.decision.reason == "ambiguous":
            assert attempt.target.bridge is not None  # it has decided
            assert attempt.target.bridge.settings is not None
            chosen = (decided(replace(attempt, tenant=each)) for each in tenants_of(attempt.target.bridge.settings))
            outcome = next((each for each in chosen if not each.refusal), outcome)
        if not outcome.refusal:
            return outcome
        first = first or outcome
    return first


def decided(attempt: Attempt) -> Outcome:
    """The outcome of an attempt: the way in decides first, then the map."""
    target = attempt.target
    settings = target.bridge.settings if target.bridge else None
    rules = settings.tenant_map.rules if settings else None
    headers = [("host", target.host or target.way.names[0]), *target.headers]
    if attempt.tenant is not None and rules is not None:
        headers.append((rules.header, attempt.tenant))
    request = HttpRequest(target.method, target.path, headers)
    try:
        if refusal := target.refusal(request, attempt.identity):
            return Outcome(attempt, refusal)
        if settings is None or rules is None:
            return Outcome(attempt, "")
        claims = _verified(attempt, target.authorizer) if target.authorizer else {}
        parsed = receive(target.event(request, (attempt.identity, claims)), settings.options.enabled)
        check_service(parsed, settings.options.services)
        tokens = {attempt.issuer.name: attempt.claims} if attempt.issuer else {}
        subject = subject_of(parsed, tokens, rules.header, rules.token_headers)
        # The tenants of a registry are not read: its table is filled after the start, if it is one of the template.
        find: Find | None = None if settings.tenant_map.lookups.registry is None else every_tenant
        decision = decide(subject, rules, find)
    except BridgeError as error:
        return Outcome(attempt, error.detail)
    detail = decision.refusal.detail if decision.refusal else ""
    return Outcome(attempt, "" if decision.allowed else f"{decision.reason}: {detail}", decision)


def _verified(attempt: Attempt, authorizer: JwtAuthorizer) -> dict[str, Any]:
    """The claims of a local token that the authorizer passes on."""
    return {"iss": authorizer.issuer, "aud": min(authorizer.audience or {"local"}), "sub": "local", **attempt.claims}


# ---- as text --------------------------------------------------------------------------------------------------------


def _described(outcome: Outcome) -> str:
    attempt, decision = outcome.attempt, outcome.decision
    if attempt.identity is not None:
        caller = f"signed as the {_name(attempt.identity)}"
    elif attempt.target.authorizer is not None:
        caller = f"with a token for the authorizer {attempt.target.authorizer.name}"
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


def _curl(attempt: Attempt, definition: Definition, front_url: str) -> str:
    plan, target = definition.plan, attempt.target
    words = ["curl"]
    if attempt.identity is not None:
        words += ["--aws-sigv4", shlex.quote(f"aws:amz:{plan.region}:{target.scope}")]
        if target.scope == SERVICE:
            words.append("-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'")
        words += ["--user", _user(attempt.identity)]
    target_path, headers = _tenant_of_invocation(attempt, definition)
    command = _token_command(attempt, definition)
    if target.authorizer is not None and target.authorizer.source[0] == "querystring":
        target_path += f"{'&' if '?' in target_path else '?'}{quote(target.authorizer.source[1])}="
    elif command:
        name = target.authorizer.source[1] if target.authorizer else attempt.issuer.header if attempt.issuer else ""
        scheme = "Bearer " if name == "authorization" else ""
        # The name has letters, digits and - only: the checks of map and template refuse every other one.
        words += ["-H", f'"{name}: {scheme}$({command})"']
    for name, value in (*target.headers, *headers):
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if target.host or len(plan.ways_in) > 1:
        words += ["-H", shlex.quote(f"Host: {target.host or target.way.names[0]}")]
    if target.method != "GET":
        words += ["-X", shlex.quote(target.method)]
    # Without -g, curl reads brackets and braces in a URL as a pattern.
    url = shlex.quote(f"{front_url}{target_path}")
    if command and target.authorizer is not None and target.authorizer.source[0] == "querystring":
        url += f'"$({command})"'
    return " ".join([*words, *(["-g"] if set("[]{}") & set(target_path) else []), url])


def _tenant_of_invocation(attempt: Attempt, definition: Definition) -> tuple[str, list[tuple[str, str]]]:
    """The path with its query, and the headers, that choose a tenant: for a map, or for a REST API's mapping."""
    target = attempt.target
    settings = target.bridge.settings if target.bridge else None
    if attempt.tenant is not None and settings is not None:
        return target.path, [(settings.tenant_map.rules.header, attempt.tenant)]
    source = target.tenant
    if source is None or source.place not in ("header", "querystring"):
        return target.path, []
    tenant = _all_tenants(definition)[0]
    if source.place == "header":
        return target.path, [(source.name, tenant)]
    return f"{target.path}?{quote(source.name)}={quote(tenant)}", []


def _token_command(attempt: Attempt, definition: Definition) -> str:
    """The command that makes the request's token; empty for a request without one."""
    target, words = attempt.target, [_program(), "token"]
    if target.authorizer is not None:
        names = {authorizer: name for name, authorizer in definition.plan.jwt_authorizers.items()}
        words += ["--template", str(definition.sources[0]), "--issuer", names[target.authorizer]]
        words += [word for name, value in definition.parameters.items() for word in ("--parameter", f"{name}={value}")]
    elif attempt.issuer is not None:
        words += ["--issuer", attempt.issuer.name]
        file = target.bridge.file if target.bridge else None
        if file is not None and file.resolve() != Path("bridge.toml").resolve():
            words += ["--map", str(file)]
    else:
        return ""
    for name, value in attempt.claims.items():
        words += ["--claim", f"{name}={value}" if isinstance(value, str) else f"{name}:={json.dumps(value)}"]
    return shlex.join(words)


def _program() -> str:
    """The command as this shell finds it."""
    return "lattice-bridge" if shutil.which("lattice-bridge") else str(Path(sys.argv[0]).resolve())
