"""The commands that doctor prints: a person pastes them, so nothing that AWS answered may choose what they do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final

import pytest

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.facts import Alias, Door, Listener, MapRole, Name, Rights
from lattice_bridge.deployment.doctor.findings import Shell
from lattice_bridge.deployment.doctor.run import findings_of
from lattice_bridge.deployment.iam.policy import read_policy
from tests.support.aws_server import REGION
from tests.support.doctor_stack import (
    AFTER,
    BEHIND,
    BLUE,
    BRIDGE,
    CONFIGURED,
    DEPLOYED,
    FUNCTION,
    IN_FRONT,
    LISTENER,
    ORDERS,
    SERVICE,
    TARGET_GROUP,
    allows,
    policy,
    said,
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
@pytest.mark.parametrize(
    "option",
    ["--function-name", "--function-version", "--service-identifier", "--target-group-identifier", "--source-arn"],
)
def test_a_value_that_is_none_of_aws_is_in_no_command(option: str, value: str) -> None:
    """Trap G5."""
    said = Shell("eu-west-1").aws("x", "y", option, value)
    assert said == f"no command is given: the value for {option} is malformed"


@pytest.mark.parametrize("value", ["file:///etc/passwd", "FileB://x", "http://x", "@x", "-x", "\x1b[2J", "a\nid", ""])
def test_no_command_makes_the_aws_cli_read_a_file(value: str) -> None:
    """Trap G5: for an option whose values doctor does not know, and after its equals sign."""
    assert Shell("eu-west-1").aws("x", "y", "--z", value).startswith("no command is given")
    assert value == "-x" or Shell("eu-west-1").aws("x", "y", f"--z={value}").startswith("no command is given")


@pytest.mark.parametrize(
    "place",
    [
        *("ssm:file:///etc/passwd", "ssm:-x", "ssm:$(id)", "ssm:/a:3", "s3://maps/../x", "s3://maps/a b", "s3:maps"),
        *("file:///etc/passwd", "https://evil.example/x", "a\x1b[2J"),
    ],
)
def test_a_malformed_place_of_the_configuration_is_in_no_command(place: str) -> None:
    """Trap G5: the AWS CLI would read the file that `--name file://…` names, and send it."""
    function = replace(FUNCTION, variables={CONFIG_VARIABLE: place})
    lines = findings_of(replace(DEPLOYED, function=function), CONFIGURED, Shell(REGION))
    (found,) = [one for one in lines if one.subject == CONFIG_VARIABLE]
    assert (found.level, "malformed" in found.found) == ("error", True)
    assert not [one for one in lines if "get-parameter" in str(one.mend) or "s3 cp" in str(one.mend)]


def test_no_command_contains_a_part_of_one_that_could_not_be_given() -> None:
    """Trap G5: half of the steps would be another change."""
    function = replace(FUNCTION, timeout=3)
    hostile = replace(DEPLOYED, function=function, bridge=Name(BRIDGE.arn, "a b"), aliases=(Alias("a b", "7"),))
    (mend,) = [one.mend for one in said(hostile) if one.subject == "timeout"]
    assert mend == "no command is given: the value for --name is malformed"


def _hostile(value: Any, text: str) -> Iterator[Any]:
    """A stack as often as there are texts in it, each time with another one of them replaced."""
    if isinstance(value, str):
        yield text
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for changed in _hostile(getattr(value, field.name), text):
                with suppress(TypeError):
                    yield replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            for changed in _hostile(part, text):
                yield (*value[:number], changed, *value[number + 1 :])


WRONG: Final = replace(
    DEPLOYED,
    function=replace(
        FUNCTION, timeout=3, log_format="Text", runtime="python3.9", variables={CONFIG_VARIABLE: "ssm:/map"}
    ),
    sources=(("0f1e", "arn:aws:sqs:eu-west-1:1:q"),),
    urls=(BRIDGE.qualified,),
    doors=(Door(BRIDGE, read_policy(policy(allows("*", sid="all")))),),
    groups=(replace(TARGET_GROUP, event_version="V1", status="FAILED", services=()),),
    services=((SERVICE, replace(IN_FRONT, auth_type="NONE", listeners=(Listener(LISTENER, "HTTP", 80),))),),
    backends=(replace(BEHIND, function=FUNCTION, urls=(ORDERS.qualified,)),),
    rights=Rights((), trust=()),
    roles=(MapRole(BLUE, AFTER),),
    elsewhere=(replace(BLUE, account="444455556666"),),
)
"""A stack in which nearly everything is wrong, so that nearly every command is given."""


@pytest.mark.parametrize("text", ["file:///etc/passwd", "$(id)", "--endpoint-url=http://evil.example", "'; id #"])
@dataclass(frozen=True, slots=True)
class Recorder(Shell):
    """A shell that keeps what it said."""

    commands: list[str] = field(default_factory=list)

    def aws(self, *words: str) -> str:
        self.commands.append(Shell(self.region, self.profile).aws(*words))
        return self.commands[-1]


@pytest.mark.parametrize("text", ["file:///etc/passwd", "$(id)", "--endpoint-url=http://evil.example", "'; id #"])
def test_no_answer_of_aws_chooses_what_a_command_does(text: str) -> None:
    """Trap G5: each text of a stack in turn is hostile."""
    withheld, given = 0, set()
    for deployed in _hostile(WRONG, text):
        shell = Recorder(REGION)
        with suppress(IndexError, ValueError):  # an ARN that the reading of AWS's answers refuses
            findings_of(deployed, CONFIGURED, shell)
        for command in shell.commands:
            if command.startswith("no command is given"):
                withheld += 1
                continue
            words = shlex.split(command)
            given.add(words[2])
            assert shlex.join(words) == command
            if text.startswith(("file:", "--")):  # what is quoted for the shell may still mean something to the AWS CLI
                assert not [word for word in words if word.startswith(text) or word.partition("=")[2].startswith(text)]
    assert withheld > 5
    assert len(given) > 12
