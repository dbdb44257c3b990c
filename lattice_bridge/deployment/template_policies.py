"""Who may invoke what, as the template's roles have it.

Rule: a role may invoke each function as bridge.toml names it, and no pattern of functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.template_found import TemplateFinding, found
from lattice_bridge.deployment.template_names import bridges_of, named, unresolved
from lattice_bridge.local.template import Resource, Template

INVOKE: Final = "lambda:invokefunction"
_WIDE: Final = (
    *("AdministratorAccess", "PowerUserAccess", "AWSLambda_FullAccess", "AWSLambdaFullAccess", "AWSLambdaRole"),
)
"""Managed policies of AWS with which every function can be invoked."""
_KNOWN: Final = "arn:aws:iam::aws:policy/"
_OPEN: Final = "a role that can invoke any function can invoke any of them as any tenant"


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role may do.

    Attributes:
        role: the role, or None if it is not in the template.
        statements: of its own policies and of those attached to it, each with the resource it stands in.
        managed: ARNs of managed policies that are not in the template.
    """

    role: Resource | None
    statements: tuple[tuple[str, dict[str, Any]], ...] = ()
    managed: tuple[str, ...] = ()


def invocations(template: Template, backends: Iterable[Backend]) -> Iterator[TemplateFinding]:
    """What is wrong with the rights to invoke."""
    seen: set[str] = set()
    for function in template.of_type("AWS::Lambda::Function"):
        rights = rights_of(function, template)
        if rights.role is not None and rights.role.id not in seen:
            seen.add(rights.role.id)
            yield from _wildcards(rights.role, rights)
    wanted = list(backends)
    for bridge in bridges_of(template):
        yield from _as_named(bridge, rights_of(bridge, template), wanted)


def rights_of(function: Resource, template: Template) -> Rights:
    """The rights of a function's role."""
    arn = function.properties.get("Role")
    role = next((one for one in template.of_type("AWS::IAM::Role") if arn in (one.arn, one.id)), None)
    if role is None:
        return Rights(None)
    statements = [
        (role.id, statement)
        for policy in listed(role.properties.get("Policies"))
        for statement in statements_in(policy.get("PolicyDocument"))
    ]
    attached = {str(arn) for arn in listed(role.properties.get("ManagedPolicyArns"))}
    for one in template.of_type("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"):
        roles = [*listed(one.properties.get("Roles")), *listed(one.properties.get("RoleName"))]
        if {role.id, role.properties.get("RoleName")} & set(roles) or {one.id, one.arn} & attached:
            statements += [(one.id, each) for each in statements_in(one.properties.get("PolicyDocument"))]
            attached -= {one.id, one.arn}
    return Rights(role, tuple(statements), tuple(sorted(attached)))


def _wildcards(role: Resource, rights: Rights) -> Iterator[TemplateFinding]:
    for place, statement in rights.statements:
        if not _allows_invoke(statement):
            continue
        for action in listed(statement.get("Action")):
            if "*" in action or "?" in action:
                yield found(
                    place, f"the action {action} includes lambda:InvokeFunction", "lambda:InvokeFunction", _OPEN
                )
        if "NotAction" in statement or "NotResource" in statement:
            yield found(
                place,
                "lambda:InvokeFunction is allowed by NotAction or NotResource",
                "Action: lambda:InvokeFunction, and each function's ARN as Resource",
                _OPEN,
            )
        for resource in listed(statement.get("Resource")):
            if "*" in str(resource) or "?" in str(resource):
                yield found(
                    place,
                    f"lambda:InvokeFunction is allowed on {resource}",
                    "each function's ARN, or its alias's, as bridge.toml names it",
                    _OPEN,
                )
    for arn in rights.managed:
        if arn.rpartition("/")[2] in _WIDE:
            yield found(
                role.id,
                f"it has the managed policy {arn}",
                "a statement with lambda:InvokeFunction on each function's ARN",
                _OPEN,
            )


def _as_named(bridge: Resource, rights: Rights, backends: list[Backend]) -> Iterator[TemplateFinding]:
    unknown = [arn for arn in rights.managed if not arn.startswith(_KNOWN)]
    if rights.role is None or unknown:
        yield found(
            bridge.id,
            f"its rights stand elsewhere ({', '.join(unknown) or bridge.properties.get('Role')})",
            "the role and its policies in this template, or see that it has a statement for each function yourself",
            "what is not in the template was not checked",
            "warning",
        )
        return
    resources = [
        resource
        for _, statement in rights.statements
        if _allows_invoke(statement)
        for resource in listed(statement.get("Resource"))
    ]
    if any(map(unresolved, resources)):
        return
    allowed = {named(resource) for resource in resources}
    open_to_all = any("*" in str(resource) for resource in resources)  # found as such
    for backend in backends:
        if named(backend.function) not in allowed and not open_to_all:
            yield found(
                rights.role.id,
                f'no statement allows lambda:InvokeFunction on "{backend.function}", which bridge.toml names',
                f"the ARN that ends in :function:{named(backend.function)} in the Resource of one",
                f"every request to {backend.path} would be a 500 (access_denied)",
            )
    needed = {named(backend.function) for backend in backends}
    for one in sorted(str(one) for one in allowed - needed if one is not None and "*" not in str(one)):
        yield found(
            rights.role.id,
            f'lambda:InvokeFunction is allowed on "{one}", which bridge.toml does not name',
            "a Resource without it",
            "a right that nobody needs is one more that can be misused",
            "warning",
        )


def statements_in(document: object) -> list[dict[str, Any]]:
    """A policy's statements."""
    found_ = document.get("Statement") if isinstance(document, dict) else None
    return [statement for statement in listed(found_) if isinstance(statement, dict)]


def listed(value: object) -> list[Any]:
    """A value that may be one, several or none, as IAM writes it."""
    return [] if value is None else value if isinstance(value, list) else [value]


def _allows_invoke(statement: dict[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if "NotAction" in statement:
        return not any(fnmatchcase(INVOKE, str(action).lower()) for action in listed(statement["NotAction"]))
    return any(fnmatchcase(INVOKE, str(action).lower()) for action in listed(statement.get("Action")))
