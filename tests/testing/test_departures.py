"""Departures of an event from what Lattice sends: every kind, the corpus, and differences that are no departures."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge import BridgeError
from lattice_bridge.formats.recognise import parse_any
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer, to_json
from lattice_bridge.local.front.lattice.events import Origin, event_v1, event_v2
from lattice_bridge.message import X509
from lattice_bridge.testing import departures as departures_module
from lattice_bridge.testing import front_departures
from lattice_bridge.testing.builders import lattice_event
from lattice_bridge.testing.corpus import all_events
from lattice_bridge.testing.departure import Departure, Known
from lattice_bridge.testing.departures import departures, version_meant
from tests.support.paths import ROOT

WIRE: Final = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
ROLE: Final = "arn:aws:iam::111122223333:role/blue-api"
IAM: Final = "arn:aws:iam::111122223333:assumed-role/blue-api/i-1"

Event = dict[str, Any]
Change = Callable[[Event], object]


def signed(version: Any = 2) -> Event:
    """A request with something of everything, as Lattice sends it."""
    headers = {"x-tag": ["a", "b"], "cookie": "c=1"}
    x509 = {"san_uri": "spiffe://corp.example/blue"}
    asked: Event = {"headers": headers, "json": {"a": 1}, "principal": ROLE, "org_id": "o-abcde12345", "x509": x509}
    return lattice_event(version, "POST", "/orders?a=1&a=%2F&b=+", **asked)


def refuses(event: object) -> bool:
    """Whether the bridge refuses an event, although what sent it is enabled."""
    try:
        parse_any(event)
    except BridgeError:
        return True
    return False


def brief(found: list[Departure]) -> list[tuple[str, str, bool]]:
    return [(departure.where, departure.evidence, departure.refused) for departure in found]


def put(place: str, value: Any) -> Change:
    """Sets what is at a place, where the names have no slash in them."""
    *above, last = place.split("/")

    def change(event: Event) -> None:
        for key in above:
            event = event[key]
        event[last] = value

    return change


def drop(place: str) -> Change:
    *above, last = place.split("/")

    def change(event: Event) -> None:
        for key in above:
            event = event[key]
        del event[last]

    return change


def rename(old: str, new: str) -> Change:
    return lambda event: event.update({new: event.pop(old)})


# ---- one departure at a time ----------------------------------------------------------------------------------------

CONTEXT: Final = "requestContext"
IDENTITY: Final = "requestContext/identity"

V2: Final[list[tuple[Change, str, str, bool]]] = [
    (put("version", 2.0), "/version", "documented", True),
    (drop("version"), "/version", "documented", True),
    (put("headers/host", "h.example"), "/headers/host", "observed", False),
    (put("headers/x-tag", []), "/headers/x-tag", "observed", False),
    (put("headers/x-n", [1]), "/headers/x-n", "observed", True),
    (put("headers/x-n", None), "/headers/x-n", "observed", True),
    (put("headers/x-n", ["a\r\nb"]), "/headers/x-n", "documented", True),
    (put("headers/x n", ["a"]), "/headers/x n", "documented", True),
    (put("headers/X-Big", ["a"]), "/headers/X-Big", "observed", False),
    (put("headers/connection", ["close"]), "/headers/connection", "assumed", False),
    (put("headers/x-amzn-lattice-identity", ["a"]), "/headers/x-amzn-lattice-identity", "observed", False),
    (put("headers/x-long", ["a" * 9000]), "/headers/x-long", "assumed", True),
    (put("headers/x-many", ["a"] * 101), "/headers", "assumed", True),
    (drop("headers/host"), "/headers/host", "observed", False),
    (drop("headers/x-forwarded-for"), "/headers/x-forwarded-for", "observed", False),
    (put("headers/x-forwarded-for", ["1.1.1.1", "2.2.2.2"]), "/headers/x-forwarded-for", "observed", False),
    (put("headers/x-forwarded-for", ["1.1.1.1,somewhere"]), "/headers/x-forwarded-for", "observed", False),
    (put("headers", [["host", "h"]]), "/headers", "observed", True),
    (put("path", "/orders"), "/path", "observed", False),
    (put("path", "https://h/orders?a=1&a=%2F&b=+"), "/path", "observed", True),
    (put("method", "GET /"), "/method", "documented", True),
    (put("queryStringParameters/b", "+"), "/queryStringParameters/b", "observed", False),
    (put("queryStringParameters/b", [" "]), "/queryStringParameters", "observed", False),
    (put("queryStringParameters/b", [1]), "/queryStringParameters/b", "observed", False),  # not read
    (put("queryStringParameters", None), "/queryStringParameters", "observed", False),
    (drop("queryStringParameters"), "/queryStringParameters", "observed", False),
    (put("body", {"a": 1}), "/body", "observed", True),
    (put("body", ""), "/body", "observed", False),
    (put("isBase64Encoded", False), "/isBase64Encoded", "observed", False),
    (put("isBase64Encoded", None), "/isBase64Encoded", "observed", False),
    (put("isBase64Encoded", "true"), "/isBase64Encoded", "observed", True),
    (put("isBase64Encoded", True), "/body", "observed", True),
    (put("headers/content-type", ["application/x-www-form-urlencoded"]), "/body", "documented", False),
    (put("headers/content-encoding", ["gzip"]), "/body", "documented", False),
    (put("cookies", ["c=1"]), "/cookies", "observed", True),
    (put("multiValueHeaders", {}), "/multiValueHeaders", "documented", True),
    (put("statusDescription", "200 OK"), "/statusDescription", "documented", False),
    (put("is_base64_encoded", False), "/is_base64_encoded", "observed", True),
    (rename("path", "raw_path"), "/raw_path", "observed", True),
    (rename("requestId", "request_id"), "/request_id", "observed", False),
    (put(CONTEXT, None), "/requestContext", "observed", True),
    (drop(f"{CONTEXT}/serviceArn"), "/requestContext/serviceArn", "observed", True),
    (put(f"{CONTEXT}/serviceArn", "svc-1"), "/requestContext/serviceArn", "observed", False),
    (drop(f"{CONTEXT}/targetGroupArn"), "/requestContext/targetGroupArn", "observed", False),
    (drop(f"{CONTEXT}/region"), "/requestContext/region", "observed", False),
    (put(f"{CONTEXT}/stage", "prod"), "/requestContext/stage", "documented", False),
    (put(f"{CONTEXT}/timeEpoch", 1763683200123456), "/requestContext/timeEpoch", "observed", False),
    (put(f"{CONTEXT}/timeEpoch", "1763683200123"), "/requestContext/timeEpoch", "observed", False),
    (drop(IDENTITY), "/requestContext/identity", "observed", False),
    (put(IDENTITY, "AWS_IAM"), "/requestContext/identity", "observed", True),
    (drop(f"{IDENTITY}/sourceVpcArn"), f"/{IDENTITY}/sourceVpcArn", "observed", False),
    (put(f"{IDENTITY}/sourceVpcArn", "vpc-1"), f"/{IDENTITY}/sourceVpcArn", "observed", False),
    (drop(f"{IDENTITY}/principal"), f"/{IDENTITY}/principal", "observed", True),
    (put(f"{IDENTITY}/principal", "blue-api"), f"/{IDENTITY}/principal", "observed", True),
    (put(f"{IDENTITY}/principal", ROLE), f"/{IDENTITY}/principal", "observed", False),
    (put(f"{IDENTITY}/sessionName", "other"), f"/{IDENTITY}/sessionName", "observed", True),
    (drop(f"{IDENTITY}/sessionName"), f"/{IDENTITY}/sessionName", "observed", False),
    (put(f"{IDENTITY}/principalOrgID", ""), f"/{IDENTITY}/principalOrgID", "observed", False),
    (put(f"{IDENTITY}/principalOrgID", 1), f"/{IDENTITY}/principalOrgID", "documented", True),
    (put(f"{IDENTITY}/Type", "NONE"), f"/{IDENTITY}/Type", "documented", True),
    (put(f"{IDENTITY}/X509SubjectCn", "a"), f"/{IDENTITY}/X509SubjectCn", "documented", False),
    (put(f"{IDENTITY}/arn", "a"), f"/{IDENTITY}/arn", "documented", False),
]
NETWORK_HEADER: Final = "headers/x-amzn-lattice-network"
IDENTITY_HEADER: Final = "headers/x-amzn-lattice-identity"
V1: Final[list[tuple[Change, str, str, bool]]] = [
    (put("headers/host", ["h.example"]), "/headers/host", "observed", False),
    (put("headers/x-n", 1), "/headers/x-n", "observed", True),
    (put("raw_path", "/orders"), "/raw_path", "observed", False),
    (put("query_string_parameters/a", ["1"]), "/query_string_parameters/a", "observed", False),
    (put("query_string_parameters/a", "2"), "/query_string_parameters", "observed", False),
    (drop("query_string_parameters"), "/query_string_parameters", "observed", False),
    (put("is_base64_encoded", None), "/is_base64_encoded", "observed", False),
    (put("is_base64_encoded", "false"), "/is_base64_encoded", "observed", True),
    (drop("body"), "/body", "observed", False),
    (put("request_id", "two words"), "/request_id", "observed", False),
    (put("version", "1.0"), "/version", "documented", False),
    (rename("request_id", "requestId"), "/requestId", "observed", False),
    (put("requestContext", {}), "/requestContext", "documented", True),
    (put(NETWORK_HEADER, "SourceVpcArn=vpc-1"), f"/{NETWORK_HEADER}", "observed", False),
    (put(IDENTITY_HEADER, f"Principal={IAM}; Type=AWS_IAM"), f"/{IDENTITY_HEADER}", "observed", False),
    (put(IDENTITY_HEADER, "Type=AWS_IAM"), f"/{IDENTITY_HEADER}", "observed", True),
    (put(IDENTITY_HEADER, f"Principal={IAM}; Type=NONE"), f"/{IDENTITY_HEADER}", "observed", False),
]


@pytest.mark.parametrize(("change", "where", "evidence", "refused"), V2, ids=[row[1] for row in V2])
def test_a_v2_event_that_is_changed_departs_there(change: Change, where: str, evidence: str, refused: bool) -> None:
    event = signed()
    change(event)
    assert brief(departures(event)) == [(where, evidence, refused)]
    assert refuses(event) is refused


@pytest.mark.parametrize(("change", "where", "evidence", "refused"), V1, ids=[row[1] for row in V1])
def test_a_v1_event_that_is_changed_departs_there(change: Change, where: str, evidence: str, refused: bool) -> None:
    event = signed(1)
    change(event)
    assert brief(departures(event)) == [(where, evidence, refused)]
    assert refuses(event) is refused


def test_a_caller_that_did_not_sign_has_nothing_but_its_vpc() -> None:
    event = signed()
    event["requestContext"]["identity"]["type"] = "NONE"
    assert [departure.where.rpartition("/")[2] for departure in departures(event)] == [
        *("type", "principal", "principalOrgID", "sessionName", "x509SanUri")
    ]


def test_query_map_with_other_values_than_text_is_refused() -> None:
    event = lattice_event() | {"queryStringParameters": {"page": [1]}}
    assert ("/queryStringParameters/page", "observed", True) in brief(departures(event))


def test_a_body_may_be_either_where_aws_does_not_say() -> None:
    event = lattice_event(headers={"content-type": "application/json; charset=utf-8"}, body="{}")
    assert departures(event) == []
    assert departures(event | {"body": "e30=", "isBase64Encoded": True}) == []


def test_base64_of_text_departs_unless_it_is_not_utf8() -> None:
    event = lattice_event(headers={"content-type": "text/plain"}, body=b"\xff")
    assert departures(event) == []
    assert brief(departures(event | {"body": "aGk="})) == [("/body", "documented", False)]


def test_documented_example_of_v2_is_refused_by_name() -> None:
    """Trap B11: its sessionName is not the session in the principal's ARN."""
    [case] = all_events("invalid/identity-documented-example")
    [told] = [one for one in departures(case.event) if one.refused]
    assert told.where == "/requestContext/identity/sessionName"
    assert "in AWS's documented example of V2" in told.sends


