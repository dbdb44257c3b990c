"""A condition's value in a policy, and what it can be of a request.

Rule: `holds` is for sure, `may_hold` as far as can be told, `satisfied` is for a request whose values are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lattice_bridge.deployment.iam.pattern import is_pattern, matches, matches_arn

_OF_ARNS: Final = frozenset({"arnequals", "arnlike"})
_WITH_WILDCARDS: Final = _OF_ARNS | {"stringlike"}
POSITIVE: Final = _WITH_WILDCARDS | {"stringequals", "stringequalsignorecase"}
"""Operators that ask for a key to be equal, or alike; in lower case."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A value that a condition asks a key to have, and how the two are compared.

    Wildcards are some under StringLike, ArnLike and ArnEquals alone; under StringEquals they are letters, and no ARN or
    account has them. ArnLike and ArnEquals compare the six parts of an ARN one by one, and anything else is like none.

    Attributes:
        operator: in lower case: one that asks for it to be equal, or alike.
        text: the value, as it is written.
    """

    operator: str
    text: str

    @property
    def has_variable(self) -> bool:
        """What `${…}` comes to is up to the request."""
        return "${" in self.text

    @property
    def is_pattern(self) -> bool:
        """It may be for more than itself."""
        return self.has_variable or (self.operator in _WITH_WILDCARDS and is_pattern(self.text))

    @property
    def is_for_nothing(self) -> bool:
        """No ARN and no account is like it."""
        if self.is_pattern:
            return False
        return is_pattern(self.text) or (self.operator in _OF_ARNS and len(self.text.split(":", 5)) < 6)

    def holds(self, text: str) -> bool:
        """For sure, of a request whose key is the text."""
        if self.has_variable or self.is_for_nothing:
            return False
        if self.operator in _OF_ARNS:
            return matches_arn(self.text, text)
        return self.may_hold(text)

    def may_hold(self, text: str) -> bool:
        """As far as can be told."""
        if self.has_variable or self.is_for_nothing:
            return self.has_variable
        if self.operator == "stringequalsignorecase":
            return self.text.lower() == text.lower()
        return matches(self.text, text) if self.is_pattern else self.text == text

    def overlaps(self, other: Asked) -> bool:
        """Something may be both. Of two patterns, and of letter case, that is taken for granted: rather too much is
        left than too little."""
        if self.has_variable or (self.is_pattern and other.is_pattern):
            return True
        return Asked(self.operator, self.text.lower()).may_hold(other.text.lower())


# ---- a request whose values are known -------------------------------------------------------------------------------


_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


def _number(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:  # `float` also reads `nan`, which is less than nothing, `inf` and `1_0`
        raise ValueError
    return float(text)


def _numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, text: compare(_number(text), _number(value))


_COMPARE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "stringequals": str.__eq__,
    "stringequalsignorecase": lambda value, text: value.lower() == text.lower(),
    "stringlike": matches,
    "arnequals": matches_arn,
    "arnlike": matches_arn,
    "bool": lambda value, text: value.lower() == text.lower(),
    "numericequals": _numbers(float.__eq__),
    "numericlessthan": _numbers(float.__lt__),
    "numericlessthanequals": _numbers(float.__le__),
    "numericgreaterthan": _numbers(float.__gt__),
    "numericgreaterthanequals": _numbers(float.__ge__),
}
"""How operators that are not negated compare a value of the policy with one of the request."""

_NEGATED: Final[Mapping[str, str]] = {
    **{f"{kind}notequals": f"{kind}equals" for kind in ("string", "arn", "numeric")},
    **{f"{kind}notlike": f"{kind}like" for kind in ("string", "arn")},
    "stringnotequalsignorecase": "stringequalsignorecase",
}


def satisfied(operator: str, values: tuple[str, ...], found: tuple[str, ...]) -> bool | None:
    """Whether a condition holds, as IAM's guide has it in reference_policies_elements_condition_operators.html.

    None where that is not decided: another operator (dates, IP addresses), a policy variable, a value that is no number
    under a numeric operator, and several values of the request without ForAllValues or ForAnyValue.

    Args:
        operator: in lower case.
        values: of the policy.
        found: the request's values of the condition's key; none if it lacks the key.
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
