"""The policies of a template: whose they are, and what their statements are about.

Rule: every policy counts, whatever it hangs on; a role is known by its name, however it is referred to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.deployment.checks.documents import Document, listed, read_policy
from lattice_bridge.deployment.checks.names import Named, covers
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.iam.policy import matches

_INVOKE: Final = "lambda:invokefunction"
_INVOKE_ASYNC: Final = "lambda:invokeasync"
HOLDERS: Final = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
_POLICIES: Final = (
    *("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"),
    *("AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy"),
)


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a policy that was not looked into.

    Attributes:
        place: the resource it stands in.
        roles: the names of the roles that have it.
        text: what there is in its stead.
    """

    place: str
    roles: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    Attributes:
        place: the resource it stands in.
        roles: the names of the roles that have it.
        said: as written.
    """

    place: str
    roles: frozenset[str]
    said: dict[str, Any]

    @property
    def effect(self) -> Any:
        return self.said.get("Effect")

    @property
    def is_conditional(self) -> bool:
        return bool(self.said.get("Condition"))

    @property
    def actions(self) -> list[str]:
        return [str(action) for action in listed(self.said.get("Action"))]

    @property
    def functions(self) -> list[str]:
        """Its resources, but for ARNs of other services."""
        return [text for one in listed(self.said.get("Resource")) if _may_be_function(text := str(one))]

    @property
    def invokes(self) -> bool:
        """It may be about invoking a function, synchronously or not."""
        about = self._is_about(_INVOKE) is not False or self._is_about(_INVOKE_ASYNC) is not False
        return about and ("NotResource" in self.said or bool(self.functions))

    def _is_about(self, deed: str) -> bool | None:
        """Whether an action is among its own; None if only a deployed stack knows."""
        said = [str(one) for one in listed(self.said.get("NotAction", self.said.get("Action")))]
        named = True if any(matches(one.lower(), deed) for one in said) else None if unresolved(said) else False
        return named if named is None or "NotAction" not in self.said else not named

    def reaches(self, wanted: Named, template: Template) -> bool | None:
        """Whether it is about lambda:InvokeFunction on what bridge.toml names; None if only a deployed stack knows."""
        if "NotResource" in self.said:
            kept = [covers(str(one), wanted, template) for one in listed(self.said["NotResource"])]
            found = False if True in kept else None if None in kept else True
        else:
            reached = [covers(one, wanted, template) for one in self.functions]
            found = True if True in reached else None if None in reached else False
        about = self._is_about(_INVOKE)
        return False if False in (found, about) else None if None in (found, about) else True

    def unknown_in(self, wanted: Named, template: Template) -> str:
        """What of it only a deployed stack knows, so that it is not known whether it is about a function."""
        for key in ("NotResource", "Resource"):
            for one in listed(self.said.get(key)):
                if covers(str(one), wanted, template) is None:
                    return f"{key} is {one}"
        return f"the actions are {self.said.get('NotAction', self.said.get('Action'))}"


def names_invoke(action: str) -> bool:
    """Whether an action, or a pattern of actions, is lambda:InvokeFunction."""
    return matches(action.lower(), _INVOKE)


def _may_be_function(resource: str) -> bool:
    """Not the ARN of another service's resource."""
    parts = resource.split(":")
    return parts[0] != "arn" or len(parts) < 3 or matches(parts[2], "lambda") or unresolved(parts[2])


def statements_of(template: Template) -> list[Statement]:
    """Every statement of the identity policies in a template."""
    return [
        Statement(place, roles, said) for place, roles, document in _documents(template) for said in document.statements
    ]


def unread_of(template: Template) -> list[Unread]:
    """What of the identity policies in a template was not looked into."""
    return [Unread(place, roles, text) for place, roles, document in _documents(template) for text in document.unread]


def _documents(template: Template) -> Iterator[tuple[str, frozenset[str], Document]]:
    for holder in template.of_type(*HOLDERS):
        roles = frozenset({name_of_role(holder.arn)} if holder.type == "AWS::IAM::Role" else ())
        for policy in listed(holder.properties.get("Policies")):
            yield holder.id, roles, read_policy(policy.get("PolicyDocument") if isinstance(policy, dict) else policy)
    for policy in template.of_type(*_POLICIES):
        of = [*listed(policy.properties.get("Roles")), *listed(policy.properties.get("RoleName"))]
        roles = frozenset({name_of_role(one) for one in of} | set(_attached(policy, template)))
        yield policy.id, roles, read_policy(policy.properties.get("PolicyDocument"))


def _attached(policy: Resource, template: Template) -> Iterator[str]:
    for role in template.of_type("AWS::IAM::Role"):
        if any(is_policy(arn, policy) for arn in listed(role.properties.get("ManagedPolicyArns"))):
            yield name_of_role(role.arn)


def is_policy(arn: object, policy: Resource) -> bool:
    """Whether the ARN is of a managed policy of the template."""
    own = policy.type == "AWS::IAM::ManagedPolicy" and not is_of_aws(arn)
    return own and _last(str(arn)) == _last(policy.arn)


def is_of_aws(arn: object) -> bool:
    """Whether the ARN is of one of AWS's own managed policies, in any partition."""
    return ":iam::aws:policy/" in str(arn)


def name_of_role(text: object) -> str:
    """A role's name, out of its ARN or as it is."""
    return _last(str(text))


def _last(text: str) -> str:
    return text.rpartition("/")[2]
