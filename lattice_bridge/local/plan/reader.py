"""Reads a plan from a resolved template.

Rule: each part of the template that the stack does not emulate is named, with the reason. A part that is silently
ignored works on this machine and fails in an AWS account.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Set
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text
from lattice_bridge.local.plan.lattice import read_services
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.model import Function, LeftOut, Plan

_SERVED: Final = frozenset(
    {
        "AWS::Serverless::Function",
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Version",
        "AWS::VpcLattice::Service",
        "AWS::VpcLattice::ServiceNetwork",
        "AWS::VpcLattice::ServiceNetworkServiceAssociation",
        "AWS::VpcLattice::TargetGroup",
        "AWS::VpcLattice::Listener",
        "AWS::VpcLattice::Rule",
    }
)
_WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::VpcLattice::ServiceNetworkVpcAssociation": "every service is reachable",
    "AWS::Lambda::Permission": "Lattice may invoke every function",
    "AWS::VpcLattice::AuthPolicy": "not evaluated: its service or service network has AuthType NONE, or is not served",
}
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


def read_plan(template: Template, *, event_version: EventVersion | None = None) -> Plan:
    """Reads the functions and services that the stack serves.

    Args:
        template: resolved.
        event_version: replaces every target group's own; None for what the template has.

    Raises:
        BadTemplate: it contains nothing to serve, or a part that would be served is malformed.
    """
    left_out = LeftOut()
    for name, place in template.unresolved:
        left_out.add(f"{name} is not computed", place)
    not_run: dict[str, str] = {}
    functions = {function.name: function for function in read_functions(template, left_out, not_run)}
    services = tuple(read_services(template, event_version, left_out))
    evaluated = {policy.name for service in services for policy in service.policies}
    _name_other_resources(template, evaluated, left_out)
    if not functions:
        raise BadTemplate(
            "the template has no Python function with local code. Fix: add an AWS::Serverless::Function with CodeUri"
        )
    if not services:
        raise BadTemplate(
            "the template has no AWS::VpcLattice::Service with a listener. Fix: add the service that takes requests"
        )
    return Plan(template.folder.resolve(), template.region, functions, services, tuple(left_out), not_run)


def _name_other_resources(template: Template, evaluated: Set[str | None], left_out: LeftOut) -> None:
    """Names each resource type that is not served, with the consequence of its absence.

    Args:
        template: resolved.
        evaluated: logical ids of auth policies.
        left_out: gets the sentences.
    """
    for resource in template.resources.values():
        if resource.type not in _SERVED and resource.id not in evaluated:
            meaning = _WITHOUT_MEANING_HERE.get(resource.type)
            left_out.add(f"{resource.type}: {meaning}" if meaning else resource.type, resource.id)


# ---- functions ------------------------------------------------------------------------------------------------------


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
        runtime = str(resource.properties.get("Runtime", ""))
        here = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if runtime != here:
            left_out.add(f"Runtime {runtime} runs on this machine's {here}", function.name)
        yield function


def _not_runnable(resource: Resource, template: Template) -> str | None:
    properties = resource.properties
    if not str(properties.get("Runtime", "")).startswith("python"):
        return f"Runtime {properties.get('Runtime')} is not Python"
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
