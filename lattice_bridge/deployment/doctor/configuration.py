"""bridge.toml compared with the stack: the bridge's function, the tenancy of the backends, and the map's principals.

Rule: the requirements come from the configuration as the bridge loads it. A fact that AWS does not show is `unknown`,
with the place where it can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePath
from typing import Final, Literal, TypeAlias

from lattice_bridge.config.compiled import options_of
from lattice_bridge.config.document import Document
from lattice_bridge.config.location import CONFIG_VARIABLE, FUNCTION_VARIABLE
from lattice_bridge.config.options import function_fault
from lattice_bridge.config.stores import address_fault
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.doctor.facts import (
    BackendFunction,
    Configuration,
    Deployment,
    Function,
    FunctionName,
    MapPrincipal,
    Read,
    SourceFunction,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Finding, listed, unread_finding
from lattice_bridge.http.headers import lower
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.tenancy.anchors import ANYONE
from lattice_bridge.tenancy.rules import Rules

# ---- bridge.toml ----------------------------------------------------------------------------------------------------

_EXACT: Final[Mapping[str, Literal["role", "user"]]] = {"role": "role", "session": "role", "user": "user"}
"""The kinds of keys that name a role or a user exactly."""
_Key: TypeAlias = tuple[Literal["role", "user"], str, str, str]
"""Kind, partition, account, and name in lower case."""


def read_configuration(file: Path, document: Document, tenant_map: TenantMap) -> Configuration:
    """The requirements of a document that loads.

    Args:
        tenant_map: the map in the document.
    """
    rules, registry = tenant_map.rules, tenant_map.lookups.registry
    return Configuration(
        file.as_posix(),
        options_of(document.compiled) if document.compiled else read_options(document.tables, []),
        _principals(rules, _spellings(document, file.parent)),
        "caller" in rules.evidence,
        any(key == ANYONE or key[0] == "jwt" for key in rules.owners),
        registry[0].dynamodb_table if registry else None,
        frozenset({rules.header, *rules.token_headers}),
        rules.reading("client-cert"),
        rules.reading("vpc"),
        tuple((key[1], rule.id) for key, rule in rules.owners.items() if key[0].startswith("source")),
    )


def _spellings(document: Document, folder: Path) -> dict[_Key, str]:
    """The names of roles and users as the map writes them. A compiled map has them in lower case only."""
    if document.compiled is not None:
        return {}
    names: dict[_Key, str] = {}
    for table in read_map(document, folder).written:
        for text in (table.role, table.user):
            if text and not text.endswith("*"):
                try:
                    found = parse_arn(text)
                except BadPrincipal:  # a map that loads has none
                    continue
                kind: Literal["role", "user"] = "user" if found.kind == "user" else "role"
                names[kind, found.partition, found.account, lower(found.name)] = found.name
    return names


def _principals(rules: Rules, spellings: Mapping[_Key, str]) -> tuple[MapPrincipal, ...]:
    allowing = [(key, rule.id, True) for key, rule in rules.owners.items()]
    denying = [(key, rule.id, False) for key, denials in rules.denials.items() for rule in denials]
    allowed: set[_Key] = set()
    ids: dict[_Key, list[str]] = {}
    for key, rule, allows in (*allowing, *denying):
        if key[0] in _EXACT:
            named = (_EXACT[key[0]], key[1], key[2], key[3])
            ids.setdefault(named, []).append(rule)
            if allows:
                allowed.add(named)
    return tuple(
        MapPrincipal(key[1], key[2], spellings.get(key, key[3]), tuple(sorted(found)), key not in allowed, kind=key[0])
        for key, found in sorted(ids.items())
    )


# ---- the bridge's function ------------------------------------------------------------------------------------------

HANDLER: Final = "lattice_bridge.main.handler"
AUTHORIZER_HANDLER: Final = "lattice_bridge.authorizer.handler"
SPARE: Final = 3
"""Seconds that the bridge needs besides its slowest backend: two to connect, and one to answer."""
MOST_SECONDS: Final = 900
"""Lambda's longest timeout."""
OLDEST_PYTHON: Final = (3, 11)
_PYTHON: Final = re.compile(r"python3\.([0-9]+)")


