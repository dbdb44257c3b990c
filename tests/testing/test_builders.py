"""The builder of events: it makes what Lattice sends, and of the rest it says what to write instead."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge import parse_event
from lattice_bridge.message import X509
from lattice_bridge.testing import Case, all_events, lattice_event, lattice_headers
from lattice_bridge.testing.builders import TIME
from lattice_bridge.testing.departures import departures

ROLE = "arn:aws:iam::111122223333:role/teams/blue-api"
SERVICE = "arn:aws-cn:vpc-lattice:cn-north-1:444455556666:service/svc-1"

OF_TWO_READINGS = {
    "v1/body-base64": "older captures are without x-amzn-lattice-network",
    "v1/body-base64-json": "base64 of JSON with a charset, which AWS leaves open",
    "v1/body-text": "older captures are without x-amzn-lattice-network",
    "v1/forwarded-two-hops": "older captures are without x-amzn-lattice-network",
    "v1/header-joined": "older captures are without x-amzn-lattice-network",
    "v1/no-request-id": "older captures are without it",
    "v1/query-map-last": "AWS's page, where captures show the first",
    "v1/roles-anywhere": "the bridge does not read the certificate's fields, so this test has none to hand in",
    "v1/roles-anywhere-equals-sign": "empty fields may be there or not",
    "v1/signed-role-empty-values": "empty fields may be there or not, and unknown ones",
    "v1/signed-role-tight": "without the space, and in another order",
    "v1/signed-user": "empty fields may be there or not",
    "v2/body-base64-json": "base64 of JSON with a charset, which AWS leaves open",
    "v2/tenant-header-blanks": "HTTP removes spaces at the ends; whether Lattice does, wire.md does not say",
}
"""Events that Lattice may send for a request for which the builder makes another event."""

SENT = [case for case in all_events("v[12]/*") if not departures(case.event) and case.name not in OF_TWO_READINGS]


def identity(**arguments: Any) -> dict[str, str]:
    found: dict[str, str] = lattice_event(**arguments)["requestContext"]["identity"]
    return found


# ---- what it makes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SENT, ids=lambda case: case.name)
def test_builder_makes_every_valid_event_of_the_corpus(case: Case) -> None:
    request = parse_event(case.event)
    context = case.event.get("requestContext", {})
    forwarded = [value for name, value in request.headers if name == "x-forwarded-for"]
    clients, _, address = forwarded[0].rpartition(",")
    headers = [pair for pair in request.headers if pair[0] != "x-forwarded-for"]
    more: dict[str, Any] = {
        "service_arn": request.service_arn,
        "service_network_arn": request.service_network_arn,
        "target_group_arn": request.target_group_arn,
        "time": request.time_epoch if request.time_epoch is not None else TIME,
    }
    assert case.event == lattice_event(
        request.version,
        request.method,
        request.target,
        headers=[*headers, *([("x-forwarded-for", clients)] if clients else [])],
        body=request.body,
        principal=_principal(case.event, context),
        org_id=request.caller.org_id,
        x509=request.caller.x509,
        source_vpc=str(request.caller.source_vpc_arn),
        client_address=address,
        request_id=str(request.request_id),
        **more,
    )


def _principal(event: dict[str, Any], context: dict[str, Any]) -> str | None:
    """As the event has it: a parsed one is without a user's path."""
    v1: str = event["headers"].get("x-amzn-lattice-identity", "")
    found: str | None = context["identity"].get("principal") if context else v1.partition("Principal=")[2]
    return found.partition(";")[0] if found else None


def test_most_of_the_corpus_is_among_them() -> None:
    assert len(SENT) > 70
    assert set(OF_TWO_READINGS) <= {case.name for case in all_events()}


@pytest.mark.parametrize("version", [1, 2])
def test_same_arguments_make_equal_copies(version: Any) -> None:
    one, other = (lattice_event(version, headers={"x-a": ["1", "2"]}, principal=ROLE) for _ in range(2))
    assert one == other
    one["headers"].clear()
    assert other["headers"]


