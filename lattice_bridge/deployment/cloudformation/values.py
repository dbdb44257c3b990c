"""A template's values: scalars, parameters, and placeholders for what only a deployed stack knows.

Rule: an unresolved value stays visible in every text that contains it, as a marker. A marker has neither `:` nor `/`,
so that a partly known name can still be taken out of an ARN.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.identifiers import Identifiers, Shape, bucket_name, identifiers
from lattice_bridge.deployment.cloudformation.text import BadTemplate

# ---- scalars and markers ---------------------------------------------------------------------------------------------

_TAIL: Final = " is not resolved locally}"
MARKER: Final = re.compile(r"\{[^{}]*" + re.escape(_TAIL))
_DYNAMIC: Final = re.compile(rf"\{{\{{(resolve:(?:[^{{}}]|{MARKER.pattern})*)\}}\}}")


def as_text(value: object) -> str:
    """A scalar as CloudFormation writes it into a text: YAML's `yes` is `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def marker(what: str) -> str:
    """The text that replaces a value of a deployed stack.

    Args:
        what: the source of the value, as in `Fn::ImportValue name`.
    """
    plain = re.sub(r"\W+", _separator, what.removeprefix("Fn::").removeprefix("AWS::")).strip()
    return f"{{{plain}{_TAIL}"


def _separator(separator: re.Match[str]) -> str:
    return " " if any(mark in separator[0] for mark in ":/{}") else separator[0]


def unresolved(value: object) -> bool:
    """Whether only a deployed stack knows a value, or a part of it."""
    return MARKER.search(str(value)) is not None


def split(text: str, separator: str) -> list[str]:
    """The parts of a text. A marker in it is not split."""
    markers = iter(MARKER.findall(text))
    return [re.sub("\0", lambda _: next(markers), part) for part in MARKER.sub("\0", text).split(separator)]


def without_dynamic(text: str) -> str:
    """A text with a marker for each `{{resolve:…}}`, which CloudFormation fills in when it deploys."""
    return _DYNAMIC.sub(lambda match: marker(match[1]), text)


# ---- parameters -----------------------------------------------------------------------------------------------------

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
    with contextlib.suppress(re.error, FutureWarning), warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # for Java's syntax that Python reads differently
        if pattern is not None and _is_quick(str(pattern), text) and not re.fullmatch(str(pattern), text):
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
        raise BadTemplate(f"parameter {name}: no value and no default. Fix: --parameter {name}=…")
    kind = str(declaration.get("Type"))
    is_list = any(one in kind for one in _LISTS)
    if (length := len(as_text(value))) > _MAX_CHARACTERS:
        raise BadTemplate(f"parameter {name}: has {length:,} characters. Fix: give {_MAX_CHARACTERS:,} at most")
    parts = [part.strip() for part in as_text(value).split(",")] if is_list else [as_text(value)]
    for part in parts:
        if (fault := _fault(part, declaration)) is not None:
            raise BadTemplate(f"parameter {name}: {part!r} {fault}")
    if deployed and kind.startswith(_IN_SSM):
        return marker(f"SSM parameter {value}")
    if deployed:
        parts = [without_dynamic(part) for part in parts]
    if is_list:
        return parts
    return parts[0] if isinstance(value, bool | str) else value


# ---- placeholders ---------------------------------------------------------------------------------------------------

ACCOUNT: Final = "123456789012"
GENERATED: Final = marker("what CloudFormation appends")
"""The end of a name that CloudFormation generates."""

FUNCTIONS: Final = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_PARTITIONS: Final = (
    *(("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso")),
    ("eusc-", "aws-eusc"),
)


class Placeholders:
    """The names that a deployment would give: account, stack, ids. Made from logical ids, so that they stay the same.

    Args:
        region: the value of `AWS::Region`, unless `given` has another.
        given: pseudo parameters, such as `AWS::StackName`, that are known.
        deployed: names that CloudFormation would choose are unresolved; otherwise the local stack's names replace them.
        ids: ids of deployed resources, by logical id, in place of generated ones.

    Attributes:
        pseudo: the pseudo parameters with their values.
        undecided: markers for the pseudo parameters that were not given, so that a placeholder decides no condition.

    Raises:
        BadTemplate: the account is not 12 digits.
    """

    def __init__(
        self, region: str, given: Mapping[str, str], *, deployed: bool, ids: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._deployed = deployed
        self._ids = ids
        self.region = given.get("AWS::Region", region)
        self._partition = next((name for start, name in _PARTITIONS if self.region.startswith(start)), "aws")
        self.account = given.get("AWS::AccountId", ACCOUNT)
        if not re.fullmatch(r"[0-9]{12}", self.account):
            raise BadTemplate(f"AWS::AccountId: {self.account!r} is not 12 digits")
        self._stack = given.get("AWS::StackName", marker("AWS::StackName") if deployed else "local")
        unique = "51af3dc0-da77-11e4-872e-1234567db123"
        chosen = {
            "AWS::Region": self.region,
            "AWS::AccountId": self.account,
            "AWS::Partition": self._partition,
            "AWS::StackName": self._stack,
            "AWS::StackId": f"arn:{self._partition}:cloudformation:{self._here}:stack/{self._stack}/{unique}",
            "AWS::URLSuffix": f"amazonaws.com{'.cn' if self._partition == 'aws-cn' else ''}",
            "AWS::NotificationARNs": marker("AWS::NotificationARNs"),
        }
        self.pseudo: Mapping[str, Any] = {name: given.get(name, value) for name, value in chosen.items()}
        self._scope: Mapping[str, str] = {
            "partition": self._partition,
            "region": self.region,
            "account": self.account,
            "suffix": as_text(self.pseudo["AWS::URLSuffix"]),
        }
        guessed = [name for name in ("AWS::AccountId", "AWS::Region") if deployed and name not in given]
        self.undecided: Mapping[str, Any] = {name: marker(name) for name in guessed}

    def function_name(self, name: str) -> str:
        """The name of a function without FunctionName."""
        return f"{self._stack}-{name}-{GENERATED}" if self._deployed else name

    def function_arn(self, function: str) -> str:
        return f"arn:{self._partition}:lambda:{self._here}:function:{function}"

    def version(self, name: str) -> str:
        """The number of a version, given its logical id."""
        return marker(f"the number of {name}") if self._deployed else "1"

    def attribute(self, name: str, attribute: str) -> str:
        """The value of an attribute that is not computed here."""
        return marker(f"{name}.{attribute}") if self._deployed else f"{name}.{attribute}"

    def identifiers(self, name: str, shape: Shape, own_name: object) -> Identifiers:
        """The identifiers of a resource that is not a function.

        Args:
            name: its logical id.
            shape: of its type.
            own_name: the value of the property that names it; None if it has none.
        """
        generated = bucket_name(name) if shape.name == "BucketName" else name
        own = generated if own_name is None else as_text(own_name)
        return identifiers(shape, name, own, self._scope, self._ids.get(name))

    @property
    def _here(self) -> str:
        return f"{self.region}:{self.account}"
