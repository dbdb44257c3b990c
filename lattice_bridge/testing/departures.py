"""Departures: the places where an event differs from what Lattice is documented, or was observed, to send.

Rule: only what a row of docs/wire.md §1 describes can be a departure. Whether the bridge accepts the event all the same
is a field of each departure, and is what `parse_event` does: a test compares the two. The events of other fronts are
compared in `front_departures.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final, Literal

from lattice_bridge.errors import BridgeError, Forbidden
from lattice_bridge.events.recognise import source_of
from lattice_bridge.formats import apigateway_v1, apigateway_v2, authorizer, lattice_v1, lattice_v2
from lattice_bridge.formats.assumptions import FRONT_DROPPED_HEADERS
from lattice_bridge.formats.event import IAM, MAX_HEADER_BYTES, MAX_HEADER_LINES
from lattice_bridge.formats.recognise import NEVER, parse_event
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.query import parse_query, split_query
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import Pairs
from lattice_bridge.testing.departure import ABSENT, Departure, Departures, Fields, Known, Words
from lattice_bridge.testing.front_departures import kind_of, of_front
from lattice_bridge.testing.record_departures import of_records

Version = Literal[1, 2]

_V1_NAMES: Final = {
    lattice_v1.PATH: lattice_v2.PATH,
    lattice_v1.QUERY: lattice_v2.QUERY,
    lattice_v1.IS_BASE64: lattice_v2.IS_BASE64,
    lattice_v1.REQUEST_ID: lattice_v2.REQUEST_ID,
}
"""V1's name of a field → V2's."""
_V2_NAMES: Final = {new: old for old, new in _V1_NAMES.items()}
_OTHERS: Final = _V1_NAMES | _V2_NAMES
_METHOD: Final = lattice_v2.METHOD
_HEADERS: Final = lattice_v2.HEADERS
_BODY: Final = lattice_v2.BODY
"""Fields that have the same name in both versions."""
_FIELDS: Final = {1: lattice_v1.FIELDS, 2: lattice_v2.FIELDS}
_TARGET: Final = re.compile(r"/[^\x00-\x20\x7f\ud800-\udfff]*")
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_NO_FORMAT: Final = "an object with the marks of no format or of two"


# ---- evidence: rows and headings of docs/wire.md §1 ------------------------------------------------------------------

VERSIONS: Final = Known("documented", "Which version")
NAMES: Final = Known("observed", "Which version")
PATH: Final = Known("observed", "path")
QUERY_MAP: Final = Known("observed", "query map")
HEADER_NAMES: Final = Known("observed", "header names")
HEADER_VALUES: Final = Known("observed", "header values")
HTTP_NAMES: Final = Known("documented", "header names")
HTTP_VALUES: Final = Known("documented", "header values")
COOKIES: Final = Known("observed", "cookies")
EMPTY_BODY: Final = Known("observed", "empty body")
FLAG: Final = Known("observed", "base64 flag")
WHICH_BODIES: Final = Known("documented", "When the local front makes an event")
CONNECTION: Final = Known("assumed", "When the local front makes an event")
REQUEST_ID: Final = Known("observed", "request id")
TIME: Final = Known("observed", "time")
FORWARDED_FOR: Final = Known("observed", "x-forwarded-for")
LIMITS: Final = Known("assumed", "upper limits")
CALLER: Final = Known("observed", "Who is calling")
CALLER_KEYS: Final = Known("documented", "Who is calling")


# ---- an event --------------------------------------------------------------------------------------------------------


def departures(event: object) -> list[Departure]:
    """Every departure of a decoded event from what its sender sends; empty if there is none. The sender is Lattice,
    unless the event has the marks of API Gateway, a function URL or a load balancer, or of a queue, a stream or a bus.

    If the bridge refuses the event, at least one departure has `refused`. Never raises, whatever the event is.

    >>> departures({"raw_path": "/", "method": "GET", "query_string_parameters": {}, "body": None})[0].sends
    'an object'
    """
    found = Departures()
    if source_of(event) is not None:
        of_records(event, found)
        return found.all
    if not isinstance(event, Mapping):
        found.add(event, "an object", VERSIONS, refused=True)
    elif (kind := kind_of(event)) not in (None, "lattice-v1", "lattice-v2"):
        of_front(event, kind, found)
        return found.all
    elif _has_no_mark(event):
        found.add(
            Words("an object with the marks of no format or of two"), "a V1 or a V2 event", VERSIONS, refused=True
        )
    elif version_meant(event) == 1:
        _v1(event, found)
    else:
        _v2(event, found)
    if not any(departure.refused for departure in found.all):
        _refusal(event, found)
    return found.all


def _refusal(event: object, found: Departures) -> None:
    """Adds a departure if the bridge refuses the event for a reason that is not searched for here: a limit, or one of
    the further rules for V1's identity headers."""
    try:
        parse_event(event)
    except BridgeError as refusal:
        found.add(Words(refusal.detail), "nothing that can be read in two ways", CALLER, refused=True)


