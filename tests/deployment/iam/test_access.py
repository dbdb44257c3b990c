"""The judgement of statements: what they grant together, and which principals they allow more than is permitted."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lattice_bridge.deployment.iam.access import LAMBDA, Grant, Permitted, grant_of, severity, unexpected
from lattice_bridge.deployment.iam.policy import read_statement

ALLOW: Final = read_statement({"Effect": "Allow", "Action": "*", "Resource": "*"})
DENY: Final = read_statement({"Effect": "Deny", "Action": "*", "Resource": "*"})
IF: Final = {"Condition": {"StringEquals": {"aws:SourceIp": "1"}}}
ALLOW_IF: Final = read_statement({"Effect": "Allow", "Action": "*", "Resource": "*", **IF})
DENY_IF: Final = read_statement({"Effect": "Deny", "Action": "*", "Resource": "*", **IF})


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], "absent"),
        ([(ALLOW, True)], "allowed"),
        ([(ALLOW, False)], "absent"),
        ([(ALLOW, None)], "conditional"),
        ([(ALLOW_IF, True)], "conditional"),
        ([(ALLOW_IF, None), (ALLOW, True)], "allowed"),
        ([(ALLOW, True), (DENY, False)], "allowed"),
        ([(ALLOW, True), (DENY, None)], "conditional"),
        ([(ALLOW, True), (DENY_IF, True)], "conditional"),
        ([(ALLOW, True), (DENY, True)], "denied"),
        ([(DENY, None)], "absent"),
        ([(DENY, True)], "denied"),
    ],
)
def test_grant_of_what_is_not_known_is_never_certain(statements: list[Any], expected: Grant) -> None:
    assert grant_of(statements) == expected


OWN: Final = Permitted(frozenset({("Service", LAMBDA)}), frozenset({"123456789012"}), "sts:")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Principal": {"Service": LAMBDA}}, []),
        ({"Principal": {"Service": [LAMBDA, "ec2.amazonaws.com"]}}, [("ec2.amazonaws.com", "error")]),
        ({"Principal": {"AWS": ["123456789012", "*"]}}, [("123456789012", "warning"), ("*", "error")]),
        ({"Principal": {"Federated": "accounts.google.com"}}, [("accounts.google.com", "error")]),
        ({"NotPrincipal": {"AWS": ["1", "2"]}}, [("everyone but 1, 2", "error")]),
        ({"Principal": "*", "Effect": "Deny"}, []),
        ({"Principal": {"Service": LAMBDA}, "Action": "*"}, [(LAMBDA, "error")]),
    ],
)
def test_principal_that_is_not_permitted_has_a_level(
    statement: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    read = read_statement({"Effect": "Allow", "Action": "sts:AssumeRole", **statement})
    assert unexpected(read, OWN) == expected
    levels = [level for _name, level in expected]
    assert severity(read, OWN) == (min(levels) if levels else None)
