"""IAM policies: patterns, statements and conditions, as template checks, doctor and the local stack read them.

Rule: each comparison says how sure it is. `names_resource` and `holds` are certain, `may_…` are as far as is known, and
`condition_holds` is for a request whose values are known. A policy variable `${…}` is never certain.

Sources: the pages reference_policies_*.html of the IAM User Guide, https://docs.aws.amazon.com/IAM/latest/UserGuide/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

INVOKE: Final = "lambda:InvokeFunction"
READ_ACTIONS: Final = ("lambda:get", "lambda:list")
"""Prefixes of the actions on a function that change nothing, in lower case."""
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
_ARN_PARTS: Final = 6
_ARN_OPERATORS: Final = frozenset({"arnequals", "arnlike"})
_WILDCARD_OPERATORS: Final = _ARN_OPERATORS | {"stringlike"}
POSITIVE: Final = _WILDCARD_OPERATORS | {"stringequals", "stringequalsignorecase"}
"""Operators that require a key to equal, or to be like, a value; in lower case."""


class BadPolicy(ValueError):
    """Not a policy document. The message says why."""


# ---- patterns -------------------------------------------------------------------------------------------------------


def is_pattern(text: str) -> bool:
    """Whether a text may match more than itself: it has a wildcard or a policy variable."""
    return "*" in text or "?" in text or "${" in text


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches a text: `*` is any characters, `?` is one.

    Takes at most length times length steps for any pattern: only the last star is tried again with more
    characters, because a longer match of an earlier star never helps a later one.

    >>> matches("arn:*:function:orders-?", "arn:aws:lambda:eu-west-1:123456789012:function:orders-1")
    True
    """
    at = place = 0
    star, taken = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, taken = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return not pattern[at:].strip("*")


def _matches_arn(pattern: str, text: str) -> bool:
    """Whether a pattern matches an ARN, part by part. A text without six parts never matches."""
    parts, others = pattern.split(":", 5), text.split(":", 5)
    return len(parts) == len(others) == _ARN_PARTS and all(map(matches, parts, others))


def _may_match(pattern: str, text: str) -> bool:
    """Whether a pattern matches a text for some values of its policy variables."""
    return matches(_VARIABLE.sub("*", pattern), text)


def covers(pattern: str, beginning: str) -> bool:
    """Whether a pattern matches every text that begins so: it ends in a star."""
    return pattern.endswith("*") and matches(pattern, beginning)


def overlap(one: str, other: str) -> bool:
    """Whether some text matches both of two patterns.

    >>> overlap("orders-*", "*-live"), overlap("orders-*", "history-*")
    (True, False)
    """
    seen, left = {(0, 0)}, [(0, 0)]
    while left:
        first, second = left.pop()
        mine, theirs = one[first : first + 1], other[second : second + 1]
        if not mine and not theirs:
            return True
        steps = {(first + 1, second)} if mine == "*" else set()
        steps |= {(first, second + 1)} if theirs == "*" else set()
        if mine and theirs and ("*" in (mine, theirs) or "?" in (mine, theirs) or mine == theirs):
            steps.add((first + (mine != "*"), second + (theirs != "*")))
        left += steps - seen
        seen |= steps
    return False