def test_text_is_written_as_utf_8_and_json_with_its_type() -> None:
    text = lattice_event(body="é", headers={"content-type": "text/plain"})
    assert parse_event(text).body == "é".encode()
    event = lattice_event(json={"n": [1, None]})
    assert (event["headers"]["content-type"], json.loads(event["body"])) == (["application/json"], {"n": [1, None]})
    assert lattice_event(json=None)["body"] == "null"
    own = {"Content-Type": "application/problem+json"}
    assert lattice_event(json={}, headers=own)["headers"]["content-type"] == ["application/problem+json"]


def test_own_host_replaces_the_default() -> None:
    assert lattice_event(headers={"Host": "a.example"})["headers"]["host"] == ["a.example"]
    assert lattice_event()["headers"]["host"] == ["orders.example.com"]


def test_a_role_signs_as_a_session_of_it() -> None:
    found = {"principal": "arn:aws:sts::111122223333:assumed-role/blue-api/i-0123456789abcdef0", "type": "AWS_IAM"}
    assert identity(principal=ROLE) == {**identity(), **found, "sessionName": "i-0123456789abcdef0"}
    assert identity(principal=ROLE, session_name="ann")["sessionName"] == "ann"
    assert identity(principal="arn:aws:iam::111122223333:assumed-role/a/s-1")["principal"].startswith("arn:aws:sts:")


def test_a_user_signs_as_itself() -> None:
    user = "arn:aws:iam::111122223333:user/teams/ann"
    assert identity(principal=user) == {**identity(), "principal": user, "type": "AWS_IAM"}


def test_a_certificate_may_be_given_by_its_fields() -> None:
    fields = {"san_uri": "spiffe://a.example/b", "issuer_ou": None}
    wanted = lattice_event(principal=ROLE, x509=X509(san_uri="spiffe://a.example/b"))
    assert lattice_event(principal=ROLE, x509=fields) == wanted  # type: ignore[arg-type] # None as X509 has it


def test_what_is_not_said_is_beside_the_service() -> None:
    context = lattice_event(service_arn=SERVICE)["requestContext"]
    assert (context["region"], context["serviceArn"]) == ("cn-north-1", SERVICE)
    vpc = context["identity"]["sourceVpcArn"]
    assert vpc == "arn:aws-cn:ec2:cn-north-1:444455556666:vpc/vpc-0a1b2c3d4e5f60718"
    for arn in (context["serviceNetworkArn"], context["targetGroupArn"]):
        assert arn.startswith("arn:aws-cn:vpc-lattice:cn-north-1:444455556666:")
    gov = lattice_event(region="us-gov-west-1")["requestContext"]
    assert gov["serviceArn"].startswith("arn:aws-us-gov:vpc-lattice:us-gov-west-1:")


def test_a_time_is_microseconds_or_a_datetime() -> None:
    at = datetime(2025, 11, 21, 0, 0, 0, 123456, tzinfo=UTC)
    assert lattice_event(time=at) == lattice_event(time=1_763_683_200_123_456)
    assert lattice_event(time=at)["requestContext"]["timeEpoch"] == "1763683200123456"


@given(
    headers=st.lists(st.tuples(st.sampled_from(["x-a", "X-B", "accept"]), st.text("ab, é", max_size=4).map(str.strip)))
)
def test_headers_alone_are_the_events_without_what_is_added(headers: list[tuple[str, str]]) -> None:
    for version in (1, 2):
        event = lattice_event(version, headers=headers)["headers"]
        for added in ("host", "x-forwarded-for", "x-amzn-lattice-network"):
            event.pop(added, None)
        assert lattice_headers(headers, version) == event


