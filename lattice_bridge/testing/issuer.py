"""A token issuer on a loopback port, with keys, a key set over https, and a certificate authority of its own.

Rule: its tokens are really signed, and may contain anything, so that tests can make tokens that must be refused.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lattice_bridge.identity.token import ALGORITHMS
from lattice_bridge.testing.loopback import HOST, LoopbackHandler, LoopbackServer

LIFETIME: Final = 600
"""Seconds for which a token is valid by default."""

PATH: Final = "/.well-known/jwks.json"

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}


class Issuer:
    """An issuer of tokens, for as long as the context lasts.

    >>> from lattice_bridge.testing import lattice_event
    >>> with Issuer(audience=("orders",)) as issuer:
    ...     table = issuer.table()  # of the map; the bridge needs `issuer.environ` to trust the key server
    ...     event = lattice_event(headers={"authorization": f"Bearer {issuer.token(tenant='blue')}"})
    >>> table.splitlines()[0]
    '[jwt.corp]'

    The bridge fetches keys over https from servers that the system trusts; `SSL_CERT_FILE` names them. It fetches the
    key set again after half a minute at the earliest. A test that rotates the key after the first token therefore needs
    another TenantMap.

    Args:
        name: of its table in the map.
        audience: of its tokens, and of its table in the map.
        algorithm: one of RS, PS and ES with 256, 384 or 512, or EdDSA.

    Attributes:
        ca_file: PEM file of its authority, and of the authorities that the system trusts.
    """

    def __init__(self, name: str = "corp", audience: Sequence[str] = ("tests",), algorithm: str = "ES256") -> None:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm {algorithm!r} is unknown. Fix: use one of {', '.join(sorted(ALGORITHMS))}")
        if isinstance(audience, str) or not audience:
            raise ValueError(f'audience {audience!r} is not a list of names. Fix: write a list, as in ("orders",)')
        self.name = name
        self.audience = tuple(audience)
        self.algorithm = algorithm
        self._keys = [_Key(algorithm, 1)]
        self._fetches = 0
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        issuer: Issuer = self

        class Handler(_Handler):
            token_issuer = issuer

        self._folder = tempfile.TemporaryDirectory(prefix="lattice-bridge-issuer-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._server = LoopbackServer(Handler, _server_context(self.ca_file))
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started().stop()
        self._folder.cleanup()

    # ---- for the map ----

    @property
    def issuer(self) -> str:
        """The value of `iss`."""
        return self._started().url

    @property
    def jwks_url(self) -> str:
        """The URL of its key set."""
        return self.issuer + PATH

    @property
    def jwks(self) -> dict[str, Any]:
        """The key set: public keys, the latest first."""
        with self._lock:
            return {"keys": [key.public for key in reversed(self._keys)]}

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables for a process that should trust its key server."""
        self._started()
        return {"SSL_CERT_FILE": str(self.ca_file)}

    @property
    def fetches(self) -> int:
        """The number of times that the key set was fetched."""
        with self._lock:
            return self._fetches

    def table(self, **more: Any) -> str:
        """Returns its `[jwt.NAME]` table for a bridge.toml. `more` adds or replaces keys; None removes a key."""
        keys = {
            "issuer": self.issuer,
            "audience": list(self.audience),
            "algorithms": [self.algorithm],
            "jwks_url": self.jwks_url,
            **more,
        }
        # JSON's strings and lists are valid TOML.
        lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items() if value is not None]
        return "\n".join([f"[jwt.{self.name}]", *lines, ""])

    # ---- for the client ----

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Makes a token, signed with the latest key.

        Args:
            headers: members of its header. They add to `alg`, `kid` and `typ` or replace them; None removes one.
            claims: add to `iss`, `aud`, `iat`, `exp` (in ten minutes) and `sub` or replace them; None removes one.
                Times are seconds since 1970.
        """
        with self._lock:
            key = self._keys[-1]
        now = int(time.time())
        audience = self.audience[0] if len(self.audience) == 1 else list(self.audience)
        given = {"iss": self.issuer, "aud": audience, "iat": now, "exp": now + LIFETIME, "sub": "test", **claims}
        header = {"alg": self.algorithm, "kid": key.kid, "typ": "JWT", **(headers or {})}
        signed = f"{_segment(_without_none(header))}.{_segment(_without_none(given))}"
        signature = jwt.get_algorithm_by_name(self.algorithm).sign(signed.encode(), key.private)
        return f"{signed}.{jwt.utils.base64url_encode(signature).decode()}"

    def rotate(self, *, keep: bool = True) -> str:
        """Makes a new signing key, and returns its `kid`.

        Args:
            keep: whether the old keys stay in the key set, so that tokens signed with them are valid until they expire.
        """
        with self._lock:
            key = _Key(self.algorithm, int(self._keys[-1].kid.rpartition("-")[2]) + 1)
            self._keys = [*(self._keys if keep else []), key]
        return key.kid

    # ---- inside ----

    def _started(self) -> LoopbackServer:
        if self._server is None:
            raise RuntimeError("Issuer has not been started. Fix: write `with Issuer() as issuer:`")
        return self._server

    def serve(self) -> bytes:
        """Returns the key set. The server calls it."""
        with self._lock:
            self._fetches += 1
        return json.dumps(self.jwks).encode()


class _Key:
    """A key pair, and its public part as an entry of a key set."""

    def __init__(self, algorithm: str, number: int) -> None:
        self.kid = f"key-{number}"
        self.private = _private_key(algorithm)
        public = jwt.get_algorithm_by_name(algorithm).to_jwk(self.private.public_key(), as_dict=True)
        self.public = {**public, "kid": self.kid, "use": "sig", "alg": algorithm}
        self.public.pop("key_ops", None)


def _private_key(algorithm: str) -> Any:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _segment(members: dict[str, Any]) -> str:
    return jwt.utils.base64url_encode(json.dumps(members, separators=(",", ":")).encode()).decode()


class _Handler(LoopbackHandler):
    token_issuer: Issuer

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        if self.path != PATH:
            self.answer(404, {}, b"")
            return
        self.answer(200, {"Content-Type": "application/jwk-set+json"}, self.token_issuer.serve())


# ---- TLS ------------------------------------------------------------------------------------------------------------


def _server_context(ca_file: Path) -> ssl.SSLContext:
    """Makes the server's TLS context. Writes its authority, and the system's authorities, to `ca_file`."""
    authority, authority_key = _certificate("lattice-bridge testing", None)
    certificate, key = _certificate(HOST, (authority, authority_key))
    own = ca_file.with_name("server.pem")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    # SSL_CERT_FILE replaces the system's file, and a test's other servers must stay trusted.
    system = ssl.get_default_verify_paths().cafile
    ca_file.write_bytes(authority.public_bytes(Encoding.PEM) + (Path(system).read_bytes() if system else b""))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    return context


def _certificate(
    name: str, issued_by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Makes a server's certificate, or, without `issued_by`, an authority's. With all fields that Python 3.13 needs."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signing_key = (issued_by[0].subject, issued_by[1]) if issued_by else (subject, key)
    is_authority = issued_by is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_usage(is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if not is_authority:
        names = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
