"""A template's functions, as bridge.toml sees them: the bridges, and the isolated.

Rule: who is a bridge is decided here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.template_names import is_function, named, refers_to
from lattice_bridge.local.template import BadTemplate, Resource, Template, number
from lattice_bridge.local.template_values import unresolved
from lattice_bridge.options import Options
from lattice_bridge.place import FUNCTION_VARIABLE


@dataclass(frozen=True, slots=True)
class Bridge:
    """A function that is the bridge, and what it invokes."""

    function: Resource
    backends: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """A template that is translated and resolved, beside bridge.toml.

    Attributes:
        template: the template.
        bridges: functions with the bridge's handler, and those that Lattice's target groups hold.
        compared: there is a bridge.toml that loads, so that backends are known.
    """

    template: Template
    bridges: tuple[Bridge, ...]
    compared: bool

    @property
    def functions(self) -> list[Resource]:
        """All of them."""
        return self.template.of_type("AWS::Lambda::Function")

    @property
    def backends(self) -> list[Backend]:
        """Of every bridge, each once."""
        return list(dict.fromkeys(backend for bridge in self.bridges for backend in bridge.backends))

    @property
    def isolated(self) -> list[Resource]:
        """Functions that are isolated, or that bridge.toml takes for it."""
        said = [backend.function for backend in self.backends if backend.isolated]
        bridges = {bridge.function.id for bridge in self.bridges}
        return [
            one
            for one in self.functions
            if one.id not in bridges and (tenancy_of(one) or any(is_named(one, text, self.template) for text in said))
        ]


def stack_of(template: Template, options: Options | None) -> Stack:
    """The stack that a template makes.

    Args:
        template: translated and resolved.
        options: what bridge.toml says beside the map; None if it does not load.
    """
    known = options or Options()
    bridges = tuple(
        Bridge(one, known.with_function(_variable(one)).backends) for one in bridges_of(template, known.backends)
    )
    return Stack(template, bridges, options is not None)


def bridges_of(template: Template, backends: Iterable[Backend]) -> Iterator[Resource]:
    """The functions with the bridge's handler, and those that Lattice's target groups hold and that are no backend."""
    held = [target for group in lambda_groups(template) for target in targets_of(group)]
    behind = [backend.function for backend in backends]
    for one in template.of_type("AWS::Lambda::Function"):
        by_target = any(refers_to(target, one) for target in held) and not tenancy_of(one)
        if is_ours(one) or (by_target and not any(is_named(one, text, template) for text in behind)):
            yield one


def is_ours(function: Resource) -> bool:
    """Whether its handler is one of this package."""
    command = part_of(function, "ImageConfig").get("Command") or [""]
    return str(function.properties.get("Handler", command[0])).startswith("lattice_bridge.")


def is_named(function: Resource, text: str, template: Template) -> bool:
    """Whether bridge.toml's name for a function may be this one."""
    found = named(text)
    return found is not None and is_function(found, function, template)


def _variable(function: Resource) -> str | None:
    """The function that its environment names; one that only a deployed stack knows is told elsewhere."""
    found = variables_of(function).get(FUNCTION_VARIABLE)
    return None if found is None or unresolved(found) else str(found)


def variables_of(function: Resource) -> dict[str, object]:
    """A function's environment."""
    return part_of(function, "Environment").get("Variables") or {}


def part_of(resource: Resource, key: str) -> dict[str, Any]:
    """A map among its properties; empty if it is not there, or only a deployed stack knows it.

    Raises:
        BadTemplate: it is no map.
    """
    value = resource.properties.get(key)
    if value is None or (isinstance(value, str) and unresolved(value)):
        return {}
    if not isinstance(value, dict):
        raise BadTemplate(f"{resource.id}.{key}: {value!r} is no map")
    return value


def lambda_groups(template: Template) -> list[Resource]:
    """The target groups of type LAMBDA."""
    groups = template.of_type("AWS::VpcLattice::TargetGroup")
    return [group for group in groups if group.properties.get("Type") == "LAMBDA"]


def targets_of(group: Resource) -> list[str]:
    """The ids of what is registered in a target group."""
    targets = group.properties.get("Targets")
    found = targets if isinstance(targets, list) else []
    return [str(target.get("Id", "")) for target in found if isinstance(target, dict)]


def tenancy_of(function: Resource) -> bool:
    """Whether a function says anything of tenancy, rightly spelt or not."""
    return bool(function.properties.get("TenancyConfig"))


def seconds_of(resource: Resource, key: str, default: float) -> float | None:
    """A number of seconds among its properties; None if only a deployed stack knows it.

    Raises:
        BadTemplate: it is no positive number.
    """
    value = resource.properties.get(key, default)
    return None if unresolved(value) else number(value, resource.id, key)
