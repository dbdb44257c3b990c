"""Target groups, and who may invoke what they hold.

Rule: events reach a bridge from its own target groups alone, on its alias, in version 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.names import name_of, named, refers_to
from lattice_bridge.deployment.checks.patterns import may_be_bridge
from lattice_bridge.deployment.checks.permissions import LATTICE, SINGLE, invokes, permissions_on
from lattice_bridge.deployment.checks.stack import (
    Stack,
    alias_of,
    held_by_lattice,
    lambda_groups,
    part_of,
    targets_of,
    tenancy_of,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.review.finding import Level

_LATEST: Final = "$LATEST"
_ADDED: Final = (
    "CloudFormation adds one when it registers the target, for which the deploying role needs lambda:AddPermission; "
    "AWS does not document that, and without one every request would fail in Lattice itself"
)
_NOT_FOR_LAMBDA: Final = ("Port", "Protocol", "ProtocolVersion", "VpcIdentifier", "IpAddressType", "HealthCheck")


def group_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """What is wrong with target groups, and with bridges that no group holds."""
    for group in stack.template.of_type("AWS::VpcLattice::TargetGroup"):
        if group in lambda_groups(stack.template):
            yield from _shape(group)
        for target in targets_of(group):
            if unresolved(target) and not any(refers_to(target, one) for one in stack.functions):
                yield from _version(group, "warning")  # it may be a bridge
            for bridge in stack.bridges:
                if refers_to(target, bridge.function):
                    yield from _of_the_bridge(group, target, bridge.function, stack)
                    yield from _permission(group, target, bridge.function, stack)
    for bridge in stack.bridges:
        yield from _held(bridge.function, stack)
    for other in held_by_lattice(stack.template, stack.backends):
        if all(other.id != bridge.function.id for bridge in stack.bridges):
            yield finding(
                other.id,
                f"Lattice also holds {name_of(other)}, which is no bridge by its handler",
                "Handler: lattice_bridge.main.handler, if it is one",
                "another function of Lattice's is not looked into, and one that is a bridge should be",
                "warning",
            )


def _shape(group: Resource) -> Iterator[TemplateFinding]:
    config = part_of(group, "Config")
    for key in _NOT_FOR_LAMBDA:
        if key in config:
            yield finding(
                group.id,
                f"Config has {key}",
                f"no {key}",
                "Lattice refuses to make a target group of type LAMBDA that has one",
            )
    targets = group.properties.get("Targets") or []
    for key in ("Type", "Config", "Targets"):
        if isinstance(value := group.properties.get(key), str) and unresolved(value):
            yield finding(group.id, f"{key} is {value}", "what it is, in the template", UNKNOWN, "warning")
    if not unresolved(targets) and (not isinstance(targets, list) or len(targets) > 1):
        yield finding(
            group.id,
            f"Targets has {len(targets)} entries" if isinstance(targets, list) else "Targets is no list",
            "Targets: [{Id: …}], a list of one",
            "a target group of type LAMBDA has one target",
        )


def _of_the_bridge(group: Resource, target: str, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    kind = group.properties.get("Type")
    if kind != "LAMBDA" and not unresolved(kind):
        yield finding(
            group.id,
            f"Type is {kind}, and the target is the function {bridge.id}",
            "Type: LAMBDA",
            "Lattice registers a function in a target group of type LAMBDA only",
        )
        return
    yield from _version(group, "error")
    yield from _certificates(group, stack.certified)
    name = named(target)
    if name is not None and name.qualifier in (None, _LATEST, *_aliases_of_latest(bridge, stack.template)):
        yield finding(
            group.id,
            f"the target is the function {bridge.id} itself"
            f"{f', by its alias {name.qualifier}' if name.qualifier not in (None, _LATEST) else ''}",
            alias_of(bridge, "live"),
            "without an alias every update is in force at once: no canary, and nothing to roll back to",
        )


def _aliases_of_latest(bridge: Resource, template: Template) -> list[object]:
    """The names of the bridge's aliases that lead to no version."""
    aliases = [one.properties for one in template.of_type("AWS::Lambda::Alias")]
    aliases = [one for one in aliases if refers_to(one.get("FunctionName"), bridge)]
    return [one.get("Name") for one in aliases if one.get("FunctionVersion") == _LATEST]


