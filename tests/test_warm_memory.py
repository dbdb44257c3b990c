"""The memories of a bridge. They change nothing: neither a decision, nor a payload, nor a reply.

The oracle is a bridge without memories. It gets the same event, and has to answer and log the same.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Bridge, TenantMap
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import reply
from lattice_bridge.formats.lattice_v2 import CALLERS
from lattice_bridge.formats.payload import DROPPED_NAMES
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.http.headers import FOLDED_NAMES, HEADER_NAMES, LOWER_NAMES, REMEMBERED_NAMES
from lattice_bridge.http.memory import Memory
from lattice_bridge.identity.principal import PRINCIPALS, parse_arn
from lattice_bridge.invoke.call import Call
from lattice_bridge.message import Authorizer, Caller
from lattice_bridge.tenancy.anchors import CALLER_KEYS
from lattice_bridge.tenancy.decide import RequestEntitlements, decide
from lattice_bridge.tenancy.rules import Tenant
from lattice_bridge.tenancy.subject import SPELLED_WELL, Subject, subject_of
from tests.support.builders import ACCOUNT, MAP, OPEN, SERVICE, VPC, role, tenant_map, v1, v2
from tests.support.examples import examples
from tests.support.hostile import hostile

MEMORIES: Final[tuple[Memory[Any, Any], ...]] = (
    *(HEADER_NAMES, CALLERS, DROPPED_NAMES, SPELLED_WELL),
    *(FOLDED_NAMES, LOWER_NAMES, PRINCIPALS, CALLER_KEYS),
)
MOST: Final = (*(512, 1024, 256, 256), *(1024, 1024, 1024, 1024))
"""Entries that each of them keeps, at most."""
EDGE: Final = role("edge-proxy")
ANSWER: Final = b'{"statusCode":200,"headers":{"Content-Type":"text/plain","x-a":"1"},"body":"hello"}'


def forget() -> None:
    for memory in MEMORIES:
        memory.clear()


class Served:
    """A bridge with a clock that stands still, and what it made of its last event."""

    def __init__(self, found: TenantMap, *, answer: bytes = ANSWER, keep: frozenset[str] = frozenset()) -> None:
        self._calls: list[Call] = []
        self._written: list[str] = []
        self._answer = answer
        backends = [Backend("/", "orders:live", keep_headers=keep)]
        self._bridge = Bridge(
            found, self._invoke, backends=backends, write=self._written.append, clock=lambda: 1.0, cold=False
        )

    def _invoke(self, call: Call) -> bytes:
        self._calls.append(call)
        return self._answer

    def __call__(self, event: object) -> tuple[reply.Reply, list[tuple[str | None, bytes]], list[dict[str, Any]]]:
        self._calls.clear()
        self._written.clear()
        found = self._bridge(event, None)
        lines = [json.loads(line) for line in "".join(self._written).splitlines()]
        for line in lines:
            line.pop("timestamp", None)
            line.pop("_aws", None)
        return found, [(call.tenant, call.payload) for call in self._calls], lines

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._calls[-1].payload)
        return found


# ---- warm and empty -------------------------------------------------------------------------------------------------

NAMES: Final = (
    *("accept", "Accept", "ACCEPT", "x-tenant-id", "X-Tenant-Id", "X_Tenant_Id", "x.tenant.id", "x-request-id"),
    *("authorization", "Authorization", "x-amz-security-token", "connection", "te", "x-lattice-bridge-hops"),
    *("x-amzn-lattice-identity", "X_Amzn_Lattice_Network", "x-other", "x-\u212aelvin", "", "a b", "n" * 3000),
)
values = st.sampled_from(
    ["*/*", "blue", "green", "old", "1", "4", "a\tb", "a\nb", "é", "\ud800", "v" * 3000, "v" * 9000, 1, None, True]
)
entries = values | st.lists(values, max_size=3)
headers = st.dictionaries(st.sampled_from(NAMES) | hostile, entries, max_size=5)
fields = st.sampled_from(
    ["sessionName", "SESSIONNAME", "principalOrgID", "sourceVpcArn", "type", "x509SanUri", "other"]
)
identities = st.dictionaries(
    fields,
    st.sampled_from(["AWS_IAM", "i-0123", "o-a1b2c3d4e5", VPC, "", "s" * 3000, "1", 1, True, None]) | hostile,
    max_size=4,
)
principals = st.sampled_from(
    [None, EDGE, role("blue-api"), role("support"), role("leaver"), role("leaked"), "x", "p" * 3000, 1, True, ["p"]]
)
paths = st.sampled_from(["/orders?a=1&b", "/?X-Amz-Signature=1", "/?%78-amz-signature=1", "/\u20ac", "/ ", "/a\x7f", 1])
queries = st.sampled_from([None, {}, {"a": ["1"]}, {"X_Amz_Credential": ["1"], "b": "2"}, {"%78-amz-signature": "1"}])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    own, principal, path, query = draw(headers), draw(principals), draw(paths), draw(queries)
    if draw(st.booleans()):
        event = v1(str(principal), raw_path=path, query_string_parameters=query)
        return {**event, "headers": {**event["headers"], **own}}
    event = v2(path=path, queryStringParameters=query, body=draw(st.sampled_from(["", "é", "\ud800", '{"a":1}'])))
    identity = {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": principal, **draw(identities)}
    context = {**event["requestContext"], "identity": identity if principal is not None else draw(identities)}
    return {**event, "headers": {**event["headers"], **own}, "requestContext": context}


WARM: Final = Served(tenant_map(OPEN))


@settings(max_examples=examples(200), deadline=None)
@given(events())
def test_warm_bridge_answers_as_one_without_memories(event: dict[str, Any]) -> None:
    """Trap D8: hostile names, folded spellings, a name twice in different case, surrogates and huge values included."""
    first, again = WARM(event), WARM(event)
    kept = [dict(memory) for memory in MEMORIES]
    forget()
    expected = Served(tenant_map(OPEN))(event)
    for memory, one in zip(MEMORIES, kept, strict=True):
        memory.update(one)
    assert first == again == expected


answers = st.fixed_dictionaries(
    {"statusCode": st.just(200)},
    optional={
        "headers": st.dictionaries(
            st.sampled_from(["a", "A", "date", "Date", "a b", "set-cookie"]), entries, max_size=4
        ),
        "multiValueHeaders": st.none() | st.dictionaries(st.sampled_from(["a", "Date"]), st.lists(values), max_size=2),
        "cookies": st.none() | st.lists(values, max_size=2),
    },
)


@settings(max_examples=examples(200), deadline=None)
@given(answers)
def test_answer_gives_the_same_reply_with_and_without_memories(answer: dict[str, Any]) -> None:
    text = json.dumps(answer).encode()
    warm = Served(tenant_map(), answer=text)
    first, again = warm(v2(EDGE, headers={"x-tenant-id": "blue"})), warm(v2(EDGE, headers={"x-tenant-id": "blue"}))
    HEADER_NAMES.clear()
    assert first == again == Served(tenant_map(), answer=text)(v2(EDGE, headers={"x-tenant-id": "blue"}))


# ---- each input of a key --------------------------------------------------------------------------------------------

IDENTITY: Final[dict[str, Any]] = {
    "sourceVpcArn": VPC,
    "type": "AWS_IAM",
    "principal": role("edge-proxy", session="i-1"),
    "principalOrgID": "o-a1b2c3d4e5",
    "sessionName": "i-1",
    "x509SanUri": "spiffe://a/b",
}


def identified(identity: Mapping[str, Any]) -> dict[str, Any]:
    event = v2()
    return {**event, "requestContext": {**event["requestContext"], "identity": dict(identity)}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sourceVpcArn", f"{VPC}0"),
        ("type", "NONE"),
        ("principal", role("edge-proxy", "444455556666", session="i-1")),
        ("principalOrgID", "o-b2"),
        ("principalOrgID", None),
        ("x509SanUri", "spiffe://a/c"),
    ],
)
def test_identity_that_differs_in_one_field_is_another_caller(field: str, value: object) -> None:
    """Trap D8."""
    before = parse_event(identified(IDENTITY)).caller
    other = parse_event(identified({**IDENTITY, field: value})).caller
    assert other != before
    assert parse_event(identified(IDENTITY)).caller is before


@pytest.mark.parametrize("value", [1, 1.0, True, ["1"]])
def test_identity_with_another_type_is_refused_after_one_that_is_equal(value: object) -> None:
    """Trap D8: `1`, `1.0` and `True` are equal, and have the same hash."""
    served = Served(tenant_map())
    assert served(identified({**IDENTITY, "other": "1"}))[1] == []
    for other in (value, "1", value):
        reason = served(identified({**IDENTITY, "other": other}))[2][0]["reason"]
        assert reason == ("ambiguous" if other == "1" else "malformed_event")


def test_names_are_not_read_as_values() -> None:
    """Trap D8: the key of an identity has its names and its values in one row."""
    swapped = {value: name for name, value in IDENTITY.items()}
    assert parse_event(identified(IDENTITY)).caller.authenticated
    assert not parse_event(identified(swapped)).caller.authenticated


def test_value_under_another_name_is_another_callers() -> None:
    """Trap D8: the same values, in the same order."""
    renamed = {{"principalOrgID": "other"}.get(name, name): value for name, value in IDENTITY.items()}
    found = [parse_event(identified(identity)).caller.org_id for identity in (IDENTITY, renamed) * 2]
    assert found == ["o-a1b2c3d4e5", None] * 2


def test_names_in_another_order_have_their_own_values() -> None:
    """Trap D8: the value of the header beside it would be the tenant."""
    served, names = Served(tenant_map()), {"accept": "green", "x-tenant-id": "blue"}
    for headers in (names, dict(reversed(names.items()))) * 2:
        assert [tenant for tenant, _ in served(v2(EDGE, headers=headers))[1]] == ["blue"]


HEADER: Final = '[header]\nname = "x-team"\n'


def test_reserved_spellings_are_those_of_the_map_that_serves() -> None:
    """Trap D8: the same names, and another tenant header."""
    event = v2(EDGE, headers={"X_Team": "blue", "x-tenant-id": "blue"})
    for _ in range(2):
        assert Served(tenant_map())(event)[1] != []
        named = Served(TenantMap.from_toml(HEADER + MAP))(event)
        assert (named[1], named[2][0]["reason"]) == ([], "reserved_spelling")


def test_reserved_spellings_are_those_of_the_issuers() -> None:
    """Trap D8: the same names, and another header with tokens."""
    request = parse_event(v2(EDGE, headers={"X_Token": "1"}))
    for _ in range(2):
        subject_of(request, {}, "x-tenant-id", frozenset())
        with pytest.raises(BadRequest, match="reserved_spelling"):
            subject_of(request, {}, "x-tenant-id", frozenset({"x-token"}))


def test_names_that_are_forwarded_are_those_of_the_tenant_header() -> None:
    """Trap D8: beside ours, a client's header with the tenant would be read."""
    event = v2(EDGE, headers={"X-Team": "green", "x-tenant-id": "blue"})
    plain, named = Served(tenant_map()), Served(TenantMap.from_toml(HEADER + MAP))
    for _ in range(2):
        plain(event)
        assert (plain.payload["headers"]["X-Team"], plain.payload["headers"]["x-tenant-id"]) == (["green"], ["blue"])
        named(event)
        assert named.payload["headers"].keys() == {"host", "x-team", "x-request-id", "x-lattice-bridge-hops"}


