"""`explain` with log lines, and the near misses that it shows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import Bridge
from lattice_bridge.config.options import Backend, LoggedCaller
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.review.document import UNKNOWN
from tests.support.builders import ACCOUNT, MAP, OPEN, SERVICE, VPC, role, v2
from tests.support.commands import BOX, ESCAPES, WIDER, assert_harmless, explained, read, seen, written
from tests.support.rules import BOTH, HEAD, ROLE, rule
from tests.support.token_builder import ISSUER, jwk, key_set, token

CONDITION = f'[[rule]]\nid = "job"\nrole = "arn:aws:iam::{ACCOUNT}:role/job"\nvpc = "{VPC}"\ntenant = "blue"\n'
CORP = f'[jwt.corp]\nissuer = "{ISSUER}"\naudience = ["orders"]\nalgorithms = ["ES256"]\njwks_file = "keys.json"\n'
CLAIM = '[[rule]]\nid = "users"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "keys.json").write_bytes(key_set(jwk()))
    return written(tmp_path / "map.toml", MAP + CONDITION + CORP + CLAIM)


def logged(path: str, *events: dict[str, Any], caller: LoggedCaller = "key") -> str:
    """The log that the bridge writes for these events."""
    lines: list[str] = []
    backends = [Backend("/", "orders:live")]
    bridge = Bridge(
        TenantMap.from_file(path), lambda _: b"{}", backends=backends, write=lines.append, log_caller=caller
    )
    for event in events:
        bridge(event, None)
    return "".join(lines)


def from_log(path: str, log: str, *arguments: str) -> dict[str, Any]:
    done = read("explain", "--map", path, "--json", "--log", "-", *arguments, stdin=log)
    assert done.exit_code in (0, 1), done.output
    return {**json.loads(done.output), "exit_code": done.exit_code}


# ---- near misses ----------------------------------------------------------------------------------------------------


def test_near_misses_are_in_json_and_in_text(path: str) -> None:
    arguments = ("--principal", role("bleu-api"))
    expected, actual = f"role blue-api of {ACCOUNT}", f"role bleu-api of {ACCOUNT}"
    assert explained(path, *arguments)["near_misses"] == [
        {"kind": "spelling", "text": "one letter apart", "rule": "blue-api", "expected": expected, "actual": actual}
    ]
    line = f"near_misses\tspelling\tone letter apart\tblue-api\t{expected}\t{actual}"
    assert line in read("explain", "--map", path, *arguments).output.splitlines()


def test_token_of_an_event_is_compared_with_the_issuer(path: str) -> None:
    now = int(time.time())
    bearer = f"Bearer {token(aud='billing', iat=now, exp=now + 600)}"
    found = explained(path, event=v2(headers={"authorization": bearer}))
    [miss] = found["near_misses"]
    assert (found["reason"], miss["kind"], miss["expected"], miss["actual"]) == (
        "token_invalid",
        "audience",
        "orders",
        "billing",
    )
    assert bearer[7:40] not in json.dumps(found)


def test_unlisted_service_is_named_with_the_listed_ones(path: str) -> None:
    services = written(Path(path), Path(path).read_text(encoding="utf-8") + f'[lattice]\nservices = ["{SERVICE}9"]\n')
    [miss] = explained(services, event=v2(role("blue-api")))["near_misses"]
    assert (miss["kind"], miss["expected"], miss["actual"]) == ("service", f"{SERVICE}9", SERVICE)


# ---- log lines ------------------------------------------------------------------------------------------------------


def test_line_is_explained_and_its_gaps_are_named(path: str) -> None:
    found = from_log(path, logged(path, v2(role("stranger"))))
    assert (found["reason"], found["caller"], found["exit_code"]) == (
        "no_rule",
        f"arn:aws:iam::{ACCOUNT}:role/stranger",
        1,
    )
    assert (found["log"]["requestId"], found["log"]["reason"], found["log"]["same_map"]) == (
        "lattice-1",
        "no_rule",
        True,
    )
    assert found["missing"] == ["session", "header", "vpc", "org", "service", "network", "x509_san_uri"]


def test_fact_that_the_line_lacks_is_not_called_absent(path: str) -> None:
    log = logged(path, v2(role("job"), requestContext={"serviceArn": SERVICE, "identity": _identity("job")}))
    found = from_log(path, log)
    assert (found["reason"], found["near_misses"][0]["actual"]) == ("condition_failed", "not in the log line")
    added = from_log(path, log, "--vpc", "vpc-1b8276c84697e7339")
    assert (added["near_misses"][0]["actual"], "vpc" in added["missing"]) == ("vpc-1b8276c84697e7339", False)


def _identity(name: str) -> dict[str, str]:
    return {"type": "AWS_IAM", "principal": role(name)}


def test_refusal_that_the_line_cannot_show_is_no_yes(path: str) -> None:
    """The requested tenant is not logged, so the caller alone would be allowed."""
    log = logged(path, v2(role("blue-api"), headers={"x-tenant-id": "green"}))
    found = from_log(path, log)
    assert (found["allowed"], found["log"]["reason"], found["exit_code"]) == (True, "tenant_not_allowed", 1)
    assert from_log(path, log, "--header", "green")["reason"] == "tenant_not_allowed"


def test_request_that_failed_after_the_decision_is_allowed(path: str) -> None:
    log = logged(path, v2(role("blue-api"))).replace(
        '"status":200,"reason":"ok"', '"status":502,"reason":"backend_raised"'
    )
    found = from_log(path, log, "--principal", role("blue-api"))
    assert (found["log"]["same_map"], found["allowed"], found["exit_code"]) == (True, True, 0)


def test_line_of_another_map_is_explained_by_this_one(path: str, tmp_path: Path) -> None:
    old = written(tmp_path / "old.toml", MAP.replace("role/blue-api", "role/blue"))
    found = from_log(path, logged(old, v2(role("blue-api"))))
    assert (found["log"]["same_map"], found["log"]["reason"], found["tenant"], found["exit_code"]) == (
        False,
        "no_rule",
        "blue",
        0,
    )


def test_token_of_a_line_has_no_claims_unless_they_are_given(path: str) -> None:
    now = int(time.time())
    bearer = f"Bearer {token(tenant='red', sub='ann', iat=now, exp=now + 600)}"
    log = logged(path, v2(headers={"authorization": bearer}), caller="full")
    assert "jwt:corp/ann" in log
    found = from_log(path, log)
    assert (found["reason"], found["near_misses"][0]["actual"]) == ("source_mismatch", "not in the log line")
    assert "claim" in found["missing"]
    assert from_log(path, log, "--claims", 'corp={"tenant": "red"}')["reason"] == "tenant_unknown"


def test_full_principal_has_its_session(path: str) -> None:
    found = from_log(path, logged(path, v2(role("stranger")), caller="full"))
    assert (found["caller"], "session" in found["missing"]) == (role("stranger"), False)


def test_request_is_chosen_by_its_id(path: str, tmp_path: Path) -> None:
    events = [v2(role(name), requestId=f"r-{name}") for name in ("blue-api", "stranger", "other")]
    log = written(tmp_path / "bridge.log", logged(path, *events))
    chosen = read("explain", "--map", path, "--json", "--log", log, "--request-id", "r-other")
    assert json.loads(chosen.output)["caller"].endswith("role/other")
    several = read("explain", "--map", path, "--log", log)
    assert (
        several.exit_code,
        "2 requests. Fix: choose one with --request-id: r-other, r-stranger" in several.stderr,
    ) == (
        2,
        True,
    )
    none = read("explain", "--map", path, "--log", log, "--request-id", "r-9")
    assert (none.exit_code, "not in " in none.stderr, "r-blue-api" in none.stderr) == (2, True, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "",
            "no log line of a request in it. Fix: give the log of the bridge's function, or what `lattice-bridge local",
        ),
        (
            {"status": 200, "reason": "ok"},
            "the line has no callerKey: its caller was not known or not refused. Fix: ",
        ),
        ({"status": 502, "reason": "backend_raised"}, "the line has no callerKey"),
        (
            {"status": 403, "callerKey": f"{ACCOUNT}:federated-user"},
            "does not contain the federated user's name. Fix: ",
        ),
        ({"status": 403, "callerKey": "x" * 512}, "the line's callerKey cannot be read. Fix: "),
        ({"status": 403, "callerKey": 7}, "the line has no callerKey"),
    ],
)
def test_line_without_a_caller_needs_one(path: str, line: Any, message: str) -> None:
    log = line and json.dumps({"message": "request", "requestId": "r-1", "reason": "no_rule", **line})
    done = read("explain", "--map", path, "--log", "-", stdin=log)
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    if log:
        assert from_log(path, log, "--principal", role("stranger"))["reason"] == "no_rule"


def test_line_about_an_unauthenticated_caller_needs_no_key(tmp_path: Path) -> None:
    opened = written(tmp_path / "open.toml", MAP + OPEN)
    assert from_log(opened, logged(opened, v2()))["reason"] == "ambiguous"
    closed = written(tmp_path / "closed.toml", MAP)
    assert from_log(closed, logged(closed, v2()))["reason"] == "no_credential"


@pytest.mark.parametrize(
    "arguments", [("--request-id", "r-1"), ("event.json", "--log", "-"), ("--request-id", "r", "-")]
)
def test_log_and_event_exclude_each_other(path: str, arguments: tuple[str, ...]) -> None:
    done = read("explain", "--map", path, *arguments, stdin="{}")
    assert done.exit_code == 2


def test_line_acts_on_no_terminal(path: str) -> None:
    """Trap G3: a line is text from a file."""
    evil = "\x1b]0;x\x07\u202e"
    fields = {
        "message": "request",
        "requestId": evil,
        "status": 403,
        "reason": evil,
        "callerKey": f"{ACCOUNT}/api",
        "map": evil,
    }
    log = json.dumps(fields, ensure_ascii=False)
    for arguments in ((), ("--request-id", f"{evil}2")):
        done = read("explain", "--map", path, "--log", "-", *arguments, stdin=log)
        assert not set(evil[0:1] + "\x07\u202e") & set(done.output)


# ---- on a terminal and in a pipe ------------------------------------------------------------------------------------


@pytest.fixture
def tenants(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", MAP + WIDER)


def test_explanation_on_a_terminal_has_colour_and_a_table(tenants: str) -> None:
    screen = seen("explain", "--map", tenants, "--principal", role("blue-api"))
    assert "\x1b[1;32mruns as blue" in screen
    assert BOX in screen
    for word in ("owner", "not used", "the backend's answer"):
        assert word in screen


def test_refusal_on_a_terminal_is_red_with_the_clients_status(tenants: str) -> None:
    screen = seen("explain", "--map", tenants, "--principal", role("blue-api"), "--header", "green")
    assert "\x1b[1;31mrefused: tenant_not_allowed" in screen
    assert "403, with the same body for every reason" in screen


def test_piped_explanation_is_one_fact_a_line(tenants: str) -> None:
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
        "near_misses_left_out\t0",
        "record\t-",
        "log\t-",
        "missing\t-",
    ]


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


def test_who_prints_a_table_or_lines(tenants: str) -> None:
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


def events_with(text: str) -> list[dict[str, Any]]:
    identity = {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": f"{role('blue-api')}{text}"}
    return [
        v2(role("support"), headers={"x-tenant-id": f"blue{text}"}),
        v2(role("support"), headers={f"x-tenant_id{text}": "blue"}),
        v2(requestContext={"serviceArn": SERVICE, "identity": identity}),
        v2(role("support"), method=text),
    ]


@pytest.mark.parametrize("number", range(4))
def test_control_characters_of_an_event_are_escaped(tenants: str, tmp_path: Path, number: int) -> None:
    event = written(tmp_path / "event.json", json.dumps(events_with(ESCAPES)[number]))
    assert_harmless(seen("explain", "--map", tenants, event))
    piped = read("explain", "--map", tenants, event).output
    assert_harmless(piped)
    assert {line.split("\t")[0] for line in piped.splitlines()} <= set(UNKNOWN)  # no line of the event's own


def test_ascii_terminal_gets_escapes(tenants: str) -> None:
    screen = seen(
        *("explain", "--map", tenants, "--principal", role("support"), "--header", "bl\u00fce"),
        encoding="ascii",
    )
    assert "x-tenant-id: bl\\xfce" in screen


def test_explanation_as_json_is_made_of_values(tenants: str) -> None:
    found = explained(tenants, "--principal", role("support"), "--header", "green")
    assert found == {
        "caller": role("support"),
        "authenticated": True,
        "verified_by": [],
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
        "near_misses": [],
        "near_misses_left_out": 0,
        "record": None,
        "log": None,
        "missing": None,
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


# ---- from events, and for a tenant -----------------------------------------------------------------------------------


def explained_both(folder: Path, *arguments: str, stdin: str | None = None) -> tuple[int, dict[str, Any]]:
    path = written(folder / "map.toml", HEAD + BOTH + rule("acct", f'account = "{ACCOUNT}"\ntenants = "*"'))
    done = read("explain", "--map", path, "--json", *arguments, stdin=stdin)
    return done.exit_code, json.loads(done.output)


def test_explanation_names_owner_next_rule_and_outcome(tmp_path: Path) -> None:
    code, facts = explained_both(tmp_path, "--principal", role("both"), "--header", "blue")
    assert code == 0
    assert (facts["owner"], facts["runner_up"], facts["tenant"]) == ("both", "acct", "blue")
    assert (facts["caller"], facts["sources"][0]["allows"], facts["header"]) == (role("both"), "blue, green", "blue")


def test_event_is_explained_from_a_file_and_from_stdin(tmp_path: Path) -> None:
    event = v2(role("both"), headers={"x-tenant-id": "red"})
    (tmp_path / "event.json").write_text(json.dumps(event))
    from_file = explained_both(tmp_path, str(tmp_path / "event.json"))
    assert from_file == explained_both(tmp_path, "-", stdin=json.dumps(event))
    assert (from_file[0], from_file[1]["reason"]) == (1, "tenant_not_allowed")
    assert from_file[1]["status"] == 403


def test_event_refused_before_any_rule_is_explained(tmp_path: Path) -> None:
    assert explained_both(tmp_path, "-", stdin="{}")[1]["reason"] == "not_lattice"


def test_condition_that_does_not_hold_is_explained_both(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", HEAD + BOTH + rule("a", f'{ROLE}a"\ntenant = "blue"\norg = "o-a1b2c3d4e5"'))
    done = read("explain", "--map", path, "--principal", role("a"))
    assert done.exit_code == 1
    assert "its condition on org does not hold, and no broader rule is tried" in done.output


@pytest.mark.parametrize("arguments", [[], ["event.json", "--principal", "x"], ["-"]])
def test_explain_wants_either_an_event_or_a_caller(tmp_path: Path, arguments: list[str]) -> None:
    assert (
        read("explain", "--map", written(tmp_path / "map.toml", HEAD + BOTH), *arguments, stdin="not json").exit_code
        == 2
    )


def test_who_lists_every_way_to_become_a_tenant(tmp_path: Path) -> None:
    parts = [
        BOTH,
        rule("one", f'{ROLE}one"\ntenant = "blue"'),
        rule("all", f'sso = {{ account = "{ACCOUNT}", permission_set = "Ops" }}\ntenants = "*"'),
        rule("broker", f'{ROLE}broker"\ntenant_from = "session"\ntemplate = "t-{{tenant}}"\nsession_set_by = "x"'),
        rule("green", f'{ROLE}green"\ntenant = "green"'),
        rule("no", f'{ROLE}no"\ndeny = true'),
    ]
    done = read("who", "blue", "--map", written(tmp_path / "map.toml", HEAD + "".join(parts)))
    assert done.exit_code == 0
    ways = [line.split("\t")[1] for line in done.output.splitlines() if line.startswith("ways\t")]
    assert ways == ["both", "one", "all", "broker"]
    assert 'if session fits "t-{tenant}"' in done.output


def test_who_exits_with_1_for_a_tenant_without_rules(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", HEAD + rule("one", f'{ROLE}one"\ntenant = "blue"'))
    assert [read("who", tenant, "--map", path).exit_code for tenant in ("blue", "green", "red")] == [0, 1, 1]


def test_event_from_an_unlisted_service_is_explained_as_refused(tmp_path: Path) -> None:
    services = '[lattice]\nservices = ["arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-9"]\n'
    path = written(tmp_path / "map.toml", HEAD + BOTH + services)
    done = read(
        "explain", "--map", path, "--json", "-", stdin=json.dumps(v2(role("both"), headers={"x-tenant-id": "blue"}))
    )
    assert (done.exit_code, json.loads(done.output)["reason"]) == (1, "service_not_allowed")
