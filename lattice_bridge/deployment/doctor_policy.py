"""Policy documents: what a statement allows, and whom.

Rule: this is not IAM's evaluation, and does not pretend to be. What it cannot judge, it says so of: `is_plain`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

INVOKE: Final = "lambda:InvokeFunction"
_INVOKES: Final = (INVOKE, "lambda:InvokeFunctionUrl", "lambda:InvokeAsync")


class BadPolicy(ValueError):
    """Not a policy document."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sid: its id; empty if it has none.
        effect: of it.
        principals: `Service`, `AWS`, `Federated` or `*`, each with whom; empty in an identity's policy.
        actions, resources: with their wildcards.
        conditions: operator, key in lower case, values.
        is_plain: it says Principal, Action and Resource, and none of their opposites.
    """

    sid: str
    effect: Literal["Allow", "Deny"]
    principals: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    is_plain: bool = True

    def names_action(self, action: str) -> bool:
        return any(matches(pattern.lower(), action.lower()) for pattern in self.actions)

    def names_resource(self, resource: str) -> bool:
        return any(matches(pattern, resource) for pattern in self.resources)

    @property
    def invokes(self) -> bool:
        """It may be about invoking a function."""
        return not self.actions or any(self.names_action(action) for action in _INVOKES)

    def values(self, *keys: str) -> tuple[str, ...]:
        """The values of the conditions that ask for one of `keys` to be equal, or alike. Not of `…IfExists`: a request
        without the key passes that."""
        return tuple(
            value
            for operator, key, values in self.conditions
            if key in keys and operator in _POSITIVE
            for value in values
        )


_POSITIVE: Final = frozenset({"ArnEquals", "ArnLike", "StringEquals", "StringEqualsIgnoreCase", "StringLike"})


def read_policy(document: object) -> tuple[Statement, ...]:
    """The statements of a policy: JSON's text, or what it says.

    Raises:
        BadPolicy: it is none.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise BadPolicy("not JSON") from error
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    return tuple(_statement(found) for found in _many(statements))


def _statement(found: Any) -> Statement:
    if not isinstance(found, Mapping) or found.get("Effect") not in ("Allow", "Deny"):
        raise BadPolicy("a statement without Effect")
    conditions = found.get("Condition") or {}
    if not isinstance(conditions, Mapping) or not all(isinstance(keys, Mapping) for keys in conditions.values()):
        raise BadPolicy("a condition that is none")
    return Statement(
        str(found.get("Sid", "")),
        found["Effect"],
        tuple(_principals(found.get("Principal"))),
        _texts(found.get("Action")),
        _texts(found.get("Resource")),
        tuple(
            (str(operator), str(key).lower(), _texts(values))
            for operator, keys in conditions.items()
            for key, values in keys.items()
        ),
        is_plain=not {"NotPrincipal", "NotAction", "NotResource"} & set(found),
    )


def _principals(found: Any) -> Iterator[tuple[str, str]]:
    if isinstance(found, Mapping):
        for kind, names in found.items():
            yield from ((("*" if name == "*" else str(kind)), name) for name in _texts(names))
    else:
        yield from (("*" if name == "*" else "AWS", name) for name in _texts(found))


def _many(found: Any) -> list[Any]:
    return [] if found is None else list(found) if isinstance(found, list) else [found]


def _texts(found: Any) -> tuple[str, ...]:
    return tuple(str(text) for text in _many(found))


def matches(pattern: str, text: str) -> bool:
    """Whether a policy's pattern is for the text: `*` is any characters, `?` is one."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


# ---- what an identity may do ----------------------------------------------------------------------------------------

Grant = Literal["allowed", "conditional", "denied", "absent", "unclear"]


def granted(statements: Iterable[Statement], action: str, resource: str) -> Grant:
    """What a role's policies come to for an action on a resource.

    `conditional`: under a condition only, which is not looked into; a deny under a condition is passed over.
    `unclear`: it depends on a statement that is not plain.
    """
    about = [
        found
        for found in statements
        if not found.is_plain or (found.names_action(action) and found.names_resource(resource))
    ]
    plain = [found for found in about if found.is_plain]
    if any(found.effect == "Deny" and not found.conditions for found in plain):
        return "denied"
    if any(not found.is_plain and found.effect == "Deny" for found in about):
        return "unclear"
    allowing = [found for found in plain if found.effect == "Allow"]
    if any(not found.conditions for found in allowing):
        return "allowed"
    if allowing:
        return "conditional"
    return "unclear" if any(not found.is_plain for found in about) else "absent"
