"""The values of a template's parameters.

Rule: a value that CloudFormation refuses is refused here. A check needs a value for each parameter; the local stack
makes one for a parameter without a default, and names it.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, as_text, marker, without_dynamic

_LISTS: Final = ("CommaDelimitedList", "List<")
_MAX_CHARACTERS: Final = 4096
"""Of a parameter's value, as in CloudFormation."""
_MAX_STEPS: Final = 10**8
"""Of the search that an AllowedPattern may need."""
_IN_SSM: Final = "AWS::SSM::Parameter::Value"


def parameter_values(declared: Mapping[str, Any], given: Mapping[str, str], *, deployed: bool) -> dict[str, Any]:
    """The value of each parameter: a text, or a list of texts.

    Args:
        declared: the section Parameters.
        given: values; the other parameters have their defaults.
        deployed: values in SSM are unresolved. Otherwise the parameter's own text replaces them.

    Raises:
        BadTemplate: a parameter has no value, or one that is not allowed; or `given` names an unknown one.
    """
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise BadTemplate(f"no parameter {unknown[0]} in the template; it has {', '.join(declared) or 'none'}")
    return {name: _value(name, declaration, given, deployed=deployed) for name, declaration in declared.items()}


def _fault(text: str, declaration: Mapping[str, Any]) -> str | None:
    """The reason why CloudFormation refuses a value, or an item of a list; None if it accepts it."""
    allowed = [as_text(option) for option in declaration.get("AllowedValues") or []]
    if allowed and text not in allowed:
        return f"is not one of {', '.join(allowed)}"
    if str(declaration.get("Type")) in ("Number", "List<Number>"):
        try:
            number = float(text)
        except ValueError:
            return "is not a number"
        least, most = declaration.get("MinValue", "-inf"), declaration.get("MaxValue", "inf")
        if not float(least) <= number <= float(most):
            return f"is not between {least} and {most}"
    if not int(declaration.get("MinLength", 0)) <= len(text) <= int(declaration.get("MaxLength", len(text))):
        least, most = declaration.get("MinLength", 0), declaration.get("MaxLength", "any number")
        return f"has {len(text)} character{'' if len(text) == 1 else 's'}, and may have {least} to {most}"
    pattern = declaration.get("AllowedPattern")
    if pattern is None:
        return None
    with contextlib.suppress(re.error, FutureWarning), warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # for Java's syntax that Python reads differently
        if _is_quick(str(pattern), text) and not re.fullmatch(str(pattern), text):
            return f"does not match {pattern}"
    return None


def _is_quick(pattern: str, text: str) -> bool:
    """Whether a pattern can be tried. Python may need years for `(a+)+b`, so AWS alone tries such a pattern.

    Each repetition may match any number of the text's characters, and each choice doubles the number of attempts.
    """
    loops = len(re.findall(r"[*+]|\{[0-9]*,[0-9]*\}", pattern))
    choices = len(re.findall(r"[?|]", pattern))
    nested = re.search(r"\)[*+{]", pattern) is not None
    return not nested and (len(text) + 1) ** min(loops, 30) * 2 ** min(choices, 30) <= _MAX_STEPS


def _value(name: str, declaration: Mapping[str, Any], given: Mapping[str, str], *, deployed: bool) -> Any:
    value = given.get(name, declaration.get("Default"))
    if value is None:
        pattern = f", which has to match {declaration['AllowedPattern']}" if "AllowedPattern" in declaration else ""
        raise BadTemplate(f"parameter {name}: no value and no default. Fix: --parameter {name}=…{pattern}")
    kind = str(declaration.get("Type"))
    if (length := len(as_text(value))) > _MAX_CHARACTERS:
        raise BadTemplate(f"parameter {name}: has {length:,} characters. Fix: give {_MAX_CHARACTERS:,} at most")
    parts = _parts(declaration, value)
    for part in parts:
        if (fault := _fault(part, declaration)) is not None:
            raise BadTemplate(f"parameter {name}: {part!r} {fault}")
    if deployed and kind.startswith(_IN_SSM):
        return marker(f"SSM parameter {value}")
    parts = [without_dynamic(part) for part in parts]
    if any(one in kind for one in _LISTS):
        return parts
    return parts[0] if isinstance(value, bool | str) else value


# ---- stand-ins -------------------------------------------------------------------------------------------------------

