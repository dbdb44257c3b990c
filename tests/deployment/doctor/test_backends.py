"""The functions behind the bridge: their tenancy, and who may invoke them past it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.config.backend import Backend
from lattice_bridge.deployment.doctor.facts import BackendFunction, Deployed, Door, Name, Rights, Running
from lattice_bridge.deployment.doctor.findings import Shell, Unread
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    ACCOUNT,
    BACKEND,
    BEHIND,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
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

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/other"
FOREIGN = "999999999999"
EVIL = f"arn:aws:iam::{FOREIGN}:role/evil"


def let_in(*statements: dict[str, Any], name: Name = ORDERS) -> Deployed:
    """The stack with a policy on one of a backend's names."""
    return behind(doors=(Door(name, read_policy(policy(*statements))),))


# ---- tenancy --------------------------------------------------------------------------------------------------------


def test_an_isolated_backend_without_tenancy_is_made_anew() -> None:
    found = only(behind(function=replace(FUNCTION, handler="app.handler")))
    assert (found.level, found.wanted) == ("error", "PER_TENANT")
    mend = str(found.mend)
    assert mend.startswith(f"aws lambda create-function --function-name orders-isolated --role {ROLE}")
    assert "--tenancy-config TenantIsolationMode=PER_TENANT" in mend


def test_a_backend_of_another_account_is_not_made_anew_in_this_one() -> None:
    there = Name(ORDERS.arn.replace(ACCOUNT, FOREIGN), "live")
    lines = said(replace(DEPLOYED, backends=(BackendFunction(BACKEND, there, FUNCTION),)))
    (found,) = [one for one in lines if one.subject == "backend / orders:live"]
    assert (found.level, str(found.mend).startswith("make orders:live anew, in 999999999999")) == ("error", True)


def test_an_isolated_function_that_the_map_calls_standard_is_an_error() -> None:
    found = only(behind(Backend("/", "orders:live", isolated=False)))
    assert (found.level, found.mend) == ("error", 'in bridge.toml, [[backend]] path "/": isolated = true')


def test_a_backend_that_is_not_there_is_an_error() -> None:
    assert only(behind(function=None, doors=())).found.startswith("no such function or qualifier")


def test_a_backend_that_is_not_ready_is_a_warning() -> None:
    assert only(behind(function=replace(FUNCTION, isolated=True, state="Pending"))).level == "warning"


# ---- who may invoke it past the bridge ------------------------------------------------------------------------------

IS_OWN_ROLE = {"ArnEquals": {"aws:PrincipalArn": ROLE}}
OF_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
SPANNING = f"arn:aws:s3:*:{ACCOUNT}:x"
"""For `arn:aws:s3:::b:123456789012:x` as well, whosever bucket that is."""
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
@pytest.mark.parametrize("name", [ORDERS, Name(ORDERS.arn), Name(ORDERS.arn, "other"), Name(ORDERS.arn, "3")])
def test_whoever_may_do_more_than_look_past_the_bridge_is_any_tenant(
    statement: dict[str, Any], level: str, name: Name
) -> None:
    found = only(let_in({**statement, "Sid": "past"}, name=name))
    assert found.level == level
    assert found.is_wrong is (level == "error")
    assert "past the bridge, as any tenant, by statement past" in found.found
    which = f"--qualifier {name.qualifier} " if name.qualifier else ""
    assert f"remove-permission --function-name {ORDERS.arn} {which}--statement-id past" in str(found.mend)


@pytest.mark.parametrize(
    "statement",
    [
        allows({"AWS": ROLE}),
        allows({"AWS": ROLE}, Action=["lambda:InvokeFunction", "lambda:InvokeAsync"]),
        allows("*", Condition=IS_OWN_ROLE),
        allows("*", Action="lambda:GetFunction"),
    ],
)
def test_a_backends_policy_may_name_the_bridges_own_role(statement: dict[str, Any]) -> None:
    assert said(let_in(statement)) == []


def test_while_the_bridges_role_is_unknown_a_role_of_the_account_may_be_it() -> None:
    unread = Unread("lambda:GetFunctionConfiguration", "arn", "AccessDeniedException")
    lines = said(replace(let_in(allows({"AWS": ROLE})), function=unread, rights=unread))
    (found,) = [one for one in lines if one.subject == "invoke permission orders:live"]
    assert (found.level, found.mend) == ("unknown", None)


