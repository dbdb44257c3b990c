"""A template's functions, as bridge.toml sees them: the bridges, and the isolated.

Rule: who is a bridge is decided here, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.config.options import Backend, Options
from lattice_bridge.deployment.checks.names import is_function, named, refers_to
from lattice_bridge.deployment.cloudformation.template import BadTemplate, Resource, Template, number
from lattice_bridge.deployment.cloudformation.values import unresolved


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
        bridges: functions with the bridge's handler, or else those that Lattice's target groups hold.
        compared: there is a bridge.toml that loads, so that backends are known.
        certified: ids of the rules that read the caller's certificate.
    """

    template: Template
    bridges: tuple[Bridge, ...]
    compared: bool
    certified: tuple[str, ...] = ()

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


def stack_of(template: Template, options: Options | None, certified: Iterable[str] = ()) -> Stack:
    """The stack that a template makes.

    Args:
        template: translated and resolved.
        options: what bridge.toml says beside the map; None if it does not load.
        certified: ids of the rules that read the caller's certificate.
    """
    known = options or Options()
    bridges = tuple(
        Bridge(one, known.with_function(_variable(one)).backends) for one in bridges_of(template, known.backends)
    )
    return Stack(template, bridges, options is not None, tuple(certified))


def bridges_of(template: Template, backends: Iterable[Backend]) -> list[Resource]:
    """The functions with the bridge's handler; where there are none, it may go by another: those that Lattice holds."""
    ours = [one for one in template.of_type("AWS::Lambda::Function") if is_ours(one)]
    return ours or held_by_lattice(template, backends)


def held_by_lattice(template: Template, backends: Iterable[Backend]) -> list[Resource]:
    """The functions under another handler that Lattice's target groups hold, and that are neither backend nor isolated.

    Those that are, are told themselves.
    """
    held = [target for group in lambda_groups(template) for target in targets_of(group)]
    behind = [backend.function for backend in backends]
    return [
        one
        for one in template.of_type("AWS::Lambda::Function")
        if any(refers_to(target, one) for target in held)
        and not (is_ours(one) or tenancy_of(one) or any(is_named(one, text, template) for text in behind))
    ]


def is_ours(function: Resource) -> bool:
    """Whether its handler is one of this package."""
    command = part_of(function, "ImageConfig").get("Command")
    image = command[0] if isinstance(command, list) and command else ""
    return str(function.properties.get("Handler", image)).startswith("lattice_bridge.")


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
    return part_of(function, "Environment", "Variables")


def part_of(resource: Resource, *keys: str) -> dict[str, Any]:
    """A map at any depth among its properties; empty if it is not there, or only a deployed stack knows it.

    Raises:
        BadTemplate: it is no map.
    """
    value: Any = resource.properties
    for depth, key in enumerate(keys, start=1):
        value = value.get(key)
        if value is None or (isinstance(value, str) and unresolved(value)):
            return {}
        if not isinstance(value, dict):
            raise BadTemplate(f"{'.'.join((resource.id, *keys[:depth]))}: {value!r} is no map")
    return dict(value)


def maps_in(value: object) -> list[dict[str, Any]]:
    """The maps in a list; none if only a deployed stack knows it."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def lambda_groups(template: Template) -> list[Resource]:
    """The target groups of type LAMBDA, as far as is known."""
    groups = template.of_type("AWS::VpcLattice::TargetGroup")
    kinds = [(group, group.properties.get("Type")) for group in groups]
    return [group for group, kind in kinds if kind == "LAMBDA" or unresolved(kind)]


def targets_of(group: Resource) -> list[str]:
    """The ids of what is registered in a target group."""
    return [str(target.get("Id", "")) for target in maps_in(group.properties.get("Targets"))]


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


_BY_SAM: Final = {"Key": "lambda:createdBy", "Value": "SAM"}
"""The tag that AWS's translator puts on each function it makes."""


def alias_of(function: Resource, name: str) -> str:
    """What to write so that a function has an alias. AutoPublishAlias is SAM's: a plain function has no such key."""
    if _BY_SAM in (function.properties.get("Tags") or ()):
        return f"AutoPublishAlias: {name}, and !Ref {function.id}.Alias where the function is meant"
    return f"an AWS::Lambda::Version of the function, an AWS::Lambda::Alias {name} of it, and !Ref of that alias"