def function_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges the settings of the bridge's function; and under its other names, those that differ and are not ok."""
    main, *others = deployment.all_serving
    for one in (main, *others):
        found, name = one.configuration, one.name
        if isinstance(found, Unread):
            yield unread_finding(f"function {name.label}", found, "readable: it serves requests")
        elif found is not None and one is main:
            yield from _settings_findings(name, found, deployment, configuration)
        elif found is not None and not _has_same_settings(found, main.configuration):
            for finding in _settings_findings(name, found, deployment, configuration):
                if finding.level != "ok":
                    yield replace(finding, subject=f"{finding.subject} ({name.label})")


def _has_same_settings(one: Function, other: Read[Function | None]) -> bool:
    return isinstance(other, Function) and replace(one, modified=None) == replace(other, modified=None)


def _settings_findings(
    name: FunctionName, function: Function, deployment: Deployment, configuration: Configuration
) -> Iterator[Finding]:
    yield from _state_findings(name, function)
    if function.handler == AUTHORIZER_HANDLER:
        actual = f"{function.handler}: the map as a Lambda authorizer, which doctor does not read"
        yield Finding("warning", "handler", actual, HANDLER, "name the bridge with --function")
    elif function.runtime is not None and function.handler != HANDLER:  # an image has its handler inside
        actual = f"{function.handler}: another program, or one around the bridge, which sees and changes every request"
        yield Finding("warning", "handler", actual, HANDLER, f"make sure that {name.label} is the bridge")
    replaced = function.variables.get(FUNCTION_VARIABLE)
    if replaced and function_fault(replaced):
        fix = f"remove the environment variable {FUNCTION_VARIABLE}, or set it to a function"
        expected = "a function's name or ARN"
        yield Finding("error", FUNCTION_VARIABLE, f"{replaced}: the bridge answers 503", expected, fix)
    if function.log_format == "JSON":
        yield Finding("ok", "log format", "JSON", "JSON")
    else:
        actual = f"{function.log_format}: log queries do not find Lambda's own lines"
        yield Finding("warning", "log format", actual, "JSON", _setting(name, "the log format JSON"))
    yield _timeout_finding(name, function, configuration)
    yield _python_finding(name, function)
    yield _boto3_finding(function, configuration)
    yield _place_finding(function, deployment, configuration)


def _setting(name: FunctionName, setting: str) -> str:
    """A version never changes, so an alias needs a new one."""
    publish = "" if name.qualifier is None else ", publish a version, and point the alias at it"
    return f"deploy {name.name} with {setting}{publish}"


def _state_findings(name: FunctionName, function: Function) -> Iterator[Finding]:
    subject = f"function {name.label}"
    if function.state != "Active":
        fix = "wait until the function is active, or deploy it again"
        yield Finding("warning", subject, function.state, "Active", fix)
    if function.last_update == "Failed":
        actual = "its last update failed: it runs its previous code, or none"
        yield Finding("error", subject, actual, "updated", "deploy it again")
    if function.isolated:
        actual = "PER_TENANT: Lattice sends no tenant id, so every request fails"
        fix = "deploy the bridge as another function: Lambda sets the tenancy mode at creation and never changes it"
        yield Finding("error", subject, actual, "no tenant isolation on the bridge", fix)


