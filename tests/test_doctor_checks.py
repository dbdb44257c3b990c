"""What doctor says of a stack: one thing changed, one line about it. No AWS here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.doctor_facts import AuthPolicy, Deployed, Door, Listener, MapRole, Name, Rights
from lattice_bridge.deployment.doctor_finding import Finding, Shell, Unread
from lattice_bridge.deployment.doctor_policy import read_policy
from lattice_bridge.deployment.doctor_run import findings_of
from lattice_bridge.deployment.doctor_service import OPEN, POLICY
from tests.aws_server import REGION
from tests.doctor_stack import (
    ACCOUNT,
    AFTER,
    BEFORE,
    BEHIND,
    BLUE,
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
    GROUP,
    IN_FRONT,
    LATTICE,
    LISTENER,
    ORDERS,
    OTHER_GROUP,
    RIGHTS,
    ROLE,
    SERVICE,
    TARGET_GROUP,
    allows,
    from_group,
    only,
    policy,
    said,
)

DENIED = Unread("x:GetY", "arn", "AccessDeniedException")


def test_of_a_stack_as_it_should_be_everything_is_ok() -> None:
    found = findings_of(DEPLOYED, CONFIGURED, Shell(REGION))
    assert said(DEPLOYED) == []
    assert len(found) > 12
    assert all(line.mend is None and not line.is_wrong for line in found)


# ---- who may invoke the bridge (trap A8) ----------------------------------------------------------------------------


def door(*statements: Mapping[str, Any], qualifier: str | None = "live") -> Deployed:
    """The stack with other statements on one of the bridge's names."""
    name = Name(BRIDGE.arn, qualifier)
    others = tuple(one for one in DEPLOYED.doors if one.name != name)
    return replace(DEPLOYED, doors=(*others, Door(name, read_policy(policy(*statements)))))


RIGHT = allows(LATTICE, Condition=from_group())


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, f"arn:aws:iam::{ACCOUNT}:root may invoke it"),
        ({"Service": "elasticloadbalancing.amazonaws.com"}, "elasticloadbalancing.amazonaws.com may invoke it"),
        ({"Service": "apigateway.amazonaws.com"}, "apigateway.amazonaws.com may invoke it"),
        ("*", "* may invoke it"),
    ],
)
@pytest.mark.parametrize("qualifier", ["live", None])
def test_anybody_but_lattice_is_an_error_and_is_shut_out(principal: object, named: str, qualifier: str | None) -> None:
    other = allows(principal, sid="other")
    found = only(door(*([RIGHT] if qualifier else []), other, qualifier=qualifier))
    assert (found.level, found.found) == ("error", f"{named}, by statement other")
    which = "--qualifier live " if qualifier else ""
    assert found.mend == (
        f"aws lambda remove-permission --function-name bridge {which}--statement-id other --region eu-west-1"
    )


def test_a_statement_that_names_lattice_and_another_service_is_for_both() -> None:
    found = said(door(allows({"Service": ["vpc-lattice.amazonaws.com", "s3.amazonaws.com"]}, Condition=from_group())))
    assert "s3.amazonaws.com may invoke it" in found[0].found


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({}, "from anybody's target group: no aws:SourceArn"),
        ({"StringEquals": {"AWS:SourceAccount": ACCOUNT}}, "from anybody's target group: no aws:SourceArn"),
        ({"ArnLikeIfExists": {"AWS:SourceArn": GROUP}}, "from anybody's target group: no aws:SourceArn"),
        (from_group(GROUP[:-4] + "*"), "from every target group like"),
        (from_group(GROUP.replace(ACCOUNT, "999999999999")), "which does not send to it"),
    ],
)
def test_lattice_from_more_than_the_target_group_is_an_error(condition: dict[str, Any], words: str) -> None:
    wide, missing = said(door(allows(LATTICE, Condition=condition)))
    assert (wide.level, missing.level) == ("error", "error")
    assert words in wide.found
    assert wide.mend is not None
    added, removed = wide.mend.split(" && ")
    assert f"add-permission --function-name bridge --qualifier live --statement-id lattice-{GROUP[-20:]}" in added
    assert f"--principal vpc-lattice.amazonaws.com --source-arn {GROUP}" in added
    assert "remove-permission --function-name bridge --qualifier live --statement-id lattice " in removed


