"""The way of a request from event to reply, with everything around it handed in."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice_bridge import Bridge
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import BackendFailed, BridgeError, Misconfigured, TimedOut, Unavailable
from lattice_bridge.invoke.call import Call
from tests.support.builders import OPEN, SERVICE, role, tenant_map, v1, v2
from tests.support.examples import examples
from tests.support.lifetime import outlives
from tests.support.valid import assert_valid, body_of

BLUE = role("blue-api")
EDGE = role("edge-proxy")
OK = b'{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}'

Answer = bytes | Exception | Callable[[Call], bytes]


class Context:
    """What Lambda gives a handler."""

    aws_request_id = "lambda-1"

    def __init__(self, milliseconds: int = 29_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


class Backends:
    """An `invoke` that answers as told and remembers its calls."""

    def __init__(self, answer: Answer = OK) -> None:
        self.answer = answer
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> bytes:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else self.answer(call)

    @property
    def received(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self.calls[-1].payload)
        return received


class World:
    """A bridge, what is behind it, and what it wrote."""

    def __init__(self, answer: Answer = OK, *backends: Backend, more: str = "", **options: Any) -> None:
        self.behind = Backends(answer)
        self.written: list[str] = []
        self.bridge = Bridge(
            tenant_map(more),
            self.behind,
            backends=backends or [Backend("/", "orders:live")],
            **{"write": self.written.append, **options},
        )

    def __call__(self, event: object, context: object = None) -> dict[str, Any]:
        return self.bridge(event, context or Context())

    @property
    def log(self) -> dict[str, Any]:
        log: dict[str, Any] = json.loads(self.written[-1].splitlines()[0])
        return log


def answered(answer: Answer, event: object = None) -> dict[str, Any]:
    return World(answer)(event or v2(BLUE))


# ---- the way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [v1(BLUE), v2(BLUE)])
def test_request_is_invoked_as_its_tenant_and_answered(event: object) -> None:
    world = World()
    assert world(event) == {
        "statusCode": 200,
        "isBase64Encoded": False,
        "headers": {"content-type": "text/plain"},
        "body": "hello",
    }
    [call] = world.behind.calls
    assert (call.function, call.tenant, call.invocation) == ("orders:live", "blue", "sync")


@pytest.mark.parametrize(
    "event", [v1(EDGE, headers={"x-tenant-id": "green"}), v2(EDGE, headers={"x-tenant-id": "green"})]
)
def test_header_chooses_the_tenant_that_is_invoked(event: object) -> None:
    world = World()
    world(event)
    assert world.behind.calls[0].tenant == "green"


def test_function_without_isolation_gets_the_tenant_in_the_header() -> None:
    world = World(OK, Backend("/", "plain", isolated=False))
    world(v2(BLUE))
    assert world.behind.calls[0].tenant is None
    assert world.behind.received["headers"]["x-tenant-id"] == ["blue"]


def test_longest_prefix_serves() -> None:
    world = World(OK, Backend("/", "all"), Backend("/orders", "orders"), Backend("/orders/old", "old"))
    for path in ("/orders/old/1", "/orders/older", "/order", "/orders?x=/orders/old"):
        world(v2(BLUE, path=path))
    assert [call.function for call in world.behind.calls] == ["old", "orders", "all", "orders"]


def test_backend_gets_its_timeout_and_the_time_left() -> None:
    world = World(OK, Backend("/", "orders", timeout=5.0))
    world(v2(BLUE), Context(29_000))
    assert (world.behind.calls[0].timeout, world.behind.calls[0].left) == (5.0, 28.5)


def test_async_backend_is_answered_with_an_empty_202() -> None:
    world = World(b"", Backend("/", "orders", invocation="async"))
    assert world(v2(BLUE)) == {"statusCode": 202, "isBase64Encoded": False, "headers": {}}
    assert world.behind.calls[0].invocation == "async"


def test_cookies_go_where_the_setting_says() -> None:
    answer = b'{"statusCode":200,"cookies":["a=1","b=2"]}'
    assert World(answer)(v2(BLUE))["cookies"] == ["a=1", "b=2"]
    assert World(answer, set_cookie="headers")(v2(BLUE))["headers"]["set-cookie"] == ["a=1", "b=2"]


def test_header_that_the_configuration_drops_reaches_no_caller() -> None:
    """Tenants of one host share cookies and HSTS in a browser."""
    answer = b'{"statusCode":200,"headers":{"Set-Cookie":"a=1","x-a":"1"},"cookies":["b=2"],"body":"x"}'
    reply = World(answer, drop_headers=["set-cookie"])(v2(BLUE))
    assert "cookies" not in reply
    assert set(reply["headers"]) == {"x-a", "content-type"}


def test_context_that_says_nothing_is_enough() -> None:
    world = World()
    assert world.bridge(v2(BLUE, requestId=None), None)["statusCode"] == 200
    assert world.log["requestId"] == "unknown"


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (v2(), 401),
        (v2(role("stranger")), 403),
        (v2(role("blue-api", "444455556666")), 403),
        (v2(BLUE, headers={"x-tenant-id": "green"}), 403),
        (v2(EDGE), 403),
        (v2(role("leaver")), 403),
        (v2(role("leaked")), 403),
        (v2(EDGE, headers={"x-tenant-id": ["blue", "blue"]}), 400),
        (v1(EDGE, headers={"x-tenant-id": "blue,green"}), 400),
        (v2(BLUE, headers={"x_tenant_id": "blue"}), 400),
        ({"version": "2.0"}, 400),
        (v2(BLUE, headers={"x-lattice-bridge-hops": "4"}), 508),
        (None, 400),
    ],
)
def test_refused_request_is_not_invoked(event: object, status: int) -> None:
    world = World(AssertionError("invoked"))
    assert world(event)["statusCode"] == status
    assert world.behind.calls == []


def test_every_403_is_one_reply() -> None:
    """Trap D12: the body does not show which tenants exist."""
    conflict = v2(BLUE)
    conflict["requestContext"]["identity"]["sessionName"] = "other"
    events = {
        "no_rule": v2(role("stranger")),
        "tenant_not_allowed": v2(BLUE, headers={"x-tenant-id": "green"}),
        "tenant_unknown": v2(EDGE, headers={"x-tenant-id": "purple"}),
        "tenant_suspended": v2(EDGE, headers={"x-tenant-id": "old"}),
        "ambiguous": v2(EDGE),
        "denied": v2(role("leaked")),
        "identity_invalid": conflict,
    }
    world = World()
    replies = []
    for reason, event in events.items():
        replies.append(world(event, Context()) | {"body": ""})
        assert world.log["reason"] == reason
    assert all(reply == replies[0] for reply in replies)


def test_bodies_of_two_403s_differ_in_the_id_alone() -> None:
    """Trap D12."""
    event, unknown = v2(BLUE, headers={"x-tenant-id": "green"}), v2(EDGE, headers={"x-tenant-id": "purple"})
    assert World()(event)["body"] == World()(unknown)["body"]


def test_refusal_is_a_problem_with_title_status_and_id() -> None:
    reply = World()(v2(role("stranger")))
    assert json.loads(reply["body"]) == {"title": "Forbidden", "status": 403, "requestId": "lattice-1"}
    assert reply["headers"] == {"content-type": "application/problem+json", "cache-control": "no-store"}


def test_caller_without_credential_gets_a_challenge() -> None:
    assert World()(v2())["headers"]["www-authenticate"] == "AWS4-HMAC-SHA256"


CORP = """
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
"""


def test_challenge_names_bearer_if_an_issuer_reads_authorization() -> None:
    """Trap D12: with a bad token and without one, the challenge is the same."""
    world = World(more=CORP)
    replies = [world(event) for event in (v2(), v2(headers={"authorization": "Bearer a.b.c"}))]
    assert [reply["headers"]["www-authenticate"] for reply in replies] == ['AWS4-HMAC-SHA256, Bearer realm="api"'] * 2
    assert replies[0] == replies[1]
    elsewhere = World(more=f'{CORP}header = "x-token"\n')
    assert elsewhere(v2())["headers"]["www-authenticate"] == "AWS4-HMAC-SHA256"


def test_refused_caller_is_logged_by_its_key_unless_the_configuration_asks_for_more() -> None:
    stranger = v2(role("stranger", session="ann@example.com"))
    world, full = World(), World(log_caller="full")
    for one in (world, full):
        assert one(stranger)["statusCode"] == 403
    assert world.log["callerKey"] == "111122223333/stranger"
    assert full.log["callerKey"] == role("stranger", session="ann@example.com")
    assert "ann" not in world.written[-1]
    world(v2(BLUE, headers={"authorization": "Bearer a.b.c"}))
    assert "callerKey" not in world.log  # allowed: the map has no issuer
    unverified = World(more=CORP)
    unverified(v2(BLUE, headers={"authorization": "Bearer a.b.c"}))
    assert (unverified.log["reason"], unverified.log["callerKey"]) == ("token_invalid", "111122223333/blue-api")


def test_event_of_a_service_that_is_not_listed_is_refused() -> None:
    """Trap A8."""
    listed, other = World(services=[SERVICE]), World(services=[SERVICE + "0"])
    assert listed(v2(BLUE))["statusCode"] == 200
    assert (other(v2(BLUE))["statusCode"], other.log["reason"]) == (403, "service_not_allowed")


def test_v1_event_is_refused_when_services_are_listed() -> None:
    """Trap A8: it does not say where it comes from."""
    assert World(services=[SERVICE])(v1(BLUE))["statusCode"] == 403


def test_unlisted_service_gets_the_usual_403() -> None:
    """Trap D12."""
    assert World(services=["x"])(v2(BLUE)) == World()(v2(role("stranger")))


def test_unauthenticated_caller_does_not_learn_served_paths() -> None:
    world = World(OK, Backend("/orders", "orders"))
    assert world(v2(role("stranger"), path="/nowhere"))["statusCode"] == 403
    assert world(v2(BLUE, path="/nowhere"))["statusCode"] == 404


@pytest.mark.parametrize("path", ["/", "/health", "/healthz", "/ping"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD", "TRACE"])
def test_no_path_or_method_skips_authentication(path: str, method: str) -> None:
    """Trap A14."""
    world = World(AssertionError("invoked"))
    assert world(v2(path=path, method=method))["statusCode"] == 401


def test_request_that_passed_the_bridge_four_times_is_a_loop() -> None:
    """Trap D16."""
    world, event, passes = World(), v2(BLUE), 0
    while world(event)["statusCode"] == 200:
        event, passes = world.behind.received, passes + 1
    assert (passes, world.log["reason"]) == (4, "loop")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize(
    "broken", [{}, {"headers": []}, {"path": "nowhere"}, {"raw_path": "/"}, {"body": 1}], ids=lambda broken: str(broken)
)
def test_refusal_of_any_kind_is_a_valid_reply(method: str, broken: dict[str, Any]) -> None:
    """A HEAD has no body, be it ever so malformed."""
    assert_valid(World()({**v2(method=method), **broken}), method)


def test_method_that_is_not_a_string_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert World()({**v2(BLUE), "method": deep})["statusCode"] == 400


# ---- what the backend may do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BackendFailed("backend_raised", "errorType Secret"), 502),
        (Misconfigured("function_not_found", "Secret"), 500),
        (Unavailable("throttled", "Secret", retry_after=7), 503),
        (TimedOut("backend_timeout", "Secret"), 504),
        (RuntimeError("Secret"), 500),
        (RecursionError("Secret"), 500),
        (MemoryError("Secret"), 500),
    ],
)
def test_backend_failure_is_a_status_without_details(error: Exception, status: int) -> None:
    """Trap D13."""
    reply = World(error, Backend("/", "secret-function"))(v2(BLUE))
    assert_valid(reply)
    assert reply["statusCode"] == status
    assert "secret" not in json.dumps(reply).lower()


def test_bug_is_logged_by_type_and_place() -> None:
    """Trap D11: a message may quote the request."""
    world = World(RuntimeError("token secret"))
    world(v2(BLUE))
    assert re.fullmatch(r"RuntimeError at tests/test_bridge\.py:\d+ in __call__", world.log["detail"])
    assert "secret" not in "".join(world.written)


def test_failed_call_logs_function_and_lambda_request_id_and_returns_neither() -> None:
    """Trap D13."""

    def fail(call: Call) -> bytes:
        call.on_request_id("4f0e6a58-7d4b")
        raise BackendFailed("backend_raised", "errorType KeyError")

    world = World(fail, Backend("/", "secret-function:live"))
    reply = world(v2(BLUE))
    assert (world.log["function"], world.log["lambdaRequestId"]) == ("secret-function:live", "4f0e6a58-7d4b")
    assert "4f0e6a58" not in json.dumps(reply)


def test_unreadable_reply_logs_lambda_request_id() -> None:
    def answer(call: Call) -> bytes:
        call.on_request_id("4f0e6a58-7d4b")
        return b"not JSON"

    world = World(answer)
    world(v2(BLUE))
    assert (world.log["reason"], world.log["lambdaRequestId"]) == ("backend_unreadable", "4f0e6a58-7d4b")


def test_refusal_before_the_invocation_logs_no_function() -> None:
    world = World()
    world(v2(role("stranger")))
    assert "function" not in world.log


def test_throttled_caller_gets_retry_after() -> None:
    assert answered(Unavailable("throttled", retry_after=7))["headers"]["retry-after"] == "7"


@pytest.mark.parametrize(
    "headers",
    [{"x-a": "1\r\nset-cookie: b=2"}, {"x-a": "1\n"}, {"x-a\r\nx-b": "1"}, {"x-a": ["1", "2\x00"]}, {"": "1"}],
)
def test_control_character_in_a_backends_header_is_a_502(headers: dict[str, Any]) -> None:
    """Trap A17."""
    reply = answered(json.dumps({"statusCode": 200, "headers": headers, "body": "secret"}).encode())
    assert reply["statusCode"] == 502
    assert "secret" not in json.dumps(reply)


def test_reply_over_6_mb_is_a_502() -> None:
    world = World(json.dumps({"statusCode": 200, "body": "x" * 6_300_000}).encode())
    assert (world(v2(BLUE))["statusCode"], world.log["reason"]) == (502, "reply_too_large")


def test_request_of_more_than_6_mb_is_a_413_and_sends_nothing() -> None:
    world = World()
    assert world(v2(BLUE, method="POST", body="x" * 6_300_000))["statusCode"] == 413
    assert world.behind.calls == []


def test_async_request_of_more_than_1_mb_is_a_413() -> None:
    world = World(b"", Backend("/", "orders", invocation="async"))
    assert world(v2(BLUE, method="POST", body="x" * 1_048_576))["statusCode"] == 413


def test_clients_tenant_and_credentials_do_not_reach_the_backend() -> None:
    """Trap A15."""
    theirs = {
        "X-Amz-Tenant-Id": "green",
        "X-Amzn-Tenant-ID": "green",
        "authorization": "s",
        "x-amz-security-token": "s",
    }
    world = World()
    world(v2(BLUE, headers={**theirs, "X-Tenant-Id": "blue"}))
    received = {name.lower(): value for name, value in world.behind.received["headers"].items()}
    assert {name: value for name, value in received.items() if "tenant" in name} == {"x-tenant-id": ["blue"]}
    assert not {"authorization", "x-amz-security-token"} & set(received)


# ---- what is written ------------------------------------------------------------------------------------------------


def test_each_request_writes_one_log_line_and_one_metric_line() -> None:
    world = World()
    for event in (v2(BLUE), v2(), None):
        world(event)
    assert [text.count("\n") for text in world.written] == [2, 2, 2]


def test_log_contains_caller_and_reason() -> None:
    world = World()
    world(v2(BLUE))
    assert {
        name: world.log[name] for name in ("status", "reason", "tenant", "rule", "backend", "requestId", "cold")
    } == {
        "status": 200,
        "reason": "ok",
        "tenant": "blue",
        "rule": "blue-api",
        "backend": "/",
        "requestId": "lattice-1",
        "cold": True,
    }


def test_only_the_first_request_is_cold() -> None:
    world = World()
    cold = [(world(v2(BLUE)), world.log["cold"])[1] for _ in range(3)]
    assert cold == [True, False, False]


def test_caller_cannot_write_a_log_line_of_its_own() -> None:
    """Trap D11."""
    world = World()
    world(v2(BLUE, path="/\u2028\u0085{}", method="GET", requestId='x","level":"INFO', headers={"x-a": "\u2028{}"}))
    assert all(text.isascii() and text.count("\n") == 2 for text in world.written)
    assert world.log["requestId"] == 'x","level":"INFO'


def test_no_header_query_or_body_is_written() -> None:
    """Trap D11."""
    world = World(b'{"statusCode":200,"headers":{"x-b":"secret-4"},"body":"secret-5"}')
    headers = {"authorization": "secret-1", "cookie": "secret-2"}
    world(v2(BLUE, method="POST", path="/orders?token=secret-3", headers=headers, body="secret-6"))
    world(v2(EDGE, headers={"x-tenant-id": "secret-7"}))
    world(v2(EDGE, headers={"x-tenant-id": "secret 8"}))
    assert "secret" not in "".join(world.written)


@pytest.mark.parametrize("error", [OSError("no space left on device"), ValueError("I/O operation on closed file")])
def test_log_that_cannot_be_written_does_not_change_the_reply(error: Exception) -> None:
    def full(_text: str) -> None:
        raise error

    assert World(write=full)(v2(BLUE))["statusCode"] == 200


def test_time_of_a_backend_that_failed_is_not_the_bridges_overhead() -> None:
    now = [100.0]

    def slow(_call: Call) -> bytes:
        now[0] += 28
        raise TimedOut("backend_timeout")

    world = World(slow, clock=lambda: now[0])
    world(v2(BLUE))
    metric = json.loads(world.written[-1].splitlines()[1])
    assert (metric["Latency"], metric["Overhead"]) == (28_000, 0)


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_32_threads_with_two_tenants_share_nothing() -> None:
    """Trap D10."""
    ready = Barrier(32)

    def echo(call: Call) -> bytes:
        return json.dumps({"statusCode": 200, "body": f"{call.tenant} {json.loads(call.payload)['path']}"}).encode()

    world = World(echo)

    def run(number: int) -> bool:
        tenant = ("blue", "green")[number % 2]
        ready.wait(10)
        return all(
            body_of(world(v2(EDGE, path=f"/{number}/{turn}", headers={"x-tenant-id": tenant})))
            == f"{tenant} /{number}/{turn}".encode()
            for turn in range(20)
        )

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(run, range(32)))


def test_event_is_never_written_to() -> None:
    for event in (v1(BLUE, headers={"X-Tenant-Id": "blue"}), v2(BLUE, headers={"x-amzn-lattice-a": "1"})):
        before = copy.deepcopy(event)
        World()(event)
        assert event == before


# ---- whatever happens -----------------------------------------------------------------------------------------------

texts = st.text(alphabet=st.characters(codec=None), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
header_names = st.sampled_from(["host", "x-tenant-id", "X-Tenant-Id", "x_tenant_id", "x-lattice-bridge-hops", "accept"])
header_values = st.one_of(
    texts, st.sampled_from(["blue", "green", "old", "1"]), st.lists(texts, max_size=3), json_values
)


@st.composite
def events(draw: st.DrawFn) -> object:
    """A good event in which up to three fields are anything at all."""
    event: dict[str, Any] = draw(st.sampled_from([v1, v2]))(draw(st.sampled_from([None, BLUE, EDGE, role("x")])))
    event["method"] = draw(st.sampled_from(["GET", "HEAD", "POST"]))
    event["headers"] |= draw(st.dictionaries(header_names, header_values, max_size=3))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([event, event.get("requestContext", event)]))
        if isinstance(place, dict):
            place[draw(st.sampled_from([*sorted(place), "x"]))] = draw(json_values)
    return event


answers = st.one_of(
    st.binary(max_size=64),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"statusCode": st.one_of(st.integers(100, 700), st.sampled_from([200, 204, 304, "200", 200.0]), json_values)},
        optional={
            "headers": st.dictionaries(
                st.sampled_from(["a", "Connection", "Set-Cookie"]) | texts, json_values, max_size=3
            ),
            "multiValueHeaders": st.dictionaries(texts, st.lists(texts, max_size=3), max_size=2),
            "cookies": st.one_of(st.lists(texts, max_size=3), json_values),
            "body": st.one_of(texts, st.sampled_from(["aGVsbG8=", ""]), json_values),
            "isBase64Encoded": st.one_of(st.booleans(), json_values),
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
@given(events() | json_values, answers)
def test_any_event_and_answer_give_a_valid_reply(event: object, answer: bytes) -> None:
    method = event.get("method") if isinstance(event, dict) else None
    world = World(answer, more=OPEN)
    assert_valid(world(event), method if isinstance(method, str) else "GET")
    assert [text.count("\n") for text in world.written] == [2]


@settings(deadline=None, max_examples=examples(100))
@given(events())
def test_any_event_invokes_only_allowed_registered_tenants(event: dict[str, Any]) -> None:
    world = World()
    world(event)
    context = event.get("requestContext")
    for call in world.behind.calls:
        assert call.tenant in {"blue", "green"}
        if BLUE in json.dumps([event["headers"], context]):
            assert call.tenant == "blue"


@settings(deadline=None)
@given(st.sampled_from([Exception, ValueError, OSError, KeyError, UnicodeError, BridgeError]), texts)
def test_any_backend_failure_gives_a_valid_reply(kind: type[Exception], message: str) -> None:
    error = Misconfigured("internal", message) if kind is BridgeError else kind(message)
    assert_valid(answered(error))


def test_unreadable_request_keeps_lattices_id() -> None:
    for event in (v2(method="NOT A METHOD"), v1(method="NOT A METHOD"), v2("no principal")):
        assert json.loads(answered(b"", event)["body"])["requestId"] == "lattice-1"


@pytest.mark.parametrize(
    "field", ["multiValueHeaders", "cookies", "httpMethod", "rawPath", "multiValueQueryStringParameters"]
)
@pytest.mark.parametrize("make", [v1, v2])
def test_field_that_only_other_services_send_is_refused(make: Callable[..., dict[str, Any]], field: str) -> None:
    """Trap A15: a framework reads `multiValueHeaders` before `headers`, and finds the client's tenant there."""
    reply = answered(b"", make(role("blue-api"), **{field: {"x-tenant-id": ["green"]}}))
    assert reply["statusCode"] == 400


