"""HTTP messages as they are on the wire, and the caller that signed one: what every way in shares."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lattice_bridge.formats.assumptions import FRONT_TYPE_PARAMETERS_COUNT
from lattice_bridge.http.base64 import Base64
from lattice_bridge.identity.principal import Principal
from lattice_bridge.message import X509

Pairs = Sequence[tuple[str, str]]

_TEXT_TYPES: Final = ("application/json", "application/xml", "application/javascript")


@dataclass(slots=True)
class HttpRequest:
    """A request as it arrived on the wire.

    Attributes:
        method: as sent.
        target: path and query as sent.
        headers: in order, names in lower case.
        body: the whole body.
        client_address: the address of the other end of the connection.
        spelled: names of headers as the client spelled them, by their names in lower case.
    """

    method: str
    target: str
    headers: Pairs
    body: bytes = b""
    client_address: str = "127.0.0.1"
    spelled: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class HttpResponse:
    """A response as it is written to the wire."""

    status: int
    headers: Pairs = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Signer:
    """The principal whose signature the front verified.

    Attributes:
        principal: for a role, the role's session.
        session: the name of the session.
        org: the id of the organisation.
        x509: fields of the certificate, with IAM Roles Anywhere.
        arn: `aws:PrincipalArn`: for a session the ARN of its role, with the path. No event contains it.
    """

    principal: Principal
    session: str | None = None
    org: str | None = None
    x509: X509 | None = None
    arn: str | None = None


def connection_options(headers: Pairs) -> frozenset[str]:
    """The options in `Connection`, in lower case: options such as `close`, and names of headers for this connection."""
    values = ",".join(value for name, value in headers if name == "connection")
    return frozenset(option.strip(" \t").lower() for option in values.split(","))


def to_json(event: Mapping[str, Any]) -> bytes:
    """An event as JSON, as Lambda receives it. An authorizer's value may contain half of a character, which UTF-8
    cannot express: then the event has escapes."""
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(event, separators=(",", ":")).encode("ascii")


def content_of(request: HttpRequest) -> str | Base64:
    """AWS's rule: base64 unless the content type is `text/*` or one of three, and always with a content encoding."""
    if not request.body:
        return ""
    fields = dict(request.headers)
    media_type = fields.get("content-type", "").strip().lower()
    if not FRONT_TYPE_PARAMETERS_COUNT:
        media_type = media_type.partition(";")[0].strip()
    if "content-encoding" not in fields and (media_type.startswith("text/") or media_type in _TEXT_TYPES):
        try:
            return request.body.decode("utf-8")
        except UnicodeDecodeError:
            pass  # these bytes cannot be a JSON string
    return Base64(base64.b64encode(request.body).decode("ascii"))
