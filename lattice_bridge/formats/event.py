"""The parts that HTTP events of all formats have: request line, query map, headers, body, identity.

Rule: a limit is checked before the value that it limits is read, and an event is refused with all its faults at once.
The field names of a format are in the format's own file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from lattice_bridge.errors import REASONS, BadRequest, Forbidden
from lattice_bridge.formats.assumptions import QUERY_MAP_IS_DECODED
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.query import escape, parse_query, split_query
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509, Caller, Pairs

Payload = Literal["lattice", "lattice-v1", "lattice-v2", "apigateway-v2", "apigateway-v1", "alb"]
"""The format of the event that a backend receives. `lattice` is the format that the event came in."""

Scheme = Literal["https", "http"]

MAX_HEADER_BYTES: Final = 8 * 1024
MAX_HEADER_LINES: Final = 100
MAX_TARGET: Final = 64 * 1024
"""Characters of path and query. Our limit: API Gateway takes 10 KB, a load balancer 16; splitting 4 MB took 300 MB."""
MAX_FAULTS: Final = 20
"""Faults of one event that its refusal lists."""

# A request target is visible ASCII on the wire. Servers pass on other characters, but neither spaces nor controls.
_VISIBLE: Final = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff]*")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


class Faults:
    """All faults of one event, so that its sender can fix them together."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, reason: str, text: str) -> None:
        """Notes a fault: a code of `errors.REASONS`, and the details for the log. Keeps `MAX_FAULTS` at most."""
        assert reason in REASONS
        if len(self.found) < MAX_FAULTS:
            self.found.append((reason, text))

    def refuse_if_any(self) -> None:
        if self.found:
            raise BadRequest(self.found[0][0], "; ".join(text for _, text in self.found))


# ---- reading: the request line --------------------------------------------------------------------------------------


def read_method(value: object, faults: Faults) -> str:
    """The method as sent.

    A method of RFC 9110 in another case is a different method, but most frameworks read it as the same: a rule or an
    auth policy that names DELETE would not apply to `delete`. So it is refused.
    """
    if isinstance(value, str) and value in _METHODS:
        return value
    if not isinstance(value, str) or len(value) > 32 or not names.is_token(value):
        faults.add("malformed_event", "method is not an HTTP method")
        return ""
    if value.upper() in _METHODS:
        faults.add("malformed_event", f"method is {value}, which frameworks take for {value.upper()}")
    return value


def read_target(value: object, query_map: object, field: str, faults: Faults) -> tuple[str, str]:
    """Path and raw query of a Lattice event. Both versions have the query in the path, unlike AWS's page of V2.

    The query map is unreliable (V1 has one value for each name: the first in captures, the last on AWS's page). It is
    read only if the path has no `?`, as in events that people write by hand.
    """
    path = _read_visible(value, field, faults)
    path, mark, raw_query = path.partition("?")
    if path and not mark:
        raw_query = query_of_map(query_map, _escape, faults)
    return _within_limit(path, raw_query, faults)


def read_path(value: object, raw_query: str, field: str, faults: Faults) -> tuple[str, str]:
    """Path and raw query of a format that has the two apart. A `?` in the path would begin another query."""
    path = _read_visible(value, field, faults)
    if "?" in path:
        faults.add("malformed_event", f"{field} contains a ?")
        return "", ""
    return _within_limit(path, raw_query, faults)


def _read_visible(value: object, field: str, faults: Faults) -> str:
    if isinstance(value, str) and len(value) > MAX_TARGET:
        faults.add("malformed_event", f"{field} is longer than {MAX_TARGET} characters")
        return ""
    if not isinstance(value, str) or value[:1] != "/" or not _is_visible(value):
        faults.add("malformed_event", f"{field} is not a path from / on, without spaces and control characters")
        return ""
    return value


def _is_visible(text: str) -> bool:
    """Whether a text has neither spaces nor control characters nor lone surrogates."""
    return _is_visible_ascii(text) or _VISIBLE.fullmatch(text) is not None


def _is_visible_ascii(text: str) -> bool:
    """Whether a text is ASCII from `!` to `~` alone. It is four times as fast as a pattern."""
    return text.isascii() and text.isprintable() and " " not in text


def _within_limit(path: str, raw_query: str, faults: Faults) -> tuple[str, str]:
    if len(path) + len(raw_query) > MAX_TARGET:
        faults.add("malformed_event", f"path and query are longer than {MAX_TARGET} characters")
        return "", ""
    return path, raw_query


