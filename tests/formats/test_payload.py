"""The payload of a backend: Lattice's own event, with our headers in place of the client's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import parse_event
from lattice_bridge.errors import BadRequest, LoopDetected, TooLarge
from lattice_bridge.formats.payload import MAX_HOPS, encode, with_fields
from lattice_bridge.http.headers import fold
from lattice_bridge.message import Caller, Request
from tests.support.builders import role, v1, v2

BLUE = role("blue-api")
MakeEvent = Callable[..., dict[str, Any]]


def received(event: object, tenant_header: str = "x-tenant-id", **options: Any) -> dict[str, Any]:
    fields = {"tenant": "blue", "request_id": "r-1", **options}
    payload: dict[str, Any] = json.loads(encode(parse_event(event), tenant_header=tenant_header, **fields))
    return payload


def headers(event: object, tenant_header: str = "x-tenant-id", **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = received(event, tenant_header, **options)["headers"]
    return given


@pytest.mark.parametrize("event", [v1(BLUE, path="x"), v2(BLUE, body="{}", extra={"a": [1]})])
def test_everything_but_headers_is_unchanged(event: dict[str, Any]) -> None:
    payload = received(event)
    assert {**payload, "headers": None} == {**event, "headers": None}


def test_v1_gets_strings_and_v2_gets_lists() -> None:
    assert headers(v1())["x-tenant-id"] == "blue"
    assert headers(v2())["x-tenant-id"] == ["blue"]


@pytest.mark.parametrize("make", [v1, v2])
def test_the_tenant_the_id_and_the_count_of_passes_are_ours(make: MakeEvent) -> None:
    theirs = {"X-Tenant-Id": "green", "x-request-id": "forged", "X-Lattice-Bridge-Hops": "2"}
    given = headers(make(headers=theirs))
    ours = {"x-tenant-id": "blue", "x-request-id": "r-1", "x-lattice-bridge-hops": "3"}
    assert {name: given[name] if make is v1 else given[name][0] for name in ours} == ours
    assert not set(theirs) & set(given) - set(ours)


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-tenant-id",
        "X-Amz-Tenant-Id",
        "x_amz_tenant_id",
        "x-amzn-tenant-id",
        "X-AMZN_TENANT-ID",
        "x_tenant_id",
        "X_Request_Id",
        "x_lattice_bridge-hops",
        "Authorization",
        "x_amz_security_token",
    ],
)
@pytest.mark.parametrize("make", [v1, v2])
def test_every_spelling_of_a_reserved_header_is_dropped(make: MakeEvent, name: str) -> None:
    """Trap A15."""
    given = headers(make(headers={name: "green"}))
    assert "green" not in json.dumps(given)
    assert fold(name) not in {fold(other) for other in given} - {"x-tenant-id", "x-request-id", "x-lattice-bridge-hops"}


@pytest.mark.parametrize("make", [v1, v2])
def test_usual_tenant_headers_are_dropped_beside_another_one(make: MakeEvent) -> None:
    """Trap A15: a backend may read any of them."""
    given = headers(make(headers={"x-tenant-id": "green", "X_Org": "green"}), "x-org")
    assert "green" not in json.dumps(given)
    assert given["x-org"] in ("blue", ["blue"])


def test_lattice_headers_of_a_v2_client_are_dropped() -> None:
    """Trap A7."""
    forged = {"x-amzn-lattice-identity": "a", "X_Amzn_Lattice_Network": "a", "x-amzn-lattice-new": "a"}
    assert not [name for name in headers(v2(headers=forged)) if "lattice" in name.lower() and "bridge" not in name]


def test_lattices_own_headers_in_v1_arrive() -> None:
    assert "x-amzn-lattice-identity" in headers(v1(BLUE))


@pytest.mark.parametrize("keep", ["authorization", "x-amz-security-token"])
def test_credential_is_kept_only_if_the_setting_names_it(keep: str) -> None:
    """Trap A15."""
    theirs = {"Authorization": "a", "x-amz-security-token": "b"}
    kept = {name.lower() for name in headers(v2(headers=theirs), keep=frozenset({keep}))}
    assert kept & {"authorization", "x-amz-security-token"} == {keep}


@pytest.mark.parametrize("name", ["x_amz_security_token", "X-Amz_Security-Token"])
def test_a_kept_credential_is_kept_under_its_own_name_only(name: str) -> None:
    assert name not in headers(v2(headers={name: "x"}), keep=frozenset({"x-amz-security-token"}))


@pytest.mark.parametrize("name", ["connection", "te", "upgrade", "Keep-Alive"])
@pytest.mark.parametrize("make", [v1, v2])
def test_what_describes_one_connection_ends_with_it(make: MakeEvent, name: str) -> None:
    """`connection: x-tenant-id` tells a proxy behind the function to drop the header that we set."""
    assert name not in headers(make(headers={name: "x-tenant-id"}))


def test_other_headers_arrive_as_they_were_written() -> None:
    theirs = {"Cookie": ["a=1"], "X-Many": ["1", "2"], "x_under": ["é"]}
    assert theirs.items() <= headers(v2(headers=theirs)).items()


# ---- passes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passes", range(MAX_HOPS))
def test_up_to_four_passes_are_counted(passes: int) -> None:
    """Trap D16."""
    assert headers(v1(headers={"x-lattice-bridge-hops": str(passes)}))["x-lattice-bridge-hops"] == str(passes + 1)


@pytest.mark.parametrize("passes", ["4", "04", "99"])
def test_a_fifth_pass_is_a_loop(passes: str) -> None:
    """Trap D16."""
    with pytest.raises(LoopDetected) as error:
        received(v1(headers={"x-lattice-bridge-hops": passes}))
    assert (error.value.status, error.value.reason) == (508, "loop")


@pytest.mark.parametrize("passes", ["", "-1", "1,1", "100", " 1", "1.0", "٣", "1e0"])
def test_a_count_of_passes_that_is_none_is_refused(passes: str) -> None:
    """Trap D16: reading it as zero would end no loop."""
    with pytest.raises(BadRequest, match="malformed_header"):
        received(v1(headers={"x-lattice-bridge-hops": passes}))


def test_two_counts_of_passes_are_refused() -> None:
    with pytest.raises(BadRequest, match="header_repeated"):
        received(v2(headers={"x-lattice-bridge-hops": ["0", "3"]}))


# ---- size and text --------------------------------------------------------------------------------------------------


def test_request_with_other_fields_keeps_the_rest() -> None:
    """Each field has a value of its own, so that a field that is left out, or two that are swapped, differ."""
    made = Request(**{field.name: field.name for field in fields(Request)})  # type: ignore[arg-type] # only copied
    changes: dict[str, Any] = {"headers": (), "raw_query": "", "request_id": "r-1", "caller": Caller(), "time_epoch": 1}
    changes["authorizer"] = None
    outgoing = with_fields(made, **changes)
    assert outgoing == replace(made, **changes)
    assert outgoing.event == made.event  # not part of `==`


def test_payload_one_byte_over_the_limit_is_refused() -> None:
    size = len(encode(parse_event(v2(body="é")), tenant="blue", tenant_header="x-tenant-id", request_id="r"))
    fields: dict[str, Any] = {"tenant": "blue", "tenant_header": "x-tenant-id", "request_id": "r"}
    assert len(encode(parse_event(v2(body="é")), limit=size, **fields)) == size
    with pytest.raises(TooLarge) as error:
        encode(parse_event(v2(body="é")), limit=size - 1, **fields)
    assert (error.value.status, error.value.reason) == (413, "request_too_large")


def test_text_beyond_ascii_is_sent_as_utf_8() -> None:
    raw = encode(parse_event(v2(body="é☃")), tenant="blue", tenant_header="x-tenant-id", request_id="r")
    assert "é☃".encode() in raw


def test_half_a_surrogate_pair_is_sent_as_an_escape() -> None:
    assert received(v2(body="a\ud800"))["body"] == "a\ud800"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="malformed_event"):
        received(v2(extra=value))


def test_an_event_as_deep_as_python_goes_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadRequest, match="RecursionError"):
        received(v2(extra=deep))


names = st.text(alphabet="xX-_aAmMzZnNtTeEiIdDlLcC", min_size=1, max_size=20) | st.sampled_from(
    ["x-tenant_id", "X_TENANT_ID", "x-amz-tenant-id", "x_amzn_tenant_id"]
)


@settings(deadline=None)
@given(st.dictionaries(names, st.just("green"), max_size=6), st.sampled_from([v1, v2]))
def test_only_our_header_reads_as_the_tenant(theirs: dict[str, str], make: MakeEvent) -> None:
    """Trap A15."""
    tenant = [value for name, value in headers(make(headers=theirs)).items() if "tenant-id" in fold(name)]
    others = [name for name in theirs if "tenant-id" in fold(name) and fold(name) not in RESERVED]
    assert len(tenant) == 1 + len(others)


RESERVED = {"x-tenant-id", "x-amz-tenant-id", "x-amzn-tenant-id"}
