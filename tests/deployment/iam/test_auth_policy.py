"""Auth policies of Lattice: which of them admit anonymous callers, and which admit no caller."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lattice_bridge.deployment.iam.auth_policy import admits_anonymous, admits_no_caller
from lattice_bridge.deployment.iam.policy import Statement, read_policy

SERVICE: Final = "arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-0123456789abcdef0"
ALLOW: Final[dict[str, Any]] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "vpc-lattice-svcs:Invoke",
    "Resource": "*",
}
DENY: Final[dict[str, Any]] = {**ALLOW, "Effect": "Deny"}
ROLE: Final = "arn:aws:iam::123456789012:role/blue"


def policy(*statements: dict[str, Any]) -> tuple[Statement, ...]:
    return read_policy({"Statement": list(statements)})


def when(**condition: Any) -> dict[str, Any]:
    return {"Condition": condition}


@pytest.mark.parametrize(
    ("change", "admits"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": [ROLE, "*"]}}, True),
        ({"Principal": None, "NotPrincipal": {"AWS": ROLE}}, True),
        ({"Principal": {"AWS": ROLE}}, False),
        ({"Action": "*"}, True),
        ({"Action": ["VPC-Lattice-SVCS:inv*"]}, True),
        ({"Action": "vpc-lattice-svcs:Connect"}, False),
        ({"Action": None, "NotAction": "vpc-lattice-svcs:Connect"}, True),
        ({"Action": None, "NotAction": "vpc-lattice-svcs:*"}, False),
        ({"Resource": f"{SERVICE}/health"}, True),
        ({"Resource": f"{SERVICE[:-1]}9/*"}, False),
        ({"Resource": None, "NotResource": f"{SERVICE}/admin/*"}, True),
        ({"Resource": None}, True),  # whether AWS takes it so is not documented
    ],
)
def test_allow_for_everybody_admits_anonymous_callers(change: dict[str, Any], admits: bool) -> None:
    statement = {key: value for key, value in {**ALLOW, **change}.items() if value is not None}
    assert admits_anonymous(policy(statement), SERVICE) is admits


@pytest.mark.parametrize(
    ("operator", "key", "values"),
    [
        ("StringNotEqualsIgnoreCase", "aws:PrincipalType", "anonymous"),
        ("StringNotEqualsIgnoreCase", "AWS:principaltype", ["Account", "ANONYMOUS"]),
        ("StringNotEquals", "aws:PrincipalType", "Anonymous"),
        ("StringNotLike", "aws:PrincipalType", "Anon*"),
        ("StringEquals", "aws:PrincipalType", ["AssumedRole", "User"]),
        ("StringEquals", "aws:PrincipalOrgID", "o-1"),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-1/*"),
        ("StringEqualsIgnoreCase", "aws:PrincipalAccount", ["123456789012", "444455556666"]),
        ("StringLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/*"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/*"),
        ("ArnEquals", "aws:PrincipalArn", ROLE),
        ("StringEquals", "aws:PrincipalTag/team", "blue"),
        ("Null", "aws:PrincipalArn", "false"),
        ("Null", "aws:PrincipalOrgID", False),
        ("StringEquals", "aws:PrincipalOrgID", "${aws:ResourceOrgID}"),
        ("StringEquals", "aws:PrincipalAccount", "${aws:ResourceAccount}"),
        ("StringEquals", "aws:PrincipalTag/team", "${AWS:resourceTag/team}"),
    ],
)
def test_allow_with_a_condition_on_identity_refuses_anonymous_callers(operator: str, key: str, values: Any) -> None:
    assert not admits_anonymous(policy({**ALLOW, **when(**{operator: {key: values}})}))


@pytest.mark.parametrize(
    ("operator", "key", "values"),
    [
        ("StringNotEquals", "aws:PrincipalType", "anonymous"),
        ("StringNotLike", "aws:PrincipalType", "anon*"),
        ("StringNotEqualsIgnoreCaseIfExists", "aws:PrincipalType", "anonymous"),
        ("StringNotEqualsIgnoreCase", "aws:PrincipalType", "User"),
        ("StringEquals", "aws:PrincipalType", ["AssumedRole", "Anonymous"]),
        ("StringLike", "aws:PrincipalType", "A*"),
        ("StringNotEquals", "aws:PrincipalOrgID", "o-1"),
        ("StringEqualsIfExists", "aws:PrincipalOrgID", "o-1"),
        ("ForAllValues:StringLike", "aws:PrincipalOrgPaths", "o-1/*"),
        ("StringLike", "aws:PrincipalAccount", "*"),
        ("StringLike", "aws:PrincipalArn", ["arn:aws:iam::123456789012:role/*", "?*"]),
        ("StringEquals", "aws:PrincipalArn", "anonymous"),
        ("StringEquals", "aws:PrincipalOrgID", []),
        ("StringEquals", "aws:PrincipalArn", "${aws:PrincipalType}"),
        ("StringEquals", "aws:PrincipalType", "${aws:ResourceTag/type}"),
        ("StringLike", "aws:userid", "*"),
        ("StringEquals", "aws:userid", "anonymous"),
        ("Null", "aws:PrincipalArn", "true"),
        ("Null", "aws:PrincipalType", "false"),
        ("StringEquals", "vpc-lattice-svcs:SourceVpc", "vpc-1"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8"),
    ],
)
def test_allow_with_any_other_condition_admits_anonymous_callers(operator: str, key: str, values: Any) -> None:
    assert admits_anonymous(policy({**ALLOW, **when(**{operator: {key: values}})}))


def test_one_of_several_conditions_refuses_anonymous_callers() -> None:
    both = when(StringEquals={"aws:PrincipalOrgID": "o-1", "vpc-lattice-svcs:SourceVpc": "vpc-1"})
    assert not admits_anonymous(policy({**ALLOW, **both}))


def test_one_of_several_allows_admits_anonymous_callers() -> None:
    signed = when(StringEquals={"aws:PrincipalOrgID": "o-1"})
    assert admits_anonymous(
        policy({**ALLOW, **signed}, {**ALLOW, **when(StringEquals={"vpc-lattice-svcs:Port": "443"})})
    )


IS_ANONYMOUS: Final = when(StringEqualsIgnoreCase={"aws:PrincipalType": "anonymous"})


@pytest.mark.parametrize(
    "change",
    [
        {},
        IS_ANONYMOUS,
        {**IS_ANONYMOUS, "Principal": {"AWS": "*"}, "Action": "*", "Resource": f"{SERVICE}/*"},
        when(StringEquals={"aws:PrincipalType": "Anonymous"}),
        when(StringLike={"aws:PrincipalType": "Anon*"}),
        when(Null={"aws:PrincipalArn": "true"}),
        when(StringNotEquals={"aws:PrincipalOrgID": "o-1"}),  # so is a request without the key: template.yaml has it
        when(ArnNotLike={"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}),
        when(StringNotEqualsIfExists={"aws:PrincipalOrgID": "o-1"}),
        when(
            StringNotEqualsIfExists={"aws:PrincipalOrgID": "o-1"}, BoolIfExists={"aws:PrincipalIsAWSService": "false"}
        ),  # AWS's data perimeter
        when(StringNotEquals={"aws:PrincipalType": "AssumedRole"}),
        when(Null={"aws:PrincipalArn": "true"}, StringNotEquals={"aws:PrincipalOrgID": "o-1"}),
        when(**{"ForAllValues:StringNotLike": {"aws:PrincipalOrgPaths": "o-1/*"}}),
        {"Resource": "arn:aws:vpc-lattice:eu-west-1:123456789012:service/*"},
        {"Resource": f"{SERVICE}*"},
        {"Resource": ["arn:aws:vpc-lattice:*:*:service/svc-*/*"]},
    ],
)
def test_deny_of_the_whole_service_refuses_anonymous_callers(change: dict[str, Any]) -> None:
    assert not admits_anonymous(policy(ALLOW, {**DENY, **change}), SERVICE)


@pytest.mark.parametrize(
    "change",
    [
        {"Resource": f"{SERVICE}/admin/*"},
        {"Resource": f"{SERVICE[:-1]}9/*"},
        {"Action": "vpc-lattice-svcs:Connect"},
        {"Principal": {"AWS": ROLE}},
        {"NotPrincipal": {"AWS": ROLE}},
        when(
            StringEqualsIgnoreCase={"aws:PrincipalType": "anonymous"},
            StringEquals={"vpc-lattice-svcs:SourceVpc": "vpc-1"},
        ),
        when(StringEquals={"aws:PrincipalType": "anonymous"}),
        when(Null={"aws:PrincipalArn": "false"}),
        when(**{"ForAnyValue:StringNotEquals": {"aws:PrincipalOrgPaths": "o-1/"}}),
        when(StringNotEquals={"vpc-lattice-svcs:SourceVpc": "vpc-1"}),
        when(StringEquals={"aws:PrincipalOrgID": "o-1"}),
        {"Principal": {"Service": "*"}},
        {"Principal": {"Federated": "*"}},
        {"Resource": f"{SERVICE}/*/*"},
        {"Resource": f"{SERVICE}/?*"},
        {"Resource": "arn:aws:vpc-lattice:eu-west-1:${aws:PrincipalAccount}:service/*"},
        when(Bool={"aws:PrincipalIsAWSService": "false"}),
        when(BoolIfExists={"aws:PrincipalIsAWSService": "true"}),
        when(StringNotEquals={"aws:PrincipalType": ["AssumedRole", "Anonymous"]}),
        when(**{"ForAnyValue:StringNotLike": {"aws:PrincipalOrgPaths": "o-1/*"}}),
        when(StringNotEqualsIfExists={"aws:SourceVpc": "vpc-1"}),
    ],
)
def test_deny_of_less_refuses_no_anonymous_caller(change: dict[str, Any]) -> None:
    deny = {**DENY, **IS_ANONYMOUS, **change}
    if "NotPrincipal" in change:
        del deny["Principal"]
    assert admits_anonymous(policy(ALLOW, deny), SERVICE)


def test_deny_of_one_service_needs_its_arn() -> None:
    of_one = {**DENY, **IS_ANONYMOUS, "Resource": f"{SERVICE}/*"}
    assert admits_anonymous(policy(ALLOW, of_one))
    assert not admits_anonymous(policy(ALLOW, of_one), SERVICE)


@pytest.mark.parametrize(
    ("statements", "admits_none"),
    [
        ([], True),
        ([ALLOW], False),
        ([{**ALLOW, "Principal": {"AWS": ROLE}}], False),
        ([ALLOW, DENY], True),
        ([ALLOW, {**DENY, "Resource": f"{SERVICE}/*"}], True),
        ([ALLOW, {**DENY, "Resource": f"{SERVICE}/admin"}], False),
        ([ALLOW, {**DENY, **IS_ANONYMOUS}], False),
        ([ALLOW, {**DENY, "Principal": {"Service": "*"}}], False),
        ([{key: value for key, value in ALLOW.items() if key != "Resource"}], False),
        ([{**ALLOW, "Resource": f"{SERVICE[:-1]}9/*"}], True),
        ([{**ALLOW, "Resource": f"{SERVICE[:-4]}*"}], False),
        ([{**ALLOW, "Resource": SERVICE}], False),
        ([{**ALLOW, "Resource": "arn:aws:vpc-lattice:eu-west-1:${aws:PrincipalAccount}:service/*"}], False),
        ([{**ALLOW, "Action": "vpc-lattice-svcs:Connect"}], True),
    ],
)
def test_policy_that_allows_nothing_of_the_service_admits_no_caller(
    statements: list[dict[str, Any]], admits_none: bool
) -> None:
    assert admits_no_caller(policy(*statements), SERVICE) is admits_none
