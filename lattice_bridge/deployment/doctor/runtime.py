"""The bridge's own function: its log, its time, its runtime, and where its configuration is.

Rule: what cannot be seen from outside is `unknown`, with where it can be seen.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from lattice_bridge.config.backend import function_fault
from lattice_bridge.config.location import CONFIG_VARIABLE, FUNCTION_VARIABLE
from lattice_bridge.config.stores import place_fault
from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.facts import Deployed, Function, Name
from lattice_bridge.deployment.doctor.findings import Finding, Read, Shell, Unread, as_argument, option

_ANOTHER: Final = "deploy the bridge as another function: tenancy is chosen when one is made, and never taken off"
HANDLER: Final = "lattice_bridge.main.handler"
SPARE: Final = 3
"""Seconds that the bridge needs beside its slowest backend: two to connect, and some to answer."""
MOST: Final = 900
"""Seconds that Lambda gives a function."""
OLDEST: Final = (3, 11)
_PYTHON: Final = re.compile(r"python3\.([0-9]+)")


def runtime_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What its configuration says of it; of its other names that take requests, what is otherwise there and wrong."""
    function = deployed.function
    if isinstance(function, Unread):
        yield function.finding(f"function {deployed.bridge.short}", "readable: role, log format and time are there")
    else:
        yield from _findings(deployed.bridge, function, deployed, configured, shell)
    for one in deployed.running:
        if isinstance(one.function, Unread):
            yield one.function.finding(f"function {one.name.short}", "readable: it takes requests")
        elif one.function is not None and not _is_alike(one.function, function):
            for found in _findings(one.name, one.function, deployed, configured, shell):
                if found.level != "ok":
                    yield replace(found, subject=f"{found.subject} ({one.name.short})")


def _is_alike(one: Function, other: Read[Function]) -> bool:
    return isinstance(other, Function) and replace(one, modified=None) == replace(other, modified=None)


def _findings(
    name: Name, function: Function, deployed: Deployed, configured: Configured, shell: Shell
) -> Iterator[Finding]:
    yield from _state_findings(name, function, shell)
    yield from _handler_findings(name, function, shell)
    yield from _replaced_findings(name, function, shell)
    yield _log_finding(name, function, deployed, shell)
    yield _time_finding(name, function, deployed, configured, shell)
    yield _python_finding(name, function, deployed, shell)
    yield _boto3_finding(configured, function, shell)
    yield _config_finding(name, function, deployed, configured, shell)


def _update(name: Name, deployed: Deployed, shell: Shell, *words: str) -> str:
    """An alias keeps the version it has, until one is published and it is moved: a version never changes, and an alias
    that is shared is being moved already."""
    update = shell.of_function("update-function-configuration", name.arn, *words)
    if name.qualifier is None:
        return update
    known = () if isinstance(deployed.aliases, Unread) else deployed.aliases
    if not any(alias.name == name.qualifier and not alias.shares for alias in known):
        return f"publish a version with {' '.join(words)}, and point the alias that is meant to it alone"
    wait = shell.of_function("wait function-updated-v2", name.arn)
    publish = shell.of_function("publish-version", name.arn, "--query", "Version", "--output", "text")
    alias = shell.of_function("update-alias", name.arn, *option("--name", name.qualifier))
    return f'{update} && {wait} && {alias} --function-version "$({publish})"'


def _look(name: Name, shell: Shell) -> str:
    return shell.of_function("get-function-configuration", name.arn, *name.version)


def _state_findings(name: Name, function: Function, shell: Shell) -> Iterator[Finding]:
    subject = f"function {name.short}"
    if function.state != "Active":
        yield Finding("warning", subject, function.state, "Active", _look(name, shell))
    if function.update == "Failed":
        found = "its last update failed: it runs what it was before, or not at all"
        yield Finding("error", subject, found, "updated", _look(name, shell))
    if function.isolated:
        found = "PER_TENANT: Lattice names no tenant, and every request fails"
        yield Finding("error", subject, found, "no tenant isolation on the bridge", _ANOTHER)


def _handler_findings(name: Name, function: Function, shell: Shell) -> Iterator[Finding]:
    """An image's handler stands in the image."""
    if function.runtime is not None and function.handler != HANDLER:
        found = f"{function.handler}: another program, or one around the bridge, which sees and changes all"
        yield Finding("warning", "handler", found, HANDLER, _look(name, shell))


def _replaced_findings(name: Name, function: Function, shell: Shell) -> Iterator[Finding]:
    """The variable that names a backend's function in the configuration's stead."""
    text = function.variables.get(FUNCTION_VARIABLE)
    if text and function_fault(text):
        found = f"{text}: the bridge answers 503"
        yield Finding("error", FUNCTION_VARIABLE, found, "a function's name or ARN", _look(name, shell))


