"""What doctor says of a stack: one thing changed, one line about it. No AWS here."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.config.backend import Backend
from lattice_bridge.deployment.doctor.facts import Alias, Deployed, Door, MapRole, Name, Rights, Running
from lattice_bridge.deployment.doctor.findings import Finding, Shell, Unread
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    ACCOUNT,
    AFTER,
    BEFORE,
    BLUE,
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
    ORDERS,
    RIGHTS,
    SERVICE,
    TRUST,
    allowed,
    allows,
    behind,
    grouped,
    only,
    policy,
    said,
    served,
)

DENIED = Unread("x:GetY", "arn", "AccessDeniedException")


def test_of_a_stack_as_it_should_be_everything_is_ok() -> None:
    found = findings_of(DEPLOYED, CONFIGURED, Shell(REGION))
    assert said(DEPLOYED) == []
    assert len(found) > 12
    assert all(line.mend is None and not line.is_wrong for line in found)


# ---- the function ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "level", "subject", "command"),
    [
        ({"log_format": "Text"}, "warning", "log format", "--logging-config LogFormat=JSON"),
        ({"timeout": 30}, "warning", "timeout", "--timeout 31"),
        ({"runtime": "python3.10"}, "error", "runtime", "--runtime python3.13"),
        ({"runtime": "nodejs22.x"}, "error", "runtime", "see that bridge:live is the bridge; if it is, deploy it with"),
        ({"isolated": True}, "error", "function bridge:live", "deploy the bridge as another function"),
        ({"state": "Failed"}, "warning", "function bridge:live", "get-function-configuration"),
        ({"update": "Failed"}, "error", "function bridge:live", "get-function-configuration"),
        ({"handler": "wrapper.handler"}, "warning", "handler", "get-function-configuration"),
        ({"variables": {"LATTICE_BRIDGE_FUNCTION": "a b"}}, "error", "LATTICE_BRIDGE_FUNCTION", "get-function-config"),
        ({"variables": {"LATTICE_BRIDGE_CONFIG": "examples/open.toml"}}, "warning", "configuration", "--config"),
    ],
)
def test_a_mistake_in_the_function_has_its_line(changes: Any, level: str, subject: str, command: str) -> None:
    found = only(replace(DEPLOYED, function=replace(FUNCTION, **changes)))
    assert (found.level, found.subject) == (level, subject)
    assert command in str(found.mend)


def test_a_function_that_may_be_another_program_gets_no_other_runtime_by_a_command() -> None:
    other = replace(FUNCTION, runtime="python3.10", handler="index.handler")
    (found,) = [one for one in said(replace(DEPLOYED, function=other)) if one.subject == "runtime"]
    assert (found.level, str(found.mend).startswith("see that bridge:live is the bridge")) == ("error", True)


def test_a_backend_that_may_take_as_long_as_a_function_gets_no_more_time_by_a_command() -> None:
    slow = replace(
        CONFIGURED, options=replace(CONFIGURED.options, backends=(Backend("/", "orders:live", timeout=898),))
    )
    found = only(replace(DEPLOYED, function=replace(FUNCTION, timeout=900)), slow)
    assert (found.level, found.wanted) == ("warning", "901 s at least: the slowest backend's 898, and 3")
    assert found.mend == "in bridge.toml, a timeout of 897 at most for each [[backend]]: a function has 900 s"


SHORT = replace(DEPLOYED, function=replace(FUNCTION, timeout=3))


def test_an_alias_is_moved_to_the_version_that_a_change_makes() -> None:
    mend = str(only(SHORT).mend)
    steps = ("update-function-configuration", "wait function-updated-v2", "update-alias", "publish-version")
    assert sorted(steps, key=mend.index) == list(steps)
    assert mend.count(f"--function-name {BRIDGE.arn} ") == 4


@pytest.mark.parametrize(
    "deployed",
    [
        replace(SHORT, bridge=Name(BRIDGE.arn, "7"), asked=True),
        replace(SHORT, aliases=(Alias("live", "7", (("8", 0.1),)),)),
        replace(SHORT, aliases=Unread("lambda:ListAliases", BRIDGE.arn, "AccessDeniedException")),
    ],
    ids=["a version", "a shared alias", "perhaps a shared one"],
)
def test_what_cannot_be_moved_for_sure_is_not_moved_by_a_command(deployed: Deployed) -> None:
    (found,) = [one for one in said(deployed) if one.subject == "timeout"]
    assert found.mend == "publish a version with --timeout 31, and point the alias that is meant to it alone"


# ---- the map's place ------------------------------------------------------------------------------------------------


def kept(place: str, file: str = "bridge.toml", *, gone: bool = False) -> Finding:
    """What is said of a map that is kept somewhere."""
    function = replace(FUNCTION, variables={"LATTICE_BRIDGE_CONFIG": place})
    deployed = replace(DEPLOYED, function=function, map_gone=gone)
    lines = findings_of(deployed, replace(CONFIGURED, file=file), Shell(REGION))
    return next(one for one in lines if one.subject == "configuration")


@pytest.mark.parametrize(
    ("place", "fetch"),
    [
        (
            "s3://maps/live/bridge.toml",
            "aws s3 cp s3://maps/live/bridge.toml deployed-bridge.toml --region eu-west-1",
        ),
        (
            "ssm:/bridge.toml",
            "aws ssm get-parameter --name /bridge.toml --with-decryption --query Parameter.Value --output text"
            " --region eu-west-1 > deployed-bridge.toml",
        ),
    ],
)
def test_the_text_of_a_map_that_is_kept_elsewhere_is_unknown_and_fetched_beside_this_one(
    place: str, fetch: str
) -> None:
    found = kept(place)
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert found.mend == f"{fetch} && lattice-bridge diff deployed-bridge.toml bridge.toml"


def test_a_map_that_is_not_where_it_is_read_from_is_an_error() -> None:
    assert (kept("s3://maps/bridge.toml", gone=True).level, kept("ssm:/x", gone=True).level) == ("error", "error")


def test_a_file_with_a_space_is_one_word() -> None:
    assert shlex.split(str(kept("ssm:/x", "my maps/a b.toml").mend))[-2:] == ["deployed-a b.toml", "my maps/a b.toml"]


def test_of_a_map_in_the_package_the_name_alone_is_compared() -> None:
    assert "whose text was not read" in kept("bridge.toml").found


# ---- what cannot be seen of it --------------------------------------------------------------------------------------


def test_an_image_does_not_show_its_python() -> None:
    found = only(replace(DEPLOYED, function=replace(FUNCTION, runtime=None)))
    assert (found.level, found.is_wrong) == ("unknown", False)


def test_boto3s_version_is_nobodys_to_see_and_matters_only_to_its_invoker() -> None:
    found = only(DEPLOYED, replace(CONFIGURED, options=replace(CONFIGURED.options, invoker="boto3")))
    assert (found.level, found.is_wrong) == ("unknown", False)
    assert "cannot be seen from outside: python3.13 brings one, the package may bring another" in found.found
    assert "boto3_too_old" in str(found.mend)


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


def test_a_command_names_a_role_whatever_characters_it_has() -> None:
    odd = MapRole(replace(BLUE, name="blue,=x"), AFTER)
    words = shlex.split(str(only(replace(DEPLOYED, roles=(odd,))).mend))
    (attribute,) = json.loads(words[words.index("--lookup-attributes") + 1])
    assert attribute == {"AttributeKey": "ResourceName", "AttributeValue": "blue,=x"}


def test_a_user_that_the_map_names_is_looked_at_like_a_role() -> None:
    bob = replace(BLUE, name="bob", kind="user", rules=("bob",))
    assert bob.arn == f"arn:aws:iam::{ACCOUNT}:user/bob"
    assert only(replace(DEPLOYED, roles=(MapRole(bob, None),))).found.startswith("no such user: whoever creates it")
    assert only(replace(DEPLOYED, roles=(MapRole(bob, AFTER),))).subject == "user bob in the map"
    there = only(replace(DEPLOYED, elsewhere=(replace(bob, account="444455556666"),)))
    assert "iam get-user --user-name bob --query User.CreateDate" in str(there.mend)


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
    "role's policies": replace(DEPLOYED, rights=Rights(DENIED, trust=read_policy(TRUST))),
    "boundary": allowed(*RIGHTS["Statement"], boundary=DENIED),
    "trust policy": allowed(*RIGHTS["Statement"], trust=DENIED),
    "versions": replace(DEPLOYED, left=DENIED),
    "another target": replace(DEPLOYED, running=(Running(Name(BRIDGE.arn, "8"), DENIED, None),)),
    "backend": behind(function=DENIED),
    "backend's policy": behind(doors=(Door(ORDERS, DENIED),)),
    "backend's aliases": behind(aliases=DENIED),
    "backend's versions": behind(left=DENIED),
    "backend's urls": behind(urls=DENIED),
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


@pytest.mark.parametrize(
    ("cause", "mend"),
    [
        ("AccessDenied", "grant x:GetY on arn to whoever runs doctor"),
        ("AccessDeniedException", "grant x:GetY on arn to whoever runs doctor"),
        ("ThrottlingException", "try again: x:GetY on arn was answered with ThrottlingException"),
        ("EndpointConnectionError", "try again: x:GetY on arn was answered with EndpointConnectionError"),
        ("ExpiredTokenException", "log in again: these credentials are not valid, or not any more"),
        ("InvalidClientTokenId", "log in again: these credentials are not valid, or not any more"),
        ("another answer", "try again: x:GetY on arn was answered with another answer"),
    ],
)
def test_a_permission_is_asked_for_where_one_is_missing_and_not_otherwise(cause: str, mend: str) -> None:
    found = Unread("x:GetY", "arn", cause).finding("subject", "wanted")
    assert (found.level, found.is_wrong, found.mend) == ("unknown", True, mend)


def test_what_is_elsewhere_is_looked_at_there() -> None:
    found = Unread("x:GetY", "arn", "of another account", elsewhere=True).finding("subject", "wanted")
    assert (found.is_wrong, found.mend) == (True, "look at arn with credentials of its account, in its region")


# ---- commands -------------------------------------------------------------------------------------------------------


def test_commands_are_quoted_for_the_shell_and_carry_region_and_profile() -> None:
    command = Shell("eu-west-1", "two words").aws("lambda", "x", "--y", "'; rm -rf / #")
    assert shlex.split(command)[3:] == ["--y", "'; rm -rf / #", "--region", "eu-west-1", "--profile", "two words"]


def test_an_alias_whose_name_begins_like_an_option_is_none() -> None:
    dashed = Name(BRIDGE.arn, "-x")
    door = Door(dashed, read_policy(policy(allows("*", sid="all"))))
    deployed = replace(SHORT, bridge=dashed, aliases=(Alias("-x", "7"),), doors=(door,))
    mends = [str(one.mend) for one in said(deployed)]
    assert [mend for mend in mends if "remove-permission" in mend and " --qualifier=-x " in mend]
    assert [mend for mend in mends if "update-alias" in mend and " --name=-x " in mend]
    assert not [mend for mend in mends if " -x" in mend]


def test_a_command_about_a_function_is_for_its_account_and_region() -> None:
    there = "arn:aws:lambda:us-east-1:999999999999:function:x"
    command = Shell("eu-west-1", "ops").of_function("get-policy", there, "--qualifier", "live")
    assert command == (
        f"aws lambda get-policy --function-name {there} --qualifier live --region us-east-1 --profile ops"
    )


# ---- and the rest ---------------------------------------------------------------------------------------------------


def test_of_very_many_roles_the_rest_is_counted() -> None:
    many = tuple(replace(BLUE, name=f"role-{number}") for number in range(4))
    assert only(DEPLOYED, replace(CONFIGURED, roles=many)).found == "3 more, not looked at"
