"""The path of an authorizer's event: the map decides, and an answer has a tenant only if the map allows it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import TenantMap
from lattice_bridge.authorize import Authorizer, AuthorizerFailure, make_authorizer
from lattice_bridge.config.reload import Handler
from lattice_bridge.errors import Unavailable
from lattice_bridge.formats.authorizer import deny
from lattice_bridge.identity.token import TokenReader
from lattice_bridge.tenancy.rules import Tenant
from tests.support.authorizer_events import API, FORMS, STAGE_ARN, http_1, http_2, rest, with_context
from tests.support.builders import OPEN, role
from tests.support.examples import examples
from tests.support.lifetime import outlives
from tests.support.token_builder import CORP, NOW, payload, private_key, public_key, sign, token

TOKENS: Final = """
[tenants]
blue = {}
green = {}
old = { status = "suspended" }

[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
algorithms = ["ES256"]

[[rule]]
id = "customers"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""

Make = Callable[..., dict[str, Any]]
every_form = pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)


class World:
    """An authorizer, and what it wrote."""

    def __init__(self, text: str = TOKENS, **options: Any) -> None:
        self.written: list[str] = []
        read = TenantMap.from_toml(text)
        reader = TokenReader([(CORP, lambda _kid: public_key())], lambda: NOW) if "[jwt" in text else None
        self.map = TenantMap(read.rules, read.sha256, reader)
        self.authorizer = Authorizer(self.map, apis=[API], **{"write": self.written.append, **options})

    def __call__(self, event: object) -> dict[str, Any]:
        return self.authorizer(event, None)

    @property
    def log(self) -> dict[str, Any]:
        log: dict[str, Any] = json.loads(self.written[-1].splitlines()[0])
        return log

    @property
    def metric(self) -> dict[str, Any]:
        metric: dict[str, Any] = json.loads(self.written[-1].splitlines()[1])
        return metric


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(**claims)}"}


BLUE, OLD = bearer(), bearer(tenant="old")


def effect(answer: dict[str, Any]) -> str:
    (statement,) = answer["policyDocument"]["Statement"]
    return str(statement["Effect"])


def is_refused(world: World, event: object) -> bool:
    """Whether the answer denies, or is the 401 of a REST API."""
    try:
        return world(event) == deny()
    except AuthorizerFailure:
        return bool(world.log["status"] == 401)


# ---- decisions ------------------------------------------------------------------------------------------------------


@every_form
def test_tenant_of_a_verified_token_is_allowed_and_named(make: Make) -> None:
    answer = World()(make(bearer()))
    assert (effect(answer), answer["principalId"], answer["context"]) == ("Allow", "blue", {"tenantId": "blue"})


@every_form
def test_header_chooses_only_what_the_token_allows(make: Make) -> None:
    """Trap F2: a client's header never grants a tenant."""
    world = World()
    assert world(make({**bearer(), "X-Tenant-Id": "blue"}))["context"] == {"tenantId": "blue"}
    assert world(make({**bearer(), "X-Tenant-Id": "green"})) == deny()
    assert world.log["reason"] == "tenant_not_allowed"


@every_form
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-Tenant-Id": ["blue", "blue"]}, "header_repeated"),
        ({"X_Tenant_Id": "blue"}, "reserved_spelling"),
        ({"x-amz-tenant_id": "blue"}, "reserved_spelling"),
        ({"X-Tenant-Id": " blue"}, "tenant_malformed"),
        ({"X-Tenant-Id": "blue,green"}, "tenant_malformed"),
        ({"X-Tenant-Id": "bl\u212ae"}, "tenant_malformed"),
        ({"X-Tenant-Id": "%62lue"}, "tenant_malformed"),
        ({"X-Tenant-Id": "b" * 257}, "tenant_malformed"),
        ({"X-Tenant-Id": "blue\n"}, "malformed_header"),
        ({"x-a": "a" * 9000}, "malformed_header"),
        ({f"x-{number}": "a" for number in range(100)}, "malformed_header"),
        ({"X-Tenant-Id": "old"}, "tenant_not_allowed"),
    ],
)
def test_hostile_header_is_refused(make: Make, headers: dict[str, Any], reason: str) -> None:
    """Traps A3 to A13: the same as behind the bridge."""
    world = World()
    assert world(make({**bearer(), **headers})) == deny()
    # Format 2.0 joins the values of a header, and no tenant id contains a comma.
    joined = make is http_2 and reason == "header_repeated"
    assert world.log["reason"] == ("tenant_malformed" if joined else reason)


