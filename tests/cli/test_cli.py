"""The command line: help, exit codes, and errors that a tired person understands."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.cli.explain import UNKNOWN
from tests.support.builders import ACCOUNT, MAP, SERVICE, VPC, role, v2
from tests.support.commands import explained, read, written
from tests.support.paths import ROOT
from tests.support.token_builder import ISSUER, jwk, key_set, token


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lattice_bridge.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


def printed_at_start(process: subprocess.Popen[str]) -> str:
    """What `local` prints until it serves, or ends."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("Ctrl-C"):
            break
    return printed


def test_help_names_the_commands_and_their_options() -> None:
    assert "local" in run("--help").stdout
    assert "--reload" in run("local", "--help").stdout


def test_plan_is_printed_for_people_and_for_machines() -> None:
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


def test_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run("local", "--lambda-port", "0", "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr


def test_lambda_apis_usual_port_in_use_is_no_fault_unless_it_was_asked_for() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # in use already, which is as good
            other.bind(("127.0.0.1", 9001))
            other.listen()
        asked_for = run("local", "--port", "0", "--lambda-port", "9001")
        process = subprocess.Popen(
            [sys.executable, "-m", "lattice_bridge.cli", "local", "--port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        first, _, rest = printed_at_start(process).partition("\n")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert (asked_for.returncode, "port 9001: " in asked_for.stderr) == (2, True)
    said = re.fullmatch(r"Port 9001 is in use: the Lambda API listens on port ([0-9]+) instead\.", first)
    assert said is not None
    assert f"Lambda API     http://127.0.0.1:{said[1]}\n" in rest
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("auth_type", "commands", "number"),
    [("NONE", 3, signal.SIGINT), ("NONE", 3, signal.SIGTERM), ("AWS_IAM", 2, signal.SIGINT)],
)
def test_what_is_printed_at_start_works_as_it_stands(auth_type: str, commands: int, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "-P", f"AuthType={auth_type}", "--port", "0"]
    process = subprocess.Popen([*command, "--lambda-port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    pasted = [line for line in printed if line.startswith(("curl", "AWS_ACCESS_KEY_ID"))]
    assert len(pasted) == commands
    assert any(line.startswith("# without a credential") for line in printed) is (auth_type == "NONE")
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    for line in pasted:
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, env={"PATH": path}, check=True)
        assert "counter" in done.stdout
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    process.stdout.close()


def test_reader_that_is_gone_or_slow_does_not_keep_the_stack_from_stopping() -> None:
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


def test_terminal_that_is_not_utf8_gets_what_it_can_show() -> None:
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "--port", "0", "--lambda-port", "0"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environ)
    assert "Lattice front  http" in printed_at_start(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_bridge_toml_that_does_not_load_is_told_at_start(tmp_path: Path) -> None:
    template = (ROOT / "template.yaml").read_text().replace("CodeUri: examples", f"CodeUri: {ROOT}/examples")
    (tmp_path / "template.yaml").write_text(template)
    (tmp_path / "bridge.toml").write_text('[[rule]]\nid = "x"\nanyone = true\ntenant = "blue"\n')
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "--port", "0", "--lambda-port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    printed = printed_at_start(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert "BridgeFunction will answer every request with 503: bridge.toml does not load." in printed
    assert "tenant 'blue' is not in [tenants]" in printed


# ---- what a person sees, and what a program reads -------------------------------------------------------------------

WIDER = f"""
[[rule]]
id = "account"
account = "{ACCOUNT}"
tenant = "green"
"""
ESCAPES = "\x1b]0;x\x07\x1b[2J\x9b31m\u202e\t\r\n"
"""Sets the title, clears the screen, colours, turns the direction of writing, and begins a line."""

BOX = "\u2500"


def seen(*arguments: str, columns: int = 100, **environ: str) -> str:
    """What a command writes to a real terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "lattice_bridge.cli", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.STDOUT,
        env={**kept, "TERM": "xterm-256color", **environ},
    )
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # Linux reports a closed other end as an error
        while data := os.read(leader, 65536):
            output += data
    os.close(leader)
    process.wait(timeout=60)
    return output.decode()


@pytest.fixture
def tenants(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", MAP + WIDER)


@pytest.fixture
def before_and_after(tmp_path: Path) -> tuple[str, str]:
    """One gains, one loses, one changes."""
    after = MAP.replace('role/leaked"\ndeny = true', 'role/leaked"\ntenant = "blue"')
    after = after.replace('role/blue-api"\ntenant = "blue"', 'role/blue-api"\ntenant = "green"')
    after = after.replace('role/leaver"\ntenant = "old"', 'role/leaver"\ndeny = true')
    return written(tmp_path / "old.toml", MAP), written(tmp_path / "new.toml", after)


def test_explanation_on_a_terminal_has_colour_and_a_table(tenants: str) -> None:
    screen = seen("explain", "--map", tenants, "--principal", role("blue-api"))
    assert "\x1b[1;32mruns as blue" in screen
    assert BOX in screen
    for word in ("owner", "not used", "the backend's answer"):
        assert word in screen


def test_refusal_on_a_terminal_is_red_and_says_what_the_client_sees(tenants: str) -> None:
    screen = seen("explain", "--map", tenants, "--principal", role("blue-api"), "--header", "green")
    assert "\x1b[1;31mrefused: tenant_not_allowed" in screen
    assert "403, with the same body for every reason" in screen


def test_explanation_that_is_piped_is_a_fact_a_line(tenants: str) -> None:
    done = read("explain", "--map", tenants, "--principal", role("blue-api"))
    assert done.output.splitlines() == [
        f"caller\t{role('blue-api')}",
        "authenticated\ttrue",
        f"looked_for\tsession blue-api, session i-0123 of {ACCOUNT}\t-",
        f"looked_for\trole blue-api of {ACCOUNT}\tblue-api",
        f"looked_for\trole-prefix blue- of {ACCOUNT}\t-",
        f"looked_for\taccount {ACCOUNT}\taccount",
        "denied_by\t-",
        "owner\tblue-api",
        "runner_up\taccount",
        f"sources\trole blue-api of {ACCOUNT}\tblue-api\tblue",
        "header\t-",
        "chosen_by\trule",
        "allowed\ttrue",
        "tenant\tblue",
        "reason\tallowed",
        "detail\t-",
        "status\t200",
    ]


def test_pipe_gets_no_colour_and_no_table_however_much_it_is_asked_for(before_and_after: tuple[str, str]) -> None:
    environ = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    principal = ("--principal", role("blue-api"))
    for arguments in (("explain", "--map", before_and_after[0], *principal), ("diff", *before_and_after)):
        command = [sys.executable, "-m", "lattice_bridge.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=60, check=False)
        assert done.stdout
        assert not {"\x1b", BOX} & set(done.stdout)


def test_no_colour_means_none_on_a_terminal_either(tenants: str) -> None:
    screen = seen("explain", "--map", tenants, "--principal", role("blue-api"), NO_COLOR="1")
    assert "runs as blue" in screen
    assert BOX in screen
    assert "\x1b" not in screen


def test_narrow_terminal_shows_all_of_an_id(tenants: str) -> None:
    tenant = "t" * 200
    screen = seen("explain", "--map", tenants, "--principal", role("support"), "--header", tenant, columns=50)
    assert screen.count("t" * 20) >= 5
    assert "…" not in screen


def test_pipe_gets_the_longest_ids_whole(tmp_path: Path) -> None:
    tenant, named = "t" * 256, "r" * 128
    rules = f'[[rule]]\nid = "{named}"\nrole = "arn:aws:iam::{ACCOUNT}:role/{"x" * 64}"\ntenants = ["{tenant}", "a"]\n'
    path = written(tmp_path / "map.toml", f"[tenants]\n{tenant} = {{}}\na = {{}}\n{rules}")
    caller = role("x" * 64, session="s" * 64)
    lines = read("explain", "--map", path, "--principal", caller, "--header", tenant).output.splitlines()
    assert {f"caller\t{caller}", f"owner\t{named}", f"header\t{tenant}", f"tenant\t{tenant}"} <= set(lines)


def test_differences_kind_is_coloured_on_a_terminal(before_and_after: tuple[str, str]) -> None:
    screen = seen("diff", *before_and_after)
    for colour, kind in ((32, "gains"), (31, "loses"), (33, "changes")):
        assert f"\x1b[{colour}m{kind}" in screen
    assert BOX in screen
    assert "3 changes: gains 1, loses 1, changes 1" in screen


def test_differences_that_are_piped_are_one_a_line(before_and_after: tuple[str, str]) -> None:
    done = read("diff", *before_and_after)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"changes\trole blue-api of {ACCOUNT}\tblue\tgreen",
        f"loses\trole leaver of {ACCOUNT}\told\trefused: denied",
        f"gains\trole leaked of {ACCOUNT}\trefused: denied\tblue",
        "3 changes: gains 1, loses 1, changes 1",
    ]


def test_no_difference_is_said(tenants: str) -> None:
    assert read("diff", tenants, tenants).output == "no change\n"


def test_who_is_a_table_on_a_terminal_and_a_way_a_line_in_a_pipe(tenants: str) -> None:
    screen = seen("who", "blue", "--map", tenants)
    assert "\x1b[1;32mblue: active" in screen
    assert BOX in screen
    assert read("who", "blue", "--map", tenants).output.splitlines() == [
        "tenant\tblue",
        "state\tactive",
        f"ways\tblue-api\trole blue-api of {ACCOUNT}\talways",
        f"ways\tsupport\trole support of {ACCOUNT}\tif the header chooses it, of blue, green",
        f"ways\tedge\trole edge-proxy of {ACCOUNT}\tif the header names it, as any registered tenant",
    ]


def test_check_says_errors_first_and_counts_them(tmp_path: Path) -> None:
    wrong = '[[test]]\nvpc = "vpc-1"\nexpect = "blue"\n'
    path = written(tmp_path / "map.toml", MAP + WIDER + wrong)
    levels = [line.split(":")[0] for line in read("check", path).output.splitlines()]
    assert levels == ["error", "warning", path]
    assert read("check", path).output.splitlines()[-1] == f"{path}: 1 error, 1 warning"
    screen = seen("check", path)
    assert screen.index("\x1b[1;31merror") < screen.index("\x1b[1;33mwarning")


def test_map_without_faults_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    assert read("check", path).output == f"{path}: no errors, no warnings\n"


# ---- hostile text ---------------------------------------------------------------------------------------------------


def events_with(text: str) -> list[dict[str, Any]]:
    identity = {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": f"{role('blue-api')}{text}"}
    return [
        v2(role("support"), headers={"x-tenant-id": f"blue{text}"}),
        v2(role("support"), headers={f"x-tenant_id{text}": "blue"}),
        v2(requestContext={"serviceArn": SERVICE, "identity": identity}),
        v2(role("support"), method=text),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_an_event_says_reaches_no_terminal_raw(tenants: str, tmp_path: Path, number: int) -> None:
    event = written(tmp_path / "event.json", json.dumps(events_with(ESCAPES)[number]))
    assert_harmless(seen("explain", "--map", tenants, event))
    piped = read("explain", "--map", tenants, event).output
    assert_harmless(piped)
    assert {line.split("\t")[0] for line in piped.splitlines()} <= set(UNKNOWN)  # no line of the event's own


def test_what_a_map_says_reaches_no_terminal_raw_in_a_difference(tmp_path: Path) -> None:
    template = 'tenant_from = "session"\nsession_set_by = "x"\ntemplate = "[bold]\\u001b]0;x\\u0007{tenant}"'
    old = written(tmp_path / "old.toml", MAP)
    new = written(tmp_path / "new.toml", MAP.replace('tenants = "*"', template))
    for shown in (seen("diff", old, new, NO_COLOR="1", columns=200), read("diff", old, new).output):
        assert_harmless(shown)
        assert "session as [bold]\\x1b]0;x\\x07" in shown


def test_rules_id_is_no_markup_and_no_escape_sequence(tmp_path: Path) -> None:
    hostile = "[red]\\u001b]0;x\\u0007\\u001b[2J:smile:"
    path = written(tmp_path / "map.toml", MAP.replace('"support"', f'"{hostile}"') + WIDER)
    principal = ("--principal", role("support"))
    for arguments in (("explain", "--map", path, *principal), ("who", "blue", "--map", path), ("check", path)):
        for shown in (seen(*arguments, NO_COLOR="1"), read(*arguments).output):
            assert_harmless(shown)
            assert "check" in arguments or "[red]\\x1b]0;x\\x07\\x1b[2J:smile:" in shown


def test_terminal_that_is_not_utf8_is_shown_what_it_cannot_write(tenants: str) -> None:
    screen = seen(
        *("explain", "--map", tenants, "--principal", role("support"), "--header", "bl\u00fce"),
        PYTHONIOENCODING="ascii",
    )
    assert "x-tenant-id: bl\\xfce" in screen


def assert_harmless(shown: str) -> None:
    for sequence in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert sequence not in shown


# ---- explanations for machines --------------------------------------------------------------------------------------


def test_explanation_as_json_is_made_of_values(tenants: str) -> None:
    found = explained(tenants, "--principal", role("support"), "--header", "green")
    assert found == {
        "caller": role("support"),
        "authenticated": True,
        "looked_for": [
            {"key": f"session support, session i-0123 of {ACCOUNT}", "rule": None},
            {"key": f"role support of {ACCOUNT}", "rule": "support"},
            {"key": f"account {ACCOUNT}", "rule": "account"},
        ],
        "denied_by": None,
        "owner": "support",
        "runner_up": "account",
        "sources": [{"key": f"role support of {ACCOUNT}", "rule": "support", "allows": "blue, green"}],
        "header": "green",
        "chosen_by": "header",
        "allowed": True,
        "tenant": "green",
        "reason": "allowed",
        "detail": None,
        "status": 200,
    }


def test_event_that_cannot_be_read_is_explained_with_the_same_keys(tenants: str) -> None:
    found = explained(tenants, event={})
    assert list(found) == list(UNKNOWN)
    assert {name for name, value in found.items() if value is not None} == {"allowed", "reason", "detail", "status"}
    assert (found["allowed"], found["reason"], found["status"]) == (False, "not_lattice", 400)


def test_refusal_before_any_rule_says_who_asked(tmp_path: Path) -> None:
    services = f'[lattice]\nservices = ["{SERVICE}9"]\n'
    path = written(tmp_path / "map.toml", MAP + services)
    found = explained(path, event=v2(role("support"), headers={"x-tenant-id": "blue"}))
    assert list(found) == list(UNKNOWN)
    assert (found["reason"], found["looked_for"]) == ("service_not_allowed", None)
    assert (found["caller"], found["header"]) == (role("support"), "blue")


def test_deny_is_explained_beside_what_it_denies(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP + WIDER)
    found = explained(path, "--principal", role("leaked"))
    assert (found["denied_by"], found["owner"], found["reason"]) == ("leaked", "account", "denied")
    screen = seen("explain", "--map", path, "--principal", role("leaked"), NO_COLOR="1")
    assert "owner" not in screen  # it was not asked
    assert "denied by    leaked" in screen


def test_accounts_rule_is_no_runner_up_for_its_root_user(tmp_path: Path) -> None:
    root_user = f"arn:aws:iam::{ACCOUNT}:root"
    named = f'[[rule]]\nid = "root"\nroot = "{root_user}"\ntenant = "blue"\n'
    found = explained(written(tmp_path / "map.toml", MAP + WIDER + named), "--principal", root_user)
    assert (found["owner"], found["runner_up"]) == ("root", None)


def test_each_source_is_explained_with_what_it_allows(tmp_path: Path) -> None:
    issuer = (
        f'[jwt.corp]\nissuer = "{ISSUER}"\naudience = ["orders"]\nalgorithms = ["ES256"]\njwks_file = "keys.json"\n'
    )
    claim = '[[rule]]\nid = "corp"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'
    (tmp_path / "keys.json").write_bytes(key_set(jwk()))
    path = written(tmp_path / "map.toml", MAP + issuer + claim)
    now = int(time.time())
    bearer = f"Bearer {token(tenant='green', iat=now, exp=now + 600)}"
    event = v2(role("support"), headers={"authorization": bearer})
    found = explained(path, event=event)
    assert [source["rule"] for source in found["sources"]] == ["support", "corp"]
    assert [source["allows"].split(",")[0] for source in found["sources"]] == ["blue", "green"]
    assert (found["tenant"], found["chosen_by"], found["owner"]) == ("green", "rule", "support")
    screen = seen("explain", "--map", path, written(tmp_path / "event.json", json.dumps(event)))
    assert "token corp" in screen
    bad = explained(path, event=v2(role("support"), headers={"authorization": f"{bearer}x"}))
    assert (bad["reason"], bad["status"], bad["caller"], bad["sources"]) == (
        "token_invalid",
        401,
        role("support"),
        None,
    )


# ---- what stands outside the map ------------------------------------------------------------------------------------

REGISTRY = '[registry]\ndynamodb_table = "tenants"\n'


def out_of_reach(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in an environment in which DynamoDB does not answer."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-m", "lattice_bridge.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=60, check=False)


@pytest.fixture
def registered(tmp_path: Path) -> str:
    """A map whose tenants are in a table."""
    return written(tmp_path / "map.toml", REGISTRY + "[[rule]]" + MAP.partition("[[rule]]")[2])


def test_registry_that_cannot_be_asked_is_no_yes_and_the_ways_are_shown_all_the_same(registered: str) -> None:
    done = out_of_reach("who", "blue", "--map", registered)
    assert (done.returncode, "state\tnot known" in done.stdout, "blue-api" in done.stdout) == (1, True, True)
    assert "EndpointConnectionError" in done.stderr
    done = out_of_reach("explain", "--map", registered, "--principal", role("blue-api"))
    assert (done.returncode, "reason\tregistry_unavailable" in done.stdout) == (1, True)


def test_check_and_diff_ask_no_registry(registered: str, tmp_path: Path) -> None:
    test = f'[[test]]\nprincipal = "{role("blue-api")}"\nexpect = "blue"\n'
    path = written(tmp_path / "tested.toml", Path(registered).read_text(encoding="utf-8") + test)
    assert out_of_reach("check", path).returncode == 0
    events = written(tmp_path / "events.jsonl", json.dumps(v2(role("blue-api"))) + "\n")
    assert out_of_reach("diff", registered, path, "--events", events).stdout == "no decision differs\n"


def test_tenant_that_is_suspended_is_a_difference(tmp_path: Path, tenants: str) -> None:
    text = Path(tenants).read_text(encoding="utf-8")
    new = written(tmp_path / "new.toml", text.replace("blue = {}", 'blue = { status = "suspended" }', 1))
    assert read("diff", tenants, new).output.splitlines()[:-1] == [
        "loses\trequests for blue\tactive\trefused: suspended"
    ]


def test_service_that_is_no_longer_listed_is_a_difference_to_its_requests(tmp_path: Path) -> None:
    backend = '[[backend]]\nfunction = "f"\n'
    old = written(tmp_path / "old.toml", backend + MAP)
    new = written(tmp_path / "new.toml", f'[lattice]\nservices = ["{SERVICE}x"]\n{backend}{MAP}')
    events = written(tmp_path / "events.jsonl", json.dumps(v2(role("blue-api"))) + "\n")
    assert read("diff", old, new, "--events", events).output.splitlines()[0] == (
        "loses\tlattice-1\tblue\trefused: service_not_allowed"
    )