def test_an_event_without_a_request_id_departs_nowhere() -> None:
    """Captures of 2023 and 2024 are without."""
    for event, key in ((lattice_event(1), "request_id"), (lattice_event(2), "requestId")):
        del event[key]
        assert departures(event) == []


def test_most_copied_fixture_of_v2_departs() -> None:
    """Strings for lists, capitals in the certificate's fields, no query in the path, no id."""
    event = lattice_event(2, "POST", "/newpath?order=1", json={}, principal=ROLE)
    event |= {"path": "/newpath", "queryStringParameters": {"order": "1"}}
    event["headers"] = {name: values[0] for name, values in event["headers"].items()}
    event["requestContext"]["identity"]["X509SubjectCn"] = "subject"
    del event["requestId"]
    assert {departure.where for departure in departures(event)} == {
        *("/headers/host", "/headers/content-type", "/headers/x-forwarded-for", "/queryStringParameters/order"),
        *("/path", "/requestContext/identity/X509SubjectCn"),
    }
    assert not refuses(event)


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (7, "7"),
        (None, "null"),
        ({}, "an object with the marks of no format or of two"),
        ({"headers": {}, "body": ""}, "an object with the marks of no format or of two"),
    ],
)
def test_what_is_no_event_is_one_departure_as_a_whole(event: object, found: str) -> None:
    [departure] = departures(event)
    assert (departure.where, departure.found, departure.refused, version_meant(event)) == ("", found, True, None)