def version_meant(event: object) -> Version | None:
    """The version as which the bridge reads an event; if it reads it as neither, the version of which it has more field
    names. None if it is not an event of Lattice."""
    if not isinstance(event, Mapping) or _has_no_mark(event):
        return None
    says_2 = event.get(lattice_v2.VERSION) == "2.0"
    if says_2 and isinstance(_object(event.get(lattice_v2.CONTEXT)).get(lattice_v2.SERVICE_ARN), str):
        return 2
    if not says_2 and _is_text(event.get(lattice_v1.PATH)) and _is_text(event.get(_METHOD)):
        return 1
    ones, twos = (sum(key in event for key in keys) for keys in (_V1_NAMES, (*_V2_NAMES, lattice_v2.CONTEXT)))
    return 2 if lattice_v2.VERSION in event or twos >= ones else 1


def _has_no_mark(event: Fields) -> bool:
    """Whether an event has no mark of Lattice: it is another front's, or no event."""
    context = _object(event.get(lattice_v2.CONTEXT))
    if lattice_v1.PATH in event or lattice_v2.SERVICE_ARN in context:
        return False
    others = (*apigateway_v2.MARKS, apigateway_v2.ROUTE_KEY, apigateway_v1.METHOD, *authorizer.MARKS)
    if any(key in event for key in others) or "elb" in context:
        return True
    return not any(key in event for key in (*_OTHERS, lattice_v2.VERSION, lattice_v2.CONTEXT))


# ---- the two versions ------------------------------------------------------------------------------------------------


def _v1(event: Fields, found: Departures) -> None:
    _keys(event, 1, found)
    target = _target(event, lattice_v1.PATH, found)
    _method(event, found)
    pairs = _headers(event, 1, found)
    _query(event, lattice_v1.QUERY, target, 1, found)
    body, flag = event.get(_BODY), event.get(lattice_v1.IS_BASE64)
    if body is None:
        found.key(event, _BODY, '"" when there is no body', EMPTY_BODY)
    if not isinstance(flag, bool):
        sends = "true or false, always there"
        found.key(event, lattice_v1.IS_BASE64, sends, FLAG, refused=flag is not None)
    _body(event, flag, pairs, found)
    if lattice_v1.REQUEST_ID in event:  # older captures do not have it
        _request_id(event, lattice_v1.REQUEST_ID, found)
    _caller_of_headers(pairs or (), found)


def _v2(event: Fields, found: Departures) -> None:
    _keys(event, 2, found)
    if event.get(lattice_v2.VERSION) != "2.0":
        found.key(event, lattice_v2.VERSION, 'the string "2.0"', VERSIONS, refused=True)
    target = _target(event, lattice_v2.PATH, found)
    _method(event, found)
    pairs = _headers(event, 2, found)
    _query(event, lattice_v2.QUERY, target, 2, found)
    body, flag = event.get(_BODY), event.get(lattice_v2.IS_BASE64)
    none = "no such key when there is no body"
    empty = body is None or body == ""
    if empty and _BODY in event:
        found.key(event, _BODY, none, EMPTY_BODY)
    if lattice_v2.IS_BASE64 in event and (flag is not True or empty):
        sends = none if flag is True else "true, or no such key"
        refused = flag is not None and not isinstance(flag, bool)
        found.key(event, lattice_v2.IS_BASE64, sends, FLAG, refused=refused)
    _body(event, flag, pairs, found)
    _context(event, found)
    if lattice_v2.REQUEST_ID in event:  # captures of 2023 and 2024 do not have it
        _request_id(event, lattice_v2.REQUEST_ID, found)


