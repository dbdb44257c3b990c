"""Invokers of the bridge: its resource policies, function URLs and event sources allow Lattice only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.deployment.doctor.facts import Deployment, FunctionName, FunctionUrl, ResourcePolicy, Unread
from lattice_bridge.deployment.doctor.findings import Command
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.deployment.sources.facts import SourceMapping
from tests.support.doctor_stack import (
    ACCOUNT,
    BRIDGE,
    CONFIGURATION,
    DEPLOYMENT,
    GROUP,
    LATTICE,
    OTHER_GROUP,
    TARGET_GROUP,
    allows,
    from_group,
    only_problem,
    policy,
    problems,
    with_bridge,
    with_group,
    with_policy,
)

RIGHT = allows(LATTICE, Condition=from_group())
FOREIGN = GROUP.replace(ACCOUNT, "999999999999")
REMOVE = f"aws lambda remove-permission --function-name {BRIDGE.arn} --qualifier live --statement-id"
FIRST = "first make sure that each target group that sends here has a statement of its own; then remove statement"


def with_policies(bare: tuple[Mapping[str, Any], ...], live: tuple[Mapping[str, Any], ...]) -> Deployment:
    """The stack with other resource policies on the bridge's bare name and on its alias."""
    names = (FunctionName(BRIDGE.arn), BRIDGE)
    return with_bridge(
        policies=tuple(
            ResourcePolicy(name, read_policy(policy(*statements)) if statements else ())
            for name, statements in zip(names, (bare, live), strict=True)
        )
    )


# ---- other principals -----------------------------------------------------------------------------------------------


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
def test_other_principal_is_an_error_and_is_removed_by_a_command(
    principal: object, named: str, qualifier: str | None
) -> None:
    """Trap A8: another invoker of the bridge writes the event."""
    other = allows(principal, sid="other")
    found = only_problem(with_policy(*([RIGHT] if qualifier == "live" else []), other, qualifier=qualifier))
    assert (found.level, found.actual) == ("error", f"{named}, by statement other")
    which = f"--qualifier {qualifier} " if qualifier else ""
    assert found.fix == (
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
def test_condition_does_not_excuse_a_statement_for_everyone(condition: dict[str, Any]) -> None:
    assert only_problem(with_policy(RIGHT, allows("*", sid="x", Condition=condition))).level == "error"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (allows("*", sid="x", Action="lambda:UpdateFunctionCode"), "* may call lambda:UpdateFunctionCode on it"),
        (allows("*", sid="x", Action=["lambda:AddPermission", "lambda:UpdateAlias"]), "may call lambda:AddPermission"),
        (allows({"AWS": "1" * 12}, sid="x", Action="lambda:CreateFunctionUrlConfig"), "111111111111 may call"),
        (allows(LATTICE, sid="x", Action="lambda:*", Condition=from_group()), "may call lambda:* on it"),
        (
            allows("*", sid="x", Action=["lambda:GetFunction", "lambda:Update*"]),
            "may call lambda:GetFunction, lambda:U",
        ),
        (allows("*", sid="x", Action="l*"), "* may call l* on it"),
        (allows("*", sid="x", Action="lambda:invoke?unction"), "* may invoke it"),
        (
            {"Sid": "x", "Effect": "Allow", "Principal": "*", "NotAction": "lambda:Invoke*", "Resource": "*"},
            "* may do everything to it but lambda:Invoke*",
        ),
        (
            {"Sid": "x", "Effect": "Allow", "NotPrincipal": {"AWS": "1" * 12}, "Action": "lambda:*", "Resource": "*"},
            "everyone but 111111111111 may call lambda:* on it",
        ),
    ],
)
def test_principal_that_may_change_the_function_is_an_error(statement: dict[str, Any], words: str) -> None:
    found = only_problem(with_policy(RIGHT, statement))
    assert (found.level, words in found.actual) == ("error", True)


def test_permission_to_read_is_no_problem() -> None:
    reading = allows(LATTICE, Action=["lambda:InvokeFunction", "lambda:Get*"], Condition=from_group())
    assert problems(with_policy(reading)) == []
    assert problems(with_policy(RIGHT, allows("*", sid="read", Action=["lambda:GetFunction", "lambda:List*"]))) == []


def test_statement_for_lattice_and_another_service_is_an_error() -> None:
    both = allows({"Service": ["vpc-lattice.amazonaws.com", "s3.amazonaws.com"]}, Condition=from_group())
    missing, other = problems(with_policy(both))
    assert "is admitted only by a statement that has to be removed" in missing.actual
    assert other.actual.startswith("s3.amazonaws.com may invoke it")
    assert str(other.fix).startswith(FIRST)


