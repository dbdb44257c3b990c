"""`lattice-v2`: the event of a Lattice target group with event structure V2.

Rule: docs/wire.md §1. Source: "Lambda functions as targets in VPC Lattice", and captures where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.formats import event as parts
from lattice_bridge.http import headers as names
from lattice_bridge.http.memory import Memory
from lattice_bridge.message import Caller, Request

VERSION: Final = "version"
PATH: Final = "path"
"""With the query behind a `?`, though AWS's page shows it without."""
METHOD: Final = "method"
HEADERS: Final = "headers"
QUERY: Final = "queryStringParameters"
BODY: Final = "body"
IS_BASE64: Final = "isBase64Encoded"
REQUEST_ID: Final = "requestId"
CONTEXT: Final = "requestContext"
FIELDS: Final = (VERSION, PATH, METHOD, HEADERS, QUERY, BODY, IS_BASE64, CONTEXT, REQUEST_ID)

MARKS: Final = (CONTEXT, QUERY, IS_BASE64)
"""Fields that V2 has and V1 has not. A V1 event that has one is refused."""

NETWORK_ARN: Final = "serviceNetworkArn"
SERVICE_ARN: Final = "serviceArn"
TARGET_GROUP_ARN: Final = "targetGroupArn"
IDENTITY: Final = "identity"
REGION: Final = "region"
TIME: Final = "timeEpoch"
CONTEXT_FIELDS: Final = (NETWORK_ARN, SERVICE_ARN, TARGET_GROUP_ARN, IDENTITY, REGION, TIME)

IDENTITY_FIELDS: Final = {
    "source_vpc_arn": "sourceVpcArn",
    "type": "type",
    "principal": "principal",
    "org_id": "principalOrgID",
    "session_name": "sessionName",
    "issuer_ou": "x509IssuerOu",
    "san_dns": "x509SanDns",
    "san_name_cn": "x509SanNameCn",
    "san_uri": "x509SanUri",
    "subject_cn": "x509SubjectCn",
}
"""The fields of `requestContext.identity`, by `event.caller_of`'s names."""

MAX_IDENTITY_FIELDS: Final = 64
"""Fields of `requestContext.identity`. Lattice sends ten at most."""


def recognises(event: Mapping[str, Any]) -> bool:
    """Whether an event has the marks of V2. `version` is "2.0" in API Gateway's HTTP API too, so `serviceArn` counts.

    It may be empty: `payload = "lattice-v2"` writes it so behind a V1 target group, whose events do not name a service.
    """
    context = event.get(CONTEXT)
    return (
        event.get(VERSION) == "2.0"
        and isinstance(context, (dict, Mapping))  # a dict first: asking an abstract class takes longer
        and isinstance(context.get(SERVICE_ARN), str)
    )


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: Mapping[str, Any]) -> Request:
    """The request in a V2 event.

    Raises:
        BadRequest: the event is malformed; the detail lists every fault.
        Forbidden: the identity contradicts itself, or has no known shape.
    """
    context = event[CONTEXT]
    faults = parts.Faults()
    method = parts.read_method(event.get(METHOD), faults)
    path, raw_query = parts.read_target(event.get(PATH), event.get(QUERY), PATH, faults)
    headers = parts.read_headers(event.get(HEADERS), faults)
    content = parts.read_body(event.get(BODY), event.get(IS_BASE64), faults)
    faults.refuse_if_any()  # before a field of the identity is read, which may be of any length
    caller = _read_caller(context.get(IDENTITY), faults)
    return Request(
        version=2,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=headers,
        content=content,
        caller=caller,
        request_id=parts.read_request_id(event.get(REQUEST_ID)),
        service_arn=parts.read_name(context.get(SERVICE_ARN)),
        service_network_arn=parts.read_name(context.get(NETWORK_ARN)),
        target_group_arn=parts.read_name(context.get(TARGET_GROUP_ARN)),
        time_epoch=parts.read_time(context.get(TIME)),
        event=event,
    )