_ARNS: Final = {
    lattice_v2.NETWORK_ARN: "servicenetwork",
    lattice_v2.SERVICE_ARN: "service",
    lattice_v2.TARGET_GROUP_ARN: "targetgroup",
}
_MICROSECONDS: Final = re.compile(r"[1-9][0-9]{15}")


def _context(event: Fields, found: Departures) -> None:
    context = event.get(lattice_v2.CONTEXT)
    if not isinstance(context, Mapping):
        sends = f"an object with {', '.join(lattice_v2.CONTEXT_FIELDS)}"
        found.key(event, lattice_v2.CONTEXT, sends, NAMES, refused=True)
        return
    inside = found.inside(lattice_v2.CONTEXT)
    for key in context:
        if key not in lattice_v2.CONTEXT_FIELDS:
            inside.key(context, key, "no such key", VERSIONS)
    for key, resource in _ARNS.items():
        arn = context.get(key)
        if not isinstance(arn, str) or not re.match(rf"arn:aws[a-z-]*:vpc-lattice:[^:]+:[0-9]{{12}}:{resource}/.", arn):
            sends = f"an ARN, as in arn:aws:vpc-lattice:REGION:ACCOUNT:{resource}/..."
            inside.key(context, key, sends, NAMES, refused=key == lattice_v2.SERVICE_ARN and not isinstance(arn, str))
    _caller_of_context(context, inside)
    if not _is_text(context.get(lattice_v2.REGION)):
        inside.key(context, lattice_v2.REGION, "the Region's name", NAMES)
    time = context.get(lattice_v2.TIME)
    if not isinstance(time, str) or _MICROSECONDS.fullmatch(time) is None:
        inside.key(context, lattice_v2.TIME, "microseconds since 1970, as a string of 16 digits", TIME)


# ---- what both have --------------------------------------------------------------------------------------------------


def _keys(event: Fields, version: Version, found: Departures) -> None:
    for key in event:
        if key in _FIELDS[version]:
            continue
        sends, evidence = "no such key", VERSIONS
        if key in _OTHERS:
            sends, evidence = f"{_OTHERS[key]}: the other is V{3 - version}'s name", NAMES
        elif key == lattice_v2.CONTEXT:
            sends = "no such key in V1, where headers say who calls"
        elif key == apigateway_v2.COOKIES:
            sends, evidence = "no such key: cookies are in the header cookie", COOKIES
        found.key(event, key, sends, evidence, refused=key in NEVER[version])


def _target(event: Fields, key: str, found: Departures) -> str | None:
    """Path and query; None if the value is not a path."""
    value = event.get(key)
    if isinstance(value, str) and _TARGET.fullmatch(value):
        return value
    if key in event or lattice_v1.PATH not in event:  # otherwise the field under the other name is reported
        sends = "path and query as sent, from the / on, without spaces or control characters"
        found.key(event, key, sends, PATH, refused=True)
    return None


def _method(event: Fields, found: Departures) -> None:
    method = event.get(_METHOD)
    if not isinstance(method, str) or len(method) > 32 or not names.is_token(method):
        found.key(event, _METHOD, "an HTTP method, as GET", VERSIONS, refused=True)


def _request_id(event: Fields, key: str, found: Departures) -> None:
    value = event.get(key)
    if not isinstance(value, str) or _REQUEST_ID.fullmatch(value) is None:
        found.key(event, key, "an id, as a UUID", REQUEST_ID)


def _query(event: Fields, key: str, target: str | None, version: Version, found: Departures) -> None:
    """Compares the query map with the path. The bridge reads the map only if the path has no `?`."""
    query, read = event.get(key), target is not None and "?" not in target
    raw_query = (target or "").partition("?")[2]
    if not isinstance(query, Mapping) or (version == 2 and not query):
        said = parse_query(raw_query)
        none = "no such key when there is no query" if version == 2 else "{} when there is no query"
        sends = "an object with the names and values that the path has after the ?" if said else none
        reported = _OTHERS[key] in event  # under the other version's name
        if key in event or (not reported and (said or version == 1)):
            refused = read and query is not None and not isinstance(query, Mapping)
            found.key(event, key, sends, QUERY_MAP, refused=refused)
        return
    good = [_query_value(query, name, version, found.inside(key), read=read) for name in query]
    if query and read:
        path = lattice_v1.PATH if version == 1 else lattice_v2.PATH
        found.key(event, path, f"the query too, after a ?, since {key} has one", PATH)
    elif all(good) and target is not None and not _agrees(query, raw_query, version):
        found.key(event, key, "the names and values that the path has after the ?", QUERY_MAP)