@pytest.mark.parametrize("sid", ["", "--debug", "a b", "\x1b[31m"])
def test_statement_with_a_malformed_id_is_removed_by_no_command(sid: str) -> None:
    found = only_problem(with_policy(RIGHT, allows("*", sid=sid)))
    assert not isinstance(found.fix, Command)
    assert str(found.fix).endswith("from the resource policy of bridge:live")


# ---- Lattice from other target groups -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({}, "from any target group of any account: no aws:SourceArn"),
        ({"StringEquals": {"AWS:SourceAccount": ACCOUNT}}, "from any target group of any account: no aws:SourceArn"),
        ({"ArnLikeIfExists": {"AWS:SourceArn": GROUP}}, "from any target group of any account: no aws:SourceArn"),
        (from_group(GROUP[:-4] + "*"), "from every target group that matches"),
        ({"StringLike": {"aws:SourceArn": "${aws:SourceArn}"}}, "from every target group that matches"),
        (from_group(FOREIGN), "which does not send to the bridge"),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}}, "which does not send to the bridge"),
    ],
)
def test_lattice_from_another_target_group_is_an_error(condition: dict[str, Any], words: str) -> None:
    """Trap A8: another invoker of the bridge writes the event."""
    missing, wide = problems(with_policy(allows(LATTICE, Condition=condition)))
    assert wide.level == "error"
    assert words in wide.actual
    assert missing.fix == (
        "aws lambda add-permission --action lambda:InvokeFunction --principal vpc-lattice.amazonaws.com"
        f" --function-name {BRIDGE.arn} --qualifier live --statement-id lattice-{GROUP[-20:]} --source-arn {GROUP}"
        " --region eu-west-1"
    )
    assert wide.fix == f"{FIRST} lattice from the resource policy of bridge:live"


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringEquals": {"AWS:SourceAccount": ACCOUNT}},
        {"ArnLikeIfExists": {"AWS:SourceArn": GROUP}},
        {"ArnLike": {"AWS:SourceArn": [GROUP, OTHER_GROUP]}},
    ],
)
def test_only_statement_for_lattice_is_removed_by_no_command(condition: dict[str, Any]) -> None:
    _missing, wide = problems(with_policy(allows(LATTICE, Condition=condition)))
    assert str(wide.fix).startswith(FIRST)


def test_statement_is_added_by_no_command_if_its_id_is_taken() -> None:
    missing, _wide = problems(with_policy(allows(LATTICE, sid=f"lattice-{GROUP[-20:]}")))
    assert missing.fix == (
        "allow lambda:InvokeFunction to vpc-lattice.amazonaws.com in the resource policy of bridge:live, "
        f"with aws:SourceArn {GROUP}"
    )


@pytest.mark.parametrize(
    ("sources", "level", "named"),
    [
        ([OTHER_GROUP, FOREIGN], "error", FOREIGN),
        ([FOREIGN, OTHER_GROUP], "error", FOREIGN),
        ([GROUP, OTHER_GROUP, "arn:aws:vpc-lattice:*:*:targetgroup/*"], "error", "every target group that matches"),
        ([GROUP, OTHER_GROUP], "warning", OTHER_GROUP),
    ],
)
def test_statement_has_the_level_of_its_worst_source(sources: list[str], level: str, named: str) -> None:
    condition = {"ArnLike": {"AWS:SourceArn": sources}}
    found = only_problem(with_policy(RIGHT, allows(LATTICE, sid="m", Condition=condition)))
    assert (found.level, named in found.actual) == (level, True)


def test_unused_target_group_of_the_account_is_a_warning() -> None:
    found = only_problem(with_policy(RIGHT, allows(LATTICE, sid="old", Condition=from_group(OTHER_GROUP))))
    assert (found.level, "which does not send to the bridge, by statement old" in found.actual) == ("warning", True)
    assert found.fix == f"{REMOVE} old --region eu-west-1"


def unread(arn: str) -> Unread:
    return Unread("vpc-lattice:GetTargetGroup", arn, "AccessDeniedException")


def test_statement_for_an_unread_target_group_is_unknown_and_stays() -> None:
    lines = problems(replace(DEPLOYMENT, groups=(unread(GROUP),)))
    (source,) = [one for one in lines if one.subject == "invoke permission bridge:live"]
    assert (source.level, source.fix) == ("unknown", None)
    assert "remove-permission" not in "".join(str(one.fix) for one in lines)


