"""What other services' events say and Lattice's do not: how each is found.

Rule: nothing here is made up to look right. What cannot be found is empty, and docs/wire.md §4 lists all of it. Where
a client can write, only what Lattice is known to add behind it is believed.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from time import gmtime
from typing import Final

from lattice_bridge.errors import BadRequest, Forbidden
from lattice_bridge.formats.forwarded import Forwarded
from lattice_bridge.http.headers import IDENTITY, NETWORK, fold
from lattice_bridge.message import Caller, Pairs, Request

STAGE: Final = "$default"
"""A stage that is no part of the path. serverless-wsgi and Powertools take any other off it."""

PROTOCOL: Final = "HTTP/1.1"
"""What Lattice spoke with the client is not in its events; no framework does anything with it."""

UNKNOWN_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nothing is bound to it
"""RFC 1122's word for no address: frameworks parse what stands there."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FOR, _PROTO, _PORT = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"
_FORWARDED: Final = (_FOR, _PROTO, _PORT)
_PORT_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")


# ---- where it came from ---------------------------------------------------------------------------------------------


def source_ip(request: Request) -> str:
    """The address that Lattice saw: the right-most of `x-forwarded-for`. What stands before it is the client's word."""
    lines = [value for name, value in request.headers if name == _FOR]
    text = lines[-1].rpartition(",")[2].strip(" \t") if lines else ""
    try:
        ip_address(text)
    except ValueError:
        return UNKNOWN_ADDRESS
    return UNKNOWN_ADDRESS if "%" in text else text  # ip_address takes any text for an IPv6 zone


def port(forwarded: Forwarded) -> str:
    """Of the listener, in digits: the one in `host`, or the scheme's own."""
    return _host_and_port(forwarded.request)[1] or ("443" if forwarded.scheme == "https" else "80")


def domain_name(request: Request) -> str:
    """The host that was asked for, without a port; empty when the event has none.

    Raises:
        BadRequest: there are two, which V1 joins by a comma: which one counts would be each framework's choice.
    """
    return _host_and_port(request)[0]


def user_agent(request: Request) -> str:
    """As sent; empty when there is none."""
    return ", ".join(value for name, value in request.headers if name == "user-agent")


def _host_and_port(request: Request) -> tuple[str, str]:
    host = request.header("host") or ""
    if "," in host:
        raise BadRequest("header_repeated", "header host has two values")
    name, colon, number = host.rpartition(":")
    is_port = colon and _PORT_NUMBER.fullmatch(number) and int(number) < 65536
    return (name, number) if is_port else (host, "")


def headers(forwarded: Forwarded) -> Pairs:
    """What API Gateway and a load balancer would send: as forwarded, with `x-forwarded-*` in one line each, in their
    way. Lattice joins addresses by `,`, they by `, `, where frameworks split.

    What a client wrote under a name that reads as one of them is dropped, so that CGI does not join it with ours.
    """
    others = (pair for pair in forwarded.headers() if fold(pair[0]) not in _FORWARDED)
    lines = (value for name, value in forwarded.request.headers if name == _FOR)
    addresses = ", ".join(part.strip(" \t") for line in lines for part in line.split(","))
    ours = ((_FOR, addresses), (_PROTO, forwarded.scheme), (_PORT, port(forwarded)))
    return (*others, *(pair for pair in ours if pair[1]))


def cookies(request: Request) -> list[str]:
    """Each `name=value` of its own; HTTP API events have them beside the headers."""
    lines = (value for name, value in request.headers if name == "cookie")
    return [cookie for line in lines for part in line.split(";") if (cookie := part.strip(" \t"))]


# ---- what it came through -------------------------------------------------------------------------------------------


def account(request: Request) -> str:
    """The service's account; empty in a V1 event, which does not name the service."""
    return _arn_field(request.service_arn, 4)


def region(request: Request) -> str:
    """The service's Region; on V1 that of the client's VPC, which is in the same one, or empty."""
    return _arn_field(request.service_arn or request.caller.source_vpc_arn, 3)


def service_id(request: Request) -> str:
    """`svc-…`; empty in a V1 event."""
    return _arn_field(request.service_arn, 5).rpartition("/")[2]


