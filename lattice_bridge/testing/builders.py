"""Builds the event that Lattice makes of a client's request, for tests.

Rule: the local front's own code builds the event, so builder and front cannot disagree. A request that no client can
send, or that Lattice writes in an unknown way, is refused. For a forged event, change the result.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from json import dumps
from typing import Any, Final, Literal, TypedDict, Unpack
from urllib.parse import quote

from lattice_bridge.formats.assumptions import FRONT_DROPPED_HEADERS
from lattice_bridge.formats.recognise import module_of
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.front.lattice import events as wire
from lattice_bridge.message import X509, Authorizer, Caller, Format, Request

Headers = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str]]
"""Names with one value or several; or pairs in the order in which they were sent."""

HOST: Final = "orders.example.com"
ACCOUNT: Final = "111122223333"
REGION: Final = "eu-west-1"
VPC: Final = "vpc-0a1b2c3d4e5f60718"
CLIENT_ADDRESS: Final = "10.0.1.20"
SESSION: Final = "i-0123456789abcdef0"
"""The default session of a role: the sessions of an instance have its id as their name."""

REQUEST_ID: Final = "f2a9c1d0-7e53-4b1a-9c64-0d1e2f3a4b5c"
TIME: Final = 1_763_683_200_123_456
"""Microseconds since 1970: in November 2025."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ARN: Final = re.compile(r"arn:(aws(?:-[a-z]+)*):([a-z0-9-]+):([a-z0-9-]+):([0-9]{12}):([a-z]+)/([!-~]+)")
_SESSION: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_TARGET: Final = re.compile(r"/[!-\"$-~]*")


class EventOptions(TypedDict, total=False):
    """The arguments of `lattice_event` about the caller and about Lattice. Each may be left out.

    Attributes:
        principal: the ARN of the caller that Lattice authenticated, in any spelling: the role
            `arn:aws:iam::111122223333:role/blue-api` signs as one of its sessions. None for an unsigned request.
        session_name: the name of the role's session; by default the one in the ARN, or an instance's.
        org_id: the principal's organisation, `o-…`.
        x509: fields of the certificate, with IAM Roles Anywhere: `{"san_uri": "spiffe://…"}`; fields as in `X509`.
        source_vpc: `vpc-…`, or an ARN.
        client_address: the address that Lattice saw.
        service_arn, service_network_arn, target_group_arn: not in a V1 event.
        region: the service's Region; by default the one in `service_arn`.
        request_id: Lattice's id of the request.
        time: when Lattice received it: microseconds since 1970, or a datetime with a zone. Not in a V1 event.
    """

    principal: str | None
    session_name: str | None
    org_id: str | None
    x509: X509 | Mapping[str, str] | None
    source_vpc: str
    client_address: str
    service_arn: str | None
    service_network_arn: str | None
    target_group_arn: str | None
    region: str | None
    request_id: str
    time: int | datetime


def lattice_event(
    version: Literal[1, 2] = 2,
    method: str = "GET",
    path: str = "/",
    *,
    headers: Headers = (),
    body: bytes | str = b"",
    json: Any = ...,
    **options: Unpack[EventOptions],
) -> dict[str, Any]:
    """The event that a function behind a Lattice target group receives. The same arguments make the same event.

    >>> lattice_event(path="/orders?id=7")["queryStringParameters"]
    {'id': ['7']}

    Args:
        version: the target group's event structure version.
        method: as sent.
        path: as sent, percent-encoded, with the query: `/orders?a=1&a=2`.
        headers: those of the client. `host` is added if it is missing; `x-forwarded-for` always, as Lattice does.
        body: bytes, or text as UTF-8. Base64 in the event unless the `content-type` is one for text: docs/wire.md §1.
        json: a value to send as JSON instead of `body`. Adds the `content-type` if it is missing.
        options: the caller and what Lattice adds, see `EventOptions`: `principal="arn:…"`.

    Raises:
        ValueError: no client can send this, or Lattice does not write it; the message has the fix.
    """
    _check_version(version)
    _check_names(options)
    pairs, content = _content(_pairs(headers), body, json)
    if not any(name == "host" for name, _ in pairs):
        pairs = [("host", HOST), *pairs]
    signer, address = _signer(version, options), _address(options.get("client_address", CLIENT_ADDRESS))
    request = HttpRequest(_method(method), _target(path), pairs, content, address)
    origin = _origin(options)
    return wire.event_v1(request, origin, signer) if version == 1 else wire.event_v2(request, origin, signer)