def test_an_old_target_group_of_the_account_is_a_warning() -> None:
    found = only(door(RIGHT, allows(LATTICE, sid="old", Condition=from_group(OTHER_GROUP))))
    assert (found.level, "which does not send to it, by statement old" in found.found) == ("warning", True)


def test_a_permission_on_another_name_than_the_target_groups_is_of_no_use() -> None:
    idle, missing = said(
        replace(DEPLOYED, doors=(Door(Name(BRIDGE.arn), read_policy(policy(RIGHT))), Door(BRIDGE, ())))
    )
    assert (idle.level, idle.subject) == ("warning", "invoke permission bridge")
    assert (missing.level, missing.subject) == ("error", "invoke permission bridge:live")
    assert missing.mend is not None
    assert "add-permission" in missing.mend


def test_a_deny_and_a_right_to_something_else_let_nobody_in() -> None:
    deny = {**allows("*", sid="no"), "Effect": "Deny"}
    look = allows("*", sid="look", Action="lambda:GetFunction")
    assert said(door(RIGHT, deny, look)) == []


def test_a_function_url_is_an_error() -> None:
    found = only(replace(DEPLOYED, urls=(BRIDGE.qualified,)))
    assert (found.level, found.found) == ("error", "bridge:live has one")
    assert found.mend == (
        "aws lambda delete-function-url-config --function-name bridge --qualifier live --region eu-west-1"
    )


def test_an_event_source_is_an_error() -> None:
    found = only(replace(DEPLOYED, sources=(("14e0db71-x", "arn:aws:sqs:eu-west-1:123456789012:q"),)))
    assert (found.level, "arn:aws:sqs" in found.found) == ("error", True)
    assert found.mend == "aws lambda delete-event-source-mapping --uuid 14e0db71-x --region eu-west-1"


def test_without_an_allow_list_a_direct_invocation_is_believed() -> None:
    options = replace(CONFIGURED.options, services=frozenset())
    found = only(DEPLOYED, replace(CONFIGURED, options=options))
    assert (found.level, found.mend) == ("warning", f'in bridge.toml, under [lattice]: services = ["{SERVICE}"]')


def test_a_service_that_the_allow_list_lacks_is_refused_altogether() -> None:
    options = replace(CONFIGURED.options, services=frozenset({SERVICE[:-1] + "9"}))
    found = only(DEPLOYED, replace(CONFIGURED, options=options))
    assert (found.level, "its requests are refused" in found.found) == ("error", True)


# ---- the target group -----------------------------------------------------------------------------------------------


def grouped(**changes: Any) -> Deployed:
    return replace(DEPLOYED, groups=(replace(TARGET_GROUP, **changes),))


def test_v1_is_refused_by_an_allow_list_and_says_less_without_one() -> None:
    assert only(grouped(event_version="V1")).level == "error"
    options = replace(CONFIGURED.options, services=frozenset())
    found = said(grouped(event_version="V1"), replace(CONFIGURED, options=options))
    assert [line.level for line in found] == ["warning", "warning"]
    assert found[0].mend is not None
    assert "create-target-group --name bridge-v2 --type LAMBDA --config lambdaEventStructureVersion=V2" in found[0].mend


@pytest.mark.parametrize("target", [BRIDGE.arn, f"{BRIDGE.arn}:7", f"{BRIDGE.arn}:$LATEST"])
def test_a_target_that_is_no_alias_is_moved_once_the_alias_lets_lattice_in(target: str) -> None:
    found = said(grouped(targets=(target,)))
    moved = next(line for line in found if line.subject == "target bridge")
    assert moved.level == "warning"
    assert moved.mend is not None
    assert moved.mend.index("deregister-targets") < moved.mend.index(f"id={BRIDGE.qualified}")


def test_a_function_whose_name_begins_as_the_bridges_is_another() -> None:
    assert not [
        line for line in said(grouped(targets=(BRIDGE.qualified, f"{BRIDGE.arn}-2:live"))) if "-2" in line.found
    ]


def test_no_target_group_is_an_error() -> None:
    found = [line for line in said(replace(DEPLOYED, groups=())) if line.subject == "target group"]
    assert [line.level for line in found] == ["error"]


def test_a_target_group_that_no_service_forwards_to_serves_nobody() -> None:
    found = [line for line in said(grouped(services=())) if line.subject == "target group bridge"]
    assert [line.found for line in found] == ["no service forwards to it"]
    assert "create-listener" in str(found[0].mend)