@pytest.mark.parametrize("condition", [{}, {"ArnLike": {"AWS:SourceArn": [OTHER_GROUP, FOREIGN]}}])
def test_wide_statement_is_removed_by_no_command_if_a_target_group_is_unread(condition: dict[str, Any]) -> None:
    wide = allows(LATTICE, sid="wide", Condition=condition)
    deployment = replace(with_policy(RIGHT, wide), groups=(TARGET_GROUP, unread(OTHER_GROUP)))
    (found,) = [one for one in problems(deployment) if "by statement wide" in one.actual]
    assert (found.level, found.fix) == ("error", f"{FIRST} wide from the resource policy of bridge:live")


def test_wide_statement_is_removed_by_no_command_if_targets_are_unread() -> None:
    staging = replace(TARGET_GROUP, arn=OTHER_GROUP, targets=unread(OTHER_GROUP))
    deployment = replace(with_policy(RIGHT, allows("*", sid="wide")), groups=(TARGET_GROUP, staging))
    (found,) = [one for one in problems(deployment) if "by statement wide" in one.actual]
    assert (found.level, found.fix) == ("error", f"{FIRST} wide from the resource policy of bridge:live")


def test_wide_statement_is_removed_by_no_command_if_the_target_groups_are_unread() -> None:
    deployment = replace(with_policy(RIGHT, allows(LATTICE, sid="wide")), groups_unread=unread("*"))
    (found,) = [one for one in problems(deployment) if "by statement wide" in one.actual]
    assert str(found.fix).startswith(FIRST)


@pytest.mark.parametrize(
    ("condition", "is_certain"),
    [
        ({**from_group(), "StringLike": {"aws:SourceAccount": f"{ACCOUNT[:-1]}?"}}, True),
        ({"StringEqualsIgnoreCase": {"aws:SourceArn": GROUP.upper()}}, True),
        ({"StringLike": {"aws:SourceArn": GROUP.replace(ACCOUNT, "${aws:SourceAccount}")}}, False),
        ({**from_group(), "StringEquals": {"aws:SourceAccount": "${aws:ResourceAccount}"}}, False),
    ],
)
def test_statement_that_may_admit_lattice_is_not_unused(condition: dict[str, Any], is_certain: bool) -> None:
    lines = problems(with_policy(allows(LATTICE, sid="x", Condition=condition)))
    if is_certain:
        assert lines == []
    else:
        assert "is not admitted" not in repr(lines)
        assert not [one for one in lines if "remove-permission" in str(one.fix)]


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
def test_condition_that_never_holds_excludes_lattice(condition: dict[str, Any]) -> None:
    missing, unused = problems(with_policy(allows(LATTICE, sid="never", Condition=condition)))
    assert (missing.level, f"from {GROUP} is not admitted" in missing.actual) == ("error", True)
    assert (unused.level, "is never admitted: no target group meets the conditions" in unused.actual) == (
        "warning",
        True,
    )
    assert unused.fix == f"{FIRST} never from the resource policy of bridge:live"


def test_statement_for_everyone_may_admit_lattice() -> None:
    missing, everyone = problems(with_policy(allows("*", sid="all")))
    assert (missing.level, everyone.level) == ("unknown", "error")
    assert "add-permission" in str(missing.fix)
    assert str(everyone.fix).startswith(FIRST)


# ---- Lattice itself -------------------------------------------------------------------------------------------------


def test_permission_on_another_name_than_the_target_is_unused() -> None:
    unused, missing = problems(with_policies((RIGHT,), ()))
    assert (unused.level, unused.subject) == ("warning", "invoke permission bridge")
    assert (missing.level, missing.subject) == ("error", "invoke permission bridge:live")
    assert "add-permission" in str(missing.fix)


@pytest.mark.parametrize("target", [BRIDGE.arn, f"{BRIDGE.arn}:$LATEST"])
def test_latest_is_admitted_by_the_policy_of_the_bare_name(target: str) -> None:
    deployment = with_bridge(with_policies((RIGHT,), ()), name=FunctionName(BRIDGE.arn))
    lines = problems(replace(deployment, groups=with_group(targets=(target,)).groups))
    assert [one.subject for one in lines] == ["target bridge"]


