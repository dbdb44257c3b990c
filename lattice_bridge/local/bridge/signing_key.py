"""The keys that sign tokens for the local stack: one pair for each algorithm, kept for the user of this machine.

Rule: a private key is readable by its owner only, is outside of every project, and is never printed or logged. Only the
local stack trusts the public key, which it writes into its own copy of a map's key sets. The deployed code has no
setting that names such a key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, Final

from lattice_bridge.identity.jwks import SigningKey, parse_key_set
from lattice_bridge.identity.token import Issuer

KID_PREFIX: Final = "lattice-bridge-local-"
"""The beginning of the `kid` of a local key, so that it is recognised wherever it is found."""

_MAX_BYTES: Final = 16 * 1024
_PREFERRED: Final = ("ES256", "EdDSA", "ES384", "ES512", "RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
"""Algorithms, the fastest signature first. An issuer's table has at least one of them."""


class KeyFault(Exception):
    """There is no local key. The message gives the reason and the fix."""


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A key pair.

    Attributes:
        algorithm: the only one that it signs with.
        private: the private key, of `cryptography`.
        public: the public key, as an entry of a key set.
        verifying: the public key, as the bridge parses that entry.
    """

    algorithm: str
    private: Any = field(repr=False)
    public: Mapping[str, str]
    verifying: SigningKey

    @property
    def kid(self) -> str:
        return self.public["kid"]


def algorithm_of(issuer: Issuer) -> str:
    """The algorithm of local tokens for an issuer: one that its table allows."""
    return next(algorithm for algorithm in _PREFERRED if algorithm in issuer.algorithms)


def key_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the keys: `lattice-bridge/local-issuer` in `XDG_CACHE_HOME`, or else in `~/.cache`.

    Raises:
        KeyFault: this user has no home folder.
    """
    cache = Path(environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # the XDG specification: a relative path is ignored
        home = environ.get("HOME", "")
        if not Path(home).is_absolute():
            raise KeyFault("no folder for the local signing key. Fix: set HOME or XDG_CACHE_HOME to an absolute path")
        cache = Path(home) / ".cache"
    return cache / "lattice-bridge" / "local-issuer"


def local_key(algorithm: str, folder: Path, project: Path) -> LocalKey:
    """The local key for an algorithm. Makes it if there is none.

    Two processes that make it at the same time get the same key.

    Args:
        algorithm: one of `identity.token.ALGORITHMS`.
        folder: of the keys.
        project: the folder of the map. The keys may not be in it: it is packaged, and its files are shared.

    Raises:
        KeyFault: the folder is in the project, the file cannot be read or made, or others can read it.
    """
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(project)):
        raise KeyFault(
            f"{folder}: the local signing key would be in the project {project}. Fix: set XDG_CACHE_HOME to a folder "
            "outside of it"
        )
    path = folder / f"{_family(algorithm)}.pem"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.path.lexists(path):
            _make(path, algorithm)
        return _key(algorithm, path)
    except OSError as error:
        raise KeyFault(
            f"{path}: {error.strerror or type(error).__name__}. Fix: make the folder writable for yourself, or set "
            "XDG_CACHE_HOME to another one"
        ) from error


def _family(algorithm: str) -> str:
    return "RSA" if algorithm[:2] in ("RS", "PS") else algorithm


def _make(path: Path, algorithm: str) -> None:
    """Makes a file with a new key. If another process was faster, its key stays."""
    # Here and below: the import takes 100 ms, and most stacks need no key.
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    new = path.with_name(f".{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_new(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with contextlib.suppress(FileExistsError):
            os.link(new, path)  # a rename would replace the other's key
    finally:
        new.unlink()


def _new(algorithm: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _read(path: Path) -> bytes:
    """The content of a key's file. Another user's file, or one that others can read, is not a private key."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyFault(f"{path}: not a regular file. Fix: remove it, and a new key is made")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise KeyFault(f"{path}: other users can read or replace this key. Fix: remove it, and a new key is made")
        return file.read(_MAX_BYTES)


def _key(algorithm: str, path: Path) -> LocalKey:
    import jwt
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _read(path)
    try:
        private: Any = load_pem_private_key(pem, password=None)
        found: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
        members: dict[str, str] = {
            name: str(found[name]) for name in ("kty", "crv", "n", "e", "x", "y") if name in found
        }
        public = {**members, "kid": _kid(members), "use": "sig", "alg": algorithm}
        verifying = parse_key_set(dumps({"keys": [public]}).encode())[public["kid"]]  # refuses a key of another kind
    except Exception:  # its message could quote the key
        raise KeyFault(f"{path}: not a private key for {algorithm}. Fix: remove it, and a new key is made") from None
    return LocalKey(algorithm, private, public, verifying)


def _kid(members: Mapping[str, str]) -> str:
    """The prefix and the thumbprint of RFC 7638."""
    canonical = dumps(dict(sorted(members.items())), separators=(",", ":")).encode()
    return KID_PREFIX + urlsafe_b64encode(sha256(canonical).digest()).rstrip(b"=").decode()