# ---- the service ----------------------------------------------------------------------------------------------------


def served(**changes: Any) -> Deployed:
    return replace(DEPLOYED, services=((SERVICE, replace(IN_FRONT, **changes)),))


def test_without_authentication_no_rule_for_a_principal_matches() -> None:
    found = only(served(auth_type="NONE"))
    assert (found.level, found.wanted) == ("error", "AWS_IAM")
    assert found.mend == (
        f"aws vpc-lattice update-service --service-identifier {SERVICE} --auth-type AWS_IAM --region eu-west-1"
    )


def test_a_map_of_tokens_alone_may_do_without_it() -> None:
    tokens = replace(CONFIGURED, knows_callers=False, admits_anonymous=True)
    assert only(served(auth_type="NONE"), tokens).level == "warning"


@pytest.mark.parametrize("found", [None, AuthPolicy("Active", ())])
def test_without_an_auth_policy_nobody_gets_in(found: AuthPolicy | None) -> None:
    line = only(served(auth_policy=found))
    assert (line.level, line.found) == ("error", "lets nobody in")
    assert "put-auth-policy" in str(line.mend)


def test_a_policy_that_admits_anonymous_callers_is_an_error_unless_the_map_is_for_them() -> None:
    wide = served(auth_policy=AuthPolicy("Active", read_policy(OPEN)))
    assert only(wide).found == "admits callers that nobody authenticated"
    assert said(wide, replace(CONFIGURED, admits_anonymous=True)) == []
    assert only(DEPLOYED, replace(CONFIGURED, admits_anonymous=True)).level == "warning"


