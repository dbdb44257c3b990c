"""Isolated functions: spelt so, and without what Lambda keeps from them.

Rule: Lambda refuses, at deployment or at the first request, what is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.template_backends import ONLY_ONCE, WRITE
from lattice_bridge.deployment.template_found import TemplateFinding, found
from lattice_bridge.deployment.template_names import (
    functions_of,
    lambda_groups,
    mentions,
    name_of,
    named,
    refers_to,
    targets_of,
    tenancy_of,
    unresolved,
)
from lattice_bridge.local.template import Resource, Template

NO_TENANT: Final = "whatever invokes an isolated function has to send a tenant id, and this does not"

_PUSHES: Final[Mapping[str, str]] = {
    "AWS::Events::Rule": "an EventBridge rule",
    "AWS::SNS::Subscription": "an SNS subscription",
    "AWS::S3::Bucket": "notifications of a bucket",
    "AWS::Logs::SubscriptionFilter": "a log subscription",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "a load balancer",
}


def tenancy(template: Template, backends: Iterable[Backend]) -> Iterator[TemplateFinding]:
    """What is wrong with the tenancy of the template's functions."""
    functions = functions_of(template)
    for function in functions.values():
        yield from _spelling(function)
    said = {named(backend.function) for backend in backends if backend.isolated}
    isolated = {name.name for name in said if name is not None}
    for name, function in functions.items():
        if tenancy_of(function) or name in isolated:
            yield from _kept_from(function, template)


def _spelling(function: Resource) -> Iterator[TemplateFinding]:
    config = function.properties.get("TenancyConfig")
    for key in function.properties:
        if "tenan" in key.lower() and key != "TenancyConfig":
            yield found(function.id, f"{key} is no property of a function", WRITE, ONLY_ONCE)
    if config is None or unresolved(config):
        return
    mode = config.get("TenantIsolationMode") if isinstance(config, dict) else None
    if mode != "PER_TENANT" or set(config) != {"TenantIsolationMode"}:
        yield found(
            function.id, f"TenancyConfig is {config}", WRITE, "PER_TENANT is the one mode that Lambda knows, spelt so"
        )


def _kept_from(function: Resource, template: Template) -> Iterator[TemplateFinding]:
    own = function.properties
    if (own.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        yield found(function.id, "SnapStart is on", "no SnapStart", "Lambda has no snapshots of isolated functions")
    for resource in template.resources.values():
        yield from _of_resource(function, resource)
    for group in lambda_groups(template):
        if any(refers_to(target, function) for target in targets_of(group)):
            yield found(
                function.id,
                f"it is itself a target of Lattice ({group.id})",
                "the bridge's alias in Targets, and the function under [[backend]] in bridge.toml",
                NO_TENANT,
            )


def _of_resource(function: Resource, resource: Resource) -> Iterator[TemplateFinding]:
    kind, properties = resource.type, resource.properties
    if kind == "AWS::Lambda::Url" and refers_to(properties.get("TargetFunctionArn"), function):
        yield found(function.id, f"it has a function URL ({resource.id})", "no FunctionUrlConfig", NO_TENANT)
    if _provisions(resource) and refers_to(properties.get("FunctionName"), function):
        yield found(
            function.id,
            f"it has provisioned concurrency ({resource.id})",
            "no ProvisionedConcurrencyConfig",
            "an environment is one tenant's, and Lambda cannot make it before it knows whose",
        )
    if kind == "AWS::Lambda::EventSourceMapping" and refers_to(properties.get("FunctionName"), function):
        yield found(
            function.id,
            f"it has an event source mapping ({resource.id})",
            "the mapping on a function without tenancy, which invokes this one with the tenant id of each record",
            NO_TENANT,
        )
    if kind in ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Integration") and mentions(properties, function):
        yield found(
            function.id,
            f"it is behind an HTTP API ({resource.id})",
            "a [[backend]] in bridge.toml, or a REST API that maps the tenant to X-Amz-Tenant-Id",
            "HTTP APIs cannot send a tenant id",
        )
    if kind in _PUSHES and mentions(properties, function):
        yield found(
            function.id,
            f"it is the target of {_PUSHES[kind]} ({resource.id})",
            f"no target {name_of(function)}; a function without tenancy may take the event and invoke this one",
            NO_TENANT,
        )


def _provisions(resource: Resource) -> bool:
    kinds = ("AWS::Lambda::Alias", "AWS::Lambda::Version")
    return resource.type in kinds and bool(resource.properties.get("ProvisionedConcurrencyConfig"))
