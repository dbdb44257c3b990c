"""Isolated functions: spelt so, and without what Lambda keeps from them.

Rule: Lambda refuses, at deployment or at the first request, what is found here.
"""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.deployment.checks.backends import ONLY_ONCE, WRITE
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.invokers import NO_TENANT, invoker_findings
from lattice_bridge.deployment.checks.names import mentions, refers_to
from lattice_bridge.deployment.checks.stack import Stack, lambda_groups, part_of, targets_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved


def tenancy_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """What is wrong with the tenancy of the template's functions."""
    for function in stack.functions:
        yield from _spelling(function)
    for function in stack.isolated:
        yield from _kept_from(function, stack.template)


def _spelling(function: Resource) -> Iterator[TemplateFinding]:
    config = function.properties.get("TenancyConfig")
    for key in function.properties:
        if "tenan" in key.lower() and key != "TenancyConfig":
            yield finding(function.id, f"{key} is no property of a function", WRITE, ONLY_ONCE)
    if unresolved(config):
        yield finding(function.id, f"TenancyConfig is {config}", WRITE, UNKNOWN, "warning")
        return
    if config is None:
        return
    mode = config.get("TenantIsolationMode") if isinstance(config, dict) else None
    if mode != "PER_TENANT" or set(config) != {"TenantIsolationMode"}:
        yield finding(
            function.id, f"TenancyConfig is {config}", WRITE, "PER_TENANT is the one mode that Lambda knows, spelt so"
        )


def _kept_from(function: Resource, template: Template) -> Iterator[TemplateFinding]:
    if part_of(function, "SnapStart").get("ApplyOn", "None") != "None":
        yield finding(function.id, "SnapStart is on", "no SnapStart", "Lambda has no snapshots of isolated functions")
    for resource in template.resources.values():
        yield from _invoked(function, resource)
        yield from invoker_findings(function, resource)
    for group in lambda_groups(template):
        if any(refers_to(target, function) for target in targets_of(group)):
            yield finding(
                function.id,
                f"it is itself a target of Lattice ({group.id})",
                "the bridge's alias in Targets, and the function under [[backend]] in bridge.toml",
                NO_TENANT,
            )


def _invoked(function: Resource, resource: Resource) -> Iterator[TemplateFinding]:
    """What refers to a function by its name."""
    kind, properties = resource.type, resource.properties
    if kind == "AWS::Lambda::Url" and refers_to(properties.get("TargetFunctionArn"), function):
        yield finding(function.id, f"it has a function URL ({resource.id})", "no FunctionUrlConfig", NO_TENANT)
    if _provisions(function, resource):
        yield finding(
            function.id,
            f"it has provisioned concurrency ({resource.id})",
            "no ProvisionedConcurrencyConfig, and no scaling of it",
            "an environment is one tenant's, and Lambda cannot make it before it knows whose",
        )
    if kind == "AWS::Lambda::EventSourceMapping" and refers_to(properties.get("FunctionName"), function):
        yield finding(
            function.id,
            f"it has an event source mapping ({resource.id})",
            "the mapping on a function without tenancy, which invokes this one with the tenant id of each record",
            NO_TENANT,
        )


def _provisions(function: Resource, resource: Resource) -> bool:
    if resource.type == "AWS::ApplicationAutoScaling::ScalableTarget":
        return mentions(resource.properties, function)
    return (
        resource.type in ("AWS::Lambda::Alias", "AWS::Lambda::Version")
        and bool(resource.properties.get("ProvisionedConcurrencyConfig"))
        and refers_to(resource.properties.get("FunctionName"), function)
    )