def lattice_headers(headers: Headers, version: Literal[1, 2] = 2) -> dict[str, Any]:
    """An event's `headers` alone, without what Lattice adds: lists in V2, in V1 strings joined by `,`.

    Raises:
        ValueError: as `lattice_event`.

    >>> lattice_headers([("accept", "a"), ("accept", "b")])
    {'accept': ['a', 'b']}
    >>> lattice_headers([("accept", "a"), ("accept", "b")], version=1)
    {'accept': 'a,b'}
    """
    _check_version(version)
    found: dict[str, list[str]] = {}
    for name, value in _pairs(headers):
        found.setdefault(name, []).append(value)
    return dict(found) if version == 2 else {name: ",".join(values) for name, values in found.items()}


def _check_version(version: object) -> None:
    if version not in (1, 2) or isinstance(version, bool):
        raise ValueError(f"version {version!r}: Lattice has events of version 1 and 2")


def _check_names(options: EventOptions) -> None:
    known = EventOptions.__annotations__
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(f"lattice_event: no argument {unknown[0]!r}. Fix: write one of {', '.join(known)}")


# ---- what the client sent -------------------------------------------------------------------------------------------


def _method(method: str) -> str:
    if not isinstance(method, str) or not names.is_token(method):
        raise ValueError(f"method {method!r} is not an HTTP method, as in GET")
    return method


def _target(path: str) -> str:
    if not isinstance(path, str) or _TARGET.fullmatch(path) is None:
        encoded = quote(str(path), safe="/?=&%:@!$'()*+,;~[]", errors="replace").lstrip("/")
        raise ValueError(f'path {path!r} is not a percent-encoded path from the first / on. Fix: write "/{encoded}"')
    return path


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    """The header lines as Lattice reads them: names in lower case, without the headers that it removes."""
    lines: list[tuple[object, object]] = []
    for name, entry in headers.items() if isinstance(headers, Mapping) else _each_pair(headers):
        lines += [(name, value) for value in (entry if isinstance(entry, list | tuple) else (entry,))]
    return [(_name(name), _value(name, value)) for name, value in lines]


def _each_pair(headers: Iterable[object]) -> Iterable[tuple[object, object]]:
    for pair in [headers] if isinstance(headers, str | bytes) else headers:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f'headers: {pair!r} is not a name and a value. Fix: write {{"accept": "*/*"}}')
        yield pair[0], pair[1]


def _name(name: object) -> str:
    lowered = names.lower_token(name) if isinstance(name, str) else None
    if lowered is None:
        raise ValueError(
            f"headers: {name!r} is not a header's name. Fix: to send what no client can send, change the event"
        )
    if lowered.startswith(names.LATTICE_PREFIX):
        raise ValueError(
            f"headers: Lattice removes a client's own {lowered}. Fix: write principal=… or source_vpc=…; "
            "to forge one, change the event"
        )
    if lowered in FRONT_DROPPED_HEADERS:
        raise ValueError(f"headers: {lowered} describes one connection, and no event has it. Fix: leave it out")
    return lowered


def _value(name: object, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"headers: {name}: {value!r} is not text. Fix: write {str(value)!r}")
    if not names.is_sendable(value) or value != value.strip(" \t"):
        raise ValueError(
            f"headers: {name}: {value!r} has control characters, or spaces at its ends, which HTTP removes. "
            "Fix: to send what no client can send, change the event"
        )
    return value


def _content(pairs: list[tuple[str, str]], body: bytes | str, json: Any) -> tuple[list[tuple[str, str]], bytes]:
    if json is not ...:
        if body:
            raise ValueError("body and json: both are given. Fix: write one of them")
        if not any(name == "content-type" for name, _ in pairs):
            pairs = [*pairs, ("content-type", "application/json")]
        body = dumps(json, allow_nan=False)
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray):
        raise ValueError(f"body is a {type(body).__name__}. Fix: write bytes or text, or json=…")
    if len(body) > wire.BODY_LIMIT:
        raise ValueError(f"body has {len(body)} bytes; Lattice sends a function at most {wire.BODY_LIMIT}")
    return pairs, bytes(body)


