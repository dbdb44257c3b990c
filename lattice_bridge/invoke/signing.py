"""AWS Signature Version 4 for one POST.

Rule: arithmetic only. Time and credentials are arguments, and only the last signing key is cached, which is valid for a
day. No string that this module returns contains a secret.
Source: the IAM user guide, "Create a signed AWS API request". The tests compare the signatures with botocore's.
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
        self._last: tuple[str, Credentials, bytes] | None = None

    def sign(
        self, path: str, headers: Mapping[str, str], payload_sha256: str, credentials: Credentials, timestamp: str
    ) -> dict[str, str]:
        """The headers of a signed POST: the given ones, all of them signed, and those of the signature.

        Args:
            path: as it is sent: percent-encoded, without `.`, `..` and empty segments, without a query.
            headers: names in lower case, `host` included; values without spaces at their ends and without two in a row.
            payload_sha256: of the body, as hex.
            credentials: sign the request.
            timestamp: now, in UTC, as `YYYYMMDDTHHMMSSZ`.
        """
        signed = {**headers, "x-amz-date": timestamp}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
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