# ---- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"version": 3}, "events of version 1 and 2"),
        ({"version": True}, "events of version 1 and 2"),
        ({"version": "2.0"}, "events of version 1 and 2"),
        ({"method": "GET /"}, "as in GET"),
        ({"path": "orders"}, 'write "/orders"'),
        ({"path": ""}, 'write "/"'),
        ({"path": "/a b"}, 'write "/a%20b"'),
        ({"path": "/café?q=ü"}, 'write "/caf%C3%A9?q=%C3%BC"'),
        ({"path": "/a#b"}, 'write "/a%23b"'),
        ({"path": "/a\r\nx: y"}, 'write "/a%0D%0Ax:%20y"'),
        ({"headers": "accept: */*"}, "is not a name and a value"),
        ({"headers": {"x a": "1"}}, "is not a header's name"),
        ({"headers": {"x-a": 5}}, "write '5'"),
        ({"headers": {"x-a": ["1", None]}}, "is not text"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "change the event"),
        ({"headers": {"x-a": " 1"}}, "change the event"),
        ({"headers": {"x-a": "\ud800"}}, "change the event"),
        ({"headers": {"X-Amzn-Lattice-Identity": "Type=AWS_IAM"}}, "write principal=…"),
        ({"headers": {"Connection": "close"}}, "leave it out"),
        ({"body": {"a": 1}}, "json=…"),
        ({"body": "a", "json": 1}, "write one of them"),
        ({"body": b"x" * (6 * 2**20 + 1)}, "at most 6291456"),
        ({"principal": "blue-api"}, "as in arn:aws:iam::111122223333:role/blue-api"),
        ({"principal": 5}, "as in arn:aws:iam::111122223333:role/blue-api"),
        ({"session_name": "ann"}, "write principal=… too"),
        ({"org_id": "o-1"}, "write principal=… too"),
        ({"x509": {}}, "write principal=… too"),
        ({"principal": "arn:aws:sts::111122223333:assumed-role/a/s-1", "session_name": "s-2"}, "leave one of them out"),
        ({"principal": "arn:aws:iam::111122223333:user/ann", "session_name": "s"}, "is not a role"),
        ({"principal": ROLE, "session_name": "a/b"}, "1 to 64 of"),
        ({"principal": ROLE, "x509": {"sanUri": "x"}}, "there are issuer_ou, san_dns"),
        ({"principal": "arn:aws:iam::111122223333:user/ann", "x509": {"san_uri": "x"}}, "a role's session"),
        ({"version": 1, "principal": ROLE, "x509": {"subject_cn": "a; Principal=b"}}, "write version=2"),
        ({"source_vpc": "default"}, "as in arn:aws:ec2:eu-west-1"),
        ({"service_arn": "svc-1"}, "as in arn:aws:vpc-lattice:eu-west-1:111122223333:service/"),
        ({"target_group_arn": SERVICE}, ":targetgroup/"),
        ({"region": "Ireland"}, "as in eu-west-1"),
        ({"region": "eu-west-1", "service_arn": SERVICE}, "leave one of them out"),
        ({"client_address": "localhost"}, "as in 10.0.1.20"),
        ({"time": datetime(2025, 11, 21)}, "tzinfo=UTC"),  # noqa: DTZ001 - that is the fault
        ({"time": 1.5}, "microseconds since 1970"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_impossible_request_is_refused_with_a_fix(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        lattice_event(**arguments)
    assert says in str(refused.value)


def test_it_needs_nothing_but_the_bridge() -> None:
    """No web server, YAML or pytest: it is built by code of the local stack, whose extra may be missing."""
    program = (
        "import sys; import lattice_bridge.testing as testing\n"
        "testing.lattice_event(); testing.all_events(); testing.assert_valid_reply({'statusCode': 200})\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = [
        "boto3",
        "botocore",
        "click",
        "cryptography",
        "hypothesis",
        "jwt",
        "pytest",
        "starlette",
        "uvicorn",
        "yaml",
    ]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_unknown_argument_is_a_type_error_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"no argument 'principle'. Fix: write one of principal, session_name, "):
        lattice_event(principle="arn:aws:iam::111122223333:role/blue-api")  # type: ignore[call-arg] # the point
