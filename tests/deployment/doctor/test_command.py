"""The command `lattice-bridge doctor`: exit codes and output, and that it only reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.doctor import doctor
from tests.support.aws_server import ENVIRONMENT, REGION, AwsServer
from tests.support.commands import read, seen
from tests.support.doctor_stack import (
    ACCOUNT,
    ADMITTED,
    BRIDGE,
    GROUP,
    RECORDED,
    TOML,
    allows,
    get_configuration,
    get_policy,
    list_targets,
    list_urls,
    policy,
)
from tests.support.recorded_aws import RecordedAws, Recording

LATER = "2099-01-01T00:00:00.000+0000"
"""The date of the map, after moto has created its roles."""

EVIL = "evil\x1b[31m"


@dataclass(frozen=True, slots=True)
class Stack:
    """moto, and the folder with bridge.toml."""

    aws: AwsServer
    folder: Path

    def environment(self, recorded: RecordedAws) -> dict[str, str]:
        urls = {"AWS_ENDPOINT_URL": self.aws.url, "AWS_ENDPOINT_URL_LAMBDA": recorded.url}
        return {**ENVIRONMENT, **urls, "AWS_ENDPOINT_URL_VPC_LATTICE": recorded.url, "AWS_REGION": REGION}

    def run(self, *arguments: str, others: tuple[Recording, ...] = (), **environment: str) -> Result:
        """Runs the command for the recorded stack, with some answers replaced."""
        with RecordedAws((*RECORDED, get_configuration(BRIDGE, LastModified=LATER), *others)) as recorded:
            words = ["--config", str(self.folder / "bridge.toml"), *arguments]
            found = CliRunner().invoke(doctor, words, env={**self.environment(recorded), **environment})
            assert all(asked.startswith("GET ") or asked.endswith("/listtargets") for asked in recorded.asked)
        assert found.exception is None or isinstance(found.exception, SystemExit)
        return found


@pytest.fixture(scope="module")
def stack(roles: AwsServer, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "bridge.toml").write_text(TOML, encoding="utf-8")
    return Stack(roles, folder)


def test_stack_without_a_fault_exits_with_0(stack: Stack) -> None:
    done = stack.run("--function", "bridge")
    lines = [line.split("\t") for line in done.output.splitlines()]
    assert done.exit_code == 0, done.output
    assert {len(line) for line in lines[:-1]} == {5}
    assert lines[-1] == ["error 0, warning 0, unknown 1, ok 21"]  # unknown: another account's role


def test_line_has_level_subject_actual_expected_and_fix(stack: Stack) -> None:
    wide = policy(*ADMITTED["Statement"], allows({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, sid="root"))
    done = stack.run("--function", "bridge:live", others=(get_policy(BRIDGE, wide),))
    (line,) = [line.split("\t") for line in done.output.splitlines() if line.startswith("error\t")]
    assert done.exit_code == 1
    assert line == [
        "error",
        "invoke permission bridge:live",
        f"arn:aws:iam::{ACCOUNT}:root may invoke it, by statement root",
        f"vpc-lattice.amazonaws.com only, from {GROUP}",
        f"aws lambda remove-permission --function-name {BRIDGE.arn} --qualifier live --statement-id root"
        " --region eu-west-1",
    ]


def test_json_has_every_field(stack: Stack) -> None:
    done = stack.run("--function", "bridge", "--json")
    found = json.loads(done.output)
    assert {tuple(line) for line in found} == {("level", "subject", "actual", "expected", "fix", "needs")}


def test_denied_call_is_a_line_and_the_rest_is_judged(stack: Stack) -> None:
    denied = Recording("lambda", "get_policy", {"FunctionName": BRIDGE.arn, "Qualifier": "live"})
    done = stack.run("--function", "bridge", others=(_fails(denied), _fails(list_targets(GROUP))))
    unread = [line.split("\t") for line in done.output.splitlines() if "could not be read" in line]
    assert done.exit_code == 1
    assert "grant lambda:GetPolicy" in done.output
    assert "grant vpc-lattice:ListTargets" in done.output
    assert len(unread) == 2
    assert "PER_TENANT" in done.output


def _fails(one: Recording) -> Recording:
    return Recording(one.service, one.method, one.arguments, fails="AccessDeniedException")


def test_strict_counts_warnings_as_errors(stack: Stack) -> None:
    text = get_configuration(BRIDGE, LastModified=LATER, LoggingConfig={"LogFormat": "Text"})
    assert stack.run("--function", "bridge", others=(text,)).exit_code == 0
    assert stack.run("--function", "bridge", "--strict", others=(text,)).exit_code == 1


def test_terminal_gets_a_table_with_whole_fixes_below(stack: Stack) -> None:
    text = get_configuration(BRIDGE, LastModified=LATER, Timeout=3)
    urls = list_urls(BRIDGE, BRIDGE.qualified)
    with RecordedAws((*RECORDED, text, urls)) as recorded:
        words = ("doctor", "--function", "bridge", "--config", str(stack.folder / "bridge.toml"))
        lines = seen(*words, columns=100, **stack.environment(recorded), NO_COLOR="1").splitlines()
    assert lines[0].split() == ["subject", "actual", "expected", "fix"]
    assert any(
        line.startswith(f"1: aws lambda delete-function-url-config --function-name {BRIDGE.arn}") for line in lines
    )
    assert any(line.startswith("2: deploy bridge with a timeout of 31 s, publish a version") for line in lines)
    assert lines[-1].strip() == "error 1, warning 1, unknown 1, ok 19"
    assert stack.run("--function", "bridge", others=(text, urls)).exit_code == 1


def test_control_characters_of_an_answer_are_escaped(stack: Stack) -> None:
    others = (get_policy(BRIDGE, policy(allows({"AWS": EVIL}, sid=EVIL))),)
    done = stack.run("--function", "bridge", others=others)
    assert "\x1b" not in done.output
    assert "evil\\x1b[31m" in done.output


def test_command_names_profile_and_region(stack: Stack, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile ops]\n", encoding="utf-8")
    urls = list_urls(BRIDGE, BRIDGE.qualified)
    arguments = ("--function", "bridge", "--profile", "ops", "--region", REGION)
    done = stack.run(
        *arguments, others=(urls,), AWS_CONFIG_FILE=str(config), AWS_SHARED_CREDENTIALS_FILE=_keys(tmp_path)
    )
    assert "--qualifier live --region eu-west-1 --profile ops" in done.output


def _keys(folder: Path) -> str:
    path = folder / "credentials"
    path.write_text("[ops]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-a-secret\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--function", "nothing"], {}, "no function nothing in this account and Region"),
        (["--function", "bridge:blue"], {}, "no function bridge:blue"),
        (["--function", "arn:aws:lambda:us-east-1:123456789012:function:x"], {}, "give --region us-east-1"),
        (["--function", "a b"], {}, "not a function's name or ARN"),
        (["--function", "bridge", "--profile", "missing"], {}, "ProfileNotFound"),
        (["--function", "bridge"], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no valid AWS credentials"),
        (["--function", "bridge"], {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "no Region. Fix: give --region"),
        ([], {}, "Missing option '--function'"),
    ],
)
def test_wrong_usage_exits_with_2(
    stack: Stack, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    done = stack.run(*arguments, others=(), **environment)
    assert (done.exit_code, message in done.output) == (2, True), done.output


@pytest.mark.parametrize("text", ["[[[", "tenants = 1\n", "\x00"])
def test_map_that_does_not_load_exits_with_2(stack: Stack, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    done = stack.run("--function", "bridge", "--config", str(tmp_path / "bad.toml"))
    assert (done.exit_code, "error: " in done.output) == (2, True), done.output


def test_help_names_the_exit_codes() -> None:
    """tests/cli/test_event.py shows that help does not wait for boto3."""
    assert "Exits with 0 if" in read("doctor", "--help").output