@pytest.mark.parametrize("principal", [{"AWS": [ROLE, FOREIGN]}, "*", {"AWS": ROOT}])
def test_what_lets_the_bridge_into_another_account_as_well_is_not_taken_out_by_a_command(principal: Any) -> None:
    (found,) = [one for one in said(elsewhere(allows(principal, sid="wide"))) if "by statement wide" in one.found]
    assert str(found.mend).startswith("once the bridge's role has a statement of its own there: aws lambda remove-")


def test_who_may_invoke_a_backend_is_told_even_if_its_configuration_cannot_be_read() -> None:
    unread = Unread("lambda:GetFunctionConfiguration", ORDERS.qualified, "AccessDeniedException")
    doors = (Door(ORDERS, read_policy(policy(allows("*", sid="all")))),)
    lines = said(behind(function=unread, doors=doors, urls=(ORDERS.qualified,)))
    assert [(one.level, one.subject) for one in lines] == [
        ("unknown", "backend / orders:live"),
        ("error", "invoke permission orders:live"),
        ("error", "function URL orders"),
    ]


def test_of_a_backend_of_another_region_nothing_is_said_that_was_not_read() -> None:
    unread = Unread("lambda:GetFunctionConfiguration", ORDERS.qualified, "it is in another region", elsewhere=True)
    lines = findings_of(behind(function=unread, doors=()), CONFIGURED, Shell(REGION))
    assert [one.subject for one in lines if "orders" in one.subject] == ["backend / orders:live"]


LOGS = RIGHTS["Statement"][1]
CONDITIONAL = {**RIGHTS["Statement"][0], "Condition": {"Bool": {"x": "y"}}}


@pytest.mark.parametrize(
    "rights",
    [
        allowed(LOGS).rights,
        allowed(LOGS, CONDITIONAL).rights,
        allowed(*RIGHTS["Statement"], boundary=read_policy(policy(LOGS))).rights,
        Unread("iam:GetRole", ROLE, "AccessDenied"),
        Rights(Unread("iam:ListRolePolicies", ROLE, "AccessDenied")),
        allowed(*RIGHTS["Statement"], boundary=Unread("iam:GetPolicy", ROLE, "AccessDenied")).rights,
        None,
    ],
    ids=["none", "conditional", "a boundary", "unread", "policies unread", "boundary unread", "no role"],
)
@pytest.mark.parametrize("principal", [{"AWS": [ROLE, FOREIGN]}, "*", {"AWS": ROOT}])
def test_what_alone_may_let_the_bridge_in_is_not_taken_out_by_a_command(rights: Any, principal: Any) -> None:
    deployed = replace(let_in(allows(principal, sid="wide")), rights=rights)
    (found,) = [one for one in said(deployed) if "by statement wide" in one.found]
    assert str(found.mend).startswith(f"once lambda:InvokeFunction on {ORDERS.qualified} stands in the policies of the")


def test_the_rights_of_every_role_that_the_bridge_runs_as_count() -> None:
    canary = Running(Name(ORDERS.arn.replace("orders", "bridge"), "8"), FUNCTION, allowed(LOGS).rights)
    deployed = replace(let_in(allows("*", sid="wide")), running=(canary,))
    (found,) = [one for one in said(deployed) if "by statement wide" in one.found]
    assert str(found.mend).startswith("once lambda:InvokeFunction on")


