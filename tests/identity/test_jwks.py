"""Key sets: their format, their fetch, and the requests that wait for it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt import get_algorithm_by_name

from lattice_bridge.config.map_settings import key_file_fault
from lattice_bridge.errors import Unavailable
from lattice_bridge.identity.jwks import MAX_BYTES, key_set_fault, parse_key_set
from lattice_bridge.identity.key_set import KeySet, fetch_https
from lattice_bridge.identity.token import verify
from tests.support.key_server import Answer, Drips, Hangs, KeyServer, Raw, Says
from tests.support.tls import self_signed
from tests.support.token_builder import CORP, EVERY_ALGORITHM, NOW, issuer, jwk, key_set, private_key, token


def refused(data: bytes) -> str:
    with pytest.raises(Unavailable) as caught:
        parse_key_set(data)
    assert (caught.value.reason, caught.value.status) == ("keys_unavailable", 503)
    return caught.value.detail


# ---- the format -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [*EVERY_ALGORITHM, "Ed448"])
@pytest.mark.parametrize("stated", [True, False])
def test_every_kind_of_public_key_is_read(algorithm: str, stated: bool) -> None:
    name = "EdDSA" if algorithm == "Ed448" else algorithm
    keys = parse_key_set(key_set(jwk(algorithm=algorithm, alg=name if stated else None, use="sig")))
    assert keys["k1"].key == private_key(algorithm).public_key()
    assert keys["k1"].algorithm_name == (name if stated else None)


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM)
def test_parsed_key_verifies_a_token(algorithm: str) -> None:
    keys = parse_key_set(key_set(jwk(algorithm=algorithm)))
    assert verify(token(algorithm), issuer("generic", CORP.issuer, algorithm), keys.get, NOW)["sub"] == "u-1"


def test_key_without_kid_is_under_none() -> None:
    assert parse_key_set(key_set(jwk(None), jwk("k2"))).keys() == {None, "k2"}


UNUSABLE: dict[str, Any] = {
    "a secret": {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "k1"},
    "a secret that says ES256": {"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "ES256"},
    "a public key with a secret in it": jwk(k="c2VjcmV0"),
    "a private EC key": get_algorithm_by_name("ES256").to_jwk(private_key(), as_dict=True),
    "a private RSA key": get_algorithm_by_name("RS256").to_jwk(private_key("RS256"), as_dict=True),
    "a key for encryption": jwk(use="enc"),
    "a key for nothing known": jwk(use=None) | {"use": None},
    "a key that only signs": jwk(key_ops=["sign"]),
    "operations that are no list": jwk(key_ops="verify"),
    "a key for a secret's algorithm": jwk(algorithm="RS256", alg="HS256"),
    "a key for no algorithm": jwk(alg="none"),
    "a key for another kind's algorithm": jwk(alg="RS256"),
    "a key for another curve's algorithm": jwk(alg="ES384"),
    "an alg that is no text": jwk(alg=["ES256"]),
    "a short RSA key": get_algorithm_by_name("RS256").to_jwk(private_key("RSA", 0, 1024).public_key(), as_dict=True),
    "a curve of a currency": jwk(crv="secp256k1"),
    "an unknown kind": jwk(kty="AKP"),
    "a kind that is no text": jwk(kty=["EC"]),
    "a point that is on no curve": jwk(x="A" * 43),
    "a coordinate too short": jwk(x="AA"),
    "a coordinate with other characters": jwk() | {"x": "!" + jwk()["x"]},
    "a number that is no text": jwk() | {"x": 7},
    "a missing number": jwk(y=None),
    "an RSA key with a curve": jwk(algorithm="RS256", crv="P-256"),
    "an RSA exponent of one": jwk(algorithm="RS256", e="AQ"),
    "a kid with a path": jwk("../k1\n"),
    "an empty kid": jwk(""),
    "a kid that is no text": jwk() | {"kid": 1},
    "no object": "k1",
    "nothing": None,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_key_is_left_out(name: str) -> None:
    """Trap C1."""
    assert refused(key_set(UNUSABLE[name])) == "the key set has no usable key"
    assert parse_key_set(key_set(UNUSABLE[name], jwk("good", number=1))).keys() == {"good"}


PRIVATE: dict[str, tuple[Any, str]] = {
    "EC": (get_algorithm_by_name("ES256").to_jwk(private_key(), as_dict=True) | {"kid": "k1"}, 'key "k1" has d'),
    "RSA": (
        get_algorithm_by_name("RS256").to_jwk(private_key("RS256"), as_dict=True) | {"kid": "k1"},
        'key "k1" has d, dp, dq, p, q, qi',
    ),
    "OKP": (get_algorithm_by_name("EdDSA").to_jwk(private_key("EdDSA"), as_dict=True), "key number 2 has d"),
    "secret": ({"kty": "oct", "k": "c2VjcmV0", "kid": "hs"}, 'key "hs" has k'),
    "secret without a value": ({"kty": "oct", "kid": "hs"}, 'key "hs" has kty "oct"'),
    "public key with a secret in it": (jwk("k1", k="c2VjcmV0"), 'key "k1" has k'),
    "further primes": (jwk("k1", algorithm="RS256", oth=[]), 'key "k1" has oth'),
    "kid that cannot be printed": (jwk("\x1b[2J", d="AA"), "key number 2 has d"),
    "ML-DSA": ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "priv": "AA"}, "key number 2 has priv"),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_private_key_in_file_is_named(name: str, tmp_path: Path) -> None:
    """Trap G6: the file is deployed with the map, and every reader of the package could sign tokens."""
    entry, said = PRIVATE[name]
    (tmp_path / "keys.json").write_bytes(key_set(jwk("good", number=1), entry))
    fault = key_file_fault(tmp_path / "keys.json")
    assert fault == (
        f"contains private keys or secrets: {said}. Fix: keep only public keys, with these members: "
        "kty, kid, alg, use; of RSA n, e; of EC crv, x, y; of OKP crv, x"
    )


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        json.dumps({"keys": [jwk()], "pem": "-----BEGIN EC PRIVATE KEY-----\nMC4CAQ"}),
    ],
)
def test_private_pem_key_in_file_is_refused(text: str, tmp_path: Path) -> None:
    """Trap G6."""
    (tmp_path / "keys.json").write_text(text, encoding="utf-8")
    fault = key_file_fault(tmp_path / "keys.json")
    assert fault == "contains a private key in PEM. Fix: replace the file with a JWK set of public keys"


def test_private_key_beside_the_keys_is_refused(tmp_path: Path) -> None:
    """Trap G6: the whole file would be deployed, not only what is read of it."""
    members = {"keys": [jwk()], "old": {"signer": jwk("k0", d="AA")}, "spare": {"kty": "EC", "d": "AA"}}
    (tmp_path / "keys.json").write_text(json.dumps(members), encoding="utf-8")
    fault = key_file_fault(tmp_path / "keys.json")
    assert fault is not None
    assert 'key "k0" has d; an object that is not in keys has d.' in fault


def test_key_file_of_public_keys_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(key_set(jwk("k1"), jwk("k2", algorithm="RS256"), jwk("k3", algorithm="EdDSA")))
    assert key_file_fault(tmp_path / "keys.json") is None


def test_two_keys_of_one_kid_refuse_the_set() -> None:
    assert refused(key_set(jwk("k1"), jwk("k1", number=1))) == "the key set has two keys of one kid"
    assert refused(key_set(jwk(None), jwk(None, number=1))) == "the key set has two keys of one kid"


def test_unusable_key_reserves_no_kid() -> None:
    assert parse_key_set(key_set(jwk("k1", number=1, use="enc"), jwk("k1")))["k1"].key == private_key().public_key()


def test_64_keys_are_read_and_65_refused() -> None:
    """Trap C4."""
    assert len(parse_key_set(key_set(*(jwk(f"k{n}") for n in range(64))))) == 64
    assert refused(key_set(*(jwk(f"k{n}") for n in range(65)))) == "the key set has over 64 keys"


def test_128_kib_are_read_and_one_more_byte_refused() -> None:
    """Trap C4."""
    full = key_set().ljust(MAX_BYTES)
    assert parse_key_set(full)
    assert refused(full + b" ") == "the key set is over 128 KiB"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"null", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"\xff", b"[" * 100_000, b'{"keys":[]'),
        *(b'{"keys":[],"keys":[]}', json.dumps({"keys": [jwk()]}).encode("utf-16"), b"<html>"),
        key_set().replace(b'"kid"', b'"kid":"k0","kid"'),
    ],
)
def test_other_json_is_refused(data: bytes) -> None:
    assert refused(data) == "the key set is not a JWK set"


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_random_bytes_are_refused(data: bytes) -> None:
    refused(data)


@given(
    st.dictionaries(
        st.sampled_from([*"nexyd", "kty", "crv", "kid", "alg", "use"]), st.text() | st.none() | st.integers()
    )
)
def test_random_members_are_read_or_left_out(members: dict[str, Any]) -> None:
    assert "good" in parse_key_set(key_set(jwk() | members, jwk("good", number=1)))


# ---- the network ----------------------------------------------------------------------------------------------------


def fetch(server: KeyServer, timeout: float = 2.0) -> bytes:
    return fetch_https(server.url, timeout, loopback_http=True)


def unfetched(answer: Answer, timeout: float = 2.0) -> str:
    with KeyServer(answer) as server, pytest.raises(Unavailable) as caught:
        fetch(server, timeout)
    assert caught.value.reason == "keys_unavailable"
    return caught.value.detail


def test_key_set_is_fetched() -> None:
    with KeyServer(Says(key_set())) as server:
        assert fetch(server) == key_set()
        assert server.requests == ["/keys"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """Trap C4."""
    with KeyServer(Says(key_set())) as other:
        assert unfetched(Says(b"", status, {"location": other.url})) == f"the key set's server answered {status}"
        assert other.requests == []


@pytest.mark.parametrize("status", [201, 204, 404, 500, 503])
def test_another_status_than_200_is_refused(status: int) -> None:
    """Trap C12."""
    assert unfetched(Says(key_set(), status)) == f"the key set's server answered {status}"


def test_body_over_128_kib_is_not_read() -> None:
    """Trap C4."""
    assert unfetched(Says(b" " * 10_000_000)) == "the key set is over 128 KiB"


@pytest.mark.parametrize("answer", [Hangs(), Drips(b" " * 1000), Drips(b"x" * 1000, in_header=True)])
def test_hanging_or_dripping_server_ends_in_time(answer: Answer) -> None:
    """Trap C12."""
    began = time.monotonic()
    assert "in time" in unfetched(answer, 0.3)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"", "an answer without a length"),
        (b"content-length: 2\r\ncontent-length: 2\r\n", "an answer without a length"),
        (b"content-length: 2\r\ntransfer-encoding: chunked\r\n", "a length that can be read in two ways"),
        (b"content-length: 2\r\n x: y\r\n", "a header line that cannot be read"),
        (b"content-length: 3\r\n", "the connection ended within the answer"),
    ],
)
def test_ambiguous_answer_is_refused(head: bytes, fault: str) -> None:
    """As an answer of Lambda: both are read by the same client."""
    assert unfetched(Raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n{}")).endswith(f"cannot be read: {fault}")


def test_chunked_key_set_is_fetched() -> None:
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(key_set()), key_set())
    with KeyServer(Raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk)) as server:
        assert fetch(server) == key_set()


def test_refused_connection_is_unavailable() -> None:
    with KeyServer(Says()) as server:
        url = server.url
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        fetch_https(url, loopback_http=True)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://issuer.example/keys",
            "ftp://127.0.0.1/keys",
            "file:///etc/passwd",
            "//127.0.0.1/keys",
            "",
            "https://",
        ),
        *("https:///keys", "https://u:p@127.0.0.1/keys", "https://127.0.0.1:x/keys", "https://127.0.0.1:99999/keys"),
        *("https://127.0.0.1/k\neys", "https://127.0.0.1/k eys", "https://127.0.0.1/k\u00e9ys", "https://127.0.0.1\t/"),
        *("http://127.0.0.1.example/keys", "http://localhost.example/", "http://10.0.0.1/"),
    ],
)
def test_url_other_than_https_is_refused(url: str) -> None:
    """Trap C4."""
    with pytest.raises(Unavailable):
        fetch_https(url, loopback_http=True)


def test_loopback_http_is_refused_by_default() -> None:
    """Trap C4."""
    with KeyServer(Says(key_set())) as server:
        with pytest.raises(Unavailable, match="not https"):
            fetch_https(server.url)
        assert server.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def over_tls(certificate: Path, answer: Answer) -> KeyServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return KeyServer(answer, context=context)


def test_untrusted_certificate_is_refused(certificate: Path) -> None:
    """Trap C4."""
    with over_tls(certificate, Says(key_set())) as server:
        with pytest.raises(Unavailable, match="SSLCertVerificationError"):
            fetch_https(server.url)
        assert server.requests == []


def test_key_set_is_fetched_over_tls(certificate: Path) -> None:
    with over_tls(certificate, Says(key_set())) as server:
        assert fetch_https(server.url, context=ssl.create_default_context(cafile=certificate)) == key_set()


def test_certificate_for_another_name_is_refused(certificate: Path) -> None:
    """Trap C4."""
    with over_tls(certificate, Says(key_set())) as server, pytest.raises(Unavailable, match="SSLCert"):
        fetch_https(
            server.url.replace("127.0.0.1", "localhost"), context=ssl.create_default_context(cafile=certificate)
        )


def test_dripping_tls_server_ends_in_time(certificate: Path) -> None:
    """Trap C12."""
    with over_tls(certificate, Drips(b" " * 1000)) as server, pytest.raises(Unavailable, match="in time"):
        fetch_https(server.url, 0.4, context=ssl.create_default_context(cafile=certificate))


# ---- the memory -----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def at_once(work: Callable[[], None]) -> None:
    work()


class Source:
    """A fetch that a test scripts: bytes, or an exception to raise. Counts."""

    def __init__(self, says: bytes | Exception) -> None:
        self.says = says
        self.fetched = 0

    def __call__(self) -> bytes:
        self.fetched += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def unavailable(keys: KeySet, kid: str = "k1") -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        keys.key(kid)
    assert caught.value.reason == "keys_unavailable"
    return caught.value


def kept(says: bytes | Exception, **arguments: Any) -> tuple[KeySet, Source, Clock]:
    source, clock = Source(says), Clock()
    return KeySet(source, clock=clock, **{"start": at_once, **arguments}), source, clock


def test_nothing_is_fetched_before_a_key_is_asked_for() -> None:
    assert kept(key_set())[1].fetched == 0


def test_known_key_is_fetched_once_an_hour() -> None:
    keys, source, clock = kept(key_set())
    for now, fetched in ((1000, 1), (4599, 1), (4600, 2), (4601, 2), (8200, 3)):
        clock.now = now
        assert keys.key("k1")
        assert source.fetched == fetched


def test_rotation_brings_the_new_key_and_drops_the_old() -> None:
    keys, source, clock = kept(key_set())
    assert keys.key("k1")
    source.says, clock.now = key_set(jwk("k2")), 1030
    assert keys.key("k2")
    assert keys.key("k1") is None


def test_flood_of_unknown_kids_makes_one_fetch_a_pause() -> None:
    """Trap C13."""
    keys, source, clock = kept(key_set())
    for second in range(300):
        clock.now = 1000 + second
        for number in range(10):
            assert keys.key(f"x{second}-{number}") is None
    assert source.fetched == 10


def test_unknown_kids_leave_no_state() -> None:
    """Trap C13."""
    keys, _, _ = kept(key_set())
    keys.key("k1")
    before = {name: value for name, value in vars(keys).items() if name != "_changed"}
    for number in range(1000):
        keys.key(f"x{number}")
    assert {name: value for name, value in vars(keys).items() if name != "_changed"} == before


def test_failure_is_repeated_for_the_pause() -> None:
    """Trap C12."""
    keys, source, clock = kept(OSError("secret detail"))
    assert [unavailable(keys).retry_after for _ in range(100)] == [30] * 100
    clock.now = 1029.5
    assert unavailable(keys).retry_after == 1
    assert source.fetched == 1
    source.says, clock.now = key_set(), 1030
    assert keys.key("k1")


def test_failure_detail_is_constant() -> None:
    assert unavailable(kept(OSError("secret detail"))[0]).detail == "the fetch of the key set failed (OSError)"
    assert unavailable(kept(b"{}")[0]).detail == "the key set is not a JWK set"


@pytest.mark.parametrize("failure", [OSError(), Unavailable("keys_unavailable", "x"), b"", b'{"keys":[]}', KeyError()])
def test_last_good_keys_serve_until_max_stale(failure: Any) -> None:
    """Trap C12."""
    keys, source, clock = kept(key_set())
    assert keys.key("k1")
    source.says = failure
    for now in (4600, 5000, 87399):
        clock.now = now
        assert keys.key("k1")
    clock.now = 87430
    assert unavailable(keys).retry_after == 30
    source.says, clock.now = key_set(), 87460
    assert keys.key("k1")


def test_clock_set_back_fetches_again() -> None:
    keys, source, clock = kept(key_set())
    assert keys.key("k1")
    clock.now = 10
    assert keys.key("k1")
    assert source.fetched == 2


def test_no_threads_is_unavailable() -> None:
    def no_more(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    keys, source, _ = kept(key_set(), start=no_more)
    assert unavailable(keys).detail == "no thread could be started"
    assert source.fetched == 0


def served(server: KeyServer, clock: Clock, timeout: float = 10.0) -> KeySet:
    return KeySet(lambda: fetch(server, timeout), clock=clock, wait=5)


def test_known_key_never_waits_for_the_fetch_of_an_unknown_one() -> None:
    """Trap C12."""
    clock = Clock()
    with KeyServer(Says(key_set())) as server, ThreadPoolExecutor(1) as pool:
        keys = served(server, clock)
        assert keys.key("k1")
        server.answer, clock.now = Hangs(), 1030
        server.asked.clear()
        waiting = pool.submit(keys.key, "unknown")
        assert server.asked.wait(5)
        began = time.monotonic()
        assert all(keys.key("k1") for _ in range(1000))
        assert time.monotonic() - began < 1
        assert not waiting.done()
        server.release.set()
        assert isinstance(waiting.exception(5), Unavailable)
        assert len(server.requests) == 2


def test_new_kid_in_an_outage_is_unavailable() -> None:
    """Trap C12: a token of the new key, after a rotation in an outage, is good, and the bridge cannot know yet."""
    keys, source, clock = kept(key_set())
    assert keys.key("k1")
    source.says, clock.now = OSError(), 1030
    assert unavailable(keys, "k2").retry_after == 30
    source.says, clock.now = key_set(jwk("k2")), 1060
    assert keys.key("k2")
    assert keys.key("k3") is None  # asked moments ago, and said to have none


def test_known_key_never_waits_for_a_refresh() -> None:
    """Trap C12."""
    clock = Clock()
    with KeyServer(Says(key_set())) as server:
        keys = served(server, clock)
        assert keys.key("k1")
        server.answer, clock.now = Hangs(), 5000
        began = time.monotonic()
        assert all(keys.key("k1") for _ in range(1000))
        assert time.monotonic() - began < 1
        server.release.set()


def test_32_threads_at_first_use_make_one_fetch() -> None:
    """Trap C12."""
    with KeyServer(Drips(key_set(), 0.001)) as server, ThreadPoolExecutor(32) as pool:
        keys = served(server, Clock())
        assert all(pool.map(keys.key, ["k1"] * 320))
        assert len(server.requests) == 1


def test_32_threads_with_unknown_kids_share_one_failure() -> None:
    """Trap C13."""
    clock = Clock()
    with KeyServer(Says(b"", 500)) as server, ThreadPoolExecutor(32) as pool:
        keys = served(server, clock)
        details = set(pool.map(lambda n: unavailable(keys, f"x{n}").detail, range(320)))
        assert details == {"the key set's server answered 500"}
        assert len(server.requests) == 1


def test_hanging_fetch_is_waited_for_no_longer_than_wait() -> None:
    """Trap C12."""
    ended = threading.Event()

    def hang() -> bytes:
        ended.wait(10)
        return key_set()

    keys = KeySet(hang, clock=Clock(), wait=0.2)
    began = time.monotonic()
    assert unavailable(keys).detail == "no answer yet"
    assert time.monotonic() - began < 2
    ended.set()
    assert keys.key("k1")


def test_rotation_under_32_threads_refuses_no_request() -> None:
    clock = Clock()
    with KeyServer(Says(key_set(jwk("k0")))) as server, ThreadPoolExecutor(32) as pool:
        keys = served(server, clock)
        for round_ in range(5):
            server.answer = Says(key_set(jwk(f"k{round_}"), jwk(f"k{round_ + 1}")))
            clock.now += 31
            assert all(pool.map(keys.key, [f"k{round_}"] * 64))
        assert len(server.requests) <= 5


def test_private_member_names_outside_a_key_are_no_fault() -> None:
    """`p`, `q` and `k` are short names. A key has a `kty` (RFC 7517 §4.1)."""
    data = json.dumps({"keys": [jwk()], "paging": {"p": 1, "q": 2, "k": 3}}).encode()
    assert key_set_fault(data) is None
