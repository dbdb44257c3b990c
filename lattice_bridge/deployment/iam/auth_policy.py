"""A VPC Lattice auth policy: whether it admits anonymous callers, and whether it admits any caller.

Rule: an anonymous caller counts as refused only if a statement is known to refuse it. Whatever is not known to refuse
anonymous callers admits them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from lattice_bridge.deployment.iam.policy import POSITIVE, Statement, covers, matches

_INVOKE: Final = "vpc-lattice-svcs:Invoke"
_ANONYMOUS: Final = "Anonymous"
"""The value of aws:PrincipalType of an unsigned request, as AWS documents it. Lattice's own examples compare
it regardless of case."""

_IDENTITY_KEYS: Final = frozenset(
    {"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"}
)
"""Keys that only a request with a principal has, beside each aws:PrincipalTag. aws:userid is not one of them: other
services fill it with `anonymous`."""
_TAG: Final = "aws:principaltag/"
_TYPE: Final = "aws:principaltype"
_NOT_EQUAL: Final = frozenset(
    {"stringnotequals", "stringnotequalsignorecase", "stringnotlike", "arnnotequals", "arnnotlike"}
)
_IS_SERVICE: Final = "aws:principalisawsservice"
"""Only signed requests have it."""
_RESOURCE_VARIABLE: Final = re.compile(r"\$\{aws:resource[^}]*\}", re.IGNORECASE)
"""Policy variables about the service, which no caller chooses."""


def admits_anonymous(statements: Collection[Statement], service: str | None = None) -> bool:
    """Whether a policy admits an unsigned request.

    It does if an Allow is for everybody (`*`, `{"AWS": "*"}`, a list that contains it, any NotPrincipal), covers
    vpc-lattice-svcs:Invoke, and has no condition that is known to refuse anonymous callers, unless a Deny refuses them.
    An Allow without Resource counts as one of every resource.

    A condition of an Allow refuses them if it is one of these, without `…IfExists` and `ForAllValues:`:

    * aws:PrincipalType with StringNotEqualsIgnoreCase `anonymous`, StringNotEquals `Anonymous`, or StringNotLike and a
      pattern of that; or with StringEquals or StringLike and values none of which is anonymous.
    * aws:PrincipalArn, PrincipalAccount, PrincipalOrgID, PrincipalOrgPaths or a PrincipalTag with StringEquals,
      StringEqualsIgnoreCase, StringLike, ArnEquals, ArnLike or `ForAnyValue:` of these, whose values are neither
      `anonymous` nor wildcards alone, and have no policy variable but `${aws:Resource…}`; or with Null `false`.

    A Deny refuses them if it is for everybody (`*` or `{"AWS": "*"}`, but not every service or provider), covers Invoke
    and the whole service, and each of its conditions is one of these, with or without `…IfExists` and `ForAllValues:`:

    * aws:PrincipalType is anonymous, or is none of some values none of which is anonymous;
    * one of the other keys is none of some values, which holds for a request without the key; or is Null `true`;
    * BoolIfExists aws:PrincipalIsAWSService `false`.

    Args:
        statements: of the policy.
        service: the ARN of the service that has the policy, if known. A Deny of `ARN/*`, or of any pattern that
            includes it, then counts as one of every resource.
    """
    if any(one.effect == "Deny" and _denies_anonymous(one, service) for one in statements):
        return False
    return any(
        one.effect == "Allow"
        and (one.all_but or any(name == "*" for _kind, name in one.principals))
        and one.names_action(_INVOKE)
        and _may_be_about(one, service)
        and not any(_refuses_anonymous(*condition) for condition in one.conditions)
        for one in statements
    )


def admits_no_caller(statements: Collection[Statement], service: str) -> bool:
    """Whether a policy refuses every request: it allows no part of the service, or denies every part.

    Args:
        statements: of the policy.
        service: the ARN of the service that has the policy.
    """
    if any(one.effect == "Deny" and not one.conditions and _is_of_everything(one, service) for one in statements):
        return True
    allowing = (one for one in statements if one.effect == "Allow")
    return not any(one.names_action(_INVOKE) and _may_be_about(one, service) for one in allowing)


def _denies_anonymous(statement: Statement, service: str | None) -> bool:
    asked = all(_holds_for_anonymous(*condition) for condition in statement.conditions)
    return asked and _is_of_everything(statement, service)


def _is_of_everything(statement: Statement, service: str | None) -> bool:
    """Whether Principal, Action and Resource include every request to the service."""
    everybody = ("*", "*") in statement.principals and not statement.all_but
    whole = any(covers(pattern, f"{service}/" if service else "") for pattern in statement.resources)
    return everybody and whole and statement.names_action(_INVOKE)


def _may_be_about(statement: Statement, service: str | None) -> bool:
    """Whether some request to the service may match the Resource."""
    if service is None or statement.not_resources is not None or not statement.resources:
        return True
    return any(_overlaps(pattern, service) for pattern in statement.resources)


def _overlaps(pattern: str, beginning: str) -> bool:
    head = re.split(r"[*?]|\$\{", pattern, maxsplit=1)[0]
    return head.startswith(beginning) or (len(head) < len(pattern) and beginning.startswith(head))


def _refuses_anonymous(operator: str, key: str, values: tuple[str, ...]) -> bool:
    """Whether an Allow with this condition is for no anonymous caller."""
    positive = operator.removeprefix("foranyvalue:") in POSITIVE
    if key == _TYPE and positive:
        return bool(values) and not any(_may_be_anonymous(value) for value in values)
    if key == _TYPE:
        return _names_anonymous(operator.replace("not", "", 1) if operator in _NOT_EQUAL else "", values)
    if not _is_identity(key):
        return False
    if operator == "null":
        return _are_all("false", values)
    return positive and bool(values) and all(_is_identified(value) for value in values)


def _holds_for_anonymous(operator: str, key: str, values: tuple[str, ...]) -> bool:
    """Whether a Deny with this condition is for every anonymous caller, with or without the key in the request."""
    if key == _IS_SERVICE:
        return operator == "boolifexists" and _are_all("false", values)
    if operator == "null":
        return _is_identity(key) and _are_all("true", values)
    bare = operator.removeprefix("forallvalues:").removesuffix("ifexists")
    if key == _TYPE and bare in _NOT_EQUAL:
        return bool(values) and not any(_may_be_anonymous(value) for value in values)
    if key == _TYPE:
        return _names_anonymous(bare, values)
    return _is_identity(key) and bare in _NOT_EQUAL and bool(values) and all(_is_identified(value) for value in values)


def _names_anonymous(operator: str, values: tuple[str, ...]) -> bool:
    """Whether one of the values is the type of an anonymous caller, as a positive operator compares it."""
    if operator == "stringequals":
        return _ANONYMOUS in values
    if operator == "stringequalsignorecase":
        return any(value.lower() == _ANONYMOUS.lower() for value in values)
    return operator == "stringlike" and any(matches(value, _ANONYMOUS) for value in values)


def _may_be_anonymous(value: str) -> bool:
    return "${" in value or matches(value.lower(), _ANONYMOUS.lower())


def _are_all(word: str, values: tuple[str, ...]) -> bool:
    return bool(values) and all(value.lower() == word for value in values)


def _is_identity(key: str) -> bool:
    return key in _IDENTITY_KEYS or key.startswith(_TAG)


def _is_identified(value: str) -> bool:
    """Whether a value is one that no anonymous caller has."""
    value = _RESOURCE_VARIABLE.sub("resource", value)
    return bool(value.strip("*?")) and not _may_be_anonymous(value)
