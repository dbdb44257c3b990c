"""`lattice-v1`: the event of a Lattice target group with event structure V1, which is the default of a target group.

Rule: docs/wire.md §1. Source: "Lambda functions as targets in VPC Lattice", and captures where they differ. Whatever
V1's identity header could mean to two readers is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.errors import Forbidden
from lattice_bridge.formats import event as parts
from lattice_bridge.http import headers as names
from lattice_bridge.message import X509, Caller, Pairs, Request

PATH: Final = "raw_path"
"""With the query behind a `?`."""
METHOD: Final = "method"
HEADERS: Final = "headers"
QUERY: Final = "query_string_parameters"
BODY: Final = "body"
IS_BASE64: Final = "is_base64_encoded"
REQUEST_ID: Final = "request_id"
FIELDS: Final = (PATH, METHOD, HEADERS, QUERY, BODY, IS_BASE64, REQUEST_ID)

MARKS: Final = (PATH, QUERY, IS_BASE64)
"""Fields that only a V1 event has. An event of another format that has one is refused."""

NETWORK_FIELDS: Final = {"source_vpc_arn": "SourceVpcArn"}
"""The fields of the header `x-amzn-lattice-network`, by `event.caller_of`'s names."""

IDENTITY_FIELDS: Final = {
    "principal": "Principal",
    "org_id": "PrincipalOrgID",
    "org_paths": "PrincipalOrgPaths",  # V2 has no such field. Captures have it, and empty
    "session_name": "SessionName",
    "type": "Type",
    "issuer_ou": "X509Issuer/OU",
    "san_dns": "X509SAN/DNS",
    "san_name_cn": "X509SAN/NameCN",
    "san_uri": "X509SAN/URI",
    "subject_cn": "X509Subject/CN",
}
"""The fields of the header `x-amzn-lattice-identity`, in Lattice's order."""

_ALWAYS: Final = ("principal", "org_id", "org_paths", "session_name", "type")
"""Fields that Lattice writes also if they are empty."""


def recognises(event: Mapping[str, Any]) -> bool:
    """Whether an event has the marks of V1. AWS's page shows no `version`; only "2.0" means another format."""
    return event.get("version") != "2.0" and parts.has_text(event, PATH) and parts.has_text(event, METHOD)


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: Mapping[str, Any]) -> Request:
    """The request in a V1 event.

    Raises:
        BadRequest: the event is malformed; the detail lists every fault.
        Forbidden: the identity contradicts itself, or has no known shape.
    """
    faults = parts.Faults()
    method = parts.read_method(event.get(METHOD), faults)
    path, raw_query = parts.read_target(event.get(PATH), event.get(QUERY), PATH, faults)
    headers = parts.read_headers(event.get(HEADERS), faults, with_lattice=True)
    content = parts.read_body(event.get(BODY), event.get(IS_BASE64), faults)
    faults.refuse_if_any()  # before the value of a header is read, which may be of any length
    identity = _read_identity(headers, faults)
    faults.refuse_if_any()
    return Request(
        version=1,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=parts.without_lattice_headers(headers),
        content=content,
        caller=parts.caller_of(identity),
        request_id=parts.read_request_id(event.get(REQUEST_ID)),
        event=event,
    )


_NETWORK_KEYS: Final = {"sourcevpcarn": "source_vpc_arn"}
_IDENTITY_KEYS: Final = {
    **{names.lower(IDENTITY_FIELDS[key]): key for key in ("type", "principal", "org_id", "session_name")},
    **_NETWORK_KEYS,
}
"""Fields that are read, in lower case. The certificate's fields are not among them, see `_read_fields`."""


