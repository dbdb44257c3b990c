"""Readers of each payload, written from the format's own documentation.

Rule: written from AWS's pages, and shares no code with the package. A reader is strict: another type than the page
has, a key that it does not have, or two fields that say different things of one request are an AssertionError.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import unquote, unquote_to_bytes

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Read:
    """A request as a backend reads it. None is what the format, or this event, does not say.

    Attributes:
        path: as sent, percent-encoded, without the query.
        query: decoded as a form is; in map formats in the map's order.
        raw_query: as sent. From an ALB's maps it is put together again, and `flag` becomes `flag=`.
        headers: names in lower case, without cookies where the format has them apart.
        cookies: `name=value`, one by one.
        milliseconds, time_text: since 1970, and as `10/Oct/2000:13:55:36 +0000`.
    """

    method: str
    path: str
    query: Pairs
    raw_query: str | None
    headers: Pairs
    cookies: tuple[str, ...]
    body: bytes
    source_ip: str | None = None
    request_id: str | None = None
    principal: str | None = None
    tenant: str | None = None
    milliseconds: int | None = None
    time_text: str | None = None

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


# ---- the formats ----------------------------------------------------------------------------------------------------


def read_http_2(event: Any, tenant_header: str = "x-tenant-id") -> Read:
    """API Gateway's HTTP API, payload format 2.0.

    Source: "Working with AWS Lambda proxy integrations for HTTP APIs" (now "Create AWS Lambda proxy integrations for
    HTTP APIs in API Gateway"); for `authorizer.iam` the page "Control access to HTTP APIs with IAM authorization".
    Duplicate headers and query strings are combined with commas, all header names are lower case, and cookies are in a
    field of their own. A key that has nothing to say is absent.
    """
    _keys(
        event,
        "version routeKey rawPath rawQueryString headers requestContext isBase64Encoded",
        "cookies queryStringParameters body pathParameters stageVariables",
    )
    assert event["version"] == "2.0"
    context = _keys(
        event["requestContext"],
        "accountId apiId domainName domainPrefix http requestId routeKey stage time timeEpoch",
        "authentication authorizer",
    )
    http = _keys(context["http"], "method path protocol sourceIp userAgent")
    for value in (*http.values(), *(context[key] for key in ("accountId", "apiId", "domainName", "domainPrefix"))):
        _text(value)
    assert _text(context["routeKey"]) == _text(event["routeKey"])
    path, stage = _text(event["rawPath"]), _text(context["stage"])
    assert http["path"] == path
    assert stage == "$default" or path.startswith(f"/{stage}/"), "a reader cuts the stage off without looking"

    raw_query = _text(event["rawQueryString"])
    query = pairs_of(raw_query)
    assert event.get("queryStringParameters", {}) == {name: ",".join(of) for name, of in grouped(query).items()}
    assert "queryStringParameters" not in event or event["queryStringParameters"]

    headers = _headers_of_text(event["headers"])
    assert "cookie" not in dict(headers), "they are in `cookies`"
    cookies = tuple(_texts(event.get("cookies", [])))
    assert "cookies" not in event or cookies
    assert all(cookie and ";" not in cookie and cookie == cookie.strip(" \t") for cookie in cookies)

    authorizer = _keys(context.get("authorizer", {}), "", "iam jwt lambda")
    own = _object(authorizer.get("lambda", {}))
    iam = _keys(
        authorizer.get("iam", {}),
        "",
        "accessKey accountId callerId cognitoIdentity principalOrgId userArn userId",
    )
    body = _body(event.get("body"), event["isBase64Encoded"])
    assert "body" not in event or event["body"] is not None
    return Read(
        method=http["method"],
        path=path,
        query=query,
        raw_query=raw_query,
        headers=headers,
        cookies=cookies,
        body=body,
        source_ip=http["sourceIp"],
        request_id=_text(context["requestId"]),
        principal=_agreed(own.get("principal"), iam.get("userArn")),
        tenant=_same(_single(headers, tenant_header), own.get("tenantId")),
        milliseconds=_whole(context["timeEpoch"]),
        time_text=_time(context["time"]),
    )


_NULL_OR_TEXT: Final = (
    "accessKey accountId apiKey apiKeyId caller cognitoAuthenticationProvider cognitoAuthenticationType "
    "cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn vpcId vpceId"
)


def read_rest_1(event: Any, tenant_header: str = "x-tenant-id") -> Read:
    """API Gateway's REST API, Lambda proxy integration.

    Source: "Set up Lambda proxy integrations in API Gateway", "Input format of a Lambda function for proxy
    integration". All twelve keys are always there, `version` never. The single maps have the last value of each list:
    the page's `"multivalueName": "me"` beside `["you", "me"]`. Names of headers are as sent. Query maps are decoded,
    and `+` is a space in them. The page does not say so; aws-cdk issue 19827 shows it.
    """
    _keys(
        event,
        "resource path httpMethod headers multiValueHeaders queryStringParameters multiValueQueryStringParameters "
        "pathParameters stageVariables requestContext body isBase64Encoded",
    )
    context = _keys(
        event["requestContext"],
        "accountId apiId httpMethod identity path protocol requestId requestTime requestTimeEpoch resourceId "
        "resourcePath stage",
        "authorizer deploymentId domainName domainPrefix extendedRequestId",
    )
    for key in set(context) - {"identity", "authorizer", "requestTimeEpoch"}:
        _text(context[key])
    method, path, resource = _text(event["httpMethod"]), _text(event["path"]), _text(event["resource"])
    assert (context["httpMethod"], context["resourcePath"]) == (method, resource)
    assert context["path"] in (path, f"/{context['stage']}{path}")
    named = event["pathParameters"]
    if resource == "/{proxy+}" and named is not None:
        assert unquote(_text(_keys(named, "proxy")["proxy"])) == unquote(path[1:])
    assert event["stageVariables"] is None or all(map(_text, _object(event["stageVariables"]).values()))

    query = _query_of_lists(event["multiValueQueryStringParameters"], "null")
    assert (event["queryStringParameters"] or {}) == dict(query), "the single map has the last value of each name"
    assert event["queryStringParameters"] != {}
    headers = _headers_of_lists(event["multiValueHeaders"])
    single = _headers_of_text(event["headers"], names_as_sent=True)
    assert dict(single) == dict(headers), "the single map has the last value of each name"

    identity = _keys(context["identity"], "sourceIp", f"userAgent clientCert {_NULL_OR_TEXT}")
    assert all(identity.get(key) is None or _text(identity[key]) for key in _NULL_OR_TEXT.split())
    assert identity.get("userAgent") is None or isinstance(identity["userAgent"], str)
    authorizer = _object(context.get("authorizer") or {})
    assert all(isinstance(value, str | int | float) for value in authorizer.values()), "no lists, objects or nulls"
    return Read(
        method=method,
        path=path,
        query=query,
        raw_query=None,
        headers=headers,
        cookies=_cookies(headers),
        body=_body(event["body"], event["isBase64Encoded"]),
        source_ip=_text(identity["sourceIp"]),
        request_id=context["requestId"],
        principal=_agreed(authorizer.get("principalId") or None, identity.get("userArn")),
        tenant=_same(_single(headers, tenant_header), authorizer.get("tenantId")),
        milliseconds=_whole(context["requestTimeEpoch"]),
        time_text=_time(context["requestTime"]),
    )


def read_alb(event: Any, tenant_header: str = "x-tenant-id") -> Read:
    """An Application Load Balancer, with multi-value headers enabled.

    Source: "Lambda functions as targets" ("Use Lambda functions as targets of an Application Load Balancer"),
    "Multi-value headers". Both maps have lists and `multiValue…` names, which replace the single ones. "If the query
    parameters are URL-encoded, the load balancer does not decode them." `x-forwarded-for`, `-port` and `-proto` are in
    every request. The body is a string, also when there is none. The event has no time, id or caller: the caller's
    identity is where Lattice's V1 has it, in `x-amzn-lattice-identity`.
    """
    _keys(
        event,
        "requestContext httpMethod path multiValueQueryStringParameters multiValueHeaders body isBase64Encoded",
    )
    elb = _keys(_keys(event["requestContext"], "elb")["elb"], "targetGroupArn")
    assert re.match(r"arn:|$", _text(elb["targetGroupArn"])), "empty: a V1 event does not say it"
    encoded = _query_of_lists(event["multiValueQueryStringParameters"], "empty")
    raw_query = "&".join(f"{name}={value}" for name, value in encoded)
    assert pairs_of(raw_query, plus_is_blank=None) == encoded, "& or = in a map that is still encoded"
    headers = _headers_of_lists(event["multiValueHeaders"])
    assert all(name == name.lower() for name, _ in headers)
    assert {"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"} <= set(dict(headers))
    assert isinstance(event["body"], str)
    return Read(
        method=_text(event["httpMethod"]),
        path=_text(event["path"]),
        query=pairs_of(raw_query),
        raw_query=raw_query,
        headers=headers,
        cookies=_cookies(headers),
        body=_body(event["body"], event["isBase64Encoded"]),
        principal=_principal_of_header(headers),
        tenant=_single(headers, tenant_header),
    )


def read_lattice_1(event: Any, tenant_header: str = "x-tenant-id") -> Read:
    """VPC Lattice, event structure V1.

    Source: "Lambda functions as targets in VPC Lattice", "Receive events from the VPC Lattice service"; for the
    identity in headers "HTTP targets in VPC Lattice", "Caller identity headers". Six keys, maps of strings.
    docs/wire.md: `request_id` and the query in the path were captured, and the page shows neither; which value of a
    repeated name the map has is uncertain.
    """
    _keys(event, "raw_path method headers query_string_parameters body is_base64_encoded", "request_id")
    path, query, raw_query = _target(event["raw_path"])
    found = _object(event["query_string_parameters"])
    values = grouped(pairs_of(raw_query, plus_is_blank=False))
    assert set(found) == set(values)
    assert all(_optional(value) in values[name] for name, value in found.items())
    headers = _headers_of_text(event["headers"])
    assert isinstance(event["body"], str)
    return Read(
        method=_text(event["method"]),
        path=path,
        query=query,
        raw_query=raw_query,
        headers=headers,
        cookies=_cookies(headers),
        body=_body(event["body"], event["is_base64_encoded"]),
        request_id=_optional(event.get("request_id")),
        principal=_principal_of_header(headers),
        tenant=_single(headers, tenant_header),
    )


_IDENTITY_2: Final = (
    "sourceVpcArn type principal principalOrgID sessionName "
    "x509IssuerOu x509SanDns x509SanNameCn x509SanUri x509SubjectCn"
)


def read_lattice_2(event: Any, tenant_header: str = "x-tenant-id") -> Read:
    """VPC Lattice, event structure V2.

    Source: "Lambda functions as targets in VPC Lattice", "Receive events from the VPC Lattice service": maps of lists,
    and `timeEpoch` a string of microseconds. docs/wire.md: `requestId` and the query in the path were captured; the
    query map, the body and the flag are absent when there is nothing to say.
    """
    _keys(
        event,
        "version path method headers requestContext",
        "queryStringParameters body isBase64Encoded requestId",
    )
    assert event["version"] == "2.0"
    path, query, raw_query = _target(event["path"])
    values = grouped(pairs_of(raw_query, plus_is_blank=False))
    assert event.get("queryStringParameters", {}) == {name: list(of) for name, of in values.items()}
    headers = _headers_of_lists(event["headers"])
    assert all(name == name.lower() for name, _ in headers)
    context = _keys(event["requestContext"], "identity timeEpoch", "serviceNetworkArn serviceArn targetGroupArn region")
    assert all(isinstance(value, str) for key, value in context.items() if key != "identity")
    assert re.fullmatch(r"[0-9]{16}", context["timeEpoch"])
    identity = _keys(context["identity"], "", _IDENTITY_2)
    assert all(map(_text, identity.values()))
    assert identity.get("type", "NONE") in ("NONE", "AWS_IAM")
    signed = identity.get("type") == "AWS_IAM"
    assert ("principal" in identity) == signed
    return Read(
        method=_text(event["method"]),
        path=path,
        query=query,
        raw_query=raw_query,
        headers=headers,
        cookies=_cookies(headers),
        body=_body(event.get("body"), event.get("isBase64Encoded", False)),
        request_id=_optional(event.get("requestId")),
        principal=identity.get("principal"),
        tenant=_single(headers, tenant_header),
        milliseconds=int(context["timeEpoch"]) // 1000,
    )


Reader = Callable[[Any, str], Read]
READERS: Final[Mapping[str, Reader]] = {
    "lattice-v1": read_lattice_1,
    "lattice-v2": read_lattice_2,
    "apigateway-v2": read_http_2,
    "apigateway-v1": read_rest_1,
    "alb": read_alb,
}


# ---- the bytes ------------------------------------------------------------------------------------------------------


def load(payload: bytes) -> Any:
    """The JSON, as strictly as any parser reads it: one key twice is an error, since parsers differ in which counts."""
    return json.loads(payload.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a key twice in {[name for name, _ in pairs]}"
    return found


def _refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


# ---- queries and cookies --------------------------------------------------------------------------------------------


def pairs_of(raw_query: str, plus_is_blank: bool | None = True) -> Pairs:
    """Name and value of each part that is not empty. `plus_is_blank` None: still encoded."""
    parts = [part.partition("=") for part in raw_query.split("&") if part]
    if plus_is_blank is None:
        return tuple((name, value) for name, _, value in parts)
    return tuple((_decoded(name, plus_is_blank), _decoded(value, plus_is_blank)) for name, _, value in parts)


def _decoded(text: str, plus_is_blank: bool) -> str:
    """Text that is not an escape is kept, and so is the whole of a text that is not UTF-8."""
    try:
        return unquote_to_bytes(text.replace("+", " ") if plus_is_blank else text).decode("utf-8")
    except UnicodeDecodeError:
        return text


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each name, in order: all that a map of lists can say."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def split_cookies(lines: Iterable[str]) -> tuple[str, ...]:
    """RFC 6265 §5.4 read backwards: the cookies of some `cookie` headers, one by one."""
    return tuple(found for line in lines for part in line.split(";") if (found := part.strip(" \t")))


def _cookies(headers: Pairs) -> tuple[str, ...]:
    return split_cookies(value for name, value in headers if name == "cookie")


# ---- parts of events ------------------------------------------------------------------------------------------------


def _keys(value: Any, required: str, optional: str = "") -> dict[str, Any]:
    found, needed = _object(value), set(required.split())
    assert not (missing := needed - set(found)), f"without {missing}"
    assert not (foreign := set(found) - needed - set(optional.split())), f"the format has no {foreign}"
    return found


def _object(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict), f"{value!r} is not an object"
    return value


def _text(value: Any) -> str:
    assert isinstance(value, str), f"{value!r} is not a string"
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _texts(value: Any) -> list[str]:
    assert isinstance(value, list), f"{value!r} is not a list"
    return [_text(item) for item in value]


def _whole(value: Any) -> int:
    assert type(value) is int, f"{value!r} is not a whole number"
    assert 10**12 <= value < 10**13, "milliseconds have thirteen digits"
    return value


def _time(value: Any) -> str:
    assert re.fullmatch(r"[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} \+0000", _text(value))
    return _text(value)


def _target(value: Any) -> tuple[str, Pairs, str]:
    path, _, raw_query = _text(value).partition("?")
    return path, pairs_of(raw_query), raw_query


def _headers_of_text(value: Any, names_as_sent: bool = False) -> Pairs:
    found = tuple((name.lower() if names_as_sent else name, _text(text)) for name, text in _object(value).items())
    assert all(name == name.lower() for name, _ in found)
    assert len(dict(found)) == len(found)
    return found


def _headers_of_lists(value: Any) -> Pairs:
    lists = {name.lower(): _texts(texts) for name, texts in _object(value).items()}
    assert len(lists) == len(value), "one name in two spellings"
    assert all(lists.values()), "an empty list"
    return tuple((name, text) for name, texts in lists.items() for text in texts)


def _query_of_lists(value: Any, when_none: str) -> Pairs:
    if when_none == "null":
        assert value != {}
        value = {} if value is None else value
    lists = {name: _texts(texts) for name, texts in _object(value).items()}
    assert all(lists.values()), "an empty list"
    return tuple((name, text) for name, texts in lists.items() for text in texts)


def _body(value: Any, is_base64: Any) -> bytes:
    assert isinstance(is_base64, bool)
    text = "" if value is None else _text(value)
    assert text or not is_base64
    return base64.b64decode(text, validate=True) if is_base64 else text.encode("utf-8", "surrogatepass")


def _single(headers: Pairs, name: str) -> str | None:
    values = [value for key, value in headers if key == name]
    assert len(values) <= 1
    return values[0] if values else None


def _same(value: str | None, other: Any) -> str | None:
    assert value == other, "the authorizer's and the header's tenant"
    return value


def _agreed(*values: Any) -> str | None:
    found = {_text(value) for value in values if value is not None}
    assert len(found) <= 1
    return found.pop() if found else None


def _principal_of_header(headers: Pairs) -> str | None:
    """`Principal` of `x-amzn-lattice-identity`. A reader may take a field's first or last, and end one at `;` or `,`:
    for none of them may there be two."""
    text = _single(headers, "x-amzn-lattice-identity")
    if text is None:
        return None
    for end in (";", "[;,]"):
        names = [part.partition("=")[0].strip().lower() for part in re.split(end, text)]
        for key in ("principal", "type", "sessionname", "principalorgid", "sourcevpcarn"):
            assert names.count(key) <= 1, f"{key} twice"
    fields = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    assert fields["Type"] == "AWS_IAM"
    return fields["Principal"]
