"""Wide rights: policies of the template by which somebody may invoke more than the functions that are meant.

Rule: no pattern of functions, whoever has it; and nobody may invoke a bridge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.documents import listed
from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.checks.names import name_of, named, refers_to
from lattice_bridge.deployment.checks.patterns import (
    is_isolated,
    is_pattern,
    may_be_bridge,
    reaches,
)
from lattice_bridge.deployment.checks.policies import (
    HOLDERS,
    Statement,
    is_of_aws,
    name_of_role,
    names_invoke,
)
from lattice_bridge.deployment.checks.stack import Stack
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.review.finding import Level

_WIDE: Final = (
    *("AdministratorAccess", "PowerUserAccess", "AWSLambda_FullAccess", "AWSLambdaFullAccess", "AWSLambdaRole"),
    "AWSLambdaInvocation-DynamoDB",
)
"""Managed policies of AWS with which every function can be invoked."""
_OPEN: Final = "a role that can invoke any function can invoke any of them as any tenant"
_FORGED: Final = "whoever else can invoke the bridge writes the caller's identity into the event itself"


def wide_findings(stack: Stack, statements: list[Statement]) -> Iterator[TemplateFinding]:
    """What is too wide.

    Args:
        stack: of the template.
        statements: of its policies, those about invoking.
    """
    for statement in statements:
        if statement.effect == "Allow":
            yield from _wide(statement, stack)
            yield from _of_a_bridge(statement, stack)
    for holder in stack.template.of_type(*HOLDERS):
        yield from _managed(holder)


def _wide(statement: Statement, stack: Stack) -> Iterator[TemplateFinding]:
    for action in statement.actions:
        if names_invoke(action) and ("*" in action or "?" in action):
            wrong = f"the action {action} includes lambda:InvokeFunction"
            yield finding(statement.place, wrong, "lambda:InvokeFunction", _OPEN)
    if "NotAction" in statement.said or "NotResource" in statement.said:
        yield finding(
            statement.place,
            "lambda:InvokeFunction is allowed by NotAction or NotResource",
            "Action: lambda:InvokeFunction, and each function's ARN as Resource",
            _OPEN,
        )
    for resource in statement.functions:
        if is_pattern(resource) and (level := _level(resource, statement, stack)) is not None:
            yield finding(
                statement.place,
                f"lambda:InvokeFunction is allowed on {resource}",
                "each function's ARN, or its alias's, as bridge.toml names it",
                _OPEN,
                level,
            )
        elif not resource.startswith("arn:") and any(refers_to(resource, one) for one in stack.functions):
            yield finding(
                statement.place,
                f"lambda:InvokeFunction is allowed on {resource}, which is no ARN",
                "!GetAtt of the function's Arn, or !Ref of its alias",
                "IAM takes ARNs only, and refuses the policy",
            )


def _level(pattern: str, statement: Statement, stack: Stack) -> Level | None:
    """How bad a pattern is; None if it has nothing to do with the bridge. One of a bridge alone is told by itself."""
    if statement.roles & {name_of_role(one.function.properties.get("Role")) for one in stack.bridges}:
        return "error"
    found = named(pattern)
    if found is not None and not is_pattern(found.name):
        return "warning" if is_isolated(found, stack) else None
    reached = reaches(pattern, stack)
    return "error" if reached else "warning" if reached is None else None


def _of_a_bridge(statement: Statement, stack: Stack) -> Iterator[TemplateFinding]:
    for bridge in stack.bridges:
        if any(refers_to(resource, bridge.function) for resource in statement.functions):
            yield finding(
                statement.place,
                f"lambda:InvokeFunction is allowed on the bridge, {name_of(bridge.function)}",
                "a Resource without it",
                _FORGED,
            )
    for resource in statement.functions:
        if (may_be := may_be_bridge(resource, stack)) is not None:
            yield finding(
                statement.place,
                f"lambda:InvokeFunction is allowed on {named(resource)}, which may be the bridge, {may_be.function.id}",
                "a Resource without it",
                _FORGED,
                "warning",
            )


def _managed(holder: Resource) -> Iterator[TemplateFinding]:
    for arn in listed(holder.properties.get("ManagedPolicyArns")):
        if is_of_aws(arn) and name_of_role(arn) in _WIDE:
            yield finding(
                holder.id,
                f"it has the managed policy {arn}",
                "a statement with lambda:InvokeFunction on each function's ARN",
                _OPEN,
            )