def _arn_field(arn: str | None, index: int) -> str:
    fields = (arn or "").split(":", 5)
    return fields[index] if len(fields) == 6 else ""


# ---- when -----------------------------------------------------------------------------------------------------------


def microseconds(forwarded: Forwarded) -> int:
    """Since 1970, when Lattice took the request; on V1, which does not say, when the bridge did."""
    return forwarded.request.time_epoch or int(forwarded.now * 1_000_000)


def common_log_time(microseconds: int) -> str:
    """`12/Mar/2020:19:03:58 +0000`. Not strftime, whose months are the locale's."""
    at = gmtime(microseconds // 1_000_000)
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


# ---- who ------------------------------------------------------------------------------------------------------------

_X509_V2: Final = {
    "x509IssuerOu": "issuer_ou",
    "x509SanDns": "san_dns",
    "x509SanNameCn": "san_name_cn",
    "x509SanUri": "san_uri",
    "x509SubjectCn": "subject_cn",
}
_V1_NAMES: Final = {
    "principal": "Principal",
    "principalOrgID": "PrincipalOrgID",
    "principalOrgPaths": "PrincipalOrgPaths",  # V2 has no such field: here it is empty, as in captures
    "sessionName": "SessionName",
    "type": "Type",
    "x509IssuerOu": "X509Issuer/OU",
    "x509SanDns": "X509SAN/DNS",
    "x509SanNameCn": "X509SAN/NameCN",
    "x509SanUri": "X509SAN/URI",
    "x509SubjectCn": "X509Subject/CN",
}

# How Lattice escapes a `;` in this header is undocumented, and `CN=x; Principal=…` in a certificate would name another
# principal to a reader that splits there, or at a comma, which is how repeated headers are joined. IAM's names may hold
# commas and equals signs, and go through. Spaces at the ends are not the value's to a reader of fields. A backslash may
# be an escape, as it is in `x-amzn-lattice-identity-tags`, and the bridge itself refuses it here.
_ANY_NAME: Final = "|".join(name.replace("/", "/?") for name in (*_V1_NAMES.values(), "SourceVpcArn"))
_UNSAYABLE_IN_V1: Final = re.compile(rf"[;\\\x00-\x1f\x7f]|,\s*({_ANY_NAME})\s*=|^\s|\s$", re.IGNORECASE)


def tenant(forwarded: Forwarded) -> dict[str, str]:
    """Under the name that authorizers commonly use. Empty when none was decided on."""
    return {} if forwarded.tenant is None else {"tenantId": forwarded.tenant}


def identity(caller: Caller) -> dict[str, str]:
    """Whom Lattice vouches for, under the names of V2's `requestContext.identity`; nothing is there that is unknown."""
    x509 = {key: getattr(caller.x509, field) for key, field in _X509_V2.items()} if caller.x509 else {}
    found = {
        "sourceVpcArn": caller.source_vpc_arn,
        "type": "AWS_IAM" if caller.authenticated else None,
        "principal": caller.principal,
        "principalOrgID": caller.org_id,
        "sessionName": caller.session_name,
        **x509,
    }
    return {key: value for key, value in found.items() if value}


def identity_headers(caller: Caller) -> dict[str, str]:
    """The same as the two headers of V1. A field that could be read as two is left out.

    Raises:
        Forbidden: the principal is such a field. Who signed and is told as nobody could act unseen.
    """
    said = {key: value for key, value in identity(caller).items() if _UNSAYABLE_IN_V1.search(value) is None}
    found = {}
    if (vpc := said.get("sourceVpcArn")) is not None:
        found[NETWORK] = f"SourceVpcArn={vpc}"
    if caller.authenticated:
        if "principal" not in said:
            raise Forbidden("identity_invalid", "the principal's name cannot be said in a header of V1")
        told = {name: said.get(key, "") for key, name in _V1_NAMES.items() if _is_told(key, said)}
        found[IDENTITY] = "; ".join(f"{name}={value}" for name, value in told.items())
    return found


def _is_told(key: str, said: dict[str, str]) -> bool:
    """V1 has the certificate's fields with IAM Roles Anywhere only, and the others always."""
    return key in said or not key.startswith("x509")
