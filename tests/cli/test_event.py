"""`lattice-bridge event`: what each command prints, how it ends, and that nothing of an event acts on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from lattice_bridge import parse_event
from lattice_bridge.cli import event_file
from lattice_bridge.formats.event import Payload
from lattice_bridge.testing import all_events, lattice_event, load_event
from lattice_bridge.testing.corpus import RECORDS
from lattice_bridge.testing.departures import departures
from tests.support.commands import BOX, ESCAPES, assert_harmless, read, seen, written
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from click.testing import Result

ROLE = "arn:aws:iam::111122223333:role/blue-api"
VALID = [case.name for folder in ("v1", "v2") for case in all_events(f"{folder}/*")]
EVERY = [case.name for case in all_events()]


def event(*arguments: str, stdin: str | None = None) -> Result:
    return read("event", *arguments, stdin=stdin)


def on(command: str, value: Any, *arguments: str) -> Result:
    """A command with an event on its stdin."""
    return event(command, *arguments, "-", stdin=json.dumps(value))


def saved(tmp_path: Path, value: Any) -> str:
    return written(tmp_path / "event.json", json.dumps(value))


# ---- new ------------------------------------------------------------------------------------------------------------


def made(*arguments: str) -> dict[str, Any]:
    done = event("new", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def test_new_event_is_the_builders() -> None:
    assert made() == lattice_event()
    assert made("--version", "V1", "--path", "/a?b=1") == lattice_event(1, "GET", "/a?b=1")
    assert made("--principal", ROLE, "--session-name", "s-1", "--org", "o-1", "--x509", "san_uri=spiffe://a=b") == (
        lattice_event(principal=ROLE, session_name="s-1", org_id="o-1", x509={"san_uri": "spiffe://a=b"})
    )
    service = "arn:aws:vpc-lattice:us-east-1:444455556666:service/svc-1"
    assert made("--source-vpc", "vpc-1", "--service-arn", service, "--time", "2025-11-21T00:00:00Z") == lattice_event(
        source_vpc="vpc-1", service_arn=service, time=1_763_683_200_000_000
    )


def test_repeated_headers_are_kept_in_their_order() -> None:
    assert made("-H", "x-tag: a", "-H", "X-Tag:b, c", "-H", "x-empty:")["headers"] == {
        "host": ["orders.example.com"],
        "x-tag": ["a", "b, c"],
        "x-empty": [""],
        "x-forwarded-for": ["10.0.1.20"],
    }


def test_json_body_is_posted_unchanged() -> None:
    found = made("--json-body", '{"b": 1,\n "a":2}')
    assert (found["method"], found["headers"]["content-type"]) == ("POST", ["application/json"])
    assert found["body"] == '{"b": 1,\n "a":2}'


def test_binary_file_becomes_base64(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\x00")
    found = made("--body", f"@{tmp_path / 'image.png'}", "-H", "content-type: image/png", "-X", "PUT")
    assert (found["method"], found["isBase64Encoded"], parse_event(found).body) == ("PUT", True, b"\x89PNG\x00")


def test_utf8_text_survives_an_ascii_terminal() -> None:
    command = [
        sys.executable,
        "-m",
        "lattice_bridge",
        "event",
        "new",
        "--body",
        "Zoë",
        "-H",
        "content-type: text/a",
    ]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environ, timeout=60, check=True)
    assert json.loads(done.stdout)["body"] == "Zoë"


def test_compact_event_is_one_line() -> None:
    assert event("new", "--compact").output == json.dumps(lattice_event(), separators=(",", ":")) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--version", "3"], "is not a version of Lattice's events: write 1 or 2"),
        (["--path", "orders"], "--path 'orders' is not a percent-encoded path"),
        (["--method", "GET /"], "--method 'GET /' is not an HTTP method"),
        (["--header", "accept"], "write 'name: value'"),
        (["--header", "x-amzn-lattice-identity: x"], "write --principal … or --source-vpc …"),
        (["--principal", "blue-api"], "--principal 'blue-api'"),
        (["--principal", f"{ROLE}/s", "--session-name", "a b"], "--session-name 'a b' is not one"),
        (["--session-name", "x"], "write --principal …"),
        (["--x509", "san_uri"], "write 'san_uri=spiffe://…'"),
        (["--source-vpc", "none"], "--source-vpc 'none' is not an ARN"),
        (["--time", "2025-11-21T00:00:00"], "write 2025-11-21T00:00:00Z"),
        (["--time", "noon"], "write 2025-11-21T00:00:00Z"),
        (["--body", "a", "--json-body", "{}"], "give either --body or --json-body"),
        (["--json-body", "{"], "--json-body is not JSON"),
        (["--body", "@nothing.bin"], "nothing.bin: No such file or directory"),
    ],
)
def test_impossible_request_is_wrong_usage(arguments: list[str], message: str) -> None:
    done = event("new", *arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


# ---- list and show --------------------------------------------------------------------------------------------------


def test_list_shows_about_and_evidence() -> None:
    lines = [line.split("\t") for line in event("list").output.splitlines()]
    assert [name for name, _, _ in lines] == [
        *EVERY,
        *(case.name for folder in RECORDS for case in all_events(f"{folder}/*")),
    ]
    assert {evidence for _, evidence, _ in lines} == {"documented", "observed", "assumed"}
    assert ["v2/cookies", "observed", "Cookies are a header, a list of one; there is no cookies key."] in lines


def test_list_takes_a_pattern_and_json() -> None:
    found = json.loads(event("list", "*/query-repeated", "--json").output)
    assert [(case["name"], case["evidence"], case["reason"]) for case in found] == [
        ("v2/query-repeated", "documented", None)
    ]
    assert found[0]["source"].startswith("docs/wire.md §1")
    assert json.loads(event("list", "invalid/alb", "--json").output)[0]["reason"] == "not_lattice"


def test_list_on_a_terminal_is_a_coloured_table() -> None:
    screen = seen("event", "list", "v2/*")
    assert BOX in screen
    assert "\x1b[32mobserved" in screen


def test_pattern_without_a_match_exits_with_1() -> None:
    done = event("list", "v3/*")
    assert (done.exit_code, "fits 'v3/*'" in done.output) == (1, True)


@pytest.mark.parametrize("name", EVERY)
def test_case_is_shown_unchanged(name: str) -> None:
    assert json.loads(event("show", name).output) == load_event(name)


def test_expected_result_is_shown_with_the_case() -> None:
    found = json.loads(event("show", "v2/cookies", "--expected").output)
    assert found["request"]["headers"][-1] == ["cookie", "a=1; b=2"]


def test_unknown_name_lists_similar_ones() -> None:
    done = event("show", "v2/cookie")
    assert (done.exit_code, "v2/cookies" in done.output, "event list" in done.output) == (2, True, True)


# ---- parse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALID)
def test_parsed_case_equals_its_expected_result(name: str) -> None:
    """So that `parse --json` writes the `request` of one's own .expected.json."""
    [case] = all_events(name)
    done = on("parse", case.event, "--json")
    found = json.loads(done.output)
    assert done.exit_code == 0
    assert {key: found[key] for key in case.expected["request"]} == case.expected["request"]