def _read_identity(headers: Pairs, faults: parts.Faults) -> dict[str, str]:
    """The identity in the two headers that Lattice adds after it has removed the client's own.

    An unsigned request has no identity header. So a header without a field Type is refused: if it were read as an
    unsigned caller's, a signed caller could escape a deny rule, or use a rule with `anyone`.
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


def _read_fields(text: str, header: str, known: Mapping[str, str], into: dict[str, str], faults: parts.Faults) -> None:
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
        if known[key] in into or begun[key] > 1:
            faults.add("malformed_header", f"header {header} has the field {key} twice")
        into[known[key]] = value
    if may_be_rest_of_path and _HAS_PATH.search(found.get("principal", "")):
        faults.add("malformed_header", f"header {header} has a field that may be the rest of the principal's path")


_HAS_PATH: Final = re.compile(r":(?:user|role)/")
_FIELD_BEGINS: Final = re.compile(r"(?:^|[;,])[ \t]*([a-z0-9]+)[ \t]*=")


# ---- Request → event ------------------------------------------------------------------------------------------------


def write(request: Request) -> dict[str, Any]:
    """The event that Lattice would send: one string for each header and query name, and every field always.

    The format cannot express: which of several values a header had that contain commas; all but the first value of a
    repeated query name, outside of `raw_path`; the service, its network and the time.
    """
    return {
        PATH: request.target,
        METHOD: request.method,
        HEADERS: {**parts.as_joined(request.headers), **identity_headers(request.caller)},
        QUERY: parts.as_first(parts.query_pairs(request.raw_query)),  # as captured; AWS's page says the last value
        BODY: request.text,
        IS_BASE64: request.is_base64,
        REQUEST_ID: request.request_id or "",
    }


_FIELDS: Final = {**NETWORK_FIELDS, **IDENTITY_FIELDS}


def identity_headers(caller: Caller) -> dict[str, str]:
    """The two headers that tell a V1 function who is calling. An unsigned caller has no identity header."""
    identity = parts.identity_of(caller, _FIELDS)
    found = {}
    network = NETWORK_FIELDS["source_vpc_arn"]
    if (vpc := identity.get(network)) is not None:
        found[names.NETWORK] = f"{network}={vpc}"
    if caller.authenticated:
        fields = ((name, identity.get(name, ""), key in _ALWAYS) for key, name in IDENTITY_FIELDS.items())
        found[names.IDENTITY] = "; ".join(f"{name}={value}" for name, value, always in fields if value or always)
    return found


# How Lattice escapes a `;` in this header is undocumented, and `CN=x; Principal=…` in a certificate would name another
# principal to a reader that splits there, or at a comma, which is how repeated headers are joined. IAM's names may
# contain commas and equals signs, and are written. A reader of fields strips spaces at the ends. A backslash may be an
# escape, as it is in `x-amzn-lattice-identity-tags`, and the bridge itself refuses it here.
_ANY_NAME: Final = "|".join(name.replace("/", "/?") for name in _FIELDS.values())
_AMBIGUOUS: Final = rf"[;\\\x00-\x1f\x7f]|,\s*({_ANY_NAME})\s*=|^\s|\s$"
_PLAIN: Final = re.compile(r"[!-+\--:<-\[\]-~]+")
"""Visible ASCII without `,`, `;` and a backslash: most values. `_AMBIGUOUS` is compiled and searched for the others."""


def _is_ambiguous(value: str) -> bool:
    return _PLAIN.fullmatch(value) is None and re.search(_AMBIGUOUS, value, re.IGNORECASE) is not None


def without_ambiguous_fields(caller: Caller) -> Caller:
    """The caller less each field that a reader of V1's headers could read as two fields.

    Raises:
        Forbidden: the principal is such a field. A caller that signed must not appear as an unsigned one.
    """
    if not any(map(_is_ambiguous, parts.identity_of(caller, _FIELDS).values())) and (
        caller.iam or not caller.authenticated
    ):
        return caller

    def plain(value: str | None) -> str | None:
        return None if value is None or _is_ambiguous(value) else value

    if caller.authenticated and plain(caller.principal) is None:
        raise Forbidden("identity_invalid", "the principal's name cannot be written into a header of V1")
    x509 = caller.x509 and X509(*(plain(getattr(caller.x509, field)) for field in X509.__slots__))
    return replace(
        caller,
        session_name=plain(caller.session_name),
        org_id=plain(caller.org_id),
        source_vpc_arn=plain(caller.source_vpc_arn),
        x509=x509,
    )
