"""Who may invoke the bridge, under whichever of its names: Lattice from its target group, and nobody else."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import Alias, Deployed, Door, Name
from lattice_bridge.deployment.doctor.findings import Shell, Unread
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    ACCOUNT,
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    GROUP,
    LATTICE,
    OTHER_GROUP,
    SERVICE,
    TARGET_GROUP,
    allows,
    door,
    from_group,
    grouped,
    only,
    policy,
    said,
)

RIGHT = allows(LATTICE, Condition=from_group())
FOREIGN = GROUP.replace(ACCOUNT, "999999999999")
REMOVE = f"aws lambda remove-permission --function-name {BRIDGE.arn} --qualifier live --statement-id"


# ---- somebody else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, f"arn:aws:iam::{ACCOUNT}:root may invoke it"),
        ({"Service": "elasticloadbalancing.amazonaws.com"}, "elasticloadbalancing.amazonaws.com may invoke it"),
        ({"Service": "apigateway.amazonaws.com"}, "apigateway.amazonaws.com may invoke it"),
        ("*", "* may invoke it"),
    ],
)
@pytest.mark.parametrize("qualifier", ["live", None, "7"])
def test_anybody_but_lattice_is_an_error_and_is_shut_out(principal: object, named: str, qualifier: str | None) -> None:
    """Trap A8: who else may invoke the bridge writes the event."""
    other = allows(principal, sid="other")
    found = only(door(*([RIGHT] if qualifier == "live" else []), other, qualifier=qualifier))
    assert (found.level, found.found) == ("error", f"{named}, by statement other")
    which = f"--qualifier {qualifier} " if qualifier else ""
    assert found.mend == (
        f"aws lambda remove-permission --function-name {BRIDGE.arn} {which}--statement-id other --region eu-west-1"
    )


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}},
        {"ArnLike": {"aws:SourceArn": GROUP}},
    ],
)
def test_no_condition_makes_everybody_lattice(condition: dict[str, Any]) -> None:
    assert only(door(RIGHT, allows("*", sid="x", Condition=condition))).level == "error"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (allows("*", sid="x", Action="lambda:UpdateFunctionCode"), "* may take lambda:UpdateFunctionCode on it"),
        (allows("*", sid="x", Action=["lambda:AddPermission", "lambda:UpdateAlias"]), "may take lambda:AddPermission"),
        (allows({"AWS": "1" * 12}, sid="x", Action="lambda:CreateFunctionUrlConfig"), "111111111111 may take"),
        (allows(LATTICE, sid="x", Action="lambda:*", Condition=from_group()), "may take lambda:* on it"),
        (
            allows("*", sid="x", Action=["lambda:GetFunction", "lambda:Update*"]),
            "may take lambda:GetFunction, lambda:U",
        ),
        (allows("*", sid="x", Action="l*"), "* may take l* on it"),
        (allows("*", sid="x", Action="lambda:invoke?unction"), "* may invoke it"),
        (
            {"Sid": "x", "Effect": "Allow", "Principal": "*", "NotAction": "lambda:Invoke*", "Resource": "*"},
            "* may do everything to it but lambda:Invoke*",
        ),
        (
            {"Sid": "x", "Effect": "Allow", "NotPrincipal": {"AWS": "1" * 12}, "Action": "lambda:*", "Resource": "*"},
            "everybody but 111111111111 may take lambda:* on it",
        ),
    ],
)
def test_who_may_change_the_function_may_do_all_that_it_may(statement: dict[str, Any], words: str) -> None:
    found = only(door(RIGHT, statement))
    assert (found.level, words in found.found) == ("error", True)


def test_a_right_to_look_lets_nobody_in() -> None:
    assert said(door(allows(LATTICE, Action=["lambda:InvokeFunction", "lambda:Get*"], Condition=from_group()))) == []
    assert said(door(RIGHT, allows("*", sid="look", Action=["lambda:GetFunction", "lambda:List*"]))) == []


def test_a_statement_that_names_lattice_and_another_service_is_for_both() -> None:
    both = allows({"Service": ["vpc-lattice.amazonaws.com", "s3.amazonaws.com"]}, Condition=from_group())
    missing, other = said(door(both))
    assert "is admitted by what should go alone" in missing.found
    assert other.found.startswith("s3.amazonaws.com may invoke it")
    assert str(other.mend).startswith("once vpc-lattice.amazonaws.com is let in by a statement of its own")


@pytest.mark.parametrize("sid", ["", "--debug", "a b", "\x1b[31m"])
def test_a_statement_whose_id_is_no_argument_is_shown_and_not_taken_out(sid: str) -> None:
    found = only(door(RIGHT, allows("*", sid=sid)))
    assert shlex.split(str(found.mend))[:3] == ["aws", "lambda", "get-policy"]


# ---- Lattice from elsewhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({}, "from anybody's target group: no aws:SourceArn"),
        ({"StringEquals": {"AWS:SourceAccount": ACCOUNT}}, "from anybody's target group: no aws:SourceArn"),
        ({"ArnLikeIfExists": {"AWS:SourceArn": GROUP}}, "from anybody's target group: no aws:SourceArn"),
        (from_group(GROUP[:-4] + "*"), "from every target group like"),
        ({"StringLike": {"aws:SourceArn": "${aws:SourceArn}"}}, "from every target group like"),
        (from_group(FOREIGN), "which does not send to it"),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}}, "which does not send to it"),
    ],
)
def test_lattice_from_more_than_the_target_group_is_an_error(condition: dict[str, Any], words: str) -> None:
    """Trap A8: who else may invoke the bridge writes the event."""
    missing, wide = said(door(allows(LATTICE, Condition=condition)))
    assert wide.level == "error"
    assert words in wide.found
    assert f"--statement-id lattice-{GROUP[-20:]} --action lambda:InvokeFunction" in str(missing.mend)
    assert f"--principal vpc-lattice.amazonaws.com --source-arn {GROUP}" in str(missing.mend)
    assert str(wide.mend).endswith(f"{REMOVE} lattice --region eu-west-1")


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringEquals": {"AWS:SourceAccount": ACCOUNT}},
        {"ArnLikeIfExists": {"AWS:SourceArn": GROUP}},
        {"ArnLike": {"AWS:SourceArn": [GROUP, OTHER_GROUP]}},
    ],
)
def test_what_lets_lattice_in_alone_is_not_taken_out_by_a_command(condition: dict[str, Any]) -> None:
    _missing, wide = said(door(allows(LATTICE, Condition=condition)))
    assert str(wide.mend).startswith("once vpc-lattice.amazonaws.com is let in by a statement of its own")


def test_of_two_wide_statements_each_is_taken_out_and_one_is_added_under_a_name_that_is_free() -> None:
    own = f"lattice-{GROUP[-20:]}"
    missing, *wide = said(door(allows(LATTICE, sid=own), allows(LATTICE, sid="b")))
    assert f"--statement-id {own}-2 " in str(missing.mend)
    assert [str(one.mend).partition("--statement-id ")[2].split()[0] for one in wide] == [own, "b"]
    assert all("add-permission" not in str(one.mend) for one in wide)


@pytest.mark.parametrize(
    ("sources", "level", "named"),
    [
        ([OTHER_GROUP, FOREIGN], "error", FOREIGN),
        ([FOREIGN, OTHER_GROUP], "error", FOREIGN),
        ([GROUP, OTHER_GROUP, "arn:aws:vpc-lattice:*:*:targetgroup/*"], "error", "every target group like"),
        ([GROUP, OTHER_GROUP], "warning", OTHER_GROUP),
    ],
)
def test_a_statement_is_as_bad_as_its_worst_source(sources: list[str], level: str, named: str) -> None:
    found = only(door(RIGHT, allows(LATTICE, sid="m", Condition={"ArnLike": {"AWS:SourceArn": sources}})))
    assert (found.level, named in found.found) == (level, True)


def test_an_old_target_group_of_the_account_is_a_warning() -> None:
    found = only(door(RIGHT, allows(LATTICE, sid="old", Condition=from_group(OTHER_GROUP))))
    assert (found.level, "which does not send to it, by statement old" in found.found) == ("warning", True)
    assert found.mend == f"{REMOVE} old --region eu-west-1"


def unread(arn: str) -> Unread:
    return Unread("vpc-lattice:GetTargetGroup", arn, "AccessDeniedException")


def test_a_target_group_that_could_not_be_read_is_unknown_and_stays() -> None:
    lines = said(replace(DEPLOYED, groups=(unread(GROUP),)))
    (source,) = [one for one in lines if one.subject == "invoke permission bridge:live"]
    assert (source.level, source.mend) == ("unknown", None)
    assert "remove-permission" not in "".join(str(one.mend) for one in lines)


@pytest.mark.parametrize("condition", [{}, {"ArnLike": {"AWS:SourceArn": [OTHER_GROUP, FOREIGN]}}])
def test_what_lets_in_an_unread_target_group_as_well_is_not_taken_out_by_a_command(condition: dict[str, Any]) -> None:
    wide = allows(LATTICE, sid="wide", Condition=condition)
    deployed = replace(door(RIGHT, wide), groups=(TARGET_GROUP, unread(OTHER_GROUP)))
    (found,) = [one for one in said(deployed) if "by statement wide" in one.found]
    assert (found.level, str(found.mend).startswith(f"once {OTHER_GROUP} can be read")) == ("error", True)


def test_where_not_all_target_groups_were_seen_a_wide_statement_is_not_taken_out_by_a_command() -> None:
    deployed = replace(door(RIGHT, allows(LATTICE, sid="wide")), unseen=unread("*"))
    (found,) = [one for one in said(deployed) if "by statement wide" in one.found]
    assert str(found.mend).startswith("once what sends here can be read")


@pytest.mark.parametrize(
    ("condition", "is_certain"),
    [
        ({**from_group(), "StringLike": {"aws:SourceAccount": f"{ACCOUNT[:-1]}?"}}, True),
        ({"StringEqualsIgnoreCase": {"aws:SourceArn": GROUP.upper()}}, True),
        ({"StringLike": {"aws:SourceArn": GROUP.replace(ACCOUNT, "${aws:SourceAccount}")}}, False),
        ({**from_group(), "StringEquals": {"aws:SourceAccount": "${aws:ResourceAccount}"}}, False),
    ],
)
def test_what_may_let_lattice_in_is_not_taken_for_idle(condition: dict[str, Any], is_certain: bool) -> None:
    lines = said(door(allows(LATTICE, sid="x", Condition=condition)))
    if is_certain:
        assert lines == []
    else:
        assert "is not admitted" not in repr(lines)
        assert all("once" in str(one.mend) for one in lines if "remove-permission" in str(one.mend))


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceArn": GROUP[:-4] + "*"}},
        {"StringEquals": {"aws:SourceArn": GROUP[:-1] + "?"}},
        {**from_group(), "ArnLike": {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": GROUP}},
        {**from_group(), "StringEquals": {"aws:SourceAccount": "*"}},
        {**from_group(), "StringEquals": {"aws:SourceArn": OTHER_GROUP}},
    ],
)
def test_a_condition_that_never_holds_shuts_lattice_out(condition: dict[str, Any]) -> None:
    missing, idle = said(door(allows(LATTICE, sid="never", Condition=condition)))
    assert (missing.level, f"from {GROUP} is not admitted" in missing.found) == ("error", True)
    assert (idle.level, "may never: no target group is as its conditions ask" in idle.found) == ("warning", True)
    assert idle.mend == f"{REMOVE} never --region eu-west-1"


def test_everybody_may_be_what_lets_lattice_in() -> None:
    missing, everybody = said(door(allows("*", sid="all")))
    assert (missing.level, everybody.level) == ("unknown", "error")
    assert "add-permission" in str(missing.mend)
    assert str(everybody.mend).startswith("once vpc-lattice.amazonaws.com is let in by a statement of its own")


# ---- Lattice itself -------------------------------------------------------------------------------------------------


def test_a_permission_on_another_name_than_the_target_groups_is_of_no_use() -> None:
    idle, missing = said(
        replace(DEPLOYED, doors=(Door(Name(BRIDGE.arn), read_policy(policy(RIGHT))), Door(BRIDGE, ())))
    )
    assert (idle.level, idle.subject) == ("warning", "invoke permission bridge")
    assert (missing.level, missing.subject) == ("error", "invoke permission bridge:live")
    assert "add-permission" in str(missing.mend)


@pytest.mark.parametrize("target", [BRIDGE.arn, f"{BRIDGE.arn}:$LATEST"])
def test_latest_is_let_in_by_the_policy_of_the_bare_name(target: str) -> None:
    doors = (Door(Name(BRIDGE.arn), read_policy(policy(RIGHT))), Door(BRIDGE, ()))
    lines = said(replace(grouped(targets=(target,)), bridge=Name(BRIDGE.arn), doors=doors))
    assert [one.subject for one in lines] == ["target bridge"]


@pytest.mark.parametrize(
    "statement",
    [
        allows(LATTICE, Action="lambda:InvokeFunctionUrl", Condition=from_group()),
        allows(LATTICE, Condition={**from_group(), "StringEquals": {"AWS:SourceAccount": "999999999999"}}),
        {**RIGHT, "Effect": "Deny", "Condition": {"Bool": {"aws:ViaAWSService": "true"}}},
    ],
)
def test_a_statement_under_which_lattice_does_not_come_admits_it_not(statement: dict[str, Any]) -> None:
    lines = [one for one in said(door(statement)) if one.level == "error"]
    assert [f"from {GROUP} is not admitted" in one.found for one in lines] == [True]


def test_another_condition_leaves_it_unclear_whether_lattice_is_admitted() -> None:
    found = only(door(allows(LATTICE, Condition={**from_group(), "Bool": {"aws:SecureTransport": "true"}})))
    assert (found.level, "may be admitted: under a condition" in found.found) == ("unknown", True)


def test_a_policy_of_the_bare_name_may_be_for_all_names() -> None:
    whole = {**RIGHT, "Resource": f"{BRIDGE.arn}*"}
    doors = (Door(Name(BRIDGE.arn), read_policy(policy(whole))), Door(BRIDGE, ()))
    levels = {one.subject: one.level for one in said(replace(DEPLOYED, doors=doors))}
    assert levels["invoke permission bridge:live"] == "unknown"


@pytest.mark.parametrize(
    ("statement", "level", "words"),
    [
        ({"Principal": "*", "Action": "lambda:*"}, "error", "is denied: every request fails, by statement no"),
        ({"Principal": LATTICE, "Action": "lambda:InvokeFunction"}, "error", "is denied: every request fails"),
        ({"Principal": "*", "Action": "lambda:*", "Condition": {"Bool": {"x": "y"}}}, "warning", "under a condition"),
        ({"NotPrincipal": LATTICE, "Action": "lambda:*"}, "warning", "under a condition"),
    ],
)
def test_a_deny_of_lattice_is_told(statement: Mapping[str, Any], level: str, words: str) -> None:
    found = only(door(RIGHT, {"Sid": "no", "Effect": "Deny", "Resource": "*", **statement}))
    assert (found.level, words in found.found) == (level, True)


@pytest.mark.parametrize(
    "statement",
    [
        {"Principal": {"AWS": "999999999999"}, "Action": "lambda:*"},
        {"Principal": "*", "Action": "lambda:UpdateFunctionCode"},
    ],
)
def test_a_deny_of_something_else_is_nobodys_concern(statement: Mapping[str, Any]) -> None:
    assert said(door(RIGHT, {"Sid": "no", "Effect": "Deny", "Resource": "*", **statement})) == []


@pytest.mark.parametrize(
    ("resource", "is_told"),
    [(f"{BRIDGE.arn}*", True), (f"{BRIDGE.arn}:${{x}}", True), (BRIDGE.arn, False), (f"{BRIDGE.arn}:v*", False)],
)
def test_a_deny_of_the_bare_name_that_may_be_for_the_alias_is_told(resource: str, is_told: bool) -> None:
    deny = allows("*", sid="no", Effect="Deny", Resource=resource)
    doors = (Door(Name(BRIDGE.arn), read_policy(policy(deny))), Door(BRIDGE, read_policy(policy(RIGHT))))
    lines = said(replace(DEPLOYED, doors=doors))
    assert [(one.level, one.subject) for one in lines] == [("warning", "invoke permission bridge:live")] * is_told
    assert all(one.mend == f"aws lambda get-policy --function-name {BRIDGE.arn} --region eu-west-1" for one in lines)


# ---- versions, URLs, event sources ----------------------------------------------------------------------------------


def test_of_very_many_versions_the_rest_is_counted() -> None:
    found = only(replace(DEPLOYED, left=7))
    assert (found.level, found.subject, found.found) == (
        "unknown",
        "versions of bridge",
        "7 more, whose policies were not read",
    )


def test_a_function_url_is_an_error() -> None:
    found = only(replace(DEPLOYED, urls=(BRIDGE.qualified,)))
    assert (found.level, found.found) == ("error", "bridge:live has one")
    assert found.mend == (
        f"aws lambda delete-function-url-config --function-name {BRIDGE.arn} --qualifier live --region eu-west-1"
    )


def test_an_event_source_is_an_error() -> None:
    found = only(replace(DEPLOYED, sources=(("14e0db71-x", "arn:aws:sqs:eu-west-1:123456789012:q"),)))
    assert (found.level, "arn:aws:sqs" in found.found) == ("error", True)
    assert found.mend == "aws lambda delete-event-source-mapping --uuid 14e0db71-x --region eu-west-1"


# ---- commands -------------------------------------------------------------------------------------------------------


def test_a_command_is_for_the_function_of_the_account_that_was_looked_at() -> None:
    there = Name(BRIDGE.arn.replace(ACCOUNT, "999999999999"), "live")
    stranger = Door(there, read_policy(policy(allows("*", sid="x"))))
    deployed: Deployed = replace(DEPLOYED, bridge=there, doors=(stranger,), groups=(), urls=(there.qualified,))
    mends = [str(one.mend) for one in findings_of(deployed, CONFIGURED, Shell(REGION)) if one.mend]
    assert not [mend for mend in mends if "--function-name bridge" in mend]
    assert [mend for mend in mends if f"remove-permission --function-name {there.arn} --qualifier live" in mend]


# ---- [lattice] services ---------------------------------------------------------------------------------------------


def test_without_an_allow_list_any_service_that_forwards_is_believed() -> None:
    options = replace(CONFIGURED.options, services=frozenset())
    found = only(DEPLOYED, replace(CONFIGURED, options=options))
    assert (found.level, found.mend) == ("warning", f'in bridge.toml, under [lattice]: services = ["{SERVICE}"]')
    assert found.found == "any service that forwards to it"  # it is no list of those who may invoke the bridge


def test_a_service_that_the_allow_list_lacks_is_refused_altogether() -> None:
    options = replace(CONFIGURED.options, services=frozenset({SERVICE[:-1] + "9"}))
    found = only(DEPLOYED, replace(CONFIGURED, options=options))
    assert (found.level, "its requests are refused" in found.found) == ("error", True)


def test_an_alias_that_is_gone_has_no_policy_to_mend() -> None:
    gone = Name(BRIDGE.arn, "gone")
    deployed = replace(grouped(targets=(gone.qualified,)), doors=(*DEPLOYED.doors, Door(gone, ())))
    assert only(replace(deployed, aliases=(Alias("live", "7"),))).subject == "target bridge"