# ---- conditions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """A value that a condition requires of a key, with the operator that compares them.

    `*` and `?` are wildcards under StringLike, ArnLike and ArnEquals only. Under StringEquals they are characters, and
    no ARN or account contains them. ArnLike and ArnEquals compare the six parts of an ARN one by one.

    Attributes:
        operator: one of `POSITIVE`.
        text: the value, as written.
    """

    operator: str
    text: str

    @property
    def has_variable(self) -> bool:
        """Whether the request decides a part of it, through `${…}`."""
        return "${" in self.text

    @property
    def is_pattern(self) -> bool:
        """Whether it may match more than itself."""
        return self.has_variable or (self.operator in _WILDCARD_OPERATORS and is_pattern(self.text))

    @property
    def never_matches(self) -> bool:
        """Whether it matches no ARN and no account."""
        if self.is_pattern:
            return False
        return is_pattern(self.text) or (self.operator in _ARN_OPERATORS and len(self.text.split(":", 5)) < _ARN_PARTS)

    def holds(self, text: str) -> bool:
        """Whether the condition certainly holds for a request whose key has this value."""
        if self.has_variable or self.never_matches:
            return False
        return _matches_arn(self.text, text) if self.operator in _ARN_OPERATORS else self.may_hold(text)

    def may_hold(self, text: str) -> bool:
        """Whether the condition may hold for a request whose key has this value."""
        if self.has_variable or self.never_matches:
            return self.has_variable
        if self.operator == "stringequalsignorecase":
            return self.text.lower() == text.lower()
        return matches(self.text, text) if self.is_pattern else self.text == text

    def overlaps(self, other: ConditionValue) -> bool:
        """Whether one request may meet both. True for two patterns, and regardless of letter case: too many values are
        safer than too few."""
        if self.has_variable or (self.is_pattern and other.is_pattern):
            return True
        return ConditionValue(self.operator, self.text.lower()).may_hold(other.text.lower())


_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


def _number(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:  # `float` also accepts `nan`, `inf` and `1_0`
        raise ValueError
    return float(text)


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, text: compare(_number(text), _number(value))


_COMPARE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "stringequals": str.__eq__,
    "stringequalsignorecase": lambda value, text: value.lower() == text.lower(),
    "stringlike": matches,
    "arnequals": _matches_arn,
    "arnlike": _matches_arn,
    "bool": lambda value, text: value.lower() == text.lower(),
    "numericequals": _numbers(float.__eq__),
    "numericlessthan": _numbers(float.__lt__),
    "numericlessthanequals": _numbers(float.__le__),
    "numericgreaterthan": _numbers(float.__gt__),
    "numericgreaterthanequals": _numbers(float.__ge__),
}
"""Operator that is not negated → compares a value of the policy with one of the request."""

_NEGATED: Final[Mapping[str, str]] = {
    **{f"{kind}notequals": f"{kind}equals" for kind in ("string", "arn", "numeric")},
    **{f"{kind}notlike": f"{kind}like" for kind in ("string", "arn")},
    "stringnotequalsignorecase": "stringequalsignorecase",
}


def condition_holds(operator: str, values: tuple[str, ...], found: tuple[str, ...]) -> bool | None:
    """Whether a condition holds for a request, as reference_policies_elements_condition_operators.html defines it.

    None if that is not decided here: another operator (dates, IP addresses), a policy variable, a value that is no
    number under a numeric operator, or several values of the request without ForAllValues or ForAnyValue.

    Args:
        operator: in lower case.
        values: of the policy.
        found: the request's values of the condition's key; empty if the request lacks the key.
    """
    if operator == "null":
        return any((value.lower() == "true") is not bool(found) for value in values)
    quantifier, _, name = operator.rpartition(":")
    bare = name.removesuffix("ifexists")
    negated = bare in _NEGATED
    compare = _COMPARE.get(_NEGATED.get(bare, bare))
    if compare is None or quantifier not in ("", "foranyvalue", "forallvalues") or any("${" in one for one in values):
        return None
    if not found:
        return bare != name or quantifier == "forallvalues" or (negated and not quantifier)
    if len(found) > 1 and not quantifier:
        return None
    try:
        hits = [any(compare(value, text) for value in values) is not negated for text in found]
    except ValueError:
        return None
    return all(hits) if quantifier == "forallvalues" else any(hits)


# ---- statements -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    Attributes:
        sid: its id; empty if it has none.
        effect: `Allow` or `Deny`.
        principals: (kind, name) pairs, the kind being `Service`, `AWS`, `Federated` or `*`; empty in an identity's
            policy. `("*", "*")` is everybody, signed or not: `"*"` or `{"AWS": "*"}`. `("Service", "*")` is every
            service.
        actions, resources: with their wildcards.
        not_actions, not_resources: NotAction and NotResource; None if it has none.
        conditions: (operator, key, values), operator and key in lower case.
        all_but: whether the principals are those of NotPrincipal.
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
        """Whether it is about an action. Letter case does not matter."""
        patterns = self.actions if self.not_actions is None else self.not_actions
        return any(matches(one.lower(), action.lower()) for one in patterns) is (self.not_actions is None)

    def names_resource(self, resource: str) -> bool:
        """Whether it is certainly about a resource."""
        if self.not_resources is not None:
            return not any(_may_match(pattern, resource) for pattern in self.not_resources)
        return any("${" not in pattern and matches(pattern, resource) for pattern in self.resources)

    def may_name_resource(self, resource: str) -> bool:
        """Whether it may be about a resource."""
        if self.not_resources is not None:
            return not any("${" not in pattern and matches(pattern, resource) for pattern in self.not_resources)
        return any(_may_match(pattern, resource) for pattern in self.resources)

    def is_about(self, action: str, resource: str) -> bool | None:
        """Whether it is about an action on a resource; None if a policy variable decides."""
        if not (self.names_action(action) and self.may_name_resource(resource)):
            return False
        return True if self.names_resource(resource) else None

    @property
    def only_reads(self) -> bool:
        """Whether all its actions only read what a function is."""
        return bool(self.actions) and all(action.lower().startswith(READ_ACTIONS) for action in self.actions)

    def values(self, key: str) -> tuple[ConditionValue, ...] | None:
        """The values that all conditions on a key together leave to it; None if no condition restricts the key.

        Only positive operators count. `…IfExists` does not: a request without the key passes it. An empty tuple means
        that no request meets the conditions.
        """
        required = [
            [one for one in (ConditionValue(operator, text) for text in values) if not one.never_matches]
            for operator, name, values in self.conditions
            if name == key and operator in POSITIVE
        ]
        if not required:
            return None
        every = dict.fromkeys(value for values in required for value in values)
        return tuple(one for one in every if all(any(other.overlaps(one) for other in some) for some in required))

    def holds_for(self, keys: Mapping[str, str]) -> bool:
        """Whether every condition certainly holds for a request with these keys."""
        return all(
            operator in POSITIVE
            and key in keys
            and any(ConditionValue(operator, one).holds(keys[key]) for one in values)
            for operator, key, values in self.conditions
        )

    def may_hold_for(self, keys: Mapping[str, str]) -> bool:
        """Whether no condition on one of these keys is known to fail. Conditions on other keys are ignored."""
        return all(
            any(ConditionValue(operator, one).may_hold(keys[key]) for one in values)
            for operator, key, values in self.conditions
            if key in keys and operator in POSITIVE
        )


def read_policy(document: object) -> tuple[Statement, ...]:
    """The statements of a policy.

    Args:
        document: the policy, as JSON text or as the object that the JSON contains.

    Raises:
        BadPolicy: not JSON, not an object, without a Statement, or with a malformed one. An empty list is a Statement.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise BadPolicy("not JSON") from error
    if not isinstance(document, Mapping) or document.get("Statement") is None:
        raise BadPolicy("no Statement in it")
    return tuple(map(read_statement, _list_of(document["Statement"])))


