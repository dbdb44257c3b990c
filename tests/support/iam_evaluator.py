"""IAM's evaluation of policies of one kind, as its documentation defines it: the oracle of the policy tests.

Rule: it shares no code with what it checks, and each rule names its source. Pages are of the IAM User Guide,
https://docs.aws.amazon.com/IAM/latest/UserGuide/PAGE.html. Left out are numbers, dates,
addresses, keys with several values, and a `${…}` that is a literal character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

Context: TypeAlias = Mapping[str, str]
"""A request's condition keys, in lower case, each with its value."""
Names: TypeAlias = frozenset[tuple[str, str]]
"""The (kind, name) pairs by which a Principal may name the caller."""


class _Unresolved(Exception):
    """A policy variable without a value."""


def admitted(policy: list[dict[str, Any]], context: Context, names: Names, action: str, resource: str) -> bool:
    """Whether some statement allows a request, and none denies it.

    reference_policies_evaluation-logic: an explicit Deny overrides every Allow, and nothing is allowed but by an Allow.
    """
    effects = {one["Effect"] for one in policy if _applies(one, context, names, action, resource)}
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], context: Context, names: Names, action: str, resource: str) -> bool:
    """All elements have to match: reference_policies_elements. An identity's policy has no Principal.

    reference_policies_variables: if a variable has no value in the request, the statement matches nothing.
    """
    try:
        return (
            _is_for(statement, names)
            and _names_action(statement, action)
            and _names_resource(statement, resource, context)
            and all(_holds(*condition, context) for condition in _conditions(statement))
        )
    except _Unresolved:
        return False


def _is_for(statement: Mapping[str, Any], names: Names) -> bool:
    """reference_policies_elements_principal: a bare text is `*` or an AWS principal. NotPrincipal
    (reference_policies_elements_notprincipal) is everybody else."""
    if not {"Principal", "NotPrincipal"} & set(statement):
        return True
    found = statement.get("Principal", statement.get("NotPrincipal"))
    pairs = found.items() if isinstance(found, dict) else [("*" if found == "*" else "AWS", found)]
    named = any((kind, name) in names for kind, listed in pairs for name in _many(listed))
    return named is not ("NotPrincipal" in statement)


def _names_action(statement: Mapping[str, Any], action: str) -> bool:
    """reference_policies_elements_action: without regard to case, `*` and `?` are wildcards; NotAction is all else."""
    found = _many(statement.get("Action", statement.get("NotAction")))
    return any(_glob(one.lower(), action.lower()) for one in found) is not ("NotAction" in statement)


def _names_resource(statement: Mapping[str, Any], resource: str, context: Context) -> bool:
    """reference_policies_elements_resource: with wildcards and variables; NotResource is all else."""
    found = _many(statement.get("Resource", statement.get("NotResource")))
    return any(_glob(_filled(one, context), resource) for one in found) is not ("NotResource" in statement)


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            yield operator, key, values


def _holds(operator: str, key: str, values: Any, context: Context) -> bool:
    """reference_policies_elements_condition_operators: one of several values has to match, and none if the
    operator is negated. A key that the request lacks matches no value, so a negated operator holds; with `…IfExists`
    every operator holds. Null tests whether the key is missing. Keys have no letter case (…_elements_condition).

    reference_policies_condition-single-vs-multi-valued-context-keys: without the key ForAllValues holds, and
    ForAnyValue does not.
    """
    text = context.get(key.lower())
    if operator == "Null":
        return any((str(value).lower() == "true") is (text is None) for value in _many(values))
    quantifier, _, name = operator.rpartition(":")
    bare = name.removesuffix("IfExists")
    if text is None and (bare != name or quantifier):
        return bare != name or quantifier == "ForAllValues"
    compare = POSITIVE[bare.replace("Not", "")]
    fitting = [value for value in _many(values) if text is not None and compare(_filled(value, context), text)]
    return bool(fitting) is not ("Not" in bare)


def _arn_like(pattern: str, text: str) -> bool:
    """The six parts of an ARN are compared one by one, each with wildcards."""
    parts, others = pattern.split(":", 5), text.split(":", 5)
    return len(parts) == len(others) == 6 and all(map(_glob, parts, others))


def _filled(text: str, context: Context) -> str:
    """reference_policies_variables: `${key}` is the request's value of the key."""

    def value(found: re.Match[str]) -> str:
        if found[1].lower() not in context:
            raise _Unresolved
        return context[found[1].lower()]

    return re.sub(r"\$\{([^}]*)\}", value, text)


def _many(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _glob(pattern: str, text: str) -> bool:
    """`*` is any characters, `?` is one. Keeps all places in the pattern that the text may have reached."""
    places = _past_stars(pattern, {0})
    for char in text:
        stay = {at for at in places if pattern[at : at + 1] == "*"}
        step = {at + 1 for at in places if pattern[at : at + 1] in ("?", char)}
        places = _past_stars(pattern, stay | step)
    return len(pattern) in places


def _past_stars(pattern: str, places: set[int]) -> set[int]:
    found = set(places)
    for place in places:
        while pattern[place : place + 1] == "*":
            place += 1
            found.add(place)
    return found


POSITIVE: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": lambda value, text: value.lower() == text.lower(),
    "StringLike": _glob,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda value, text: value.lower() == text.lower(),
}
"""Operator → compares a value of the policy with a key's. StringLike and the ARN operators have wildcards."""
