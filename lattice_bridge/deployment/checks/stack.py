"""A template's functions beside bridge.toml: the bridges, the isolated ones, and the texts that name them.

Rule: which functions are bridges, and whether a text names a function, is decided here alone. Accounts and regions are
compared if both are known; a placeholder is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.config.options import Backend, Options
from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, GENERATED, MARKER, as_text, marker, unresolved
from lattice_bridge.deployment.iam.policy import is_pattern, matches
from lattice_bridge.deployment.sources.facts import name_of_source
from lattice_bridge.events.record import BUS, service_of
from lattice_bridge.review.finding import Finding, Level

_GENERATED: Final = re.compile(rf"(?:{MARKER.pattern}|[\w-]+)-(\w+)-{re.escape(GENERATED)}")
AUTHORIZER_HANDLER: Final = "lattice_bridge.authorizer.handler"
NOT_KNOWN: Final = "Only a deployed stack knows this, so it was not checked"
ONLY_LATTICE: Final = "Only Lattice may invoke the bridge: any other caller writes the caller's identity into the event"

PIPE: Final = "AWS::Pipes::Pipe"
NO_TENANT: Final = "Whatever invokes an isolated function has to send a tenant id, and this does not"


@dataclass(frozen=True, slots=True)
class TemplateFinding(Finding):
    """A finding about a template. Its `subject` is a resource's logical id.

    Attributes:
        actual: what the template contains.
        expected: what has to be, and the reason.
        fix: what to write.
    """

    actual: str
    expected: str
    fix: str


def finding(resource: str, actual: str, expected: str, fix: str, level: Level = "error") -> TemplateFinding:
    """A finding; none of the texts ends in a full stop.

    If CloudFormation generates a function's name, the texts contain its logical id instead.
    """
    actual, expected, fix = (_GENERATED.sub(r"\1", text) for text in (actual, expected, fix))
    return TemplateFinding(level, resource, f"{resource}: {actual}. {expected}. Fix: {fix}.", actual, expected, fix)


def warning(resource: str, actual: str, expected: str, fix: str) -> TemplateFinding:
    """A finding that is probably a mistake, or that only a person can decide."""
    return finding(resource, actual, expected, fix, "warning")


# ---- names of functions ---------------------------------------------------------------------------------------------

_FUNCTION: Final = re.compile(
    r"(?:arn:[^:]*:lambda:(?P<region>[^:]*):(?P<account>[^:]*):function:"
    r"|(?:(?P<region_>[a-z0-9-]+):)?(?P<account_>\d{12}):(?:function:)?|function:)?"
    r"(?P<name>[^:/]+)(?::(?P<qualifier>.+))?"
)


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """A function as a text names it.

    Attributes:
        name: without account and region.
        qualifier: an alias, a version, or None.
        region, account: None if the text does not contain them.
    """

    name: str
    qualifier: str | None = None
    region: str | None = field(default=None, compare=False)
    account: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


def parse_reference(text: object) -> FunctionReference | None:
    """The function that a name, a partial ARN or an ARN names; None if the text is something else.

    >>> str(parse_reference("arn:aws:lambda:eu-west-1:123456789012:function:orders:live"))
    'orders:live'
    """
    match = _FUNCTION.fullmatch(str(text))
    if match is None:
        return None
    parts = match.groupdict()
    return FunctionReference(
        parts["name"], parts["qualifier"], parts["region"] or parts["region_"], parts["account"] or parts["account_"]
    )


def name_of(function: Resource) -> str:
    """A function's own name, of which a part may be unresolved."""
    return function.arn.rpartition(":")[2]


def has_name(function: Resource) -> bool:
    """Whether some part of a function's name is known."""
    return MARKER.sub("", name_of(function)) != ""


def is_generated(function: Resource) -> bool:
    """Whether CloudFormation chooses a function's name."""
    return name_of(function).endswith(GENERATED)


def refers_to(text: object, function: Resource) -> bool:
    """Whether a text in the template names a function, with any qualifier."""
    found = parse_reference(text)
    return found is not None and found.name == name_of(function)


