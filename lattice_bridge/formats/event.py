"""A Lattice event of either version becomes a Request, or is refused with all its faults.

Rule: nothing outside this file knows the field names of an event, except the dialects that write one.

Where AWS's pages and captured traffic disagree, the capture wins; docs/wire.md says how well each point is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from lattice_bridge.errors import REASONS, BadRequest, Forbidden
from lattice_bridge.formats.assumptions import QUERY_MAP_IS_DECODED
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509, Caller, Pairs, Request

MAX_HEADER_BYTES: Final = 8 * 1024
MAX_HEADER_LINES: Final = 100
MAX_TARGET: Final = 64 * 1024
"""Characters of path and query. Ours: API Gateway takes 10 KB, a load balancer 16; splitting 4 MB took 300 MB."""
MAX_IDENTITY_FIELDS: Final = 64
"""Fields of `requestContext.identity`. Lattice sends ten at most."""
MAX_FAULTS: Final = 20
"""Of an event, that its refusal lists."""

# A request target is visible ASCII on the wire; servers let other characters through, blanks and controls none do.
_TARGET: Final = re.compile(r"/[^\x00-\x20\x7f\ud800-\udfff]*")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_TIME: Final = re.compile(r"[0-9]{1,17}")


class _Faults:
    """All faults of one event, so that its sender can fix them in one go."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, reason: str, text: str) -> None:
        assert reason in REASONS
        if len(self.found) < MAX_FAULTS:
            self.found.append((reason, text))

    def refuse_if_any(self) -> None:
        if self.found:
            raise BadRequest(self.found[0][0], "; ".join(text for _, text in self.found))


@dataclass(frozen=True, slots=True)
class _Spelling:
    """How a version names the fields that both have, and which fields only the other one has."""

    version: Literal[1, 2]
    path: str
    query: str
    is_base64: str
    request_id: str
    never: tuple[str, ...]


_V1: Final = _Spelling(
    version=1,
    path="raw_path",
    query="query_string_parameters",
    is_base64="is_base64_encoded",
    request_id="request_id",
    never=("requestContext", "queryStringParameters", "isBase64Encoded"),
)
_V2: Final = _Spelling(
    version=2,
    path="path",
    query="queryStringParameters",
    is_base64="isBase64Encoded",
    request_id="requestId",
    never=("raw_path", "query_string_parameters", "is_base64_encoded"),
)


# Other services' fields. Lattice sends none of them; frameworks read some before `headers`, and trust them.
_FOREIGN: Final = (
    "multiValueHeaders",
    "multiValueQueryStringParameters",
    "cookies",
    "httpMethod",
    "rawPath",
    "resource",
)


def parse_event(event: object) -> Request:
    """The request in a Lattice event.

    Args:
        event: what Lambda hands to the handler: the decoded JSON.

    Raises:
        BadRequest: not a Lattice event, marks of both versions, or malformed; the detail lists every fault.
        Forbidden: the identity in it contradicts itself or has no known shape.
    """
    spelling, event = _recognise(event)
    context = event["requestContext"] if spelling is _V2 else {}
    faults = _Faults()
    method = _method(event.get("method"), faults)
    path, raw_query = _target(event.get(spelling.path), event.get(spelling.query), spelling.path, faults)
    headers = _headers(event.get("headers"), faults)
    content = _body(event.get("body"), event.get(spelling.is_base64), faults)
    faults.refuse_if_any()  # before the value of a header is read that may be of any length
    if spelling is _V2:
        identity = _identity_of_context(context.get("identity"), faults)
    else:
        identity = _identity_of_headers(headers, faults)
    faults.refuse_if_any()
    return Request(
        version=spelling.version,
        method=method,
        path=path,
        raw_query=raw_query,
        # On V1 they have been read. On V2 they can only come from a client: dropped unread.
        headers=tuple((name, value) for name, value in headers if not name.startswith(names.LATTICE_PREFIX)),
        content=content,
        caller=_caller(identity),
        request_id=_request_id(event.get(spelling.request_id)),
        service_arn=_arn(context.get("serviceArn")),
        service_network_arn=_arn(context.get("serviceNetworkArn")),
        target_group_arn=_arn(context.get("targetGroupArn")),
        time_epoch=_time_epoch(context.get("timeEpoch")),
        event=event,
    )


