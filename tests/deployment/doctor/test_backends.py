"""Invokers of a backend: its resource policies and function URLs allow the bridge's role only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.config.options import Backend
from lattice_bridge.deployment.doctor.facts import (
    BackendFunction,
    DeployedFunction,
    Deployment,
    FunctionName,
    FunctionUrl,
    ResourcePolicy,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Command
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.doctor_stack import (
    ACCOUNT,
    BEHIND,
    CONFIGURATION,
    DEPLOYMENT,
    ORDERS,
    RIGHTS,
    ROLE,
    allows,
    only_problem,
    policy,
    problems,
    with_backend,
    with_bridge,
    with_role,
)

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/other"
FOREIGN = "999999999999"
EVIL = f"arn:aws:iam::{FOREIGN}:role/evil"


def with_backend_policy(*statements: dict[str, Any], name: FunctionName = ORDERS) -> Deployment:
    """The stack with another resource policy on one of a backend's names."""
    return with_backend(policies=(ResourcePolicy(name, read_policy(policy(*statements))),))


# ---- invokers other than the bridge ---------------------------------------------------------------------------------

IS_OWN_ROLE = {"ArnEquals": {"aws:PrincipalArn": ROLE}}
OF_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
SPANNING = f"arn:aws:s3:*:{ACCOUNT}:x"
"""A pattern that also matches `arn:aws:s3:::b:123456789012:x`, which may be any account's bucket."""
API = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:api/*/GET/orders"


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (allows({"AWS": FOREIGN}), "error"),
        (allows({"AWS": f"arn:aws:iam::{FOREIGN}:root"}), "error"),
        (allows({"AWS": f"arn:aws:iam::{FOREIGN}:root"}, Condition={"StringEquals": {"aws:x": "y"}}), "error"),
        (allows({"AWS": [OTHER_ROLE, FOREIGN]}), "error"),
        (allows({"Service": "apigateway.amazonaws.com"}), "error"),
        (allows({"Service": "s3.amazonaws.com"}, Condition={"ArnLike": {"aws:SourceArn": "arn:aws:s3:::b"}}), "error"),
        (allows({"Service": "x.amazonaws.com"}, Condition={"ArnLike": {"aws:SourceArn": "arn:*:x"}}), "error"),
        (allows({"Service": "x.amazonaws.com"}, Condition={"StringLike": {"aws:SourceArn": SPANNING}}), "error"),
        (allows({"Federated": "accounts.google.com"}), "error"),
        (allows("*"), "error"),
        (allows("*", Condition={"StringLike": {"aws:SourceArn": "*"}}), "error"),
        (allows("*", Condition={"Null": {"aws:PrincipalOrgID": "true"}}), "error"),
        (allows("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), "error"),
        (allows("*", Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}}), "error"),
        (allows("*", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/bridge-role"}}), "error"),
        (
            allows(
                "*",
                Action="lambda:InvokeFunctionUrl",
                Condition={"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
            ),
            "error",
        ),
        (allows("*", Action="lambda:UpdateFunctionCode"), "error"),
        (allows({"AWS": FOREIGN}, Action=["lambda:AddPermission", "lambda:UpdateAlias"]), "error"),
        (allows({"AWS": ROLE}, Action="lambda:*"), "warning"),
        (allows({"AWS": ROOT}), "warning"),
        (allows({"AWS": OTHER_ROLE}), "warning"),
        (allows({"AWS": ACCOUNT}), "warning"),
        (allows({"Service": "apigateway.amazonaws.com"}, Condition={"ArnLike": {"AWS:SourceArn": API}}), "warning"),
        (
            allows(
                {"Service": "s3.amazonaws.com"},
                Condition={
                    "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
                    "StringEquals": {"AWS:SourceAccount": ACCOUNT},
                },
            ),
            "warning",
        ),
        (allows("*", Condition=OF_ACCOUNT), "warning"),
        (allows("*", Condition={"ArnEquals": {"aws:PrincipalArn": OTHER_ROLE}}), "warning"),
        (
            allows("*", Condition={"ArnLike": {"aws:SourceArn": API}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}),
            "warning",
        ),
    ],
)
@pytest.mark.parametrize("name", [ORDERS, *(FunctionName(ORDERS.arn, qualifier) for qualifier in (None, "other", "3"))])
def test_other_invoker_of_an_isolated_backend_acts_as_any_tenant(
    statement: dict[str, Any], level: str, name: FunctionName
) -> None:
    found = only_problem(with_backend_policy({**statement, "Sid": "other"}, name=name))
    assert (found.level, found.subject) == (level, f"invoke permission {name.label}")
    assert found.is_wrong is (level == "error")
    assert "without the bridge, as any tenant, by statement other" in found.actual
    assert found.fix


@pytest.mark.parametrize(
    "statement",
    [
        allows({"AWS": ROLE}),
        allows({"AWS": ROLE}, Action=["lambda:InvokeFunction", "lambda:InvokeAsync"]),
        allows("*", Condition=IS_OWN_ROLE),
        allows("*", Action="lambda:GetFunction"),
    ],
)
def test_role_of_the_bridge_is_expected(statement: dict[str, Any]) -> None:
    assert problems(with_backend_policy(statement)) == []


def test_role_of_the_account_is_unknown_if_the_role_of_the_bridge_could_not_be_read() -> None:
    unread = Unread("lambda:GetFunctionConfiguration", "arn", "AccessDeniedException")
    deployment = with_bridge(with_backend_policy(allows({"AWS": ROLE})), configuration=unread)
    lines = problems(replace(deployment, role_policies=unread))
    (found,) = [one for one in lines if one.subject == "invoke permission orders:live"]
    assert (found.level, found.fix) == ("unknown", None)


@pytest.mark.parametrize("qualifier", [None, "live", "3"])
def test_statement_for_another_principal_is_removed_by_a_command(qualifier: str | None) -> None:
    name = FunctionName(ORDERS.arn, qualifier)
    found = only_problem(with_backend_policy(allows({"AWS": FOREIGN}, sid="evil"), name=name))
    which = f"--qualifier {qualifier} " if qualifier else ""
    assert found.fix == (
        f"aws lambda remove-permission --function-name {ORDERS.arn} {which}--statement-id evil --region eu-west-1"
    )


@pytest.mark.parametrize("principal", [{"AWS": [ROLE, FOREIGN]}, "*", {"AWS": ROOT}])
def test_statement_that_also_admits_the_bridge_is_removed_by_no_command(principal: Any) -> None:
    """The bridge may have no other permission, and then every request would fail."""
    found = only_problem(with_backend_policy(allows(principal, sid="wide")))
    assert not isinstance(found.fix, Command)
    assert found.fix == (
        f"first make sure that a policy of the bridge's role allows lambda:InvokeFunction on {ORDERS.qualified}; "
        "then remove statement wide from the resource policy of orders:live"
    )


@pytest.mark.parametrize("principal", [{"AWS": [ROLE, FOREIGN]}, "*", {"AWS": ROOT}])
def test_statement_that_also_admits_the_bridge_into_another_account_is_removed_by_no_command(principal: Any) -> None:
    (found,) = [
        one for one in problems(in_another_account(allows(principal, sid="wide"))) if "by statement wide" in one.actual
    ]
    assert not isinstance(found.fix, Command)
    assert str(found.fix).startswith("first give the bridge's role a statement of its own there; then remove statement")


@pytest.mark.parametrize(
    ("condition", "level"),
    [
        ({"StringEquals": {"aws:PrincipalArn": [ROLE, EVIL]}}, "error"),
        ({"StringLike": {"aws:PrincipalArn": [ROLE, EVIL]}}, "error"),
        ({"StringEquals": {"aws:PrincipalArn": ROLE}}, None),
    ],
)
@pytest.mark.parametrize(
    "second",
    [
        {"ArnLike": {"aws:PrincipalArn": [ROLE, "arn:aws:iam::${aws:PrincipalAccount}:role/*"]}},
        {"StringEqualsIgnoreCase": {"aws:PrincipalArn": [ROLE, EVIL.upper()]}},
    ],
)
def test_second_condition_does_not_excuse_the_first(
    condition: dict[str, Any], level: str | None, second: dict[str, Any]
) -> None:
    lines = problems(with_backend_policy(allows("*", Condition={**condition, **second})))
    assert [one.level for one in lines] == ([level] if level else [])


def test_function_url_of_a_backend_is_an_error() -> None:
    found = only_problem(with_backend(urls=(FunctionUrl(ORDERS.qualified),)))
    assert (found.level, found.actual) == ("error", "orders:live has one")
    assert f"delete-function-url-config --function-name {ORDERS.arn} --qualifier live" in str(found.fix)


def test_versions_of_a_backend_beyond_the_limit_are_counted() -> None:
    assert only_problem(with_backend(versions_left=3)).actual == "3 more, whose policies were not read"


def test_invokers_are_judged_if_the_configuration_of_a_backend_could_not_be_read() -> None:
    unread = Unread("lambda:GetFunctionConfiguration", ORDERS.qualified, "AccessDeniedException")
    policies = (ResourcePolicy(ORDERS, read_policy(policy(allows("*", sid="all")))),)
    lines = problems(with_backend(configuration=unread, policies=policies, urls=(FunctionUrl(ORDERS.qualified),)))
    assert [(one.level, one.subject) for one in lines] == [
        ("unknown", "backend / orders:live"),
        ("error", "invoke permission orders:live"),
        ("error", "function URL orders"),
    ]


def test_backend_of_another_region_has_one_finding() -> None:
    cause = "it is in another Region"
    unread = Unread("lambda:GetFunctionConfiguration", ORDERS.qualified, cause, out_of_reach=True)
    lines = findings_of(with_backend(configuration=unread, policies=()), CONFIGURATION)
    assert [one.subject for one in lines if "orders" in one.subject] == ["backend / orders:live"]


def test_function_of_two_backends_has_one_finding() -> None:
    function = replace(BEHIND.function, policies=(ResourcePolicy(ORDERS, read_policy(policy(allows("*", sid="all")))),))
    paths = (Backend("/", "orders:live"), Backend("/x", "orders:live"))
    twice = replace(DEPLOYMENT, backends=tuple(BackendFunction(backend, function) for backend in paths))
    assert only_problem(twice).subject == "invoke permission orders:live"


# ---- the bridge as invoker ------------------------------------------------------------------------------------------

THERE = FunctionName(ORDERS.arn.replace(ACCOUNT, "444455556666"), "live")


def in_another_account(*statements: dict[str, Any]) -> Deployment:
    """The stack with a backend of another account, and its resource policy."""
    policies = (ResourcePolicy(THERE, read_policy(policy(*statements))),)
    function = DeployedFunction(THERE, BEHIND.function.configuration, policies=policies)
    allowed = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": THERE.qualified}
    backend = BackendFunction(Backend("/", THERE.qualified), function)
    return replace(with_role(allowed, *RIGHTS["Statement"]), backends=(backend,))


def invoke_problems(deployment: Deployment) -> list[tuple[str, str]]:
    """Level and text of the problems of resource policies."""
    return [(one.level, one.actual) for one in problems(deployment) if one.subject.startswith("invoke permission")]


@pytest.mark.parametrize("principal", [{"AWS": ROLE}, "*", {"AWS": ROOT}, {"AWS": ACCOUNT}])
def test_backend_of_another_account_admits_the_bridge_by_role_or_account(principal: Any) -> None:
    assert "is answered with 500" not in repr(invoke_problems(in_another_account(allows(principal))))


@pytest.mark.parametrize(
    "statements", [(), (allows({"AWS": OTHER_ROLE}),), (allows({"AWS": ROLE}, Action="lambda:Get*"),)]
)
def test_backend_of_another_account_without_a_statement_for_the_role_is_an_error(
    statements: tuple[dict[str, Any], ...],
) -> None:
    lines = problems(in_another_account(*statements))
    (found,) = [one for one in lines if "is not admitted, and is of another" in one.actual]
    assert found.level == "error"
    assert found.fix == f"allow lambda:InvokeFunction to {ROLE} in the resource policy of orders:live"


def test_admission_under_a_condition_is_unknown() -> None:
    conditional = allows({"AWS": ROLE}, Condition={"Bool": {"x": "y"}})
    assert [level for level, _actual in invoke_problems(in_another_account(conditional))] == ["unknown"]


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (allows("*", sid="no", Effect="Deny"), "error"),
        (allows({"AWS": ROLE}, sid="no", Effect="Deny", Action="lambda:*"), "error"),
        (allows("*", sid="no", Effect="Deny", Condition={"Bool": {"x": "y"}}), "warning"),
    ],
)
def test_deny_of_the_bridge_is_found(statement: dict[str, Any], level: str) -> None:
    found = only_problem(with_backend_policy(statement))
    assert (found.level, found.actual.startswith("the bridge is denied")) == (level, True)


def test_deny_of_another_principal_is_no_problem() -> None:
    assert problems(with_backend_policy(allows({"AWS": OTHER_ROLE}, Effect="Deny"))) == []
