"""Verifies the signature of an HTTP request: AWS Signature Version 4, as VPC Lattice and Lambda verify it.

Rule: a signature is the one that botocore computes: the tests compare. A request is verified once for each call of a
function, so this module derives a key once a day, and writes the canonical request without botocore's objects.
Source: the VPC Lattice user guide, "SIGv4 authenticated requests": service `vpc-lattice-svcs`, and
`x-amz-content-sha256: UNSIGNED-PAYLOAD`, since Lattice does not verify bodies. Lambda does, without that header.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol, TypeVar
from urllib.parse import quote

SERVICE: Final = "vpc-lattice-svcs"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
MAX_SKEW: Final = timedelta(minutes=5)
MAX_SIGNED: Final = 100

_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/([0-9]{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;._-]+),\s*Signature=([0-9a-f]{64})\s*"
)
_TIMESTAMP: Final = re.compile("[0-9]{8}T[0-9]{6}Z")
_TIMESTAMP_SIZE: Final = len("20251231T235959Z")
_LONGEST_KNOWN: Final = 512
"""Characters of a path whose encoded form is cached. The name of a function has 140 in an ARN."""
_FIXES: Final = {
    "x-amz-content-sha256": f"add -H 'x-amz-content-sha256: {UNSIGNED}', once",
    "x-amz-date": "sign with an SDK or with curl --aws-sigv4, which send it",
}


class SignatureRefused(Exception):
    """A signature that does not verify. The message is sent to the client with status 403.

    Args:
        message: begins with AWS's name for the fault.
        fix: the step for the caller.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message.rstrip('.')}. Fix: {fix}")


class Key(Protocol):
    """A key that signatures are verified with."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...


_Key = TypeVar("_Key", bound=Key)


@dataclass(slots=True)
class Signed:
    """The parts of a request that a signature covers, as sent.

    Attributes:
        method, path, query: of the request line, undecoded.
        headers: all of them, names in lower case.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    _by_name: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def values(self, name: str) -> Sequence[str]:
        """Returns all values of a header."""
        if not self._by_name:
            for key, value in self.headers:
                self._by_name.setdefault(key, []).append(value)
        return self._by_name.get(name, ())

    def one(self, name: str) -> str:
        """Returns the value of a header that a signed request must contain exactly once."""
        values = self.values(name)
        if len(values) != 1:
            raise SignatureRefused(
                f"IncompleteSignatureException: {name} occurs {len(values)} times", _FIXES.get(name, "send it once")
            )
        return values[0]


def lattice_signer(request: Signed, keys: Mapping[str, _Key], *, region: str, now: datetime) -> _Key | None:
    """Returns the key that signed a request to Lattice; None if the request has no AWS signature.

    A request with a wrong signature is refused, also where unsigned requests are admitted.

    Args:
        request: as sent.
        keys: by access key.
        region: for which the request must be signed.
        now: in UTC.

    Raises:
        SignatureRefused: malformed, by an unknown key, for another service or region, stale, with a signed payload, or
            not the signature of this request.
    """
    if _is_signed(request) and request.one("x-amz-content-sha256") != UNSIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: x-amz-content-sha256 must be {UNSIGNED}", _FIXES["x-amz-content-sha256"]
        )
    return signer_of(request, keys, service=SERVICE, region=region, payload=UNSIGNED, now=now)


def signer_of(
    request: Signed, keys: Mapping[str, _Key], *, service: str, region: str, payload: str, now: datetime
) -> _Key | None:
    """Returns the key that signed a request; None if the request has no AWS signature.

    Args:
        request: as sent.
        keys: by access key.
        service: for which the request must be signed.
        region: for which the request must be signed.
        payload: the last line of the canonical request: the body's sha256 as hex, or a word in its place.
        now: in UTC.

    Raises:
        SignatureRefused: malformed, by an unknown key, for another service or region, stale, or not the signature of
            this request.
    """
    if not _is_signed(request):
        return None
    access_key, day, names, signature = _parse_authorization(request, service, region)
    timestamp = _fresh(request.one("x-amz-date"), day, now)
    _check_number(names, request)
    _check_signed(names, request, service)
    key = keys.get(access_key)
    if key is None:
        raise SignatureRefused(
            "UnrecognizedClientException: The security token included in the request is invalid.",
            "sign with an access key of this stack's identities",
        )
    signing_key = _signing_key(key.secret_key, day, region, service)
    scope = f"{day}/{region}/{service}/aws4_request"
    forms = _canonical_requests(request, names, payload)
    if not any(hmac.compare_digest(signature, _signature(signing_key, timestamp, scope, form)) for form in forms):
        raise SignatureRefused(
            "InvalidSignatureException: The request signature we calculated does not match the signature you provided.",
            "use this access key's own secret, and send what was signed: method, path, query and signed headers",
        )
    return key


