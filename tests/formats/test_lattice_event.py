"""Reading Lattice events, beyond the corpus: limits, several faults at once, and values that no message may quote."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import BridgeError, Caller, parse_event
from lattice_bridge.errors import BadRequest
from lattice_bridge.formats.event import MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_TARGET
from lattice_bridge.identity.principal import parse_arn
from tests.support.builders import OPEN, SERVICE, VPC, role, tenant_map, v1, v2
from tests.support.examples import examples

MakeEvent = Callable[..., dict[str, Any]]
BLUE = role("blue-api")


def detail(event: object) -> str:
    with pytest.raises(BadRequest) as error:
        parse_event(event)
    return error.value.detail


def test_all_faults_of_an_event_are_listed_at_once() -> None:
    found = detail(v2(path="x", method="a b", body=5, headers={"x y": "1", "x-long": "a" * 9000, "x-nul": "\x00"}))
    for part in (
        "path is not",
        "method is not",
        "body is not",
        "not an HTTP token",
        "x-long is longer",
        "x-nul contains",
    ):
        assert part in found


@pytest.mark.parametrize("event", [None, [], "x", 5, True, {}, {"version": "2.0"}, {"raw_path": "/", "method": None}])
def test_what_is_not_an_event_is_refused(event: object) -> None:
    with pytest.raises(BadRequest) as error:
        parse_event(event)
    assert error.value.reason == "not_lattice"


@pytest.mark.parametrize("mark", ["raw_path", "query_string_parameters", "is_base64_encoded"])
def test_v2_event_with_a_mark_of_v1_is_refused(mark: str) -> None:
    """Trap A9."""
    assert mark in detail({**v2(BLUE), mark: None})


@pytest.mark.parametrize("mark", ["requestContext", "queryStringParameters", "isBase64Encoded"])
def test_a_v1_event_with_any_mark_of_v2_is_refused(mark: str) -> None:
    """Trap A9."""
    assert mark in detail({**v1(BLUE), mark: None})


def test_a_v1_event_in_a_v2_events_clothes_is_refused() -> None:
    """Trap A9: the identity of one beside the identity of the other."""
    assert detail({**v1(BLUE), **v2(role("green-api"))})


# ---- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [v1, v2])
def test_header_lines_over_100_are_refused(make: MakeEvent) -> None:
    """Trap A13."""
    here = len(make()["headers"])
    more = {f"x-{number}": "1" for number in range(MAX_HEADER_LINES - here)}
    assert parse_event(make(headers=more)).header("x-0") == "1"
    assert "header lines" in detail(make(headers={**more, "x-more": "1"}))


@pytest.mark.parametrize("make", [v1, v2])
def test_a_header_of_8_kib_is_read_and_a_longer_one_is_not(make: MakeEvent) -> None:
    """Trap A13."""
    value = "a" * (MAX_HEADER_BYTES - len("x-long"))
    assert parse_event(make(headers={"x-long": value})).header("x-long") == value
    assert "x-long is longer" in detail(make(headers={"x-long": value + "a"}))


def test_a_header_is_measured_in_bytes() -> None:
    """Trap A13: 8 KiB, not 8,192 characters of up to four bytes."""
    assert "x-long is longer" in detail(v2(headers={"x-long": "☃" * 8000}))


def test_long_header_is_refused_before_it_is_read() -> None:
    """Trap A13."""
    assert "control character" not in detail(v2(headers={"x-long": "\x00" * 9000}))


def test_a_header_of_6_mb_is_not_in_the_message() -> None:
    """Trap D9."""
    assert len(detail(v2(headers={"x" * 6_000_000: ["1"]}))) < 200


def test_the_lattice_headers_of_a_v2_client_count_as_lines() -> None:
    """Trap A13: what is dropped unread is counted first."""
    assert "header lines" in detail(v2(headers={"x-amzn-lattice-identity": ["x"] * 101}))


# ---- identity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["Principal", "principalOrgId", "x509sanuri", "X509SAN/URI", "TYPE", "SourceVPCArn"])
def test_identity_field_of_v2_in_two_spellings_is_refused(key: str) -> None:
    event = v2(BLUE)
    event["requestContext"]["identity"] |= {"principalOrgID": "o-1", "x509SanUri": "spiffe://a/b", key: None}
    assert "two spellings" in detail(event)


@pytest.mark.parametrize(
    "more",
    ["Principal=x", "principal=x", "Type=AWS_IAM", "Type=", "SessionName=x", "X509SAN/URI=a; Type=AWS_IAM"],
)
def test_a_known_field_that_occurs_twice_in_v1_is_refused(more: str) -> None:
    """Trap A16: a certificate's name may hold a semicolon."""
    identity = f"Principal={BLUE}; SessionName=i-0123; Type=AWS_IAM; {more}"
    assert "twice" in detail(v1(headers={"x-amzn-lattice-identity": identity}))