def _log_finding(name: Name, function: Function, deployed: Deployed, shell: Shell) -> Finding:
    if function.log_format == "JSON":
        return Finding("ok", "log format", "JSON", "JSON")
    mend = _update(name, deployed, shell, "--logging-config", "LogFormat=JSON")
    return Finding(
        "warning", "log format", f"{function.log_format}: queries do not read Lambda's own lines", "JSON", mend
    )


def _time_finding(name: Name, function: Function, deployed: Deployed, configured: Configured, shell: Shell) -> Finding:
    slowest = max((found.timeout for found in configured.options.backends), default=0.0)
    least = int(-(-(slowest + SPARE) // 1))
    wanted = f"{least} s at least: the slowest backend's {slowest:g}, and {SPARE}"
    if function.timeout >= least:
        return Finding("ok", "timeout", f"{function.timeout} s", wanted)
    mend = _update(name, deployed, shell, "--timeout", str(least))
    if least > MOST:
        mend = (
            f"in {configured.file}, a timeout of {MOST - SPARE} at most for each [[backend]]: a function has {MOST} s"
        )
    return Finding("warning", "timeout", f"{function.timeout} s: backends are cut short", wanted, mend)


def _python_finding(name: Name, function: Function, deployed: Deployed, shell: Shell) -> Finding:
    subject, wanted = "runtime", f"Python {OLDEST[0]}.{OLDEST[1]} or later"
    if function.runtime is None:
        return Finding("unknown", subject, "an image, whose Python cannot be seen from outside", wanted)
    match = _PYTHON.fullmatch(function.runtime)
    if match and int(match[1]) >= OLDEST[1]:
        return Finding("ok", subject, function.runtime, wanted)
    mend = _update(name, deployed, shell, "--runtime", "python3.13")
    if not match or function.handler != HANDLER:
        mend = f"see that {name.short} is the bridge; if it is, deploy it with {wanted}"
    return Finding("error", subject, f"{function.runtime}: the bridge does not start", wanted, mend)


def _boto3_finding(configured: Configured, function: Function, shell: Shell) -> Finding:
    """Neither what a runtime brings nor what a zip brings can be asked for; the bridge looks when it invokes."""
    if configured.options.invoker == "direct":
        return Finding("ok", "boto3", "not what invokes: invoker = direct", "1.41 or later where invoker = boto3")
    found = f"cannot be seen from outside: {function.runtime or 'the image'} brings one, the package may bring another"
    query = ("--log-group-name", function.log_group, "--filter-pattern", '"boto3_too_old"')
    look = shell.aws("logs", "filter-log-events", *query)
    return Finding("unknown", "boto3", found, "1.41 or later: the bridge's log says boto3_too_old if not", look)


def _config_finding(
    name: Name, function: Function, deployed: Deployed, configured: Configured, shell: Shell
) -> Finding:
    """A map in S3 or SSM may be another than the one here, whatever its name; the commands fetch it beside this one."""
    place = function.variables.get(CONFIG_VARIABLE) or "bridge.toml"
    wanted = f"what was read here: {configured.file}"
    if place_fault(place) is not None:
        found = f"{place!r}, which is malformed: the bridge answers 503"
        return Finding("error", CONFIG_VARIABLE, found, "a file, s3://BUCKET/KEY or ssm:/NAME", _look(name, shell))
    if place.startswith(("s3://", "ssm:")):
        copy = f"deployed-{PurePath(configured.file).name}"
        fetch = shell.aws("s3", "cp", place, copy)
        if place.startswith("ssm:"):
            which = ("--name", place.removeprefix("ssm:"), "--with-decryption", "--query", "Parameter.Value")
            fetch = f"{shell.aws('ssm', 'get-parameter', *which, '--output', 'text')} > {shlex.quote(copy)}"
        if deployed.map_gone and _is_alike(function, deployed.function):
            found = f"{place} is not there: the bridge starts without a map, and answers 503"
            return Finding("error", "configuration", found, wanted)
        mend = f"{fetch} && {shlex.join(('lattice-bridge', 'diff', copy, as_argument(configured.file)))}"
        return Finding("unknown", "configuration", f"{place}, whose text was not read", wanted, mend)
    if PurePath(place).name == PurePath(configured.file).name:
        found = f"{place} of the package, whose text was not read"
        return Finding("ok", "configuration", found, wanted)
    mend = f"run doctor with --config and the file that is packed as {place}"
    return Finding("warning", "configuration", f"the function reads {place}", wanted, mend)