@every_form
def test_client_cannot_name_itself_in_the_events_other_fields(make: Make) -> None:
    """Trap F5: only a direct Invoke writes them."""
    world = World(TOKENS + ROLE_RULE)
    identity = {"userArn": role("blue-api"), "accountId": "111122223333", "caller": "AROAEXAMPLE"}
    for more in ({"identity": identity}, {"authentication": {"iam": identity}}):
        is_foreign = make is http_2 and "identity" in more  # payload format 2.0 has no such field
        with pytest.raises(AuthorizerFailure) if make is rest else nullcontext():
            assert world(with_context(make(), **more)) == deny()
        assert world.log["reason"] == ("malformed_event" if is_foreign else "no_credential")


ROLE_RULE: Final = '[[rule]]\nid = "api"\nrole = "arn:aws:iam::111122223333:role/blue-api"\ntenant = "blue"\n'


@every_form
def test_suspended_and_unregistered_tenants_are_refused(make: Make) -> None:
    """Trap D6."""
    world = World()
    for tenant, reason in (("old", "tenant_suspended"), ("purple", "tenant_unknown")):
        assert world(make(bearer(tenant=tenant))) == deny()
        assert (world.log["reason"], world.log["status"], world.log["rule"]) == (reason, 403, "customers")


@every_form
def test_event_of_an_api_that_is_not_listed_is_refused(make: Make) -> None:
    """Trap F1."""
    other = "z9y8x7w6v5"
    event = json.loads(json.dumps(make(bearer())).replace(API, other))
    world = World()
    assert world(event) == deny()
    assert (world.log["reason"], world.log["detail"]) == (
        "not_enabled",
        "an event of the API z9y8x7w6v5, which is not in [apigateway] apis",
    )


def test_no_listed_api_refuses_every_event() -> None:
    """Trap F1."""
    world = World()
    world.authorizer.apis = frozenset()
    assert world(rest(bearer())) == deny()


def test_unsigned_caller_with_an_unverified_signature_is_not_anonymous() -> None:
    """Trap C11: the request has a signature, and API Gateway has not checked it."""
    world = World(TOKENS + OPEN)
    with pytest.raises(AuthorizerFailure):
        world(rest({"Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-west-1/execute-api"}))
    assert world.log["reason"] == "no_credential"


@every_form
def test_open_map_lets_the_header_choose(make: Make) -> None:
    assert World(TOKENS + OPEN)(make({"X-Tenant-Id": "green"}))["context"] == {"tenantId": "green"}


@every_form
def test_token_that_another_key_signed_is_no_evidence(make: Make) -> None:
    """Traps F3 and C1."""
    forged = sign(payload(), key=private_key("ES256", 1))
    world = World(TOKENS + OPEN)
    for value in (forged, f"{forged.rpartition('.')[0]}."):
        with pytest.raises(AuthorizerFailure) if make is rest else nullcontext():
            assert world(make({"Authorization": f"Bearer {value}", "X-Tenant-Id": "blue"})) == deny()
        assert world.log["reason"] == "token_invalid"


DEVICES: Final = """
[[rule]]
id = "devices"
client_cert = "CN=blue,O=Example"
client_cert_issued_by = "our own authority alone is in the truststore"
tenant = "blue"
"""


@every_form
def test_certificate_of_the_client_decides_and_its_headers_do_not(make: Make) -> None:
    """Trap F7."""
    world = World(TOKENS + DEVICES)

    def asked(subject: str, **headers: str) -> dict[str, Any]:
        place = "authentication" if make is http_2 else "identity"
        return with_context(make(headers), **{place: {"clientCert": {"subjectDN": subject}}})

    assert world(asked("CN=blue,O=Example"))["context"] == {"tenantId": "blue"}
    for event in (asked("CN=green,O=Example"), make({"clientCert": "CN=blue,O=Example", "x-client-cert": "CN=blue"})):
        assert is_refused(world, event)


# ---- statuses -------------------------------------------------------------------------------------------------------


def test_rest_api_answers_401_without_a_credential() -> None:
    world = World()
    with pytest.raises(AuthorizerFailure) as caught:
        world(rest())
    assert str(caught.value) == "Unauthorized"  # API Gateway compares the whole message
    assert (world.log["status"], world.log["reason"]) == (401, "no_credential")


@pytest.mark.parametrize("make", [http_1, http_2])
def test_http_api_answers_403_without_a_credential(make: Make) -> None:
    """Any error of an HTTP API's authorizer is a 500, so there is no 401."""
    world = World()
    assert world(make()) == deny()
    assert (world.log["status"], world.log["reason"]) == (403, "no_credential")