ANYWHERE = role("anywhere", session="0123456789abcdef")
CERTIFIED = f"Principal={ANYWHERE}; Type=AWS_IAM; X509Subject/CN=device-1"


@pytest.mark.parametrize("separator", [";", "; ", " ;\t"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PrincipalOrgID", "o-abcde12345"),
        ("SessionName", "blue"),
        ("SourceVpcArn", VPC),
        ("X509SAN/URI", "spiffe://devices.example/tenant/green/gw"),
        ("x509SanUri", "spiffe://devices.example/tenant/green/gw"),
    ],
)
def test_field_after_a_certificate_field_of_v1_is_not_read(separator: str, field: str, value: str) -> None:
    """Trap A16: `device-1; PrincipalOrgID=…` may be the certificate's name, and the field absent."""
    caller = parse_event(
        {**v1(), "headers": {"x-amzn-lattice-identity": f"{CERTIFIED}{separator}{field}={value}"}}
    ).caller
    assert caller == Caller(authenticated=True, iam=parse_arn(ANYWHERE), session_name="0123456789abcdef")


@pytest.mark.parametrize(
    "fields",
    [
        *(f"{name}=x; Type=AWS_IAM" for name in ("X509SAN/DNS", "X509Issuer/OU", "x509subjectcn", "X509New", "X509")),
        *("", "Type =AWS_IAM", "T/ype=AWS_IAM", "SessionName=x"),
    ],
)
def test_identity_of_v1_without_type_is_refused(fields: str) -> None:
    """Trap A16: read as unsigned, a signed caller would escape a deny, or use a rule with `anyone`."""
    for principal in ("", f"Principal={BLUE}; "):
        assert "no field Type" in detail(v1(headers={"x-amzn-lattice-identity": principal + fields}))


@pytest.mark.parametrize("tail", [";x=1", "; y", "", "/../../green"])
def test_certificate_field_of_v1_is_never_read(tail: str) -> None:
    """Trap A16: cut at its `;`, a SPIFFE id that V2 refuses would be a valid one."""
    header = {"x-amzn-lattice-identity": f"{CERTIFIED}; X509SAN/URI=spiffe://devices.example/tenant/blue/gw{tail}"}
    assert parse_event(v1(headers=header)).caller.x509 is None


@pytest.mark.parametrize("header", ["x-amzn-lattice-identity", "x-amzn-lattice-network"])
def test_a_backslash_in_an_identity_header_of_v1_is_refused(header: str) -> None:
    """Trap A16: it may escape the semicolon behind it."""
    assert "backslash" in detail(v1(headers={header: f"{CERTIFIED}\\; SessionName=blue"}))


PATHS = [
    *("/alice;x=/", "/alice;/", "/alice;x/", "/alice;PrincipalOrgPaths=/", "/alice;SessionName=/", "/alice;a=b/c/"),
    *("/alice;x509=/", "/alice;X509/", "/alice;SourceVpcArn=vpc-0b8276c8;/", "/alice;PrincipalOrgID=o-evil1234567;/"),
]


