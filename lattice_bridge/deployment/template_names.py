"""How a template's resources refer to Lambda functions.

Rule: by name and qualifier. Accounts and regions are not compared: a template's own are known only once it is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.local.template import Resource, Template

_FUNCTION: Final = re.compile(
    r"(?:arn:[^:]*:lambda:[^:]*:[^:]*:function:|[a-z0-9-]*:?\d{12}:(?:function:)?|function:)?([^:/]+)(?::(.+))?"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A function as a text names it. `qualifier` is an alias, a version, or None."""

    name: str
    qualifier: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


def named(text: object) -> Named | None:
    """The function that a name, a partial ARN or an ARN is of; None if it is something else."""
    match = _FUNCTION.fullmatch(str(text))
    return Named(match[1], match[2]) if match else None


def name_of(function: Resource) -> str:
    """A function's own name; its logical id if CloudFormation chooses one."""
    return str(function.properties.get("FunctionName", function.id))


def functions_of(template: Template) -> dict[str, Resource]:
    """The template's functions by name."""
    return {name_of(function): function for function in template.of_type("AWS::Lambda::Function")}


def refers_to(text: object, function: Resource) -> bool:
    """Whether a text names the function, whatever its qualifier."""
    found = named(text)
    return found is not None and found.name == name_of(function)


def mentions(value: Any, function: Resource) -> bool:
    """Whether the function's ARN stands anywhere in a value."""
    wanted = re.compile(rf":function:{re.escape(name_of(function))}(?![A-Za-z0-9_-])")
    return any(wanted.search(text) for text in texts(value))


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)


def bridges_of(template: Template) -> list[Resource]:
    """The functions that are the bridge: by their handler, or else those that Lattice's target groups hold."""
    functions = template.of_type("AWS::Lambda::Function")
    by_handler = [one for one in functions if str(one.properties.get("Handler", "")).startswith("lattice_bridge.")]
    if by_handler:
        return by_handler
    held = [target for group in lambda_groups(template) for target in targets_of(group)]
    return [one for one in functions if any(refers_to(target, one) for target in held) and not tenancy_of(one)]


def lambda_groups(template: Template) -> list[Resource]:
    """The target groups of type LAMBDA."""
    groups = template.of_type("AWS::VpcLattice::TargetGroup")
    return [group for group in groups if group.properties.get("Type") == "LAMBDA"]


def targets_of(group: Resource) -> list[str]:
    """The ids of what is registered in a target group."""
    targets = group.properties.get("Targets") or []
    return [str(target.get("Id", "")) for target in targets if isinstance(target, dict)]


def tenancy_of(function: Resource) -> bool:
    """Whether a function says anything of tenancy, rightly spelt or not."""
    return bool(function.properties.get("TenancyConfig"))


def unresolved(text: object) -> bool:
    """Whether the text stands for what only a deployed stack knows: nothing can be said of it."""
    return str(text).startswith("{Fn::")
