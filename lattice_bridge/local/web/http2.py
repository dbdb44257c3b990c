"""The one response to a client that speaks HTTP/2 at once, without an offer to upgrade.

Rule: nothing of the request is read. The response is an error that an AWS SDK shows as a sentence. In HTTP/1.1, the SDK
would show a fault of its own protocol, and not what is wrong.
Source: RFC 9113 §3.4 (preface), §4.1 and §6 (frames); RFC 7541 §6.1, §6.2.2 (headers without an index).
"""

from __future__ import annotations

import json
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes of a client."""
STATUS: Final = 505
"""HTTP Version Not Supported. SDKs do not repeat a request with it."""
MESSAGE: Final = (
    "HTTP Version Not Supported: the client speaks HTTP/2, and the local stack HTTP/1.1. Fix: give the SDK's client "
    "another HTTP client: in JavaScript requestHandler: new NodeHttpHandler(), in Java "
    ".httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1))"
)

_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_STREAM, _END_HEADERS, _ACKNOWLEDGED = 1, 4, 1
_FIRST: Final = 1
"""The stream of a client's first request."""
_STATUS_NAME: Final = b"\x08"
"""`:status` in the table of names, with a value that is not in it."""


def refusal() -> bytes:
    """The response to the first request, and the end of the connection."""
    body = json.dumps({"__type": "HttpVersionNotSupported", "message": MESSAGE}).encode()
    status = _STATUS_NAME + _text(str(STATUS).encode())
    media_type = b"\x00" + _text(b"content-type") + _text(b"application/json")
    return b"".join(
        (
            _frame(_SETTINGS, 0, 0, b""),
            _frame(_SETTINGS, _ACKNOWLEDGED, 0, b""),
            _frame(_HEADERS, _END_HEADERS, _FIRST, status + media_type),
            _frame(_DATA, _END_STREAM, _FIRST, body),
            _frame(_GOAWAY, 0, 0, _FIRST.to_bytes(4, "big") + bytes(4)),
        )
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _text(text: bytes) -> bytes:
    """A string of fewer than 127 bytes."""
    return bytes((len(text),)) + text