@pytest.mark.parametrize("kind", ["user", "role"])
@pytest.mark.parametrize("name", ["bob", "principal", "princi", "x509", "Type"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("others", ["PrincipalOrgID=; SessionName=; Type=AWS_IAM", "Type=AWS_IAM"])
def test_a_principals_path_makes_no_other_principal_of_v1(kind: str, name: str, path: str, others: str) -> None:
    """Trap A16: IAM allows `;` in a path, and bob would become alice, or an unsigned caller."""
    principal = f"Principal=arn:aws:iam::111122223333:{kind}{path}{name}"
    for identity in (f"{principal}; {others}", f"{others}; {principal}"):
        with pytest.raises(BadRequest):
            parse_event(v1(headers={"x-amzn-lattice-identity": identity, "x-amzn-lattice-network": ""}))


PIECES = (
    *(
        ";",
        "/",
        "=",
        ",",
        ".",
        '"',
        "a",
        "alice",
        "x509",
        "x509=",
        "principal",
        "princi",
        "pal",
        "type",
        "Type=AWS_IAM",
    ),
    *("sessionname=", "SourceVpcArn=vpc-1", "PrincipalOrgID=o-evil1234567", "principalorgpaths="),
)


@settings(max_examples=examples(3000), deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.lists(
        st.sampled_from(["x509", "principal", "pal", "bob", "=", "type", ",", "sessionname"]), min_size=1, max_size=3
    ),
    st.permutations(["PrincipalOrgID=o-a1b2c3d4e5", "PrincipalOrgPaths=o-1/r-1/ou-1/", "SessionName=", "Type=AWS_IAM"]),
    st.integers(0, 4),
)
def test_a_user_of_v1_is_read_as_itself_or_refused(path: str, name: list[str], others: list[str], place: int) -> None:
    """Trap A16: whatever path and name IAM allows, and in whatever order the fields are."""
    path = f"/{path.strip('/')}/" if path.strip("/") else "/"
    others.insert(place, f"Principal=arn:aws:iam::111122223333:user{path}{''.join(name)}")
    try:
        caller = parse_event(v1(headers={"x-amzn-lattice-identity": "; ".join(others)})).caller
    except BridgeError:
        return
    assert caller.iam is not None
    assert (caller.iam.name, caller.org_id, caller.source_vpc_arn) == ("".join(name), "o-a1b2c3d4e5", VPC)


def test_a_user_of_an_organisation_is_read_from_v1() -> None:
    fields = "PrincipalOrgID=o-abcde12345; PrincipalOrgPaths=o-abcde12345/r-ab12/ou-ab12-11111111/; SessionName="
    identity = f"Principal=arn:aws:iam::111122223333:user/team/bob; {fields}; Type=AWS_IAM"
    caller = parse_event(v1(headers={"x-amzn-lattice-identity": identity})).caller
    assert (caller.principal, caller.org_id) == ("arn:aws:iam::111122223333:user/bob", "o-abcde12345")


@pytest.mark.parametrize("key", ["principal", "sessionName", "principalOrgID", "sourceVpcArn", "x509SubjectCn", "new"])
def test_a_field_of_the_v2_identity_over_8_kib_is_refused(key: str) -> None:
    """Trap A13."""
    event = v2(BLUE)
    event["requestContext"]["identity"][key] = "x" * 8192
    assert "over 8192 bytes" in detail(event)


def test_an_identity_of_very_many_fields_is_refused() -> None:
    """Trap A13."""
    event = v2(BLUE)
    event["requestContext"]["identity"] |= {f"x{number}": "" for number in range(100_000)}
    assert "more than 64 fields" in detail(event)


def test_repeated_unknown_field_of_v1_is_ignored() -> None:
    """Trap A16."""
    identity = f"New=1; New=2; Principal={BLUE}; Type=AWS_IAM; ;; =; x"
    assert parse_event(v1(headers={"x-amzn-lattice-identity": identity})).caller.principal == BLUE


def test_a_vpc_in_both_headers_of_v1_is_refused() -> None:
    """Trap A16."""
    assert "sourcevpcarn twice" in detail(v1(headers={"x-amzn-lattice-identity": f"SourceVpcArn={VPC}"}))


def test_identity_in_the_network_header_of_v1_is_ignored() -> None:
    """wire.md §1: that header contains the VPC and nothing else."""
    forged = f"SourceVpcArn={VPC}; Type=AWS_IAM; Principal={BLUE}"
    try:
        caller = parse_event(v1(headers={"x-amzn-lattice-network": forged})).caller
    except BridgeError:
        return  # refusing is as good
    assert not caller.authenticated


@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("name", ["x-amzn-source-vpc", "x-amzn-lattice-source-vpc", "x-forwarded-for", "forwarded"])
def test_no_other_header_says_anything_about_who(make: MakeEvent, name: str) -> None:
    caller = parse_event(make(headers={name: "vpc-0bad"})).caller
    assert (caller.authenticated, caller.source_vpc_arn) == (False, VPC)


@pytest.mark.parametrize("make", [v1, v2])
def test_lattice_header_is_never_a_request_header(make: MakeEvent) -> None:
    """Trap A7: no later step can read one by mistake."""
    seen = parse_event(make(headers={"x-amzn-lattice-identity": "Type=NONE", "X-Amzn-Lattice-New": "1"})).headers
    assert not [name for name, _ in seen if name.startswith("x-amzn-lattice-")]


def test_session_name_that_differs_from_the_arn_is_refused() -> None:
    """Trap B11."""
    event = v2(BLUE)
    event["requestContext"]["identity"]["sessionName"] = "I-0123"
    with pytest.raises(BridgeError) as error:
        parse_event(event)
    assert (error.value.status, error.value.reason) == (403, "identity_invalid")


def test_only_v2_says_which_service_it_came_through() -> None:
    """Trap A8."""
    assert (parse_event(v2()).service_arn, parse_event(v1(serviceArn=SERVICE)).service_arn) == (SERVICE, None)


# ---- properties -----------------------------------------------------------------------------------------------------

fragments = st.lists(
    st.sampled_from(
        [
            f"Principal={BLUE}",
            "Type=AWS_IAM",
            "Type=NONE",
            "SessionName=i-0123",
            "X509Subject/CN=a",
            ";",
            "; ",
            ",",
            "=",
            " ",
        ]
    )
    | st.text(max_size=6),
    max_size=8,
)


@settings(deadline=None)
@given(fragments)
def test_a_certificates_name_can_never_change_who_is_calling(parts: list[str]) -> None:
    """Trap A16: whatever an issuer was talked into, the principal is Lattice's or there is none."""
    name = "".join(parts)
    victim = role("edge-proxy")
    identity = f"Principal={victim}; Type=AWS_IAM; X509Subject/CN={name}"
    with suppress(BridgeError):
        assert parse_event(v1(headers={"x-amzn-lattice-identity": identity})).caller.principal == victim


@settings(deadline=None)
@given(st.sampled_from([v1, v2]), st.text(max_size=40), st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_a_path_that_is_read_is_the_path_that_was_sent(make: MakeEvent, tail: str, query: dict[str, str]) -> None:
    field = "raw_path" if make is v1 else "path"
    with suppress(BridgeError):
        seen = parse_event(make(**{field: "/" + tail}))
        assert seen.path + ("?" + seen.raw_query if "?" in tail else "") == "/" + tail


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=3), max_size=3))
def test_a_query_map_is_read_as_what_it_says(query: dict[str, list[str]]) -> None:
    seen = parse_event(v2(queryStringParameters=query)).query_all
    assert seen == tuple((name, value) for name, values in query.items() for value in values)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_an_event_means_the_same_before_and_after_json(text: str) -> None:
    event = v2(BLUE, headers={"x-a": text}, body=text)
    with suppress(BridgeError):
        assert parse_event(json.loads(json.dumps(event))) == parse_event(event)


