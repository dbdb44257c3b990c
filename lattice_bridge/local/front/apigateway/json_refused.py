"""Refusals as API Gateway's HTTP APIs and Lambda's function URLs write them: a message in JSON."""

from __future__ import annotations

import json
from http import HTTPStatus

from lattice_bridge.local.front.exchange.http_message import Pairs
from lattice_bridge.local.web.admission import Refused


class JsonRefused(Refused):
    """A request that API Gateway or Lambda answers by itself, with a message in JSON.

    Args:
        status: of the response.
        message: for the client.
        cause: for the stack's log.
        reason: a short code for the stack's log.
        headers: further ones of the response.
        key: of the message; empty for the message alone, as Lambda answers if a function behind a URL failed.
    """

    def __init__(
        self, status: int, message: str, cause: str, *, reason: str, headers: Pairs = (), key: str = "message"
    ) -> None:
        super().__init__(status, message, cause, reason=reason)
        self._headers = tuple(headers)
        self._key = key

    @property
    def body(self) -> bytes:
        """The message, as AWS writes it."""
        return (json.dumps({self._key: str(self)}, separators=(",", ":")) if self._key else str(self)).encode()

    @property
    def headers(self) -> Pairs:
        """The headers of the response."""
        return [("content-type", "application/json"), *self._headers]

    def answered(self, headers: Pairs) -> JsonRefused:
        """The same refusal with further headers."""
        added = (*self._headers, *headers)
        return JsonRefused(self.status, str(self), self.cause, reason=self.reason, headers=added, key=self._key)


def refused(refusal: Refused) -> Refused:
    """A refusal of the front itself, as API Gateway words it."""
    if isinstance(refusal, JsonRefused):
        return refusal
    message = "Request Entity Too Large" if refusal.status == 413 else HTTPStatus(refusal.status).phrase
    return JsonRefused(refusal.status, message, refusal.cause, reason=refusal.reason)
