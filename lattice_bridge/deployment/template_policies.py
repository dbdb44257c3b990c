"""The policies of a template: whose they are, and what their statements are about.

Rule: every policy counts, whatever it hangs on; a role is known by its name, however it is referred to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.deployment.doctor_policy import matches
from lattice_bridge.deployment.template_names import Named, covers
from lattice_bridge.local.template import Resource, Template
from lattice_bridge.local.template_values import unresolved

_INVOKE: Final = "lambda:invokefunction"
HOLDERS: Final = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
_POLICIES: Final = (
    *("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"),
    *("AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy"),
)


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
        """It may be about invoking a function."""
        if "NotAction" in self.said:
            about = not any(names_invoke(str(one)) for one in listed(self.said["NotAction"]))
        else:
            about = any(unresolved(one) or names_invoke(one) for one in self.actions)
        return about and ("NotResource" in self.said or bool(self.functions))

    def reaches(self, wanted: Named, template: Template) -> bool | None:
        """Whether it is about what bridge.toml names; None if only a deployed stack knows."""
        if "NotResource" in self.said:
            kept = [covers(str(one), wanted, template) for one in listed(self.said["NotResource"])]
            return False if True in kept else None if None in kept else True
        reached = [covers(one, wanted, template) for one in self.functions]
        return True if True in reached else None if None in reached else False


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
        Statement(place, roles, said)
        for place, roles, document in _documents(template)
        for said in statements_in(document)
    ]


def _documents(template: Template) -> Iterator[tuple[str, frozenset[str], object]]:
    for holder in template.of_type(*HOLDERS):
        roles = frozenset({name_of_role(holder.arn)} if holder.type == "AWS::IAM::Role" else ())
        for policy in listed(holder.properties.get("Policies")):
            if isinstance(policy, dict):
                yield holder.id, roles, policy.get("PolicyDocument")
    for policy in template.of_type(*_POLICIES):
        of = [*listed(policy.properties.get("Roles")), *listed(policy.properties.get("RoleName"))]
        roles = frozenset({name_of_role(one) for one in of} | set(_attached(policy, template)))
        yield policy.id, roles, policy.properties.get("PolicyDocument")


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


def statements_in(document: object) -> list[dict[str, Any]]:
    """A policy's statements."""
    said = document.get("Statement") if isinstance(document, dict) else None
    return [statement for statement in listed(said) if isinstance(statement, dict)]


def listed(value: object) -> list[Any]:
    """A value that may be one, several or none, as IAM writes it."""
    return [] if value is None else value if isinstance(value, list) else [value]
