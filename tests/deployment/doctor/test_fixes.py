"""Commands in fixes: an operator pastes them, so no answer of AWS may choose what they do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import pytest

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.facts import FunctionName, FunctionUrl, Listener, ResourcePolicy, RolePolicies
from lattice_bridge.deployment.doctor.findings import Command, Finding, command, function_command
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.deployment.sources.facts import SourceMapping
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    AFTER,
    BEHIND,
    BLUE,
    BRIDGE,
    CONFIGURATION,
    FUNCTION,
    IN_FRONT,
    ORDERS,
    SERVICE,
    TARGET_GROUP,
    allows,
    policy,
    with_bridge,
    with_settings,
)

HOSTILE: Final = (
    "file:///etc/passwd",
    "FILE://x",
    "fileb://x",
    "https://evil.example/x",
    "-x",
    "--endpoint-url=http://evil.example",
    "$(id)",
    "`id`",
    "a;id",
    "a b",
    "a'b",
    "a\nid",
    "\x1b[2J",
    "\u202ea",
    "id=x,port=1",
    "",
)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("option", ["function_name", "qualifier", "source_arn", "statement_id", "uuid"])
def test_malformed_value_is_in_no_command(option: str, value: str) -> None:
    """Trap G5: a sentence names the option and not the value."""
    found = command("x y", REGION, **{option: value})
    assert not isinstance(found, Command)
    name = f"--{option.replace('_', '-')}"
    assert found == f"no command is given: the value of {name} in AWS's answer is malformed"


@pytest.mark.parametrize("region", HOSTILE)
def test_malformed_region_is_in_no_command(region: str) -> None:
    """Trap G5."""
    assert not isinstance(command("x y", region), Command)


def test_option_without_a_known_form_is_in_no_command() -> None:
    """Trap G5: an option is added together with the form of its value."""
    with pytest.raises(KeyError):
        command("x y", REGION, policy_document="{}")


def test_command_names_the_region_and_the_qualifier_of_its_function() -> None:
    name = FunctionName("arn:aws:lambda:us-east-1:999999999999:function:x", "live")
    found = function_command("lambda remove-permission", name, statement_id="one")
    assert found == (
        "aws lambda remove-permission --function-name arn:aws:lambda:us-east-1:999999999999:function:x"
        " --qualifier live --statement-id one --region us-east-1"
    )


def test_profile_is_quoted() -> None:
    deployment = with_bridge(urls=(FunctionUrl(BRIDGE.qualified),))
    (found,) = [one for one in findings_of(deployment, CONFIGURATION, "two words; id") if one.fix]
    assert shlex.split(str(found.fix))[-2:] == ["--profile", "two words; id"]


@pytest.mark.parametrize(
    "place",
    [
        *("ssm:file:///etc/passwd", "ssm:-x", "ssm:$(id)", "ssm:/a:3", "s3://maps/../x", "s3://maps/a b", "s3:maps"),
        *("file:///etc/passwd", "https://evil.example/x", "a\x1b[2J"),
    ],
)
def test_malformed_place_of_the_configuration_is_in_no_fix(place: str) -> None:
    """Trap G5."""
    lines = findings_of(with_settings(variables={CONFIG_VARIABLE: place}), CONFIGURATION)
    (found,) = [one for one in lines if one.subject == CONFIG_VARIABLE]
    assert (found.level, "malformed" in found.actual) == ("error", True)
    assert not [one for one in lines if "download" in str(one.fix)]


# ---- every string of a stack ----------------------------------------------------------------------------------------


def with_hostile_string(value: Any, text: str) -> Iterator[Any]:
    """Copies of a value, each with another one of its strings replaced."""
    if isinstance(value, str):
        yield text
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for changed in with_hostile_string(getattr(value, field.name), text):
                with suppress(TypeError):
                    yield replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            for changed in with_hostile_string(part, text):
                parts = (*value[:number], changed, *value[number + 1 :])
                yield type(value)(*parts) if hasattr(value, "_fields") else parts


STRANGER: Final = ResourcePolicy(ORDERS, read_policy(policy(allows({"AWS": "999999999999"}, sid="evil"))))
WRONG: Final = replace(
    with_bridge(
        configuration=replace(
            FUNCTION, timeout=3, log_format="Text", runtime="python3.9", variables={CONFIG_VARIABLE: "ssm:/map"}
        ),
        urls=(FunctionUrl(BRIDGE.qualified),),
        policies=(ResourcePolicy(BRIDGE, read_policy(policy(allows({"AWS": "999999999999"}, sid="evil")))),),
    ),
    event_sources=(SourceMapping("0f1e", "arn:aws:sqs:eu-west-1:1:q"),),
    groups=(replace(TARGET_GROUP, event_version="V1", status="FAILED", services=()),),
    services=((SERVICE, replace(IN_FRONT, auth_type="NONE", listeners=(Listener("HTTP", 80),))),),
    backends=(
        replace(
            BEHIND,
            function=replace(
                BEHIND.function, configuration=FUNCTION, urls=(FunctionUrl(ORDERS.qualified),), policies=(STRANGER,)
            ),
        ),
    ),
    role_policies=RolePolicies((), trust=()),
    principals=((BLUE, AFTER),),
    foreign_principals=(replace(BLUE, account="444455556666"),),
)
"""A stack with nearly every fault, so that every command is given."""

CALLS: Final = {
    "add-permission",
    "delete-event-source-mapping",
    "delete-function-url-config",
    "remove-permission",
}


def commands(findings: list[Finding]) -> list[Command]:
    return [found.fix for found in findings if isinstance(found.fix, Command)]


def test_every_kind_of_command_is_tried() -> None:
    assert {found.split()[2] for found in commands(findings_of(WRONG, CONFIGURATION))} == CALLS


@pytest.mark.parametrize("text", ["file:///etc/passwd", "$(id)", "--endpoint-url=http://evil.example", "'; id #"])
def test_no_answer_of_aws_chooses_what_a_command_does(text: str) -> None:
    """Trap G5: each string of a stack in turn is hostile."""
    all_commands = len(commands(findings_of(WRONG, CONFIGURATION)))
    withheld, given = 0, set()
    for deployment in with_hostile_string(WRONG, text):
        found: list[Command] = []
        with suppress(IndexError, ValueError):  # an ARN that the reading of AWS's answers refuses
            found = commands(findings_of(deployment, CONFIGURATION))
        withheld += len(found) < all_commands
        for one in found:
            words = shlex.split(one)
            given.add(words[2])
            assert shlex.join(words) == one
            assert not [word for word in words if text in word]
    assert withheld > 5
    assert given == CALLS