def test_pipe_gets_one_fact_a_line() -> None:
    found = lattice_event(
        2, "POST", "/a%20b?x=1&x=%2F", headers={"accept": ["a", "b"]}, body=b"\xff\x00", principal=ROLE
    )
    assert on("parse", found).output.splitlines() == [
        "format\tlattice-v2",
        "version\t2",
        "method\tPOST",
        "path\t/a%20b",
        "raw_query\tx=1&x=%2F",
        "query\tx\t1",
        "query\tx\t/",
        "header\thost\torders.example.com",
        "header\taccept\ta",
        "header\taccept\tb",
        "header\tx-forwarded-for\t10.0.1.20",
        "body\t2\thex\tff00",
        "principal\tarn:aws:sts::111122223333:assumed-role/blue-api/i-0123456789abcdef0",
        "authenticated\ttrue",
        "session_name\ti-0123456789abcdef0",
        "org_id\t-",
        "source_vpc_arn\tarn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0a1b2c3d4e5f60718",
        "request_id\tf2a9c1d0-7e53-4b1a-9c64-0d1e2f3a4b5c",
        "service_arn\tarn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-0a1b2c3d4e5f60718",
        "service_network_arn\tarn:aws:vpc-lattice:eu-west-1:111122223333:servicenetwork/sn-0a1b2c3d4e5f60718",
        "target_group_arn\tarn:aws:vpc-lattice:eu-west-1:111122223333:targetgroup/tg-0a1b2c3d4e5f60718",
        "time_epoch\t1763683200123456",
        "api_id\t-",
        "client_cert\t-",
    ]