def test_a_pointer_is_escaped_and_a_value_is_ascii_and_short() -> None:
    event = lattice_event()
    event["headers"]["a/b~c"] = ["\x1b]0;\u202e" + "x" * 5000]
    [name] = [departure for departure in departures(event) if departure.where != "/headers/host"][:1]
    assert name.where == "/headers/a~1b~0c"
    assert all(departure.found.isascii() and departure.found.isprintable() for departure in departures(event))
    assert all(len(departure.found) < 100 for departure in departures(event))


@pytest.mark.parametrize(
    "event", [b"{}", {1: {("a",): 1}, "version": "2.0"}, {"raw_path": object(), "headers": {None: {("a",): 1}}}]
)
def test_what_json_cannot_say_departs_and_raises_nothing(event: object) -> None:
    assert any(departure.refused for departure in departures(event))


# ---- the corpus -----------------------------------------------------------------------------------------------------

VALID: Final = {case.name: case.event for folder in ("v1", "v2") for case in all_events(f"{folder}/*")}
EVERY: Final = {case.name: case.event for case in all_events()}

DEPART: Final[dict[str, list[str]]] = {
    # made by hand, as they say themselves
    "v1/body-absent": ["/query_string_parameters", "/body", "/is_base64_encoded"],
    "v1/query-map-absent": ["/query_string_parameters"],
    "v1/query-map-only": ["/raw_path"],
    "v2/body-empty-flagged": ["/body", "/isBase64Encoded"],
    "v2/body-null": ["/body", "/isBase64Encoded"],
    "v2/header-empty-list": ["/headers/x-empty"],
    "v2/no-headers": ["/headers"],
    "v2/query-map-disagrees": ["/queryStringParameters"],
    "v2/query-map-empty": ["/queryStringParameters"],
    "v2/query-map-only": ["/path"],
    "v2/query-mark-alone": ["/queryStringParameters"],
    "v2/request-id-odd": ["/requestId"],
    # about fixtures that people copy
    "v1/header-capitals": [
        *("/headers/Host", "/headers/Accept", "/headers/X-Forwarded-For"),
        *("/headers/X-Amzn-Lattice-Identity", "/headers/X-AMZN-LATTICE-NETWORK"),
    ],
    "v2/body-looks-like-base64": ["/isBase64Encoded", "/body"],
    "v2/header-capitals": ["/headers/Host", "/headers/ACCEPT", "/headers/X-Forwarded-For"],
    "v2/tenant-header-two-cases": ["/headers/X-Tenant-Id"],
    "v2/header-strings": ["/headers/host", "/headers/accept", "/headers/x-forwarded-for"],
    # about callers
    "v1/roles-anywhere-forged-fields": ["/headers/x-amzn-lattice-identity"] * 3,
    "v1/identity-type-none": ["/headers/x-amzn-lattice-identity"],
    "v2/identity-absent": [f"/{IDENTITY}"],
    "v2/identity-type-absent": [f"/{IDENTITY}/{key}" for key in ("principal", "principalOrgID", "sessionName")],
    "v2/identity-type-case": [f"/{IDENTITY}/{key}" for key in ("type", "principal", "principalOrgID", "sessionName")],
    "v2/identity-type-none": [
        f"/{IDENTITY}/{key}" for key in ("type", "principal", "principalOrgID", "sessionName", "x509SanUri")
    ],
    "v2/lattice-headers-from-client": [
        *("/headers/x-amzn-lattice-identity", "/headers/X-Amzn-Lattice-Network", "/headers/X-Amzn-Lattice-Network")
    ],
    "v2/roles-anywhere-capitals": [
        f"/{IDENTITY}/{key}" for key in ("X509IssuerOU", "X509SanDns", "X509SanNameCn", "X509SanURI", "X509SubjectCn")
    ],
    "v2/roles-anywhere-partial": [f"/{IDENTITY}/x509SanDns"],
    "v2/signed-role-arn": [f"/{IDENTITY}/principal"],
    "v2/signed-role-iam-spelling": [f"/{IDENTITY}/principal"],
    "v2/signed-role-no-session-name": [f"/{IDENTITY}/principalOrgID", f"/{IDENTITY}/sessionName"],
}
"""Cases that the bridge takes → where they depart. The others depart nowhere."""


