"""The command line: help, exit codes, and errors that a tired person understands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lattice_bridge.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


def test_help_names_the_commands_and_their_options() -> None:
    assert "local" in run("--help").stdout
    assert "--reload" in run("local", "--help").stdout


def test_the_plan_is_printed_for_people_and_for_machines() -> None:
    people, machines = run("local", "--plan"), run("local", "--plan", "--json")
    assert (people.returncode, machines.returncode) == (0, 0)
    assert "one environment per tenant" in people.stdout
    assert json.loads(machines.stdout)["functions"]["counter-isolated"]["isolated"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["local", "--template", "nothing.yaml"], "nothing.yaml: No such file or directory"),
        (["local", "--parameter", "AuthType"], "write NAME=VALUE"),
        (["local", "--parameter", "AuthType=MAYBE"], "'MAYBE' is not one of AWS_IAM, NONE"),
        (["local", "--identities", "nothing.toml"], "nothing.toml: No such file"),
        (["nothing"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run("local", "--lambda-port", "0", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_printed_at_start_works_as_it_stands(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "-P", "AuthType=NONE", "--port", "0"]
    process = subprocess.Popen([*command, "--lambda-port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    pasted = [line for line in printed if line.startswith(("curl", "AWS_ACCESS_KEY_ID"))]
    assert len(pasted) == 4
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    for line in pasted:
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env={"PATH": path}, check=True)
        assert "counter" in done.stdout
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    process.stdout.close()


def test_a_reader_that_is_gone_or_slow_does_not_keep_the_stack_from_stopping() -> None:
    template = str(ROOT / "tests" / "functions" / "template.yaml")
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "-t", template, "--json-logs", "--port", "0"]
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


def test_a_terminal_that_is_not_utf8_gets_what_it_can_show() -> None:
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "--port", "0", "--lambda-port", "0"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environ)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert "Lattice front  http" in process.communicate(timeout=20)[0]


def test_a_bridge_toml_that_does_not_load_is_told_at_start(tmp_path: Path) -> None:
    template = (ROOT / "template.yaml").read_text().replace("CodeUri: examples", f"CodeUri: {ROOT}/examples")
    (tmp_path / "template.yaml").write_text(template)
    (tmp_path / "bridge.toml").write_text('[[rule]]\nid = "x"\nanyone = true\ntenant = "blue"\n')
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "--port", "0", "--lambda-port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=20)
    assert "The bridge will answer 503 to everything" in printed
    assert "tenant 'blue' is not in [tenants]" in printed