def test_terminal_gets_a_table(tmp_path: Path) -> None:
    path = saved(tmp_path, lattice_event(2, "POST", "/orders?q=1", headers={"a": "b"}, body=bytes(200), principal=ROLE))
    screen = seen("event", "parse", path)
    assert BOX in screen
    for text in ("\x1b[1mPOST", "/orders", "q=1", "200 bytes: 00 00", "…", "assumed-role/blue-api", "svc-0a1b2c3d"):
        assert text in screen


def test_unsigned_caller_is_shown_as_not_authenticated(tmp_path: Path) -> None:
    screen = seen("event", "parse", saved(tmp_path, lattice_event(1)))
    assert "not authenticated" in screen
    assert "query_all" not in screen


def test_long_text_is_shortened_on_a_terminal_only(tmp_path: Path) -> None:
    found = lattice_event(body="x" * 5000, headers={"content-type": "text/plain"})
    assert "(5000 bytes)" in seen("event", "parse", saved(tmp_path, found))
    assert "x" * 5000 in on("parse", found).output


def test_refused_event_exits_with_1_and_lists_every_fault() -> None:
    found = lattice_event() | {"method": "GET /", "path": "orders", "body": 1}
    done = on("parse", found, "--json")
    document = json.loads(done.output)
    assert (done.exit_code, document["refused"], document["status"]) == (1, "malformed_event", 400)
    for field in ("method", "path", "body"):
        assert field in document["detail"]
    lines = on("parse", found).output.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["refused", "status", "detail"]


def test_refusal_on_a_terminal_is_red(tmp_path: Path) -> None:
    screen = seen("event", "parse", saved(tmp_path, load_event("invalid/identity-service-principal")))
    assert "\x1b[1;31midentity_invalid" in screen
    assert "403" in screen
    assert "event check" in screen


# ---- check ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_check_exits_with_0_without_departures(name: str) -> None:
    assert on("check", load_event(name)).exit_code == (1 if departures(load_event(name)) else 0)


def test_departures_are_one_a_line_in_a_pipe() -> None:
    found = lattice_event()
    found["headers"]["host"] = "h.example"
    assert on("check", found).output.splitlines() == [
        'taken\t/headers/host\t"h.example"\ta list of strings, also of one\tobserved\theader values',
        "a V2 event: 1 departure from what Lattice sends; the bridge takes it",
    ]


def test_departures_in_json_contain_the_bridges_result() -> None:
    found = json.loads(on("check", lattice_event(1) | {"isBase64Encoded": False}, "--json").output)
    assert (found["version"], found["taken"]) == (1, False)
    assert found["departures"] == [
        {
            "where": "/isBase64Encoded",
            "found": "false",
            "sends": "is_base64_encoded: the other is V2's name",
            "evidence": "observed",
            "row": "Which version",
            "refused": True,
        }
    ]


def test_departures_on_a_terminal_are_a_coloured_table(tmp_path: Path) -> None:
    screen = seen("event", "check", saved(tmp_path, load_event("invalid/both-markers")), columns=160)
    assert BOX in screen
    assert "\x1b[1;31mrefuses" in screen
    assert "/is_base64_encoded" in screen


