"""Reads the functions of a resolved template: those that this machine can run, and the reasons for the others.

Rule: a property that has no effect here is named.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text
from lattice_bridge.local.plan.model import Function, LeftOut

_READ_PROPERTIES: Final = frozenset(
    {
        "FunctionName",
        "Handler",
        "CodeUri",
        "Code",
        "Runtime",
        "Timeout",
        "MemorySize",
        "Environment",
        "TenancyConfig",
        "AutoPublishAlias",
        "LoggingConfig",
        "Description",
        "PackageType",
    }
)

_KNOWN_RUNTIMES: Final = ("python", "nodejs", "provided")
"""The beginnings of the runtimes that the stack starts by itself."""


def read_functions(template: Template, left_out: LeftOut, not_run: dict[str, str]) -> Iterator[Function]:
    """Reads the functions that this machine can run. `left_out` and `not_run` get the others.

    Raises:
        BadTemplate: a function is malformed, or two have the same name.
    """
    seen: set[str] = set()
    for resource in template.of_type("AWS::Serverless::Function", "AWS::Lambda::Function"):
        with malformed(f"function {resource.id}"):
            reason = _not_runnable(resource, template)
            if reason:
                left_out.add(f"not run: {reason}", resource.id)
                not_run[str(resource.properties.get("FunctionName", resource.id))] = reason
                continue
            function = _function(resource, template)
        if function.name in seen:
            raise BadTemplate(f"function {resource.id}: another function has the name {function.name}. Fix: rename one")
        seen.add(function.name)
        for name in sorted(set(resource.properties) - _READ_PROPERTIES):
            left_out.add(f"property {name} has no effect", function.name)
        here = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if function.runner == "python" and function.runtime != here:
            left_out.add(f"Runtime {function.runtime} runs on this machine's {here}", function.name)
        yield function


def _not_runnable(resource: Resource, template: Template) -> str | None:
    properties = resource.properties
    runtime = str(properties.get("Runtime", ""))
    if not runtime.startswith(_KNOWN_RUNTIMES):
        return f"Runtime {runtime} has no command. Fix: write one in [local.runtimes] of local.toml"
    if not isinstance(properties.get("Handler"), str):
        return "it has no Handler"
    code = properties.get("CodeUri", properties.get("Code", "."))
    if not isinstance(code, str) or code.startswith("s3://"):
        return "its code is not a local folder or zip"
    path, is_zip = template.folder / code, code.endswith(".zip")
    if os.path.isdir(path) or (is_zip and os.path.isfile(path)):  # noqa: PTH112, PTH113 - Path's raise for a long name
        return None
    return f"there is no {'file' if is_zip else 'folder'} {code}"


def _function(resource: Resource, template: Template) -> Function:
    properties = resource.properties
    name = str(properties.get("FunctionName", resource.id))
    logging = properties.get("LoggingConfig") or {}
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    return Function(
        name=name,
        arn=resource.arn,
        handler=str(properties["Handler"]),
        code=(template.folder / str(properties.get("CodeUri", properties.get("Code", ".")))).resolve(),
        environment={str(key): as_text(value) for key, value in variables.items()},
        timeout=number(properties.get("Timeout", 3), resource.id, "Timeout"),
        memory=int(number(properties.get("MemorySize", 128), resource.id, "MemorySize")),
        isolated=_isolated(resource),
        aliases=_aliases(resource, name, template),
        log_format=str(logging.get("LogFormat", "Text")),
        log_level=logging.get("ApplicationLogLevel"),
        logical_id=resource.id,
        runtime=str(properties.get("Runtime", "")),
    )


def _isolated(resource: Resource) -> bool:
    """A misspelt mode is refused: the function would run without isolation here, and fail to deploy on AWS."""
    tenancy = resource.properties.get("TenancyConfig")
    if tenancy is None:
        return False
    mode = tenancy.get("TenantIsolationMode") if isinstance(tenancy, dict) else tenancy
    if mode != "PER_TENANT":
        raise BadTemplate(
            f"{resource.id}.TenancyConfig.TenantIsolationMode: {mode!r} is unknown. Fix: write PER_TENANT"
        )
    return True


def _aliases(resource: Resource, name: str, template: Template) -> frozenset[str]:
    found = {resource.properties.get("AutoPublishAlias")}
    for alias in template.of_type("AWS::Lambda::Alias"):
        function = str(alias.properties.get("FunctionName", ""))
        if function == name or function.endswith(f":function:{name}"):
            found.add(alias.properties.get("Name"))
    return frozenset(str(alias) for alias in found if alias)