def read_raw_query(value: object, field: str, faults: Faults) -> str:
    """A query string as sent; empty if there is none."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) > MAX_TARGET:
        faults.add("malformed_event", f"{field} is longer than {MAX_TARGET} characters")
        return ""
    if not isinstance(value, str) or not _is_visible(value):
        faults.add("malformed_event", f"{field} is not a query string without spaces and control characters")
        return ""
    return value


def query_of_map(query_map: object, encode: Callable[[str], str], faults: Faults) -> str:
    """A raw query string for a map of names to one value or a list. `encode` is applied to each name and value."""
    if query_map is None:
        return ""
    if not isinstance(query_map, Mapping):
        faults.add("malformed_event", "the query parameters are not an object")
        return ""
    parts: list[str] = []
    left = MAX_TARGET
    if len(query_map) > MAX_TARGET:
        faults.add("malformed_event", f"the query parameters are longer than {MAX_TARGET} characters")
        return ""
    for name, value in query_map.items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(name, str) or not isinstance(text, str):
                faults.add("malformed_event", "a query parameter is neither a string nor a list of strings")
                return ""
            left -= len(name) + len(text) + 2  # `=` and `&`; measured before encoding, which takes longer
            if left < 0:
                faults.add("malformed_event", f"the query parameters are longer than {MAX_TARGET} characters")
                return ""
            parts.append(f"{encode(name)}={encode(text)}")
    return "&".join(parts)


def _escape(text: str) -> str:
    return escape(text) if QUERY_MAP_IS_DECODED else text


# ---- reading: headers -----------------------------------------------------------------------------------------------


def read_headers(value: object, faults: Faults, *, with_lattice: bool = False) -> Pairs:
    """Pairs in order, names in ASCII lower case, from a map of names to one value or a list.

    Args:
        value: of the event.
        faults: takes those of all headers.
        with_lattice: whether `x-amzn-lattice-*` is among the pairs. Only in V1 can Lattice have written it; elsewhere a
            client did.
    """
    if value is None:
        return ()
    if not isinstance(value, (dict, Mapping)):  # a dict first: asking an abstract class takes longer
        faults.add("malformed_event", "headers is not an object")
        return ()
    if len(value) <= MAX_HEADER_LINES and (known := names.header_names(tuple(value))) is not None:
        values = names.plain_values(value, MAX_HEADER_BYTES - known.characters)
        if values is not None:
            found = tuple(zip(known.lower, values, strict=True))
            return found if with_lattice or not known.has_lattice else without_lattice_headers(found)
    found = tuple(_read_one_by_one(value, faults))
    return found if with_lattice else without_lattice_headers(found)


def _read_one_by_one(value: Mapping[Any, Any], faults: Faults) -> list[tuple[str, str]]:
    lines = sum(max(1, len(entry)) if isinstance(entry, list) else 1 for entry in value.values())
    if lines > MAX_HEADER_LINES:
        faults.add("malformed_header", f"{lines} header lines; at most {MAX_HEADER_LINES} are read")
        return []
    pairs: list[tuple[str, str]] = []
    for name, entry in value.items():
        # V2 documents lists; widely copied V2 fixtures have strings. V1 has strings.
        lowered = names.lower_token(name) if isinstance(name, str) else None
        if lowered is None:
            faults.add("malformed_header", "the name of a header is not an HTTP token")
            continue
        for text in entry if isinstance(entry, list) else (entry,):
            if not isinstance(text, str):
                faults.add("malformed_header", f"header {lowered[:64]} is neither a string nor a list of strings")
                break
            pairs.append((lowered, text))
    for name, text in pairs:
        if len(name) + size_of(text) > MAX_HEADER_BYTES:
            faults.add("malformed_header", f"header {name[:64]} is longer than {MAX_HEADER_BYTES} bytes")
        elif not names.is_clean(text):
            faults.add("malformed_header", f"header {name[:64]} contains a control character")
    return pairs


def without_lattice_headers(headers: Pairs) -> Pairs:
    """The headers without `x-amzn-lattice-*`."""
    return tuple((name, value) for name, value in headers if not name.startswith(names.LATTICE_PREFIX))


def size_of(text: str) -> int:
    """Bytes of the text in UTF-8. A lone surrogate counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


# ---- reading: body, ids, time ---------------------------------------------------------------------------------------


