"""The role that the bridge runs as: its permissions, and the principals that may assume it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import FunctionName, ResourcePolicy, ServingVersion, Unread
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.doctor_stack import (
    ACCOUNT,
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    FUNCTION,
    LAMBDA,
    ORDERS,
    RIGHTS,
    ROLE,
    allows,
    only_problem,
    policy,
    problems,
    with_backend,
    with_role,
    with_settings,
)

INVOKE, LOGS = RIGHTS["Statement"]
EVERY_FUNCTION = "arn:aws:lambda:*:*:function:*"


def test_missing_permission_to_invoke_a_backend_is_an_error() -> None:
    found = only_problem(with_role(LOGS))
    assert (found.level, found.actual) == ("error", "not allowed")
    assert found.fix == f"allow lambda:InvokeFunction on {ORDERS.qualified} in a policy of the role"


def test_permission_to_invoke_the_bare_name_does_not_include_the_alias() -> None:
    assert [line.level for line in problems(with_role({**INVOKE, "Resource": ORDERS.arn}, LOGS))] == [
        "error",
        "warning",
    ]


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
def test_permission_to_invoke_more_is_found(statement: dict[str, Any], level: str, named: str) -> None:
    found = only_problem(with_role(INVOKE, LOGS, {"Effect": "Allow", **statement}))
    assert (found.level, found.actual) == (level, f"may invoke {named}")


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("lambda:InvokeFunctionUrl", "lambda:InvokeFunctionUrl"),
        (["lambda:Update*", "s3:GetObject"], "lambda:UpdateFunctionCode"),
        ("iam:*", "iam:PutRolePolicy, iam:PassRole"),
        ("STS:assume*", "sts:AssumeRole"),
    ],
)
def test_permission_that_the_bridge_does_not_use_is_found(action: Any, named: str) -> None:
    found = only_problem(with_role(INVOKE, LOGS, {"Effect": "Allow", "Action": action, "Resource": "*"}))
    assert (found.level, found.actual) == ("warning", f"may call {named}")
    assert (
        only_problem(with_role(INVOKE, LOGS, {"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"})).level
        == "warning"
    )


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::x/*"},
        {"Effect": "Deny", "NotAction": ["lambda:*", "logs:*"], "Resource": "*"},
        {"Effect": "Allow", "NotAction": ["lambda:*", "iam:*", "sts:*"], "Resource": "*"},
    ],
)
def test_statement_about_another_action_is_no_problem(statement: dict[str, Any]) -> None:
    assert problems(with_role(INVOKE, LOGS, statement)) == []


def test_permission_with_not_resource_for_another_action_does_not_include_invoke() -> None:
    found = problems(with_role({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::x/*"}))
    assert [one.actual for one in found] == ["not allowed", "not allowed"]


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "lambda:*", "Resource": "*"},
        {"Effect": "Deny", "NotAction": ["s3:*", "logs:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "lambda:*", "NotResource": f"{ORDERS.arn}-2"},
    ],
)
def test_deny_in_a_policy_of_the_role_is_an_error(statement: dict[str, Any]) -> None:
    found = only_problem(with_role(INVOKE, LOGS, statement))
    assert (found.level, found.actual) == ("error", "denied by a statement of its own policies")


@pytest.mark.parametrize(
    "statement",
    [
        {**INVOKE, "Condition": {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}},
        {**INVOKE, "Effect": "Deny", "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}},
        {**INVOKE, "Effect": "Deny", "Resource": "arn:aws:lambda:*:${aws:PrincipalTag/account}:function:*"},
    ],
)
def test_permission_under_a_condition_is_ok_and_is_named_as_such(statement: dict[str, Any]) -> None:
    deployment = with_role(statement, LOGS, *([INVOKE] if statement["Effect"] == "Deny" else []))
    lines = [line.actual for line in findings_of(deployment, CONFIGURATION) if line.level == "ok"]
    assert "allowed under a condition or with a variable, which is not evaluated" in lines


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
def test_permissions_boundary_without_the_backends_is_an_error(boundary: list[dict[str, Any]]) -> None:
    found = only_problem(with_role(INVOKE, LOGS, boundary=read_policy(policy(*boundary))))
    assert (found.level, found.actual) == ("error", "not within the permissions boundary")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("s3://maps/bridge.toml", "s3:GetObject on arn:aws:s3:::maps/bridge.toml"),
        ("ssm:/bridge.toml", f"ssm:GetParameter on arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/bridge.toml"),
    ],
)
def test_permission_to_read_the_configuration_is_needed(place: str, expected: str) -> None:
    lines = problems(with_settings(variables={"LATTICE_BRIDGE_CONFIG": place}))
    assert [(one.level, one.expected) for one in lines if one.subject == "role bridge-role"] == [("error", expected)]


def test_permission_to_read_the_registry_is_needed() -> None:
    found = only_problem(DEPLOYMENT, replace(CONFIGURATION, table="tenants"))
    assert found.expected == f"dynamodb:GetItem on arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/tenants"


def test_role_that_does_not_exist_is_an_error() -> None:
    assert only_problem(replace(DEPLOYMENT, role_policies=None)).actual == "no such role: the bridge cannot run"


def test_role_of_a_version_with_a_weight_is_judged() -> None:
    admin = replace(FUNCTION, role=f"arn:aws:iam::{ACCOUNT}:role/admin")
    wide = with_role({"Effect": "Allow", "Action": "*", "Resource": "*"}).role_policies
    canary = ServingVersion(FunctionName(BRIDGE.arn, "8"), admin, wide)
    found, powers = problems(replace(DEPLOYMENT, serving=(canary,)))
    assert (found.level, found.subject, found.actual) == ("error", "role admin", "may invoke *")
    assert (powers.level, powers.subject) == ("warning", "role admin")


# ---- permission by the policy of the backend ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        (allows({"AWS": ROLE}), "warning", "allowed only by the function's own policy"),
        (
            allows({"AWS": [ROLE]}, Condition={"Bool": {"x": "y"}}),
            "error",
            "function's policy only under a condition",
        ),
        (allows({"AWS": ACCOUNT}), "error", "not allowed"),  # which leaves it to the role's policies
        (allows({"AWS": ROLE}, Effect="Deny"), "error", "not allowed"),
    ],
)
def test_policy_of_a_backend_that_names_the_role_is_enough_within_one_account(
    statement: dict[str, Any], level: str, words: str
) -> None:
    found = role_finding(ResourcePolicy(ORDERS, read_policy(policy(statement))))
    assert (found.level, words in found.actual) == (level, True)


def test_policy_of_a_backend_that_could_not_be_read_may_be_enough() -> None:
    found = role_finding(ResourcePolicy(ORDERS, Unread("lambda:GetPolicy", "arn", "AccessDenied")))
    assert "the function's policy, which may allow it, could not be read" in found.actual


def role_finding(backend_policy: ResourcePolicy) -> Finding:
    """The problem of a role whose own policies do not allow it to invoke the backend."""
    deployment = replace(with_role(LOGS), backends=with_backend(policies=(backend_policy,)).backends)
    (found,) = [one for one in problems(deployment) if one.subject == "role bridge-role"]
    return found


# ---- trust policy ---------------------------------------------------------------------------------------------------

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
def test_other_principal_that_may_assume_the_role_acts_as_any_tenant(statement: dict[str, Any], level: str) -> None:
    found = only_problem(with_role(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement))))
    assert (found.level, "may assume it, and act as any tenant of every backend" in found.actual) == (level, True)
    assert found.fix == "change the trust policy of role bridge-role"


@pytest.mark.parametrize(
    "statement",
    [trusted({"AWS": "999999999999"}, Action="sts:TagSession"), trusted({"AWS": "999999999999"}, Effect="Deny")],
)
def test_statement_that_allows_no_assume_role_is_no_problem(statement: dict[str, Any]) -> None:
    assert problems(with_role(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement)))) == []


@pytest.mark.parametrize(
    "statements", [[], [trusted(SERVICE, Action="sts:TagSession")], [trusted(SERVICE, Action="sts:AssumeRoleWithSAML")]]
)
def test_role_that_lambda_may_not_assume_is_an_error(statements: list[dict[str, Any]]) -> None:
    found = only_problem(with_role(INVOKE, LOGS, trust=read_policy(policy(*statements))))
    assert found.actual == "Lambda may not assume it: the bridge cannot run"


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (trusted("*", Effect="Deny"), "error"),
        (trusted(SERVICE, Effect="Deny", Action="sts:*"), "error"),
        (trusted("*", Effect="Deny", Condition={"Bool": {"x": "y"}}), "warning"),
        ({"Effect": "Deny", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "*"}, "error"),
    ],
)
def test_deny_of_lambda_is_found(statement: dict[str, Any], level: str) -> None:
    found = only_problem(with_role(INVOKE, LOGS, trust=read_policy(policy(BY_LAMBDA, statement))))
    assert (found.level, found.actual.startswith("Lambda is denied to assume it")) == (level, True)
