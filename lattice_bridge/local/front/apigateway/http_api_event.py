"""The events that an HTTP API makes of a request: for a function, in both payload formats, and for an authorizer.

Rule: `requestContext` is made of the template and of what an authorizer verified. A client chooses nothing of it. The
fields of events are in `formats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from lattice_bridge.formats import apigateway_v1 as v1
from lattice_bridge.formats import apigateway_v2 as v2
from lattice_bridge.formats import gateway
from lattice_bridge.local.front.apigateway.lambda_authorizer import Question
from lattice_bridge.local.front.apigateway.parameter_mapping import Values, mapped_request
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Pairs, connection_options, content_of
from lattice_bridge.local.front.exchange.recorder import is_secret, without_credentials
from lattice_bridge.local.plan.http_api import DEFAULT_ROUTE, DEFAULT_STAGE, HttpApi, HttpRoute, Integration, Stage
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.parameters import with_variables
from lattice_bridge.message import Request

_WITHIN_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}
)


@dataclass(frozen=True, slots=True)
class Located:
    """The API, the stage and the path at which a request arrived.

    Attributes:
        api: the API that serves it.
        stage: of the API.
        path: without the stage and a custom domain's key, as sent.
        domain: the host name that the event contains.
        key: the custom domain's key; empty for the API's own domain.
    """

    api: HttpApi
    stage: Stage
    path: str
    domain: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What an authorizer verified: `requestContext.authorizer`, in both payload formats.

    Attributes:
        v1: with payload format 1.0.
        v2: with payload format 2.0.
        identity: fields of `requestContext.identity`, with payload format 1.0.
    """

    v1: Mapping[str, Any] = field(default_factory=lambda: {"claims": None, "scopes": None})
    v2: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that `requestContext` is made of.

    Attributes:
        located: the API and its stage.
        entry: the route.
        parameters: of the path, decoded.
        request_id, trace_id: of the request.
        epoch: microseconds since 1970.
        verified: what the authorizer verified.
    """

    located: Located
    entry: HttpRoute
    parameters: Mapping[str, str]
    request_id: str
    trace_id: str
    epoch: int
    verified: Verified = field(default_factory=Verified)


# ---- events ---------------------------------------------------------------------------------------------------------


def recorded(request: HttpRequest, context: Context, integration: Integration) -> dict[str, Any]:
    """The event for a function, without credentials of the request and of what a Lambda authorizer returned."""
    of_v1, of_v2 = context.verified.v1, dict(context.verified.v2)
    if "lambda" in of_v2:
        of_v2["lambda"] = _public(of_v2["lambda"])
    verified = replace(context.verified, v1=_public(of_v1), v2=of_v2)
    return event(without_credentials(request), replace(context, verified=verified), integration)


def _public(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not is_secret(name, value)}


def event(request: HttpRequest, context: Context, integration: Integration) -> dict[str, Any]:
    """The event for a function."""
    received = _received(request, context)
    if integration.request:
        received = mapped_request(received, integration.request, values(request, context))
    write = _event_v1 if integration.version == "1.0" else _event_v2
    return write(received, request, context)


def _received(request: HttpRequest, context: Context) -> Request:
    """The request as events contain it: with the name of the stage in the path, and the headers that AWS adds."""
    located = context.located
    stage = "" if located.stage.name == DEFAULT_STAGE else f"/{located.stage.name}"
    # API Gateway decodes the path, and ends it at a decoded `?` (captures in middleapi/standard-server#93).
    return Request(
        version=2,
        method=request.method,
        path=stage + decoded(located.path).partition("?")[0],
        raw_query=request.target.partition("?")[2],
        headers=tuple(received_headers(request, context.trace_id)),
        content=content_of(request),
        request_id=context.request_id,
        time_epoch=context.epoch,
    )


def _event_v2(received: Request, request: HttpRequest, context: Context) -> dict[str, Any]:
    located = context.located
    return v2.write_received(
        received,
        v2.Gateway(
            account=located.api.account,
            api_id=located.api.id,
            domain=located.domain,
            source_ip=request.client_address,
            authorizer=context.verified.v2,
            route=context.entry.key,
            stage=located.stage.name,
            path_parameters=context.parameters,
            stage_variables=located.stage.variables,
        ),
    )


def _event_v1(received: Request, request: HttpRequest, context: Context) -> dict[str, Any]:
    """Payload format 1.0 of an HTTP API: a REST API's, with `version`.

    Its path contains the key of a custom domain in place of the stage's name.
    """
    located, entry = context.located, context.entry
    path = f"/{located.key}{decoded(located.path)}" if located.key else received.path
    origin = v1.Origin(
        resource=DEFAULT_ROUTE if entry.path == DEFAULT_ROUTE else entry.path,
        resource_id=entry.key,
        path_parameters=context.parameters,
        account=located.api.account,
        api_id=located.api.id,
        domain_name=located.domain,
        extended_request_id=context.request_id,
        context_path=path,
        identity={"cognitoAmr": None, "sourceIp": request.client_address, **context.verified.identity},
        stage=located.stage.name,
        stage_variables=located.stage.variables,
    )
    return {"version": "1.0", **v1.write(replace(received, path=path), context.verified.v1, origin)}


def question(request: HttpRequest, access: LambdaAuthorizer, context: Context) -> Question:
    located, found = context.located, values(request, context)
    identity = tuple(found.read(source.written.removeprefix("$")) for source in access.sources)
    stage = located.stage.name
    api = f"arn:aws:execute-api:{located.api.region}:{located.api.account}:{located.api.id}"
    arn = f"{api}/{stage}/{request.method}{decoded(located.path)}"
    given = [value or "" for value in identity]
    event: dict[str, Any]
    if access.payload == "2.0":
        event = _event_v2(_received(request, context), request, context)
        own = {"version": "2.0", "type": "REQUEST", "routeArn": arn, "identitySource": given or None}
    else:
        event = _event_v1(_received(request, context), request, context)
        del event[v1.CONTEXT]["authorizer"], event[v1.MULTI_HEADERS], event[v1.MULTI_QUERY]
        joined = ",".join(given)
        own = {"version": "1.0", "type": "REQUEST", "methodArn": arn, "identitySource": joined}
        own["authorizationToken"] = joined
    event = {name: value for name, value in event.items() if name not in (v2.BODY, v2.IS_BASE64)}
    keys = {
        "aws:sourceip": (request.client_address,),
        "aws:useragent": tuple(value for name, value in request.headers if name == "user-agent"),
        "aws:requestedregion": (located.api.region,),
        "aws:securetransport": ("true",),
    }
    function = with_variables(access.function, located.stage.variables)
    return Question(f"{located.api.id}/{stage}", function, identity, {**own, **event, **own}, arn, keys)


def received_headers(request: HttpRequest, trace_id: str) -> Pairs:
    """The headers of an event: the client's, without those of the connection, and those that AWS adds.

    Scheme and port are those of this stack and not `https` and 443, so that links lead here, as with a REST API.
    """
    dropped = _WITHIN_CONNECTION | (connection_options(request.headers) - {"host"})
    added = ("x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "content-length")
    kept = [pair for pair in request.headers if pair[0] not in dropped and pair[0] not in added]
    addresses = [value for name, value in request.headers if name == "x-forwarded-for"]
    host = next((value for name, value in request.headers if name == "host"), "")
    return [
        *kept,
        ("content-length", str(len(request.body))),
        ("x-amzn-trace-id", trace_id.partition(";")[0]),
        ("x-forwarded-for", ", ".join([*addresses, request.client_address])),
        ("x-forwarded-port", host.rpartition(":")[2] if ":" in host else "80"),
        ("x-forwarded-proto", "http"),
    ]


def values(request: HttpRequest, context: Context) -> Values:
    """What parameter mappings read."""
    located = context.located
    variables = {
        v1.REQUEST_ID: context.request_id,
        "extendedRequestId": context.request_id,
        "apiId": located.api.id,
        "accountId": located.api.account,
        "stage": located.stage.name,
        "domainName": located.domain,
        "domainPrefix": located.domain.partition(".")[0],
        v1.METHOD: request.method,
        "path": located.path,
        "protocol": gateway.PROTOCOL,
        "routeKey": context.entry.key,
        "requestTime": gateway.log_time(context.epoch),
        "requestTimeEpoch": str(context.epoch // 1_000_000),
        "identity.sourceIp": request.client_address,
        "identity.userAgent": ", ".join(value for name, value in request.headers if name == "user-agent"),
        **{f"authorizer.{name}": value for name, value in _authorizer_values(context.verified.v2)},
    }
    return Values(request, decoded(located.path), context.parameters, variables, located.stage.variables)


def _authorizer_values(authorizer: Mapping[str, Any]) -> list[tuple[str, str]]:
    claims = (authorizer.get("jwt") or {}).get("claims") or {}
    context = {name: value for name, value in (authorizer.get("lambda") or {}).items() if isinstance(value, str)}
    return [*((f"claims.{name}", value) for name, value in claims.items()), *context.items()]


def decoded(text: str) -> str:
    """A part of a path, percent-decoded."""
    return unquote(text, errors="replace")
