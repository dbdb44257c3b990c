"""The promises of the strategies, and that they reach each corner: `find` shows an example.

Rule: quick, and found by any run: what takes long is in fuzz/.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, Literal, TypeVar

import httptools
import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from fuzz.allowed import Asking, may_be
from fuzz.rounds import Prepared, Round, run
from fuzz.targets import TARGETS, run_named
from lattice_bridge import Caller, TenantMap, parse_event
from lattice_bridge.errors import BackendFailed
from lattice_bridge.formats.reply import decode, render
from lattice_bridge.http.headers import is_sendable
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import BusEvent, Sender, is_tenant_id
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject
from lattice_bridge.testing import assert_valid_reply, strategies
from lattice_bridge.testing.departures import departures
from lattice_bridge.testing.strategies import Nested, Sent, WrittenMap
from lattice_bridge.testing.strategies.maps import BUS, QUEUE, SENDERS
from tests.support.examples import examples
from tests.support.paths import ROOT

QUICK: Final = settings(
    max_examples=150,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[*HealthCheck],
)
T = TypeVar("T")
VERSIONS: Final[tuple[Literal[1, 2], ...]] = (1, 2)


def simplest(strategy: st.SearchStrategy[T], condition: Callable[[T], object]) -> T:
    """The example to which Hypothesis shrinks."""
    return find(strategy, lambda example: bool(condition(example)), settings=QUICK, random=random.Random(6))


STRATEGIES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "requests": strategies.requests(),
    "principals": strategies.principals(),
    "callers": strategies.callers(),
    "not_tenant_ids": strategies.not_tenant_ids(),
    "tenant_ids": strategies.tenant_ids(),
    "valid": strategies.backend_replies(),
    "broken": strategies.backend_replies(valid=False),
    "maps": strategies.maps(),
    "anything": strategies.anything(),
}


@cache
def sample(name: str) -> list[Any]:
    """Some examples, the same ones each time, in which most corners are."""
    found: list[Any] = []

    @seed(6)
    @settings(QUICK, max_examples=250, phases=[Phase.generate])
    @given(STRATEGIES[name])
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def reaches(name: str, condition: Callable[[Any], object]) -> bool:
    """Whether a strategy has an example of it: in the sample, or among some thousand more."""
    if any(condition(example) for example in sample(name)):
        return True
    wanted = settings(QUICK, max_examples=4000, phases=[Phase.generate])
    find(STRATEGIES[name], lambda example: bool(condition(example)), settings=wanted, random=random.Random(6))
    return True


# ---- the round trip --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_a_round_of_each_target_finds_nothing(name: str) -> None:
    """Front, event and parse for both versions; the whole handler; payloads; replies: see fuzz/targets.py."""
    count = examples(20 if name == "cpu-bombs" else 100)  # an event of 6 MB takes a thousand times as long
    outcome = run_named(Round(name, seed=6, examples=count))
    assert outcome.failure == ""
    assert outcome.examples == count


@QUICK
@given(strategies.events())
def test_event_has_no_departures(event: dict[str, Any]) -> None:
    assert json.loads(json.dumps(event)) == event
    assert departures(event) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("signed", [True, False])
def test_events_are_of_the_version_and_signed_as_asked(version: Literal[1, 2], signed: bool) -> None:
    @settings(QUICK, max_examples=50)
    @given(strategies.events(version, signed))
    def check(event: dict[str, Any]) -> None:
        request = parse_event(event)
        assert (request.version, request.caller.authenticated) == (version, signed)

    check()


@settings(QUICK, max_examples=100)
@given(strategies.requests(signed=True, by=st.just("arn:aws-cn:iam::111122223333:role/x/blue-api")))
def test_events_are_signed_by_whom_one_names(sent: Sent) -> None:
    """A role as a session of it, which is how roles sign."""
    caller = parse_event(sent.event).caller
    assert caller == sent.caller
    assert str(caller.principal).startswith("arn:aws-cn:sts::111122223333:assumed-role/blue-api/")
    assert caller.session_name


class Parsed:
    """The request that httptools, the front's parser, reads."""

    def __init__(self, sent: Sent) -> None:
        self.target, self.headers, self.body = "", list[tuple[str, str]](), b""
        self._read = httptools.HttpRequestParser(self)
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.http.headers)
        content = sent.http.body
        if ("transfer-encoding", "chunked") in sent.http.headers:
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        self._read.feed_data(f"{sent.http.method} {sent.http.target} HTTP/1.1\r\n{lines}\r\n".encode() + content)

    @property
    def method(self) -> str:
        return str(self._read.get_method().decode())

    def on_url(self, url: bytes) -> None:
        self.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode(), value.decode()))

    def on_body(self, body: bytes) -> None:
        self.body += body