def test_credential_is_dropped_in_each_spelling() -> None:
    """Trap D8."""
    served = Served(tenant_map())
    for name in ("authorization", "Authorization", "AUTHORIZATION") * 2:
        served(v2(EDGE, headers={name: "secret", "x-tenant-id": "blue"}))
        assert name not in served.payload["headers"]


def test_names_that_are_forwarded_are_those_of_the_backend_that_serves() -> None:
    """Trap D8: the same names, and another list of headers that are kept."""
    event = v2(EDGE, headers={"Authorization": "secret", "x-tenant-id": "blue"})
    plain, keeping = Served(tenant_map()), Served(tenant_map(), keep=frozenset({"authorization"}))
    for _ in range(2):
        plain(event)
        assert "Authorization" not in plain.payload["headers"]
        keeping(event)
        assert keeping.payload["headers"]["Authorization"] == ["secret"]


def test_names_that_are_forwarded_depend_on_the_format() -> None:
    """Trap D8: `x-amzn-lattice-network` is Lattice's in V1, and a client's in V2."""
    names = {"host": "a", "x-amzn-lattice-network": f"SourceVpcArn={VPC}", "x-tenant-id": "blue"}
    served = Served(tenant_map(OPEN))
    for _ in range(2):
        served({**v1(), "headers": dict(names)})
        assert "x-amzn-lattice-network" in served.payload["headers"]
        served({**v2(), "headers": {name: [value] for name, value in names.items()}})
        assert "x-amzn-lattice-network" not in served.payload["headers"]