def _fold(name: str) -> str:
    """One spelling for all libraries: some write `X509SAN/URI` or `X509SanUri` for `x509SanUri`."""
    return names.lower(name).replace("/", "")


CALLERS: Final = Memory[tuple[str | None, ...], Caller](entries=1024, characters=1024)
"""What is found for the names and values of `requestContext.identity`. One session sends many requests."""


def _read_caller(value: object, faults: parts.Faults) -> Caller:
    """The caller in `requestContext.identity`.

    The names and the values are the key, all of them, and in their order. Only strings and None are remembered, so a
    number is never found as another one that is equal to it.

    Raises:
        BadRequest, Forbidden: as for `parse`.
    """
    key = (*value, *value.values()) if isinstance(value, dict) and len(value) <= MAX_IDENTITY_FIELDS else ()
    try:
        found = CALLERS.get(key)
    except TypeError:  # a list or an object is among the values
        found = None
    if found is None:
        identity = _read_identity(value, faults)
        faults.refuse_if_any()
        found = parts.caller_of(identity)
        if key:
            CALLERS.keep(key, found, sum(map(len, filter(None, key))))
    return found


_FOLDED: Final = {name: _fold(name) for name in IDENTITY_FIELDS.values()}
_KEYS: Final = {_fold(name): key for key, name in IDENTITY_FIELDS.items()}


def _read_identity(value: object, faults: parts.Faults) -> dict[str, str]:
    """`requestContext.identity`. A field under two spellings is refused: two readers would see two values."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.add("malformed_event", "requestContext.identity is not an object")
        return {}
    if len(value) > MAX_IDENTITY_FIELDS:
        faults.add("malformed_event", f"requestContext.identity has more than {MAX_IDENTITY_FIELDS} fields")
        return {}
    seen: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            faults.add("malformed_event", "a field of requestContext.identity is not a string")
        elif len(name) + parts.size_of(text or "") > parts.MAX_HEADER_BYTES:
            faults.add("malformed_event", f"a field of requestContext.identity is over {parts.MAX_HEADER_BYTES} bytes")
        elif (folded := _FOLDED.get(name) or _fold(name)) in seen:
            faults.add("malformed_event", "requestContext.identity has one field under two spellings")
        else:
            seen[folded] = text or ""
    return {key: text for folded, text in seen.items() if (key := _KEYS.get(folded)) is not None}


# ---- Request → event ------------------------------------------------------------------------------------------------


def write(request: Request) -> dict[str, Any]:
    """The event that Lattice would send: a list for each header and query name, and no field without a value.

    V1 contains neither the service nor its network nor the target group. For a request that came as V1 their fields are
    there and empty: typed readers (Rust, TypeScript) require them, and `serviceArn` tells the event from API Gateway's.
    """
    found: dict[str, Any] = {
        VERSION: "2.0",
        PATH: request.target,
        METHOD: request.method,
        HEADERS: parts.as_lists(request.headers),
        QUERY: parts.as_lists(parts.query_pairs(request.raw_query)),
        BODY: request.text,
        IS_BASE64: request.is_base64,
        CONTEXT: {
            NETWORK_ARN: request.service_network_arn or "",
            SERVICE_ARN: request.service_arn or "",
            TARGET_GROUP_ARN: request.target_group_arn or "",
            IDENTITY: identity(request.caller),
            REGION: region(request),
            TIME: str(request.time_epoch or 0),
        },
        REQUEST_ID: request.request_id or "",
    }
    return {key: value for key, value in found.items() if value}


def identity(caller: Caller) -> dict[str, str]:
    """`requestContext.identity`. A field without a value is absent; so is the type of an unsigned caller."""
    return parts.identity_of(caller, IDENTITY_FIELDS)


def region(request: Request) -> str:
    """The service's Region. A V1 event does not name the service; then that of the client's VPC, which is the same."""
    return parts.arn_field(request.service_arn or request.caller.source_vpc_arn, 3)
