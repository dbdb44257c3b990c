"""JWK sets (RFC 7517): the bytes of a key set in, its usable public keys out.

Rule: pure. A key that this module returns is public, meant for verifying, and of a kind that `token` verifies. Where
two keys could be meant, the whole set is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.errors import Unavailable
from lattice_bridge.identity.token import unique_members

MAX_BYTES: Final = 128 * 1024
MAX_KEYS: Final = 64

_KID: Final = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,256}")
_NUMBER: Final = re.compile(r"[A-Za-z0-9_-]+")
_RSA_BITS: Final = range(2048, 8192 + 1)

_FAMILIES: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""`kty` and `crv` → the algorithms of such a key. Without `oct`: anyone can sign with a secret that is published."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Members that only a private key or a secret has: RFC 7518, section 6; RFC 8037, section 2; `priv` is of ML-DSA."""

_PUBLIC: Final = "kty, kid, alg, use; of RSA n, e; of EC crv, x, y; of OKP crv, x"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of a set, with the attributes of a PyJWK that `token.verify` reads.

    Attributes:
        key: the public key, of `cryptography`.
        algorithm_name: the key's `alg`, or None. PyJWK would have RS256 there, for every RSA key.
    """

    key: Any
    algorithm_name: str | None


def parse_key_set(data: bytes) -> dict[str | None, SigningKey]:
    """Parses the usable keys of a JWK set, by `kid`. A key without a `kid` is under None.

    Some keys are left out, because the other keys of the set are still good: secrets (`oct`), keys with private parts
    (every reader of the set can sign with them), keys that are not for verifying (`use`, `key_ops`), RSA below 2048 or
    above 8192 bits, kinds and algorithms that the bridge does not verify, and malformed keys. Certificates in a key are
    not read.

    Raises:
        Unavailable: `keys_unavailable`: over 128 KiB or 64 keys, not a JWK set, two keys of one `kid` (either could be
            meant), or no usable key.
    """
    if len(data) > MAX_BYTES:
        raise _unavailable("the key set is over 128 KiB")
    entries = _entries(data)
    if entries is None:
        raise _unavailable("the key set is not a JWK set")
    if len(entries) > MAX_KEYS:
        raise _unavailable("the key set has over 64 keys")
    keys: dict[str | None, SigningKey] = {}
    for entry in entries:
        key = _usable(entry)
        if key is None:
            continue
        kid = entry.get("kid")
        if kid in keys:
            raise _unavailable("the key set has two keys of one kid")
        keys[kid] = key
    if not keys:
        raise _unavailable("the key set has no usable key")
    return keys


def _entries(data: bytes) -> list[Any] | None:
    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=unique_members)
    except (ValueError, RecursionError):
        return None
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    return keys if isinstance(keys, list) else None


def _usable(entry: Any) -> SigningKey | None:
    if not isinstance(entry, dict) or entry.keys() & _PRIVATE or not _is_for_verifying(entry):
        return None
    kid, kind, curve, stated = (entry.get(name) for name in ("kid", "kty", "crv", "alg"))
    if not (kid is None or (isinstance(kid, str) and _KID.fullmatch(kid))):
        return None
    if not isinstance(kind, str) or not (curve is None or isinstance(curve, str)):
        return None
    algorithms = _FAMILIES.get((kind, curve), ())
    if not algorithms or not (stated is None or stated in algorithms):
        return None
    return _public_key(entry, algorithms[0], stated)


def _is_for_verifying(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _public_key(entry: dict[str, Any], algorithm: str, stated: str | None) -> SigningKey | None:
    from jwt import PyJWK  # here: it takes 100 ms, and a map without issuers does not need it

    # PyJWK skips characters that are not base64url, and a damaged key would become another key.
    if not all(isinstance(entry[name], str) and _NUMBER.fullmatch(entry[name]) for name in "nexy" if name in entry):
        return None
    try:
        key = PyJWK(entry, algorithm).key
    except Exception:  # KeyError, TypeError, or one of cryptography, whose message quotes the key
        return None
    if entry["kty"] == "RSA" and key.key_size not in _RSA_BITS:
        return None
    return SigningKey(key, stated)


def key_set_fault(data: bytes) -> str | None:
    """The fault of a key set that the operator supplies, or None. Never quotes key material.

    `parse_key_set` leaves a private key out, since an issuer's mistake must not stop the issuer's other keys. Here a
    private key is a fault: the operator can remove it, and if not, it would be deployed with the map.
    """
    if fault := _private_key_fault(data):
        return fault
    try:
        parse_key_set(data)
    except Exception as error:
        return str(error)
    return None


def _private_key_fault(data: bytes) -> str | None:
    if b"PRIVATE KEY" in data:  # the label of PEM (RFC 7468), also in a string within JSON
        return "contains a private key in PEM. Fix: replace the file with a JWK set of public keys"
    private: list[dict[str, Any]] = []

    def collect(members: dict[str, Any]) -> dict[str, Any]:
        if "kty" in members and (members.keys() & _PRIVATE or members["kty"] == "oct"):
            private.append(members)
        return members

    try:
        parsed = json.loads(data, object_hook=collect)
    except (ValueError, RecursionError):
        return None  # not JSON: `parse_key_set` refuses it
    if not private:
        return None
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    numbers = {id(key): number for number, key in enumerate(keys, 1)} if isinstance(keys, list) else {}
    named = "; ".join(_private_key_name(members, numbers.get(id(members))) for members in private[:MAX_KEYS])
    return f"contains private keys or secrets: {named}. Fix: keep only public keys, with these members: {_PUBLIC}"


def _private_key_name(members: Mapping[str, Any], number: int | None) -> str:
    kid = members.get("kid")
    if isinstance(kid, str) and _KID.fullmatch(kid):
        name = f'key "{kid}"'
    else:
        name = "an object that is not in keys" if number is None else f"key number {number}"
    found = sorted(members.keys() & _PRIVATE)
    return f"{name} has {', '.join(found)}" if found else f'{name} has kty "oct"'


def _unavailable(detail: str) -> Unavailable:
    return Unavailable("keys_unavailable", detail)
