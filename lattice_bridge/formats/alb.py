"""`alb`: the event of an Application Load Balancer, and the reply to it.

Rule: as in AWS's "Lambda functions as targets for your Application Load Balancer". Query names and values are as sent,
still encoded: a load balancer does not decode them, and frameworks rely on it. An event has either the maps with one
value for each name or the multi-value maps, as the target group is configured, and its reply must have the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import reply
from lattice_bridge.http.query import split_query
from lattice_bridge.message import Request, Response

METHOD: Final = "httpMethod"
PATH: Final = "path"
HEADERS: Final = "headers"
MULTI_HEADERS: Final = "multiValueHeaders"
QUERY: Final = "queryStringParameters"
MULTI_QUERY: Final = "multiValueQueryStringParameters"
BODY: Final = "body"
IS_BASE64: Final = "isBase64Encoded"
CONTEXT: Final = "requestContext"
BALANCER: Final = "elb"
TARGET_GROUP_ARN: Final = "targetGroupArn"
FIELDS: Final = (METHOD, PATH, HEADERS, MULTI_HEADERS, QUERY, MULTI_QUERY, BODY, IS_BASE64, CONTEXT)
HEADER_MAPS: Final = ((HEADERS, False), (MULTI_HEADERS, True))
"""Each map of headers, and whether its values are lists. An event has one of them."""
QUERY_MAPS: Final = (QUERY, MULTI_QUERY)
MARKS: Final = (MULTI_HEADERS, MULTI_QUERY)
"""Fields by which readers take an event for a load balancer's or a REST API's."""

OWN_HEADERS: Final = ("x-amzn-oidc-", "x-amzn-mtls-")
"""Prefixes of headers in which a load balancer names the user that it authenticated. Backends behind one trust them. In
a request that came through Lattice they are a client's, and are dropped."""

REPLY_LIMIT: Final = 1024 * 1024
"""Bytes of JSON that a load balancer accepts as a reply."""

_ENCODED: Final = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff&#]*")


def recognises(event: Mapping[str, Any]) -> bool:
    """Whether an event has the mark of a load balancer."""
    context = event.get(CONTEXT)
    return isinstance(context, Mapping) and isinstance(context.get(BALANCER), Mapping) and METHOD in event


def method_of(event: Mapping[str, Any]) -> object:
    """The method of an event of this format, which may be malformed."""
    return event.get(METHOD)


def request_id_of(_event: Mapping[str, Any]) -> object:
    """None: a load balancer numbers no requests."""
    return None


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: Mapping[str, Any]) -> Request:
    """The request in an event of a load balancer, of either kind. A load balancer verifies no identity itself, and
    the headers in which it names a user are not read, so the caller is not authenticated.

    Raises:
        BadRequest: the event is malformed; the detail lists every fault.
    """
    faults = parts.Faults()
    method = parts.read_method(event.get(METHOD), faults)
    path, raw_query = parts.read_path(event.get(PATH), _read_query(event, faults), PATH, faults)
    if HEADERS in event and MULTI_HEADERS in event:
        faults.add("malformed_event", f"an event with {HEADERS} and {MULTI_HEADERS}; a load balancer sends one of them")
    headers = parts.read_headers(event.get(MULTI_HEADERS, event.get(HEADERS)), faults)
    content = parts.read_body(event.get(BODY), event.get(IS_BASE64), faults)
    faults.refuse_if_any()
    return Request(
        version=1,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=headers,
        content=content,
        target_group_arn=parts.read_name(event[CONTEXT][BALANCER].get(TARGET_GROUP_ARN)),
        event=event,
        source="alb",
    )


def _read_query(event: Mapping[str, Any], faults: parts.Faults) -> str:
    """The raw query. A character that would begin another parameter cannot have been sent unencoded."""
    if QUERY in event and MULTI_QUERY in event:
        faults.add("malformed_event", f"an event with {QUERY} and {MULTI_QUERY}; a load balancer sends one of them")
    query = event.get(MULTI_QUERY, event.get(QUERY))
    raw_query = parts.query_of_map(query, str, faults)
    if isinstance(query, Mapping) and raw_query:
        texts = (text for value in query.values() for text in (value if isinstance(value, list) else [value]))
        if not all(_ENCODED.fullmatch(text) for text in (*query, *texts)) or any("=" in name for name in query):
            faults.add("malformed_event", "a query parameter is not percent-encoded")
            return ""
    return raw_query


def is_multi_value(event: Mapping[str, Any]) -> bool:
    """Whether the target group has `lambda.multi_value_headers.enabled`."""
    return MULTI_HEADERS in event


# ---- Request → event ------------------------------------------------------------------------------------------------


def write(request: Request, *, multi_value: bool = True) -> dict[str, Any]:
    """The event that a load balancer would send.

    The format cannot express the order between different query names, and whether a name without a value had a `=`;
    without multi-value maps, only the last value of each name.

    Args:
        request: with the headers as the backend receives them.
        multi_value: whether the target group has multi-value headers enabled.
    """
    query = split_query(request.raw_query)
    maps: dict[str, Any] = (
        {MULTI_QUERY: parts.as_lists(query), MULTI_HEADERS: parts.as_lists(request.headers)}
        if multi_value
        else {QUERY: parts.as_last(query), HEADERS: parts.as_last(request.headers)}
    )
    return {
        CONTEXT: {BALANCER: {TARGET_GROUP_ARN: request.target_group_arn or ""}},
        METHOD: request.method,
        PATH: request.path,
        **maps,
        BODY: request.text,
        IS_BASE64: request.is_base64,
    }


# ---- Response → reply -----------------------------------------------------------------------------------------------


def render(
    response: Response, method: str, drop: frozenset[str] = frozenset(), *, multi_value: bool = True
) -> reply.Reply:
    """The reply to a load balancer, with `statusDescription`.

    Args:
        response, method, drop: as for `reply.render`.
        multi_value: whether the event had multi-value maps, see `is_multi_value`. A load balancer ignores the other
            kind of headers.

    Raises:
        BackendFailed: the reply is larger than a load balancer accepts, or has several cookies and the target group
            has no multi-value headers: AWS documents no way to return them.
    """
    fields = _multi_headers if multi_value else _single_headers
    found = reply.assemble(response, method, fields, drop, REPLY_LIMIT)
    phrase = _PHRASES.get(response.status, "")
    return {**found, "statusDescription": f"{response.status} {phrase}".rstrip()}


def _multi_headers(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    return {MULTI_HEADERS: {**headers, **({"set-cookie": cookies} if cookies else {})}}


def _single_headers(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    if len(cookies) > 1:
        raise reply.unreadable(
            f"{len(cookies)} cookies, and the target group has no multi-value headers. "
            "Fix: set lambda.multi_value_headers.enabled on the target group"
        )
    return {HEADERS: {**reply.join_values(headers), **({"set-cookie": cookies[0]} if cookies else {})}}


_PHRASES: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    508: "Loop Detected",
}
"""RFC 9110 §15. Another status has no phrase, which HTTP allows."""
