"""HTTP -> the event that a LAMBDA target group gets; its reply -> HTTP.

Rule: to the letter of docs/wire.md, captures first; what nobody has shown is in `assumptions`. Pure: the request id,
the clock and the caller are handed in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.formats.assumptions import FRONT_DROPPED_HEADERS, FRONT_TYPE_PARAMETERS_COUNT, QUERY_MAP_IS_DECODED
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.identity.principal import Principal
from lattice_bridge.message import X509, parse_query

Pairs = Sequence[tuple[str, str]]

BODY_LIMIT: Final = 6 * 1024 * 1024

_TEXT_TYPES: Final = ("application/json", "application/xml", "application/javascript")
_X509_V2: Final = {
    "issuer_ou": "x509IssuerOu",
    "san_dns": "x509SanDns",
    "san_name_cn": "x509SanNameCn",
    "san_uri": "x509SanUri",
    "subject_cn": "x509SubjectCn",
}
_X509_V1: Final = {
    "issuer_ou": "X509Issuer/OU",
    "san_dns": "X509SAN/DNS",
    "san_name_cn": "X509SAN/NameCN",
    "san_uri": "X509SAN/URI",
    "subject_cn": "X509Subject/CN",
}


@dataclass(frozen=True, slots=True)
class Signer:
    """Whom Lattice authenticated.

    Attributes:
        principal: the role's session, for a role.
        session: name of the session.
        org: id of the organization.
        x509: from the certificate, with IAM Roles Anywhere.
        arn: `aws:PrincipalArn`: of a session the role's, with its path. No event has it.
    """

    principal: Principal
    session: str | None = None
    org: str | None = None
    x509: X509 | None = None
    arn: str | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came over the wire.

    Attributes:
        method: as sent.
        target: path and query as sent.
        headers: in order, names in lower case.
        body: whole.
        client_address: of the other end of the connection.
    """

    method: str
    target: str
    headers: Pairs
    body: bytes = b""
    client_address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in Lattice the event comes from."""

    request_id: str
    epoch_microseconds: int
    region: str
    service_arn: str
    service_network_arn: str
    target_group_arn: str
    source_vpc_arn: str


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What goes back over the wire."""

    status: int
    headers: Pairs = ()
    body: bytes = b""


class BadReply(Exception):
    """The function's answer is not a reply that Lattice takes."""


# ---- HTTP -> event --------------------------------------------------------------------------------------------------


def event_v2(request: HttpRequest, origin: Origin, signer: Signer | None) -> dict[str, Any]:
    """The V2 event: lists for header and query values, keys absent where there is nothing to say."""
    headers: dict[str, list[str]] = {}
    for name, value in _headers(request):
        headers.setdefault(name, []).append(value)
    event: dict[str, Any] = {"version": "2.0", "path": request.target, "method": request.method, "headers": headers}
    query: dict[str, list[str]] = {}
    for name, value in query_pairs(request.target):
        query.setdefault(name, []).append(value)
    if query:
        event["queryStringParameters"] = query
    body, is_base64 = _body(request)
    if body:
        event["body"] = body
    if is_base64:
        event["isBase64Encoded"] = True
    event["requestContext"] = {
        "serviceNetworkArn": origin.service_network_arn,
        "serviceArn": origin.service_arn,
        "targetGroupArn": origin.target_group_arn,
        "identity": _identity_v2(origin, signer),
        "region": origin.region,
        "timeEpoch": str(origin.epoch_microseconds),
    }
    event["requestId"] = origin.request_id
    return event


def event_v1(request: HttpRequest, origin: Origin, signer: Signer | None) -> dict[str, Any]:
    """The V1 event: one string a header and query name, every key always there, identity in two headers."""
    headers: dict[str, str] = {}
    for name, value in _headers(request):
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    headers[names.NETWORK] = f"SourceVpcArn={origin.source_vpc_arn}"
    if signer is not None:
        headers[names.IDENTITY] = _identity_v1(signer)
    query: dict[str, str] = {}
    for name, value in query_pairs(request.target):
        query.setdefault(name, value)  # captures show the first of a repeated key, AWS's page says the last
    body, is_base64 = _body(request)
    return {
        "raw_path": request.target,
        "method": request.method,
        "headers": headers,
        "query_string_parameters": query,
        "body": body,
        "is_base64_encoded": is_base64,
        "request_id": origin.request_id,
    }


def _headers(request: HttpRequest) -> Pairs:
    """What Lattice passes on: without its own headers from clients, with the address it saw behind the client's."""
    dropped = FRONT_DROPPED_HEADERS | (connection_options(request.headers) - {"host"})
    kept = [
        (name, value)
        for name, value in request.headers
        if not name.startswith(names.LATTICE_PREFIX) and name not in dropped
    ]
    forwarded = [value for name, value in kept if name == "x-forwarded-for"]
    others = [(name, value) for name, value in kept if name != "x-forwarded-for"]
    return [*others, ("x-forwarded-for", ",".join([*forwarded, request.client_address]))]


