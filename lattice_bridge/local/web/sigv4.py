"""Who signed an HTTP request: Signature Version 4 as VPC Lattice and Lambda verify it.

Rule: the arithmetic is botocore's own. Here is what surrounds it: what has to be there, and how old it may be.
Source: the VPC Lattice user guide, "SIGv4 authenticated requests": service `vpc-lattice-svcs`, and
`x-amz-content-sha256: UNSIGNED-PAYLOAD`, since Lattice does not verify bodies. Lambda does, without that header.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

from lattice_bridge.local.front.identities import Identity

SERVICE: Final = "vpc-lattice-svcs"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
MAX_SKEW: Final = timedelta(minutes=5)
SESSION_PREFIX: Final = "session="
MAX_SIGNED: Final = 100

_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/([0-9]{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;._-]+),\s*Signature=([0-9a-f]{64})\s*"
)
_FIXES: Final = {
    "x-amz-content-sha256": f"add -H 'x-amz-content-sha256: {UNSIGNED}', once",
    "x-amz-date": "sign with an SDK or with curl --aws-sigv4, which send it",
}
_SESSION: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")


class SignatureRefused(Exception):
    """A signature that is there and does not hold. The message is what the client gets with its 403.

    Args:
        message: begins with AWS's name for the fault.
        fix: what the caller can do.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message.rstrip('.')}. Fix: {fix}")


class Key(Protocol):
    """What a signature is verified with."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...


_Key = TypeVar("_Key", bound=Key)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, as sent.

    Attributes:
        method, path, query: of the request line, undecoded.
        headers: all of them, names in lower case.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        """A header that has to be there, once, for a signature to mean anything."""
        values = self.values(name)
        if len(values) != 1:
            raise SignatureRefused(
                f"IncompleteSignatureException: {name} occurs {len(values)} times", _FIXES.get(name, "send it once")
            )
        return values[0]


def verify(request: Signed, identities: Mapping[str, Identity], *, region: str, now: datetime) -> Identity | None:
    """Who signed a request to Lattice; None if it carries no AWS signature.

    A request that is signed and wrong is refused, also where unsigned ones are admitted.

    Raises:
        SignatureRefused: malformed, by an unknown key, for another service or region, stale, with a signed payload, or
            not the signature of this request.
    """
    if _is_signed(request) and request.one("x-amz-content-sha256") != UNSIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: x-amz-content-sha256 must be {UNSIGNED}", _FIXES["x-amz-content-sha256"]
        )
    return signer_of(request, identities, service=SERVICE, region=region, payload=UNSIGNED, now=now)


def signer_of(
    request: Signed, keys: Mapping[str, _Key], *, service: str, region: str, payload: str, now: datetime
) -> _Key | None:
    """Whose key signed the request; None if it carries no AWS signature.

    Args:
        request: as sent.
        keys: by access key.
        service: what it has to be signed for.
        region: what it has to be signed for.
        payload: how the canonical request ends: the body's sha256 as hex, or a word in its place.
        now: in UTC.

    Raises:
        SignatureRefused: malformed, by an unknown key, for another service or region, stale, or not the signature of
            this request.
    """
    if not _is_signed(request):
        return None
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
    timestamp = _fresh(request.one("x-amz-date"), day, now)
    names = signed_headers.split(";")
    signed_lines = _signed_lines(names, request)
    _check_signed(names, request, service)
    key = keys.get(access_key)
    if key is None:
        raise SignatureRefused(
            "UnrecognizedClientException: The security token included in the request is invalid.",
            "sign with an access key that this stack knows",
        )
    auth = SigV4Auth(Credentials(key.access_key, key.secret_key), service, region)
    own = _signatures(request, auth, signed_lines, timestamp, payload)
    if not any(hmac.compare_digest(signature, one) for one in own):
        raise SignatureRefused(
            "InvalidSignatureException: The request signature we calculated does not match the signature you provided.",
            "use this access key's own secret, and send what was signed: method, path, query and signed headers",
        )
    return key


def _signed_lines(names: Sequence[str], request: Signed) -> list[tuple[str, str]]:
    """The headers that the signature covers, in the order of SignedHeaders. Bounded before anything is computed: the
    keys of the stack are public, and each name is compared with each header."""
    if len(set(names)) < len(names) or len(names) > MAX_SIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: SignedHeaders has {len(names)} names, {len(set(names))} different ones",
            f"sign each header once, and at most {MAX_SIGNED}",
        )
    lines = [(name, value) for name in names for value in request.values(name)]
    if len(lines) > MAX_SIGNED:
        raise SignatureRefused(
            f"InvalidSignatureException: {len(lines)} signed header lines", f"send at most {MAX_SIGNED} of them"
        )
    return lines


def _check_signed(names: Sequence[str], request: Signed, service: str) -> None:
    """What the signature has to cover. AWS wants every `x-amz-*` header signed; whether Lattice does is not known, and
    the one that chooses a local session's name is written by hand."""
    wanted = {"host", "x-amz-date"}
    if service != SERVICE:
        wanted |= {name for name, _ in request.headers if name.startswith("x-amz-")}
    if missing := wanted - set(names):
        listed = ", ".join(sorted(missing))
        raise SignatureRefused(
            f"InvalidSignatureException: {listed} must be signed", "add what is missing to SignedHeaders"
        )


def _is_signed(request: Signed) -> bool:
    return any(value.startswith("AWS4-") for value in request.values("authorization"))


def session_of(request: Signed, identity: Identity) -> str:
    """The session's name: the identity's own, or the one that `x-amz-security-token: session=NAME` asks for.

    Whoever assumes a role through AssumeRole chooses the session's name; this is the local way to do so.
    """
    token = next(iter(request.values("x-amz-security-token")), "")
    if not token.startswith(SESSION_PREFIX):
        return identity.session
    session = token.removeprefix(SESSION_PREFIX)
    if _SESSION.fullmatch(session) is None:
        raise SignatureRefused(
            "InvalidSignatureException: x-amz-security-token is not session=NAME",
            "write a NAME of 2 to 64 of A-Z a-z 0-9 _ + = , . @ -",
        )
    return session


def _fresh(timestamp: str, day: str, now: datetime) -> str:
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
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


def _signatures(
    request: Signed, auth: SigV4Auth, lines: Sequence[tuple[str, str]], timestamp: str, payload: str
) -> Iterator[str]:
    """The signature in each way that clients are known to write the canonical request.

    AWS's rule encodes the path once more and sorts the query, botocore also resolves dots and double slashes; curl
    before 8.3 signs both as sent. Which Lattice wants is not documented, so a correct signature of any kind is taken.
    """
    signed = AWSRequest(method=request.method, url=f"http://{request.one('host')}/")
    for name, value in lines:
        signed.headers.add_header(name, value)
    signed.context["timestamp"] = timestamp
    headers = auth.canonical_headers(signed.headers)
    ending = ("", auth.signed_headers(signed.headers), payload)
    normal = quote(normalize_url_path(request.path), safe="/~")
    for path in dict.fromkeys((quote(request.path, safe="/~"), normal, request.path)):
        for query in dict.fromkeys((_sorted(request.query), request.query)):
            canonical = "\n".join((request.method, path, query, headers, *ending))
            yield auth.signature(auth.string_to_sign(signed, canonical), signed)


def _sorted(query: str) -> str:
    """AWS's canonical query: by name, then value, with a `=` after every name."""
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs)