# ---- what a backend gets --------------------------------------------------------------------------------------------


def test_each_backend_gets_its_own_format() -> None:
    world = World(OK, Backend("/", "new"), Backend("/old", "old", payload="apigateway-v2"))
    world(v2(BLUE, path="/old/1"))
    assert (world.behind.received["rawPath"], world.behind.received["requestContext"]["stage"]) == (
        "/old/1",
        "$default",
    )
    world(v2(BLUE, path="/new/1"))
    assert world.behind.received["path"] == "/new/1"


def test_configured_scheme_is_passed_on() -> None:
    world = World(OK, Backend("/", "old", payload="alb"), scheme="http")
    world(v2(BLUE, headers={"x-forwarded-proto": "https"}))
    assert world.behind.received["multiValueHeaders"]["x-forwarded-proto"] == ["http"]


def test_async_backend_gets_its_own_format() -> None:
    world = World(b"", Backend("/", "old", payload="apigateway-v1", invocation="async"))
    assert world(v2(BLUE))["statusCode"] == 202
    assert world.behind.received["resource"] == "/{proxy+}"


@pytest.mark.parametrize(
    "answer",
    [b"not json", b'{"statusCode":200,"body":[]}', BackendFailed("backend_raised", "x"), ValueError("a bug"), OK],
    ids=["unreadable", "misshaped", "refused", "bug", "answered"],
)
@pytest.mark.parametrize("event", [v2(BLUE), v2(), v2(BLUE, path="x"), {}], ids=["decided", "anonymous", "bad", "none"])
def test_nothing_of_a_request_outlives_it(answer: Answer, event: dict[str, Any]) -> None:
    """Trap D9: a refusal's traceback held the event and the answer until the next full collection."""
    world = World(answer)
    world.behind.calls = Forgetting()
    assert not outlives(world, event)


class Forgetting(list[Any]):
    """Keeps no call."""

    def append(self, _: Any) -> None:
        pass
