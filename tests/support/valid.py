"""The form of a valid reply to Lattice (docs/wire.md §2)."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

LIMIT: Final = 6 * 1024 * 1024
KEYS: Final = {"statusCode", "isBase64Encoded", "headers", "cookies", "body"}
NEVER: Final = {"content-length", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


def assert_valid(reply: dict[str, Any], method: str = "GET") -> None:
    """Lattice can make an HTTP response to a `method` of this."""
    assert set(reply) <= KEYS
    status, headers = reply["statusCode"], reply["headers"]
    assert type(status) is int
    assert 200 <= status <= 599
    assert type(reply["isBase64Encoded"]) is bool
    assert type(headers) is dict
    for name, value in headers.items():
        assert name == name.lower()
        assert name not in NEVER
        assert_sendable(value)
    cookies = reply.get("cookies", [])
    assert type(cookies) is list
    for cookie in cookies:
        assert_sendable(cookie)
    if method == "HEAD" or status in (204, 304):
        assert "body" not in reply
    if "body" in reply:
        assert type(reply["body"]) is str
        assert "content-type" in headers
    body_of(reply)
    assert len(json.dumps(reply, allow_nan=False)) <= LIMIT


def assert_sendable(value: object) -> None:
    """One header line's value: text without line breaks, NUL or what UTF-8 cannot say."""
    assert type(value) is str
    value.encode()
    assert not set(value) & {chr(code) for code in (*range(9), *range(10, 32), 127)}


def body_of(reply: dict[str, Any]) -> bytes:
    """The bytes the client gets."""
    body: str = reply.get("body", "")
    return base64.b64decode(body, validate=True) if reply["isBase64Encoded"] else body.encode()
