"""A Lattice auth policy: whether it lets in callers that nobody authenticated, and whether it lets in anybody.

Rule: a caller is shut out only where a statement is known to do it; what is not known to shut anonymous callers out
lets them in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.iam.pattern import covers, matches
from lattice_bridge.deployment.iam.policy import texts_in

INVOKE: Final = "vpc-lattice-svcs:invoke"
ANONYMOUS: Final = "Anonymous"
"""How aws:PrincipalType is documented to spell a request that nobody signed. Lattice's own examples compare it without
regard to case."""

_IDENTITY: Final = frozenset(
    {"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"}
)
"""Keys that only a request with a principal has, with each aws:PrincipalTag. aws:userid is not one of them: other
services fill it with `anonymous`."""
_TAG: Final = "aws:principaltag/"
_TYPE: Final = "aws:principaltype"
_IS: Final = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"})
_IS_NOT: Final = frozenset(
    {"stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike"}
)
_IS_SERVICE: Final = "aws:principalisawsservice"
"""Only signed requests have it."""
_OF_RESOURCE: Final = re.compile(r"\$\{aws:resource[^}]*\}", re.IGNORECASE)
"""Policy variables that say something of the service, which nobody who calls it chooses."""


def admits_anonymous(statements: Iterable[Mapping[str, Any]], service: str | None = None) -> bool:
    """Whether a policy admits a request that nobody signed.

    It does if an Allow is for everybody (`*`, `{"AWS": "*"}`, a list with it, any NotPrincipal), covers
    vpc-lattice-svcs:Invoke, and none of its conditions is known to shut anonymous callers out, unless a Deny does. An
    Allow without Resource is taken for one of everything.

    A condition of an Allow is known to, if it is one of these, and neither `…IfExists` nor `ForAllValues:`:

    * aws:PrincipalType with StringNotEqualsIgnoreCase `anonymous`, StringNotEquals `Anonymous`, StringNotLike and a
      pattern of that; or with StringEquals or its like and values that are all something else.
    * aws:PrincipalArn, PrincipalAccount, PrincipalOrgID, PrincipalOrgPaths or a PrincipalTag with StringEquals,
      StringEqualsIgnoreCase, StringLike, ArnEquals, ArnLike or `ForAnyValue:` of these, whose values are neither
      `anonymous` nor made of wildcards alone, and have no policy variable but `${aws:Resource…}`; or with Null `false`.

    A Deny does if it is for everybody (`*` or `{"AWS": "*"}`, and not every service or provider), covers Invoke and the
    whole service, and each condition that it has is one of these, with `…IfExists` and `ForAllValues:` or without:

    * aws:PrincipalType is anonymous, or is none of some values that are all something else;
    * one of the other keys is none of some values, which is so of a request without the key; or is Null `true`;
    * BoolIfExists aws:PrincipalIsAWSService `false`.

    Args:
        statements: of the policy, as its JSON has them.
        service: the ARN of the service that it is of, if known: a Deny of `ARN/*`, or of whatever else has all of it,
            is then one of everything.
    """
    found = list(statements)
    if any(one.get("Effect") == "Deny" and _denies_anonymous(one, service) for one in found):
        return False
    return any(
        one.get("Effect") == "Allow"
        and _is_for_everybody(one)
        and _covers_invoke(one)
        and _may_be_about(one, service)
        and not any(_shuts_out(*condition) for condition in _conditions(one))
        for one in found
    )


def admits_nobody(statements: Iterable[Mapping[str, Any]], service: str) -> bool:
    """Whether no request whatever gets past a policy: nothing of the service is allowed, or all of it is denied.

    Args:
        statements: of the policy, as its JSON has them.
        service: the ARN of the service that it is of.
    """
    found = list(statements)
    if any(_is_of_everything(one, service) and not _conditions(one) for one in found if one.get("Effect") == "Deny"):
        return True
    allowing = (one for one in found if one.get("Effect") == "Allow")
    return not any(_covers_invoke(one) and _may_be_about(one, service) for one in allowing)


def _denies_anonymous(statement: Mapping[str, Any], service: str | None) -> bool:
    asked = all(_asks_for_anonymous(*condition) for condition in _conditions(statement))
    return asked and _is_of_everything(statement, service)


def _is_of_everything(statement: Mapping[str, Any], service: str | None) -> bool:
    """Principal, Action and Resource leave no request of the service out."""
    principal = statement.get("Principal")
    named = texts_in(principal.get("AWS") if isinstance(principal, Mapping) else principal)
    beginning = f"{service}/" if service else ""
    whole = any(covers(pattern, beginning) for pattern in texts_in(statement.get("Resource")))
    return "NotPrincipal" not in statement and "*" in named and whole and _covers_invoke(statement)


def _is_for_everybody(statement: Mapping[str, Any]) -> bool:
    """As far as can be told."""
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in texts_in(names) for names in named)


def _covers_invoke(statement: Mapping[str, Any]) -> bool:
    if "NotAction" in statement:
        return not any(matches(action.lower(), INVOKE) for action in texts_in(statement["NotAction"]))
    return any(matches(action.lower(), INVOKE) for action in texts_in(statement.get("Action")))


def _may_be_about(statement: Mapping[str, Any], service: str | None) -> bool:
    """Some request of the service may match its Resource."""
    if service is None or "Resource" not in statement:
        return True
    return any(_overlaps(pattern, service) for pattern in texts_in(statement.get("Resource")))


def _overlaps(pattern: str, beginning: str) -> bool:
    head = re.split(r"[*?]|\$\{", pattern, maxsplit=1)[0]
    return head.startswith(beginning) or (len(head) < len(pattern) and beginning.startswith(head))


def _conditions(statement: Mapping[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Operator and key in lower case, and the values."""
    return list(_each_condition(statement.get("Condition")))