def _version(group: Resource, level: Level) -> Iterator[TemplateFinding]:
    if isinstance(group.properties.get("Config"), str):
        return  # told as unresolved
    version = part_of(group, "Config").get("LambdaEventStructureVersion")
    if version != "V2":
        yield finding(
            group.id,
            f"LambdaEventStructureVersion is {version or 'not there, which is V1'}",
            "Config: {LambdaEventStructureVersion: V2}",
            "in V1 the caller's identity is a header, and repeated headers are one; a target group cannot change later",
            "warning" if unresolved(version) else level,
        )


def _certificates(group: Resource, rules: tuple[str, ...]) -> Iterator[TemplateFinding]:
    """A certificate's names are free text in V1's identity header, whose escaping is not documented."""
    version = part_of(group, "Config").get("LambdaEventStructureVersion", "V1")
    if rules and version == "V1" and not isinstance(group.properties.get("Config"), str):
        yield finding(
            group.id,
            f"its events are of V1, and {', '.join(rules)} of bridge.toml read x509_san_uri",
            "Config: {LambdaEventStructureVersion: V2}",
            "the bridge reads no certificate from a V1 event, so these rules refuse every caller",
            "warning",
        )


def _permission(group: Resource, target: str, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    """One of the permissions is for exactly this group, this target and Lattice."""
    right = (
        f"an AWS::Lambda::Permission with Action lambda:InvokeFunction, Principal {LATTICE}, "
        f"SourceArn !GetAtt {group.id}.Arn, and FunctionName as the target"
    )
    every = stack.template.of_type("AWS::Lambda::Permission")
    every = [one for one in every if (by := one.properties.get("Principal")) == LATTICE or unresolved(by)]
    if any(_may_be_the_one(one.properties.get("FunctionName"), stack) for one in every):
        return  # told as such
    own = [one for one in permissions_on(bridge, stack.template) if one in every]
    own = [one for one in own if invokes(one) and _may_be_from(one, group)]
    if any(named(one.properties.get("FunctionName")) == named(target) for one in own):
        return
    for one in own:
        yield finding(
            one.id,
            f"FunctionName is {one.properties.get('FunctionName')}, and the target is {target}",
            right,
            f"an alias has a policy of its own, so this permission does not cover it. {_ADDED}",
            "warning",
        )
    if not own:
        yield finding(
            group.id,
            f"no permission of this template lets Lattice invoke {named(target)}",
            right,
            _ADDED,
            "warning",
        )


def _may_be_the_one(text: object, stack: Stack) -> bool:
    if unresolved(text):
        return not any(refers_to(text, one) for one in stack.functions)
    return may_be_bridge(text, stack) is not None


def _may_be_from(permission: Resource, group: Resource) -> bool:
    """Its source is the group; or is told by itself: unresolved, a pattern, or not there."""
    source = permission.properties.get("SourceArn")
    return source is None or source == group.arn or unresolved(source) or not SINGLE.fullmatch(str(source))


def _held(bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    if tenancy_of(bridge):
        yield finding(
            bridge.id,
            "the bridge is isolated",
            "no TenancyConfig on it",
            "Lattice sends no tenant id, so Lambda would refuse every event",
        )
    groups = lambda_groups(stack.template)
    if not any(refers_to(target, bridge) for group in groups for target in targets_of(group)):
        yield finding(
            bridge.id,
            f"no target group of this template holds {name_of(bridge)}",
            "an AWS::VpcLattice::TargetGroup with its alias as target; or see to version 2 and the alias yourself",
            UNKNOWN,
            "warning",
        )
