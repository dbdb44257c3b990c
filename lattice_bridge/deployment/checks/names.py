"""How a template's resources and bridge.toml refer to Lambda functions.

Rule: by name and qualifier; accounts and regions are compared where both sides are known, and a stand-in is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, GENERATED, MARKER, marker, unresolved
from lattice_bridge.deployment.iam.policy import matches

_FUNCTION: Final = re.compile(
    r"(?:arn:[^:]*:lambda:(?P<region>[^:]*):(?P<account>[^:]*):function:"
    r"|(?:(?P<region_>[a-z0-9-]+):)?(?P<account_>\d{12}):(?:function:)?|function:)?"
    r"(?P<name>[^:/]+)(?::(?P<qualifier>.+))?"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A function as a text names it.

    Attributes:
        name: its own.
        qualifier: an alias, a version, or None.
        region, account: where the text has them.
    """

    name: str
    qualifier: str | None = None
    region: str | None = field(default=None, compare=False)
    account: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


def named(text: object) -> Named | None:
    """The function that a name, a partial ARN or an ARN is of; None if it is something else."""
    match = _FUNCTION.fullmatch(str(text))
    if match is None:
        return None
    parts = match.groupdict()
    return Named(
        parts["name"], parts["qualifier"], parts["region"] or parts["region_"], parts["account"] or parts["account_"]
    )


def name_of(function: Resource) -> str:
    """A function's own name, of which a part may be unresolved."""
    return function.arn.rpartition(":")[2]


def is_generated(function: Resource) -> bool:
    """Whether CloudFormation chooses its name."""
    return name_of(function).endswith(GENERATED)


def is_misnamed(wanted: Named, function: Resource) -> bool:
    """Whether bridge.toml has the logical id of a function whose name CloudFormation chooses."""
    return is_generated(function) and wanted.name == function.id


def refers_to(text: object, function: Resource) -> bool:
    """Whether a text in the template names the function, whatever its qualifier."""
    found = named(text)
    return found is not None and found.name == name_of(function)


def is_function(wanted: Named, function: Resource, template: Template) -> bool:
    """Whether what bridge.toml names may be this function of the template; not if all of its name is unresolved."""
    known, name = template.given, name_of(function)
    both = ((wanted.account, known.get("AWS::AccountId")), (wanted.region, known.get("AWS::Region")))
    if not all(one is None or other is None or one == other for one, other in both):
        return False
    return has_name(function) and _may_match(_without_account(name, template), wanted.name)


def has_name(function: Resource) -> bool:
    """Whether some of its name is known."""
    return MARKER.sub("", name_of(function)) != ""


def _without_account(name: str, template: Template) -> str:
    """Of a name, the stand-in account is no part that could be compared."""
    return name if "AWS::AccountId" in template.given else name.replace(ACCOUNT, marker("AWS::AccountId"))


def covers(resource: str, wanted: Named, template: Template) -> bool | None:
    """Whether a policy's Resource is for what bridge.toml names; None if only a deployed stack knows."""
    known = template.given
    region, account = wanted.region or known.get("AWS::Region"), wanted.account or known.get("AWS::AccountId")
    fields = resource.split(":", 6)
    if len(fields) == 7:
        theirs = None if fields[3] == template.region and "AWS::Region" not in known else fields[3]
        owner = None if fields[4] == ACCOUNT and "AWS::AccountId" not in known else fields[4]
        tail = _without_account(fields[6], template)
        both = ((fields[2], "lambda"), (theirs, region), (owner, account), (fields[5], "function"), (tail, str(wanted)))
        if not all(one is None or other is None or _may_match(one, other) for one, other in both):
            return False
        return None if _is_open(resource, template) else True
    arn = f"arn:aws:lambda:{region or template.region}:{account or ACCOUNT}:function:{wanted}"
    reached = _may_match(resource, arn)
    return None if reached and unresolved(resource) else reached


def _is_open(resource: str, template: Template) -> bool:
    """Something is unresolved beside the name of one of the template's own functions."""
    found = named(resource)
    functions = [one for one in template.of_type("AWS::Lambda::Function") if has_name(one)]
    own = found is not None and any(found.name == name_of(one) for one in functions)
    return unresolved(found.qualifier if found is not None and own else resource)


def _may_match(pattern: str, text: str) -> bool:
    """Whether a pattern of IAM's may be for the text: anything may be where it is unresolved, and eight characters at
    least where CloudFormation appends some."""
    return matches(MARKER.sub("?*", pattern.replace(GENERATED, "?" * 8 + "*")), text)


def mentions(value: Any, function: Resource) -> bool:
    """Whether the function's ARN stands anywhere in a value, or what an ARN ends in."""
    wanted = re.compile(rf"(?<![A-Za-z0-9_-])function:{re.escape(name_of(function))}(?![A-Za-z0-9_-])")
    return any(wanted.search(text) for text in texts(value))


def entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key in a value with what it has, at any depth."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield str(key), entry
            yield from entries(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from entries(entry)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, at any depth, the keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)
