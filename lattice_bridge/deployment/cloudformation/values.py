"""A template's values: scalars, and placeholders for what only a deployed stack knows.

Rule: an unresolved value stays visible in every text that contains it, as a marker. A marker has neither `:` nor `/`,
so that a partly known name can still be taken out of an ARN.
"""

from __future__ import annotations

import re
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
    text = str(value)
    return _TAIL in text and MARKER.search(text) is not None  # hardly any value has one, and `in` is fast


def split(text: str, separator: str) -> list[str]:
    """The parts of a text. A marker in it is not split."""
    markers = iter(MARKER.findall(text))
    return [re.sub("\0", lambda _: next(markers), part) for part in MARKER.sub("\0", text).split(separator)]


def without_dynamic(text: str) -> str:
    """A text with a marker for each `{{resolve:…}}`, which CloudFormation fills in when it deploys."""
    if "{{resolve:" not in text:
        return text
    return _DYNAMIC.sub(lambda match: marker(match[1]), text)


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
        prefix: of the names of a nested stack's resources.

    Attributes:
        pseudo: the pseudo parameters with their values.
        undecided: markers for the pseudo parameters that were not given, so that a placeholder decides no condition.

    Raises:
        BadTemplate: the account is not 12 digits.
    """

    def __init__(
        self,
        region: str,
        given: Mapping[str, str],
        *,
        deployed: bool,
        ids: Mapping[str, str] = MappingProxyType({}),
        prefix: str = "",
    ) -> None:
        self._deployed = deployed
        self._ids = ids
        self._prefix = prefix
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
        return f"{self._stack}-{name}-{GENERATED}" if self._deployed else f"{self._prefix}{name}"

    def function_arn(self, function: str) -> str:
        return f"arn:{self._partition}:lambda:{self._here}:function:{function}"

    def version(self, name: str) -> str:
        """The number of a version, given its logical id."""
        return marker(f"the number of {name}") if self._deployed else "1"

    def attribute(self, name: str, attribute: str) -> str:
        """The value of an attribute that is not computed here."""
        return marker(f"{name}.{attribute}") if self._deployed else f"{name}.{attribute}"

    def identifiers(self, name: str, shape: Shape, own_name: object, ending: str = "") -> Identifiers:
        """The identifiers of a resource that is not a function.

        Args:
            name: its logical id.
            shape: of its type.
            own_name: the value of the property that names it; None if it has none.
            ending: of a name that CloudFormation generates.
        """
        own_id = f"{self._prefix}{name}"
        generated = bucket_name(own_id) if shape.name == "BucketName" else f"{own_id}{ending}"
        own = generated if own_name is None else as_text(own_name)
        return identifiers(shape, own_id, own, self._scope, self._ids.get(own_id))

    @property
    def _here(self) -> str:
        return f"{self.region}:{self.account}"
