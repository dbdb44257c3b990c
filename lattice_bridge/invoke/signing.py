"""AWS Signature Version 4 for POSTs.

Rule: arithmetic only. Time and credentials are arguments. What is kept can be used with the same inputs alone: a form
has its credentials for its whole life, and what depends on the time is kept together with it. No string that this
module returns contains a secret.
Source: the IAM user guide, "Create a signed AWS API request". The tests compare the signatures with botocore's.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHM: Final = "AWS4-HMAC-SHA256"

_DATE: Final = "x-amz-date"
_GAP: Final = "\0"
"""Where a form has a value that it receives later. No header can contain it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials.

    Attributes:
        access_key: the id of the key; sent.
        secret_key: never sent.
        token: of temporary credentials, or None; sent.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Signer:
    """Signs requests to one service in one region. Thread-safe.

    Args:
        region: such as `eu-west-1`.
        service: the service's signing name, such as `lambda`.
    """

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        # One entry, replaced as a whole: a day's key is valid until the day or the credentials change.
        self._last: SigningDay | None = None

    def form(
        self, path: str, headers: Mapping[str, str], credentials: Credentials, varying: str | None = None
    ) -> SigningForm:
        """The form of POSTs that have all but the time, the payload and the value of one header in common.

        Args:
            path: as it is sent: percent-encoded, without `.`, `..` and empty segments, without a query.
            headers: those with the same value in each request, `host` included. Names in lower case, values without
                spaces at their ends and without two in a row.
            credentials: sign the requests. A token is signed as `x-amz-security-token`.
            varying: the name of the other header, in lower case; it comes after `x-amz-date` in the alphabet. Or None.

        Raises:
            ValueError: a path or value contains NUL.
        """
        values = {**headers, _DATE: _GAP}
        if credentials.token:
            values["x-amz-security-token"] = credentials.token
        if varying is not None:
            values[varying] = _GAP
        names = sorted(values)
        lines = "".join([f"{name}:{values[name]}\n" for name in names])
        # The path is encoded once more, as for every service but S3; the empty line is the query.
        canonical = f"POST\n{quote(path, safe='/~')}\n\n{lines}\n{';'.join(names)}\n"
        before, after, *rest = canonical.split(_GAP)
        if len(rest) != (varying is not None):
            raise ValueError("a path or header with NUL")
        return SigningForm(self, credentials, ";".join(names), before, after, "".join(rest))

    def day(self, day: str, credentials: Credentials) -> SigningDay:
        """What the signatures of a day have in common."""
        last = self._last
        if last is not None and last.day == day and last.credentials == credentials:
            return last
        key = f"AWS4{credentials.secret_key}".encode()
        for step in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        made = self._last = SigningDay(day, credentials, scope, *_keyed(key))
        return made


class SigningDay(NamedTuple):
    """What the signatures of one day have in common.

    Attributes:
        day: as `YYYYMMDD`.
        credentials: sign the requests.
        scope: of the signatures.
        inner: the inner hash of HMAC with the day's key. It is copied, never changed.
        outer: the outer hash, likewise.
    """

    day: str
    credentials: Credentials
    scope: str
    inner: _Hash
    outer: _Hash


class SigningForm:
    """Signs POSTs that have all but the time, the payload and the value of one header in common. Thread-safe.

    Args:
        signer: for the region and the service.
        credentials: sign the requests.
        names: of the signed headers, as the signature lists them.
        before: the canonical request up to the time.
        after: from there to the value of the varying header, or to the payload's hash if there is none.
        rest: from there to the payload's hash.
    """

    __slots__ = ("_after", "_before", "_credentials", "_names", "_rest", "_second", "_signer")

    def __init__(
        self, signer: Signer, credentials: Credentials, names: str, before: str, after: str, rest: str
    ) -> None:
        self._signer = signer
        self._credentials = credentials
        self._names = names
        self._before = before
        self._after = after
        self._rest = rest
        self._second: _Second | None = None

    @property
    def size(self) -> int:
        """Characters that it keeps, without the few of its second."""
        return len(self._before) + len(self._after) + len(self._rest) + 2 * len(self._names)

    def authorization(self, timestamp: str, value: str, payload_sha256: str) -> str:
        """The value of `authorization` for one request.

        Args:
            timestamp: now, in UTC, as `YYYYMMDDTHHMMSSZ`.
            value: of the varying header; an empty string if there is none.
            payload_sha256: of the body, as hex.
        """
        second = self._second
        if second is None or second.timestamp != timestamp:
            second = self._second = self._at(timestamp)  # replaced as a whole, because threads share it
        canonical = second.canonical.copy()
        canonical.update(f"{value}{self._rest}{payload_sha256}".encode())
        inner, outer = second.day.inner.copy(), second.day.outer.copy()
        inner.update(f"{second.text}{canonical.hexdigest()}".encode())
        outer.update(inner.digest())
        return f"{second.authorization}{outer.hexdigest()}"

    def _at(self, timestamp: str) -> _Second:
        day = self._signer.day(timestamp[:8], self._credentials)
        return _Second(
            timestamp,
            day,
            sha256(f"{self._before}{timestamp}{self._after}".encode()),
            f"{ALGORITHM}\n{timestamp}\n{day.scope}\n",
            f"{ALGORITHM} Credential={self._credentials.access_key}/{day.scope}, "
            f"SignedHeaders={self._names}, Signature=",
        )


class _Second(NamedTuple):
    """What the signatures of one second have in common.

    Attributes:
        timestamp: the second.
        day: what those of its day have in common.
        canonical: the hash of the canonical request, up to the first value that differs. It is copied, never changed.
        text: the string to sign, up to that hash.
        authorization: the value up to the signature.
    """

    timestamp: str
    day: SigningDay
    canonical: _Hash
    text: str
    authorization: str


_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def _keyed(key: bytes) -> tuple[_Hash, _Hash]:
    """The two hashes of HMAC-SHA256 (RFC 2104) after the key, which has 64 bytes at most. To copy both costs half of
    `hmac.digest`, in which OpenSSL 3 looks up the algorithm by its name each time."""
    block = key.ljust(64, b"\0")
    return sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))
