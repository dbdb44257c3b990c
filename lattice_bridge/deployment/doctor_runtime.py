"""The bridge's own function: its log, its time, its runtime, and where its configuration is.

Rule: what cannot be seen from outside is `unknown`, with where it can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from lattice_bridge.backend import function_fault
from lattice_bridge.deployment.doctor_config import Configured
from lattice_bridge.deployment.doctor_facts import Deployed, Function
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread
from lattice_bridge.place import CONFIG_VARIABLE, FUNCTION_VARIABLE

_ANOTHER: Final = "deploy the bridge as another function: tenancy is chosen when one is made, and never taken off"
SPARE: Final = 3
"""Seconds that the bridge needs beside its slowest backend: two to connect, and some to answer."""
OLDEST: Final = (3, 11)
_PYTHON: Final = re.compile(r"python3\.([0-9]+)")


def runtime_findings(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    """What its configuration says of it."""
    function = deployed.function
    if isinstance(function, Unread):
        yield function.finding(f"function {deployed.bridge.short}", "readable: role, log format and time are there")
        return
    yield from _state_findings(deployed, function, shell)
    yield from _replaced_findings(deployed, function, shell)
    yield _log_finding(deployed, function, shell)
    yield _time_finding(deployed, configured, function, shell)
    yield _python_finding(deployed, function, shell)
    yield _boto3_finding(configured, function, shell)
    yield _config_finding(deployed, configured, function, shell)


def _update(deployed: Deployed, shell: Shell, *words: str) -> str:
    """An alias keeps the version it has, until one is published and it is moved."""
    name = ("--function-name", deployed.bridge.name)
    update = shell.aws("lambda", "update-function-configuration", *name, *words)
    if deployed.bridge.qualifier is None:
        return update
    wait = shell.aws("lambda", "wait", "function-updated-v2", *name)
    publish = shell.aws("lambda", "publish-version", *name, "--query", "Version", "--output", "text")
    alias = shell.aws("lambda", "update-alias", *name, "--name", deployed.bridge.qualifier)
    return f'{update} && {wait} && {alias} --function-version "$({publish})"'


def _state_findings(deployed: Deployed, function: Function, shell: Shell) -> Iterator[Finding]:
    subject = f"function {deployed.bridge.short}"
    if function.state != "Active":
        look = shell.aws("lambda", "get-function-configuration", *deployed.bridge.arguments)
        yield Finding("warning", subject, function.state, "Active", look)
    if function.isolated:
        found, wanted = (
            "PER_TENANT: Lattice names no tenant, and every request fails",
            "no tenant isolation on the bridge",
        )
        yield Finding("error", subject, found, wanted, _ANOTHER)


def _replaced_findings(deployed: Deployed, function: Function, shell: Shell) -> Iterator[Finding]:
    """The variable that names a backend's function in the configuration's stead."""
    text = function.variables.get(FUNCTION_VARIABLE)
    if text and function_fault(text):
        look = shell.aws("lambda", "get-function-configuration", *deployed.bridge.arguments)
        yield Finding("error", FUNCTION_VARIABLE, f"{text}: the bridge answers 503", "a function's name or ARN", look)


def _log_finding(deployed: Deployed, function: Function, shell: Shell) -> Finding:
    if function.log_format == "JSON":
        return Finding("ok", "log format", "JSON", "JSON")
    mend = _update(deployed, shell, "--logging-config", "LogFormat=JSON")
    return Finding(
        "warning", "log format", f"{function.log_format}: queries do not read Lambda's own lines", "JSON", mend
    )


def _time_finding(deployed: Deployed, configured: Configured, function: Function, shell: Shell) -> Finding:
    slowest = max((found.timeout for found in configured.options.backends), default=0.0)
    least = int(-(-(slowest + SPARE) // 1))
    wanted = f"{least} s at least: the slowest backend's {slowest:g}, and {SPARE}"
    if function.timeout >= least:
        return Finding("ok", "timeout", f"{function.timeout} s", wanted)
    mend = _update(deployed, shell, "--timeout", str(min(least, 900)))
    return Finding("warning", "timeout", f"{function.timeout} s: backends are cut short", wanted, mend)


def _python_finding(deployed: Deployed, function: Function, shell: Shell) -> Finding:
    subject, wanted = "runtime", f"Python {OLDEST[0]}.{OLDEST[1]} or later"
    if function.runtime is None:
        return Finding("unknown", subject, "an image, whose Python cannot be seen from outside", wanted)
    match = _PYTHON.fullmatch(function.runtime)
    if match and int(match[1]) >= OLDEST[1]:
        return Finding("ok", subject, function.runtime, wanted)
    mend = _update(deployed, shell, "--runtime", "python3.13")
    return Finding("error", subject, f"{function.runtime}: the bridge does not start", wanted, mend)


def _boto3_finding(configured: Configured, function: Function, shell: Shell) -> Finding:
    """Neither what a runtime brings nor what a zip brings can be asked for; the bridge looks when it invokes."""
    if configured.options.invoker == "direct":
        return Finding("ok", "boto3", "not what invokes: invoker = direct", "1.41 or later where invoker = boto3")
    found = f"cannot be seen from outside: {function.runtime or 'the image'} brings one, the package may bring another"
    query = ("--log-group-name", function.log_group, "--filter-pattern", '"boto3_too_old"')
    look = shell.aws("logs", "filter-log-events", *query)
    return Finding("unknown", "boto3", found, "1.41 or later: the bridge's log says boto3_too_old if not", look)


def _config_finding(deployed: Deployed, configured: Configured, function: Function, shell: Shell) -> Finding:
    place = function.variables.get(CONFIG_VARIABLE, "bridge.toml")
    wanted = f"what was read here: {configured.file}"
    if PurePath(place).name == PurePath(configured.file).name:
        return Finding("ok", "configuration", place, wanted)
    fetch = f"lattice-bridge doctor --function {deployed.bridge.short} --config THE-FILE"
    if place.startswith("s3://"):
        fetch = shell.aws("s3", "cp", place, configured.file)
    if place.startswith("ssm:"):
        which = ("--name", place.removeprefix("ssm:"), "--with-decryption", "--query", "Parameter.Value")
        fetch = shell.aws("ssm", "get-parameter", *which, "--output", "text")
    return Finding("warning", "configuration", f"the function reads {place}", wanted, fetch)
