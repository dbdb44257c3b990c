"""Event patterns: EventBridge's rules, and the filters of event source mappings.

Rule: an event is a set of fields: a path of names, and a value that is neither an object nor an array. The elements of
an array are values of one field. A pattern matches if each of its fields accepts a value of the event, and if values
from one array are from one of its elements. `{"exists": false}` accepts a field without a value in these elements.
Values are compared with their type: `"1"` is not `1`, and `true` is not `1`.
Source: "Creating Amazon EventBridge event patterns", "Control which events Lambda sends to your function" in the Lambda
guide, Event Ruler (the open source of both services' matcher), and cases that LocalStack's tests recorded on AWS.

AWS limits wildcards by their complexity, and does not document how. Here a value has five, as the one pattern that is
recorded as too complex has six. No pattern takes longer than its length times that of the event.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NoReturn

Pattern = Mapping[str, Any]
Test = Callable[[Any], bool]

OR: Final = "$or"
_MAX_DEPTH: Final = 100
_MAX_ALTERNATIVES: Final = 1000
"""Combinations of `$or`, as in the EventBridge guide."""
_MAX_WILDCARDS: Final = 5
_SHOWN: Final = 80


class BadPattern(ValueError):
    """A pattern that AWS refuses.

    Attributes:
        place: in the pattern.
        reason: what is wrong, in the words of AWS where they are known.
    """

    def __init__(self, place: str, reason: str, fix: str) -> None:
        super().__init__(f"{place}: {reason.removesuffix('.')}. Fix: {fix}")
        self.place = place
        self.reason = reason


def parse_pattern(text: str, place: str = "the pattern") -> Pattern:
    """Parses a pattern as JSON.

    Raises:
        BadPattern: not JSON, or AWS would refuse it.
    """
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        why = str(error) or "too many levels"
        raise BadPattern(place, f"not JSON ({why})", 'write it as in {"source": ["orders"]}') from error
    return check_pattern(found, place)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def check_pattern(pattern: object, place: str = "the pattern") -> Pattern:
    """Returns the pattern if AWS would accept it.

    Raises:
        BadPattern: with the place of the fault.
    """
    if not isinstance(pattern, dict):
        raise BadPattern(place, "Filter is not an object", "write it as in {'body': {'kind': ['order']}}")
    _check_object(pattern, place, 0)
    _expanded(pattern, (), place)
    return pattern


def matches(pattern: Pattern, event: object) -> bool:
    """Whether an event matches a pattern that `check_pattern` has returned."""
    return EventPattern(pattern).matches(event)


class EventPattern:
    """A pattern that `check_pattern` has returned, prepared for many events."""

    def __init__(self, pattern: Pattern) -> None:
        self._alternatives = [_tree(fields) for fields in _expanded(pattern, (), "the pattern")]

    def matches(self, event: object) -> bool:
        """Whether an event matches."""
        return any(_matches(tree, [event], [event]) for tree in self._alternatives)


# ---- fields ---------------------------------------------------------------------------------------------------------

_Path = tuple[str, ...]


@dataclass(slots=True)
class _Node:
    """The conditions for a field, and those for the fields below it.

    Attributes:
        path: of the field.
        tests: of the conditions; None without any.
        may_be_absent: one condition is `{"exists": false}`.
        children: by name.
    """

    path: _Path = ()
    tests: tuple[Test, ...] | None = None
    may_be_absent: bool = False
    children: dict[str, _Node] = field(default_factory=dict)


def _expanded(pattern: Pattern, path: _Path, place: str) -> list[dict[_Path, Sequence[Any]]]:
    """The pattern as alternatives without `$or`, each with conditions by the path of the field."""
    found: list[dict[_Path, Sequence[Any]]] = [{}]
    for name, conditions in pattern.items():
        if name == OR and _is_alternatives(conditions):
            options = [one for alternative in conditions for one in _expanded(alternative, path, place)]
        elif isinstance(conditions, Mapping):
            options = _expanded(conditions, (*path, *name.split(".")), place)
        else:
            options = [{(*path, *name.split(".")): conditions}]  # `a.b` is the field b of the object a, too
        if len(found) * len(options) > _MAX_ALTERNATIVES:
            reason = f"{OR}: more than {_MAX_ALTERNATIVES} combinations"
            raise BadPattern(place, reason, "write several rules, or conditions of one field in one list")
        found = [{**one, **other} for one in found for other in options]
    return found


def _is_alternatives(conditions: object) -> bool:
    """Whether `$or` has patterns. A field may have the name `$or` too: then its list has values."""
    return isinstance(conditions, list) and len(conditions) > 1 and all(isinstance(one, dict) for one in conditions)


def _tree(fields: Mapping[_Path, Sequence[Any]]) -> _Node:
    root = _Node()
    for path, conditions in sorted(fields.items(), key=lambda item: item[0]):  # as `_matches_below` needs them
        node = root
        for length, name in enumerate(path, 1):
            node = node.children.setdefault(name, _Node(path[:length]))
        node.may_be_absent = {"exists": False} in conditions
        node.tests = tuple(_test(one) for one in conditions if one != {"exists": False})
    return root


class _Match(IntEnum):
    """How a field matches."""

    NOT = 0
    ABSENT = 1
    """By conditions that it is absent only."""
    VALUE = 2
    """By a value, so that other fields of the same array are those of its element."""


def _matches(node: _Node, values: Sequence[Any], around: Sequence[Any]) -> _Match:
    """How a field and those below it match.

    Args:
        node: of the field.
        values: of the field, in the elements of arrays that are chosen or tried.
        around: the values of the field in every element that is not excluded yet: an absent field has none in them.
    """
    elements = _all_elements(values)
    found = _Match.ABSENT if node.tests is None else _accepts(node, elements, around)
    if not found or not node.children:
        return found
    # One element has to match everything below: two elements together are another object. Without any, only fields
    # that may be absent match.
    owners = _owners(elements)
    every = _owners(_all_elements(around))
    best = max(_matches_below(node, owner, every) for owner in owners or [{}])
    return max(best, found) if best else best


def _matches_below(node: _Node, owner: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> _Match:
    found = _Match.ABSENT
    for name, child in node.children.items():  # Event Ruler: the first value by name chooses the element
        around = [owner] if found is _Match.VALUE else every
        matched = _matches(child, _values(owner, name), [value for one in around for value in _values(one, name)])
        if not matched:
            return _Match.NOT
        found = max(found, matched)
    return found


def _accepts(node: _Node, elements: Sequence[Any], around: Sequence[Any]) -> _Match:
    leaves = [element for element in elements if not isinstance(element, dict)]
    if any(test(leaf) for leaf in leaves for test in node.tests or ()):
        return _Match.VALUE
    is_absent = node.may_be_absent and all(isinstance(element, dict) for element in _all_elements(around))
    return _Match.ABSENT if is_absent else _Match.NOT


def _owners(elements: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [element for element in elements if isinstance(element, dict)]


def _all_elements(values: Sequence[Any]) -> list[Any]:
    if len(values) == 1 and not isinstance(values[0], list):
        return [values[0]]
    return [element for value in values for element in _elements(value)]


def _elements(value: Any) -> Iterator[Any]:
    """The value, or the elements of an array and of the arrays in it, which may be deeper than Python recurses."""
    if not isinstance(value, list):
        yield value
        return
    waiting = [iter(value)]
    while waiting:
        for element in waiting[-1]:
            if isinstance(element, list):
                waiting.append(iter(element))
                break
            yield element
        else:
            waiting.pop()


def _values(owner: Mapping[str, Any], name: str) -> list[Any]:
    """The values with a name. The name `a.b` of an event is the field b of the object a."""
    found = [owner[name]] if name in owner else []
    begin = f"{name}."
    below = {key.removeprefix(begin): value for key, value in owner.items() if key.startswith(begin)}
    if below and found and isinstance(found[0], dict):
        return [{**below, **found[0]}]
    return [*found, below] if below else found


# ---- conditions -----------------------------------------------------------------------------------------------------

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}
_ANY_CASE: Final = "equals-ignore-case"


def _test(condition: object) -> Test:
    if not isinstance(condition, dict):
        return lambda value: _is_equal(condition, value)
    ((operator, operand),) = condition.items()
    return _OPERATORS[operator](operand)


def _is_equal(expected: object, value: object) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    return expected == value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exists(_operand: bool) -> Test:
    return lambda _value: True


def _numeric(operand: Sequence[Any]) -> Test:
    bounds = [(_COMPARISONS[sign], bound) for sign, bound in zip(operand[::2], operand[1::2], strict=True)]
    return lambda value: _is_number(value) and all(compare(value, bound) for compare, bound in bounds)


def _prefix(operand: Any) -> Test:
    if isinstance(operand, dict):
        begin = _without_case(operand[_ANY_CASE])
        return lambda value: isinstance(value, str) and _without_case(value).startswith(begin)
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _suffix(operand: Any) -> Test:
    if isinstance(operand, dict):
        end = _without_case(operand[_ANY_CASE])
        return lambda value: isinstance(value, str) and _without_case(value).endswith(end)
    return lambda value: isinstance(value, str) and value.endswith(operand)


def _in_any_case(operand: str) -> Test:
    expected = _without_case(operand)
    return lambda value: isinstance(value, str) and _without_case(value) == expected


def _without_case(text: str) -> str:
    """The string in lower case, by characters: AWS compares character by character, so `ß` is not `SS`."""
    return text.lower()


def _wildcard(operand: str) -> Test:
    r"""`*` is any string, and the first place where the next part fits is the best. `\*` and `\\` are characters."""
    first, *rest = _parts(operand)
    if not rest:
        return lambda value: isinstance(value, str) and value == first
    *middle, last = rest

    def fits(value: Any) -> bool:
        if not isinstance(value, str) or not value.startswith(first):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            at = value.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return at <= end and value.endswith(last)

    return fits


def _parts(text: str) -> list[str]:
    """The strings between the wildcards."""
    found = [""]
    for piece in re.findall(r"\\.|[^\\]", text, re.DOTALL):
        if piece == "*":
            found.append("")
        else:
            found[-1] += piece.removeprefix("\\")
    return found


def _cidr(operand: str) -> Test:
    network = ipaddress.ip_network(operand, strict=False)

    def contains(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return contains


def _anything_but(operand: Any) -> Test:
    if isinstance(operand, dict):
        ((operator, excluded),) = operand.items()
        tests = [_OPERATORS[operator](text) for text in _listed(excluded)]
    else:
        tests = [_test(one) for one in _listed(operand)]
    return lambda value: not any(test(value) for test in tests)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_OPERATORS: Final[Mapping[str, Callable[[Any], Test]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "anything-but": _anything_but,
    "numeric": _numeric,
    _ANY_CASE: _in_any_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "exists": _exists,
}
_EXCLUDABLE: Final = ("prefix", "suffix", _ANY_CASE, "wildcard")
"""The operators that `anything-but` may contain."""


# ---- what AWS refuses -----------------------------------------------------------------------------------------------


def _check_object(pattern: Pattern, place: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BadPattern(place, f"more than {_MAX_DEPTH} levels", "write fewer")
    if not pattern:
        raise BadPattern(place, "Empty objects are not allowed", "write a field, as in {'kind': ['order']}")
    for name, conditions in pattern.items():
        here = f"{place}.{name[:_SHOWN]}"
        if name == OR and _is_alternatives(conditions):
            for index, alternative in enumerate(conditions):
                _check_object(alternative, f"{here}[{index}]", depth + 1)
        elif isinstance(conditions, dict):
            _check_object(conditions, here, depth + 1)
        elif not isinstance(conditions, list):
            reason = f'"{name[:_SHOWN]}" must be an object or an array'
            raise BadPattern(here, reason, "write the value as a list, as in ['order']")
        elif not conditions:
            raise BadPattern(here, "Empty arrays are not allowed", "write a value, as in ['order']")
        else:
            for condition in conditions:
                _check_condition(condition, here)


def _check_condition(condition: object, place: str) -> None:
    if isinstance(condition, list):
        reason = "Match value must be String, number, true, false, or null"
        raise BadPattern(place, reason, "write the values as one list")
    if not isinstance(condition, dict):
        return
    if not condition:
        raise BadPattern(place, "Match expression name not found", "write an operator, as in {'prefix': 'a'}")
    if len(condition) != 1:
        raise BadPattern(place, "Only one key allowed in match expression", "write one object for each operator")
    ((operator, operand),) = condition.items()
    if operator not in _CHECKS:
        fix = f"write one of {', '.join(sorted(_CHECKS))}"
        raise BadPattern(place, f"Unrecognized match type {str(operator)[:_SHOWN]}", fix)
    _CHECKS[operator](operand, f"{place}.{operator}")


def _check_exists(operand: object, place: str) -> None:
    if not isinstance(operand, bool):
        raise BadPattern(place, "exists match pattern must be either true or false.", "write true or false")


def _check_affix(operand: object, place: str) -> None:
    name = place.rpartition(".")[2]
    if isinstance(operand, dict):
        if list(operand) != [_ANY_CASE]:
            shown = str(next(iter(operand), ""))[:_SHOWN]
            raise BadPattern(
                place, f"Unsupported {name} pattern: {shown}", f"write {{'{_ANY_CASE}': 'a'}}, or a string"
            )
        _check_text(operand[_ANY_CASE], f"{place}.{_ANY_CASE}")
    else:
        _check_text(operand, place)


def _check_text(operand: object, place: str) -> None:
    if not isinstance(operand, str):
        name = place.rpartition(".")[2]
        raise BadPattern(place, f"{name} match pattern must be a string", "write a string")


def _check_wildcard(operand: object, place: str) -> None:
    if not isinstance(operand, str):
        raise BadPattern(place, "wildcard match pattern must be a string", "write a string")
    at, count = 0, 0
    while at < len(operand):
        position = len(operand[:at].encode("utf-8", "surrogatepass")) + 1  # as AWS counts: bytes, from the quote
        if operand[at] == "*":
            count += 1
            if operand[at + 1 : at + 2] == "*":
                raise BadPattern(place, f"Consecutive wildcard characters at pos {position}", "write one *")
        elif operand[at] == "\\":
            at += 1
            if operand[at : at + 1] not in ("*", "\\"):
                fix = "write \\\\ for the character \\, and \\* for the character *"
                raise BadPattern(place, f"Invalid escape character at pos {position}", fix)
        at += 1
    if count > _MAX_WILDCARDS:
        reason = (
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
            "wildcard character"
        )
        raise BadPattern(place, reason, f"write up to {_MAX_WILDCARDS} wildcards in a value")


def _check_numeric(operand: object, place: str) -> None:
    fix = "write it as in ['>', 0, '<=', 5]"
    if not isinstance(operand, list):
        raise BadPattern(place, "Value of numeric must be an array.", fix)
    if not operand or not isinstance(operand[0], str):
        raise BadPattern(place, f"Invalid member in numeric match: {str(operand[:1])[1:-1][:_SHOWN]}", fix)
    if operand[0] not in _COMPARISONS:
        raise BadPattern(place, f"Unrecognized numeric range operator: {operand[0][:_SHOWN]}", fix)
    _check_bound(operand, 0, place, fix)
    if len(operand) == 2:
        return
    if operand[0] not in (">", ">="):
        raise BadPattern(place, "Too many elements in numeric expression", fix)
    if not isinstance(operand[2], str):
        raise BadPattern(place, f"Bad value in numeric range: {str(operand[2])[:_SHOWN]}", fix)
    if operand[2] not in ("<", "<="):
        raise BadPattern(place, f"Bad numeric range operator: {operand[2][:_SHOWN]}", fix)
    _check_bound(operand, 2, place, fix)
    if len(operand) > 4:
        raise BadPattern(place, "Too many terms in numeric range expression", fix)
    if operand[1] >= operand[3]:
        raise BadPattern(place, "Bottom must be less than top", fix)


def _check_bound(operand: Sequence[Any], at: int, place: str, fix: str) -> None:
    bound = operand[at + 1] if len(operand) > at + 1 else None
    if not isinstance(bound, int | float) or isinstance(bound, bool) or not math.isfinite(bound):
        name = "equals" if operand[at] == "=" else operand[at]
        raise BadPattern(place, f"Value of {name} must be numeric", fix)


def _check_cidr(operand: object, place: str) -> None:
    fix = "write it as in '10.0.0.0/24'"
    if not isinstance(operand, str):
        raise BadPattern(place, "prefix match pattern must be a string", fix)
    address, _, bits = operand.partition("/")
    if operand.count("/") != 1 or not address or not bits:
        raise BadPattern(place, "Malformed CIDR, one '/' required", fix)
    if not re.fullmatch("-?[0-9]{1,9}", bits):
        raise BadPattern(place, "Malformed CIDR, mask bits must be an integer", fix)
    if int(bits) < 0:
        raise BadPattern(place, "Malformed CIDR, mask bits must not be negative", fix)
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise BadPattern(place, f"Nonstandard IP address: {address[:_SHOWN]}", fix) from None
    most = 32 if version == 4 else 128
    if int(bits) >= most:
        raise BadPattern(place, f"IPv{version} mask bits must be < {most}", fix)


def _check_excluded(operand: object, place: str) -> None:
    fix = "write values as in ['a', 'b'], or an operator as in {'prefix': 'a'}"
    if isinstance(operand, dict):
        if len(operand) != 1 or next(iter(operand)) not in _EXCLUDABLE:
            shown = str(next(iter(operand), ""))[:_SHOWN]
            what = f"write one of {', '.join(sorted(_EXCLUDABLE))}"
            raise BadPattern(place, f"Unsupported anything-but pattern: {shown}", what)
        ((operator, excluded),) = operand.items()
        _check_excluded_texts(operator, excluded, f"{place}.{operator}", fix)
    elif isinstance(operand, list):
        if not all(isinstance(one, str) or _is_number(one) for one in operand):
            raise BadPattern(place, "Inside anything but list, start|null|boolean is not supported.", fix)
        if len({isinstance(one, str) for one in operand}) != 1:
            reason = "Inside anything but list, either all values are number or string, mixed type is not supported"
            raise BadPattern(place, reason, fix)
    elif not isinstance(operand, str) and not _is_number(operand):
        raise BadPattern(place, _NEITHER, fix)


_NEITHER: Final = "Value of anything-but must be an array or single string/number value."


def _check_excluded_texts(operator: str, excluded: object, place: str, fix: str) -> None:
    if not isinstance(excluded, list | str) and not _is_number(excluded):
        raise BadPattern(place, _NEITHER, fix)
    texts = _listed(excluded)
    if not texts:
        raise BadPattern(place, "Empty arrays are not allowed", fix)
    for text in texts:
        if operator == "wildcard":
            _check_wildcard(text, place)
        elif not isinstance(text, str):
            reason = (
                "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
                if operator == _ANY_CASE
                else "prefix/suffix match pattern must be a string"
            )
            raise BadPattern(place, reason, "write strings")
        elif not text and operator != _ANY_CASE:
            raise BadPattern(place, "Null prefix/suffix not allowed", "write a longer string")


_CHECKS: Final[Mapping[str, Callable[[object, str], None]]] = {
    "prefix": _check_affix,
    "suffix": _check_affix,
    "anything-but": _check_excluded,
    "numeric": _check_numeric,
    _ANY_CASE: _check_text,
    "wildcard": _check_wildcard,
    "cidr": _check_cidr,
    "exists": _check_exists,
}