def connection_options(headers: Pairs) -> frozenset[str]:
    """What `Connection` names, in lower case: options such as `close`, and headers for this connection only."""
    values = ",".join(value for name, value in headers if name == "connection")
    return frozenset(option.strip(" \t").lower() for option in values.split(","))


def query_pairs(target: str) -> Pairs:
    """Names and values of the query, in order."""
    raw = target.partition("?")[2]
    if QUERY_MAP_IS_DECODED:
        return parse_query(raw)
    return [(name, value) for name, _, value in (part.partition("=") for part in raw.split("&") if part)]


def _body(request: HttpRequest) -> tuple[str, bool]:
    """AWS's rule: base64 unless the content type is text or one of three, and always with a content encoding."""
    if not request.body:
        return "", False
    fields = dict(request.headers)
    media_type = fields.get("content-type", "").strip().lower()
    if not FRONT_TYPE_PARAMETERS_COUNT:
        media_type = media_type.partition(";")[0].strip()
    if "content-encoding" not in fields and (media_type.startswith("text/") or media_type in _TEXT_TYPES):
        try:
            return request.body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass  # cannot be said in JSON as it is
    return base64.b64encode(request.body).decode("ascii"), True


def _identity_v2(origin: Origin, signer: Signer | None) -> dict[str, str]:
    identity = {"sourceVpcArn": origin.source_vpc_arn}
    if signer is None:
        return identity  # no `type` key: "NONE" was never captured
    found = {
        "type": "AWS_IAM",
        "principal": str(signer.principal),
        "principalOrgID": signer.org,
        "sessionName": signer.session,
        **_x509(signer.x509, _X509_V2),
    }
    return identity | {key: value for key, value in found.items() if value}


def _identity_v1(signer: Signer) -> str:
    fields = {
        "Principal": str(signer.principal),
        "PrincipalOrgID": signer.org or "",
        "PrincipalOrgPaths": "",  # as in captures; the local stack knows of no organisation's tree
        "SessionName": signer.session or "",
        "Type": "AWS_IAM",
        **_x509(signer.x509, _X509_V1),
    }
    return "; ".join(f"{key}={value}" for key, value in fields.items())


def _x509(x509: X509 | None, spelling: Mapping[str, str]) -> dict[str, str]:
    if x509 is None:
        return {}
    return {key: value for field_name, key in spelling.items() if (value := getattr(x509, field_name))}


def to_json(event: Mapping[str, Any]) -> bytes:
    """An event as the bytes that Lambda is given."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


# ---- reply -> HTTP --------------------------------------------------------------------------------------------------


def http_response(payload: bytes, method: str) -> HttpResponse:
    """The response for a function's reply.

    Raises:
        BadReply: not JSON, or not a reply; the message says what is wrong with it.
    """
    try:
        reply = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadReply("the function's answer is not JSON") from error
    if not isinstance(reply, dict):
        raise BadReply("the function's answer is not an object")
    status = reply.get("statusCode")
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadReply("statusCode is not a number from 200 to 599")
    body = b"" if method == "HEAD" or status in (204, 304) else _reply_body(reply)
    return HttpResponse(status, _reply_headers(reply), body)


def _reply_headers(reply: Mapping[str, Any]) -> Pairs:
    """Both ways in which replies are known to carry several cookies are understood; see `assumptions.SET_COOKIE`."""
    headers, cookies = reply.get("headers"), reply.get("cookies")
    headers, cookies = {} if headers is None else headers, [] if cookies is None else cookies
    if not isinstance(headers, dict) or not isinstance(cookies, list):
        raise BadReply("headers is not an object, or cookies is not a list")
    pairs: list[tuple[str, str]] = []
    for name, entry in [*headers.items(), *(("set-cookie", cookie) for cookie in cookies)]:
        for value in entry if isinstance(entry, list) else [entry]:
            if not isinstance(value, str) or not names.is_token(name) or not names.is_sendable(value):
                raise BadReply(f"header {name!r} is not a name with a string")
            pairs.append((names.lower(name), value))
    return [pair for pair in pairs if pair[0] not in names.HOP_BY_HOP and pair[0] != "content-length"]


def _reply_body(reply: Mapping[str, Any]) -> bytes:
    body = reply.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadReply("body is not a string")
    if reply.get("isBase64Encoded") is True:
        found = Base64.checked(body)  # not binascii, whose strict mode takes "++++====" in 3.11
        if found is None:
            raise BadReply("body is marked as base64 and is not")
        return found.decoded()
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise BadReply("body is not text") from error