def method_of(event: object) -> str:
    """The method of an event that may be anything: a refusal of a HEAD request has no body either."""
    method = event.get("method") if isinstance(event, Mapping) else None
    return method if isinstance(method, str) else ""


def request_id_of(event: object) -> str | None:
    """Lattice's id of an event that may be anything: a request that is refused has to be found as well."""
    found = (event.get(spelling.request_id) for spelling in (_V2, _V1)) if isinstance(event, Mapping) else ()
    return next((known for value in found if (known := _request_id(value)) is not None), None)


def _recognise(event: object) -> tuple[_Spelling, Mapping[str, Any]]:
    """Which version it is. API Gateway's HTTP API says `"version": "2.0"` too, so `serviceArn` has to be there.

    It may be empty: `payload = "lattice-v2"` writes it so behind a V1 target group, whose events do not name a service.
    """
    if not isinstance(event, Mapping):
        raise BadRequest("not_lattice", f"the event is a {type(event).__name__}, not an object")
    context, says_2 = event.get("requestContext"), event.get("version") == "2.0"
    if says_2 and isinstance(context, Mapping) and isinstance(context.get("serviceArn"), str):
        spelling = _V2
    elif not says_2 and _is_text(event.get("raw_path")) and _is_text(event.get("method")):
        spelling = _V1
    else:
        raise BadRequest(
            "not_lattice",
            "neither a V1 event (raw_path, method, no requestContext) "
            "nor a V2 event (version 2.0, requestContext.serviceArn)",
        )
    if mixed := [name for name in (*spelling.never, *_FOREIGN) if name in event]:
        raise BadRequest("not_lattice", f"a V{spelling.version} event with {', '.join(mixed)}, which it never has")
    return spelling, event


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


# ---- the request line -----------------------------------------------------------------------------------------------


def _method(value: object, faults: _Faults) -> str:
    """A method of RFC 9110 in other case is another method, that most frameworks take for it: a rule or an auth policy
    that names DELETE would be passed by `delete`."""
    if not isinstance(value, str) or len(value) > 32 or not names.is_token(value):
        faults.add("malformed_event", "method is not an HTTP method")
        return ""
    if value not in _METHODS and value.upper() in _METHODS:
        faults.add("malformed_event", f"method is {value}, which frameworks take for {value.upper()}")
    return value


def _target(value: object, query_map: object, field: str, faults: _Faults) -> tuple[str, str]:
    """Path and raw query. Both versions carry the query in the path, though AWS's page shows V2 without it.

    The query map is unreliable (V1: one value a name, the first in captures, the last in AWS's words) and is read only
    when the path has no `?`, as in events that people write by hand.
    """
    if isinstance(value, str) and len(value) > MAX_TARGET:
        faults.add("malformed_event", f"{field} is longer than {MAX_TARGET} characters")
        return "", ""
    if not isinstance(value, str) or _TARGET.fullmatch(value) is None:
        faults.add(
            "malformed_event", f"{field} is not a path that starts with / and has no blanks or control characters"
        )
        return "", ""
    path, mark, raw_query = value.partition("?")
    raw_query = raw_query if mark else _query_of_map(query_map, faults)
    if len(path) + len(raw_query) > MAX_TARGET:
        faults.add("malformed_event", f"path and query are longer than {MAX_TARGET} characters")
        return "", ""
    return path, raw_query


def _query_of_map(query_map: object, faults: _Faults) -> str:
    if query_map is None:
        return ""
    if not isinstance(query_map, Mapping):
        faults.add("malformed_event", "the query parameters are not an object")
        return ""
    parts: list[str] = []
    room = MAX_TARGET
    if len(query_map) > MAX_TARGET:
        faults.add("malformed_event", f"the query parameters are longer than {MAX_TARGET} characters")
        return ""
    for name, value in query_map.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not isinstance(text, str):
                faults.add("malformed_event", "a query parameter is neither a string nor a list of strings")
                return ""
            room -= len(name) + len(text) + 2  # `=` and `&`; measured before it is escaped, which takes longer
            if room < 0:
                faults.add("malformed_event", f"the query parameters are longer than {MAX_TARGET} characters")
                return ""
            parts.append(f"{_escape(name)}={_escape(text)}")
    return "&".join(parts)