def resources_of(function: Resource, template: Template, kind: str, key: str = "FunctionName") -> list[Resource]:
    """The resources of a type that name a function under a key, with any qualifier."""
    return [one for one in template.of_type(kind) if refers_to(one.properties.get(key), function)]


def holds(group: Resource, function: Resource) -> bool:
    """Whether a function is a target of a target group."""
    return any(refers_to(target, function) for target in targets_of(group))


def is_logical_id(wanted: FunctionReference, function: Resource) -> bool:
    """Whether bridge.toml contains the logical id of a function whose name CloudFormation chooses."""
    return is_generated(function) and wanted.name == function.id


def is_function(wanted: FunctionReference, function: Resource, template: Template) -> bool:
    """Whether bridge.toml's name may be a function's. False if no part of the function's name is known."""
    known = template.given
    both = ((wanted.account, known.get("AWS::AccountId")), (wanted.region, known.get("AWS::Region")))
    if not all(one is None or other is None or one == other for one, other in both):
        return False
    return has_name(function) and may_be(without_placeholder(name_of(function), template), wanted.name)


def without_placeholder(name: str, template: Template) -> str:
    """A name in which the account is unresolved if it is only a placeholder."""
    return name if "AWS::AccountId" in template.given else name.replace(ACCOUNT, marker("AWS::AccountId"))


def may_be(pattern: str, text: str) -> bool:
    """Whether an IAM pattern may match a text: an unresolved part is any text, and a generated end has at least eight
    characters."""
    return matches(MARKER.sub("?*", pattern.replace(GENERATED, "?" * 8 + "*")), text)


# ---- the stack ------------------------------------------------------------------------------------------------------

Invoked: TypeAlias = Backend | EventSource
"""A table of bridge.toml that names a function."""


