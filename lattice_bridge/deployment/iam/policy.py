"""Policy documents: what a statement is about, and whom it names.

Rule: this is not IAM's evaluation, and does not pretend to be. What a condition comes to is for whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.deployment.iam.condition import POSITIVE, Asked
from lattice_bridge.deployment.iam.pattern import matches, may_match

INVOKE: Final = "lambda:InvokeFunction"
LOOKS: Final = ("lambda:get", "lambda:list")
"""How actions on a function begin that change nothing, in lower case."""


class BadPolicy(ValueError):
    """Not a policy document."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sid: its id; empty if it has none.
        effect: of it.
        principals: `Service`, `AWS`, `Federated` or `*`, each with whom; empty in an identity's policy. `*` is for
            everybody, signed or not: `"*"` or `{"AWS": "*"}`. `{"Service": "*"}` is for every service alone.
        actions, resources: with their wildcards.
        not_actions, not_resources: in their stead; None where it has none.
        conditions: operator and key in lower case, values.
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
        """For sure: what a policy variable comes to is not known."""
        if self.not_resources is not None:
            return not any(may_match(pattern, resource) for pattern in self.not_resources)
        return any("${" not in pattern and matches(pattern, resource) for pattern in self.resources)

    def may_name_resource(self, resource: str) -> bool:
        """As far as can be told."""
        if self.not_resources is not None:
            return not any("${" not in pattern and matches(pattern, resource) for pattern in self.not_resources)
        return any(may_match(pattern, resource) for pattern in self.resources)

    @property
    def only_looks(self) -> bool:
        """It is about nothing but reading what a function is."""
        reads = [action.lower().startswith(LOOKS) for action in self.actions]
        return bool(reads) and all(reads)

    def values(self, key: str) -> tuple[Asked, ...] | None:
        """What the conditions on a key leave of it, which all have to hold; None if nothing binds it.

        Only those count that ask for it to be equal, or alike. Not `…IfExists`: a request without the key passes that.
        None left is no request at all.
        """
        asked = [
            [one for one in (Asked(operator, text) for text in values) if not one.is_for_nothing]
            for operator, name, values in self.conditions
            if name == key and operator in POSITIVE
        ]
        if not asked:
            return None
        every = dict.fromkeys(value for values in asked for value in values)
        return tuple(one for one in every if all(any(other.overlaps(one) for other in values) for values in asked))

    def holds_for(self, keys: Mapping[str, str]) -> bool:
        """Every condition holds, for sure, of a request with these keys."""
        return all(
            operator in POSITIVE and key in keys and any(Asked(operator, text).holds(keys[key]) for text in values)
            for operator, key, values in self.conditions
        )

    def may_hold_for(self, keys: Mapping[str, str]) -> bool:
        """No condition on one of these keys is known to fail. What others come to is not looked into."""
        return all(
            any(Asked(operator, text).may_hold(keys[key]) for text in values)
            for operator, key, values in self.conditions
            if key in keys and operator in POSITIVE
        )


def read_policy(document: object) -> tuple[Statement, ...]:
    """The statements of a policy: JSON's text, or what it says.

    Raises:
        BadPolicy: it is none.
    """
    return tuple(map(_statement, read_statements(document)))


def read_statements(document: object) -> tuple[Mapping[str, Any], ...]:
    """The statements of a policy, as they are written: each with an Effect, and a Condition that is one. None of them
    only if its Statement is an empty list.

    Raises:
        BadPolicy: it is none: not JSON, not an object, without a Statement, or one that is none.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise BadPolicy("not JSON") from error
    if not isinstance(document, Mapping) or document.get("Statement") is None:
        raise BadPolicy("no Statement in it")
    statements = _many(document["Statement"])
    for found in statements:
        if not isinstance(found, Mapping) or found.get("Effect") not in ("Allow", "Deny"):
            raise BadPolicy("a statement without Effect")
        if twice := [name for name in ("Principal", "Action", "Resource") if {name, f"Not{name}"} <= found.keys()]:
            raise BadPolicy(f"a statement with {twice[0]} and Not{twice[0]}")
        conditions = found.get("Condition") or {}
        if not isinstance(conditions, Mapping) or not all(isinstance(keys, Mapping) for keys in conditions.values()):
            raise BadPolicy("a condition that is none")
    return tuple(statements)


def _statement(found: Mapping[str, Any]) -> Statement:
    return Statement(
        str(found.get("Sid", "")),
        found["Effect"],
        tuple(_principals(found.get("Principal", found.get("NotPrincipal")))),
        texts_in(found.get("Action")),
        texts_in(found.get("Resource")),
        texts_in(found["NotAction"]) if "NotAction" in found else None,
        texts_in(found["NotResource"]) if "NotResource" in found else None,
        tuple(
            (str(operator).lower(), str(key).lower(), texts_in(values))
            for operator, keys in (found.get("Condition") or {}).items()
            for key, values in keys.items()
        ),
        all_but="NotPrincipal" in found,
    )


def _principals(found: Any) -> Iterator[tuple[str, str]]:
    if isinstance(found, Mapping):
        for kind, names in found.items():
            everybody = "*" if kind in ("*", "AWS") else str(kind)
            yield from ((everybody if name == "*" else str(kind), name) for name in texts_in(names))
    else:
        yield from (("*" if name == "*" else "AWS", name) for name in texts_in(found))


def _many(found: Any) -> list[Any]:
    return [] if found is None else list(found) if isinstance(found, list | tuple) else [found]


def texts_in(found: Any) -> tuple[str, ...]:
    """What may stand in a policy as one text, or as a list."""
    return tuple(str(text) for text in _many(found))