def test_what_lets_in_somebody_else_alone_is_taken_out_whatever_the_role_may() -> None:
    deployed = replace(let_in(allows({"AWS": FOREIGN}, sid="evil")), rights=allowed(LOGS).rights)
    (found,) = [one for one in said(deployed) if "by statement evil" in one.found]
    assert str(found.mend).startswith("aws lambda remove-permission")


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        ({"StringEquals": {"aws:PrincipalArn": [ROLE, EVIL]}}, "error"),
        ({"StringLike": {"aws:PrincipalArn": [ROLE, EVIL]}}, "error"),
        ({"StringEquals": {"aws:PrincipalArn": ROLE}}, None),
    ],
)
@pytest.mark.parametrize(
    "as_well",
    [
        {"ArnLike": {"aws:PrincipalArn": [ROLE, "arn:aws:iam::${aws:PrincipalAccount}:role/*"]}},
        {"StringEqualsIgnoreCase": {"aws:PrincipalArn": [ROLE, EVIL.upper()]}},
    ],
)
def test_a_second_condition_is_not_taken_for_more_than_it_is(
    asked: dict[str, Any], level: str | None, as_well: dict[str, Any]
) -> None:
    lines = said(let_in(allows("*", Condition={**asked, **as_well})))
    assert [one.level for one in lines] == ([level] if level else [])


def test_a_function_url_of_a_backend_is_an_error() -> None:
    found = only(behind(urls=(ORDERS.qualified,)))
    assert (found.level, found.found) == ("error", "orders:live has one")
    assert f"delete-function-url-config --function-name {ORDERS.arn} --qualifier live" in str(found.mend)


def test_of_very_many_versions_of_a_backend_the_rest_is_counted() -> None:
    assert only(behind(left=3)).found == "3 more, whose policies were not read"


def test_one_function_behind_two_paths_is_told_of_once() -> None:
    past = replace(BEHIND, doors=(Door(ORDERS, read_policy(policy(allows("*", sid="past")))),))
    twice = replace(DEPLOYED, backends=(past, replace(past, backend=Backend("/x", "orders:live"))))
    assert only(twice).subject == "invoke permission orders:live"


# ---- whether the bridge gets in -------------------------------------------------------------------------------------

THERE = Name(ORDERS.arn.replace(ACCOUNT, "444455556666"), "live")


def elsewhere(*statements: dict[str, Any]) -> Deployed:
    """The stack with a backend of another account."""
    there = BackendFunction(
        Backend("/", THERE.qualified), THERE, BEHIND.function, (Door(THERE, read_policy(policy(*statements))),)
    )
    rights = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": THERE.qualified}
    return replace(allowed(rights, *RIGHTS["Statement"]), backends=(there,))


def not_excess(deployed: Deployed) -> list[tuple[str, str]]:
    return [(one.level, one.found) for one in said(deployed) if one.subject.startswith("invoke permission")]


@pytest.mark.parametrize("principal", [{"AWS": ROLE}, "*", {"AWS": ROOT}, {"AWS": ACCOUNT}])
def test_a_backend_of_another_account_lets_the_bridge_in_by_its_role_or_account(principal: Any) -> None:
    assert "every request is a 500" not in repr(not_excess(elsewhere(allows(principal))))


@pytest.mark.parametrize(
    "statements", [(), (allows({"AWS": OTHER_ROLE}),), (allows({"AWS": ROLE}, Action="lambda:Get*"),)]
)
def test_one_that_does_not_is_an_error(statements: tuple[dict[str, Any], ...]) -> None:
    (found,) = [one for one in said(elsewhere(*statements)) if "is not admitted, and is of another" in one.found]
    assert found.level == "error"
    assert f"add-permission --function-name {THERE.arn} --qualifier live --statement-id lattice-bridge" in str(
        found.mend
    )
    assert f"--action lambda:InvokeFunction --principal {ROLE}" in str(found.mend)


def test_under_a_condition_it_is_unclear() -> None:
    conditional = allows({"AWS": ROLE}, Condition={"Bool": {"x": "y"}})
    assert [level for level, _found in not_excess(elsewhere(conditional))] == ["unknown"]


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        (allows("*", sid="no", Effect="Deny"), "error"),
        (allows({"AWS": ROLE}, sid="no", Effect="Deny", Action="lambda:*"), "error"),
        (allows("*", sid="no", Effect="Deny", Condition={"Bool": {"x": "y"}}), "warning"),
    ],
)
def test_a_backend_that_denies_the_bridge_is_told(statement: dict[str, Any], level: str) -> None:
    found = only(let_in(statement))
    assert (found.level, found.found.startswith("the bridge is denied")) == (level, True)


def test_a_deny_of_somebody_else_is_nobodys_concern() -> None:
    assert said(let_in(allows({"AWS": OTHER_ROLE}, Effect="Deny"))) == []
