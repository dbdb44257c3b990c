"""Commands with events of API Gateway, function URLs and load balancers, and with the rules for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import Bridge, parse_event
from lattice_bridge.config.options import Backend
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.review.check import findings_of
from lattice_bridge.testing import gateway_event
from tests.support.authorizer_events import FORMS
from tests.support.builders import ACCOUNT, MAP
from tests.support.commands import explained, read, seen, written
from tests.support.fronts import API, ENABLED, FRONTS, ROLE, TABLES, Sent, http_api, rest_api

RULES = f"""
[[rule]]
id = "users"
api = "{API}"
tenant_from = "authorizer"
path = ["claims", "custom:tenant"]
authorizer_set_by = "a user pool"
claim_is_admin_set = "the app client may not write it"

[[rule]]
id = "device"
client_cert = "CN=blue,O=Example"
tenant = "blue"
client_cert_issued_by = "our authority"
"""
BLUE = {"claims": {"custom:tenant": "blue", "sub": "secret-subject"}}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", f'{MAP}{RULES}{TABLES}[[backend]]\nfunction = "f"\n')


# ---- explain, who, diff ---------------------------------------------------------------------------------------------


def test_event_of_an_api_is_explained(path: str) -> None:
    found = explained(path, event=http_api(authorizer={"jwt": BLUE}))
    assert (found["tenant"], found["owner"]) == ("blue", "users")
    assert {"key": f"api {API}", "rule": "users"} in found["looked_for"]


def test_described_caller_of_an_api_is_explained(path: str) -> None:
    assert explained(path, "--api", API, "--authorizer", json.dumps(BLUE))["tenant"] == "blue"
    assert explained(path, "--client-cert", "CN=blue,O=Example")["owner"] == "device"
    assert explained(path, "--api", API)["reason"] == "no_credential"


def test_caller_that_api_gateway_verified_is_named(path: str, tmp_path: Path) -> None:
    """Trap D11: what vouches for the caller is shown, and no claim."""
    event = http_api(authorizer={"jwt": BLUE}, client_cert="CN=blue,O=Example")
    by = [f"the authorizer of the API {API} (a token's claims)", "the client certificate CN=blue,O=Example"]
    assert explained(path, event=event)["verified_by"] == by
    assert explained(path, "--api", API, "--authorizer", '{"tenantId": "blue"}')["verified_by"] == [
        f"the authorizer of the API {API} (a Lambda authorizer's values)"
    ]
    assert explained(path, "--api", API)["verified_by"] == []
    screen = " ".join(
        seen("explain", "--map", path, written(tmp_path / "e.json", json.dumps(event)), NO_COLOR="1").split()
    )
    assert f"a caller that is verified by {by[0]} and {by[1]}" in screen
    assert "unauthenticated" not in screen
    assert "secret-subject" not in screen


def test_value_that_does_not_fit_is_a_near_miss(path: str) -> None:
    found = explained(path, "--api", API, "--authorizer", '{"claims": {"custom:tenant": "[blue green]"}}')
    [miss] = [one for one in found["near_misses"] if one["kind"] == "source"]
    assert (found["reason"], miss["rule"], miss["actual"]) == ("source_mismatch", "users", "[blue green]")


def test_event_of_an_api_that_is_not_listed_is_explained(path: str) -> None:
    found = explained(path, event=http_api(api="zzzzzzzzzz"))
    assert (found["reason"], found["status"]) == ("not_enabled", 400)
    assert "zzzzzzzzzz" in found["detail"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--authorizer", "{"), "--authorizer: not JSON"),
        (("--authorizer", "[]"), "--authorizer: not an object. Fix: write one"),
        (("--authorizer", "{}"), "--authorizer: needs the API whose authorizer answers. Fix: add --api ID"),
    ],
)
def test_answer_that_cannot_be_read_is_wrong_usage(path: str, arguments: tuple[str, ...], message: str) -> None:
    done = read("explain", "--map", path, *arguments)
    assert (done.exit_code, message in done.stderr) == (2, True)


def test_log_line_of_an_api_is_explained_without_its_claims(path: str) -> None:
    """Trap D11: the line has no claim, and the explanation says what is missing."""
    lines: list[str] = []
    map_ = TenantMap.from_file(path)
    bridge = Bridge(map_, lambda _: b"{}", backends=[Backend("/", "f")], write=lines.append, **ENABLED)
    bridge(rest_api(authorizer={"claims": {"custom:tenant": "unknown", "sub": "secret-subject"}}), None)
    assert "secret-subject" not in lines[0]
    done = read("explain", "--map", path, "--json", "--log", "-", stdin=lines[0])
    found = json.loads(done.output)
    assert found["log"]["callerKey"] == f"api:{API}"
    assert "authorizer" in found["missing"]
    again = read("explain", "--map", path, "--json", "--log", "-", "--authorizer", json.dumps(BLUE), stdin=lines[0])
    assert json.loads(again.output)["tenant"] == "blue"


def test_who_lists_the_rules_of_apis_and_certificates(path: str) -> None:
    ways = json.loads(read("who", "blue", "--map", path, "--json").output)["ways"]
    assert {"rule": "users", "callers": f"api {API}", "how": 'if authorizer fits "{tenant}"'} in ways
    assert {"rule": "device", "callers": "client-cert CN=blue,O=Example", "how": "always"} in ways


def test_diff_names_the_path_and_the_tables(path: str, tmp_path: Path) -> None:
    text = Path(path).read_text(encoding="utf-8")
    new = written(
        tmp_path / "new.toml",
        text.replace("custom:tenant", "custom:other").replace(f'"{API}"]', f'"{API}", "b1b2c3d4e5"]'),
    )
    lines = read("diff", path, new).output
    assert '["claims", "custom:other"] of the API\'s authorizer' in lines
    assert "b1b2c3d4e5" in lines


def test_diff_replays_events_that_only_one_map_enables(path: str, tmp_path: Path) -> None:
    text = Path(path).read_text(encoding="utf-8")
    new = written(tmp_path / "new.toml", text.replace(API, "zzzzzzzzzz"))
    events = written(tmp_path / "events.jsonl", json.dumps(http_api(authorizer={"jwt": BLUE})))
    done = read("diff", path, new, "--events", events)
    assert (done.exit_code, "refused: not_enabled" in done.output) == (1, True)


# ---- check ----------------------------------------------------------------------------------------------------------


def texts(more: str) -> list[str]:
    return [finding.text for finding in findings_of(MAP + more)]


@pytest.mark.parametrize(
    ("test", "gets"),
    [
        (f'api = "{API}"\nauthorizer = {{ claims = {{ "custom:tenant" = "blue" }} }}\nexpect = "blue"', None),
        ('client_cert = "CN=blue,O=Example"\nexpect = "blue"', None),
        (f'api = "{API}"\nheader = "blue"\nexpect = "blue"', "gets refused: no_credential"),
        ('authorizer = { a = "b" }\nexpect = "refused"', "authorizer needs the API whose authorizer answers. Fix: "),
        (
            f'principal = "{ROLE}"\napi = "{API}"\nauthorizer = {{ a = "b" }}\nexpect = "refused"',
            "principal and authorizer: a route of an API has one authorizer, IAM or another. Fix: ",
        ),
    ],
)
def test_map_tests_its_rules_for_apis(test: str, gets: str | None) -> None:
    found = [text for text in texts(f"{RULES}[[test]]\n{test}\n") if text.startswith("test")]
    assert found == [] if gets is None else gets in found[0]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ('tenant_from = "authorizer"\npath = ["a"]', "authorizer_set_by"),
        ('tenant_from = "authorizer"\npath = ["claims", "email"]\nauthorizer_set_by = "x"', "claim_is_admin_set"),
        ('tenant_from = "authorizer"\npath = ["claims", "custom:t"]\nauthorizer_set_by = "x"', "claim_is_admin_set"),
        ('tenant_from = "authorizer"\nauthorizer_set_by = "x"', "needs the path to the value. Fix: "),
        ('tenant_from = "authorizer"\npath = []\nauthorizer_set_by = "x"', "needs the path to the value. Fix: "),
        ('tenants = "*"', "accept_risk"),
        ('tenant = "blue"\npath = ["a"]', 'path is only used with tenant_from = "authorizer"'),
        ('tenant = "blue"\nauthorizer_set_by = "x"', "authorizer_set_by acknowledges nothing here"),
    ],
)
def test_rule_of_an_api_that_trusts_too_much_does_not_load(rule: str, fault: str) -> None:
    """Trap F4, C9."""
    assert [text for text in texts(f'[[rule]]\nid = "r"\napi = "{API}"\n{rule}\n') if fault in text]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ('client_cert = "CN=blue,O=Example"\ntenant = "blue"', "client_cert_issued_by"),
        (
            'client_cert = "spiffe://example.org/blue"\ntenant = "blue"',
            "is a SPIFFE id, which API Gateway does not",
        ),
        ('client_cert = "blue"\ntenant = "blue"', "is not the subject of a certificate"),
        ("client_cert = 'CN=a\\,O=b'\ntenant = \"blue\"", "is not the subject of a certificate"),
        ('client_cert = "CN=a=b"\ntenant = "blue"', "is not the subject of a certificate"),
        ('client_cert = ""\ntenant = "blue"', "is not the subject of a certificate"),
        ('client_cert = "CN=*"\ntenant_from = "authorizer"\npath = ["a"]', "needs the API whose authorizer answers"),
        (
            f'role = "arn:aws:iam::{ACCOUNT}:role/x"\ntenant_from = "authorizer"\npath = ["a"]',
            "needs the API whose authorizer",
        ),
        ('api = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"\ntenant = "blue"', "is not a valid value"),
        ('api = ["a1b2c3d4e5", "b1b2c3d4e5"]\ntenant = "blue"', "api is the anchor of this rule. Fix: write one value"),
    ],
)
def test_rule_that_names_no_certificate_or_api_does_not_load(rule: str, fault: str) -> None:
    """Trap F7, D3."""
    assert [text for text in texts(f'[[rule]]\nid = "r"\n{rule}\n') if fault in text]


def test_rule_for_every_caller_of_an_api_is_a_warning() -> None:
    found = [text for text in texts(f'[[rule]]\nid = "r"\napi = "{API}"\ntenant = "blue"\n') if '"r"' in text]
    assert found == ['rule "r": allows every caller that an authorizer of the API verified']


def test_rule_for_an_api_that_is_not_listed_is_a_warning(path: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert not [one for one in findings_of(text) if "apigateway" in one.text]
    other = text.replace(f'apis = ["{API}"]', 'apis = ["b1b2c3d4e5"]')
    [found] = [one for one in findings_of(other) if one.subject == "users"]
    assert (found.level, found.text.partition(". Fix: ")[0]) == (
        "warning",
        f'rule "users": api "{API}" is not in [apigateway] apis, so every event of it is refused',
    )


# ---- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["http-api", "rest-api", "function-url", "alb"])
def test_event_of_a_front_is_made(front: str) -> None:
    done = read("event", "new", "--front", front, "--path", "/a?b=1", "-H", "x-tenant-id: blue", "--body", "hi")
    request = parse_event(json.loads(done.output), **_enabled())
    assert (request.method, request.target, request.body) == ("POST", "/a?b=1", b"hi")
    assert not request.caller.authenticated
    assert request.authorizer is None


def _enabled() -> dict[str, Any]:
    from lattice_bridge.testing.builders import API, BALANCER_GROUP

    return {"apis": [API], "target_groups": [BALANCER_GROUP], "function_url": True}


@pytest.mark.parametrize("front", ["http-api", "rest-api", "function-url"])
def test_made_event_has_the_principal_that_signed(front: Any) -> None:
    event = gateway_event(front, principal=f"arn:aws:iam::{ACCOUNT}:role/blue-api", session_name="i-1")
    request = parse_event(event, **_enabled())
    assert request.caller.principal == f"arn:aws:sts::{ACCOUNT}:assumed-role/blue-api/i-1"
    assert request.authorizer is None


@pytest.mark.parametrize("front", ["http-api", "rest-api"])
def test_made_event_has_one_authorizers_answer(front: Any) -> None:
    for answer in (BLUE, {"tenantId": "blue"}):
        event = gateway_event(front, authorizer=answer, client_cert="CN=blue")
        request = parse_event(event, **_enabled())
        assert request.authorizer is not None
        assert request.authorizer.at(["claims", "custom:tenant"] if answer is BLUE else ["tenantId"]) == "blue"
        assert request.client_cert == "CN=blue"
        assert not {"jwt", "lambda"} <= set(event["requestContext"]["authorizer"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--front", "alb", "--principal", ROLE), "--principal: a load balancer verifies no caller"),
        (("--front", "function-url", "--authorizer", '{"a":"b"}'), "a function URL has IAM's authorizer only"),
        (("--front", "http-api", "--service-arn", "x"), "--service-arn is no option for --front http-api"),
        (("--authorizer", "{}"), "--authorizer is no option for --front lattice"),
        (("--front", "http-api", "--authorizer", "["), "--authorizer: not JSON"),
    ],
)
def test_event_that_a_front_cannot_send_is_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    done = read("event", "new", *arguments)
    assert (done.exit_code, message in done.stderr) == (2, True), done.output


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("to", ["v1", "v2", "apigateway-v1", "apigateway-v2", "alb", "lattice"])
def test_event_of_each_front_is_converted_to_each_format(front: str, to: str) -> None:
    event = FRONTS[front](Sent("POST", "/a?b=1", (("x-a", "1"),), b"hi"))
    done = read("event", "convert", "-", "--to", to, stdin=json.dumps(event))
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert "/a" in json.dumps(found)
    assert found == event or to != "lattice"


@pytest.mark.parametrize("event", [*(front(Sent()) for front in FRONTS.values()), *(form() for form in FORMS)])
def test_event_of_each_front_is_read_and_checked(event: dict[str, Any]) -> None:
    text = json.dumps(event)
    parsed, checked = (read("event", name, "-", "--json", stdin=text) for name in ("parse", "check"))
    assert (parsed.exit_code, checked.exit_code) == (0, 0), parsed.output + checked.output
    assert json.loads(parsed.output)["format"] == json.loads(checked.output)["format"] is not None
    assert "if bridge.toml enables it" in read("event", "check", "-", stdin=text).output


def test_answer_of_an_authorizer_is_shown_without_its_values() -> None:
    """Trap D11."""
    event = rest_api(authorizer={**BLUE, "level": "secret-level"}, client_cert="CN=blue")
    done = read("event", "parse", "-", stdin=json.dumps(event))
    lines = done.output.splitlines()
    assert {"authorizer\tclaims.sub", "authorizer\tlevel", "client_cert\tCN=blue"} <= set(lines)
    assert "secret" not in done.output


def test_event_of_an_api_is_shown_on_a_terminal(tmp_path: Path) -> None:
    file = written(tmp_path / "event.json", json.dumps(http_api(authorizer={"jwt": BLUE}, client_cert="CN=blue")))
    screen = seen("event", "parse", file, NO_COLOR="1")
    for words in ("apigateway-v2", "verified the caller: claims.custom:tenant, claims.sub", "CN=blue", API):
        assert words in screen
    assert "not authenticated" not in screen
    assert "API Gateway with payload format 2.0: no departures" in " ".join(
        seen("event", "check", file, NO_COLOR="1", columns=160).split()
    )
