"""The IAM policy model: patterns, condition values, statements, and what a role is granted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice_bridge.deployment.iam.access import granted
from lattice_bridge.deployment.iam.policy import BadPolicy, ConditionValue, matches, read_policy

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", FUNCTION, True),
        ("arn:aws:lambda:*:*:function:orders:*", FUNCTION, True),
        ("arn:aws:lambda:*:*:function:orders", FUNCTION, False),
        ("arn:aws:lambda:eu-west-?:123456789012:function:orders:live", FUNCTION, True),
        ("a[b]", "ab", False),
        ("a.c", "abc", False),
        ("a", "a\n", False),
        ("*a?c*", "xxabc", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("a*?", "a", False),
        ("", "", True),
        ("**", "", True),
    ],
)
def test_only_star_and_question_mark_are_wildcards(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_pattern_of_many_stars_matches_quickly() -> None:
    assert not matches("*a" * 2_000 + "b", "a" * 2_000)


def conditional(condition: object) -> dict[str, Any]:
    return {"Statement": {"Effect": "Allow", "Condition": condition}}


@pytest.mark.parametrize(
    "document",
    [
        *("", "[", "[" * 100_000, {"Statement": ["x"]}, {"Statement": {"Effect": "Maybe"}}),
        *(
            conditional({"Bool": "true"}),
            conditional({"StringEquals": "aws:PrincipalOrgID"}),
            conditional("x"),
            conditional([]),
        ),
    ],
)
def test_malformed_policy_is_refused(document: object) -> None:
    with pytest.raises(BadPolicy):
        read_policy(document)


@pytest.mark.parametrize("document", ["null", "[]", "5", '"x"', {}, {"statement": []}, {"Statement": None}, None, []])
def test_document_without_a_statement_is_refused(document: object) -> None:
    with pytest.raises(BadPolicy):
        read_policy(document)
    assert read_policy({"Statement": []}) == ()


def test_single_statement_and_single_texts_need_no_list() -> None:
    text = json.dumps({"Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "r", "Principal": {"AWS": "x"}}})
    (found,) = read_policy(text)
    assert (found.actions, found.resources, found.principals) == (("a:b",), ("r",), (("AWS", "x"),))


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["*"]}, {"*": "*"}])
def test_everybody_is_one_principal_in_each_spelling(principal: object) -> None:
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"}]})
    assert found.principals == (("*", "*"),)


@pytest.mark.parametrize("kind", ["Service", "Federated"])
def test_every_service_or_provider_is_not_everybody(kind: str) -> None:
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Principal": {kind: "*"}}]})
    assert found.principals == ((kind, "*"),)


def test_if_exists_condition_does_not_restrict_a_key() -> None:
    condition = {"ArnLikeIfExists": {"AWS:SourceArn": "arn"}, "StringEquals": {"AWS:SourceAccount": "1"}}
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Condition": condition}]})
    assert found.values("aws:sourcearn") is None
    assert found.values("aws:sourceaccount") == (ConditionValue("stringequals", "1"),)


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ({"StringLike": {"aws:SourceArn": ["a:1", "a:2"]}}, ("a:1", "a:2")),
        ({"StringLike": {"aws:SourceArn": "a:*"}, "StringEquals": {"aws:SourceArn": ["a:1", "b:1"]}}, ("a:1",)),
        ({"StringLike": {"aws:SourceArn": "a:1"}, "StringEquals": {"aws:SourceArn": "a:2"}}, ()),
        ({"StringLike": {"aws:SourceArn": "a*"}, "ArnLike": {"aws:SourceArn": "*b"}}, ("a*", "*b")),
        (
            {"StringLike": {"aws:SourceArn": ["a:1", "x*"]}, "ArnLike": {"aws:SourceArn": ["a:1*", "*y"]}},
            ("a:1", "x*", "a:1*", "*y"),
        ),
        ({"StringEquals": {"aws:SourceAccount": "1"}}, None),
        ({"StringEquals": {"aws:SourceArn": "a"}, "stringlike": {"aws:SourceArn": "${aws:PrincipalArn}"}}, ("a",)),
        ({"StringEquals": {"aws:SourceArn": "a"}, "StringEqualsIgnoreCase": {"aws:SourceArn": "A"}}, ("a", "A")),
        ({"StringLike": {"aws:SourceArn": "a*"}, "StringEqualsIgnoreCase": {"aws:SourceArn": "AB"}}, ("AB",)),
        ({"StringEquals": {"aws:SourceArn": ["a*", "a?", "ab"]}}, ("ab",)),
        ({"ArnLike": {"aws:SourceArn": ["123456789012", "a:b:c:d:e:f"]}}, ("a:b:c:d:e:f",)),
    ],
)
def test_conditions_on_one_key_are_combined(condition: dict[str, Any], left: tuple[str, ...] | None) -> None:
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Condition": condition}]})
    values = found.values("aws:sourcearn")
    assert (None if values is None else tuple(one.text for one in values)) == left


ARN = "arn:aws:s3:::b"


@pytest.mark.parametrize(
    ("operator", "value", "text", "may", "sure"),
    [
        ("stringequals", ARN, ARN, True, True),
        ("stringequals", ARN.upper(), ARN, False, False),
        ("stringequalsignorecase", ARN.upper(), ARN, True, True),
        ("stringequals", "arn:*", ARN, False, False),
        ("stringlike", "arn:*", ARN, True, True),
        ("stringlike", "ARN:*", ARN, False, False),
        ("arnlike", "arn:*", ARN, True, False),  # six parts are compared, and it has two
        ("arnlike", "arn:aws:s3:*:*:?", ARN, True, True),
        ("arnequals", "arn:aws:s3:*:1:*", ARN, False, False),
        ("arnlike", "123456789012", "123456789012", False, False),
        ("stringequals", "${aws:x}", ARN, True, False),
        ("stringequalsignorecase", "${aws:x}", ARN, True, False),
        ("arnlike", "arn:aws:s3:::${aws:x}", ARN, True, False),
    ],
)
def test_condition_value_is_compared_by_its_operator(
    operator: str, value: str, text: str, may: bool, sure: bool
) -> None:
    asked = ConditionValue(operator, value)
    assert (asked.may_hold(text), asked.holds(text)) == (may, sure)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": ["lambda:GetFunction", "LAMBDA:List*"]}, True),
        ({"Action": ["lambda:Get*", "lambda:UpdateAlias"]}, False),
        ({"Action": "lambda:*"}, False),
        ({"NotAction": "lambda:Invoke*"}, False),
    ],
)
def test_statement_only_reads_if_all_its_actions_read(statement: dict[str, Any], expected: bool) -> None:
    (found,) = read_policy({"Statement": [{"Effect": "Allow", **statement}]})
    assert found.only_reads is expected


ALLOW = {"Effect": "Allow", "Action": "lambda:Invoke*", "Resource": FUNCTION}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([ALLOW], "allowed"),
        ([{**ALLOW, "Action": "LAMBDA:invokefunction"}], "allowed"),
        ([{**ALLOW, "Resource": FUNCTION.removesuffix(":live")}], "absent"),
        ([{**ALLOW, "Action": "lambda:GetFunction"}], "absent"),
        ([{**ALLOW, "Condition": {"Bool": {"x": "true"}}}], "conditional"),
        ([ALLOW, {**ALLOW, "Effect": "Deny"}], "denied"),
        ([ALLOW, {**ALLOW, "Effect": "Deny", "Condition": {"Bool": {"x": "true"}}}], "conditional"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "allowed"),
        ([{"Effect": "Allow", "NotAction": ["iam:*", "lambda:*"], "Resource": "*"}], "absent"),
        ([{"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::x/*"}], "absent"),
        ([{"Effect": "Allow", "Action": "lambda:*", "NotResource": FUNCTION}], "absent"),
        ([ALLOW, {"Effect": "Deny", "NotAction": "lambda:*", "Resource": "*"}], "allowed"),
        ([ALLOW, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}], "denied"),
        ([ALLOW, {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::x/*"}], "allowed"),
        ([ALLOW, {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "allowed"),
        ([], "absent"),
        ([{**ALLOW, "Resource": "arn:aws:lambda:*:${aws:PrincipalAccount}:function:orders:live"}], "conditional"),
        ([{**ALLOW, "Resource": "arn:aws:lambda:*:${aws:PrincipalAccount}:function:other"}], "absent"),
        ([ALLOW, {**ALLOW, "Effect": "Deny", "Resource": "arn:aws:lambda:*:${aws:x}:*"}], "conditional"),
        ([ALLOW, {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:lambda:*:${aws:x}:*"}], "conditional"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:lambda:*:${aws:x}:*"}], "conditional"),
    ],
)
def test_statements_grant_an_action(statements: list[dict[str, Any]], expected: str) -> None:
    assert granted(read_policy({"Statement": statements}), "lambda:InvokeFunction", FUNCTION) == expected
