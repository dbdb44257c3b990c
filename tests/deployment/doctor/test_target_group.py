"""The target groups that send to the bridge, and what they name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import Alias, Door, Listener, Name, Running, Service
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
    GROUP,
    IN_FRONT,
    LAMBDA,
    LATTICE,
    LISTENER,
    SERVICE,
    TARGET_GROUP,
    allows,
    from_group,
    grouped,
    only,
    policy,
    said,
)

BARE = Name(BRIDGE.arn)
LIVE = Alias("live", "7")
BETA = Alias("beta", "9")


def target_line(target: str, **changes: Any) -> Finding:
    """What is said of a target, with some facts changed."""
    deployed = replace(grouped(targets=(target,)), **changes)
    return next(one for one in findings_of(deployed, CONFIGURED, Shell(REGION)) if one.subject == "target bridge")


def test_v1_is_refused_by_an_allow_list_and_says_less_without_one() -> None:
    assert only(grouped(event_version="V1")).level == "error"
    options = replace(CONFIGURED.options, services=frozenset())
    found = said(grouped(event_version="V1"), replace(CONFIGURED, options=options))
    assert [line.level for line in found] == ["warning", "warning"]
    mend = str(found[0].mend)
    assert "create-target-group --name bridge-v2 --type LAMBDA --config lambdaEventStructureVersion=V2" in mend
    assert f"register-targets --targets id={BRIDGE.qualified}" in mend


def test_no_target_group_is_an_error() -> None:
    found = [line for line in said(replace(DEPLOYED, groups=())) if line.subject == "target group"]
    assert [(line.level, "create-target-group" in str(line.mend)) for line in found] == [("error", True)]


def test_a_group_is_not_made_for_what_is_no_alias_nor_for_another_accounts_function() -> None:
    elsewhere = Name(BRIDGE.arn.replace(":1234", ":9999"), "live")
    for name in (BARE, Name(BRIDGE.arn, "7"), elsewhere):
        (found,) = [one for one in said(replace(DEPLOYED, groups=(), bridge=name)) if one.subject == "target group"]
        assert str(found.mend).startswith("make one of type LAMBDA")


@pytest.mark.parametrize("name", ["My_Bridge", "tg-bridge", "x" * 64, "a-" + "b" * 57 + "-zz", "__", "Tg_-_x", "a--b-"])
def test_a_new_group_is_called_as_lattice_lets_a_group_be_called(name: str) -> None:
    bridge = Name(f"{LAMBDA}:{name}", "live")
    (found,) = [one for one in said(replace(DEPLOYED, groups=(), bridge=bridge)) if one.subject == "target group"]
    match = re.search(r"--name (\S+) ", str(found.mend))
    assert match
    assert re.fullmatch(r"(?!tg-)(?![-])(?!.*[-]$)(?!.*[-]{2})[a-z0-9-]{3,128}", match[1])


# ---- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [BRIDGE.arn, f"{BRIDGE.arn}:$LATEST"])
@pytest.mark.parametrize("aliases", [(LIVE,), (BETA, LIVE)])
def test_from_latest_no_command_moves_to_an_alias_which_may_be_for_other_code(
    target: str, aliases: tuple[Alias, ...]
) -> None:
    found = target_line(target, bridge=BARE, aliases=aliases)
    assert (found.level, found.found) == ("warning", "bridge, which is $LATEST")
    assert str(found.mend).startswith("choose one of its aliases (")
    assert "live for version 7" in str(found.mend)


def test_a_version_is_moved_to_the_one_alias_that_is_for_it() -> None:
    found = target_line(f"{BRIDGE.arn}:7", bridge=Name(BRIDGE.arn, "7"), aliases=(BETA, LIVE))
    mend = str(found.mend)
    assert found.found == "bridge:7, which is one version"
    assert mend.index("deregister-targets") < mend.index(f"id={BRIDGE.qualified}")
    assert "add-permission" not in mend  # it is admitted there


@pytest.mark.parametrize(
    "aliases",
    [(BETA,), (LIVE, Alias("beta", "7")), (Alias("live", "7", (("8", 0.1),)),)],
    ids=["for another version", "two of them", "shared"],
)
def test_a_version_is_not_moved_where_no_alias_or_more_than_one_is_for_it(aliases: tuple[Alias, ...]) -> None:
    assert str(target_line(f"{BRIDGE.arn}:7", aliases=aliases).mend).startswith("choose one of its aliases (")


def test_a_version_is_not_moved_to_another_alias_than_was_asked_for() -> None:
    found = target_line(f"{BRIDGE.arn}:7", asked=True, bridge=Name(BRIDGE.arn, "beta"), aliases=(BETA, LIVE))
    assert str(found.mend).startswith("choose one of its aliases (")


@pytest.mark.parametrize(
    ("statement", "start"),
    [
        (allows(LATTICE, sid="x", Condition=from_group(), Action="lambda:GetFunction"), "aws lambda add-permission"),
        ({**allows(LATTICE, sid="x", Condition=from_group()), "Effect": "Deny"}, "choose one of its aliases"),
        (allows(LATTICE, sid="x", Condition=from_group()), "aws vpc-lattice deregister-targets"),
    ],
)
def test_an_alias_lets_lattice_in_before_it_is_the_target(statement: dict[str, Any], start: str) -> None:
    doors = (Door(BRIDGE, read_policy(policy(statement))),)
    mend = str(target_line(f"{BRIDGE.arn}:7", doors=doors).mend)
    said_first, _, steps = mend.rpartition("one target: ")
    assert steps.startswith(start)
    assert ("requests fail for a moment" in said_first) is ("deregister-targets" in mend)


@pytest.mark.parametrize(
    ("target", "version"), [(BRIDGE.arn, '--function-version "$('), (f"{BRIDGE.arn}:7", "--function-version 7 ")]
)
def test_without_any_alias_one_is_made_and_admitted_before_it_is_the_target(target: str, version: str) -> None:
    mend = str(target_line(target, bridge=BARE, aliases=(), doors=(Door(BARE, ()),)).mend)
    steps = ("create-alias", version, "add-permission", "deregister-targets", f"id={BRIDGE.qualified}")
    assert sorted(steps, key=mend.index) == list(steps)


def test_a_target_on_another_alias_than_was_asked_for_is_a_warning_and_no_command() -> None:
    found = target_line(f"{BRIDGE.arn}:beta", asked=True, aliases=(LIVE, BETA))
    assert (found.level, found.found) == ("warning", "bridge:beta, and bridge:live was asked for")
    assert str(found.mend).startswith("none, if bridge is for bridge:beta")


def test_where_no_alias_was_asked_for_each_group_may_have_its_own() -> None:
    staging = replace(TARGET_GROUP, arn=GROUP[:-1] + "1", name="staging", targets=(f"{BRIDGE.arn}:beta",))
    beta = Door(Name(BRIDGE.arn, "beta"), read_policy(policy(allows(LATTICE, Condition=from_group(staging.arn)))))
    two = replace(DEPLOYED, groups=(TARGET_GROUP, staging), aliases=(LIVE, BETA), doors=(*DEPLOYED.doors, beta))
    assert said(two) == []


@pytest.mark.parametrize("qualifier", ["gone", "12"])
def test_a_target_that_is_not_there_fails_every_request(qualifier: str) -> None:
    gone = Name(BRIDGE.arn, qualifier)
    found = target_line(gone.qualified, running=(Running(gone, None, None),))
    assert (found.level, found.found) == ("error", f"bridge:{qualifier}, which is not there: every request fails")


def test_a_function_whose_name_begins_as_the_bridges_is_another() -> None:
    assert said(grouped(targets=(BRIDGE.qualified, f"{BRIDGE.arn}-2:live"))) == []


# ---- shares ---------------------------------------------------------------------------------------------------------


def test_an_alias_that_is_shared_says_how() -> None:
    deployed = replace(DEPLOYED, aliases=(Alias("live", "7", (("8", 0.1),)),))
    lines = findings_of(deployed, CONFIGURED, Shell(REGION))
    (found,) = [one.found for one in lines if one.subject == "shares of bridge:live"]
    assert found == "10% to version 8, the rest to version 7"


def test_the_configuration_of_a_version_that_gets_a_share_is_looked_at() -> None:
    other = replace(FUNCTION, timeout=1, variables={"LATTICE_BRIDGE_CONFIG": "other.toml"})
    lines = said(replace(DEPLOYED, running=(Running(Name(BRIDGE.arn, "8"), other, DEPLOYED.rights),)))
    assert [(one.level, one.subject) for one in lines] == [
        ("warning", "timeout (bridge:8)"),
        ("warning", "configuration (bridge:8)"),
    ]
    alike = replace(DEPLOYED, running=(Running(Name(BRIDGE.arn, "8"), FUNCTION, DEPLOYED.rights),))
    assert said(alike) == []


# ---- what is in front -----------------------------------------------------------------------------------------------


def test_a_target_group_that_no_service_forwards_to_serves_nobody() -> None:
    found = [line for line in said(grouped(services=())) if line.subject == "target group bridge"]
    assert [(line.found, str(line.mend)[:4]) for line in found] == [("no service forwards to it", "make")]


@pytest.mark.parametrize(
    ("service", "is_made"),
    [
        (replace(IN_FRONT, listeners=()), True),
        (replace(IN_FRONT, listeners=(Listener(LISTENER, "HTTP", 80),)), True),
        (replace(IN_FRONT, listeners=(Listener(LISTENER, "HTTP", 443),)), False),
        (replace(IN_FRONT, listeners=(Listener(LISTENER, "HTTPS", 8443),)), False),
        (replace(IN_FRONT, listeners=Unread("vpc-lattice:ListListeners", SERVICE, "AccessDenied")), False),
        (IN_FRONT, False),
        (None, False),
    ],
)
def test_the_service_that_was_asked_for_gets_a_listener_if_it_has_none_of_the_kind(
    service: Service | None, is_made: bool
) -> None:
    deployed = replace(grouped(services=()), asked_service="svc-1", services=(("svc-1", service),))
    (found,) = [line for line in said(deployed) if line.subject == "target group bridge"]
    assert ("create-listener" in str(found.mend)) is is_made
    assert is_made or found.mend == f"make a listener or a rule of the service forward to {GROUP}"


def test_a_target_group_that_is_not_active_serves_nobody() -> None:
    assert only(grouped(status="CREATE_FAILED")).found == "CREATE_FAILED"
