"""The command line: help, exit codes, and errors that a tired person understands."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.builders import MAP, role, v2
from tests.support.commands import WIDER, assert_harmless, read, seen, seen_of_process, written
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from click.testing import Result

LOCAL: Final = ("local", "--template", str(ROOT / "template.yaml"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own. `read` is faster, where the process is not the point."""
    command = [sys.executable, "-m", "lattice_bridge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def printed_at_start(process: subprocess.Popen[str]) -> str:
    """What `local` prints until it serves, or ends."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "(Ctrl-C stops the stack)" in line:
            break
    return printed


def test_help_names_commands_and_options() -> None:
    assert "local" in run("--help").stdout
    assert "--reload" in read("local", "--help").stdout


def test_process_prints_the_same_as_the_called_command(tmp_path: Path) -> None:
    """The other tests call a command in their own process, and set the width by a variable."""
    arguments = ("explain", "--map", written(tmp_path / "map.toml", MAP), "--principal", role("blue-api"))
    shown = seen_of_process(*arguments, columns=70)
    assert shown == seen(*arguments, columns=70)
    assert "\x1b[" in shown


def test_plan_is_printed_as_lines_or_json() -> None:
    people, machines = read(*LOCAL, "--plan"), read(*LOCAL, "--plan", "--json")
    assert (people.exit_code, machines.exit_code) == (0, 0)
    assert "per tenant" in people.stdout
    assert "  - AWS::CloudWatch::Dashboard (Dashboard)" in people.stdout
    assert json.loads(machines.stdout)["functions"]["counter-isolated"]["isolated"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["local", "--template", "nothing.yaml"], "nothing.yaml: No such file or directory. Fix: name a file that you"),
        (["explain"], "Fix: give an event, or a caller by --principal"),
        ([*LOCAL, "--parameter", "AuthType"], "write NAME=VALUE"),
        ([*LOCAL, "--parameter", "AuthType=MAYBE"], "'MAYBE' is not one of AWS_IAM, NONE"),
        ([*LOCAL, "--identities", "nothing.toml"], "nothing.toml: No such file"),
        (["nothing"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_message(arguments: list[str], message: str) -> None:
    done = read(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize("arguments", [["local"], ["check"], ["who", "blue"]])
def test_missing_default_file_leads_to_init(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first command of a newcomer, in a folder without a project."""
    monkeypatch.chdir(tmp_path)
    done = read(*arguments)
    assert done.exit_code == 2
    assert done.stderr.endswith(" that you can read, or write a new project with `lattice-bridge init`\n")
    other = read(*arguments, "--template" if arguments == ["local"] else "--map", "mine")
    assert other.stderr.endswith("mine: No such file or directory. Fix: name a file that you can read\n")


def test_wrong_usage_of_a_process_exits_with_2_and_no_trace() -> None:
    done = run("local", "--template", "nothing.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing.yaml: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def into(target: str, *arguments: str) -> tuple[int, str]:
    """The exit code and the errors of a command whose standard output a shell has redirected."""
    command = [sys.executable, "-m", "lattice_bridge", *arguments]
    shell = ["sh", "-c", f'"$@" {target}', "sh", *command]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("check",), ("local", "--plan"), ("--version",)])