def _timeout_finding(name: FunctionName, function: Function, configuration: Configuration) -> Finding:
    options = configuration.options
    timeouts = [one.timeout for one in options.backends] + [one.timeout for one in options.event_sources]
    slowest = max(timeouts, default=0.0)
    least = int(-(-(slowest + SPARE) // 1))
    what = "function" if options.event_sources else "backend"
    expected = f"at least {least} s: {slowest:g} for the slowest {what}, and {SPARE}"
    if function.timeout >= least:
        return Finding("ok", "timeout", f"{function.timeout} s", expected)
    fix = _setting(name, f"a timeout of {least} s")
    if least > MOST_SECONDS:
        table = "[[backend]] and [[event_source]]" if options.event_sources else "[[backend]]"
        most = f"at most {MOST_SECONDS - SPARE}, since a function has {MOST_SECONDS} s"
        fix = f"in {configuration.file}, set the timeout of each {table} to {most}"
    return Finding("warning", "timeout", f"{function.timeout} s: it ends before its backends do", expected, fix)


def _python_finding(name: FunctionName, function: Function) -> Finding:
    subject, expected = "runtime", f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later"
    if function.runtime is None:
        return Finding("unknown", subject, "an image, whose Python AWS does not show", expected)
    match = _PYTHON.fullmatch(function.runtime)
    if match and int(match[1]) >= OLDEST_PYTHON[1]:
        return Finding("ok", subject, function.runtime, expected)
    fix = f"make sure that {name.label} is the bridge; then deploy it with {expected}"
    return Finding("error", subject, f"{function.runtime}: the bridge does not start", expected, fix)


def _boto3_finding(function: Function, configuration: Configuration) -> Finding:
    """AWS shows the boto3 of neither the runtime nor the package. The bridge checks it when it invokes."""
    if configuration.options.invoker == "direct":
        return Finding("ok", "boto3", "not used to invoke: invoker = direct", "1.41 or later if invoker = boto3")
    source = function.runtime or "the image"
    actual = f"AWS does not show its version: {source} contains one, and the package may contain another"
    fix = f'search the log group {function.log_group} for "boto3_too_old"'
    return Finding("unknown", "boto3", actual, "1.41 or later; if not, the bridge's log has boto3_too_old", fix)


def _place_finding(function: Function, deployment: Deployment, configuration: Configuration) -> Finding:
    """The place of the configuration. Its content is not read, so only its name is compared."""
    place = function.variables.get(CONFIG_VARIABLE) or "bridge.toml"
    expected = f"the content of {configuration.file}"
    if address_fault(place) is not None:
        accepted = "a file, s3://BUCKET/KEY or ssm:/NAME"
        actual = f"{place!r}, which is malformed: the bridge answers 503"
        return Finding("error", CONFIG_VARIABLE, actual, accepted, f"set {CONFIG_VARIABLE} to {accepted}")
    if place.startswith(("s3://", "ssm:")):
        if deployment.map_modified is None and _has_same_settings(function, deployment.bridge.configuration):
            actual = f"{place} does not exist: the bridge starts without a map, and answers 503"
            return Finding("error", "configuration", actual, expected, f"write {configuration.file} to {place}")
        fix = f"download {place}, and compare it with {configuration.file} by `lattice-bridge diff`"
        return Finding("unknown", "configuration", f"{place}, whose content was not read", expected, fix)
    if PurePath(place).name == PurePath(configuration.file).name:
        return Finding("ok", "configuration", f"{place} of the package, whose content was not read", expected)
    fix = f"run doctor with --config and the file that is packaged as {place}"
    return Finding("warning", "configuration", f"the function reads {place}", expected, fix)


# ---- the tenancy of a backend ---------------------------------------------------------------------------------------


def tenancy_findings(found: BackendFunction | SourceFunction, configuration: Configuration) -> Iterator[Finding]:
    """Compares `isolated` of a `[[backend]]` or `[[event_source]]` with the tenancy mode of its function."""
    name, function = found.function.name, found.function.configuration
    subject, outcome = found.label, found.consequence
    expected = "PER_TENANT" if found.isolated else "no tenant isolation"
    if isinstance(function, Unread):
        yield unread_finding(subject, function, expected)
    elif function is None:
        actual = f"no such function or qualifier: {outcome}"
        yield Finding("error", subject, actual, expected, f"create {name.label}, or name another function")
    elif found.isolated and not function.isolated:
        actual = f"no tenant isolation: {outcome}"
        fix = (
            f"create another function in place of {name.label}, in {name.account} and {name.region}, with "
            "TenantIsolationMode=PER_TENANT: Lambda sets the tenancy mode at creation"
        )
        yield Finding("error", subject, actual, expected, fix)
    elif function.isolated and not found.isolated:
        fix = f"in {configuration.file}, {found.table}: isolated = true"
        yield Finding("error", subject, f"PER_TENANT: {outcome}", expected, fix)
    elif function.state != "Active":
        fix = "wait until the function is active, or deploy it again"
        yield Finding("warning", subject, function.state, "Active", fix)
    else:
        yield Finding("ok", subject, "PER_TENANT" if function.isolated else "no tenant isolation", expected)


# ---- the map's principals -------------------------------------------------------------------------------------------


def principal_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges the roles and users that the map names exactly: they exist, and are older than the map.

    An ARN does not tell one role from another of the same name. If a role was deleted and created again, no event shows
    it; so a role younger than the map may be another than its author meant.
    """
    modified = deployment.map_modified
    if isinstance(modified, Unread):
        yield unread_finding("map's date", modified, "readable: the principals of the map are older")
    expected = f"exists, and is older than the map of {_day(modified)}" if isinstance(modified, datetime) else "exists"
    good: list[str] = []
    for principal, created in deployment.principals:
        found = _principal_finding(principal, created, expected, deployment, configuration)
        if found:
            yield found
        else:
            good.append(principal.name)
    if good:
        yield Finding(
            "ok", "roles in the map", f"{len(good)} exist{'s' if len(good) == 1 else ''}: {listed(good)}", expected
        )
    left = len(configuration.principals) - len(deployment.principals) - len(deployment.foreign_principals)
    if left > 0:
        yield Finding("unknown", "roles in the map", f"{left} more, which were not read", expected)
    yield from _foreign_findings(deployment.foreign_principals)


def _principal_finding(
    principal: MapPrincipal,
    created: Read[datetime | None],
    expected: str,
    deployment: Deployment,
    configuration: Configuration,
) -> Finding | None:
    kind, rules = principal.kind, f"rule{'s' if len(principal.rules) > 1 else ''} {listed(principal.rules)}"
    subject = f"{kind} {principal.name} in the map"
    if isinstance(created, Unread):
        return unread_finding(subject, created, expected)
    if created is None and principal.denies:
        fix = f"in {configuration.file}, name the {kind} that is meant in {rules}"
        return Finding("warning", subject, f"no such {kind}: {rules} denies no caller", expected, fix)
    if created is None:
        actual = f"no such {kind}: if anyone creates it, {rules} gives it a tenant"
        return Finding("error", subject, actual, expected, f"in {configuration.file}, remove {rules}")
    modified = deployment.map_modified
    if isinstance(modified, datetime) and created > modified and not principal.denies:
        actual = f"created {_day(created)}, after the map: another {kind} of that name may have existed before"
        fix = f"search CloudTrail for the creation of {principal.name}; if it is the one you mean, deploy the map again"
        return Finding("warning", subject, actual, expected, fix)
    return None


def _day(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="seconds")


def _foreign_findings(principals: tuple[MapPrincipal, ...]) -> Iterator[Finding]:
    by_account: dict[str, list[str]] = {}
    for one in principals:
        by_account.setdefault(one.account, []).append(one.name)
    for account, names in by_account.items():
        actual = f"not read from this account: {listed(names)}"
        fix = f"check with credentials of {account} that they exist, and are older than the map"
        yield Finding("unknown", f"roles of {account} in the map", actual, "exist, and are older than the map", fix)