@QUICK
@given(strategies.requests())
def test_a_request_is_one_that_http_can_carry(sent: Sent) -> None:
    parsed = Parsed(sent)
    assert (parsed.method, parsed.target, parsed.body) == (sent.http.method, sent.http.target, sent.http.body)
    assert parsed.headers == sent.http.headers


def test_an_event_that_is_written_to_is_no_other_s() -> None:
    sent = simplest(strategies.requests(), lambda sent: sent.http.body)
    before = copy.deepcopy(sent.event)
    sent.event["headers"].clear()
    assert sent.event == before


def test_the_simplest_event_is_a_plain_one() -> None:
    sent = simplest(strategies.requests(), lambda sent: True)
    assert (sent.version, sent.signer, sent.http.method, sent.http.target) == (2, None, "GET", "/")
    assert sent.http.headers == [("host", "orders.example.com")]
    assert sent.http.body == b""


def _query(sent: Sent) -> list[str]:
    return sent.http.target.partition("?")[2].split("&")


def _values(sent: Sent, name: str) -> list[str]:
    return [value for key, value in sent.http.headers if key == name]


CORNERS: Final[dict[str, Callable[[Sent], object]]] = {
    "a repeated header": lambda sent: len(_values(sent, "x-a")) > 1,
    "two cookie lines": lambda sent: len(_values(sent, "cookie")) > 1,
    "an empty header": lambda sent: "" in _values(sent, "x-a"),
    "a header beyond ASCII": lambda sent: not all(value.isascii() for _, value in sent.http.headers),
    "a chain of addresses": lambda sent: any("," in value for value in _values(sent, "x-forwarded-for")),
    "two lines of addresses": lambda sent: len(_values(sent, "x-forwarded-for")) > 1,
    "a forged identity": lambda sent: _values(sent, "x-amzn-lattice-identity"),
    "a header of one connection": lambda sent: _values(sent, "connection"),
    "a tenant header twice": lambda sent: len(_values(sent, "x-tenant-id")) > 1,
    "another spelling of it": lambda sent: _values(sent, "x_tenant_id"),
    "an empty query value": lambda sent: "a=" in _query(sent),
    "a flag": lambda sent: "flag" in _query(sent),
    "a repeated query name": lambda sent: sum(part.startswith("a=") for part in _query(sent)) > 1,
    "an encoded slash": lambda sent: "%2F" in sent.http.target.partition("?")[0],
    "an escape that is none": lambda sent: "a=%zz" in _query(sent),
    "bytes that are not UTF-8 in a query": lambda sent: "a=%FF" in _query(sent),
    "a question mark and no query": lambda sent: sent.http.target.endswith("/?"),
    "an empty segment": lambda sent: sent.http.target.startswith("//"),
    "a body in base64": lambda sent: sent.event.get("isBase64Encoded"),
    "a text body": lambda sent: sent.http.body and not sent.event.get("isBase64Encoded"),
    "text that is not UTF-8": lambda sent: sent.http.body == b'"\xff"',
    "an encoded body": lambda sent: _values(sent, "content-encoding"),
    "an IPv6 client": lambda sent: ":" in sent.http.client_address,
    "a HEAD": lambda sent: sent.http.method == "HEAD",
}


@pytest.mark.parametrize("corner", CORNERS)
def test_a_request_can_have(corner: str) -> None:
    assert reaches("requests", CORNERS[corner])