def _address(client_address: str) -> str:
    try:
        return str(ip_address(client_address))
    except ValueError:
        raise ValueError(f"client_address {client_address!r} is not an address, as in 10.0.1.20") from None


# ---- who is calling -------------------------------------------------------------------------------------------------


def _signer(version: int, options: EventOptions) -> Signer | None:
    principal, session_name = options.get("principal"), options.get("session_name")
    org_id, x509 = options.get("org_id"), options.get("x509")
    if principal is None:
        if session_name is not None or org_id is not None or x509 is not None:
            raise ValueError("session_name, org_id and x509 belong to a principal. Fix: write principal=… too")
        return None
    try:
        found = parse_arn(principal) if isinstance(principal, str) else None
    except BadPrincipal as error:
        raise ValueError(f"principal {principal!r}: {error.detail}; {_AS_IN}") from None
    if found is None:
        raise ValueError(f"principal {principal!r} is not text; {_AS_IN}")
    if found.kind == "user":  # unlike a session's ARN it contains the path, which no rule may compare
        found = replace(found, name=principal.partition(":user/")[2])
    session = _session(found, session_name)
    if session is not None:
        found = replace(found, kind="assumed-role", session=session)
    elif x509 is not None:
        raise ValueError("x509: certificate fields come with IAM Roles Anywhere, whose principal is a role's session")
    return Signer(found, session, _field(version, "org_id", org_id), _x509(version, x509))


_AS_IN: Final = f"as in arn:aws:iam::{ACCOUNT}:role/blue-api"


def _session(principal: Principal, session_name: str | None) -> str | None:
    """The session's name; None for a principal that has no sessions."""
    if principal.role is None:
        if session_name is not None:
            raise ValueError(f"session_name: {principal} is not a role, and has no sessions. Fix: leave it out")
        return None
    session = session_name or principal.session or SESSION
    if principal.session not in (None, session):
        raise ValueError(f"session_name {session!r} is not the session in {principal}. Fix: leave one of them out")
    if _SESSION.fullmatch(session) is None:
        raise ValueError(f"session_name {session!r} is not one: 1 to 64 of A-Z a-z 0-9 _ + = , . @ -")
    return session


def _x509(version: int, x509: X509 | Mapping[str, str] | None) -> X509 | None:
    if x509 is None:
        return None
    known = [field.name for field in fields(X509)]
    given = {name: getattr(x509, name) for name in known} if isinstance(x509, X509) else dict(x509)
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"x509: {', '.join(unknown)}: there are {', '.join(known)}")
    return X509(**{name: _field(version, f"x509: {name}", value) for name, value in given.items()})


