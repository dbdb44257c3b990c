"""The responses of API Gateway itself: JSON with a message, and headers by which clients know the error.

Rule: the client gets what AWS sends. What is wrong, and what there is instead, is for the stack's log only.
Source: "Gateway response types for API Gateway".
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Final

from lattice_bridge.local.plan.rest_api import GatewayResponse, RestApi
from lattice_bridge.local.web.admission import Headers, Refused

_KINDS: Final = {
    "ACCESS_DENIED": (403, "Forbidden", "AccessDeniedException"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error", "InternalServerErrorException"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, None, "AuthorizerConfigurationException"),
    "BAD_REQUEST_PARAMETERS": (400, "Bad Request", "BadRequestException"),
    "DEFAULT_5XX": (500, "Internal server error", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", "InternalServerErrorException"),
    "INVALID_SIGNATURE": (403, "Forbidden", "InvalidSignatureException"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    "UNAUTHORIZED": (401, "Unauthorized", "UnauthorizedException"),
}
"""Type → status, message and x-amzn-errortype. The message of a failed authorizer is null, as on AWS."""
_MESSAGE: Final = {"ACCESS_DENIED": "Message"}
"""Types whose body spells the field otherwise."""


class GatewayRefusal(Refused):
    """A request that API Gateway refuses.

    Args:
        status: of the response.
        message: for the client; None is null.
        cause: for the stack's log.
        error: the value of x-amzn-errortype.
        reason: a short code for the stack's log.
        field: of the body, with the message.
        changes: of the template.
        kind: of the gateway response.
    """

    def __init__(
        self,
        status: int,
        message: str | None,
        cause: str,
        error: str,
        reason: str,
        *,
        field: str = "message",
        changes: GatewayResponse | None = None,
        kind: str = "",
    ) -> None:
        changes = changes or GatewayResponse()
        super().__init__(changes.status or status, message or "", cause, reason=reason)
        self._message = message
        self._error = error
        self._field = field
        self._changes = changes
        self._kind = kind

    @classmethod
    def of_kind(
        cls,
        api: RestApi,
        kind: str,
        message: str | None,
        cause: str,
        reason: str,
        *,
        status: int | None = None,
        error: str = "",
    ) -> GatewayRefusal:
        """A refusal of a type that the API's gateway responses may change.

        Args:
            api: with its gateway responses.
            kind: as in `MISSING_AUTHENTICATION_TOKEN`.
            message: None for the usual one.
            cause, reason: as for the class.
            status: None for the usual one.
            error: the value of x-amzn-errortype; empty for the usual one.
        """
        usual_status, usual_message, usual_error = _KINDS[kind]
        status = status or usual_status
        default = "DEFAULT_5XX" if status >= 500 else "DEFAULT_4XX"
        return cls(
            status,
            message or usual_message,
            cause,
            error or usual_error,
            reason,
            field=_MESSAGE.get(kind, "message"),
            changes=api.responses.get(kind) or api.responses.get(default),
            kind=kind,
        )

    @property
    def body(self) -> bytes:
        """The body of the response."""
        if not self._changes.template:
            return json.dumps({self._field: self._message}).encode()
        text = self._changes.template
        for name, value in (
            ("$context.error.messageString", json.dumps(self._message)),
            ("$context.error.message", self._message or ""),
            ("$context.error.responseType", self._kind),
        ):
            text = text.replace(name, value)
        return text.encode()

    @property
    def headers(self) -> Headers:
        """The headers of the response that describe the body, names in lower case."""
        unique = base64.urlsafe_b64encode(secrets.token_bytes(11)).decode("ascii")
        changed = [(name.lower(), value) for name, value in self._changes.headers]
        usual = [("content-type", "application/json"), ("x-amzn-errortype", self._error), ("x-amz-apigw-id", unique)]
        return [*(pair for pair in usual if pair[0] not in dict(changed)), *changed]
