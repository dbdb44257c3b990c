"""The services in front: whom they authenticate, whom they let in, and how clients speak with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import AuthPolicy, Listener
from lattice_bridge.deployment.doctor.findings import Unread
from lattice_bridge.deployment.doctor.service import OPEN, POLICY
from lattice_bridge.deployment.iam.policy import read_policy, read_statements
from tests.support.doctor_stack import (
    CONFIGURED,
    DEPLOYED,
    GROUP,
    IN_FRONT,
    LISTENER,
    SERVICE,
    TARGET_GROUP,
    only,
    said,
    served,
)

TOKENS = replace(CONFIGURED, knows_callers=False, admits_anonymous=True)
UPDATE = f"aws vpc-lattice update-service --service-identifier {SERVICE} --auth-type AWS_IAM --region eu-west-1"
LOOK = f"aws vpc-lattice get-auth-policy --resource-identifier {SERVICE} --region eu-west-1"
EVERYBODY: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}


def active(*statements: Mapping[str, Any]) -> AuthPolicy:
    return AuthPolicy("Active", statements)


# ---- authentication -------------------------------------------------------------------------------------------------


def test_without_authentication_no_rule_for_a_principal_matches_unless_the_network_authenticates() -> None:
    found = only(served(auth_type="NONE"))
    assert (found.level, found.wanted, found.mend) == ("error", "AWS_IAM", UPDATE)
    assert "unless its service network authenticates, which was not looked at" in found.found


def test_a_map_of_tokens_alone_may_do_without_it() -> None:
    assert only(served(auth_type="NONE"), TOKENS).level == "warning"


def test_a_service_has_a_policy_before_it_authenticates() -> None:
    for none in (None, AuthPolicy("Inactive", ())):
        mend = str(only(served(auth_type="NONE", auth_policy=none)).mend)
        assert mend.index("put-auth-policy") < mend.index(" && ") < mend.index("update-service")
    unread = Unread("vpc-lattice:GetAuthPolicy", SERVICE, "AccessDeniedException")
    assert "aws" not in str(only(served(auth_type="NONE", auth_policy=unread)).mend)


# ---- the auth policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [None, AuthPolicy("Active", ())])
def test_without_an_auth_policy_nobody_gets_in(found: AuthPolicy | None) -> None:
    line = only(served(auth_policy=found))
    assert (line.level, line.found) == ("error", "lets nobody in")
    assert "put-auth-policy" in str(line.mend)


SIGNED = {**EVERYBODY, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}


@pytest.mark.parametrize(
    "statements",
    [
        [SIGNED, {**EVERYBODY, "Effect": "Deny"}],
        [SIGNED, {**EVERYBODY, "Effect": "Deny", "Resource": f"{SERVICE}/*"}],
        [{**SIGNED, "Resource": f"{SERVICE[:-1]}9/*"}],
        [{**SIGNED, "Effect": "Deny"}],
    ],
)
def test_a_policy_that_leaves_nothing_of_the_service_lets_nobody_in(statements: list[dict[str, Any]]) -> None:
    line = only(served(auth_policy=active(*statements)))
    assert (line.level, line.found, LOOK in str(line.mend)) == ("error", "lets nobody in", True)


def test_a_policy_that_admits_anonymous_callers_is_an_error_unless_the_map_is_for_them() -> None:
    wide = served(auth_policy=active(*read_statements(OPEN)))
    assert only(wide).found == "admits callers that nobody authenticated"
    assert said(wide, replace(CONFIGURED, admits_anonymous=True)) == []
    assert only(DEPLOYED, replace(CONFIGURED, admits_anonymous=True)).level == "warning"


@pytest.mark.parametrize(
    ("statements", "admits"),
    [
        ([EVERYBODY], True),
        ([SIGNED], False),
        ([{**EVERYBODY, "Condition": {"StringNotEquals": {"aws:PrincipalType": "anonymous"}}}], True),
        (
            [EVERYBODY, {**EVERYBODY, "Effect": "Deny", "Condition": {"Null": {"aws:PrincipalArn": "true"}}}],
            False,
        ),
    ],
)
def test_who_is_anonymous_gets_past_a_policy_or_does_not(statements: list[dict[str, Any]], admits: bool) -> None:
    assert bool(said(served(auth_policy=active(*statements)))) is admits


@pytest.mark.parametrize(
    ("policy", "configured"),
    [
        (active(SIGNED, {**EVERYBODY, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}), CONFIGURED),
        (active(SIGNED), TOKENS),
        (active(SIGNED, {**EVERYBODY, "Effect": "Deny"}), CONFIGURED),
        (AuthPolicy("Inactive", (SIGNED,)), CONFIGURED),
    ],
)
def test_a_policy_that_is_there_is_never_replaced(policy: AuthPolicy, configured: Any) -> None:
    mend = str(only(served(auth_policy=policy), configured).mend)
    assert "put-auth-policy" not in mend
    assert mend == UPDATE if policy.state == "Inactive" else mend.endswith(f"; now it is: {LOOK}")


def test_the_auth_policy_is_the_templates() -> None:
    (statement,) = read_policy(POLICY)
    assert statement.conditions == (("stringnotequalsignorecase", "aws:principaltype", ("anonymous",)),)


@pytest.mark.parametrize("auth_type", ["NONE", "AWS_IAM"])
@pytest.mark.parametrize(
    ("statements", "configured", "what"),
    [
        ([SIGNED, {**EVERYBODY, "Effect": "Deny"}], CONFIGURED, "an Allow, and without what denies everybody"),
        ([{**SIGNED, "Resource": f"{SERVICE[:-1]}9/*"}], CONFIGURED, "an Allow, and without what denies everybody"),
        ([SIGNED], TOKENS, "an Allow for callers that do not sign"),
    ],
)
def test_a_policy_that_would_shut_callers_out_is_mended_before_it_comes_alive(
    auth_type: str, statements: list[dict[str, Any]], configured: Any, what: str
) -> None:
    inactive = AuthPolicy("Inactive", tuple(statements))
    mend = str(only(served(auth_type=auth_type, auth_policy=inactive), configured).mend)
    assert mend.startswith(f"first put an auth policy with {what}")
    assert mend.endswith(f"now it is: {LOOK}; then: {UPDATE}")


def test_one_that_lets_in_whom_the_map_is_for_comes_alive_by_a_command() -> None:
    inactive = AuthPolicy("Inactive", read_statements(OPEN))
    assert only(served(auth_policy=inactive), TOKENS).mend == UPDATE


# ---- listeners ------------------------------------------------------------------------------------------------------

PLAIN = Listener(LISTENER[:-1] + "1", "HTTP", 80)


def test_http_alone_gets_https_beside_it() -> None:
    found = only(served(listeners=(PLAIN,)))
    assert (found.level, "create-listener" in str(found.mend)) == ("error", True)
    assert f'targetGroupIdentifier":"{GROUP}"' in str(found.mend)


def test_no_command_takes_a_listener_away() -> None:
    for port in (443, 8443):
        found = only(served(listeners=(Listener(LISTENER, "HTTPS", port), PLAIN)))
        assert str(found.mend).startswith("once the listener with HTTPS forwards the same, and clients use it: aws")


@pytest.mark.parametrize(
    "deployed",
    [
        served(listeners=(Listener(LISTENER, "HTTP", 443),)),
        replace(served(listeners=()), groups=(TARGET_GROUP, replace(TARGET_GROUP, arn=GROUP[:-1] + "1", name="two"))),
    ],
    ids=["the port is taken", "two groups"],
)
def test_a_listener_is_made_only_where_it_is_clear_which(deployed: Any) -> None:
    (found,) = [one for one in said(deployed) if one.subject.startswith("listener")]
    assert found.mend == "make a listener with HTTPS that forwards to the bridge's target group"


def test_a_service_without_a_listener_is_out_of_reach() -> None:
    assert only(served(listeners=())).found == "none: nobody can reach it"


def test_a_service_that_is_not_there_or_forwards_elsewhere_is_an_error() -> None:
    other = SERVICE[:-1] + "9"
    gone = replace(DEPLOYED, services=(*DEPLOYED.services, (other, None)))
    elsewhere = replace(DEPLOYED, services=(*DEPLOYED.services, (other, replace(IN_FRONT, arn=other))))
    assert only(gone).found == "no such service in this account and region"
    assert only(elsewhere).found == "forwards to no target group of the bridge"