def _query_value(query: Fields, name: str, version: Version, found: Departures, *, read: bool) -> bool:
    value = query[name]
    values = value if isinstance(value, list) else [value]
    strings = all(isinstance(text, str) for text in values)
    if strings and ((isinstance(value, list) and bool(value)) if version == 2 else isinstance(value, str)):
        return True
    sends = "a list of strings, also of one" if version == 2 else "one string"
    found.key(query, name, sends, QUERY_MAP, refused=read and not strings)
    return False


def _agrees(query: Fields, raw_query: str, version: Version) -> bool:
    """Whether the map agrees with the query. Whether Lattice decodes the values is not known, so both forms agree."""
    for pairs in (parse_query(raw_query), split_query(raw_query)):
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        if version == 2 and query == values:
            return True
        # If a name is repeated, captures have its first value, and AWS's page says the last.
        if version == 1 and query.keys() == values.keys():
            return all(value in (values[name][0], values[name][-1]) for name, value in query.items())
    return False


# ---- headers ---------------------------------------------------------------------------------------------------------


def _headers(event: Fields, version: Version, found: Departures) -> Pairs | None:
    """The header lines that are strings, names in lower case; None if there are no headers at all."""
    headers = event.get(_HEADERS)
    if not isinstance(headers, Mapping):
        found.key(event, _HEADERS, "an object", NAMES, refused=headers is not None)
        return None
    inside, pairs = found.inside(_HEADERS), list[tuple[str, str]]()
    for name, value in headers.items():
        lines = value if isinstance(value, list) else [value]
        _header_name(str(name), value, version, inside.inside(str(name)))
        _header_value(value, lines, version, inside.inside(str(name)))
        pairs += [(names.lower(str(name)), line) for line in lines if isinstance(line, str)]
    for name, line in pairs:
        if len(name) + len(line.encode("utf-8", "surrogatepass")) > MAX_HEADER_BYTES:
            sends = f"at most {MAX_HEADER_BYTES} bytes, as far as is known"
            inside.inside(name).add(line, sends, LIMITS, refused=True)
    if len(pairs) > MAX_HEADER_LINES:
        sends = f"at most {MAX_HEADER_LINES}, as far as is known"
        inside.add(Words(f"{len(pairs)} lines"), sends, LIMITS, refused=True)
    _added_headers(pairs, inside)
    return tuple(pairs)


def _header_name(name: str, value: object, version: Version, found: Departures) -> None:
    lowered = names.lower(name)
    if not names.is_token(name):
        found.add(Words(name), "a name that HTTP allows", HTTP_NAMES, refused=True)
    elif name != lowered:
        found.add(Words(name), f"the name in lower case: {lowered}", HEADER_NAMES)
    if version == 2 and lowered.startswith(names.LATTICE_PREFIX):
        found.add(value, "no such header: who calls is in requestContext.identity", CALLER)
    if lowered in FRONT_DROPPED_HEADERS:
        found.add(value, "no header that describes one connection", CONNECTION)


def _header_value(value: object, lines: list[Any], version: Version, found: Departures) -> None:
    as_sent = "a list of strings, also of one" if version == 2 else "one string; repeated headers are joined by ,"
    if not all(isinstance(line, str) for line in lines):
        found.add(value, as_sent, HEADER_VALUES, refused=True)
    elif not all(map(names.is_clean, lines)):
        found.add(value, "no control characters", HTTP_VALUES, refused=True)
    elif (not isinstance(value, list) or not value) if version == 2 else not isinstance(value, str):
        found.add(value, as_sent, HEADER_VALUES)


def _added_headers(pairs: list[tuple[str, str]], found: Departures) -> None:
    """Headers that every capture has, whatever the client sent."""
    if not any(name == "host" for name, _ in pairs):
        found.inside("host").add(ABSENT, "the host that the client requested", HEADER_VALUES)
    addresses = [value for name, value in pairs if name == "x-forwarded-for"]
    if len(addresses) != 1 or not _is_address(addresses[0].rpartition(",")[2].strip(" \t")):
        sends = "one value; at its end is the address that Lattice saw"
        found.inside("x-forwarded-for").add(addresses or ABSENT, sends, FORWARDED_FOR)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# ---- the body --------------------------------------------------------------------------------------------------------

