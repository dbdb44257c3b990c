"""bridge.toml beside the template's functions, alarms and the bridge's own settings.

Rule: each backend's function exists under its alias, is isolated if bridge.toml says so, and ends before the bridge
stops waiting. A function that is not in the template belongs to another stack, and is not checked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.location import CONFIG_VARIABLE, FUNCTION_VARIABLE
from lattice_bridge.config.options import Backend
from lattice_bridge.config.words import nearest
from lattice_bridge.deployment.checks.failures import failure_place
from lattice_bridge.deployment.checks.invokers import ONLY_AT_CREATION, WRITE_TENANCY
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Bridge,
    FunctionReference,
    Invoked,
    Stack,
    TemplateFinding,
    alias_fix,
    consequence,
    finding,
    has_name,
    has_tenancy,
    is_function,
    is_generated,
    is_logical_id,
    maps_in,
    name_of,
    parse_reference,
    part_of,
    resources_of,
    seconds_of,
    variables_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.sources.faults import undelivered_fault
from lattice_bridge.telemetry import NAMESPACE, NAMESPACE_VARIABLE

_SPARE_SECONDS: Final = 3.0
"""Seconds that the bridge needs beyond its slowest backend: two to connect, and some to answer."""
_NO_BACKEND: Final = frozenset({"none", "authorizer"})
"""Values of the dimension Backend that are no path: of requests that are refused before a backend is chosen, and of the
map as an authorizer."""


def backend_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Differences between bridge.toml's backends and the template's functions."""
    for bridge in stack.bridges if stack.compared else ():
        if not bridge.invoked and FUNCTION_VARIABLE not in variables_of(bridge.function):
            expected = "The bridge answers 503 to every request: only the authorizer needs no backend"
            fix = f"write a [[backend]] or an [[event_source]] in bridge.toml, or set {FUNCTION_VARIABLE}"
            yield finding(bridge.function.id, "bridge.toml has no [[backend]]", expected, fix)
    for invoked in stack.invoked:
        name = parse_reference(invoked.function)
        if name is None:
            continue
        yield from _misspelt(name, invoked, stack)
        for function in stack.functions:
            yield from _name(function, name, invoked)
            if is_function(name, function, stack.template):
                yield from _tenancy(function, invoked)
                yield from _alias(function, name, invoked, stack.template)
                yield from _backend_timeout(function, invoked)
                yield from _failures(function, name, invoked, stack.template)


_MISSPELT: Final = 0.85
"""The least similarity of a misspelt name. A name that is less similar may be that of a function of another stack."""


def _misspelt(name: FunctionReference, invoked: Invoked, stack: Stack) -> Iterator[TemplateFinding]:
    """A warning for a function that the template does not have, if it has one whose name is nearly the same."""
    functions = {name_of(function): function for function in stack.functions if has_name(function)}
    named = name.name in functions or any(is_logical_id(name, function) for function in stack.functions)
    if named or any(is_function(name, function, stack.template) for function in stack.functions):
        return
    near = nearest(name.name, functions, _MISSPELT)
    if near is not None:
        actual = f'bridge.toml has "{invoked.function}", and the template has no such function, but "{near}"'
        expected = (
            f"If the function does not exist in another stack either, {consequence(invoked, 'function_not_found')}"
        )
        yield warning(functions[near].id, actual, expected, f'if it is meant, write "{near}"')


def _name(function: Resource, name: FunctionReference, invoked: Invoked) -> Iterator[TemplateFinding]:
    actual = f'bridge.toml has "{invoked.function}"'
    if is_logical_id(name, function):
        expected = f"CloudFormation chooses another name, so {consequence(invoked, 'function_not_found')}"
        which = "which is the logical id of a function without FunctionName"
        yield finding(function.id, f"{actual}, {which}", expected, f"write FunctionName: {name.name}")
    elif is_generated(function) and f"-{function.id}-" in name.name:
        expected = "Such a name changes whenever the function is replaced, and is not known before"
        fix = "choose a FunctionName, and write it here and in bridge.toml"
        yield warning(function.id, f"{actual}, a name that CloudFormation chose", expected, fix)


def _tenancy(function: Resource, invoked: Invoked) -> Iterator[TemplateFinding]:
    mismatch = f"so {consequence(invoked, 'tenancy_mismatch')}"
    if invoked.isolated and not has_tenancy(function):
        actual = f'bridge.toml has "{invoked.function}" isolated, and the function has no TenancyConfig'
        expected = f"Lambda refuses a tenant id for it, {mismatch}; {ONLY_AT_CREATION}"
        yield finding(function.id, actual, expected, f"write {WRITE_TENANCY}, or isolated = false in bridge.toml")
    if not invoked.isolated and has_tenancy(function):
        actual = f'bridge.toml has "{invoked.function}" with isolated = false, and the function has a TenancyConfig'
        expected = f"Lambda refuses to run it without a tenant id, {mismatch}"
        fix = "remove `isolated = false` from bridge.toml, or the TenancyConfig"
        yield finding(function.id, actual, expected, fix)


