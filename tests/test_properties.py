"""Properties of every map and request, and of hostile input.

The reference, `expected`, reads every rule in turn and shares no code with the package.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lattice_bridge import Bridge, BridgeError, TenantMap, parse_event
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import (
    BackendFailed,
    InvalidMap,
    Misconfigured,
    NotFound,
    TimedOut,
    TooLarge,
    Unavailable,
)
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.invoke.call import Call
from lattice_bridge.tenancy.rules import Tenant
from tests.support.builders import OPEN, role, tenant_map, v1, v2
from tests.support.decision_reference import (
    ANYWHERE,
    CONDITIONS,
    ISSUERS,
    ONE,
    OUTCOMES,
    SERVICES,
    TWO,
    URI,
    Asked,
    Headers,
    Map,
    Table,
    a_crowd,
    anchor_of,
    anchors,
    anybody,
    arns,
    callers,
    conditions_in,
    expected,
    in_grammar,
    is_rival,
    maps,
    maps_of,
    mostly,
    rules_for,
    sensible,
    tenant_headers,
    token_sets,
)
from tests.support.examples import examples
from tests.support.hostile import LOOK_ALIKES, SHAPES, hostile, json_values
from tests.support.token_builder import jwk, key_set, sign
from tests.support.valid import assert_valid

# ---- decisions ------------------------------------------------------------------------------------------------------

several = partial(st.lists, min_size=3, max_size=3)


def crossed(who: list[Asked], tokens: list[Table], headers: list[Headers]) -> list[Asked]:
    return [replace(one, tokens=some, headers=lines) for one in who for some in tokens for lines in headers]


@settings(max_examples=examples(90), deadline=None)
@given(maps, st.lists(anybody, min_size=4, max_size=4), several(token_sets), several(tenant_headers), st.randoms())
def test_decision_equals_a_scan_of_all_rules(
    one: Map, who: list[Asked], tokens: list[Table], headers: list[Headers], dice: random.Random
) -> None:
    """21,600 pairs of a map and a request. Neither the order of rules changes one, nor compiling the map."""
    found = one.load()
    shuffled = replace(one, rules=tuple(dice.sample(one.rules, len(one.rules)))).load()
    compiled = TenantMap.from_document(parse_document(compile_document(Document(one.tables, ""), Path())))
    compiled.find = found.find if not one.closed else compiled.find
    for asked in crossed(who, tokens, headers):
        decision = asked.decide(found)
        assert decision.tenant == expected(one, asked)
        assert decision.allowed == (decision.tenant is not None)
        for other in (asked.decide(shuffled), asked.decide(compiled)):
            assert (other.tenant, other.rule, other.reason) == (decision.tenant, decision.rule, decision.reason)


denies = st.builds(
    sensible, anchors(ANYWHERE) | st.sampled_from(a_crowd), st.just({"deny": True}), st.sampled_from(CONDITIONS)
)


@settings(max_examples=examples(90), deadline=None)
@given(maps, denies, several(anybody), several(token_sets), several(tenant_headers))
def test_adding_a_deny_never_allows_anything(
    one: Map, deny: Table, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    """A caller who is still allowed is allowed by the same rule."""
    before, requests = one.load(), crossed(who, tokens, headers)
    for extra in (deny, *(_shut(table, deny) for table in one.rules)):
        if any(is_rival(extra, table) for table in one.rules):
            continue
        after = replace(one, rules=(*one.rules, {"id": "extra", **extra})).load()
        for asked in requests:
            now = asked.decide(after)
            if now.allowed:
                then = asked.decide(before)
                assert (now.tenant, now.rule) == (then.tenant, then.rule)


def _shut(table: Table, deny: Table) -> Table:
    """A deny for the callers of a rule, on another's conditions."""
    anchor = {key: table[key] for key in (anchor_of(table), "session") if key in table}
    return sensible(anchor, {"deny": True}, {kind: deny[kind] for kind in conditions_in(deny)})


elsewhere = arns([("aws", TWO), ("aws", "111122223334"), ("aws", "011112222333"), ("aws-cn", ONE), ("aws-us-gov", ONE)])
maps_of_one = maps_of(rules_for((ONE,), nobody=False), mostly)


