"""Policy documents: what a statement is about, and whom it names.

Rule: this is not IAM's evaluation, and does not pretend to be. What a condition comes to is for whoever asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

INVOKE: Final = "lambda:InvokeFunction"
LOOKS: Final = ("lambda:get", "lambda:list")
"""How actions on a function begin that change nothing, in lower case."""
_POSITIVE: Final = frozenset({"ArnEquals", "ArnLike", "StringEquals", "StringEqualsIgnoreCase", "StringLike"})


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
        not_actions, not_resources: in their stead; None where it has none.
        conditions: operator, key in lower case, values.
        all_but: its principals stand under NotPrincipal: everybody else is meant.
    """

    sid: str
    effect: Literal["Allow", "Deny"]
    principals: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_actions: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    all_but: bool = False

    def names_action(self, action: str) -> bool:
        if self.not_actions is not None:
            return not any(matches(pattern.lower(), action.lower()) for pattern in self.not_actions)
        return any(matches(pattern.lower(), action.lower()) for pattern in self.actions)

    def names_resource(self, resource: str) -> bool:
        if self.not_resources is not None:
            return not any(matches(pattern, resource) for pattern in self.not_resources)
        return any(matches(pattern, resource) for pattern in self.resources)

    @property
    def only_looks(self) -> bool:
        """It is about nothing but reading what a function is."""
        reads = [action.lower().startswith(LOOKS) for action in self.actions]
        return bool(reads) and all(reads)

    def values(self, key: str) -> tuple[str, ...] | None:
        """What the conditions on a key leave of it, which all have to hold; None if nothing binds it.

        Only those count that ask for it to be equal, or alike. Not `…IfExists`: a request without the key passes that.
        """
        asked = [values for operator, one, values in self.conditions if one == key and operator in _POSITIVE]
        if not asked:
            return None
        every = dict.fromkeys(value for values in asked for value in values)
        return tuple(one for one in every if all(any(_overlap(other, one) for other in values) for values in asked))

    def binds_only(self, *keys: str) -> bool:
        """Every condition is one that `values` of these keys tells."""
        return all(key in keys and operator in _POSITIVE for operator, key, _values in self.conditions)


def read_policy(document: object) -> tuple[Statement, ...]:
    """The statements of a policy: JSON's text, or what it says.

    Raises:
        BadPolicy: it is none.
    """
    return tuple(map(_statement, read_statements(document)))


def read_statements(document: object) -> tuple[Mapping[str, Any], ...]:
    """The statements of a policy, as they are written: each with an Effect, and a Condition that is one.

    Raises:
        BadPolicy: it is none.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise BadPolicy("not JSON") from error
    statements = _many(document.get("Statement") if isinstance(document, Mapping) else None)
    for found in statements:
        if not isinstance(found, Mapping) or found.get("Effect") not in ("Allow", "Deny"):
            raise BadPolicy("a statement without Effect")
        conditions = found.get("Condition") or {}
        if not isinstance(conditions, Mapping) or not all(isinstance(keys, Mapping) for keys in conditions.values()):
            raise BadPolicy("a condition that is none")
    return tuple(statements)


def _statement(found: Mapping[str, Any]) -> Statement:
    return Statement(
        str(found.get("Sid", "")),
        found["Effect"],
        tuple(_principals(found.get("Principal", found.get("NotPrincipal")))),
        _texts(found.get("Action")),
        _texts(found.get("Resource")),
        _texts(found["NotAction"]) if "NotAction" in found else None,
        _texts(found["NotResource"]) if "NotResource" in found else None,
        tuple(
            (str(operator), str(key).lower(), _texts(values))
            for operator, keys in (found.get("Condition") or {}).items()
            for key, values in keys.items()
        ),
        all_but="NotPrincipal" in found,
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


def is_pattern(text: str) -> bool:
    """It may be for more than itself."""
    return "*" in text or "?" in text or "${" in text


def matches(pattern: str, text: str) -> bool:
    """Whether a policy's pattern is for the text: `*` is any characters, `?` is one."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _overlap(other: str, text: str) -> bool:
    """Something may be both. Of two patterns that is taken for granted: rather too much is left than too little."""
    return matches(other, text) or (is_pattern(other) and is_pattern(text))


# ---- what an identity may do ----------------------------------------------------------------------------------------

Grant = Literal["allowed", "conditional", "denied", "absent"]


def granted(statements: Iterable[Statement], action: str, resource: str) -> Grant:
    """What a role's policies come to for an action on a resource.

    `conditional`: allowed under a condition only, or denied under one; conditions are not looked into.
    """
    about = [found for found in statements if found.names_action(action) and found.names_resource(resource)]
    denying = [found for found in about if found.effect == "Deny"]
    allowing = [found for found in about if found.effect == "Allow"]
    if any(not found.conditions for found in denying):
        return "denied"
    if not allowing:
        return "absent"
    return "conditional" if denying or all(found.conditions for found in allowing) else "allowed"