EVERYBODY: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize(
    ("statements", "admits"),
    [
        ([EVERYBODY], True),
        ([{**EVERYBODY, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}], False),
        ([{**EVERYBODY, "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}], True),
        ([{**EVERYBODY, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}], True),
        ([{**EVERYBODY, "Condition": {"StringEquals": {"vpc-lattice-svcs:SourceVpc": "vpc-1"}}}], True),
        ([{**EVERYBODY, "Principal": {"AWS": ROLE}}], False),
        (
            [
                EVERYBODY,
                {**EVERYBODY, "Effect": "Deny", "Condition": {"StringEquals": {"aws:PrincipalType": "Anonymous"}}},
            ],
            False,
        ),
    ],
)
def test_who_is_anonymous_gets_past_a_policy_or_does_not(statements: list[dict[str, Any]], admits: bool) -> None:
    found = said(served(auth_policy=AuthPolicy("Active", read_policy({"Statement": statements}))))
    assert bool(found) is admits


def test_http_is_an_error_and_https_is_there_before_it_goes() -> None:
    found = only(served(listeners=(Listener(LISTENER, "HTTP", 80),)))
    assert found.level == "error"
    assert str(found.mend).index("create-listener") < str(found.mend).index("delete-listener")


def test_a_service_that_is_not_there_or_forwards_elsewhere_is_an_error() -> None:
    other = SERVICE[:-1] + "9"
    gone = replace(DEPLOYED, services=(*DEPLOYED.services, (other, None)))
    elsewhere = replace(DEPLOYED, services=(*DEPLOYED.services, (other, replace(IN_FRONT, arn=other))))
    assert only(gone).found == "no such service in this account and region"
    assert only(elsewhere).found == "forwards to no target group of the bridge"


# ---- the function ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "level", "subject", "command"),
    [
        ({"log_format": "Text"}, "warning", "log format", "--logging-config LogFormat=JSON"),
        ({"timeout": 30}, "warning", "timeout", "--timeout 31"),
        ({"runtime": "python3.10"}, "error", "runtime", "--runtime python3.13"),
        ({"runtime": "nodejs22.x"}, "error", "runtime", "--runtime python3.13"),
        ({"isolated": True}, "error", "function bridge:live", "deploy the bridge as another function"),
        ({"state": "Failed"}, "warning", "function bridge:live", "get-function-configuration"),
        ({"variables": {"LATTICE_BRIDGE_FUNCTION": "a b"}}, "error", "LATTICE_BRIDGE_FUNCTION", "get-function-config"),
        ({"variables": {"LATTICE_BRIDGE_CONFIG": "examples/open.toml"}}, "warning", "configuration", "--config"),
    ],
)
def test_a_mistake_in_the_function_has_its_line(changes: Any, level: str, subject: str, command: str) -> None:
    found = only(replace(DEPLOYED, function=replace(FUNCTION, **changes)))
    assert (found.level, found.subject) == (level, subject)
    assert command in str(found.mend)


def test_an_alias_is_moved_to_the_version_that_a_change_makes() -> None:
    mend = str(only(replace(DEPLOYED, function=replace(FUNCTION, timeout=3))).mend)
    assert mend.index("update-function-configuration") < mend.index("update-alias") < mend.index("publish-version")


def test_an_image_does_not_show_its_python() -> None:
    found = only(replace(DEPLOYED, function=replace(FUNCTION, runtime=None)))
    assert (found.level, found.is_wrong) == ("unknown", False)


def test_boto3s_version_is_nobodys_to_see_and_matters_only_to_its_invoker() -> None:
    found = only(DEPLOYED, replace(CONFIGURED, options=replace(CONFIGURED.options, invoker="boto3")))
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert "cannot be seen from outside: python3.13 brings one, the package may bring another" in found.found
    assert "boto3_too_old" in str(found.mend)


# ---- the role -------------------------------------------------------------------------------------------------------


def test_a_backend_that_the_role_may_not_invoke_is_an_error_with_the_whole_policy() -> None:
    rights = read_policy(policy(RIGHTS["Statement"][1]))
    found = only(replace(DEPLOYED, rights=Rights(rights)))
    assert (found.level, found.found) == ("error", "not allowed")
    words = shlex.split(str(found.mend))
    assert words[:3] == ["aws", "iam", "put-role-policy"]
    (first, second) = read_policy(words[words.index("--policy-document") + 1])
    assert (first.actions, first.resources) == (("lambda:InvokeFunction",), (ORDERS.qualified,))
    assert second.actions == ("logs:CreateLogStream", "logs:PutLogEvents")


def test_the_right_to_invoke_the_function_is_none_to_invoke_its_alias() -> None:
    unqualified = {**RIGHTS["Statement"][0], "Resource": ORDERS.arn}
    found = said(replace(DEPLOYED, rights=Rights(read_policy(policy(unqualified, RIGHTS["Statement"][1])))))
    assert [line.level for line in found] == ["error", "warning"]


@pytest.mark.parametrize("resource", ["*", f"{ORDERS.arn}:*", ORDERS.arn.replace("orders", "payroll")])
def test_the_right_to_invoke_more_is_a_warning(resource: str) -> None:
    wide = {"Effect": "Allow", "Action": "lambda:*", "Resource": [ORDERS.qualified, resource]}
    found = only(replace(DEPLOYED, rights=Rights(read_policy(policy(wide, RIGHTS["Statement"][1])))))
    assert (found.level, found.found) == ("warning", f"may invoke {resource}")


def test_a_boundary_that_leaves_the_backends_out_is_an_error() -> None:
    found = only(replace(DEPLOYED, rights=Rights(read_policy(RIGHTS), read_policy(policy(RIGHTS["Statement"][1])))))
    assert (found.level, found.found) == ("error", "not within the permissions boundary")


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("s3://maps/bridge.toml", "s3:GetObject on arn:aws:s3:::maps/bridge.toml"),
        ("ssm:/bridge.toml", f"ssm:GetParameter on arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/bridge.toml"),
    ],
)
def test_the_role_needs_to_read_the_configuration_where_it_is(place: str, wanted: str) -> None:
    found = only(replace(DEPLOYED, function=replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": place})))
    assert (found.level, found.wanted) == ("error", wanted)


def test_the_role_needs_to_read_the_registry() -> None:
    found = only(DEPLOYED, replace(CONFIGURED, table="tenants"))
    assert found.wanted == f"dynamodb:GetItem on arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/tenants"


# ---- the backends ---------------------------------------------------------------------------------------------------


def behind(backend: Backend | None = None, **changes: Any) -> Deployed:
    return replace(DEPLOYED, backends=(replace(BEHIND, backend=backend or BEHIND.backend, **changes),))


def test_an_isolated_backend_without_tenancy_is_made_anew() -> None:
    found = only(behind(function=replace(FUNCTION, handler="app.handler")))
    assert (found.level, found.wanted) == ("error", "PER_TENANT")
    mend = str(found.mend)
    assert mend.startswith(f"aws lambda create-function --function-name orders-isolated --role {ROLE}")
    assert "--tenancy-config TenantIsolationMode=PER_TENANT" in mend


def test_an_isolated_function_that_the_map_calls_standard_is_an_error() -> None:
    found = only(behind(Backend("/", "orders:live", isolated=False)))
    assert (found.level, found.mend) == ("error", 'in bridge.toml, [[backend]] path "/": isolated = true')


def test_a_backend_that_is_not_there_is_an_error() -> None:
    assert only(behind(function=None, doors=())).found.startswith("no such function or qualifier")


@pytest.mark.parametrize(
    ("principal", "level"),
    [({"Service": "apigateway.amazonaws.com"}, "warning"), ({"AWS": "999999999999"}, "warning"), ("*", "error")],
)
def test_whoever_may_invoke_an_isolated_backend_past_the_bridge_is_any_tenant(principal: Any, level: str) -> None:
    past = read_policy(policy(allows(principal, sid="past")))
    found = only(behind(doors=(Door(ORDERS, past),)))
    assert found.level == level
    assert "past the bridge, as any tenant, by statement past" in found.found
    assert "remove-permission --function-name orders --qualifier live --statement-id past" in str(found.mend)


def test_a_backends_policy_may_name_the_bridges_own_role() -> None:
    own = read_policy(policy(allows({"AWS": ROLE})))
    assert said(behind(doors=(Door(ORDERS, own),))) == []


# ---- the roles in the map (trap B17) --------------------------------------------------------------------------------


def test_a_role_that_does_not_exist_is_an_open_place_for_whoever_creates_it() -> None:
    found = only(replace(DEPLOYED, roles=(MapRole(BLUE, None),)))
    assert (found.level, found.found) == ("error", "no such role: whoever creates it has what rule blue-api gives")


def test_a_deny_of_a_role_that_does_not_exist_denies_nobody() -> None:
    found = only(replace(DEPLOYED, roles=(MapRole(replace(BLUE, denies=True), None),)))
    assert (found.level, found.found) == ("warning", "no such role: rule blue-api denies nobody")


def test_a_role_that_is_younger_than_the_map_may_be_another_than_it_meant() -> None:
    found = only(replace(DEPLOYED, roles=(MapRole(BLUE, AFTER),)))
    assert found.level == "warning"
    assert "created 2026-11-20 10:00:00+00:00, after the map" in found.found
    assert "cloudtrail lookup-events" in str(found.mend)


def test_when_nobody_knows_the_maps_date_a_role_is_only_there() -> None:
    unknown = replace(DEPLOYED, map_written=None, roles=(MapRole(BLUE, AFTER),))
    assert said(unknown) == []


def test_roles_of_other_accounts_are_named_and_not_guessed_at() -> None:
    others = tuple(replace(BLUE, account="444455556666", name=f"role-{number}") for number in range(5))
    found = only(replace(DEPLOYED, elsewhere=others))
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert found.found == "not looked at from this account: role-0, role-1, role-2 and 2 more"


# ---- what could not be read -----------------------------------------------------------------------------------------

UNREAD: dict[str, Deployed] = {
    "aliases": replace(DEPLOYED, aliases=DENIED),
    "policy": replace(DEPLOYED, doors=(Door(BRIDGE, DENIED),)),
    "urls": replace(DEPLOYED, urls=DENIED),
    "sources": replace(DEPLOYED, sources=DENIED),
    "groups": replace(DEPLOYED, unseen=DENIED),
    "group": replace(DEPLOYED, groups=(DENIED,), doors=()),
    "targets": grouped(targets=DENIED),
    "service": replace(DEPLOYED, services=((SERVICE, DENIED),)),
    "auth policy": served(auth_policy=DENIED),
    "listeners": served(listeners=DENIED),
    "function": replace(DEPLOYED, function=DENIED, rights=DENIED),
    "role": replace(DEPLOYED, rights=DENIED),
    "role's policies": replace(DEPLOYED, rights=Rights(DENIED)),
    "boundary": replace(DEPLOYED, rights=Rights(read_policy(RIGHTS), DENIED)),
    "backend": behind(function=DENIED),
    "backend's policy": behind(doors=(Door(ORDERS, DENIED),)),
    "role in the map": replace(DEPLOYED, roles=(MapRole(BLUE, DENIED),)),
    "map's date": replace(DEPLOYED, map_written=DENIED, roles=(MapRole(BLUE, BEFORE),)),
}


@pytest.mark.parametrize("deployed", UNREAD.values(), ids=list(UNREAD))
def test_what_could_not_be_read_is_one_line_with_the_permission_that_is_missing(deployed: Deployed) -> None:
    unread: list[Finding] = [found for found in said(deployed) if found.needs]
    assert [found.needs for found in unread] == ["x:GetY"]
    assert unread[0].level == "unknown"
    assert unread[0].is_wrong
    assert unread[0].mend == "grant x:GetY on arn to whoever runs doctor"


# ---- commands -------------------------------------------------------------------------------------------------------


def test_commands_are_quoted_for_the_shell_and_carry_region_and_profile() -> None:
    command = Shell("eu-west-1", "two words").aws("lambda", "x", "--y", "'; rm -rf / #")
    assert shlex.split(command)[3:] == ["--y", "'; rm -rf / #", "--region", "eu-west-1", "--profile", "two words"]


def test_the_auth_policy_is_the_templates() -> None:
    (statement,) = read_policy(POLICY)
    assert statement.conditions == (("StringNotEqualsIgnoreCase", "aws:principaltype", ("anonymous",)),)


# ---- and the rest ---------------------------------------------------------------------------------------------------


def test_without_any_alias_one_is_made_and_admitted_before_it_is_the_target() -> None:
    bare = replace(BRIDGE, qualifier=None)
    found = said(replace(grouped(targets=(BRIDGE.arn,)), bridge=bare, aliases=(), doors=(Door(bare, ()),)))
    mend = str(next(line for line in found if line.subject == "target bridge").mend)
    steps = ("create-alias", "publish-version", "add-permission", "deregister-targets", f"id={BRIDGE.qualified}")
    assert sorted(steps, key=mend.index) == list(steps)


def test_a_target_on_another_alias_than_was_asked_for_is_a_warning() -> None:
    found = said(grouped(targets=(f"{BRIDGE.arn}:blue",)))
    assert ("target bridge", "bridge:blue, and bridge:live was asked for") in [
        (one.subject, one.found) for one in found
    ]


def test_a_target_group_or_an_auth_policy_that_is_not_active_serves_nobody() -> None:
    assert only(grouped(status="CREATE_FAILED")).found == "CREATE_FAILED"
    assert only(served(auth_policy=AuthPolicy("Inactive", read_policy(POLICY)))).found == "Inactive"


def test_a_service_without_a_listener_is_out_of_reach() -> None:
    assert only(served(listeners=())).found == "none: nobody can reach it"


def test_a_statement_without_an_id_cannot_be_named_to_take_it_out() -> None:
    found = only(door(RIGHT, allows("*", sid="")))
    assert (found.found, "get-policy" in str(found.mend)) == ("* may invoke it", True)


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        ({"Effect": "Deny", "Action": "lambda:*", "Resource": "*"}, "error", "denied by a statement of its own"),
        ({"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}, "warning", "depends on a NotAction or NotResource"),
    ],
)
def test_a_deny_in_the_roles_own_policies_is_seen(statement: dict[str, Any], level: str, words: str) -> None:
    found = said(replace(DEPLOYED, rights=Rights(read_policy(policy(*RIGHTS["Statement"], statement)))))
    assert (found[0].level, words in found[0].found) == (level, True)


def test_a_right_under_a_condition_is_taken_for_one_and_said_to_be_conditional() -> None:
    narrow = {**RIGHTS["Statement"][0], "Condition": {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}}
    deployed = replace(DEPLOYED, rights=Rights(read_policy(policy(narrow, RIGHTS["Statement"][1]))))
    lines = findings_of(deployed, CONFIGURED, Shell(REGION))
    assert any("under a condition, which is not looked into" in line.found for line in lines if line.level == "ok")


def test_a_backend_that_is_not_ready_is_a_warning() -> None:
    assert only(behind(function=replace(FUNCTION, isolated=True, state="Pending"))).level == "warning"


def test_of_very_many_roles_the_rest_is_counted() -> None:
    many = tuple(replace(BLUE, name=f"role-{number}") for number in range(4))
    assert only(DEPLOYED, replace(CONFIGURED, roles=many)).found == "3 more, not looked at"
