"""A condition's value in a policy, and what it can be of a request.

Rule: `holds` is for sure, `may_hold` as far as can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lattice_bridge.deployment.policy_pattern import is_pattern, matches

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
            parts, others = self.text.split(":", 5), text.split(":", 5)
            return len(parts) == len(others) == 6 and all(map(matches, parts, others))
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