def test_event_without_departures_is_confirmed() -> None:
    assert on("check", lattice_event(1)).output == (
        "a V1 event: no departures from what Lattice sends; the bridge takes it\n"
    )


def test_value_that_is_no_event_is_reported() -> None:
    lines = on("check", {}).output.splitlines()
    assert lines[-1] == "no event of a known format: the bridge refuses it"


# ---- convert --------------------------------------------------------------------------------------------------------

FORMATS = ["v1", "v2", *get_args(Payload)]
"""Short names, and what a backend's `payload` can be: each is offered."""
CREDENTIAL = {"authorization": "Bearer x", "x-tenant-id": "green"}


def converted(value: Any, *arguments: str) -> dict[str, Any]:
    done = on("convert", value, *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("version", [1, 2])
def test_conversion_adds_no_tenant_and_removes_nothing(form: str, version: Any) -> None:
    found = lattice_event(version, "POST", "/a?b=1", headers=CREDENTIAL, json={}, principal=ROLE)
    text = json.dumps(converted(found, "--to", form))
    assert "Bearer x" in text
    assert "green" in text
    assert "tenantId" not in text
    assert "x-lattice-bridge-hops" not in text


def test_convert_writes_the_other_version() -> None:
    asked: dict[str, Any] = {"headers": {"x-tag": ["a", "b"]}, "json": [1], "principal": ROLE, "org_id": "o-1a2b3c4d5e"}
    one, two = (lattice_event(version, "POST", "/a?b=1&b=2", **asked) for version in (1, 2))
    assert converted(two, "--to", "v1") == one
    back = converted(one, "--to", "v2")
    assert back["queryStringParameters"] == two["queryStringParameters"]
    assert back["requestContext"]["identity"] == two["requestContext"]["identity"]
    assert back["headers"] == {**two["headers"], "x-tag": ["a,b"]}  # V1 has joined them


def test_event_in_its_own_format_is_unchanged() -> None:
    for version in (1, 2):
        found = lattice_event(version, "PUT", "/a", body=b"\x00", principal=ROLE) | {"later": 1}
        for form in (f"v{version}", f"lattice-v{version}", "lattice"):
            assert converted(found, "--to", form) == found


def test_missing_service_of_v1_is_noted() -> None:
    done = on("convert", lattice_event(1), "--to", "v2")
    assert "its three ARNs in V2 are empty" in done.stderr
    assert json.loads(done.stdout)["requestContext"]["serviceArn"] == ""


@pytest.mark.parametrize("form", FORMATS)
def test_event_for_a_tenant_is_what_the_bridge_sends(form: str) -> None:
    text = json.dumps(converted(lattice_event(headers=CREDENTIAL), "--to", form, "--tenant", "blue"))
    assert '"x-tenant-id": ["blue"]' in text or '"x-tenant-id": "blue"' in text
    assert "Bearer x" not in text
    assert "green" not in text


def test_refused_event_is_not_converted() -> None:
    done = on("convert", load_event("invalid/header-null"), "--to", "v1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "400 malformed_header" in done.stderr


def test_invalid_tenant_id_is_wrong_usage() -> None:
    done = on("convert", lattice_event(), "--to", "v1", "--tenant", " blue")
    assert (done.exit_code, "is not a tenant id" in done.output) == (2, True)


# ---- files ----------------------------------------------------------------------------------------------------------

COMMANDS = [["parse"], ["check"], ["convert", "--to", "v1"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty. Fix: give a file with an event's JSON"),
        (b"{", "not JSON: "),
        (b'{"a": NaN}', "not JSON: NaN is no number in JSON"),
        (b"{}\n{}\n", "not JSON: Extra data: line 2"),
        (b"\xff\xfe{\x00", "not UTF-8 at byte 0. Fix: save it as UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "not JSON"),
    ],
)
def test_file_without_json_is_wrong_usage(tmp_path: Path, command: list[str], content: bytes, message: str) -> None:
    (tmp_path / "event.json").write_bytes(content)
    done = event(*command, str(tmp_path / "event.json"))
    assert done.exit_code == 2
    assert f"event.json: {message}" in done.output
    assert "Traceback" not in done.output


def test_folder_or_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "not a regular file but a folder"),
        (tmp_path / "nothing", "No such file or directory"),
    ):
        done = event("parse", str(path))
        assert (done.exit_code, message in done.output) == (2, True)


def test_endless_device_is_not_read() -> None:
    """Trap G4."""
    done = event("check", "/dev/zero")
    assert (done.exit_code, "/dev/zero: not a regular file but a device" in done.output) == (2, True)


def test_closed_stdin_is_wrong_usage() -> None:
    command = f"exec {sys.executable} -m lattice_bridge event parse - <&-"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, "stdin: closed" in done.stderr) == (2, True)


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(lattice_event()).encode())
    assert event("check", str(tmp_path / "event.json")).exit_code == 0