def consequence(invoked: Invoked, reason: str) -> str:
    """What happens to each request, or to each record, for which Lambda refuses an Invoke."""
    if isinstance(invoked, Backend):
        return f"every request to {invoked.path} is a 500 ({reason})"
    name = name_of_source(invoked.arn)
    return f"every {'event' if service_of(invoked.arn) == BUS else 'record'} of {name} fails ({reason})"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A function that is the bridge, and what bridge.toml lets it invoke."""

    function: Resource
    backends: tuple[Backend, ...]
    sources: tuple[EventSource, ...] = ()

    @property
    def invoked(self) -> tuple[Invoked, ...]:
        return (*self.backends, *self.sources)


@dataclass(frozen=True, slots=True)
class MapNeeds:
    """What a map reads of a request, as far as a template decides whether it is there.

    Attributes:
        certified: ids of the rules that read the certificate in a Lattice event.
        headers: names of the headers that choose or prove a tenant, in lower case.
        from_authorizer: ids of the rules that read the result of an API's authorizer.
        certificates: ids of the rules that read the certificate of an API's client.
        vpcs: ids of the rules that read the VPC that a request came from.
        admits_anyone: a rule is for callers without a credential.
        trusted_sources: (ARN, id) of the rules that allow by a source alone, for every sender.
    """

    certified: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    from_authorizer: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    vpcs: tuple[str, ...] = ()
    admits_anyone: bool = False
    trusted_sources: tuple[tuple[str, str], ...] = ()


NO_NEEDS: Final = MapNeeds()


@dataclass(frozen=True, slots=True)
class Stack:
    """A translated and resolved template beside bridge.toml.

    Attributes:
        template: the template.
        bridges: functions with the bridge's handler; if there are none, those in Lattice's target groups.
        compared: whether a bridge.toml loads, so that the backends are known.
        options: of bridge.toml; the defaults if it does not load.
        needs: what the map in bridge.toml reads of a request.
        authorizers: functions with the authorizer's handler.
    """

    template: Template
    bridges: tuple[Bridge, ...]
    compared: bool
    options: Options = field(default_factory=Options)
    needs: MapNeeds = NO_NEEDS
    authorizers: tuple[Resource, ...] = ()

    @property
    def functions(self) -> list[Resource]:
        return self.template.of_type("AWS::Lambda::Function")

    @property
    def groups(self) -> list[Resource]:
        return self.template.of_type("AWS::VpcLattice::TargetGroup")

    @property
    def backends(self) -> list[Backend]:
        """The backends of all bridges, each once."""
        return list(dict.fromkeys(backend for bridge in self.bridges for backend in bridge.backends))

    @property
    def invoked(self) -> list[Invoked]:
        """The backends and event sources of all bridges, each once."""
        return list(dict.fromkeys(one for bridge in self.bridges for one in bridge.invoked))

    @property
    def isolated(self) -> list[Resource]:
        """Functions that are isolated, or that bridge.toml calls isolated."""
        isolated = [one.function for one in self.invoked if one.isolated]
        own = {*(bridge.function.id for bridge in self.bridges), *(one.id for one in self.authorizers)}
        others = [one for one in self.functions if one.id not in own]
        return [
            one for one in others if has_tenancy(one) or any(is_named(one, text, self.template) for text in isolated)
        ]

    def may_be_bridge(self, text: object) -> Bridge | None:
        """The bridge whose partly known name a text may be; None if the text certainly names another function."""
        found = parse_reference(text)
        if found is None or unresolved(found.name) or is_pattern(found.name):
            return None
        others = [parse_reference(one.function) for one in self.invoked]
        if found.name in [one.name for one in others if one] or self.names_function(text):
            return None
        return next((one for one in self.bridges if is_function(found, one.function, self.template)), None)

    def names_function(self, text: object) -> bool:
        """Whether a text names a function of the template."""
        return any(refers_to(text, one) for one in self.functions)


def stack_of(template: Template, options: Options | None, needs: MapNeeds = NO_NEEDS) -> Stack:
    """The stack that a template makes.

    Args:
        template: translated and resolved.
        options: of bridge.toml; None if it does not load.
        needs: what the map reads of a request.
    """
    known = options or Options()
    bridges = [one for one in template.of_type("AWS::Lambda::Function") if has_bridge_handler(one)]
    authorizers = tuple(one for one in template.of_type("AWS::Lambda::Function") if has_authorizer_handler(one))
    return Stack(
        template,
        tuple(
            Bridge(one, known.with_function(_function_variable(one)).backends, known.event_sources)
            for one in bridges or held_by_lattice(template, (*known.backends, *known.event_sources))
        ),
        options is not None,
        known,
        needs,
        authorizers,
    )


def held_by_lattice(template: Template, invoked: Iterable[Invoked]) -> list[Resource]:
    """The functions with another handler in Lattice's target groups that bridge.toml does not name, and that are not
    isolated."""
    behind = [one.function for one in invoked]
    return [
        one
        for one in template.of_type("AWS::Lambda::Function")
        if any(holds(group, one) for group in lambda_groups(template))
        and not (has_bridge_handler(one) or has_tenancy(one) or any(is_named(one, text, template) for text in behind))
    ]


def has_bridge_handler(function: Resource) -> bool:
    """Whether a function's handler is one of this package, and not the authorizer's."""
    return _handler_of(function).startswith("lattice_bridge.") and not has_authorizer_handler(function)


def has_authorizer_handler(function: Resource) -> bool:
    """Whether a function is the map as a Lambda authorizer."""
    return _handler_of(function) == AUTHORIZER_HANDLER


def _handler_of(function: Resource) -> str:
    command = part_of(function, "ImageConfig").get("Command")
    image = command[0] if isinstance(command, list) and command else ""
    return str(function.properties.get("Handler", image))


def is_named(function: Resource, text: str, template: Template) -> bool:
    """Whether bridge.toml's text for a function may name this one."""
    found = parse_reference(text)
    return found is not None and is_function(found, function, template)


def _function_variable(function: Resource) -> str | None:
    """The backend that the environment names; None if only a deployed stack knows, which is a finding of its own."""
    found = variables_of(function).get(FUNCTION_VARIABLE)
    return None if found is None or unresolved(found) else str(found)


# ---- properties of resources ----------------------------------------------------------------------------------------


def has_tenancy(function: Resource) -> bool:
    """Whether a function has a TenancyConfig, spelled correctly or not."""
    return bool(function.properties.get("TenancyConfig"))