def _each_condition(found: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if found is not None and not isinstance(found, Mapping):
        yield "", "", ()  # one that nobody knows
    for operator, keys in found.items() if isinstance(found, Mapping) else ():
        for key, values in keys.items() if isinstance(keys, Mapping) else ((str(keys), ()),):
            yield str(operator).lower(), str(key).lower(), texts_in(values)


def _shuts_out(operator: str, key: str, values: tuple[str, ...]) -> bool:
    """An Allow under this condition is for no anonymous caller."""
    positive = operator.removeprefix("foranyvalue:") in _IS
    if key == _TYPE and positive:
        return bool(values) and not any(_may_be_anonymous(value) for value in values)
    if key == _TYPE:
        return _names_anonymous(operator.replace("not", "", 1) if operator in _IS_NOT else "", values)
    if not _is_identity(key):
        return False
    if operator == "null":
        return _are_all("false", values)
    return positive and bool(values) and all(_is_somebody(value) for value in values)


def _asks_for_anonymous(operator: str, key: str, values: tuple[str, ...]) -> bool:
    """A Deny under this condition is for every anonymous caller, whether or not the request has the key."""
    if key == _IS_SERVICE:
        return operator == "boolifexists" and _are_all("false", values)
    if operator == "null":
        return _is_identity(key) and _are_all("true", values)
    bare = operator.removeprefix("forallvalues:").removesuffix("ifexists")
    if key == _TYPE and bare in _IS_NOT:
        return bool(values) and not any(_may_be_anonymous(value) for value in values)
    if key == _TYPE:
        return _names_anonymous(bare, values)
    return _is_identity(key) and bare in _IS_NOT and bool(values) and all(_is_somebody(value) for value in values)


def _names_anonymous(operator: str, values: tuple[str, ...]) -> bool:
    """One of the values is the type of an anonymous caller, as a positive operator compares it."""
    if operator == "stringequals":
        return ANONYMOUS in values
    if operator == "stringequalsignorecase":
        return any(value.lower() == ANONYMOUS.lower() for value in values)
    return operator == "stringlike" and any(matches(value, ANONYMOUS) for value in values)


def _may_be_anonymous(value: str) -> bool:
    return "${" in value or matches(value.lower(), ANONYMOUS.lower())


def _are_all(word: str, values: tuple[str, ...]) -> bool:
    return bool(values) and all(value.lower() == word for value in values)


def _is_identity(key: str) -> bool:
    return key in _IDENTITY or key.startswith(_TAG)


def _is_somebody(value: str) -> bool:
    value = _OF_RESOURCE.sub("resource", value)
    return bool(value.strip("*?")) and not _may_be_anonymous(value)