def read_body(value: object, is_base64: object, faults: Faults) -> str | Base64:
    """The body. Only the flag decides whether it is base64; Lattice's V2 leaves the flag out if it is false."""
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
        faults.add("malformed_event", "body is marked as base64 and is not base64")
    return found or ""


def read_request_id(value: object) -> str | None:
    """An id in visible ASCII, or None. It is only used to find a request again in logs."""
    return value if isinstance(value, str) and 0 < len(value) <= 128 and _is_visible_ascii(value) else None


def read_name(value: object) -> str | None:
    """A string that is not empty, or None: an ARN or an id that is compared with the configuration."""
    return value if isinstance(value, str) and value else None


def read_time(value: object, unit: int = 1) -> int | None:
    """Microseconds since 1970, or None. The event has a number or a string in `unit` microseconds.

    17 digits last until the year 5138. No decision depends on the time.
    """
    if isinstance(value, str) and len(value) <= 17 and value.isascii() and value.isdigit():
        value = int(value)
    elif isinstance(value, str) or not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    return value * unit if value * unit < 10**17 else None


# ---- identity: the caller of a Lattice event ------------------------------------------------------------------------

IAM: Final = "AWS_IAM"
"""The only type of authentication that Lattice has. An unsigned caller has no type."""

_X509_FIELDS: Final = ("issuer_ou", "san_dns", "san_name_cn", "san_uri", "subject_cn")


def caller_of(identity: Mapping[str, str]) -> Caller:
    """The caller for what an event says. Only with `type` AWS_IAM does anything but the VPC count (trap B1).

    Args:
        identity: values by the attribute names of `Caller` and `X509`, and `type` and `principal`. An empty value is
            the same as an absent one.

    Raises:
        Forbidden: the identity contradicts itself, or has no known shape.
    """
    vpc = identity.get("source_vpc_arn") or None
    if identity.get("type") != IAM:
        return Caller(source_vpc_arn=vpc)
    text = identity.get("principal") or None
    if text is None:
        raise Forbidden("identity_invalid", f"the identity is of type {IAM} and names no principal")
    principal = parse_arn(text)
    session = identity.get("session_name") or None
    if principal.session is not None and session is not None and session != principal.session:
        raise Forbidden("identity_invalid", "sessionName and the session in the principal's ARN differ")
    certificate = [identity.get(field) or None for field in _X509_FIELDS]
    return Caller(
        authenticated=True,
        iam=principal,
        session_name=principal.session or (session if principal.role else None),  # a user has no session
        org_id=identity.get("org_id") or None,
        source_vpc_arn=vpc,
        x509=X509(*certificate) if any(certificate) else None,
    )


def identity_of(caller: Caller, fields: Mapping[str, str]) -> dict[str, str]:
    """The values that `caller_of` reads, by a format's names for them. Contains only what is known of the caller."""
    found = {
        "source_vpc_arn": caller.source_vpc_arn,
        "type": IAM if caller.authenticated else None,
        "principal": caller.principal,
        "org_id": caller.org_id,
        "session_name": caller.session_name,
    }
    if caller.x509 is not None:
        found |= {field: getattr(caller.x509, field) for field in _X509_FIELDS}
    return {fields[key]: value for key, value in found.items() if value}


# ---- writing: pairs as the maps that formats have -------------------------------------------------------------------


def as_lists(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Every value of a name, in order. The order between different names is lost."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def as_joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values of a name joined by `,`. Two values cannot be told from one that contains a comma."""
    return {name: ",".join(values) for name, values in as_lists(pairs).items()}


def as_first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first value of each name. The others are lost."""
    return {name: values[0] for name, values in as_lists(pairs).items()}


def as_last(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The last value of each name. The others are lost."""
    return dict(pairs)


def query_pairs(raw_query: str) -> Pairs:
    """Names and values as Lattice writes them into an event's query map."""
    return parse_query(raw_query) if QUERY_MAP_IS_DECODED else split_query(raw_query)


def arn_field(arn: str | None, index: int) -> str:
    """A field of an ARN, counted from 0 (`arn`); empty if the text is no ARN."""
    fields = (arn or "").split(":", 5)
    return fields[index] if len(fields) == 6 else ""


def has_text(event: Mapping[str, Any], field: str) -> bool:
    """Whether a field of the event is a string that is not empty."""
    value = event.get(field)
    return isinstance(value, str) and value != ""