def lambda_groups(template: Template) -> list[Resource]:
    """The target groups of type LAMBDA, and those whose type is unresolved."""
    groups = template.of_type("AWS::VpcLattice::TargetGroup")
    kinds = [(group, group.properties.get("Type")) for group in groups]
    return [group for group, kind in kinds if kind == "LAMBDA" or unresolved(kind)]


def targets_of(group: Resource) -> list[str]:
    """The ids of a target group's targets."""
    return [str(target.get("Id", "")) for target in maps_in(group.properties.get("Targets"))]


def variables_of(function: Resource) -> dict[str, object]:
    """A function's environment variables."""
    return part_of(function, "Environment", "Variables")


def part_of(resource: Resource, *keys: str) -> dict[str, Any]:
    """A map in a resource's properties, at a path of keys; empty if it is missing or unresolved.

    Raises:
        BadTemplate: the value is not a map.
    """
    value: Any = resource.properties
    for depth, key in enumerate(keys, start=1):
        value = value.get(key)
        if value is None or (isinstance(value, str) and unresolved(value)):
            return {}
        if not isinstance(value, dict):
            raise BadTemplate(f"{'.'.join((resource.id, *keys[:depth]))}: {value!r} is not a map")
    return dict(value)


def maps_in(value: object) -> list[dict[str, Any]]:
    """The maps in a list; none if it is unresolved."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def items_of(value: object) -> list[Any]:
    """The items of a value that may be one item, a list, or missing."""
    return [] if value is None else value if isinstance(value, list) else [value]


def seconds_of(resource: Resource, key: str, default: float) -> float | None:
    """A number of seconds in a resource's properties; None if it is unresolved.

    Raises:
        BadTemplate: it is not a positive number.
    """
    value = resource.properties.get(key, default)
    return None if unresolved(value) else number(value, resource.id, key)


def number_of(resource: Resource, key: str, default: float, least: float = 0) -> float | None:
    """A number in a resource's properties; None if it is unresolved.

    Raises:
        BadTemplate: it is no number, or a smaller one.
    """
    value = resource.properties.get(key, default)
    if unresolved(value):
        return None
    with suppress(ValueError):
        if least <= (found := float(as_text(value))) < float("inf"):
            return found
    raise BadTemplate(f"{resource.id}.{key}: {value!r} is not a number of {least:g} or more")


def whole_number_of(resource: Resource, key: str, default: int, least: int = 0) -> int | None:
    """As `number_of`, without what is behind the point."""
    found = number_of(resource, key, default, least)
    return None if found is None else int(found)


def flag_of(resource: Resource, key: str, default: bool) -> bool | None:
    """Whether a property is true; None if it is unresolved."""
    value = resource.properties.get(key, default)
    if unresolved(value):
        return None
    return as_text(value).lower() != "false" if default else as_text(value).lower() == "true"


# ---- what a value mentions ------------------------------------------------------------------------------------------


def mentions(value: Any, function: Resource) -> bool:
    """Whether a value contains the function's ARN, or the end of one, at any depth."""
    wanted = re.compile(rf"(?<![A-Za-z0-9_-])function:{re.escape(name_of(function))}(?![A-Za-z0-9_-])")
    texts = [value] if isinstance(value, str) else [text for pair in entries_of(value) for text in pair]
    return any(isinstance(text, str) and wanted.search(text) for text in texts)


def entries_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key in a value with its entry, at any depth. The items of a list have the empty key."""
    items = [("", one) for one in value] if isinstance(value, list) else []
    for key, entry in value.items() if isinstance(value, dict) else items:
        yield str(key), entry
        yield from entries_of(entry)


_BY_SAM: Final = {"Key": "lambda:createdBy", "Value": "SAM"}
"""The tag that AWS's translator adds to each function it makes."""


def alias_fix(function: Resource, name: str) -> str:
    """What to write so that a function has an alias. Only SAM's functions accept AutoPublishAlias."""
    if _BY_SAM in (function.properties.get("Tags") or ()):
        return f"write AutoPublishAlias: {name}, and !Ref {function.id}.Alias where the function is meant"
    return f"write an AWS::Lambda::Version of the function, an AWS::Lambda::Alias {name} of it, and !Ref of that alias"