def test_bad_token_is_a_401_without_details() -> None:
    """Trap C5."""
    world = World()
    with pytest.raises(AuthorizerFailure) as caught:
        world(rest(bearer(exp=NOW - 3600, iat=NOW - 7200)))
    assert (caught.value.args, caught.value.__cause__, caught.value.__context__) == (("Unauthorized",), None, None)


@every_form
@pytest.mark.parametrize("error", [Unavailable("registry_unavailable", "table x"), RuntimeError("secret"), KeyError()])
def test_fault_ends_without_an_answer(make: Make, error: Exception) -> None:
    """Trap D7: API Gateway answers 500 and caches nothing. A Deny would refuse the client until the cache ends."""

    def down(_name: str) -> Tenant | None:
        raise error

    world = World()
    world.map.find = down
    with pytest.raises(AuthorizerFailure) as caught:
        world(make(bearer()))
    assert str(caught.value) == "no decision is possible; the log line has the reason"
    assert (world.log["status"], world.log["level"], world.metric["Errors"]) == (500, "ERROR", 1)
    assert "secret" not in "".join(world.written)


@every_form
def test_token_authorizer_is_refused_with_a_clear_log_line(make: Make) -> None:
    """Trap F1: its events have no headers, so the map could not decide."""
    world = World()
    event = {"type": "TOKEN", "authorizationToken": token(), "methodArn": f"{STAGE_ARN}/GET/orders"}
    assert world(event) == deny()
    assert "Fix: make an authorizer of type REQUEST" in world.log["detail"]
    assert "eyJ" not in "".join(world.written)
    del make


@pytest.mark.parametrize("event", [None, [], "x", 7, {}, {"type": "REQUEST"}, {"version": "2.0"}])
def test_anything_else_is_denied(event: object) -> None:
    world = World()
    assert effect(world(event)) == "Deny"
    assert world.log["reason"] == "malformed_event"


def test_simple_responses_are_a_setting_of_the_function() -> None:
    """No event contains `EnableSimpleResponses`."""
    world = World(simple="true")
    assert world(http_2(bearer())) == {"isAuthorized": True, "context": {"tenantId": "blue"}}
    assert world(http_2(bearer(tenant="old"))) == {"isAuthorized": False}
    assert effect(world(http_1(bearer()))) == "Allow"


# ---- what refusals and lines contain --------------------------------------------------------------------------------


@every_form
def test_refusals_for_different_reasons_are_equal(make: Make) -> None:
    """Trap D12."""
    world = World()
    hostile = (bearer(tenant="old"), bearer(tenant="purple"), {**bearer(), "X-Tenant-Id": "green"}, {"x-a": "\x00"})
    assert {json.dumps(world(make(headers))) for headers in hostile} == {json.dumps(deny())}
    assert len({line.split('"reason":"')[1].split('"')[0] for line in world.written}) == 4


def test_lines_are_those_of_the_bridge() -> None:
    world = World()
    world(rest(bearer()))
    log, metric = world.log, world.metric
    assert (log["message"], log["requestId"], log["tenant"], log["rule"]) == ("request", "rest-1", "blue", "customers")
    assert (log["backend"], metric["Backend"], metric["Requests"], metric["ColdStarts"]) == (
        *("authorizer", "authorizer"),
        *(1, 1),
    )
    world(rest(bearer()))
    assert world.metric["ColdStarts"] == 0


def test_no_header_token_or_query_is_written() -> None:
    """Trap D11."""
    world = World()
    sent = token()
    event = rest({"Authorization": f"Bearer {sent}", "cookie": "secret-1", "X-Tenant-Id": "secret-2"})
    world({**event, "queryStringParameters": {"a": "secret-3"}, "multiValueQueryStringParameters": {"a": ["secret-3"]}})
    assert "secret" not in "".join(world.written)
    assert sent not in "".join(world.written)
    assert all(text.isascii() and text.count("\n") == 2 for text in world.written)


def test_log_that_cannot_be_written_does_not_change_the_answer() -> None:
    def full(_text: str) -> None:
        raise OSError("no space left on device")

    assert effect(World(write=full)(rest(bearer()))) == "Allow"


def test_event_is_never_written_to() -> None:
    for make in FORMS:
        event = make(bearer())
        before = copy.deepcopy(event)
        World()(event)
        assert event == before


@pytest.mark.parametrize("headers", [{}, BLUE, OLD], ids=["anonymous", "allowed", "suspended"])
def test_nothing_of_a_request_outlives_it(headers: dict[str, str]) -> None:
    """Trap D9."""
    assert not outlives(World(), http_2(headers))


# ---- properties -----------------------------------------------------------------------------------------------------