def _field(version: int, name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not names.is_sendable(value):
        raise ValueError(f"{name}: {value!r} is not text without control characters")
    if version == 1 and ";" in value:
        raise ValueError(f"{name}: {value!r}: how V1 writes a ; in a field is not known. Fix: write version=2")
    return value


# ---- where in Lattice -----------------------------------------------------------------------------------------------


def _origin(options: EventOptions) -> wire.Origin:
    home = _home(options.get("service_arn"), options.get("region"))
    network, group = home.sibling("servicenetwork/sn"), home.sibling("targetgroup/tg")
    return wire.Origin(
        request_id=options.get("request_id", REQUEST_ID),
        epoch_microseconds=microseconds(options.get("time", TIME)),
        service_arn=home.arn,
        service_network_arn=_arn_or(options.get("service_network_arn"), network, "service_network_arn"),
        target_group_arn=_arn_or(options.get("target_group_arn"), group, "target_group_arn"),
        source_vpc_arn=_vpc(options.get("source_vpc", VPC), home),
    )


class _Home:
    """The service that the request came through. By default, network, target group and VPC are in its account."""

    def __init__(self, arn: str, partition: str, region: str, account: str) -> None:
        self.arn = arn
        self._region_and_account = f"{region}:{account}"
        self._partition = partition

    def sibling(self, resource: str) -> str:
        return f"arn:{self._partition}:vpc-lattice:{self._region_and_account}:{resource}-0a1b2c3d4e5f60718"

    def vpc(self, vpc: str) -> str:
        return f"arn:{self._partition}:ec2:{self._region_and_account}:vpc/{vpc}"


def _home(service_arn: str | None, region: str | None) -> _Home:
    if region is not None and re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", region) is None:
        raise ValueError(f"region {region!r} is not one, as in {REGION}")
    if service_arn is None:
        service_arn = _default_service(region or REGION)
    partition, _, place, account = _parts(service_arn, "service_arn")
    if region not in (None, place):
        raise ValueError(f"region {region!r} is not the one in service_arn. Fix: leave one of them out")
    return _Home(service_arn, partition, place, account)


def _default_service(region: str) -> str:
    partition = next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")
    return f"arn:{partition}:vpc-lattice:{region}:{ACCOUNT}:service/svc-0a1b2c3d4e5f60718"


_PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def _arn_or(arn: str | None, default: str, argument: str) -> str:
    if arn is None:
        return default
    _parts(arn, argument)
    return arn


def _vpc(source_vpc: str, home: _Home) -> str:
    if isinstance(source_vpc, str) and re.fullmatch("vpc-[a-z0-9]+", source_vpc):
        return home.vpc(source_vpc)
    _parts(source_vpc, "source_vpc")
    return source_vpc


def _parts(arn: str, argument: str) -> tuple[str, str, str, str]:
    found = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    service, kind = _RESOURCES[argument]
    if found is None or (found[2], found[5]) != (service, kind):
        raise ValueError(f"{argument} {arn!r} is not an ARN, as in arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}/…")
    return found[1], found[2], found[3], found[4]


_RESOURCES: Final = {
    "service_arn": ("vpc-lattice", "service"),
    "service_network_arn": ("vpc-lattice", "servicenetwork"),
    "target_group_arn": ("vpc-lattice", "targetgroup"),
    "source_vpc": ("ec2", "vpc"),
}


def microseconds(time: int | datetime, name: str = "time") -> int:
    """A time in microseconds since 1970. Raises ValueError, which calls it `name`, for a time without a zone."""
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError(f"{name} has no zone. Fix: write datetime(…, tzinfo=UTC)")
        return (time - _EPOCH) // timedelta(microseconds=1)
    if isinstance(time, bool) or not isinstance(time, int) or time < 0:
        raise ValueError(f"{name} {time!r} is not microseconds since 1970, nor a datetime")
    return time


# ---- API Gateway, function URLs, load balancers ---------------------------------------------------------------------

Front = Literal["http-api", "rest-api", "function-url", "alb"]
"""What can be in front of the bridge instead of Lattice."""

API: Final = "a1b2c3d4e5"
URL_ID: Final = "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
BALANCER_GROUP: Final = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/bridge/0123456789abcdef"

_FORMATS: Final[Mapping[Front, Format]] = {
    "http-api": "apigateway-v2",
    "rest-api": "apigateway-v1",
    "function-url": "apigateway-v2",
    "alb": "alb",
}


class Verified(TypedDict, total=False):
    """The arguments of `gateway_event` about what the front verified. Each may be left out.

    Attributes:
        principal: the ARN of the caller that signed, as in `lattice_event`.
        session_name, org_id: of the principal.
        authorizer: what a JWT, Cognito or Lambda authorizer returned: `{"claims": {…}}`, or values by name.
        client_cert: the subject of the client's certificate.
    """

    principal: str | None
    session_name: str | None
    org_id: str | None
    authorizer: Mapping[str, Any] | None
    client_cert: str | None


def gateway_event(
    front: Front = "http-api",
    method: str = "GET",
    path: str = "/",
    *,
    headers: Headers = (),
    body: bytes | str = b"",
    json: Any = ...,
    sent_by: str | None = None,
    **verified: Unpack[Verified],
) -> dict[str, Any]:
    """The event that a function behind API Gateway, a function URL or a load balancer receives.

    >>> event = gateway_event("rest-api", path="/orders", authorizer={"claims": {"custom:tenant_id": "blue"}})
    >>> event["requestContext"]["authorizer"]
    {'claims': {'custom:tenant_id': 'blue'}}

    Args:
        front: a REST API sends payload 1.0, an HTTP API and a function URL 2.0.
        method, path, headers, body, json: as for `lattice_event`.
        sent_by: the id of the API, or the ARN of the target group; by default `API` or `BALANCER_GROUP`.
        verified: see `Verified`: `principal="arn:…"`.

    Raises:
        ValueError: no client can send this, or the front verifies no such evidence; the message has the fix.
    """
    _check_verified(front, verified)
    pairs, content = _content(_pairs(headers), body, json)
    home = URL_ID if front == "function-url" else sent_by or API
    domain = f"{home}.{'lambda-url' if front == 'function-url' else 'execute-api'}.{REGION}.{_SUFFIXES[front]}"
    if not any(name == "host" for name, _ in pairs):
        pairs = [("host", HOST if front == "alb" else domain), *pairs]
    request = _gateway_request(front, _method(method), _target(path), pairs, content, verified)
    request = replace(request, api_id=home, target_group_arn=sent_by or BALANCER_GROUP)
    if front == "alb":
        return dict(module_of("alb").write(request))
    event: dict[str, Any] = module_of(_FORMATS[front]).write(request, {})
    event["requestContext"] |= {"accountId": ACCOUNT, "domainName": domain, "domainPrefix": home}
    _only_what_answered(front, event["requestContext"], verified.get("authorizer"))
    return event


_SUFFIXES: Final[Mapping[Front, str]] = {
    "http-api": "amazonaws.com",
    "rest-api": "amazonaws.com",
    "function-url": "on.aws",
    "alb": "amazonaws.com",
}


def _gateway_request(
    front: Front, method: str, path: str, pairs: list[tuple[str, str]], content: bytes, verified: Verified
) -> Request:
    target, _, raw_query = path.partition("?")
    answer = verified.get("authorizer")
    return Request(
        version=2 if _FORMATS[front] == "apigateway-v2" else 1,
        method=method,
        path=target,
        raw_query=raw_query,
        headers=(*pairs, ("x-forwarded-for", CLIENT_ADDRESS)),
        content=_text_or_base64(content),
        caller=_gateway_caller(verified),
        request_id=REQUEST_ID,
        time_epoch=TIME,
        authorizer=Authorizer.of(answer) if answer else None,
        client_cert=verified.get("client_cert"),
    )


def _check_verified(front: str, verified: Verified) -> None:
    if front not in _FORMATS:
        raise ValueError(f"front {front!r} is not one of {', '.join(_FORMATS)}")
    if unknown := sorted(set(verified) - set(Verified.__annotations__)):
        known = ", ".join(Verified.__annotations__)
        raise TypeError(f"gateway_event: no argument {unknown[0]!r}. Fix: write one of {known}")
    given = [name for name, value in verified.items() if value is not None]
    if front == "alb" and given:
        raise ValueError(f"{given[0]}: a load balancer verifies no caller. Fix: leave it out")
    if front == "function-url" and {"authorizer", "client_cert"} & set(given):
        raise ValueError("authorizer and client_cert: a function URL has IAM's authorizer only. Fix: write principal=…")
    if {"authorizer", "principal"} <= set(given):
        raise ValueError("authorizer and principal: a route has one authorizer. Fix: leave one of them out")


def _gateway_caller(verified: Verified) -> Caller:
    principal = verified.get("principal")
    if principal is None:
        return Caller()
    options: EventOptions = {
        "principal": principal,
        "session_name": verified.get("session_name"),
        "org_id": verified.get("org_id"),
    }
    signer = _signer(2, options)
    assert signer is not None  # there is a principal
    return Caller(True, signer.principal, signer.session, signer.org)


def _text_or_base64(content: bytes) -> str | Base64:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Base64(b64encode(content).decode())


def _only_what_answered(front: Front, context: dict[str, Any], answer: Mapping[str, Any] | None) -> None:
    """Leaves in `authorizer` what one authorizer writes: a payload of the bridge has the fields of several."""
    if front == "rest-api":
        context.pop("authorizer")
        if answer:
            values = {} if "claims" in answer else {"principalId": "user", "integrationLatency": 7}
            context["authorizer"] = {**values, **answer}
        return
    found = context.pop("authorizer")
    if answer:
        context["authorizer"] = {kind: found[kind] for kind in ("jwt" if "claims" in answer else "lambda",)}
    elif "iam" in found:
        context["authorizer"] = {"iam": found["iam"]}