def test_names_in_another_case_keep_their_spelling() -> None:
    served = Served(tenant_map())
    for name in ("x-other", "X-Other", "x-Other") * 2:
        served(v2(EDGE, headers={name: "1", "x-tenant-id": "blue"}))
        assert served.payload["headers"][name] == ["1"]


# ---- what evidence gives --------------------------------------------------------------------------------------------


def conditional(condition: str) -> str:
    name = f"arn:aws:iam::{ACCOUNT}:role/by-condition"
    return f'\n[[rule]]\nid = "conditional"\nrole = "{name}"\ntenant = "blue"\n{condition}\n'


NETWORK: Final = f"arn:aws:vpc-lattice:eu-west-1:{ACCOUNT}:servicenetwork/sn-0a1b2c3d4e5f60718"
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("condition", "change"),
    [
        (f'vpc = "{VPC}"', lambda context: context["identity"].update(sourceVpcArn=f"{VPC}0")),
        ('org = "o-a1b2c3d4e5"', lambda context: context["identity"].pop("principalOrgID")),
        (f'service = "{SERVICE}"', lambda context: context.update(serviceArn=f"{SERVICE}0")),
        (f'network = "{NETWORK}"', lambda context: context.pop("serviceNetworkArn")),
    ],
)
def test_evidence_that_differs_in_one_part_is_decided_anew(condition: str, change: Change) -> None:
    """Trap D8."""
    served = Served(tenant_map(conditional(condition)))

    def event() -> dict[str, Any]:
        made = identified({**IDENTITY, "principal": role("by-condition", session="i-1")})
        made["requestContext"]["serviceNetworkArn"] = NETWORK
        return made

    other = event()
    change(other["requestContext"])
    for _ in range(2):
        assert [tenant for tenant, _ in served(event())[1]] == ["blue"]
        assert served(other)[1] == []