def _parse_authorization(request: Signed, service: str, region: str) -> tuple[str, str, list[str], str]:
    """Returns the access key, the day, the names of the signed headers, and the signature."""
    match = _HEADER.fullmatch(request.one("authorization"))
    if match is None:
        raise SignatureRefused(
            "IncompleteSignatureException: not AWS4-HMAC-SHA256 with Credential, SignedHeaders, Signature",
            f"sign with an SDK or with curl --aws-sigv4 aws:amz:{region}:{service}",
        )
    access_key, day, *scope, signed_headers, signature = match.groups()
    if scope != [region, service]:
        raise SignatureRefused(
            f"InvalidSignatureException: Credential should be scoped to {region}/{service}",
            f"sign for this region and service, as in curl --aws-sigv4 aws:amz:{region}:{service}",
        )
    return access_key, day, signed_headers.split(";"), signature


def _check_number(names: Sequence[str], request: Signed) -> None:
    """Checks how many headers the signature covers, before anything is computed: the stack's keys are public."""
    if len(set(names)) < len(names) or len(names) > MAX_SIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: SignedHeaders has {len(names)} names, of which {len(set(names))} differ",
            f"sign each header once, and at most {MAX_SIGNED}",
        )
    lines = sum([len(request.values(name)) for name in names])
    if lines > MAX_SIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: {lines} signed header lines", f"send at most {MAX_SIGNED} of them"
        )


def _check_signed(names: Sequence[str], request: Signed, service: str) -> None:
    """Checks that the signature covers the required headers.

    AWS requires a signature of every `x-amz-*` header. Whether Lattice does is not known, and people add the header
    that chooses a local session's name by hand.
    """
    required = {"host", "x-amz-date"}
    if service != SERVICE:
        required |= {name for name, _ in request.headers if name.startswith("x-amz-")}
    if missing := required - set(names):
        listed = ", ".join(sorted(missing))
        raise SignatureRefused(f"InvalidSignatureException: {listed} must be signed", "add them to SignedHeaders")


def _is_signed(request: Signed) -> bool:
    return any(value.startswith("AWS4-") for value in request.values("authorization"))


def _fresh(timestamp: str, day: str, now: datetime) -> str:
    try:
        signed_at = _parse_timestamp(timestamp[: _TIMESTAMP_SIZE + 1])
    except ValueError:
        raise SignatureRefused(
            "IncompleteSignatureException: x-amz-date is not YYYYMMDDTHHMMSSZ", _FIXES["x-amz-date"]
        ) from None
    if not timestamp.startswith(day):
        raise SignatureRefused(
            "InvalidSignatureException: Date in Credential scope does not match x-amz-date", _FIXES["x-amz-date"]
        )
    if abs(now - signed_at) > MAX_SKEW:
        raise SignatureRefused(
            f"InvalidSignatureException: Signature expired: {timestamp} is over 5 minutes from {now:%Y%m%dT%H%M%SZ}",
            "sign each request anew, and set the clock of the machine that signs",
        )
    return timestamp


@lru_cache(16)
def _parse_timestamp(timestamp: str) -> datetime:
    """The requests of a second have the same one. Raises ValueError, which is not cached."""
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise ValueError
    parts = (timestamp[:4], *(timestamp[at : at + 2] for at in (4, 6, 9, 11, 13)))
    return datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type] # six numbers


def _canonical_requests(request: Signed, signed: Sequence[str], payload: str) -> Iterator[str]:
    """Gives each form in which clients write the canonical request.

    AWS's rule encodes the path once more and sorts the query. botocore also resolves dots and double slashes. curl
    before 8.3 signs both as sent. Lattice's own form is not documented, so a correct signature of any form is accepted.
    """
    names = sorted([name for name in signed if request.values(name)])
    lines = [f"{name}:{','.join([' '.join(value.split()) for value in request.values(name)])}" for name in names]
    headers = "\n".join(lines)
    ending = (headers, "", ";".join(names), payload)
    for path in _paths(request.path):
        for query in dict.fromkeys((_sorted(request.query), request.query)):
            yield "\n".join((request.method, path, query, *ending))


def _paths(sent: str) -> Iterator[str]:
    """The forms of a path, the usual one first. The others are computed only if it does not fit."""
    encoded = _encoded(sent) if len(sent) <= _LONGEST_KNOWN else quote(sent, safe="/~")
    yield encoded
    normal = quote(_without_dots(sent), safe="/~")
    yield from (path for path in dict.fromkeys((normal, sent)) if path != encoded)


@lru_cache(256)
def _encoded(path: str) -> str:
    """A client that invokes a function again sends the same path."""
    return quote(path, safe="/~")


def _without_dots(path: str) -> str:
    """The path without `.`, `..` and empty segments. Source: RFC 3986, section 5.2.4; the empty ones are AWS's.

    botocore has the same function, but its import is a tenth of the start of the stack.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _signature(signing_key: bytes, timestamp: str, scope: str, canonical: str) -> str:
    digest = sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    return hmac.digest(signing_key, text.encode(), "sha256").hex()


@lru_cache(64)
def _signing_key(secret_key: str, *scope: str) -> bytes:
    """Derives the key of a day, region and service."""
    key = f"AWS4{secret_key}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _sorted(query: str) -> str:
    """Returns AWS's canonical query: sorted by name, then value, with a `=` after every name."""
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs)