def _escape(text: str) -> str:
    return quote(text, safe="-._~!$'()*,;:@/?+", errors="surrogatepass") if QUERY_MAP_IS_DECODED else text


# ---- headers --------------------------------------------------------------------------------------------------------


def _headers(value: object, faults: _Faults) -> Pairs:
    """Pairs in order, names in ASCII lower case. Limits are checked before any value is read."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        faults.add("malformed_event", "headers is not an object")
        return ()
    lines = sum(max(1, len(entry)) if isinstance(entry, list) else 1 for entry in value.values())
    if lines > MAX_HEADER_LINES:
        faults.add("malformed_header", f"{lines} header lines; at most {MAX_HEADER_LINES} are read")
        return ()
    pairs: list[tuple[str, str]] = []
    for name, entry in value.items():
        # V2 documents lists; widely copied V2 fixtures have strings. V1 has strings.
        lowered = names.lower_token(name) if isinstance(name, str) else None
        if lowered is None:
            faults.add("malformed_header", "a header's name is not an HTTP token")
            continue
        for text in entry if isinstance(entry, list) else (entry,):
            if not isinstance(text, str):
                faults.add("malformed_header", f"header {lowered[:64]} is neither a string nor a list of strings")
                break
            pairs.append((lowered, text))
    for name, text in pairs:
        if len(name) + _size(text) > MAX_HEADER_BYTES:
            faults.add("malformed_header", f"header {name[:64]} is longer than {MAX_HEADER_BYTES} bytes")
        elif not names.is_clean(text):
            faults.add("malformed_header", f"header {name[:64]} contains a control character")
    return tuple(pairs)


def _size(text: str) -> int:
    """Bytes of the UTF-8; a lone surrogate counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _arn(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time_epoch(value: object) -> int | None:
    """Microseconds, as a string; 17 digits last until the year 5138. Nothing is decided by it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 < value < 10**17 else None
    return int(value) if isinstance(value, str) and _TIME.fullmatch(value) else None


def _request_id(value: object) -> str | None:
    """Lattice's id, when it is one. It is undocumented for V1, and only used to find a request again in logs."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


# ---- the body -------------------------------------------------------------------------------------------------------


def _body(value: object, is_base64: object, faults: _Faults) -> str | Base64:
    """The flag alone decides; it is absent from V2 events when false."""
    if is_base64 is not None and not isinstance(is_base64, bool):
        faults.add("malformed_event", "the base64 flag is not a boolean")
        return ""
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        faults.add("malformed_event", "body is not a string")
        return ""
    if not is_base64:
        return value
    found = Base64.checked(value)
    if found is None:
        faults.add("malformed_event", "body is marked as base64 and is not")
    return found or ""


# ---- identity -------------------------------------------------------------------------------------------------------


def _identity_of_context(value: object, faults: _Faults) -> Mapping[str, str]:
    """V2: `requestContext.identity`, keys folded. Libraries spell x509 keys in several ways."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.add("malformed_event", "requestContext.identity is not an object")
        return {}
    if len(value) > MAX_IDENTITY_FIELDS:
        faults.add("malformed_event", f"requestContext.identity has more than {MAX_IDENTITY_FIELDS} fields")
        return {}
    identity: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            faults.add("malformed_event", "a field of requestContext.identity is not a string")
        elif len(name) + _size(text or "") > MAX_HEADER_BYTES:
            faults.add("malformed_event", f"a field of requestContext.identity is over {MAX_HEADER_BYTES} bytes")
        elif (key := _SPELLINGS.get(name) or _identity_key(name)) in identity:
            faults.add("malformed_event", "requestContext.identity has one field under two spellings")
        else:
            identity[key] = text or ""
    return identity


def _identity_of_headers(headers: Pairs, faults: _Faults) -> Mapping[str, str]:
    """V1: the two headers that Lattice adds after it has removed the client's own.

    An unsigned request has no identity header. So one that does not say how the caller was authenticated is refused: if
    it were read as an unsigned caller's, a signed one could escape a deny, or use a rule with `anyone`.
    """
    identity: dict[str, str] = {}
    for header, known in ((names.NETWORK, _NETWORK_KEYS), (names.IDENTITY, _IDENTITY_KEYS)):
        values = [value for name, value in headers if name == header]
        if len(values) > 1:
            faults.add("header_repeated", f"header {header} occurs {len(values)} times")
        elif values:
            _read_fields(values[0], header, known, identity, faults)
            if header == names.IDENTITY and "type" not in identity:
                faults.add("malformed_header", f"header {header} has no field Type before a certificate's fields")
    return identity


def _read_fields(text: str, header: str, known: frozenset[str], into: dict[str, str], faults: _Faults) -> None:
    """Reads `Key=value; Key=value`, in any order, with or without the space.

    How Lattice escapes a `;` inside a value is undocumented, so a value may look like the next field. Two of the values
    can contain one:

    * A certificate's names. They are free text, so nothing is read from the first certificate field on: the name
      `device; SessionName=blue` would add a field that is absent. For the same reason the certificate's own fields are
      not read from a V1 event at all.
    * The path of an IAM user or role, as in `user/alice;x=/bob`. A path ends in `/` and the name follows. So beside
      such a principal, each other field that ends like that is refused, and so is a certificate, which belongs to the
      session of a role.

    A backslash may be an escape, and is refused. So is a known field that occurs twice, wherever in the header: also
    behind a comma, which is how a second header would have been joined (trap A16).
    """
    if "\\" in text:
        faults.add("malformed_header", f"header {header} contains a backslash")
        return
    found: dict[str, str] = {}
    may_be_rest_of_path = False
    for part in text.split(";"):
        name, mark, value = part.strip(" \t").partition("=")
        key = names.lower(name)
        if key.startswith("x509"):
            may_be_rest_of_path = True
            break
        if mark and key in known and key not in found:
            found[key] = value
            if key == "principal":
                continue
        may_be_rest_of_path = may_be_rest_of_path or ("/" in part and not part.endswith("/"))
    begun = Counter(match[1] for match in _FIELD_BEGINS.finditer(names.lower(text)))
    for key, value in found.items():
        if key in into or begun[key] > 1:
            faults.add("malformed_header", f"header {header} has the field {key} twice")
        into[key] = value
    if may_be_rest_of_path and _HAS_PATH.search(found.get("principal", "")):
        faults.add("malformed_header", f"header {header} has a field that may be the rest of the principal's path")


_HAS_PATH: Final = re.compile(r":(?:user|role)/")
_NETWORK_KEYS: Final = frozenset({"sourcevpcarn"})
_IDENTITY_KEYS: Final = frozenset({"type", "principal", "principalorgid", "sessionname", "sourcevpcarn"})
_FIELD_BEGINS: Final = re.compile(r"(?:^|[;,])[ \t]*([a-z0-9]+)[ \t]*=")


def _identity_key(name: str) -> str:
    """One spelling: V1 writes `X509SAN/URI` where V2 writes `x509SanUri`, and libraries write `X509SanUri`."""
    return names.lower(name).replace("/", "")


_SPELLINGS: Final = {
    name: _identity_key(name)
    for name in ("sourceVpcArn", "type", "principal", "principalOrgID", "principalOrgId", "sessionName")
}
"""As V2 writes them."""


def _caller(identity: Mapping[str, str]) -> Caller:
    """Who is calling. Only `type: AWS_IAM` makes anything but the VPC count."""

    def get(key: str) -> str | None:
        return identity.get(key) or None

    vpc = get("sourcevpcarn")
    if get("type") != "AWS_IAM":
        return Caller(source_vpc_arn=vpc)
    text = get("principal")
    if text is None:
        raise Forbidden("identity_invalid", "the identity is of type AWS_IAM and names no principal")
    principal = parse_arn(text)
    session = get("sessionname")
    if principal.session is not None and session is not None and session != principal.session:
        raise Forbidden("identity_invalid", "sessionName and the session in the principal's ARN differ")
    return Caller(
        authenticated=True,
        iam=principal,
        session_name=principal.session or (session if principal.role else None),  # a user has no session
        org_id=get("principalorgid"),
        source_vpc_arn=vpc,
        x509=_x509(get),
    )


def _x509(get: Callable[[str], str | None]) -> X509 | None:
    found = [get(key) for key in ("x509issuerou", "x509sandns", "x509sannamecn", "x509sanuri", "x509subjectcn")]
    return X509(*found) if any(found) else None
