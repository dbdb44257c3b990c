"""The role that the bridge runs as: what it may do, and who may assume it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import Door, Name, Running
from lattice_bridge.deployment.doctor.findings import Shell, Unread
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    ACCOUNT,
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
    LAMBDA,
    ORDERS,
    RIGHTS,
    ROLE,
    allowed,
    allows,
    behind,
    only,
    policy,
    said,
)

INVOKE, LOGS = RIGHTS["Statement"]
EVERY_FUNCTION = "arn:aws:lambda:*:*:function:*"


def test_a_backend_that_the_role_may_not_invoke_is_an_error_with_the_whole_policy() -> None:
    found = only(allowed(LOGS))
    assert (found.level, found.found) == ("error", "not allowed")
    words = shlex.split(str(found.mend))
    assert words[:3] == ["aws", "iam", "put-role-policy"]
    (first, second) = read_policy(words[words.index("--policy-document") + 1])
    assert (first.actions, first.resources) == (("lambda:InvokeFunction",), (ORDERS.qualified,))
    assert second.actions == ("logs:CreateLogStream", "logs:PutLogEvents")


def test_a_policy_is_put_under_a_name_that_none_has() -> None:
    mend = str(only(allowed(LOGS, inline=("lattice-bridge", "lattice-bridge-2"))).mend)
    assert "--policy-name lattice-bridge-3 " in mend


def test_the_right_to_invoke_the_function_is_none_to_invoke_its_alias() -> None:
    assert [line.level for line in said(allowed({**INVOKE, "Resource": ORDERS.arn}, LOGS))] == ["error", "warning"]


@pytest.mark.parametrize(
    ("statement", "level", "named"),
    [
        ({"Action": "lambda:InvokeFunction", "Resource": f"{ORDERS.arn}:*"}, "warning", f"{ORDERS.arn}:*"),
        ({"Action": "lambda:InvokeFunctio?", "Resource": f"{ORDERS.arn}-2"}, "warning", f"{ORDERS.arn}-2"),
        ({"Action": "lambda:InvokeFunctio?", "Resource": "*"}, "error", "*"),
        ({"Action": "lambda:InvokeFunctio?", "Resource": EVERY_FUNCTION}, "error", EVERY_FUNCTION),
        ({"Action": "lambda:InvokeFunctio?", "Resource": f"{LAMBDA}:*"}, "error", f"{LAMBDA}:*"),
        ({"Action": "lambda:InvokeFunctio?", "Resource": "arn:*:dynamodb:*"}, "warning", "arn:*:dynamodb:*"),
        ({"NotAction": ["iam:*", "sts:*", "lambda:A*", "lambda:U*", "lambda:*Url"], "Resource": "*"}, "error", "*"),
        ({"Action": "lambda:InvokeFunction", "NotResource": f"{ORDERS.arn}-2"}, "error", "everything but some"),
    ],
)
def test_the_right_to_invoke_more_is_told(statement: dict[str, Any], level: str, named: str) -> None:
    found = only(allowed(INVOKE, LOGS, {"Effect": "Allow", **statement}))
    assert (found.level, found.found) == (level, f"may invoke {named}")


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("lambda:InvokeFunctionUrl", "lambda:InvokeFunctionUrl"),
        (["lambda:Update*", "s3:GetObject"], "lambda:UpdateFunctionCode"),
        ("iam:*", "iam:PutRolePolicy, iam:PassRole"),
        ("STS:assume*", "sts:AssumeRole"),
    ],
)
def test_a_right_to_what_the_bridge_never_does_is_told(action: Any, named: str) -> None:
    found = only(allowed(INVOKE, LOGS, {"Effect": "Allow", "Action": action, "Resource": "*"}))
    assert (found.level, found.found) == ("warning", f"may take {named}")
    assert only(allowed(INVOKE, LOGS, {"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"})).level == "warning"


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::x/*"},
        {"Effect": "Deny", "NotAction": ["lambda:*", "logs:*"], "Resource": "*"},
        {"Effect": "Allow", "NotAction": ["lambda:*", "iam:*", "sts:*"], "Resource": "*"},
    ],
)
def test_a_statement_about_something_else_makes_nothing_unclear(statement: dict[str, Any]) -> None:
    assert said(allowed(INVOKE, LOGS, statement)) == []


def test_the_right_to_all_but_some_of_something_else_is_none_to_invoke() -> None:
    found = said(allowed({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::x/*"}))
    assert [one.found for one in found] == ["not allowed", "not allowed"]


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "lambda:*", "Resource": "*"},
        {"Effect": "Deny", "NotAction": ["s3:*", "logs:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "lambda:*", "NotResource": f"{ORDERS.arn}-2"},
    ],
)
def test_a_deny_in_the_roles_own_policies_is_seen(statement: dict[str, Any]) -> None:
    found = only(allowed(INVOKE, LOGS, statement))
    assert (found.level, found.found) == ("error", "denied by a statement of its own")


@pytest.mark.parametrize(
    "statement",
    [
        {**INVOKE, "Condition": {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}},
        {**INVOKE, "Effect": "Deny", "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}},
        {**INVOKE, "Effect": "Deny", "Resource": "arn:aws:lambda:*:${aws:PrincipalTag/account}:function:*"},
    ],
)
def test_a_right_under_a_condition_is_taken_for_one_and_said_to_be_conditional(statement: dict[str, Any]) -> None:
    deployed = allowed(statement, LOGS, *([INVOKE] if statement["Effect"] == "Deny" else []))
    lines = findings_of(deployed, CONFIGURED, Shell(REGION))
    assert any(
        "under a condition or with a variable, not looked into" in line.found for line in lines if line.level == "ok"
    )


@pytest.mark.parametrize(
    "boundary",
    [
        [LOGS],
        [{"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"}],
        [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "NotAction": ["s3:*", "logs:*"], "Resource": "*"},
        ],
    ],
)
def test_a_boundary_that_leaves_the_backends_out_is_an_error(boundary: list[dict[str, Any]]) -> None:
    found = only(allowed(INVOKE, LOGS, boundary=read_policy(policy(*boundary))))
    assert (found.level, found.found) == ("error", "not within the permissions boundary")


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("s3://maps/bridge.toml", "s3:GetObject on arn:aws:s3:::maps/bridge.toml"),
        ("ssm:/bridge.toml", f"ssm:GetParameter on arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/bridge.toml"),
    ],
)
def test_the_role_needs_to_read_the_configuration_where_it_is(place: str, wanted: str) -> None:
    lines = said(replace(DEPLOYED, function=replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": place})))
    assert [(one.level, one.wanted) for one in lines if one.subject == "role bridge-role"] == [("error", wanted)]


def test_the_role_needs_to_read_the_registry() -> None:
    found = only(DEPLOYED, replace(CONFIGURED, table="tenants"))
    assert found.wanted == f"dynamodb:GetItem on arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/tenants"


def test_a_role_that_is_gone_is_an_error() -> None:
    assert only(replace(DEPLOYED, rights=None)).found == "no such role: the bridge cannot run"


def test_the_role_of_a_version_that_gets_a_share_is_looked_at() -> None:
    admin = replace(FUNCTION, role=f"arn:aws:iam::{ACCOUNT}:role/admin")
    wide = allowed({"Effect": "Allow", "Action": "*", "Resource": "*"}).rights
    found, powers = said(replace(DEPLOYED, running=(Running(Name(BRIDGE.arn, "8"), admin, wide),)))
    assert (found.level, found.subject, found.found) == ("error", "role admin", "may invoke *")
    assert (powers.level, powers.subject) == ("warning", "role admin")


# ---- what the function's own policy lets it do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        (allows({"AWS": ROLE}), "warning", "allowed by the function's own policy alone"),
        (allows({"AWS": [ROLE]}, Condition={"Bool": {"x": "y"}}), "error", "by the function's own under a condition"),
        (allows({"AWS": ACCOUNT}), "error", "not allowed"),  # which leaves it to the role's policies
        (allows({"AWS": ROLE}, Effect="Deny"), "error", "not allowed"),
    ],
)
def test_within_an_account_a_policy_that_names_the_role_is_enough(
    statement: dict[str, Any], level: str, words: str
) -> None:
    doors = (Door(ORDERS, read_policy(policy(statement))),)
    lines = said(replace(allowed(LOGS), backends=behind(doors=doors).backends))
    (found,) = [one for one in lines if one.subject == "role bridge-role"]
    assert (found.level, words in found.found) == (level, True)


def test_a_policy_that_could_not_be_read_might_be_enough() -> None:
    doors = (Door(ORDERS, Unread("lambda:GetPolicy", "arn", "AccessDenied")),)
    lines = said(replace(allowed(LOGS), backends=behind(doors=doors).backends))
    (found,) = [one for one in lines if one.subject == "role bridge-role"]
    assert "the function's policy, which might, could not be read" in found.found


# ---- who may assume it ----------------------------------------------------------------------------------------------

SERVICE = {"Service": "lambda.amazonaws.com"}


def trusted(principal: Any, **statement: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **statement}


BY_LAMBDA = trusted(SERVICE)
OF_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/office"
OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (trusted("*"), "error"),
        (trusted({"AWS": "*"}, Condition={"StringEquals": {"sts:ExternalId": "x"}}), "error"),
        (trusted({"AWS": "999999999999"}), "error"),
        (trusted({"AWS": "arn:aws:iam::999999999999:role/x"}), "error"),
        (trusted({"Service": "ec2.amazonaws.com"}), "error"),
        (trusted({"Service": ["lambda.amazonaws.com", "edgelambda.amazonaws.com"]}), "error"),
        (trusted({"Federated": "accounts.google.com"}, Action="sts:AssumeRoleWithWebIdentity"), "error"),
        (trusted({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), "warning"),
        (trusted({"AWS": f"arn:aws:iam::{ACCOUNT}:role/deploy"}, Action="sts:*"), "warning"),
        (trusted({"Federated": OIDC}, Action="sts:AssumeRoleWithWebIdentity"), "error"),
        (trusted({"Federated": OIDC}, Action="sts:*", Condition=OF_ACCOUNT), "error"),
        (trusted({"Federated": SAML}, Action="sts:AssumeRoleWithSAML"), "error"),
        (trusted("*", Condition=OF_ACCOUNT), "warning"),
    ],
)
def test_whoever_may_assume_the_role_is_any_tenant(statement: dict[str, Any], level: str) -> None:
    found = only(allowed(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement))))
    assert (found.level, "may assume it, and is any tenant of every backend" in found.found) == (level, True)
    assert "get-role --role-name bridge-role --query Role.AssumeRolePolicyDocument" in str(found.mend)


@pytest.mark.parametrize(
    "statement",
    [trusted({"AWS": "999999999999"}, Action="sts:TagSession"), trusted({"AWS": "999999999999"}, Effect="Deny")],
)
def test_a_statement_by_which_nobody_assumes_it_is_nobodys_concern(statement: dict[str, Any]) -> None:
    assert said(allowed(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement)))) == []


@pytest.mark.parametrize(
    "statements", [[], [trusted(SERVICE, Action="sts:TagSession")], [trusted(SERVICE, Action="sts:AssumeRoleWithSAML")]]
)
def test_a_role_that_lambda_may_not_assume_runs_nothing(statements: list[dict[str, Any]]) -> None:
    found = only(allowed(INVOKE, LOGS, trust=read_policy(policy(*statements))))
    assert found.found == "Lambda may not assume it: the bridge cannot run"


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (trusted("*", Effect="Deny"), "error"),
        (trusted(SERVICE, Effect="Deny", Action="sts:*"), "error"),
        (trusted("*", Effect="Deny", Condition={"Bool": {"x": "y"}}), "warning"),
        ({"Effect": "Deny", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "*"}, "error"),
    ],
)
def test_a_role_that_denies_lambda_runs_nothing(statement: dict[str, Any], level: str) -> None:
    found = only(allowed(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement))))
    assert (found.level, found.found.startswith("Lambda is denied to assume it")) == (level, True)
