"""Event patterns: the filters of event source mappings, and of EventBridge's rules.

Rule: a pattern matches an event if each of its fields has a value that one of the field's conditions accepts. A field
that is absent matches only `{"exists": false}`. Values are compared with their type: `"1"` is not `1`, and `true` is
not `1`.
Source: "Control which events Lambda sends to your function" in the Lambda guide, and "Creating Amazon EventBridge event
patterns". In an array each element is a value of the field, and one that is accepted is enough.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Pattern = Mapping[str, Any]

OR: Final = "$or"
_MAX_DEPTH: Final = 32


class BadPattern(ValueError):
    """A pattern that AWS refuses. The message has the place in the pattern."""


def check_pattern(pattern: object, place: str = "the pattern", depth: int = 0) -> Pattern:
    """Returns the pattern if AWS would accept it.

    Raises:
        BadPattern: with the place of the fault.
    """
    if depth > _MAX_DEPTH:
        raise BadPattern(f"{place}: more than {_MAX_DEPTH} levels")
    if not isinstance(pattern, dict) or not pattern:
        raise BadPattern(f"{place}: not an object with fields. Fix: write it as in {{'body': {{'kind': ['order']}}}}")
    for name, conditions in pattern.items():
        here = f"{place}.{name}"
        if name == OR and _is_alternatives(conditions):
            for index, alternative in enumerate(conditions):
                check_pattern(alternative, f"{here}[{index}]", depth + 1)
        elif isinstance(conditions, dict):
            check_pattern(conditions, here, depth + 1)
        elif not isinstance(conditions, list) or not conditions:
            raise BadPattern(f"{here}: not a list of accepted values. Fix: write the value as a list, as in ['order']")
        else:
            for condition in conditions:
                _check_condition(condition, here)
    return pattern


def matches(pattern: Pattern, event: object) -> bool:
    """Whether an event matches a pattern that `check_pattern` has returned."""
    return all(
        any(matches(alternative, event) for alternative in conditions)
        if name == OR and _is_alternatives(conditions)
        else _field_matches(conditions, _values(event, name))
        for name, conditions in pattern.items()
    )


def _is_alternatives(conditions: object) -> bool:
    """Whether `$or` has patterns. A field may have the name `$or` too: then its list has values."""
    return isinstance(conditions, list) and len(conditions) > 1 and all(isinstance(one, dict) for one in conditions)


def _values(event: object, name: str) -> list[Any]:
    """The values of a field: one, the elements of an array, or none. The elements of an array may be objects too."""
    owners = event if isinstance(event, list) else [event]
    found = [owner[name] for owner in owners if isinstance(owner, dict) and name in owner]
    return [value for one in found for value in (one if isinstance(one, list) else [one])]


def _field_matches(conditions: Pattern | Sequence[Any], values: Sequence[Any]) -> bool:
    if isinstance(conditions, Mapping):
        # One element has to match the whole pattern: two elements together are another object. Without any, only
        # fields that have to be absent match.
        return any(matches(conditions, value) for value in values or [{}])
    leaves = [value for value in values if not isinstance(value, dict)]
    return any(_accepts(condition, leaves) for condition in conditions)


def _accepts(condition: object, values: Sequence[Any]) -> bool:
    if isinstance(condition, dict):
        ((operator, operand),) = condition.items()
        if operator == "exists":
            return bool(values) is bool(operand)
        return any(_OPERATORS[operator](operand, value) for value in values)
    return any(_is_equal(condition, value) for value in values)


def _is_equal(expected: object, value: object) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    return expected == value


# ---- the operators --------------------------------------------------------------------------------------------------

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(operand: Sequence[Any], value: Any) -> bool:
    pairs = zip(operand[::2], operand[1::2], strict=True)
    return _is_number(value) and all(_COMPARISONS[sign](value, bound) for sign, bound in pairs)


def _begins(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and _folded(operand, value)[1].startswith(_folded(operand, value)[0])


def _ends(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and _folded(operand, value)[1].endswith(_folded(operand, value)[0])


def _folded(operand: Any, value: str) -> tuple[str, str]:
    """Both texts; without case if the operand is `{"equals-ignore-case": TEXT}`."""
    if isinstance(operand, dict):
        return str(operand[_ANY_CASE]).casefold(), value.casefold()
    return str(operand), value


def _in_any_case(operand: str, value: Any) -> bool:
    return isinstance(value, str) and value.casefold() == operand.casefold()


def _like(operand: str, value: Any) -> bool:
    return isinstance(value, str) and _wildcard(operand).fullmatch(value) is not None


def _wildcard(text: str) -> re.Pattern[str]:
    r"""`*` is any text; `\*` and `\\` are the characters themselves."""
    parts = re.findall(r"\\[*\\]|[^*\\]+|[*\\]", text)
    return re.compile("".join(".*" if part == "*" else re.escape(_unescaped(part)) for part in parts), re.DOTALL)


def _unescaped(part: str) -> str:
    return part[1] if part in ("\\*", "\\\\") else part


def _is_none_of(operand: Any, value: Any) -> bool:
    if isinstance(operand, dict):
        ((operator, excluded),) = operand.items()
        texts = excluded if isinstance(excluded, list) else [excluded]
        return not any(_OPERATORS[operator](text, value) for text in texts)
    return not any(_is_equal(one, value) for one in (operand if isinstance(operand, list) else [operand]))


_ANY_CASE: Final = "equals-ignore-case"
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "prefix": _begins,
    "suffix": _ends,
    "anything-but": _is_none_of,
    "numeric": _in_range,
    _ANY_CASE: _in_any_case,
    "wildcard": _like,
}
_EXCLUDABLE: Final = ("prefix", "suffix", _ANY_CASE, "wildcard")
"""The operators that `anything-but` may contain."""


# ---- what AWS refuses -----------------------------------------------------------------------------------------------


def _check_condition(condition: object, place: str) -> None:
    if isinstance(condition, list):
        raise BadPattern(f"{place}: a list in a list. Fix: write the values as one list")
    if not isinstance(condition, dict):
        return
    if len(condition) != 1:
        raise BadPattern(f"{place}: a condition has one operator, and this one has {len(condition)}")
    ((operator, operand),) = condition.items()
    if operator == "exists":
        valid = isinstance(operand, bool)
    elif operator in _OPERATORS:
        valid = _is_operand(operator, operand)
    else:
        known = ", ".join(sorted((*_OPERATORS, "exists")))
        raise BadPattern(f"{place}: the operator {str(operator)[:40]!r} is unknown. Fix: write one of {known}")
    if not valid:
        raise BadPattern(f"{place}: {operator} does not accept {str(operand)[:80]!r}")


def _is_operand(operator: str, operand: object) -> bool:
    if operator == "numeric":
        return isinstance(operand, list) and _is_range(operand)
    if operator == "anything-but":
        return _is_excluded(operand)
    if operator in ("prefix", "suffix") and isinstance(operand, dict):
        return list(operand) == [_ANY_CASE] and isinstance(operand[_ANY_CASE], str)
    return isinstance(operand, str)


def _is_range(operand: Sequence[Any]) -> bool:
    signs, bounds = operand[::2], operand[1::2]
    are_numbers = all(_is_number(bound) and math.isfinite(bound) for bound in bounds)
    return len(signs) == len(bounds) > 0 and all(sign in _COMPARISONS for sign in signs) and are_numbers


def _is_excluded(operand: object) -> bool:
    if isinstance(operand, dict):
        if len(operand) != 1 or next(iter(operand)) not in _EXCLUDABLE:
            return False
        texts = next(iter(operand.values()))
        return all(isinstance(text, str) for text in (texts if isinstance(texts, list) and texts else [texts]))
    values = operand if isinstance(operand, list) else [operand]
    return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)
