"""What a policy document says, as far as doctor reads one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice_bridge.deployment.doctor_policy import BadPolicy, granted, matches, read_policy

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
    ],
)
def test_only_star_and_question_mark_are_wildcards(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize("document", ["", "[", "[" * 100_000, {"Statement": ["x"]}, {"Statement": {"Effect": "Maybe"}}])
def test_what_is_no_policy_is_said_to_be_none(document: object) -> None:
    with pytest.raises(BadPolicy):
        read_policy(document)


def test_one_statement_may_stand_without_a_list_and_a_text_without_one() -> None:
    text = json.dumps({"Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "r", "Principal": {"AWS": "x"}}})
    (found,) = read_policy(text)
    assert (found.actions, found.resources, found.principals) == (("a:b",), ("r",), (("AWS", "x"),))


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["*"]}, {"Service": "*"}])
def test_everybody_is_one_principal_however_it_is_written(principal: object) -> None:
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"}]})
    assert found.principals == (("*", "*"),)


def test_an_if_exists_condition_does_not_bind_a_request_that_lacks_the_key() -> None:
    condition = {"ArnLikeIfExists": {"AWS:SourceArn": "arn"}, "StringEquals": {"AWS:SourceAccount": "1"}}
    (found,) = read_policy({"Statement": [{"Effect": "Allow", "Condition": condition}]})
    assert found.values("aws:sourcearn") == ()
    assert found.values("aws:sourceaccount") == ("1",)


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
        ([ALLOW, {**ALLOW, "Effect": "Deny", "Condition": {"Bool": {"x": "true"}}}], "allowed"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "unclear"),
        ([ALLOW, {"Effect": "Deny", "NotAction": "lambda:*", "Resource": "*"}], "unclear"),
        ([ALLOW, {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "allowed"),
        ([], "absent"),
    ],
)
def test_what_statements_come_to(statements: list[dict[str, Any]], expected: str) -> None:
    assert granted(read_policy({"Statement": statements}), "lambda:InvokeFunction", FUNCTION) == expected
