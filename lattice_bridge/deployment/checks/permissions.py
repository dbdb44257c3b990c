"""Permissions and URLs: who else may invoke a bridge, or an isolated function.

Rule: whoever invokes the bridge writes the caller's identity into the event, and whoever invokes an isolated function
names the tenant; so nobody does but Lattice and the bridge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.excuses import is_excused
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.invokers import NO_TENANT
from lattice_bridge.deployment.checks.names import name_of, refers_to
from lattice_bridge.deployment.checks.patterns import is_pattern, may_be_bridge
from lattice_bridge.deployment.checks.stack import Stack, targets_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, unresolved
from lattice_bridge.deployment.iam.policy import matches

LATTICE: Final = "vpc-lattice.amazonaws.com"
SINGLE: Final = re.compile(r"arn:[^:]*:vpc-lattice:[^:]*:[^:]*:targetgroup/[^*?]+")
"""The ARN of one target group."""

_FORGED: Final = "whoever else can invoke the bridge writes the caller's identity into the event itself"
_INVOKES: Final = ("lambda:invokefunction", "lambda:invokefunctionurl", "lambda:invokeasync")
_REFERS: Final = (
    ("AWS::Lambda::Permission", "FunctionName"),
    ("AWS::Lambda::EventSourceMapping", "FunctionName"),
    ("AWS::Lambda::Url", "TargetFunctionArn"),
)


def permission_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """What is wrong with the permissions on bridges and isolated functions, and which could not be looked into."""
    for bridge in stack.bridges:
        for one in permissions_on(bridge.function, stack.template):
            if one.properties.get("Principal") == LATTICE:
                yield from _source(one, bridge.function, stack.template)
            elif invokes(one):
                yield from _stranger(one, bridge.function, stack.template, _FORGED, f"Principal: {LATTICE} alone")
        for one in stack.template.of_type("AWS::Lambda::Url"):
            if refers_to(one.properties.get("TargetFunctionArn"), bridge.function):
                wrong = f"{name_of(bridge.function)} has a function URL"
                yield finding(one.id, wrong, "no FunctionUrlConfig", _FORGED)
        for one in stack.template.of_type("AWS::Lambda::EventSourceMapping"):
            if refers_to(one.properties.get("FunctionName"), bridge.function):
                wrong = f"it sends other events to the bridge, {name_of(bridge.function)}"
                yield finding(one.id, wrong, "a mapping on another function", _FORGED)
    for function in stack.isolated:
        for one in permissions_on(function, stack.template):
            if invokes(one) and not is_excused(one, function, stack.template):
                yield from _stranger(one, function, stack.template, NO_TENANT, "no such permission")
    yield from _unknown(stack)


def permissions_on(function: Resource, template: Template) -> list[Resource]:
    """The permissions whose FunctionName is the function, one of its aliases or versions."""
    every = template.of_type("AWS::Lambda::Permission")
    return [one for one in every if refers_to(one.properties.get("FunctionName"), function)]


def invokes(permission: Resource) -> bool:
    """Whether its action is one that invokes, as far as is known."""
    pattern = str(permission.properties.get("Action"))
    return unresolved(pattern) or any(matches(pattern.lower(), action) for action in _INVOKES)


def _source(permission: Resource, bridge: Resource, template: Template) -> Iterator[TemplateFinding]:
    written = permission.properties.get("SourceArn")
    source = None if written is None else str(written)
    groups = {one.arn: one for one in template.of_type("AWS::VpcLattice::TargetGroup")}
    if source is None:
        yield finding(permission.id, "no SourceArn", "SourceArn: the target group's ARN", f"{_FORGED}: any group could")
    elif source in groups:
        held = targets_of(groups[source])
        if not any(refers_to(target, bridge) or unresolved(target) for target in held):
            yield finding(
                permission.id,
                f"SourceArn is {source}, of {groups[source].id}, which does not hold {name_of(bridge)}",
                "SourceArn: the ARN of the target group that does",
                f"{_FORGED}, and that group is somebody else's",
                "error" if held else "warning",
            )
    elif unresolved(source) and not is_pattern(source):
        yield finding(
            permission.id, f"SourceArn is {source}", "!GetAtt of a target group in this template", UNKNOWN, "warning"
        )
    elif SINGLE.fullmatch(source):
        yield finding(
            permission.id,
            f"SourceArn is {source}, a target group outside this template",
            "!GetAtt of one in this template, or see that it holds the bridge yourself",
            f"{_FORGED}, and what such a group holds is not known here",
            "warning",
        )
    else:
        yield finding(
            permission.id,
            f"SourceArn is {source}, which is no target group of this template",
            "SourceArn: !GetAtt of the target group's Arn",
            f"{_FORGED}, and this one's events would be refused by Lambda",
        )


def _stranger(
    permission: Resource, function: Resource, template: Template, why: str, instead: str
) -> Iterator[TemplateFinding]:
    principal = str(permission.properties.get("Principal"))
    account = template.given.get("AWS::AccountId", ACCOUNT)
    own = principal == account or re.fullmatch(rf"arn:[^:]*:(iam|sts)::{re.escape(account)}:.+", principal) is not None
    wrong = f"{principal} may invoke {name_of(function)}"
    yield finding(permission.id, wrong, instead, why, "warning" if own or unresolved(principal) else "error")


def _unknown(stack: Stack) -> Iterator[TemplateFinding]:
    yield from _may_be_a_bridge(stack)
    references = [
        (one, str(one.properties.get(key)), key) for kind, key in _REFERS for one in stack.template.of_type(kind)
    ]
    groups = stack.template.of_type("AWS::VpcLattice::TargetGroup")
    references += [(group, target, "the target") for group in groups for target in targets_of(group)]
    for one, text, what in references:
        if unresolved(text) and not any(refers_to(text, function) for function in stack.functions):
            yield finding(
                one.id, f"{what} is {text}", "!Ref or !GetAtt of what is in this template", UNKNOWN, "warning"
            )
    for one in stack.template.of_type("AWS::Lambda::Permission"):
        if unresolved(action := one.properties.get("Action")):
            yield finding(one.id, f"Action is {action}", "Action: lambda:InvokeFunction", UNKNOWN, "warning")


def _may_be_a_bridge(stack: Stack) -> Iterator[TemplateFinding]:
    """What names a function as a bridge may be called, of whose name a part is unresolved."""
    for kind, key in _REFERS:
        for one in stack.template.of_type(kind):
            bridge = may_be_bridge(one.properties.get(key), stack)
            if bridge is not None:
                yield finding(
                    one.id,
                    f"{key} is {one.properties[key]}, which may be the bridge, {bridge.function.id}",
                    f"!Ref {bridge.function.id}, or the name of another function",
                    _FORGED,
                    "warning",
                )