_TEXT_TYPES: Final = ("application/json", "application/xml", "application/javascript")


def _body(event: Fields, flag: object, pairs: Pairs | None, found: Departures) -> None:
    """Checks the type of a body that is not empty, and whether Lattice would have encoded it as base64."""
    body = event.get(_BODY)
    if body is None or body == "":
        return
    if not isinstance(body, str):
        found.key(event, _BODY, "a string", EMPTY_BODY, refused=True)
        return
    encoded = Base64.checked(body) if flag is True else None
    if flag is True and encoded is None:
        found.key(event, _BODY, "base64, as the flag says", FLAG, refused=True)
    elif pairs is not None and (flag is None or isinstance(flag, bool)):
        _form(event, encoded.decoded if encoded else None, pairs, found)


def _form(event: Fields, decoded: Callable[[], bytes] | None, pairs: Pairs, found: Departures) -> None:
    """Checks AWS's rule, where it is clear: it does not say whether `; charset=utf-8` makes a type another type."""
    types = [value for name, value in pairs if name == "content-type"]
    if len(types) > 1 or (types and "," in types[0]):
        return
    media_type, parameters, _ = (part.strip(" \t") for part in (types[0] if types else "").lower().partition(";"))
    encoding = any(name == "content-encoding" for name, _ in pairs)
    as_text = media_type.startswith("text/") or (media_type in _TEXT_TYPES and not parameters)
    as_bytes = not media_type.startswith("text/") and media_type not in _TEXT_TYPES
    if decoded is not None and as_text and not encoding and _is_utf8(decoded()):
        sends = f"text, without the flag, for the content type {media_type}"
        found.key(event, _BODY, sends, WHICH_BODIES)
    elif decoded is None and (encoding or as_bytes):
        why = "a content-encoding" if encoding else media_type or "no content type"
        found.key(event, _BODY, f"base64, with the flag, for {why}", WHICH_BODIES)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ---- the caller ------------------------------------------------------------------------------------------------------


def _identity_key(name: str) -> str:
    """One spelling: V1 writes `X509SAN/URI` where V2 writes `x509SanUri`."""
    return names.lower(name).replace("/", "")


_NETWORK_NAMES: Final = {_identity_key(name): name for name in lattice_v1.NETWORK_FIELDS.values()}
_IDENTITY_NAMES: Final = {
    1: _NETWORK_NAMES | {_identity_key(name): name for name in lattice_v1.IDENTITY_FIELDS.values()},
    2: {_identity_key(name): name for name in lattice_v2.IDENTITY_FIELDS.values()},
}
"""Version → the fields of an identity, by their names in one spelling."""
_VPC: Final = re.compile(r"arn:aws[a-z-]*:ec2:[^:]+:[0-9]{12}:vpc/.+")


def _caller_of_context(context: Fields, found: Departures) -> None:
    """V2: `requestContext.identity`."""
    identity = context.get(lattice_v2.IDENTITY)
    if not isinstance(identity, Mapping):
        found.key(context, lattice_v2.IDENTITY, "an object with sourceVpcArn", CALLER, refused=identity is not None)
        return
    inside, fields = found.inside(lattice_v2.IDENTITY), dict[str, str]()
    for name, value in identity.items():
        key = _identity_key(str(name))
        spelled = _IDENTITY_NAMES[2].get(key)
        if not isinstance(name, str) or not (value is None or isinstance(value, str)):
            inside.key(identity, name, "a string", CALLER_KEYS, refused=True)
        elif key in fields:
            inside.key(identity, name, f"{spelled or name} once", CALLER_KEYS, refused=True)
        elif spelled is None:
            inside.key(identity, name, "no such key", CALLER_KEYS)
        elif name != spelled:
            inside.inside(name).add(Words(name), f"the name {spelled}", CALLER_KEYS)
        elif not value:
            inside.key(identity, name, "no such key if there is no value", CALLER)
        fields.setdefault(key, value if isinstance(value, str) else "")
    caller = _Identity(2, fields, inside)
    _vpc(caller)
    _caller(caller)