@pytest.mark.parametrize("make", [v1, v2])
def test_both_versions_of_one_request_are_decided_alike(make: MakeEvent) -> None:
    """Trap D5: one place checks the output of every way in."""
    for principal in (None, BLUE, role("support"), role("edge-proxy"), role("stranger"), role("leaked")):
        for value in (None, "blue", "green", "old", "purple", "blue,green", "bl ue"):
            headers = {} if value is None else {"x-tenant-id": value}
            decided = tenant_map(OPEN).decide(parse_event(make(principal, headers=headers)))
            other = tenant_map(OPEN).decide(parse_event((v1 if make is v2 else v2)(principal, headers=headers)))
            assert (decided.tenant, decided.rule, decided.reason) == (other.tenant, other.rule, other.reason)


def test_number_of_reported_faults_is_bounded() -> None:
    """Traps A13, D9."""
    text = detail(v2(headers={f"bad {number}": "x" for number in range(50_000)}))
    assert len(text) < 2_000


def test_identity_header_is_measured_before_it_is_read() -> None:
    """Trap A13."""
    event = v1(headers={"x-amzn-lattice-identity": "Type=AWS_IAM;" * 400_000})
    assert "longer than" in detail(event)


@pytest.mark.parametrize("method", ["get", "Delete", "pATCH"])
@pytest.mark.parametrize("make", [v1, v2])
def test_a_method_in_other_case_is_refused(make: Any, method: str) -> None:
    """Frameworks take it for the one in capitals; a listener's rule or an auth policy that names that does not."""
    with pytest.raises(BadRequest, match="malformed_event") as refused:
        parse_event(make(method=method))
    assert f"method is {method}" in refused.value.detail


@pytest.mark.parametrize("method", ["PURGE", "purge", "M-SEARCH"])
def test_unknown_method_is_passed_on(method: str) -> None:
    assert parse_event(v2(method=method)).method == method


@pytest.mark.parametrize("path", ["/" + "a" * MAX_TARGET, "/?" + "a&" * (MAX_TARGET // 2)])
@pytest.mark.parametrize("make", [v1, v2])
def test_a_path_or_query_beyond_64_kib_is_refused(make: Any, path: str) -> None:
    """Splitting a query of megabytes took a second and 300 MB."""
    field = {"raw_path": path} if make is v1 else {"path": path}
    with pytest.raises(BadRequest, match="longer than 65536"):
        parse_event(make(**field))


def test_a_query_map_counts_as_well() -> None:
    with pytest.raises(BadRequest, match="longer than 65536"):
        parse_event(v2(queryStringParameters={"a": ["b" * MAX_TARGET]}))


def test_a_path_and_query_of_64_kib_are_read() -> None:
    assert len(parse_event(v2(path="/" + "a" * (MAX_TARGET - 1))).path) == MAX_TARGET


def test_names_without_a_value_are_counted_too() -> None:
    """Trap A13."""
    assert "header lines" in detail(v2(headers={f"a{number}": [] for number in range(101)}))
    assert "longer than" in detail(v2(path="/", queryStringParameters={f"a{number}": [] for number in range(70_000)}))