@pytest.mark.parametrize(
    "statement",
    [
        allows(LATTICE, Action="lambda:InvokeFunctionUrl", Condition=from_group()),
        allows(LATTICE, Condition={**from_group(), "StringEquals": {"AWS:SourceAccount": "999999999999"}}),
        {**RIGHT, "Effect": "Deny", "Condition": {"Bool": {"aws:ViaAWSService": "true"}}},
    ],
)
def test_statement_that_does_not_match_lattice_admits_nothing(statement: dict[str, Any]) -> None:
    lines = [one for one in problems(with_policy(statement)) if one.level == "error"]
    assert [f"from {GROUP} is not admitted" in one.actual for one in lines] == [True]


def test_admission_under_another_condition_is_unknown() -> None:
    condition = {**from_group(), "Bool": {"aws:SecureTransport": "true"}}
    found = only_problem(with_policy(allows(LATTICE, Condition=condition)))
    assert (found.level, "may be admitted: under a condition" in found.actual) == ("unknown", True)


def test_policy_of_the_bare_name_may_include_all_names() -> None:
    whole = {**RIGHT, "Resource": f"{BRIDGE.arn}*"}
    levels = {one.subject: one.level for one in problems(with_policies((whole,), ()))}
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
def test_deny_of_lattice_is_found(statement: Mapping[str, Any], level: str, words: str) -> None:
    found = only_problem(with_policy(RIGHT, {"Sid": "no", "Effect": "Deny", "Resource": "*", **statement}))
    assert (found.level, words in found.actual) == (level, True)


@pytest.mark.parametrize(
    "statement",
    [
        {"Principal": {"AWS": "999999999999"}, "Action": "lambda:*"},
        {"Principal": "*", "Action": "lambda:UpdateFunctionCode"},
    ],
)
def test_deny_of_another_principal_or_action_is_no_problem(statement: Mapping[str, Any]) -> None:
    assert problems(with_policy(RIGHT, {"Sid": "no", "Effect": "Deny", "Resource": "*", **statement})) == []


@pytest.mark.parametrize(
    ("resource", "includes_alias"),
    [(f"{BRIDGE.arn}*", True), (f"{BRIDGE.arn}:${{x}}", True), (BRIDGE.arn, False), (f"{BRIDGE.arn}:v*", False)],
)
def test_deny_of_the_bare_name_that_may_include_the_alias_is_found(resource: str, includes_alias: bool) -> None:
    deny = allows("*", sid="no", Effect="Deny", Resource=resource)
    lines = problems(with_policies((deny,), (RIGHT,)))
    assert [(one.level, one.subject) for one in lines] == [
        ("warning", "invoke permission bridge:live")
    ] * includes_alias
    fix = "make sure that the Deny in the resource policy of bridge does not apply to Lattice"
    assert all(one.fix == fix for one in lines)


# ---- versions, URLs, event sources ----------------------------------------------------------------------------------


def test_versions_beyond_the_limit_are_counted() -> None:
    found = only_problem(with_bridge(versions_left=7))
    assert (found.level, found.subject) == ("unknown", "versions of bridge")
    assert found.actual == "7 more, whose policies were not read"


def test_function_url_is_an_error() -> None:
    found = only_problem(with_bridge(urls=(FunctionUrl(BRIDGE.qualified),)))
    assert (found.level, found.actual) == ("error", "bridge:live has one")
    assert found.fix == (
        f"aws lambda delete-function-url-config --function-name {BRIDGE.arn} --qualifier live --region eu-west-1"
    )


def test_event_source_is_an_error() -> None:
    mapping = SourceMapping("14e0db71-x", "arn:aws:sqs:eu-west-1:123456789012:q")
    found = only_problem(replace(DEPLOYMENT, event_sources=(mapping,)))
    assert (found.level, "arn:aws:sqs" in found.actual) == ("error", True)
    assert found.fix == "aws lambda delete-event-source-mapping --uuid 14e0db71-x --region eu-west-1"


# ---- commands -------------------------------------------------------------------------------------------------------


def test_command_names_the_function_by_its_arn() -> None:
    """A bare name would mean the function of that name in the account of the operator's credentials."""
    there = FunctionName(BRIDGE.arn.replace(ACCOUNT, "999999999999"), "live")
    other = ResourcePolicy(there, read_policy(policy(allows("*", sid="x"))))
    deployment = replace(with_bridge(name=there, policies=(other,), urls=(FunctionUrl(there.qualified),)), groups=())
    fixes = [str(one.fix) for one in findings_of(deployment, CONFIGURATION) if one.fix]
    assert not [fix for fix in fixes if "--function-name bridge" in fix]
    assert [fix for fix in fixes if f"remove-permission --function-name {there.arn} --qualifier live" in fix]