@settings(max_examples=examples(90), deadline=None)
@given(maps_of_one, several(callers(elsewhere)), several(token_sets), several(tenant_headers))
def test_caller_of_another_account_is_refused(
    one: Map, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    """Trap B4, for whatever name, session, certificate, VPC, organisation, token and header; through both versions."""
    found = one.load()
    for asked in crossed(who, tokens, headers):
        assert not asked.decide(found).allowed
    for asked in who:
        for event in (as_v2(asked), as_v1(asked)):
            request = parse_event(event)
            assert request.caller.authenticated
            assert found.decide(request).reason in ("no_rule", "denied")


def _identity(asked: Asked) -> dict[str, str]:
    found = {"principal": asked.who, "sessionName": asked.session, "principalOrgID": asked.org}
    found |= {"sourceVpcArn": asked.vpc, "x509SanUri": asked.uri}
    return {name: value for name, value in found.items() if value is not None}


def as_v2(asked: Asked) -> Table:
    context = {"serviceArn": asked.service or SERVICES[0], "identity": {"type": "AWS_IAM", **_identity(asked)}}
    return v2(requestContext=context)


def as_v1(asked: Asked) -> Table:
    """The VPC in a header of its own; last a certificate's fields, which only sessions have."""
    found = _identity(asked)
    vpc, uri = found.pop("sourceVpcArn", ""), found.pop("x509SanUri", None)
    fields = [*(f"{name}={value}" for name, value in found.items()), "Type=AWS_IAM"]
    if uri is not None and ":assumed-role/" in str(asked.who):
        fields.append(f"X509SAN/URI={uri}")
    network = f"SourceVpcArn={vpc}"
    return v1(headers={"x-amzn-lattice-network": network, "x-amzn-lattice-identity": "; ".join(fields)})


# ---- hostile texts --------------------------------------------------------------------------------------------------

hostile_claims = st.fixed_dictionaries({}, optional={"tenant": json_values, "app": json_values}) | st.builds(
    lambda value: {"app": {"tenant": value}, "tenant": value}, json_values | st.lists(hostile, max_size=3)
)
hostile_tokens = st.dictionaries(st.sampled_from(ISSUERS), hostile_claims, max_size=2)
hostile_headers = st.just(()) | st.builds(
    lambda name, value: ((name, value),),
    st.sampled_from(["x-tenant-id"] * 4 + ["x-tenant_id", "authorization"]),
    hostile,
)
TAKING: Final = [outcome for outcome in OUTCOMES if "tenant_from" in outcome or outcome.get("tenants") == "*"]
taking = st.builds(
    sensible,
    st.sampled_from([{"role": f"arn:aws:iam::{ONE}:role/a"}, {"jwt": "corp"}, {"jwt": "lab"}, {"anyone": True}]),
    st.sampled_from(TAKING),
    st.just({}),
)
hostile_callers = st.builds(
    lambda who, session, uri: Asked(who, session, uri=uri) if who else Asked(),
    st.sampled_from([role("a")] * 3 + [None]),
    hostile | st.none(),
    hostile | st.none(),
)


def carriers(text: str, other: str) -> Iterator[Asked]:
    """Requests in which a text stands wherever a tenant's name could be read."""
    yield Asked(role("a"), text, uri=text)
    yield Asked(role("a"), other, uri=URI.format(tenant=other), headers=(("x-tenant-id", text),))
    for value in (text, [text], [text, other], [text, f"t-{other}"], [text, 7], {"tenant": text}, [[text]]):
        yield Asked(tokens={"corp": {"tenant": value, "app": {"tenant": value}}})


NO_TEXTS: Final[tuple[Any, ...]] = (None, 7, 7.0, True, 10**400, float("nan"), [7], [None], [], {}, ["blue", None])


@settings(max_examples=150, deadline=None)
@given(
    maps_of(taking, st.just(True)),
    st.sampled_from(["blue", "old", "b:1"]),
    st.lists(hostile, max_size=5),
    several(json_values),
)
def test_allowed_tenant_is_the_registrys_own_string(some: Map, name: str, texts: list[str], values: list[Any]) -> None:
    """For any session name, certificate, claim and header. It is the tenant that they name."""
    one = replace(some, tenants={**some.tenants, "b:1": True, "7": True, "True": True, "None": True})
    found = one.load()
    own = {id(tenant.id) for tenant in found.rules.tenants.values()}
    asked = [
        one_of
        for text in (*(shape.format(name) for shape in SHAPES), *LOOK_ALIKES, *texts)
        for one_of in carriers("".join([*text]), name)
    ]
    asked += [Asked(tokens={"corp": {"tenant": value, "app": {"tenant": value}}}) for value in (*NO_TEXTS, *values)]
    for request in asked:
        decision = request.decide(found)
        assert decision.tenant == expected(one, request)
        if decision.allowed:
            assert in_grammar(decision.tenant)
            assert one.tenants[str(decision.tenant)]
            assert id(decision.tenant) in own


def _unreachable(name: str) -> Tenant | None:
    raise Unavailable("registry_unavailable", "a test")


REGISTRIES: Final[dict[str, Callable[[str], Tenant | None]]] = {
    "knows everybody": lambda name: Tenant("".join([*name])),
    "has no tenant": lambda name: None,
    "has suspended all": lambda name: Tenant(name, active=False),
    "answers for another": lambda name: Tenant("green"),
    "folds": lambda name: Tenant(name.strip().lower()),
    "is out of reach": _unreachable,
}


@settings(max_examples=examples(90), deadline=None)
@given(
    maps_of(taking, st.just(False)),
    st.sampled_from([*REGISTRIES]),
    several(hostile_callers),
    several(hostile_tokens),
    several(hostile_headers),
)
def test_registry_answer_for_another_name_is_refused(
    one: Map, kind: str, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    found = one.load()
    answers: list[tuple[str, Tenant | None]] = []

    def find(name: str) -> Tenant | None:
        answers.append((name, None))
        answers[-1] = (name, REGISTRIES[kind](name))
        return answers[-1][1]

    found.find = find
    for asked in crossed(who, tokens, headers):
        answers.clear()
        decision = asked.decide(found) if asked.tokens else found.decide(asked.request)
        assert len(answers) <= 1
        if decision.allowed:
            [(name, tenant)] = answers
            assert tenant is not None
            assert decision.tenant is tenant.id
            assert (tenant.id, tenant.active, in_grammar(name)) == (name, True, True)
        elif answers and kind in ("knows everybody", "is out of reach"):
            assert (decision.status, kind) == (503, "is out of reach")


# ---- input of any kind -----------------------------------------------------------------------------------------------

EVENT_KEYS: Final = (
    *("version", "path", "method", "headers", "body", "isBase64Encoded", "requestContext", "queryStringParameters"),
    *("raw_path", "query_string_parameters", "is_base64_encoded", "request_id", "requestId", "serviceArn", "identity"),
    *("type", "principal", "sessionName", "sourceVpcArn", "x509SanUri", "X509SAN/URI", "x-tenant-id", "X-Tenant-Id"),
    *("x-id-token", "x-lattice-bridge-hops", "connection", "x-amzn-lattice-identity", "authorization", "cookies"),
)


def walk(node: Any, dice: random.Random) -> Iterator[tuple[Any, Any]]:
    """Places in a JSON value, each with what holds it: from the outside in, by chance."""
    while isinstance(node, dict | list) and node:
        key = dice.choice([*node] if isinstance(node, dict) else range(len(node)))
        yield node, key
        node = node[key]


def _broken(event: Table, values: list[Any], dice: random.Random) -> Table:
    """An event with a part replaced by each of the values, or left out, or with something added."""
    event = copy.deepcopy(event)
    for value in values:
        places = [*walk(event, dice)]
        if not places:
            break
        node, key = dice.choice(places)
        if isinstance(node, dict) and dice.random() < 0.3:
            key = dice.choice(EVENT_KEYS)
        if isinstance(node, dict) and dice.random() < 0.1:
            node.pop(key, None)
        else:
            node[key] = copy.deepcopy(value)
    return event


def _tokens() -> Iterator[str]:
    now = int(time.time())
    good = {"iss": "https://corp.example", "aud": "x", "iat": now, "exp": now + 600, "tenant": "blue"}
    changes: list[Table] = [{}, {"tenant": None}, {"exp": 1}, {"exp": 1e400}, {"aud": [1]}, {"iss": {}}, {"nbf": "x"}]
    return (sign({**good, **change}) for change in changes)


def whole_events() -> list[Table]:
    lines: list[Table] = [{}, *({"x-tenant-id": value} for value in ("blue", "old", "blue\n"))]
    lines += [{"x-tenant-id": "blue", "x-id-token": token} for token in _tokens()]
    lines += [{"x-id-token": "Bearer a.b.c"}, {"x-id-token": "AWS4-x"}, {"authorization": "AWS4-HMAC-SHA256 x"}]
    lines += [{"x": "\ud800", "x-tenant-id": "blue"}, {"x-lattice-bridge-hops": "4"}]
    who = [None, role("edge-proxy"), role("blue-api"), role("a", session="blue"), f"arn:aws:iam::{ONE}:root"]
    return [
        make(principal, headers=some, method=method, **{where: path})
        for make, where in ((v1, "raw_path"), (v2, "path"))
        for path in ("/a?b=%ff&c=%zz", "/a")
        for principal in who
        for some in lines
        for method in ("GET", "HEAD")
    ]


anything = json_values | st.sampled_from(
    ["HEAD", "2.0", "AWS_IAM", role("a"), "/a?b=%zz", "/\udfff?%ff", "4", True, [], {}]
)
broken_events = st.builds(
    _broken, st.deferred(lambda: st.sampled_from(whole_events())), st.lists(anything, max_size=3), st.randoms()
)
events = st.one_of(
    broken_events,
    broken_events,
    json_values,
    st.dictionaries(st.sampled_from(EVENT_KEYS), anything, max_size=6),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> TenantMap:
    """A map of every kind of anchor whose tokens' keys are at hand."""
    folder = tmp_path_factory.mktemp("map")
    (folder / "keys.json").write_bytes(key_set(jwk()))
    return TenantMap.from_toml(
        f"""
        tenants = {{ blue = {{}}, green = {{}}, old = {{ status = "suspended" }} }}
        [jwt.corp]
        issuer = "https://corp.example"
        audience = ["x"]
        algorithms = ["ES256"]
        jwks_file = "keys.json"
        header = "x-id-token"
        [[rule]]
        id = "sessions"
        role = "arn:aws:iam::{ONE}:role/a"
        tenant_from = "session"
        session_set_by = "a test"
        [[rule]]
        id = "edge"
        role = "arn:aws:iam::{ONE}:role/edge-proxy"
        tenants = "*"
        [[rule]]
        id = "workload"
        role = "arn:aws:iam::{ONE}:role/blue-api"
        tenant_from = "x509_san_uri"
        template = "spiffe://example.org/{{tenant}}"
        x509_set_by = "a test"
        [[rule]]
        id = "users"
        jwt = "corp"
        tenant_from = "claim"
        claim = ["tenant"]
        [[rule]]
        id = "open"
        anyone = true
        tenants = "*"
        accept_risk = "a test"
        [[rule]]
        id = "shut"
        account = "{TWO}"
        deny = true
        """,
        folder,
    )


@settings(max_examples=examples(150), deadline=None)
@given(event=events)
@example(event={"version": "2.0", "requestContext": ["serviceArn"]})
@example(event=v2(headers={"x": "\ud800" * 3000}))
def test_event_is_a_request_with_a_decision_or_a_refusal(guarded: TenantMap, event: Any) -> None:
    try:
        request = parse_event(event)
    except BridgeError:
        return
    decision = guarded.decide(request)
    assert decision.allowed == (decision.reason == "allowed")
    assert decision.tenant in ("blue", "green") if decision.allowed else decision.tenant is None


response_fields = st.dictionaries(
    st.sampled_from(["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"]),
    anything
    | st.sampled_from(
        [200, 204, 304, 199, 600, "200", 2e2, 1e400, "aGk=", False, ["a=b"], {"a": "b", "A": ["c", None]}]
    )
    | st.dictionaries(
        st.sampled_from(["connection", "content-type", "Set-Cookie", "set-cookie", "a b", "x"]), anything
    ),
    max_size=5,
).map(lambda fields: {"statusCode": 200, **fields}) | st.builds(
    lambda name, value: {"statusCode": 200, "headers": {name: value}},
    st.sampled_from(["connection", "keep-alive", "content-length", "x", "set-cookie"]),
    st.sampled_from(["a\r\nb", "\0", "\ud800", "x, close", "a"]),
)
answers = st.one_of(
    st.binary(max_size=50),
    st.builds(lambda value: json.dumps(value).encode(), response_fields | json_values),
    st.builds(
        lambda make, after: make("internal", "a test", retry_after=after),
        st.sampled_from([BackendFailed, TimedOut, TooLarge, Unavailable, Misconfigured, NotFound, BridgeError]),
        st.sampled_from([None, 0, 1]),
    ),
    st.sampled_from([InvalidMap(["a test"]), ValueError("a bug"), RecursionError(), KeyError("\ud800")]),
)


@settings(max_examples=examples(150), deadline=None)
@given(
    broken_events
    | events
    | st.sampled_from([v1(role("blue-api")), v2(role("blue-api")), v2(role("blue-api"), method="HEAD")]),
    answers,
    st.sampled_from(["sync", "sync", "async"]),
    st.booleans(),
    st.sampled_from([None, object(), {"aws_request_id": 1}]),
)
@example(v2(role("blue-api")), b'{"statusCode":200,"headers":{"x":"a\\r\\nb"}}', "sync", True, None)
@example(v2(role("blue-api")), b'{"statusCode":200,"body":"\\ud800"}', "sync", True, None)
def test_bridge_always_gives_a_valid_reply(
    event: Any, answer: bytes | Exception, invocation: Any, isolated: bool, context: object
) -> None:
    def invoke(call: Call) -> bytes:
        assert call.tenant in ("blue", "green") if isolated else call.tenant is None
        if isinstance(answer, Exception):
            raise answer
        return answer

    behind = [Backend("/", "orders", isolated=isolated, invocation=invocation)]
    written: list[str] = []
    bridge = Bridge(tenant_map(OPEN), invoke, backends=behind, write=written.append)
    assert_valid(bridge(event, context), method_of(event))
    for line in written[0].splitlines():
        json.loads(line).items()