def _caller_of_headers(pairs: Pairs, found: Departures) -> None:
    """V1: the two headers that Lattice adds. Some captures do not have the header with the network."""
    fields: dict[str, str] = {}
    for header, known in ((names.NETWORK, _NETWORK_NAMES), (names.IDENTITY, _IDENTITY_NAMES[1])):
        values, inside = [value for name, value in pairs if name == header], found.inside(_HEADERS, header)
        if len(values) > 1:
            inside.add(values, "the header once", CALLER, refused=True)
        _fields_of_header(";".join(values[:1]), known, fields, inside)
    _vpc(_Identity(1, fields, found.inside(_HEADERS, names.NETWORK)))
    if any(name == names.IDENTITY for name, _ in pairs):
        _caller(_Identity(1, fields, found.inside(_HEADERS, names.IDENTITY)))


def _fields_of_header(text: str, known: Mapping[str, str], into: dict[str, str], found: Departures) -> None:
    """The fields of one of V1's two headers. From the first certificate field on, the bridge reads none."""
    own: set[str] = set()
    behind_certificate = False
    for part in text.split(";"):
        name, mark, value = part.strip(" \t").partition("=")
        key = _identity_key(name)
        of_certificate = key.startswith("x509")
        behind_certificate = behind_certificate or of_certificate
        if not mark:
            continue
        if key not in known:
            found.add(Words(name), "no such field", CALLER_KEYS)
        elif key in own or (key in into and not behind_certificate):
            found.add(Words(name), f"the field {known[key]} once", CALLER, refused=not of_certificate)
        elif behind_certificate and not of_certificate:
            found.add(Words(name), "no such field behind a certificate's, where the bridge reads none", CALLER)
        elif name != known[key]:
            found.add(Words(name), f"the field {known[key]}", CALLER_KEYS)
        own.add(key)
        if key in known and not behind_certificate:
            into.setdefault(key, value)


class _Identity:
    """The caller of an event.

    Attributes:
        version: the version of the event.
        fields: values by names in lower case; an empty value is the same as an absent one.
    """

    def __init__(self, version: Version, fields: Mapping[str, str], found: Departures) -> None:
        self.version, self.fields = version, fields
        self._found = found

    def departs(self, key: str, sends: str, *, refused: bool = False) -> None:
        """Adds a departure of a field. V1 has all fields in one header."""
        value, name = self.fields.get(key), _IDENTITY_NAMES[self.version][key]
        if self.version == 1:
            self._found.add(Words(f"{name}={value or ''}"), sends, CALLER, refused=refused)
        else:
            self._found.inside(name).add(ABSENT if value is None else value, sends, CALLER, refused=refused)


def _caller(identity: _Identity) -> None:
    fields = identity.fields
    if fields.get("type") != IAM:
        _unsigned(identity)
        return
    try:
        principal = parse_arn(fields.get("principal", ""))
    except Forbidden:
        example = "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION"
        identity.departs("principal", f"the principal that signed, as in {example}", refused=True)
        return
    if principal.kind == "role" or (principal.kind == "assumed-role" and ":iam::" in fields["principal"]):
        role = f"arn:{principal.partition}:sts::{principal.account}:assumed-role/{principal.name}"
        identity.departs("principal", f"{role}/{principal.session or 'SESSION'}")
    session = fields.get("sessionname")
    if principal.session and session and session != principal.session:
        sends = f"the session in the principal's ARN: {principal.session}"
        if identity.version == 2:
            sends += ". They differ in AWS's documented example of V2, but in no capture; the bridge refuses it"
        identity.departs("sessionname", sends, refused=True)
    elif principal.session and not session and identity.version == 2:  # in captures of V1 it is empty
        identity.departs("sessionname", f"the session a second time: {principal.session}")


def _unsigned(identity: _Identity) -> None:
    """An unsigned caller has only a VPC."""
    if identity.version == 1:
        identity.departs("type", "no such header, unless the caller signed: then Type=AWS_IAM")
        return
    for key in _IDENTITY_NAMES[2]:
        if key != "sourcevpcarn" and identity.fields.get(key):
            identity.departs(key, "no such key, unless the caller signed: then type is AWS_IAM")


def _vpc(identity: _Identity) -> None:
    vpc = identity.fields.get("sourcevpcarn")
    if (vpc or identity.version == 2) and _VPC.fullmatch(vpc or "") is None:
        identity.departs("sourcevpcarn", "an ARN, as in arn:aws:ec2:REGION:ACCOUNT:vpc/vpc-...")


# ---- values --------------------------------------------------------------------------------------------------------


def _object(value: object) -> Fields:
    return value if isinstance(value, Mapping) else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
