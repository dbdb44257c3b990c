"""AWS Signature Version 4 for one POST.

Rule: arithmetic only. Time and credentials are handed in, and nothing is remembered but the last signing key, which
serves a day. A secret is in no text that this room makes.
Source: the IAM user guide, "Create a signed AWS API request". botocore is what the tests hold it against.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs.

    Attributes:
        access_key: names the key; is sent.
        secret_key: is not sent.
        token: of temporary credentials, or None; is sent.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Signer:
    """Signs for one region and service. Safe to share by threads.

    Args:
        region: as in `eu-west-1`.
        service: the name it is signed for, as in `lambda`.
    """

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        # One entry, replaced as a whole: a day's key serves until the day or the credentials change.
        self._last: tuple[str, Credentials, bytes] | None = None

    def sign(
        self, path: str, headers: Mapping[str, str], payload_sha256: str, credentials: Credentials, timestamp: str
    ) -> dict[str, str]:
        """The headers of a signed POST: those given, every one of them signed, and the signature's own.

        Args:
            path: as it is sent: percent-encoded, without `.`, `..` and empty segments, without a query.
            headers: names in lower case, `host` among them; values without blanks at their ends or in a row.
            payload_sha256: of the body, as hex.
            credentials: who signs.
            timestamp: now, in UTC, as `YYYYMMDDTHHMMSSZ`.
        """
        signed = {**headers, "x-amz-date": timestamp}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        # The path is encoded once more, as for every service but S3; the empty line is the query.
        canonical = f"POST\n{_encoded(path)}\n\n{lines}\n{';'.join(names)}\n{payload_sha256}"
        day = timestamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = _hmac(self._key(day, credentials), text).hex()
        signed["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed

    def _key(self, day: str, credentials: Credentials) -> bytes:
        last = self._last
        if last is not None and last[0] == day and last[1] == credentials:
            return last[2]
        key = f"AWS4{credentials.secret_key}".encode()
        for step in (day, self._region, self._service, "aws4_request"):
            key = _hmac(key, step)
        self._last = (day, credentials, key)
        return key


@lru_cache(256)
def _encoded(path: str) -> str:
    return quote(path, safe="/~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