def read_statement(found: object) -> Statement:
    """One statement of a policy, from what the JSON contains.

    Raises:
        BadPolicy: not an object, without an Effect, with an element beside its Not…, or with a malformed Condition.
    """
    if not isinstance(found, Mapping) or found.get("Effect") not in ("Allow", "Deny"):
        raise BadPolicy("a statement without Effect")
    if both := [name for name in ("Principal", "Action", "Resource") if {name, f"Not{name}"} <= found.keys()]:
        raise BadPolicy(f"a statement with {both[0]} and Not{both[0]}")
    conditions = {} if found.get("Condition") is None else found["Condition"]
    if not isinstance(conditions, Mapping) or not all(isinstance(keys, Mapping) for keys in conditions.values()):
        raise BadPolicy("a Condition that is no map of maps")
    return Statement(
        str(found.get("Sid", "")),
        found["Effect"],
        tuple(_principals(found.get("Principal", found.get("NotPrincipal")))),
        _texts_in(found.get("Action")),
        _texts_in(found.get("Resource")),
        _texts_in(found["NotAction"]) if "NotAction" in found else None,
        _texts_in(found["NotResource"]) if "NotResource" in found else None,
        tuple(
            (str(operator).lower(), str(key).lower(), _texts_in(values))
            for operator, keys in conditions.items()
            for key, values in keys.items()
        ),
        all_but="NotPrincipal" in found,
    )


def _principals(found: Any) -> Iterator[tuple[str, str]]:
    if isinstance(found, Mapping):
        for kind, names in found.items():
            everybody = "*" if kind in ("*", "AWS") else str(kind)
            yield from ((everybody if name == "*" else str(kind), name) for name in _texts_in(names))
    else:
        yield from (("*" if name == "*" else "AWS", name) for name in _texts_in(found))


def _list_of(found: Any) -> list[Any]:
    return [] if found is None else list(found) if isinstance(found, list | tuple) else [found]


def _texts_in(found: Any) -> tuple[str, ...]:
    """The texts of an element that may be one text, a list of texts, or absent."""
    return tuple(map(str, _list_of(found)))