def _alias(
    function: Resource, name: FunctionReference, invoked: Invoked, template: Template
) -> Iterator[TemplateFinding]:
    """A fault if the function lacks the alias. Only a deployed stack knows which versions exist."""
    aliases = {str(one.properties.get("Name")) for one in resources_of(function, template, "AWS::Lambda::Alias")}
    alias = name.qualifier
    if alias in (None, "$LATEST", *aliases) or str(alias).isdecimal() or any(map(unresolved, aliases)):
        return
    found = f"only the alias {', '.join(sorted(aliases))}" if aliases else "no alias"
    actual = f'bridge.toml has "{invoked.function}", and the function has {found}'
    expected = f"Without the alias, {consequence(invoked, 'function_not_found')}"
    yield finding(function.id, actual, expected, alias_fix(function, str(alias)))


def _backend_timeout(function: Resource, invoked: Invoked) -> Iterator[TemplateFinding]:
    seconds = seconds_of(function, "Timeout", 3.0)
    if invoked.invocation == "sync" and seconds is not None and seconds > invoked.timeout:
        actual = f'Timeout is {seconds:g} s, and bridge.toml waits {invoked.timeout:g} s for "{invoked.function}"'
        expected = "A function ends before the bridge stops waiting: otherwise its work goes on unnoticed"
        fix = f"write Timeout: {invoked.timeout:g} at most, or a longer timeout in bridge.toml"
        yield warning(function.id, actual, expected, fix)


def _failures(
    function: Resource, name: FunctionReference, invoked: Invoked, template: Template
) -> Iterator[TemplateFinding]:
    """A fault if Lambda drops asynchronous requests that failed three times. A record is lost with that: its queue has
    deleted it."""
    place = failure_place(function, name.qualifier, template)
    if invoked.invocation != "async" or place.destination is not None or not place.is_known:
        return
    qualifier = name.qualifier or "$LATEST"
    fix = f"write an EventInvokeConfig with OnFailure, for {qualifier}"
    if isinstance(invoked, Backend):
        actual = f'bridge.toml invokes "{invoked.function}" asynchronously, and failed requests are not kept'
        expected = "The caller has its 202, and Lambda drops a request that failed three times"
        yield warning(function.id, actual, expected, fix)
    else:
        fault = undelivered_fault(function.id, invoked)
        yield finding(function.id, fault.actual, fault.expected, fix)


# ---- the bridge's own settings --------------------------------------------------------------------------------------


def bridge_findings(bridge: Bridge, checked: Path | None) -> Iterator[TemplateFinding]:
    """Faults in a bridge's settings: the configuration that it reads, its log level, its timeout.

    Args:
        bridge: of the stack.
        checked: the file that was checked; None if it was not a file.
    """
    function = bridge.function
    place = str(variables_of(function).get(CONFIG_VARIABLE) or "bridge.toml")
    elsewhere = place.startswith(("s3:", "ssm:")) or unresolved(place)  # its content may be what was checked
    if checked is not None and not elsewhere and Path(place).name != checked.name:
        actual = f"{CONFIG_VARIABLE} is {place}, and {checked.name} was checked"
        expected = "The bridge reads the file that its template is compared with"
        fix = f"run `check {place}`, or give the parameters with which {checked.name} is read"
        yield warning(function.id, actual, expected, fix)
    level = part_of(function, "LoggingConfig").get("ApplicationLogLevel", "INFO")
    if level in ("WARN", "ERROR", "FATAL"):
        expected = (
            "Lambda treats a line without a level as INFO, and metric lines have none, so alarms would see nothing"
        )
        yield warning(function.id, f"ApplicationLogLevel is {level}", expected, "remove it, or write INFO")
    seconds = seconds_of(function, "Timeout", 3.0)
    slowest = max((one.timeout for one in bridge.invoked if one.invocation == "sync"), default=0.0)
    fix = f"write Timeout: {slowest + _SPARE_SECONDS:g}, or more"
    if seconds is None:
        yield warning(function.id, f"Timeout is {function.properties['Timeout']}", NOT_KNOWN, fix)
    elif slowest and seconds < slowest + _SPARE_SECONDS:
        actual = f"Timeout is {seconds:g} s, and the slowest function in bridge.toml has {slowest:g} s"
        expected = "Otherwise Lambda stops the bridge before it can answer for a function that is late"
        yield finding(function.id, actual, expected, f"{fix}; or shorter timeouts in bridge.toml")