@pytest.mark.parametrize("name", VALID)
def test_a_case_that_is_taken_departs_where_it_is_known_to(name: str) -> None:
    assert [departure.where for departure in departures(VALID[name])] == DEPART.get(name, [])


def test_every_case_that_departs_is_there() -> None:
    assert set(DEPART) <= set(VALID)


@pytest.mark.parametrize("name", EVERY)
def test_a_case_is_refused_for_a_departure_or_taken_with_all(name: str) -> None:
    assert any(departure.refused for departure in departures(EVERY[name])) is refuses(EVERY[name])


# ---- what Lattice sends departs nowhere -----------------------------------------------------------------------------

PRINCIPALS: Final = [
    *(None, ROLE, IAM, "arn:aws-cn:sts::444455556666:assumed-role/worker/w-1", "arn:aws:iam::111122223333:root"),
    *("arn:aws-us-gov:iam::444455556666:user/teams/ana", "arn:aws:sts::111122223333:federated-user/ana"),
]
TYPES: Final = [
    *("text/html", "application/json", "application/json; charset=utf-8", "application/xml", "text/plain;charset=x"),
    *("application/problem+json", "application/x-www-form-urlencoded", "image/png", "", "TEXT/PLAIN"),
]
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30).map(str.strip)
names = st.text("abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=12).map("x-{}".format)
targets = st.text("aAzZ09%&=+?./~;,:@!$'()*[]-_", max_size=30).map("/{}".format)
lines = st.one_of(
    st.tuples(names, texts),
    st.tuples(st.just("content-type"), st.sampled_from(TYPES)),
    st.tuples(st.just("content-encoding"), st.just("gzip")),
    st.tuples(st.just("x-forwarded-for"), st.sampled_from(["203.0.113.7", "unknown", ""])),
    st.tuples(st.just("cookie"), st.just("a=1; b=2")),
)
headers = st.lists(lines, max_size=6)
bodies = st.one_of(st.just(b""), st.binary(max_size=40), texts.map(str.encode))
addresses = st.ip_addresses().map(str)


@given(
    version=st.sampled_from([1, 2]),
    method=st.sampled_from(["GET", "POST", "PROPFIND"]),
    path=targets,
    headers=headers,
    body=bodies,
    principal=st.sampled_from(PRINCIPALS),
    client_address=addresses,
    region=st.sampled_from([None, "us-gov-west-1", "cn-north-1"]),
)
def test_an_event_of_the_builder_departs_nowhere(**asked: Any) -> None:
    assert departures(lattice_event(**asked)) == []


@given(path=targets, lines=headers, body=bodies, principal=st.sampled_from(PRINCIPALS), address=addresses)
def test_an_event_of_the_local_front_departs_nowhere(
    path: str, lines: list[tuple[str, str]], body: bytes, principal: str | None, address: str
) -> None:
    who = None if principal is None or principal == ROLE else parse_arn(principal)
    x509 = X509(subject_cn="blue") if who is not None and who.session else None  # users have no certificate
    signer = None if who is None else Signer(who, who.session, "o-1a2b3c", x509)
    kept = [("host", "h:8080"), ("connection", "close"), ("x-amzn-lattice-identity", "Principal=x"), *lines]
    request = HttpRequest("GET", path, kept, body, address)
    for build in (event_v1, event_v2):
        assert departures(json.loads(to_json(build(request, ORIGIN, signer)))) == []


ORIGIN: Final = Origin(
    request_id="0e3bd8c8-6ef7-4f0d-8b0a-4f4b1d6f1f00",
    epoch_microseconds=1_696_331_543_569_690,
    service_arn="arn:aws:vpc-lattice:us-east-1:123456789012:service/svc-0a40eebed65f8d69c",
    service_network_arn="arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0bf3f2882e9cc805a",
    target_group_arn="arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-6d0ecf831eec9f09",
    source_vpc_arn="arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0b8276c84697e7339",
)


# ---- whatever it is, the bridge and the check are of one mind -------------------------------------------------------

WORDS: Final = [
    *("version", "path", "raw_path", "method", "headers", "queryStringParameters", "query_string_parameters", "body"),
    *("isBase64Encoded", "is_base64_encoded", "requestContext", "requestId", "request_id", "identity", "serviceArn"),
    *("type", "Type", "principal", "Principal", "sessionName", "sourceVpcArn", "x509SanUri", "X509SAN/URI", "cookies"),
    *("x-amzn-lattice-identity", "X-Amzn-Lattice-Network", "host", "a", "X A", "\u212a", "", "httpMethod", "routeKey"),
]
VALUES: Final[list[Any]] = [
    *(None, True, False, "", "2.0", 2.0, "GET", "/", "/?a=1", "AWS_IAM", "NONE", ROLE, IAM, "aGk=", "aGk", "\x00", []),
    *({}, ["a"], [["a"]], [1], "Type=AWS_IAM; Principal=" + IAM, "SourceVpcArn=v; SourceVpcArn=w", "\ud800", "1" * 16),
    *("Principal=x; X=,Principal=y; Type=AWS_IAM", "a" * 8200, ["a"] * 101),
]
anything = st.recursive(
    st.sampled_from(VALUES) | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)


def objects(event: Mapping[str, Any]) -> list[Event]:
    inside = [value for value in event.values() if isinstance(value, dict)]
    return [event, *(found for value in inside for found in objects(value))]  # type: ignore[list-item] # ours are dicts


@st.composite
def damaged(draw: st.DrawFn) -> Event:
    """An event of Lattice's with some of it replaced, added, renamed or left out."""
    event = copy.deepcopy(draw(st.sampled_from([signed(1), signed(2), lattice_event(1), lattice_event(2)])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(objects(event)))
        name = draw(st.sampled_from([*place, *WORDS]))
        what = draw(st.sampled_from(["put", "drop", "rename"]))
        if what == "put":
            place[name] = copy.deepcopy(draw(anything))
        elif name in place:
            value = place.pop(name)
            if what == "rename":
                place[draw(st.sampled_from([*WORDS, name.upper()]))] = value
    return event


@given(damaged() | anything)
def test_refused_departure_means_a_refused_event(event: Any) -> None:
    assert any(departure.refused for departure in departures(event)) is refuses(event)


# ---- evidence -------------------------------------------------------------------------------------------------------


def test_every_piece_of_evidence_is_in_the_documentation() -> None:
    section = WIRE.partition("## 1. Events")[2].partition("\n## 2.")[0] + WIRE.partition("\n## 5.")[2]
    rows = {row.replace("`", "") for row in re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)}
    headings = set(re.findall(r"^### (.+)$", section, re.MULTILINE)) | set(
        re.findall(r"^\*\*(.+)\.\*\*", section, re.M)
    )
    constants = (vars(departures_module) | vars(front_departures)).values()
    used = {known.row for known in constants if isinstance(known, Known)}
    assert len(used) > 10
    assert used <= rows | headings