def test_what_is_found_is_as_small_as_can_be() -> None:
    sent = simplest(strategies.requests(), CORNERS["a repeated header"])
    assert sent.http.headers == [("host", "orders.example.com"), ("x-a", "1"), ("x-a", "1")]
    assert (sent.http.target, sent.http.body, sent.signer) == ("/", b"", None)


# ---- callers ---------------------------------------------------------------------------------------------------------


@QUICK
@given(strategies.principals())
def test_a_principal_is_one(text: str) -> None:
    principal = parse_arn(text)
    assert principal == parse_arn(str(principal))


KINDS: Final = ("assumed-role", "role", "user", "federated-user", "root")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
def test_principals_are_of_every_kind_and_partition(kind: str, partition: str) -> None:
    assert reaches("principals", lambda text: (parse_arn(text).kind, parse_arn(text).partition) == (kind, partition))


@pytest.mark.parametrize("part", [":iam::111122223333:assumed-role/", ":role/team/x/", "AWSReservedSSO_", ",b=c"])
def test_principals_are_also_spelled(part: str) -> None:
    assert reaches("principals", lambda text: part in text)


@QUICK
@given(strategies.callers())
def test_a_caller_is_one_that_the_bridge_can_read(caller: Caller) -> None:
    assert caller.authenticated == (caller.iam is not None)
    if caller.iam is None:
        assert caller == Caller(source_vpc_arn=caller.source_vpc_arn)
    else:
        assert caller.session_name == caller.iam.session
        assert caller.x509 is None or caller.iam.kind == "assumed-role"


