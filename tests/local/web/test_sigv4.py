"""Verification of signatures that botocore has made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge.local.front.exchange.exchange import session_name
from lattice_bridge.local.front.exchange.identities import DEFAULT_IDENTITIES, Identity, read_identities
from lattice_bridge.local.web.sigv4 import SERVICE, SignatureRefused, Signed, lattice_signer

IDENTITIES = read_identities(None)
BLUE = IDENTITIES["LOCALBLUE"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sign(
    path: str = "/a",
    query: str = "",
    headers: Sequence[tuple[str, str]] = (),
    *,
    method: str = "GET",
    region: str = "us-east-1",
    service: str = SERVICE,
    secret: str = "blue",
) -> Signed:
    """Signs a request as a client with botocore does."""
    given = {"host": "svc.example", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", **dict(headers)}
    request = AWSRequest(method, f"https://svc.example{path}{f'?{query}' if query else ''}", headers=given)
    SigV4Auth(Credentials("LOCALBLUE", secret), service, region).add_auth(request)
    return Signed(method, path, query, [(name.lower(), value) for name, value in request.headers.items()])


def check(signed: Signed, now: datetime | None = None) -> Identity | None:
    return lattice_signer(signed, IDENTITIES, region="us-east-1", now=now or datetime.now(UTC))


def replaced(signed: Signed, name: str, value: str | None) -> Signed:
    kept = [pair for pair in signed.headers if pair[0] != name]
    return Signed(signed.method, signed.path, signed.query, [*kept, *([(name, value)] if value is not None else [])])


def test_unsigned_request_has_no_signer() -> None:
    assert check(Signed("GET", "/", "", [("host", "h")])) is None


def test_bearer_token_is_not_a_signature() -> None:
    assert check(Signed("GET", "/", "", [("host", "h"), ("authorization", "Bearer x")])) is None


paths = st.lists(st.text(max_size=8), max_size=3).map(lambda parts: "/" + "/".join(quote(p, safe="") for p in parts))
pairs = st.lists(st.tuples(st.text("ab~é /+", max_size=4), st.text("xy&=%é ", max_size=4)), max_size=4)


@given(path=paths, query=pairs)
def test_request_signed_by_botocore_is_verified(path: str, query: list[tuple[str, str]]) -> None:
    raw = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query if name)
    assert check(sign(path, raw)) is BLUE


segments = st.lists(st.sampled_from(["", ".", "..", "...", "a", "b.", "%2E", "é"]), max_size=7)


@given(segments=segments)
def test_path_with_dots_is_verified_in_the_form_that_botocore_signs(segments: list[str]) -> None:
    assert check(sign("/" + quote("/".join(segments), safe="/%"))) is BLUE


def test_signed_headers_may_be_repeated_and_contain_spaces() -> None:
    assert check(sign(headers=[("x-custom", "a   b")])) is BLUE


@pytest.mark.parametrize(
    "changed",
    [
        Signed("POST", "/a", "q=1", ()),
        Signed("GET", "/b", "q=1", ()),
        Signed("GET", "/a", "q=2", ()),
        Signed("GET", "/a", "q=1&r=2", ()),
    ],
    ids=["method", "path", "query", "added query"],
)
def test_request_changed_after_signing_is_refused(changed: Signed) -> None:
    signed = sign("/a", "q=1")
    with pytest.raises(SignatureRefused, match="does not match"):
        check(Signed(changed.method, changed.path, changed.query, signed.headers))


def test_changed_signed_header_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check(replaced(sign(headers=[("x-tenant-id", "blue")]), "x-tenant-id", "green"))


def test_signature_with_another_secret_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="does not match"):
        check(sign(secret="green"))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_signature_over_five_minutes_off_is_refused(minutes: int) -> None:
    with pytest.raises(SignatureRefused, match="Signature expired"):
        check(sign(), now=datetime.now(UTC) + timedelta(minutes=minutes))


def test_signature_four_minutes_old_is_verified() -> None:
    assert check(sign(), now=datetime.now(UTC) + timedelta(minutes=4)) is BLUE


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("authorization", "AWS4-HMAC-SHA256 nonsense", "IncompleteSignature"),
        ("authorization", "AWS4-ECDSA-P256-SHA256 Credential=a/b", "IncompleteSignature"),
        ("x-amz-date", None, "x-amz-date occurs 0 times"),
        ("x-amz-date", "yesterday", "YYYYMMDD"),
        ("x-amz-date", "20200101T000000Z", "scope does not match"),
        ("x-amz-content-sha256", None, "occurs 0 times"),
        (
            "x-amz-content-sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "UNSIGNED-PAYLOAD",
        ),
    ],
)
def test_missing_part_of_a_signature_is_refused(name: str, value: str | None, text: str) -> None:
    with pytest.raises(SignatureRefused, match=f"{text}.* Fix: "):
        check(replaced(sign(), name, value))


def test_unsigned_host_is_refused() -> None:
    signed = sign()
    authorization = signed.one("authorization").replace("SignedHeaders=host;", "SignedHeaders=")
    with pytest.raises(SignatureRefused, match="host must be signed"):
        check(replaced(signed, "authorization", authorization))


@pytest.mark.parametrize(("region", "service"), [("eu-west-1", SERVICE), ("us-east-1", "execute-api")])
def test_signature_for_another_scope_is_refused(region: str, service: str) -> None:
    with pytest.raises(SignatureRefused, match="should be scoped"):
        check(sign(region=region, service=service))


def test_repeated_authorization_is_refused() -> None:
    """Trap C11."""
    signed = sign()
    with pytest.raises(SignatureRefused, match="authorization occurs 2 times"):
        check(Signed("GET", "/a", "", [*signed.headers, ("authorization", "Bearer x")]))


def test_token_chooses_the_session_name() -> None:
    signed = sign(headers=[("x-amz-security-token", "session=i-0123")])
    assert check(signed) is BLUE
    assert session_name(signed, BLUE) == "i-0123"
    assert session_name(sign(), BLUE) == "local"


@pytest.mark.parametrize("name", ["a", "a/b", "x" * 65, "a b", ""])
def test_malformed_session_name_is_refused(name: str) -> None:
    with pytest.raises(SignatureRefused):
        session_name(sign(headers=[("x-amz-security-token", f"session={name}")]), BLUE)


def test_default_identities_have_the_files_format() -> None:
    assert sorted(IDENTITIES) == ["LOCALBLUE", "LOCALGREEN"]
    assert DEFAULT_IDENTITIES.count("[[identity]]") == 2


@pytest.mark.parametrize(
    ("names", "lines"),
    [(["host", "x-amz-date", "a", "a"], 0), ([*map("h{}".format, range(99)), "host", "x-amz-date"], 0), (["b"], 101)],
    ids=["a name twice", "many names", "many lines"],
)
def test_signature_over_many_headers_is_refused_early(names: list[str], lines: int) -> None:
    """The keys are public, and the time grows with the product of names and headers."""
    listed = ";".join(sorted({*names, "host", "x-amz-date"}) if lines else names)
    sent = [
        ("host", "h"),
        ("x-amz-date", f"{NOW:%Y%m%dT%H%M%SZ}"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        *[("b", "1")] * lines,
    ]
    scope = f"LOCALBLUE/{NOW:%Y%m%d}/us-east-1/vpc-lattice-svcs/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={listed}, Signature={'0' * 64}"
    with pytest.raises(SignatureRefused, match=r"Fix: (sign each header once|send at most)"):
        lattice_signer(
            Signed("GET", "/", "", [*sent, ("authorization", signature)]),
            read_identities(None),
            region="us-east-1",
            now=NOW,
        )