def test_limit_allows_an_event_with_every_character_escaped() -> None:
    assert event_file.LIMIT >= 6 * 5_000_000


# ---- hostile text ---------------------------------------------------------------------------------------------------


def hostile() -> list[Any]:
    """Escapes wherever an event has text: in what is taken, and in what is refused."""
    taken = lattice_event(body=ESCAPES, headers={"content-type": "text/plain"}, principal=ROLE)
    taken["requestContext"]["region"] = ESCAPES
    taken["requestContext"]["serviceArn"] = ESCAPES
    taken["requestContext"]["identity"][ESCAPES] = ESCAPES
    taken["headers"]["x-tag"] = ["\u202e\x9b31m"]
    taken["queryStringParameters"] = {ESCAPES: [ESCAPES]}
    taken[ESCAPES] = {ESCAPES: 1}
    refused = lattice_event(principal=ROLE) | {"method": ESCAPES, "path": ESCAPES, "requestId": ESCAPES}
    refused["headers"][ESCAPES] = [ESCAPES]
    refused["requestContext"]["identity"]["principal"] = ESCAPES
    return [taken, refused, {ESCAPES: ESCAPES, "path": ESCAPES}, [ESCAPES], ESCAPES]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("command", [*COMMANDS, ["parse", "--json"], ["check", "--json"]], ids=" ".join)
def test_control_characters_of_an_event_are_escaped(tmp_path: Path, command: list[str], number: int) -> None:
    path = saved(tmp_path, hostile()[number])
    assert_harmless(event(*command, path).output)
    if len(command) == 1:  # the others print on a terminal what they print in a pipe
        assert_harmless(seen("event", *command, path))


@pytest.mark.parametrize("number", range(5))
def test_event_adds_no_line(tmp_path: Path, number: int) -> None:
    path = saved(tmp_path, hostile()[number])
    known = {"refused", "taken", "status", "detail", "query", "header", "body"}
    known |= set(json.loads(on("parse", lattice_event(), "--json").output))
    for command in ("parse", "check"):
        lines = event(command, path).output.splitlines()
        assert {line.split("\t")[0] for line in (lines[:-1] if command == "check" else lines)} <= known


def test_option_with_control_characters_is_escaped() -> None:
    for option in ("--path", "--header", "--principal", "--x509", "--time", "--body"):
        value = f"{'@' if option == '--body' else ''}a{ESCAPES}"
        assert_harmless(event("new", option, value).output)
    assert_harmless(event("show", ESCAPES).output)
    assert_harmless(event("list", ESCAPES).output)


# ---- help -----------------------------------------------------------------------------------------------------------


def test_help_names_commands_and_arguments() -> None:
    printed = event("--help").output
    for command in ("new", "list", "show", "parse", "check", "convert"):
        assert f"  {command} " in printed
        assert event(command, "--help").exit_code == 0


def test_start_and_help_import_no_unused_library() -> None:
    code = (
        "import sys; from lattice_bridge.cli.root import root\n"
        "root.main(['doctor', '--help'], standalone_mode=False)\n"
        "assert not {'hypothesis', 'pytest', 'boto3', 'lattice_bridge.testing'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "AWS profile" in done.stdout