NAMED: Final = Caller(authenticated=True, iam=parse_arn(role("edge-proxy")))
EVIDENCE: Final = (
    Subject(requested_tenant="blue"),
    Subject(requested_tenant="blue", has_unverified_credential=True),
    Subject(requested_tenant="blue", tokens={"corp": {"tenant": "green"}}),
    Subject(requested_tenant="blue", client_cert="CN=green"),
    Subject(requested_tenant="blue", api_id="a1b2c3d4e5", authorizer=Authorizer({"tenant": "green"})),
    Subject(requested_tenant="blue", api_id="a1b2c3d4e5"),
    Subject(NAMED, requested_tenant="blue"),
    Subject(NAMED, requested_tenant="blue", api_id="a1b2c3d4e5"),
    Subject(NAMED, requested_tenant="blue", api_id="z1y2x3w4v5"),
    Subject(NAMED, requested_tenant="blue", tokens={"corp": {"tenant": "green"}}),
    Subject(NAMED, requested_tenant="blue", client_cert="CN=green"),
    Subject(NAMED, requested_tenant="blue", api_id="a1b2c3d4e5", authorizer=Authorizer({"tenant": "green"})),
    Subject(NAMED, requested_tenant="green"),
    Subject(NAMED),
)
"""Subjects each two of which differ in one part."""

ALL_KINDS: Final = """
[[rule]]
id = "device"
client_cert = "CN=green"
tenant = "green"
client_cert_issued_by = "a test"

[[rule]]
id = "closed"
api = "z1y2x3w4v5"
deny = true

[[rule]]
id = "answer"
api = "a1b2c3d4e5"
tenant_from = "authorizer"
path = ["claims", "tenant"]
authorizer_set_by = "a test"
"""


