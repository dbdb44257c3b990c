"""Who else has the role that a bridge runs as.

Rule: whoever has it invokes the backends as the bridge does, as any tenant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.checks.documents import listed, not_looked_into, read_policy
from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.checks.policies import name_of_role
from lattice_bridge.deployment.checks.stack import Stack
from lattice_bridge.deployment.cloudformation.template import ACCOUNT, Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.iam.pattern import matches
from lattice_bridge.review.finding import Level

_ASSUMES: Final = ("sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity")
_ANY_TENANT: Final = "whoever has the bridge's role is any tenant of every backend"


def trust_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """What is wrong with who may assume a bridge's role, and which functions run as it."""
    bridges = {bridge.function.id for bridge in stack.bridges}
    for name in dict.fromkeys(name_of_role(one.function.properties.get("Role", "")) for one in stack.bridges):
        for role in stack.template.of_type("AWS::IAM::Role"):
            if name_of_role(role.arn) == name:
                yield from _assumed(role, stack.template)
        for function in stack.functions:
            own = name_of_role(function.properties.get("Role", ""))
            if function.id not in bridges and name and own == name:
                yield finding(function.id, "it has the bridge's role", "a role of its own", _ANY_TENANT)


def _assumed(role: Resource, template: Template) -> Iterator[TemplateFinding]:
    document = read_policy(role.properties.get("AssumeRolePolicyDocument"))
    for unread in document.unread:
        yield not_looked_into(role.id, unread)
    for statement in document.statements:
        actions = [str(one).lower() for one in listed(statement.get("Action"))]
        if statement.get("Effect") != "Allow" or not any(matches(one, deed) for one in actions for deed in _ASSUMES):
            continue
        for principal in _of_accounts(statement):
            yield finding(
                role.id,
                f"{principal} may assume it",
                "Principal: {Service: lambda.amazonaws.com} alone",
                _ANY_TENANT,
                _level(principal, statement, template),
            )


def _of_accounts(statement: Mapping[str, Any]) -> list[str]:
    """Whom it lets in by account; services are not among them."""
    said = statement.get("Principal")
    return [str(one) for one in listed(said.get("AWS") if isinstance(said, dict) else said)]


def _level(principal: str, statement: Mapping[str, Any], template: Template) -> Level:
    """A principal of one's own account is a warning, and so is one that is not known."""
    account = template.given.get("AWS::AccountId", ACCOUNT)
    own = re.fullmatch(rf"(arn:[^:]*:(iam|sts)::)?{account}(:.+)?", principal) is not None
    return "warning" if own or statement.get("Condition") or unresolved(principal) else "error"