_MAX_PARAMETERS: Final = 200
"""As in CloudFormation. Each candidate is compared with the pattern of its parameter, which takes time."""
_ID: Final = "0a1b2c3d4e5f60718"
_USER_POOL: Final = "us-east-1_a1B2c3D4e"
_AWS_TYPES: Final[Mapping[str, str]] = {
    "AWS::EC2::AvailabilityZone::Name": "us-east-1{letter}",
    "AWS::EC2::Image::Id": f"ami-{_ID}",
    "AWS::EC2::Instance::Id": f"i-{_ID}",
    "AWS::EC2::KeyPair::KeyName": "local-key",
    "AWS::EC2::SecurityGroup::GroupName": "local-group-{letter}",
    "AWS::EC2::SecurityGroup::Id": f"sg-{_ID}{{letter}}",
    "AWS::EC2::Subnet::Id": f"subnet-{_ID[:-1]}{{letter}}",
    "AWS::EC2::VPC::Id": f"vpc-{_ID}",
    "AWS::EC2::Volume::Id": f"vol-{_ID}",
    "AWS::Route53::HostedZone::Id": "Z0123456789ABCDEFGHIJ",
    "AWS::SSM::Parameter::Name": "/local/parameter",
}
"""AWS-specific type → its stand-in. `letter` numbers the items of a list."""
_SAMPLES: Final = (
    *("https://example.com", "user@example.com", "example.com", "10.0.0.0/16", "192.0.2.1", ACCOUNT, "us-east-1"),
    *(
        "arn:aws:iam::123456789012:role/local",
        "/local/parameter",
        f"vpc-{_ID}",
        f"subnet-{_ID}",
        "local",
        "Local1",
        "1",
    ),
    *("rate(1 day)", "cron(0 12 * * ? *)", "12:00", "true", "2030-01-01"),
)
"""Tried for a String whose AllowedPattern does not match its name."""
_HINTS: Final = (
    (re.compile(r"e-?mail", re.IGNORECASE), "user@example.com"),
    (re.compile(r"user_?pool_?arn$", re.IGNORECASE), f"arn:aws:cognito-idp:us-east-1:{ACCOUNT}:userpool/{_USER_POOL}"),
    (re.compile(r"user_?pool_?(id)?$", re.IGNORECASE), _USER_POOL),
    (re.compile(r"arn$", re.IGNORECASE), f"arn:aws:local:us-east-1:{ACCOUNT}:{{name}}"),
    (re.compile(r"(url|uri)$", re.IGNORECASE), "https://example.com/"),
    (re.compile(r"(domain|domain_?name|host|host_?name|endpoint)$", re.IGNORECASE), "example.com"),
    (re.compile(r"vpc_?id$", re.IGNORECASE), f"vpc-{_ID}"),
    (re.compile(r"account_?(id)?$", re.IGNORECASE), ACCOUNT),
    (re.compile(r"region$", re.IGNORECASE), "us-east-1"),
    (re.compile(r"cidr", re.IGNORECASE), "10.0.0.0/16"),
)
"""What the name of a String suggests. A function may parse the value."""


def stand_ins(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """A value for each parameter that has neither a value nor a default, as far as one is found that it accepts.

    Args:
        declared: the section Parameters.
        given: values.
    """
    found: dict[str, str] = {}
    for name, declaration in islice(declared.items(), _MAX_PARAMETERS):
        if name in given or not isinstance(declaration, dict) or declaration.get("Default") is not None:
            continue
        value = next((value for value in _candidates(name, declaration) if _accepts(declaration, value)), None)
        if value is not None:
            found[name] = value
    return found


def hides(document: Mapping[str, Any], name: str) -> bool:
    """Whether the value of a parameter is not shown: `NoEcho`."""
    return as_text((document.get("Parameters") or {})[name].get("NoEcho", False)).lower() == "true"


def _accepts(declaration: Mapping[str, Any], value: str) -> bool:
    return all(_fault(part, declaration) is None for part in _parts(declaration, value))


def _parts(declaration: Mapping[str, Any], value: object) -> list[str]:
    text = as_text(value)
    is_list = any(one in str(declaration.get("Type")) for one in _LISTS)
    return [part.strip() for part in text.split(",")] if is_list else [text]


def _candidates(name: str, declaration: Mapping[str, Any]) -> Iterator[str]:
    """Values that a parameter may accept, the most useful first."""
    kind = str(declaration.get("Type"))
    item = kind.removeprefix(_IN_SSM).strip("<>").removeprefix("List<").strip(">")
    if declaration.get("AllowedValues"):
        yield as_text(declaration["AllowedValues"][0])
    elif kind.startswith(_IN_SSM):
        yield f"/local/{name}"
    elif item in _AWS_TYPES:
        one = _AWS_TYPES[item]
        yield ",".join(one.format(letter=letter) for letter in ("ab" if kind.startswith("List<") else "a"))
    elif item == "Number":
        yield from map(as_text, (declaration.get("MinValue", 1), declaration.get("MaxValue", 1)))
    else:
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()
        yield from (value.format(name=plain) for pattern, value in _HINTS if pattern.search(name))
        yield from (plain, plain.replace("-", ""), name)
        lengths = (int(declaration.get(bound, 0)) for bound in ("MinLength", "MaxLength"))
        for length in (min(length, _MAX_CHARACTERS) for length in lengths if length > 0):
            yield from (plain.ljust(length, "0")[:length], f"Local1!{'0' * length}"[:length], "1" * length)
        yield from _SAMPLES