def test_closed_output_changes_no_exit_code(arguments: tuple[str, ...]) -> None:
    code, errors = into(">&-", *arguments)
    assert (code, "Traceback" in errors) == (0, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
@pytest.mark.parametrize("arguments", [("check",), ("--version",)])
def test_output_without_space_is_no_answer(arguments: tuple[str, ...]) -> None:
    """Exit code 1 of `check` would mean that the map has an error."""
    fix = "Fix: free some, for the output and for temporary files"
    assert into(">/dev/full", *arguments) == (2, f"Error: No space left on device. {fix}\n")


def test_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run("local", "--lambda-port", "0", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr


@contextlib.contextmanager
def usual_port_in_use() -> Iterator[None]:
    """Port 9001, at which `local` has the AWS endpoint if it is free."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # in use already, which is as good
            other.bind(("127.0.0.1", 9001))
            other.listen()
        yield


def test_aws_endpoints_usual_port_in_use_is_a_fault_if_it_was_asked_for() -> None:
    with usual_port_in_use():
        asked_for = run("local", "--port", "0", "--aws-port", "9001")
    assert (asked_for.returncode, "port 9001: " in asked_for.stderr) == (2, True)


@dataclass(frozen=True)
class Session:
    """A stack from its start to its end, as a person sees it.

    Attributes:
        start: what it prints until it serves.
        pasted: the commands of it that the person pastes, each with what it printed.
        served: what it prints until its end. The first two requests are of BlueTenant and of PinkTenant.
        exit_code: of the process.
    """

    start: list[str]
    pasted: dict[str, str]
    served: list[str]
    exit_code: int


@cache
def session(auth_type: str, number: signal.Signals) -> Session:
    """A stack that a signal ends. Its usual port is in use, and the terminal of one that SIGINT ends is not UTF-8."""
    command = [sys.executable, "-m", "lattice_bridge", "local", "-P", f"AuthType={auth_type}", "--port", "0"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii" if number == signal.SIGINT else "utf-8"}
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    with (
        usual_port_in_use(),
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environ) as process,
    ):
        try:
            start = printed_at_start(process).splitlines()
            url = f"{start[-1].split()[2]}/isolated?token=secret"
            for tenant in ("BlueTenant", "PinkTenant"):
                subprocess.run(["curl", "-s", "-H", f"x-tenant-id: {tenant}", url], stdout=subprocess.PIPE, check=True)
            pasted = {}
            for line in start:
                if line.strip().startswith(("curl", "echo")):
                    shell = ["/bin/sh", "-c", line.strip()]
                    done = subprocess.run(shell, capture_output=True, text=True, env={"PATH": path}, check=True)
                    pasted[line.strip()] = done.stdout
            process.send_signal(number)
            served = process.communicate(timeout=20)[0].splitlines()
        finally:
            process.kill()
    return Session(start, pasted, served, process.returncode)


def test_aws_endpoints_usual_port_in_use_is_no_fault_unless_it_was_asked_for() -> None:
    first, *rest = session("AWS_IAM", signal.SIGINT).start
    said = re.fullmatch(r"Port 9001 is in use: the AWS endpoint listens on port ([0-9]+) instead\.", first)
    assert said is not None
    assert f"AWS endpoint  http://127.0.0.1:{said[1]}" in rest


@pytest.mark.parametrize(
    ("auth_type", "commands", "number"),
    [("NONE", 3, signal.SIGINT), ("NONE", 3, signal.SIGTERM), ("AWS_IAM", 2, signal.SIGINT)],
)
def test_what_is_printed_at_start_works_as_it_stands(auth_type: str, commands: int, number: signal.Signals) -> None:
    found = session(auth_type, number)
    assert ["counter" in printed for printed in found.pasted.values()] == [True] * commands
    assert any(line.strip().startswith("# without a credential") for line in found.start) is (auth_type == "NONE")
    assert found.exit_code == 0


def test_person_sees_one_line_for_a_request_and_none_of_its_json() -> None:
    """The terminal is not UTF-8: it gets what it can show."""
    found = session("NONE", signal.SIGINT)
    assert re.fullmatch(r"HTTP front    http://\S+  \(Ctrl-C stops the stack\)", found.start[-1])
    served, refused, cause, *others, stopping = found.served
    assert served.split()[1:-2] == ["200", "GET", "/isolated", "BlueTenant", "try-it-out", "counter-isolated"]
    assert refused.split()[1:-2] == ["403", "GET", "/isolated", "-", "tenant_unknown"]
    assert cause.strip().startswith("The rule try-it-out allows the tenant, but it is not registered.")
    assert len(others) == sum(command.startswith("curl") for command in found.pasted)  # an Invoke has no line
    assert stopping == "stopping"


def test_reader_that_is_gone_or_slow_does_not_keep_the_stack_from_stopping() -> None:
    template = str(ROOT / "tests" / "functions" / "template.yaml")
    command = [sys.executable, "-m", "lattice_bridge", "local", "-t", template, "--json-logs", "--port", "0"]
    for gone in (True, False):
        process = subprocess.Popen([*command, "--lambda-port", "0"], stdout=subprocess.PIPE, text=True, bufsize=1)
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["lambda"]
        if gone:
            process.stdout.close()
        path = f"{url}/2015-03-31/functions/floods/invocations"
        subprocess.run(["curl", "-s", "-o", "/dev/null", "-d", '{"bytes": 3000000}', path], check=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        process.stdout.close()


def test_bridge_toml_that_does_not_load_is_told_at_start(tmp_path: Path) -> None:
    template = (ROOT / "template.yaml").read_text().replace("CodeUri: examples", f"CodeUri: {ROOT}/examples")
    (tmp_path / "template.yaml").write_text(template)
    (tmp_path / "bridge.toml").write_text('[[rule]]\nid = "x"\nanyone = true\ntenant = "blue"\n')
    command = [sys.executable, "-m", "lattice_bridge", "local", "--port", "0", "--lambda-port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    printed = printed_at_start(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert "BridgeFunction answers every request with 503, because its bridge.toml does not load:" in printed
    assert "bridge.toml:1:1: no [tenants]: rules name blue. Fix: " in printed


# ---- hostile text ---------------------------------------------------------------------------------------------------


def test_rules_id_is_no_markup_and_no_escape_sequence(tmp_path: Path) -> None:
    hostile = "[red]\\u001b]0;x\\u0007\\u001b[2J:smile:"
    path = written(tmp_path / "map.toml", MAP.replace('"support"', f'"{hostile}"') + WIDER)
    principal = ("--principal", role("support"))
    for arguments in (("explain", "--map", path, *principal), ("who", "blue", "--map", path), ("check", path)):
        for shown in (seen(*arguments, NO_COLOR="1"), read(*arguments).output):
            assert_harmless(shown)
            assert "check" in arguments or "[red]\\x1b]0;x\\x07\\x1b[2J:smile:" in shown


# ---- what stands outside the map ------------------------------------------------------------------------------------

REGISTRY = '[registry]\ndynamodb_table = "tenants"\n'


def out_of_reach(*arguments: str) -> Result:
    """A command in an environment in which DynamoDB does not answer."""
    environ = {
        **{name: None for name in os.environ if name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
    }
    return read(*arguments, environ=environ)


@pytest.fixture
def registered(tmp_path: Path) -> str:
    """A map whose tenants are in a table."""
    return written(tmp_path / "map.toml", REGISTRY + "[[rule]]" + MAP.partition("[[rule]]")[2])


def test_unreachable_registry_exits_with_1_and_shows_the_ways(registered: str) -> None:
    done = out_of_reach("who", "blue", "--map", registered)
    assert (done.exit_code, "state\tnot known" in done.stdout, "blue-api" in done.stdout) == (1, True, True)
    assert "EndpointConnectionError" in done.stderr
    done = out_of_reach("explain", "--map", registered, "--principal", role("blue-api"))
    assert (done.exit_code, "reason\tregistry_unavailable" in done.stdout) == (1, True)


def test_check_and_diff_ask_no_registry(registered: str, tmp_path: Path) -> None:
    test = f'[[test]]\nprincipal = "{role("blue-api")}"\nexpect = "blue"\n'
    path = written(tmp_path / "tested.toml", Path(registered).read_text(encoding="utf-8") + test)
    assert out_of_reach("check", path).exit_code == 0
    events = written(tmp_path / "events.jsonl", json.dumps(v2(role("blue-api"))) + "\n")
    assert out_of_reach("diff", registered, path, "--events", events).stdout == "no decision differs\n"