CALLERS: Final[dict[str, Callable[[Caller], object]]] = {
    "unsigned": lambda caller: not caller.authenticated,
    "a user of aws-cn": lambda caller: caller.iam and (caller.iam.partition, caller.iam.kind) == ("aws-cn", "user"),
    "an organisation's": lambda caller: caller.org_id,
    "a workload": lambda caller: caller.x509 and str(caller.x509.san_uri).startswith("spiffe://"),
    "a certificate that forges": lambda caller: caller.x509 and "; Principal=" in str(caller.x509.subject_cn),
    "without a VPC": lambda caller: caller.source_vpc_arn is None,
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_can_be(caller: str) -> None:
    assert reaches("callers", CALLERS[caller])


@pytest.mark.parametrize("signed", [True, False])
def test_callers_are_signed_or_not_as_asked(signed: bool) -> None:
    assert simplest(strategies.callers(signed), lambda caller: True).authenticated is signed


# ---- tenant ids ------------------------------------------------------------------------------------------------------


@QUICK
@given(strategies.tenant_ids(), strategies.not_tenant_ids())
def test_a_tenant_id_is_one_and_what_is_none_is_none(good: str, bad: str) -> None:
    assert is_tenant_id(good)
    assert not is_tenant_id(bad)


NEAR_MISSES: Final[dict[str, Callable[[str], object]]] = {
    "a space at the end (A10)": lambda text: text.endswith(" ") and is_tenant_id(text[:-1]),
    "a space at the start (A10)": lambda text: text.startswith(" ") and is_tenant_id(text[1:]),
    "a line's end (A10)": lambda text: text.endswith("\n") and is_tenant_id(text[:-1]),
    "a NUL (A10)": lambda text: text.endswith("\0") and is_tenant_id(text[:-1]),
    "a look-alike (A11)": lambda text: text == "gr\u0435en",
    "the Kelvin sign (A11)": lambda text: text == "\u212a",
    "full width (A11)": lambda text: "\uff42" in text,
    "percent-encoded (A12)": lambda text: text.startswith("%62") and is_tenant_id(text[3:]),
    "257 characters (A13)": lambda text: len(text) == 257 and is_tenant_id(text[:-1]),
    "9,000 characters (A13)": lambda text: len(text) == 9000,
    "two of them (A4)": lambda text: "," in text and all(map(is_tenant_id, text.split(","))),
    "a mark in front": lambda text: text.startswith("-") and is_tenant_id(text[1:]),
    "nothing": lambda text: text == "",
    "a lone surrogate": lambda text: not is_sendable(text) and not any(ord(letter) < 0xA0 for letter in text),
}


@pytest.mark.parametrize("miss", NEAR_MISSES)
def test_what_is_no_tenant_id_can_be(miss: str) -> None:
    assert reaches("not_tenant_ids", NEAR_MISSES[miss])


def test_tenant_ids_cover_the_grammar() -> None:
    assert reaches("tenant_ids", lambda text: len(text) == 256)
    assert reaches("tenant_ids", lambda text: set("._:/=+@-") <= set(text))


# ---- replies ---------------------------------------------------------------------------------------------------------


@QUICK
@given(strategies.backend_replies(), st.sampled_from(["GET", "HEAD"]))
def test_valid_answer_becomes_a_valid_reply(answer: bytes, method: str) -> None:
    assert_valid_reply(render(decode(answer), method), method)


@QUICK
@given(strategies.backend_replies(valid=False))
def test_a_broken_reply_of_a_backend_is_refused(answer: bytes) -> None:
    with pytest.raises(BackendFailed):
        decode(answer)


def _object(answer: bytes) -> dict[str, Any]:
    value = json.loads(answer)
    return value if isinstance(value, dict) else {}


def _named(answer: bytes) -> dict[str, Any]:
    headers = _object(answer).get("headers")
    return headers if isinstance(headers, dict) else {}


VALID: Final[dict[str, Callable[[bytes], object]]] = {
    "data": lambda answer: not _object(answer),
    "an object without a status": lambda answer: _object(answer) and "statusCode" not in _object(answer),
    "a status alone": lambda answer: _object(answer) == {"statusCode": 200},
    "a status as text": lambda answer: _object(answer).get("statusCode") == "200",
    "several cookies": lambda answer: len(_object(answer).get("cookies") or []) > 1,
    "API Gateway 1.0's": lambda answer: _object(answer).get("multiValueHeaders"),
    "cookies that differ by case": lambda answer: sum(name.lower() == "set-cookie" for name in _named(answer)) > 1,
    "a number as a header": lambda answer: 5 in _named(answer).values(),
    "bytes": lambda answer: _object(answer).get("isBase64Encoded") and _object(answer)["body"],
    "a 204 with a body": lambda answer: _object(answer).get("statusCode") == 204 and _object(answer).get("body"),
    "over several lines": lambda answer: b"\n" in answer,
    "UTF-8": lambda answer: not answer.isascii(),
}


@pytest.mark.parametrize("shape", VALID)
def test_a_valid_reply_can_be(shape: str) -> None:
    assert reaches("valid", VALID[shape])


def _readable(answer: bytes) -> dict[str, Any] | None:
    try:
        return _object(answer)
    except (ValueError, RecursionError):
        return None


def _field(answer: bytes, name: str) -> Any:
    return (_readable(answer) or {}).get(name)


BROKEN: Final[dict[str, Callable[[bytes], object]]] = {
    "nothing": lambda answer: answer == b"",
    "no JSON": lambda answer: answer.startswith(b"<html>"),
    "cut off": lambda answer: answer.startswith(b'{"statusCode": 200') and _readable(answer) is None,
    "NaN": lambda answer: answer == b"NaN",
    "too deep": lambda answer: answer.startswith(b"[[[["),
    "a status out of range": lambda answer: _field(answer, "statusCode") == 600,
    "a line's end in a header": lambda answer: _field(answer, "headers") == {"x": "a\r\nb"},
    "a structure as a body": lambda answer: isinstance(_field(answer, "body"), dict),
    "no base64": lambda answer: _field(answer, "body") == "aGk",
    "two locations": lambda answer: _field(answer, "multiValueHeaders") == {"Location": ["a", "b"]},
}


@pytest.mark.parametrize("shape", BROKEN)
def test_a_broken_reply_can_be(shape: str) -> None:
    assert reaches("broken", BROKEN[shape])


def test_replies_of_both_kinds_are_there_to_be_asked_for() -> None:
    both = strategies.backend_replies(None)
    assert simplest(both, lambda answer: _readable(answer) is None) == b""
    assert simplest(both, lambda answer: _field(answer, "statusCode") == 200) == b'{"statusCode":200}'


# ---- maps ------------------------------------------------------------------------------------------------------------


@settings(QUICK, max_examples=80)
@given(strategies.maps())
def test_a_map_loads_with_the_tenants_and_rules_that_it_says(written: WrittenMap) -> None:
    loaded = written.load()
    assert {name: tenant.active for name, tenant in loaded.rules.tenants.items()} == written.tenants
    ids = {rule.id for rule in loaded.rules.owners.values()}
    ids |= {rule.id for denials in loaded.rules.denials.values() for rule in denials}
    assert ids == {rule["id"] for rule in written.rules}
    assert loaded.rules.header == written.header
    assert all(map(parse_arn, written.principals))


def _rules(written: WrittenMap, *keys: str) -> Iterator[dict[str, Any]]:
    return (rule for rule in written.rules if set(keys) <= set(rule))


@pytest.mark.parametrize(
    "anchor",
    ["role", "session", "user", "root", "federated_user", "account", "sso", "jwt", "anyone", "sender", "source"],
)
def test_a_map_can_have_a_rule_for(anchor: str) -> None:
    assert reaches("maps", lambda written: any(_rules(written, anchor)))


MAPS: Final[dict[str, Callable[[WrittenMap], object]]] = {
    "a prefix of a role": lambda written: any(rule["role"].endswith("*") for rule in _rules(written, "role")),
    "a VPC of unsigned callers": lambda written: any(len(rule) == 4 for rule in _rules(written, "vpc", "accept_risk")),
    "a deny beside an allow": lambda written: (
        any(_rules(written, "deny")) and not all("deny" in r for r in written.rules)
    ),
    "a choice": lambda written: any(len(rule["tenants"]) > 1 for rule in _rules(written, "tenants")),
    "any tenant": lambda written: any(rule["tenants"] == "*" for rule in _rules(written, "tenants")),
    "a name from a session": lambda written: any(_rules(written, "template", "session_set_by")),
    "a name from a certificate": lambda written: any(_rules(written, "x509_set_by")),
    "a name from a claim": lambda written: any(_rules(written, "claim", "claim_is_list")),
    "a condition": lambda written: any(_rules(written, "role", "org")),
    "another partition": lambda written: any(":aws-cn:" in arn or "aws-cn" in arn for arn in written.principals),
    "a suspended tenant": lambda written: not all(written.tenants.values()),
    "another header": lambda written: written.header == "x-customer",
}


@pytest.mark.parametrize("kind", MAPS)
def test_a_map_can_have(kind: str) -> None:
    assert reaches("maps", MAPS[kind])


def test_the_simplest_map_is_one_role_and_one_tenant() -> None:
    written = simplest(strategies.maps(), lambda written: True)
    assert written.rules == ({"id": "rule-0", "role": "arn:aws:iam::111122223333:role/blue-api", "tenant": "blue"},)
    assert TenantMap.from_toml(written.text).rules.tenants.keys() == {"blue"}


@settings(QUICK, max_examples=80)
@given(st.data())
def test_allowed_caller_has_a_rule(data: st.DataObject) -> None:
    """By fuzz.allowed, which reads the map's tables for itself."""
    written = data.draw(strategies.maps())
    by = st.sampled_from(written.principals) if written.principals else None
    event = data.draw(strategies.events(signed=True, by=by))
    decision = written.load().decide(parse_event(event))
    if decision.tenant is not None:
        assert may_be(decision.tenant, Asking.of(event), None, written.rules, written.tenants)


@settings(QUICK, max_examples=80)
@given(
    strategies.maps(), st.sampled_from([*SENDERS, f"{SENDERS[0]}:blue", "111122223333"]), st.none() | st.just("blue")
)
def test_allowed_record_has_a_rule(written: WrittenMap, sender_id: str, claim: str | None) -> None:
    """Trap E2: the queue and the sender, and not the claim, give the tenant."""
    asking = Asking.of_record({"attributes": {"SenderId": sender_id}, "eventSourceARN": QUEUE})
    sender = Sender(str(asking.sender), asking.session)
    loaded = written.load()
    decision = decide(Subject(requested_tenant=claim, source=QUEUE, sender=sender), loaded.rules)
    if decision.tenant is not None:
        assert may_be(decision.tenant, asking, claim, written.rules, written.tenants)


@settings(QUICK, max_examples=80)
@given(
    strategies.maps(),
    st.tuples(
        st.sampled_from(["111122223333", "444455556666", "999999999999"]),
        st.sampled_from(["shop", "aws.s3", "aws.events"]),
        st.sampled_from(["Order placed", "Object Created"]),
    ),
    st.none() | st.just("blue"),
)
def test_allowed_event_has_a_rule(written: WrittenMap, event: tuple[str, str, str], claim: str | None) -> None:
    """Trap E2: the event's account and its bus, and not the claim, give the tenant."""
    subject = Subject(requested_tenant=claim, source=BUS, bus_event=BusEvent(*event))
    decision = decide(subject, written.load().rules)
    if decision.tenant is not None:
        assert may_be(decision.tenant, Asking(queue=BUS, event=event), claim, written.rules, written.tenants)


# ---- anything --------------------------------------------------------------------------------------------------------


def _inside(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, Nested):
        return
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _inside(item)


ANYTHING: Final[dict[str, Callable[[Any], object]]] = {
    "null": lambda value: value is None,
    "an event": lambda value: isinstance(value, dict) and departures(value) == [],
    "an event of both versions": lambda value: isinstance(value, dict) and {"raw_path", "requestContext"} <= set(value),
    "a path of no text": lambda value: isinstance(value, dict) and not isinstance(value.get("path", ""), str),
    "no version": lambda value: isinstance(value, dict) and "requestContext" in value and "version" not in value,
    "lists 5,000 deep": lambda value: any(
        isinstance(item, Nested) and len(repr(item)) == 12 for item in _inside(value)
    ),
    "a number of 4,200 digits": lambda value: any(isinstance(item, int) and item > 10**4000 for item in _inside(value)),
    "NaN": lambda value: any(isinstance(item, float) and item != item for item in _inside(value)),
    "a lone surrogate": lambda value: any("\ud800" in item for item in _inside(value) if isinstance(item, str)),
    "101 headers": lambda value: any(isinstance(item, dict) and len(item) == 101 for item in _inside(value)),
}


@pytest.mark.parametrize("kind", ANYTHING)
def test_anything_can_be(kind: str) -> None:
    assert reaches("anything", ANYTHING[kind])


def test_nested_value_has_its_depth_and_a_short_repr() -> None:
    value: Any = Nested(3)
    assert json.dumps(value) == "[[[[]]]]"
    assert repr([Nested(5000)]) == "[Nested(5000)]"


def test_anything_starts_from_the_events_that_one_gives() -> None:
    near = st.builds(lambda: {"headers": {}, "mine": 1})
    assert simplest(strategies.anything(near), lambda value: isinstance(value, dict)) == {"headers": {}, "mine": 1}


# ---- the extra, and the fuzzer ---------------------------------------------------------------------------------------


def test_without_hypothesis_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import lattice_bridge.testing.strategies"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert ran.returncode == 1
    assert (
        "ImportError: lattice_bridge.testing.strategies needs Hypothesis; pip install 'lattice-bridge[testing]'"
        in ran.stderr
    )


def test_a_round_that_fails_is_shrunk_and_can_be_run_again() -> None:
    def check(number: int) -> None:
        assert number < 1000

    prepared = Prepared(st.integers(), check, "about")
    first, again = (run(lambda _: prepared, Round("x", 6, 200)) for _ in range(2))
    assert first.failure == again.failure
    assert first.failure.startswith("about\n")
    assert "example=1000," in first.failure
    assert first.round.command == "python -m fuzz --only x --seed 6 --examples 200"


def test_the_fuzzer_says_how_many_examples_it_tried() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-m", "fuzz", "--examples", "60", "--seconds", "30", "--seed", "6", "--only", "replies"]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "60 examples in" in ran.stdout
