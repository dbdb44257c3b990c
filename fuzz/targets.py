"""The targets, by name. A target is made anew for each round, from the round's seed.

Rule: a check asserts a property of every example without using the code under test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from hypothesis import strategies as st

from fuzz.bombs import bombs
from fuzz.handler import FORMATS, any_json, valid_events
from fuzz.rounds import Outcome, Prepared, Round, Target, run
from lattice_bridge import Caller, Request, TenantMap, parse_event
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tenant_map import HERE
from lattice_bridge.errors import BackendFailed, BadRequest, LoopDetected
from lattice_bridge.formats.event import Payload
from lattice_bridge.formats.payload import encode
from lattice_bridge.formats.reply import decode, render
from lattice_bridge.local.front.lattice.events import http_response
from lattice_bridge.message import is_tenant_id
from lattice_bridge.testing import assert_valid_reply
from lattice_bridge.testing import strategies as lattice
from lattice_bridge.testing.departures import departures
from lattice_bridge.testing.strategies import Sent, WrittenMap
from tests.support.reference_readers import READERS, grouped, load
from tests.support.router_batches import batches, compare
from tests.support.router_reference import Batch
from tests.support.stream_batches import Delivery, check_delivery, deliveries

# ---- front → event → parse -------------------------------------------------------------------------------------------

_ONE_CONNECTION: Final = {
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "http2-settings",
    "te",
    "trailer",
}


def _arrives(sent: Sent) -> list[tuple[str, str]]:
    """The headers that arrive in the event for a client's request, as docs/wire.md describes it."""
    connection = ",".join(value for name, value in sent.http.headers if name == "connection")
    named = {option.strip().lower() for option in connection.split(",")} - {"host"}
    lines = [
        (name, value)
        for name, value in sent.http.headers
        if name not in _ONE_CONNECTION | named and not name.startswith("x-amzn-lattice-")
    ]
    own = [value for name, value in lines if name == "x-forwarded-for"]
    others = [(name, value) for name, value in lines if name != "x-forwarded-for"]
    return [*others, ("x-forwarded-for", ",".join([*own, sent.http.client_address]))]


def _same_request(request: Request, sent: Sent) -> None:
    path, _, raw_query = sent.http.target.partition("?")
    assert (request.method, request.path, request.raw_query) == (sent.http.method, path, raw_query)
    assert request.body == sent.http.body
    expected, found = grouped(_arrives(sent)), grouped(request.headers)
    if sent.version == 1:
        expected = {name: [",".join(values)] for name, values in expected.items()}
    assert found == expected
    assert request.request_id == sent.origin.request_id


def _same_caller(caller: Caller, sent: Sent) -> None:
    assert caller.source_vpc_arn == sent.origin.source_vpc_arn
    assert caller.authenticated == (sent.signer is not None)
    if sent.signer is not None:
        principal = sent.signer.principal
        assert caller.principal == str(principal)
        assert (caller.session_name, caller.org_id) == (principal.session, sent.signer.org)
        assert caller.x509 == (sent.signer.x509 if sent.version == 2 else None)


def _round_trip(version: Literal[1, 2]) -> Target:
    def check(sent: Sent) -> None:
        event = json.loads(json.dumps(sent.event))
        assert departures(event) == []
        request = parse_event(event)
        assert request.version == version
        _same_request(request, sent)
        _same_caller(request.caller, sent)

    return lambda _: Prepared(lattice.requests(version), check)


# ---- payloads --------------------------------------------------------------------------------------------------------


_OPTIONS: Final[dict[str, Any]] = {"tenant_header": "x-tenant-id", "now": 1763683200.25}


def _payloads(_: int) -> Prepared:
    def check(example: tuple[Sent, Payload, str]) -> None:
        sent, payload, tenant = example
        event = sent.event
        try:
            written = encode(parse_event(event), tenant=tenant, request_id="id", payload=payload, **_OPTIONS)
        except (LoopDetected, BadRequest):
            assert any(name == "x-lattice-bridge-hops" for name, _ in sent.http.headers)
            return
        form = payload if payload != "lattice" else f"lattice-v{sent.version}"
        read = READERS[form](load(written), "x-tenant-id")
        path = sent.http.target.partition("?")[0]
        assert (read.method, read.path, read.body, read.tenant) == (sent.http.method, path, sent.http.body, tenant)
        principal = None if sent.signer is None else str(sent.signer.principal)
        assert read.principal == principal or (form in ("lattice-v1", "alb") and _is_left_out(sent))

    return Prepared(st.tuples(lattice.requests(), st.sampled_from(FORMATS), lattice.tenant_ids()), check)