@given(st.sampled_from(FORMS), st.sampled_from(["GET", "PUT", "DELETE"]), st.text(max_size=20), st.booleans())
@settings(deadline=None, max_examples=examples(60))
def test_decision_depends_on_neither_method_nor_path(make: Make, method: str, path: str, allowed: bool) -> None:
    """Trap D8: the policy is for all of them, because API Gateway applies a cached one to all of them."""
    world, headers = World(), bearer(tenant="blue" if allowed else "old")
    first = make(headers)
    second = copy.deepcopy(first)
    if make is http_2:
        second["requestContext"]["http"]["method"], second["rawPath"] = method, f"/{path}"
    else:
        second["httpMethod"], second["path"] = method, f"/{path}"
    assert world(second) in (world(first), deny())  # a path that no client can send is malformed
    if all("!" <= letter <= "~" and letter != "?" for letter in path):
        assert world(second) == world(first)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A good event in which up to three fields are anything at all."""
    event: dict[str, Any] = draw(st.sampled_from(FORMS))(draw(st.sampled_from([{}, BLUE, OLD])))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([event, event["requestContext"]]))
        if isinstance(place, dict):
            place[draw(st.sampled_from([*sorted(place), "x"]))] = draw(json_values)
    return event


@given(events() | json_values)
@settings(deadline=None, max_examples=examples(150))
def test_any_event_is_denied_or_runs_as_a_tenant_that_its_token_allows(event: object) -> None:
    world = World()
    try:
        answer = world(event)
    except AuthorizerFailure:
        assert world.log["status"] in (401, 500)
        assert world.log["reason"] != "internal"
        return
    if answer != deny():
        assert (effect(answer), answer["context"]) == ("Allow", {"tenantId": "blue"})
        assert BLUE["Authorization"] in json.dumps(event)


# ---- from an environment --------------------------------------------------------------------------------------------

MAP: Final = f'[apigateway]\napis = ["{API}"]\n[tenants]\nblue = {{}}\ngreen = {{}}\n{OPEN}'


def start(folder: Path, text: str | None, written: list[str], **variables: str) -> Handler:
    if text is not None:
        (folder / "bridge.toml").write_text(text, encoding="utf-8")
    environ = {"LAMBDA_TASK_ROOT": str(folder), "AWS_REGION": "eu-west-1", **variables}
    return make_authorizer(environ, written.append)


def test_map_without_a_backend_serves(tmp_path: Path) -> None:
    handler = start(tmp_path, MAP, [], LATTICE_BRIDGE_SIMPLE_RESPONSES="true")
    assert handler(rest({"x-tenant-id": "green"}), None)["context"] == {"tenantId": "green"}
    assert handler(http_2({"x-tenant-id": "blue"}), None) == {"isAuthorized": True, "context": {"tenantId": "blue"}}


@pytest.mark.parametrize("text", [None, "", "a = ", MAP.replace(OPEN, ""), MAP + "[[rule]]\n", MAP.replace(API, "x")])
def test_no_configuration_ends_every_event_without_an_answer(tmp_path: Path, text: str | None) -> None:
    """Trap D4: API Gateway answers 500."""
    written: list[str] = []
    handler = start(tmp_path, text, written)
    for event in (rest(), http_2(), None):
        with pytest.raises(AuthorizerFailure) as caught:
            handler(event, None)
        assert str(caught.value) == "no decision is possible; the log line has the reason"
    log, metric = map(json.loads, written[-1].splitlines())
    assert (log["status"], log["level"], metric["Errors"]) == (503, "ERROR", 1)


def test_newer_map_replaces_the_active_one_and_a_bad_one_does_not(tmp_path: Path) -> None:
    """Trap D3."""
    now, written = [0.0], list[str]()
    (tmp_path / "bridge.toml").write_text(MAP, encoding="utf-8")
    handler = make_authorizer({"LAMBDA_TASK_ROOT": str(tmp_path)}, written.append, clock=lambda: now[0])
    asks_green = rest({"x-tenant-id": "green"})
    for text, allowed in ((MAP.replace("green = {}\n", ""), "Deny"), ("[[rule", "Deny"), (MAP, "Allow")):
        now[0] += 600  # long overdue, so the event itself waits for the reload
        (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
        os.utime(tmp_path / "bridge.toml", (now[0], now[0]))  # a file that was just written may be half written
        assert effect(handler(asks_green, None)) == allowed


def test_first_event_of_an_environment_is_cold(tmp_path: Path) -> None:
    written: list[str] = []
    handler = start(tmp_path, MAP, written)
    for _ in range(2):
        handler(rest({"x-tenant-id": "green"}), None)
    assert [json.loads(text.splitlines()[0])["cold"] for text in written] == [True, False]
