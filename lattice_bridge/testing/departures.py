"""Where an event departs from what Lattice is documented, or was observed, to send.

Rule: what no row of docs/wire.md §1 speaks of is no departure. Whether the bridge takes it all the same is said beside
each, and is what `parse_event` does: a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final, Literal

from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.assumptions import FRONT_DROPPED_HEADERS
from lattice_bridge.formats.event import MAX_HEADER_BYTES, MAX_HEADER_LINES
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.query import parse_query, split_query
from lattice_bridge.message import Pairs
from lattice_bridge.testing import departures_caller as caller
from lattice_bridge.testing import departures_found as known
from lattice_bridge.testing.departures_found import ABSENT, Departure, Fields, Found, Said

__all__ = ["Departure", "departures", "version_meant"]

Version = Literal[1, 2]

_V1_NAMES: Final = {
    "raw_path": "path",
    "query_string_parameters": "queryStringParameters",
    "is_base64_encoded": "isBase64Encoded",
    "request_id": "requestId",
}
_V2_NAMES: Final = {new: old for old, new in _V1_NAMES.items()}
_OTHERS: Final = _V1_NAMES | _V2_NAMES
_BOTH: Final = ("method", "headers", "body")
_KEYS: Final = {1: (*_V1_NAMES, *_BOTH), 2: (*_V2_NAMES, *_BOTH, "version", "requestContext")}
_REFUSED: Final = {
    1: {"requestContext", "queryStringParameters", "isBase64Encoded"},
    2: {"raw_path", "query_string_parameters", "is_base64_encoded"},
}
_FOREIGN: Final = {
    *("multiValueHeaders", "multiValueQueryStringParameters", "cookies", "httpMethod", "rawPath", "resource"),
}
_TARGET: Final = re.compile(r"/[^\x00-\x20\x7f\ud800-\udfff]*")
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")


def departures(event: object) -> list[Departure]:
    """Every departure of a decoded event of either version; empty if there is none.

    An event that the bridge refuses has one that says so. Whatever the event is, nothing is raised.
    """
    found = Found()
    if not isinstance(event, Mapping):
        found.add(event, "an object", known.VERSIONS, refused=True)
    elif (stranger := _stranger(event)) is not None:
        found.add(Said(stranger), "a V1 or a V2 event of its own", known.VERSIONS, refused=True)
    elif version_meant(event) == 1:
        _v1(event, found)
    else:
        _v2(event, found)
    if not any(departure.refused for departure in found.all):
        _refusal(event, found)
    return found.all


def _refusal(event: object, found: Found) -> None:
    """What the bridge refuses for a reason that is not looked for here: V1's identity headers have more of them, and
    limits."""
    try:
        parse_event(event)
    except BridgeError as refusal:
        found.add(Said(refusal.detail), "nothing that can be read in two ways", known.CALLER, refused=True)


def version_meant(event: object) -> Version | None:
    """The version as which the bridge reads it; of an event that it cannot tell, the one whose names it has more of.
    None for what is no event of Lattice."""
    if not isinstance(event, Mapping) or _stranger(event) is not None:
        return None
    says_2 = event.get("version") == "2.0"
    if says_2 and isinstance(_object(event.get("requestContext")).get("serviceArn"), str):
        return 2
    if not says_2 and _is_text(event.get("raw_path")) and _is_text(event.get("method")):
        return 1
    ones, twos = (sum(key in event for key in keys) for keys in (_V1_NAMES, (*_V2_NAMES, "requestContext")))
    return 2 if "version" in event or twos >= ones else 1


def _stranger(event: Fields) -> str | None:
    """Whose event it is that has no mark of Lattice."""
    context = _object(event.get("requestContext"))
    if "raw_path" in event or "serviceArn" in context:
        return None
    if "elb" in context:
        return "an event of an Application Load Balancer"
    if "routeKey" in event or "rawPath" in event:
        return "an event of an API Gateway HTTP API or a function URL"
    if "httpMethod" in event:
        return "an event of an API Gateway REST API"
    if not any(key in event for key in (*_OTHERS, "version", "requestContext")):
        return "an object without a mark of either version"
    return None


# ---- the two versions ------------------------------------------------------------------------------------------------


def _v1(event: Fields, found: Found) -> None:
    _keys(event, 1, found)
    target = _target(event, "raw_path", found)
    _method(event, found)
    pairs = _headers(event, 1, found)
    _query(event, "query_string_parameters", target, 1, found)
    body, flag = event.get("body"), event.get("is_base64_encoded")
    if body is None:
        found.key(event, "body", '"" when there is no body', known.EMPTY_BODY)
    if not isinstance(flag, bool):
        sends = "true or false, always there"
        found.key(event, "is_base64_encoded", sends, known.FLAG, refused=flag is not None)
    _body(event, flag, pairs, found)
    if "request_id" in event:  # older captures are without
        _request_id(event, "request_id", found)
    caller.of_headers(pairs or (), found)


def _v2(event: Fields, found: Found) -> None:
    _keys(event, 2, found)
    if event.get("version") != "2.0":
        found.key(event, "version", 'the string "2.0"', known.VERSIONS, refused=True)
    target = _target(event, "path", found)
    _method(event, found)
    pairs = _headers(event, 2, found)
    _query(event, "queryStringParameters", target, 2, found)
    body, flag = event.get("body"), event.get("isBase64Encoded")
    none = "no such key when there is no body"
    empty = body is None or body == ""
    if empty and "body" in event:
        found.key(event, "body", none, known.EMPTY_BODY)
    if "isBase64Encoded" in event and (flag is not True or empty):
        sends = none if flag is True else "true, or no such key"
        refused = flag is not None and not isinstance(flag, bool)
        found.key(event, "isBase64Encoded", sends, known.FLAG, refused=refused)
    _body(event, flag, pairs, found)
    _context(event, found)
    if "requestId" in event:  # captures of 2023 and 2024 are without
        _request_id(event, "requestId", found)


_ARNS: Final = {
    "serviceNetworkArn": "servicenetwork",
    "serviceArn": "service",
    "targetGroupArn": "targetgroup",
}
_CONTEXT: Final = (*_ARNS, "identity", "region", "timeEpoch")
_MICROSECONDS: Final = re.compile(r"[1-9][0-9]{15}")


def _context(event: Fields, found: Found) -> None:
    context = event.get("requestContext")
    if not isinstance(context, Mapping):
        found.key(event, "requestContext", f"an object with {', '.join(_CONTEXT)}", known.NAMES, refused=True)
        return
    inside = found.inside("requestContext")
    for key in context:
        if key not in _CONTEXT:
            inside.key(context, key, "no such key", known.VERSIONS)
    for key, resource in _ARNS.items():
        arn = context.get(key)
        if not isinstance(arn, str) or not re.match(rf"arn:aws[a-z-]*:vpc-lattice:[^:]+:[0-9]{{12}}:{resource}/.", arn):
            sends = f"an ARN, as in arn:aws:vpc-lattice:REGION:ACCOUNT:{resource}/..."
            inside.key(context, key, sends, known.NAMES, refused=key == "serviceArn" and not isinstance(arn, str))
    caller.of_context(context, inside)
    if not _is_text(context.get("region")):
        inside.key(context, "region", "the Region's name", known.NAMES)
    time = context.get("timeEpoch")
    if not isinstance(time, str) or _MICROSECONDS.fullmatch(time) is None:
        inside.key(context, "timeEpoch", "microseconds since 1970, as a string of 16 digits", known.TIME)


# ---- what both have --------------------------------------------------------------------------------------------------


def _keys(event: Fields, version: Version, found: Found) -> None:
    for key in event:
        if key in _KEYS[version]:
            continue
        sends, evidence = "no such key", known.VERSIONS
        if key in _OTHERS:
            sends, evidence = f"{_OTHERS[key]}: the other is V{3 - version}'s name", known.NAMES
        elif key == "requestContext":
            sends = "no such key in V1, where headers say who calls"
        elif key == "cookies":
            sends, evidence = "no such key: cookies are in the header cookie", known.COOKIES
        found.key(event, key, sends, evidence, refused=key in _REFUSED[version] or key in _FOREIGN)


def _target(event: Fields, key: str, found: Found) -> str | None:
    """Path and query; None if that is no path."""
    value = event.get(key)
    if isinstance(value, str) and _TARGET.fullmatch(value):
        return value
    if key in event or "raw_path" not in event:  # or else it is told already
        sends = "path and query as sent, from the / on, without blanks or control characters"
        found.key(event, key, sends, known.PATH, refused=True)
    return None


def _method(event: Fields, found: Found) -> None:
    method = event.get("method")
    if not isinstance(method, str) or len(method) > 32 or not names.is_token(method):
        found.key(event, "method", "an HTTP method, as GET", known.VERSIONS, refused=True)


def _request_id(event: Fields, key: str, found: Found) -> None:
    value = event.get(key)
    if not isinstance(value, str) or _REQUEST_ID.fullmatch(value) is None:
        found.key(event, key, "an id, as a UUID", known.REQUEST_ID)


def _query(event: Fields, key: str, target: str | None, version: Version, found: Found) -> None:
    """The map against the path, which the bridge believes. The map is read by it only where the path has no `?`."""
    query, read = event.get(key), target is not None and "?" not in target
    raw_query = (target or "").partition("?")[2]
    if not isinstance(query, Mapping) or (version == 2 and not query):
        said = parse_query(raw_query)
        none = "no such key when there is no query" if version == 2 else "{} when there is no query"
        sends = "an object with what the path has behind the ?" if said else none
        told = _OTHERS[key] in event  # under the other version's name
        if key in event or (not told and (said or version == 1)):
            refused = read and query is not None and not isinstance(query, Mapping)
            found.key(event, key, sends, known.QUERY_MAP, refused=refused)
        return
    good = [_query_value(query, name, version, found.inside(key), read=read) for name in query]
    if query and read:
        path = "raw_path" if version == 1 else "path"
        found.key(event, path, f"the query as well, behind a ?, as {key} has one", known.PATH)
    elif all(good) and target is not None and not _agrees(query, raw_query, version):
        found.key(event, key, "the names and values that the path has behind the ?", known.QUERY_MAP)


def _query_value(query: Fields, name: str, version: Version, found: Found, *, read: bool) -> bool:
    value = query[name]
    values = value if isinstance(value, list) else [value]
    strings = all(isinstance(text, str) for text in values)
    if strings and ((isinstance(value, list) and bool(value)) if version == 2 else isinstance(value, str)):
        return True
    sends = "a list of strings, also of one" if version == 2 else "one string"
    found.key(query, name, sends, known.QUERY_MAP, refused=read and not strings)
    return False


def _agrees(query: Fields, raw_query: str, version: Version) -> bool:
    """Whether the map is a reading of the query. That values are decoded is assumed, so either form is."""
    for pairs in (parse_query(raw_query), split_query(raw_query)):
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        if version == 2 and query == values:
            return True
        # Of a repeated name captures show the first, and AWS's page says the last.
        if version == 1 and query.keys() == values.keys():
            return all(value in (values[name][0], values[name][-1]) for name, value in query.items())
    return False


# ---- headers ---------------------------------------------------------------------------------------------------------


def _headers(event: Fields, version: Version, found: Found) -> Pairs | None:
    """The lines, names in lower case, as far as they are any; None if there are no headers at all."""
    headers = event.get("headers")
    if not isinstance(headers, Mapping):
        found.key(event, "headers", "an object", known.NAMES, refused=headers is not None)
        return None
    inside, pairs = found.inside("headers"), list[tuple[str, str]]()
    for name, value in headers.items():
        lines = value if isinstance(value, list) else [value]
        _header_name(str(name), value, version, inside.inside(str(name)))
        _header_value(value, lines, version, inside.inside(str(name)))
        pairs += [(names.lower(str(name)), line) for line in lines if isinstance(line, str)]
    for name, line in pairs:
        if len(name) + len(line.encode("utf-8", "surrogatepass")) > MAX_HEADER_BYTES:
            sends = f"at most {MAX_HEADER_BYTES} bytes, as far as is known"
            inside.inside(name).add(line, sends, known.LIMITS, refused=True)
    if len(pairs) > MAX_HEADER_LINES:
        sends = f"at most {MAX_HEADER_LINES}, as far as is known"
        inside.add(Said(f"{len(pairs)} lines"), sends, known.LIMITS, refused=True)
    _added_headers(pairs, inside)
    return tuple(pairs)


def _header_name(name: str, value: object, version: Version, found: Found) -> None:
    lowered = names.lower(name)
    if not names.is_token(name):
        found.add(Said(name), "a name that HTTP allows", known.HTTP_NAMES, refused=True)
    elif name != lowered:
        found.add(Said(name), f"the name in lower case: {lowered}", known.HEADER_NAMES)
    if version == 2 and lowered.startswith(names.LATTICE_PREFIX):
        found.add(value, "no such header: who calls is in requestContext.identity", known.CALLER)
    if lowered in FRONT_DROPPED_HEADERS:
        found.add(value, "no header that describes one connection", known.CONNECTION)


def _header_value(value: object, lines: list[Any], version: Version, found: Found) -> None:
    as_sent = "a list of strings, also of one" if version == 2 else "one string; repeated headers are joined by ,"
    if not all(isinstance(line, str) for line in lines):
        found.add(value, as_sent, known.HEADER_VALUES, refused=True)
    elif not all(map(names.is_clean, lines)):
        found.add(value, "no control characters", known.HTTP_VALUES, refused=True)
    elif (not isinstance(value, list) or not value) if version == 2 else not isinstance(value, str):
        found.add(value, as_sent, known.HEADER_VALUES)


def _added_headers(pairs: list[tuple[str, str]], found: Found) -> None:
    """What every capture has, whatever the client sent."""
    if not any(name == "host" for name, _ in pairs):
        found.inside("host").add(ABSENT, "what the client asked for", known.HEADER_VALUES)
    addresses = [value for name, value in pairs if name == "x-forwarded-for"]
    if len(addresses) != 1 or not _is_address(addresses[0].rpartition(",")[2].strip(" \t")):
        sends = "one value, at whose end is the address that Lattice saw"
        found.inside("x-forwarded-for").add(addresses or ABSENT, sends, known.FORWARDED_FOR)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# ---- the body --------------------------------------------------------------------------------------------------------

_TEXT_TYPES: Final = ("application/json", "application/xml", "application/javascript")


def _body(event: Fields, flag: object, pairs: Pairs | None, found: Found) -> None:
    """Of a body that is there: its type, and whether it would have been base64."""
    body = event.get("body")
    if body is None or body == "":
        return
    if not isinstance(body, str):
        found.key(event, "body", "a string", known.EMPTY_BODY, refused=True)
        return
    encoded = Base64.checked(body) if flag is True else None
    if flag is True and encoded is None:
        found.key(event, "body", "base64, as the flag says", known.FLAG, refused=True)
    elif pairs is not None and (flag is None or isinstance(flag, bool)):
        _form(event, encoded.decoded if encoded else None, pairs, found)


def _form(event: Fields, decoded: Callable[[], bytes] | None, pairs: Pairs, found: Found) -> None:
    """AWS's rule, as far as it is plain: whether `; charset=utf-8` makes another type of one, it does not say."""
    types = [value for name, value in pairs if name == "content-type"]
    if len(types) > 1 or (types and "," in types[0]):
        return
    media_type, parameters, _ = (part.strip(" \t") for part in (types[0] if types else "").lower().partition(";"))
    encoding = any(name == "content-encoding" for name, _ in pairs)
    as_text = media_type.startswith("text/") or (media_type in _TEXT_TYPES and not parameters)
    as_bytes = not media_type.startswith("text/") and media_type not in _TEXT_TYPES
    if decoded is not None and as_text and not encoding and _is_utf8(decoded()):
        sends = f"text, without the flag: so it is with {media_type}"
        found.key(event, "body", sends, known.WHICH_BODIES)
    elif decoded is None and (encoding or as_bytes):
        why = "a content-encoding" if encoding else media_type or "no content-type"
        found.key(event, "body", f"base64, with the flag: so it is with {why}", known.WHICH_BODIES)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ---- small -----------------------------------------------------------------------------------------------------------


def _object(value: object) -> Fields:
    return value if isinstance(value, Mapping) else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