def _is_left_out(sent: Sent) -> bool:
    """A principal that could begin another field in V1's header is left out, with the whole header."""
    return sent.signer is not None and "," in str(sent.signer.principal)


# ---- replies ---------------------------------------------------------------------------------------------------------


def _replies(_: int) -> Prepared:
    shapes = st.one_of(
        st.tuples(lattice.backend_replies(), st.just(True)),
        st.tuples(lattice.backend_replies(False), st.just(False)),
        st.tuples(st.binary(max_size=40), st.none()),
        st.tuples(lattice.anything().map(_written), st.none()),
    )
    methods, styles = st.sampled_from(["GET", "HEAD", "POST"]), st.sampled_from(["cookies", "headers"])

    def check(example: tuple[tuple[bytes, bool | None], str, Literal["cookies", "headers"]]) -> None:
        (answer, valid), method, style = example
        try:
            response = decode(answer)
        except BackendFailed:
            assert valid is not True
            return
        assert valid is not False
        reply = render(response, method, style)
        assert_valid_reply(reply, method)
        sent = http_response(json.dumps(reply).encode(), method)
        assert sent.status == response.status
        assert sent.body == (b"" if method == "HEAD" or response.status in (204, 304) else response.body)

    return Prepared(st.tuples(shapes, methods, styles), check)


def _written(value: Any) -> bytes:
    """An event or anything, as a backend's answer."""
    answer = {"statusCode": 200, **value} if isinstance(value, dict) else value
    try:
        return json.dumps(answer).encode()
    except (RecursionError, ValueError):
        return b"[" * 5000


# ---- ids and maps ----------------------------------------------------------------------------------------------------


def _ids(_: int) -> Prepared:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/=+@-")

    def check(example: tuple[str, str]) -> None:
        good, bad = example
        assert is_tenant_id(good)
        assert 1 <= len(good) <= 256
        assert set(good) <= allowed
        assert good[0].isalnum()
        assert not is_tenant_id(bad)
        assert not bad or not set(bad) <= allowed or not bad[0].isalnum() or len(bad) > 256

    return Prepared(st.tuples(lattice.tenant_ids(), lattice.not_tenant_ids()), check)


def _maps(_: int) -> Prepared:
    def check(example: tuple[WrittenMap, list[Sent]]) -> None:
        """A map loads, and decides the same after it is compiled."""
        written, asked = example
        loaded = written.load()
        compiled = TenantMap.from_document(parse_document(compile_document(parse_document(written.text), HERE)))
        assert {name: tenant.active for name, tenant in loaded.rules.tenants.items()} == written.tenants
        for sent in asked:
            request = parse_event(sent.event)
            one, other = loaded.decide(request), compiled.decide(request)
            assert (one.tenant, one.rule, one.reason) == (other.tenant, other.rule, other.reason)

    return Prepared(st.tuples(lattice.maps(), st.lists(lattice.requests(), max_size=2)), check)


def _batches(_: int) -> Prepared:
    """The router on random events of every service, functions and quarantines. Batches of queues are compared with a
    naive router, also for random maps and deadlines."""

    def check(example: Batch | Delivery) -> None:
        compare(example) if isinstance(example, Batch) else check_delivery(example)

    return Prepared(batches() | deliveries(), check)


class Share(NamedTuple):
    """A target's part of all examples.

    Attributes:
        target: prepares a round.
        thousandths: the part of all examples.
        at_once: examples in a round, which then takes a second or two. The time is checked between rounds.
    """

    target: Target
    thousandths: int
    at_once: int = 500


TARGETS: Final[Mapping[str, Share]] = {
    "handler-events": Share(valid_events, 272),
    "handler-anything": Share(any_json, 272),
    "round-trip-v1": Share(_round_trip(1), 91),
    "round-trip-v2": Share(_round_trip(2), 91),
    "payloads": Share(_payloads, 91),
    "replies": Share(_replies, 91),
    "tenant-ids": Share(_ids, 45),
    "maps": Share(_maps, 45),
    "batches": Share(_batches, 45, at_once=100),
    "cpu-bombs": Share(bombs, 2, at_once=10),
}


def run_named(one: Round) -> Outcome:
    """Runs a round in a process of its own, which finds the target by its name."""
    return run(TARGETS[one.target].target, one)