def test_decision_after_any_other_one_is_the_same_as_anew() -> None:
    """Trap D8: what was found for one kind of evidence is not used for another."""
    rules = tenant_map(OPEN, ALL_KINDS).rules

    def decided(found: RequestEntitlements) -> list[tuple[str | None, str | None, str]]:
        decisions = [decide(subject, rules, rules.tenants.get, found) for subject in EVIDENCE]
        return [(decision.tenant, decision.rule, decision.reason) for decision in decisions]

    anew = [decide(subject, rules) for subject in EVIDENCE]
    expected = [(decision.tenant, decision.rule, decision.reason) for decision in anew]
    assert len({reason for _, _, reason in expected}) >= 4
    for before in EVIDENCE:
        found = RequestEntitlements()
        decide(before, rules, rules.tenants.get, found)
        assert decided(found) == expected


def test_another_map_is_not_asked_by_what_the_first_one_found() -> None:
    """Trap D8: a reload ends what was found."""
    event, other = v2(role("blue-api")), MAP.replace('tenant = "blue"', 'tenant = "green"')
    assert [tenant for tenant, _ in Served(tenant_map())(event)[1]] == ["blue"]
    assert [tenant for tenant, _ in Served(TenantMap.from_toml(other))(event)[1]] == ["green"]


def test_rules_of_a_map_cannot_be_replaced() -> None:
    """Trap D8: what was found with the first rules would be used with the others."""
    found, other = tenant_map(), TenantMap.from_toml(MAP.replace('tenant = "blue"', 'tenant = "green"'))
    with pytest.raises(AttributeError):
        setattr(found, "rules", other.rules)  # noqa: B010 - mypy refuses the assignment


def test_copy_of_a_map_decides_the_same_and_begins_without_what_was_found() -> None:
    found = tenant_map()
    found.decide(parse_event(v2(role("blue-api"))))
    sent = pickle.loads(pickle.dumps(found))
    assert sent._entitlements == {} != found._entitlements
    assert sent.decide(parse_event(v2(role("blue-api")))).tenant == "blue"


def test_suspended_tenant_is_refused_although_its_rule_was_found() -> None:
    found, event = tenant_map(), v2(role("blue-api"))
    active = True
    found.find = lambda name: Tenant(name, active=active)
    served = Served(found)
    assert len(served(event)[1]) == 1
    active = False
    assert served(event)[2][0]["reason"] == "tenant_suspended"
    found.find = lambda _: None
    assert served(event)[2][0]["reason"] == "tenant_unknown"


def test_refused_request_is_decided_anew() -> None:
    served = Served(tenant_map())
    for header, reason in (
        ("blue", "ok"),
        ("yellow", "tenant_not_allowed"),
        ("green", "ok"),
        ("b c", "tenant_malformed"),
    ):
        found = served(v2(role("support"), headers={"x-tenant-id": header}))
        assert found[2][0]["reason"] == reason


# ---- bounds ---------------------------------------------------------------------------------------------------------


def test_long_names_and_identities_are_not_kept() -> None:
    """Trap D9."""
    forget()
    served = Served(tenant_map(OPEN))
    for _ in range(2):
        served(v2(headers={"n" * REMEMBERED_NAMES: "1", "x-tenant-id": "blue"}))
        served(identified({**IDENTITY, "other": "v" * 2000}))
    assert [names for _, _, names in SPELLED_WELL] == [("host",)]
    assert len(CALLERS) == 1  # the unsigned caller of the first event
    assert max(len(name) for names in HEADER_NAMES for name in names) < 100


def test_memories_do_not_grow_with_what_clients_send() -> None:
    """Trap D9."""
    served = Served(tenant_map(OPEN))
    for number in range(1100):
        principal = role("edge-proxy", session=f"s{number}")
        event = identified({"sourceVpcArn": VPC, "principal": principal, "other": str(number)})
        served({**event, "headers": {f"x-{number}": ["1"], "x-tenant-id": ["blue"]}})
    assert [len(memory) <= most for memory, most in zip(MEMORIES, MOST, strict=True)] == [True] * len(MOST)
