"""VPC Lattice in front of the bridge: services, target groups and `[lattice] services`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import (
    Alias,
    AuthPolicy,
    FunctionName,
    Listener,
    ResourcePolicy,
    ServingVersion,
    Unread,
)
from lattice_bridge.deployment.doctor.findings import Command, Finding
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.doctor_stack import (
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    EVERYONE,
    GROUP,
    IN_FRONT,
    LATTICE,
    SERVICE,
    SIGNED_ONLY,
    TARGET_GROUP,
    allows,
    from_group,
    only_problem,
    policy,
    problems,
    with_bridge,
    with_group,
    with_service,
)

TOKENS = replace(CONFIGURATION, knows_callers=False, admits_anonymous=True)
ANY: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
SIGNED = {**ANY, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}


def active(*statements: Mapping[str, Any]) -> AuthPolicy:
    return AuthPolicy("Active", read_policy({"Statement": list(statements)}))


# ---- auth type ------------------------------------------------------------------------------------------------------


def test_service_without_authentication_is_an_error_for_a_map_of_principals() -> None:
    found = only_problem(with_service(auth_type="NONE"))
    assert (found.level, found.expected) == ("error", "AWS_IAM")
    assert "unless the service network authenticates, no rule for a principal matches" in found.actual


def test_service_without_authentication_is_a_warning_for_a_map_of_tokens() -> None:
    assert only_problem(with_service(auth_type="NONE"), TOKENS).level == "warning"


@pytest.mark.parametrize("auth_policy", [None, AuthPolicy("Inactive", ())])
def test_service_gets_a_policy_before_it_authenticates(auth_policy: AuthPolicy | None) -> None:
    """A service that authenticates without a policy refuses every request."""
    fix = str(only_problem(with_service(auth_type="NONE", auth_policy=auth_policy)).fix)
    assert fix.startswith("first put an auth policy that allows vpc-lattice-svcs:Invoke to everyone with")
    assert fix.endswith("; then set the auth type of the service to AWS_IAM")


@pytest.mark.parametrize("auth_type", ["NONE", "AWS_IAM"])
@pytest.mark.parametrize("statement", [SIGNED, {**ANY, "Effect": "Deny"}, {**SIGNED, "Resource": f"{SERVICE[:-1]}9/*"}])
def test_policy_is_checked_before_it_becomes_active(auth_type: str, statement: dict[str, Any]) -> None:
    """It may exclude every caller, so no command activates it, and no sentence says to replace it."""
    inactive = AuthPolicy("Inactive", read_policy({"Statement": statement}))
    found = only_problem(with_service(auth_type=auth_type, auth_policy=inactive))
    assert not isinstance(found.fix, Command)
    assert str(found.fix).startswith("first make sure that its auth policy admits the callers of the map; then set")


def test_policy_that_could_not_be_read_is_checked_before_it_becomes_active() -> None:
    unread = Unread("vpc-lattice:GetAuthPolicy", SERVICE, "AccessDeniedException")
    fix = str(only_problem(with_service(auth_type="NONE", auth_policy=unread)).fix)
    assert fix.startswith("first make sure that its auth policy admits the callers of the map")


# ---- auth policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_policy", [None, AuthPolicy("Active", ())])
def test_service_without_an_auth_policy_admits_no_caller(auth_policy: AuthPolicy | None) -> None:
    found = only_problem(with_service(auth_policy=auth_policy))
    assert (found.level, found.actual) == ("error", "admits no caller")
    assert str(found.fix).startswith("put an auth policy that allows vpc-lattice-svcs:Invoke")


@pytest.mark.parametrize(
    "statements",
    [
        [SIGNED, {**ANY, "Effect": "Deny"}],
        [SIGNED, {**ANY, "Effect": "Deny", "Resource": f"{SERVICE}/*"}],
        [{**SIGNED, "Resource": f"{SERVICE[:-1]}9/*"}],
        [{**SIGNED, "Effect": "Deny"}],
    ],
)
def test_policy_that_allows_nothing_of_the_service_admits_no_caller(statements: list[dict[str, Any]]) -> None:
    found = only_problem(with_service(auth_policy=active(*statements)))
    assert (found.level, found.actual) == ("error", "admits no caller")
    assert str(found.fix).startswith(f"allow vpc-lattice-svcs:Invoke on {SERVICE}/*")


def test_policy_for_anonymous_callers_is_an_error_unless_the_map_admits_them() -> None:
    wide = with_service(auth_policy=active(EVERYONE))
    assert only_problem(wide).actual == "admits unauthenticated callers"
    assert problems(wide, replace(CONFIGURATION, admits_anonymous=True)) == []
    assert only_problem(DEPLOYMENT, replace(CONFIGURATION, admits_anonymous=True)).level == "warning"


@pytest.mark.parametrize(
    ("statements", "admits"),
    [
        ([ANY], True),
        ([SIGNED], False),
        ([{**ANY, "Condition": {"StringNotEquals": {"aws:PrincipalType": "anonymous"}}}], True),
        ([ANY, {**ANY, "Effect": "Deny", "Condition": {"Null": {"aws:PrincipalArn": "true"}}}], False),
    ],
)
def test_policy_admits_anonymous_callers_or_not(statements: list[dict[str, Any]], admits: bool) -> None:
    assert bool(problems(with_service(auth_policy=active(*statements)))) is admits


def test_auth_policy_of_the_test_stack_is_the_templates() -> None:
    (statement,) = read_policy(SIGNED_ONLY)
    assert statement.conditions == (("stringnotequalsignorecase", "aws:principaltype", ("anonymous",)),)


# ---- listeners and services -----------------------------------------------------------------------------------------

PLAIN = Listener("HTTP", 80)


def test_listener_without_tls_is_an_error() -> None:
    found = only_problem(with_service(listeners=(PLAIN,)))
    assert (found.level, found.actual) == ("error", "HTTP")
    assert found.fix == "create a listener with HTTPS that forwards to the bridge's target group"


@pytest.mark.parametrize("port", [443, 8443])
def test_listener_without_tls_is_deleted_after_its_clients_have_moved(port: int) -> None:
    found = only_problem(with_service(listeners=(Listener("HTTPS", port), PLAIN)))
    assert found.fix == "move its rules and clients to the listener with HTTPS, then delete it"


def test_service_without_a_listener_is_an_error() -> None:
    assert only_problem(with_service(listeners=())).actual == "none: no client can reach it"


def test_service_that_does_not_exist_is_an_error() -> None:
    found = only_problem(replace(DEPLOYMENT, services=(*DEPLOYMENT.services, (SERVICE[:-1] + "9", None))))
    assert found.actual == "no such service in this account and Region"


def test_service_that_does_not_forward_to_the_bridge_is_an_error() -> None:
    other = replace(IN_FRONT, arn=SERVICE[:-1] + "9")
    found = only_problem(replace(DEPLOYMENT, services=(*DEPLOYMENT.services, (other.arn, other))))
    assert found.actual == "forwards to no target group of the bridge"


# ---- target groups --------------------------------------------------------------------------------------------------


def test_event_version_v1_is_an_error_with_an_allow_list_and_a_warning_without() -> None:
    found = only_problem(with_group(event_version="V1"))
    assert (found.level, "lambdaEventStructureVersion=V2" in str(found.fix)) == ("error", True)
    options = CONFIGURATION.options._replace(services=frozenset())
    lines = problems(with_group(event_version="V1"), replace(CONFIGURATION, options=options))
    assert [line.level for line in lines] == ["warning", "warning"]


def test_missing_target_group_is_an_error() -> None:
    lines = [line for line in problems(replace(DEPLOYMENT, groups=())) if line.subject == "target group"]
    assert [(line.level, str(line.fix)[:24]) for line in lines] == [("error", "create one of type LAMBD")]


def test_target_group_without_a_service_is_an_error() -> None:
    lines = [line for line in problems(with_group(services=())) if line.subject == "target group bridge"]
    assert [(line.actual, line.fix) for line in lines] == [
        ("no service forwards to it", f"let a listener or a rule of the service forward to {GROUP}")
    ]


def test_target_group_that_is_not_active_is_an_error() -> None:
    assert only_problem(with_group(status="CREATE_FAILED")).actual == "CREATE_FAILED"


# ---- targets --------------------------------------------------------------------------------------------------------

BARE = FunctionName(BRIDGE.arn)
LIVE = Alias("live", "7")
BETA = Alias("beta", "9")


def target_finding(target: str, *, name_given: bool = False, **changes: Any) -> Finding:
    """The finding about a target, with other facts of the bridge."""
    deployment = replace(with_bridge(with_group(targets=(target,)), **changes), name_given=name_given)
    return next(one for one in findings_of(deployment, CONFIGURATION) if one.subject == "target bridge")


@pytest.mark.parametrize("target", [BRIDGE.arn, f"{BRIDGE.arn}:$LATEST"])
@pytest.mark.parametrize("aliases", [(LIVE,), (BETA, LIVE)])
def test_target_latest_is_a_warning(target: str, aliases: tuple[Alias, ...]) -> None:
    found = target_finding(target, name=BARE, aliases=aliases)
    assert (found.level, found.actual) == ("warning", "bridge, which is $LATEST")
    assert str(found.fix).startswith("choose one of its aliases (")
    assert "live for version 7" in str(found.fix)


def test_target_version_is_a_warning() -> None:
    found = target_finding(f"{BRIDGE.arn}:7", name=FunctionName(BRIDGE.arn, "7"), aliases=(BETA, LIVE))
    assert (found.level, found.actual) == ("warning", "bridge:7, which is one version")
    assert str(found.fix).endswith(f"allow Lattice to invoke it from {GROUP}, and register it in place of bridge:7")


def test_alias_is_to_be_created_if_there_is_none() -> None:
    assert str(target_finding(BRIDGE.arn, name=BARE, aliases=()).fix).startswith("choose an alias, allow Lattice")


def test_target_on_another_alias_than_the_given_one_is_a_warning() -> None:
    found = target_finding(f"{BRIDGE.arn}:beta", name_given=True, aliases=(LIVE, BETA))
    assert (found.level, found.actual) == ("warning", "bridge:beta, but --function names bridge:live")
    assert found.fix == "if bridge is meant for bridge:live, register it in place of bridge:beta"


def test_each_target_group_may_have_its_own_alias() -> None:
    staging = replace(TARGET_GROUP, arn=GROUP[:-1] + "1", name="staging", targets=(f"{BRIDGE.arn}:beta",))
    statement = allows(LATTICE, Condition=from_group(staging.arn))
    beta = ResourcePolicy(FunctionName(BRIDGE.arn, "beta"), read_policy(policy(statement)))
    two = with_bridge(aliases=(LIVE, BETA), policies=(*DEPLOYMENT.bridge.policies, beta))
    assert problems(replace(two, groups=(TARGET_GROUP, staging))) == []


@pytest.mark.parametrize("qualifier", ["gone", "12"])
def test_target_that_does_not_exist_is_an_error(qualifier: str) -> None:
    gone = FunctionName(BRIDGE.arn, qualifier)
    deployment = replace(with_group(targets=(gone.qualified,)), serving=(ServingVersion(gone, None, None),))
    found = next(one for one in problems(deployment) if one.subject == "target bridge")
    assert (found.level, found.actual) == ("error", f"bridge:{qualifier}, which does not exist: every request fails")


def test_alias_that_does_not_exist_has_no_finding_about_its_policy() -> None:
    gone = FunctionName(BRIDGE.arn, "gone")
    policies = (*DEPLOYMENT.bridge.policies, ResourcePolicy(gone, ()))
    assert (
        only_problem(with_bridge(with_group(targets=(gone.qualified,)), policies=policies)).subject == "target bridge"
    )


def test_function_with_a_longer_name_is_another_function() -> None:
    assert problems(with_group(targets=(BRIDGE.qualified, f"{BRIDGE.arn}-2:live"))) == []


# ---- [lattice] services ---------------------------------------------------------------------------------------------


def test_missing_allow_list_is_a_warning() -> None:
    options = CONFIGURATION.options._replace(services=frozenset())
    found = only_problem(DEPLOYMENT, replace(CONFIGURATION, options=options))
    assert (found.level, found.fix) == ("warning", f'in bridge.toml, under [lattice]: services = ["{SERVICE}"]')
    assert found.actual == "any service that forwards to it"  # which are not all that may invoke the bridge


def test_service_that_the_allow_list_lacks_is_an_error() -> None:
    options = CONFIGURATION.options._replace(services=frozenset({SERVICE[:-1] + "9"}))
    found = only_problem(DEPLOYMENT, replace(CONFIGURATION, options=options))
    assert (found.level, "its requests are refused" in found.actual) == ("error", True)


def test_malformed_service_arn_is_in_no_entry_of_the_allow_list() -> None:
    """Trap G5: the entry would be pasted into the map."""
    lines = problems(with_group(services=('x"]\n[[rule]]',)))
    (found,) = [one for one in lines if one.subject == "[lattice] services"]
    assert found.fix == "no entry is given: the ARN of a service in AWS's answer is malformed"