# ---- alarms ---------------------------------------------------------------------------------------------------------


def alarm_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Differences between bridge.toml's backends and the template's alarms on the bridge's metrics.

    A template without such alarms has no findings: the bridge may be watched from elsewhere.
    """
    paths = {backend.path: backend.isolated for backend in stack.backends}
    watched: dict[str, set[str]] = {}
    namespaces = {str(variables_of(one.function).get(NAMESPACE_VARIABLE) or NAMESPACE) for one in stack.bridges}
    for alarm in stack.template.of_type("AWS::CloudWatch::Alarm"):
        for metric, path in _watched_by(alarm, namespaces):
            watched.setdefault(metric, set()).add(path)
            if path not in paths and path not in _NO_BACKEND:
                actual = f'it watches {metric} of the backend "{path}", which bridge.toml does not have'
                expected = "Missing data counts as healthy, so this alarm never fires"
                fix = f"write a dimension Backend that is one of {', '.join(sorted(paths))}"
                yield finding(alarm.id, actual, expected, fix)
    for path in sorted(set(paths) - watched.get("Latency", set())) if "Latency" in watched else ():
        actual = f'no alarm watches Latency of the backend "{path}"'
        expected = "The other backends have one; without it, a slow backend stays unnoticed"
        yield warning("Resources", actual, expected, f"write an alarm with the dimension Backend: {path}")
    yield from _watched_sources(stack, namespaces)
    yield from _tenant_counts(stack.template, {path for path, isolated in paths.items() if isolated})


def _watched_sources(stack: Stack, namespaces: Collection[str]) -> Iterator[TemplateFinding]:
    """Alarms on the records of a source that bridge.toml does not have."""
    sources = {one.arn.rpartition(":")[2] for bridge in stack.bridges for one in bridge.sources}
    unnamed = {one.id for one in stack.template.of_type("AWS::SQS::Queue") if "QueueName" not in one.properties}
    for alarm in stack.template.of_type("AWS::CloudWatch::Alarm"):
        for metric, source in _watched_by(alarm, namespaces, "Source"):
            if source.removesuffix(".fifo") not in unnamed and source not in sources:
                actual = f'it watches {metric} of the source "{source}", which bridge.toml does not have'
                expected = "Missing data counts as healthy, so this alarm never fires"
                names = ", ".join(sorted(sources)) or "the end of the ARN of an [[event_source]]"
                yield finding(alarm.id, actual, expected, f"write a dimension Source that is one of {names}")


def _watched_by(alarm: Resource, namespaces: Collection[str], kind: str = "Backend") -> Iterator[tuple[str, str]]:
    """The (metric, value) pairs of a bridge's metrics that an alarm watches for one value of a dimension."""
    stats = maps_in([one.get("MetricStat") for one in maps_in(alarm.properties.get("Metrics"))])
    for metric in (alarm.properties, *maps_in([stat.get("Metric") for stat in stats])):
        if metric.get("Namespace") in namespaces:
            for dimension in maps_in(metric.get("Dimensions")):
                if dimension.get("Name") == kind and not unresolved(dimension.get("Value")):
                    yield str(metric.get("MetricName")), str(dimension.get("Value"))


def _tenant_counts(template: Template, isolated: set[str]) -> Iterator[TemplateFinding]:
    """Faults in Contributor Insights rules that count tenants: they have to count all isolated paths, and no other."""
    for rule in template.of_type("AWS::CloudWatch::InsightRule"):
        for each in _filters(rule):
            counted = set(map(str, each["In"])) if isinstance(each.get("In"), list) else isolated
            if each.get("Match") != "$.backend" or counted == isolated:
                continue
            odd = [f'"{path}", which is no isolated backend of bridge.toml' for path in sorted(counted - isolated)]
            odd += [f'not "{path}", which is isolated' for path in sorted(isolated - counted)]
            actual = f"it counts the tenants of {' and '.join(odd)}"
            expected = "Each tenant of an isolated backend has an environment, and the quota counts all of them"
            yield finding(rule.id, actual, expected, f'write "In": {json.dumps(sorted(isolated))}')


def _filters(rule: Resource) -> list[dict[str, Any]]:
    """The filters of a rule; none if its body is of another kind, or not known before the deployment."""
    try:
        body = json.loads(str(rule.properties.get("RuleBody")))
        return [each for each in body["Contribution"]["Filters"] if isinstance(each, dict)]
    except (ValueError, LookupError, TypeError):
        return []
