"""HTTP APIs of API Gateway as a way in: stage, route, authorizer, integration, response.

Rule: as the API Gateway developer guide describes HTTP APIs, and captured events where they show more; each guess is a
name in `formats.assumptions`. A client chooses nothing of `requestContext`: it is made of the template and of what an
authorizer verified.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from lattice_bridge.formats import apigateway_v1 as v1
from lattice_bridge.formats import apigateway_v2 as v2
from lattice_bridge.formats import gateway
from lattice_bridge.formats.assumptions import HTTP_API_THROTTLED, HTTP_API_TIMED_OUT, HTTP_API_TOO_LARGE_FOR_LAMBDA
from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.http.query import parse_form_query
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.lambda_service import new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front import cors
from lattice_bridge.local.front.caller import iam_fields, iam_identity, signed_caller
from lattice_bridge.local.front.exchange import Answer, Exchange
from lattice_bridge.local.front.http_message import HttpRequest, HttpResponse, Pairs, connection_options, to_json
from lattice_bridge.local.front.jwt_authorizer import TokenRefused, scopes_of, token_of, verified_claims, written
from lattice_bridge.local.front.lambda_authorizer import (
    AccessDenied,
    AuthorizerFailed,
    Question,
    Unauthorized,
    authorize,
)
from lattice_bridge.local.front.lattice import content_of
from lattice_bridge.local.front.parameter_mapping import Values, mapped_request, mapped_response
from lattice_bridge.local.front.proxy_reply import NotAReply, http_response
from lattice_bridge.local.front.recorder import without_credentials
from lattice_bridge.local.plan.http_api import (
    DEFAULT_ROUTE,
    DEFAULT_STAGE,
    DomainPath,
    HttpApi,
    HttpDomain,
    HttpRoute,
    Integration,
    JwtAuthorizer,
    Stage,
)
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.parameters import with_variables
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.local.web.sigv4 import SignatureRefused
from lattice_bridge.message import Request

BODY_LIMIT: Final = 10 * 1024 * 1024
HEAD_LIMIT: Final = 10_240
"""Bytes of the request line and the values of the headers together."""

TEXT: Final = "text/plain;charset=UTF-8"
"""The content type of a reply without one."""

_NAMED: Final = 6
"""Routes that a refusal names."""
_WITHIN_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}
)


class JsonRefused(Refused):
    """A request that API Gateway or Lambda answers by itself, with a message in JSON.

    Args:
        status: of the response.
        message: for the client.
        cause: for the stack's log.
        reason: a short code for the stack's log.
        headers: further ones of the response.
        key: of the message; empty for the message alone, as Lambda answers if a function behind a URL failed.
    """

    def __init__(
        self, status: int, message: str, cause: str, *, reason: str, headers: Pairs = (), key: str = "message"
    ) -> None:
        super().__init__(status, message, cause, reason=reason)
        self._headers = tuple(headers)
        self._key = key

    @property
    def body(self) -> bytes:
        """The message, as AWS writes it."""
        return (json.dumps({self._key: str(self)}, separators=(",", ":")) if self._key else str(self)).encode()

    @property
    def headers(self) -> Pairs:
        """The headers of the response."""
        return [("content-type", "application/json"), *self._headers]

    def answered(self, headers: Pairs) -> JsonRefused:
        """The same refusal with further headers."""
        added = (*self._headers, *headers)
        return JsonRefused(self.status, str(self), self.cause, reason=self.reason, headers=added, key=self._key)


def refused(refusal: Refused) -> Refused:
    """A refusal of the front itself, as API Gateway words it."""
    if isinstance(refusal, JsonRefused):
        return refusal
    message = "Request Entity Too Large" if refusal.status == 413 else HTTPStatus(refusal.status).phrase
    return JsonRefused(refusal.status, message, refusal.cause, reason=refusal.reason)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a request arrived.

    Attributes:
        api: that serves it.
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


async def serve_domain(request: HttpRequest, domain: HttpDomain, exchange: Exchange) -> Answer:
    """Answers a request to a custom domain that several APIs share: the longest key decides.

    Raises:
        Refused: the request, or the answer of the function.
    """
    path = request.target.partition("?")[0]
    found = [
        (entry, api)
        for api in domain.apis
        for entry in api.paths
        if entry.domain == domain.name and _after(entry.key, path) is not None
    ]
    if not found:
        raise _not_found(f"no path of the custom domain {domain.name} matches {quoted(path)}", "no_stage")
    _, api = max(found, key=lambda one: len(one[0].key))
    return await serve(request, api, exchange)


async def serve(request: HttpRequest, api: HttpApi, exchange: Exchange) -> Answer:
    """Answers a request as an HTTP API does.

    Raises:
        Refused: the request, or the answer of the function.
    """
    identified = [("apigw-requestid", exchange.id)]
    try:
        _check_size(request)
        answer = await _answer(request, api, exchange)
    except JsonRefused as refusal:
        headers = cors.with_cors(api.cors, request, HttpResponse(refusal.status)).headers
        raise refusal.answered([*headers, *identified]) from refusal.__cause__
    response = answer.response
    return replace(answer, response=replace(response, headers=[*response.headers, *identified]))


async def _answer(request: HttpRequest, api: HttpApi, exchange: Exchange) -> Answer:
    located = _located(request, api)
    preflight = api.cors is not None and cors.is_preflight(request)
    found = _route(request, located)
    if found is None and not preflight:
        raise _no_route(request, located)
    # A route that matches a preflight, such as ANY or $default, authorizes it too: http-api-cors.html.
    context = None if found is None else await _authorized(_context(located, found, exchange), request, exchange)
    if api.cors is not None and preflight:
        headers = cors.preflight_headers(api.cors, request)
        return Answer(HttpResponse(204, headers), f"the CORS configuration of the HTTP API {api.name} answers it")
    assert context is not None  # a request that is no preflight has a route
    response = await _integrated(request, context, exchange)
    return Answer(cors.with_cors(api.cors, request, response))


def _check_size(request: HttpRequest) -> None:
    line = f"{request.method} {request.target} HTTP/1.1"
    size = len(line) + sum(len(value.encode("utf-8", "replace")) for _, value in request.headers)
    if size > HEAD_LIMIT:
        cause = f"request line and header values have {size} bytes; an HTTP API takes {HEAD_LIMIT}. Fix: send less"
        raise JsonRefused(431, "Request Header Fields Too Large", cause, reason="head_too_large")


# ---- stage and route ------------------------------------------------------------------------------------------------


def _located(request: HttpRequest, api: HttpApi) -> Located:
    path = request.target.partition("?")[0]
    host = _host(request)
    own = [entry for entry in api.paths if entry.domain == host]
    if own:
        return _on_domain(path, api, own)
    if api.closed:
        raise JsonRefused(
            403,
            "Forbidden",
            f"the HTTP API {api.name} has DisableExecuteApiEndpoint. Fix: send the Host of a custom domain",
            reason="endpoint_disabled",
        )
    stages = {stage.name: stage for stage in api.stages}
    first = path.removeprefix("/").partition("/")[0]
    stage = stages.get(first) if first != DEFAULT_STAGE else None
    rest = path
    if stage is not None:
        rest = path.removeprefix(f"/{first}") or "/"
    elif DEFAULT_STAGE in stages:
        stage = stages[DEFAULT_STAGE]
    if stage is None:
        listed = ", ".join(stages) or "none"
        fix = f"send /{api.stages[0].name}{path}" if api.stages else "add an AWS::ApiGatewayV2::Stage"
        raise _not_found(
            f"{quoted(path)} begins with no stage of the HTTP API {api.name}; its stages: {listed}. Fix: {fix}",
            "no_stage",
        )
    return _deployed(Located(api, stage, rest, api.domain))


def _on_domain(path: str, api: HttpApi, entries: list[DomainPath]) -> Located:
    for entry in entries:  # the longest key first
        rest = _after(entry.key, path)
        stage = next((stage for stage in api.stages if stage.name == entry.stage), None)
        if rest is not None and stage is not None:
            return _deployed(Located(api, stage, rest, entry.domain, entry.key))
    listed = ", ".join(f"/{entry.key}" for entry in entries)
    raise _not_found(f"no path of the custom domain {entries[0].domain} matches; it has {listed}", "no_stage")


def _after(key: str, path: str) -> str | None:
    """The path after a custom domain's key; None if it does not begin with it."""
    if not key:
        return path
    rest = path.removeprefix(f"/{key}")
    return (rest or "/") if rest != path and rest[:1] in ("", "/") else None


def _deployed(located: Located) -> Located:
    if not located.stage.deployed:
        raise _not_found(
            f"the stage {located.stage.name} of the HTTP API {located.api.name} has no deployment. "
            "Fix: write AutoDeploy: true, or a DeploymentId",
            "no_stage",
        )
    return located


def _route(request: HttpRequest, located: Located) -> tuple[HttpRoute, Mapping[str, str]] | None:
    """The route of a request with the path parameters, which API Gateway decodes. None if there is none."""
    for entry in located.api.entries:
        found = entry.match(request.method, located.path)
        if found is not None:
            return entry, {name: _decoded(value) for name, value in found.items()}
    return None


def _no_route(request: HttpRequest, located: Located) -> JsonRefused:
    keys = [entry.key for entry in located.api.entries]
    near = [entry.key for entry in located.api.entries if entry.match(entry.method, located.path) is not None] or keys
    more = f" and {len(near) - _NAMED} more" if len(near) > _NAMED else ""
    return _not_found(
        f"no route of the HTTP API {located.api.name} matches {request.method} {quoted(located.path)}; it has "
        f"{', '.join(near[:_NAMED]) or 'none'}{more}. Fix: send one of them, or add the route",
        "no_route",
    )


def _not_found(cause: str, reason: str) -> JsonRefused:
    return JsonRefused(404, "Not Found", cause, reason=reason)


def _host(request: HttpRequest) -> str:
    return next((value for name, value in request.headers if name == "host"), "").partition(":")[0].lower()


def _decoded(text: str) -> str:
    return unquote(text, errors="replace")


# ---- authorizers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Context:
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


def _context(located: Located, found: tuple[HttpRoute, Mapping[str, str]], exchange: Exchange) -> _Context:
    entry, parameters = found
    return _Context(located, entry, parameters, exchange.id, new_trace_id(), time.time_ns() // 1000)


async def _authorized(context: _Context, request: HttpRequest, exchange: Exchange) -> _Context:
    """The context with what the route's authorizer verified."""
    access = context.entry.access
    if isinstance(access, JwtAuthorizer):
        return replace(context, verified=await _by_token(request, access, context.entry, exchange))
    if isinstance(access, LambdaAuthorizer):
        return replace(context, verified=await _by_function(request, access, context, exchange))
    if access == "AWS_IAM":
        return replace(context, verified=_by_signature(request, context, exchange))
    return context


async def _by_token(request: HttpRequest, access: JwtAuthorizer, entry: HttpRoute, exchange: Exchange) -> Verified:
    kind, name = access.source
    pairs = request.headers if kind == "header" else parse_form_query(request.target.partition("?")[2])
    try:
        token = token_of([value for found, value in pairs if found == name])
        claims = await verified_claims(token, access, exchange.tokens, exchange.project, exchange.now.timestamp())
    except TokenRefused as error:
        challenge = "Bearer"
        if error.description is not None:
            challenge += f' scope="" error="invalid_token" error_description="{error.description}"'
        command = f"lattice-bridge token --template --issuer {access.name}"
        cause = f"the authorizer {access.name} refuses the token: {error}. Fix: send one as `{command}` makes it"
        if error.description is None:
            cause = f"the authorizer {access.name} requires a token in the {kind} {name}: {error}. Fix: `{command}`"
        headers = [("www-authenticate", challenge)]
        raise JsonRefused(401, "Unauthorized", cause, reason="token_invalid", headers=headers) from error
    granted = scopes_of(claims)
    if entry.scopes and not set(entry.scopes) & set(granted):
        listed = " ".join(entry.scopes)
        raise JsonRefused(
            403,
            "Forbidden",
            f"the token has none of the scopes of the route {entry.key}: {listed}. Fix: add one to its claim scope",
            reason="scope_missing",
            headers=[("www-authenticate", f'Bearer scope="{listed}" error="insufficient_scope"')],
        )
    as_text = {name: written(value) for name, value in claims.items()}
    scopes = [scope for scope in entry.scopes if scope in granted] or None
    return Verified({"claims": as_text, "scopes": scopes}, {"jwt": {"claims": as_text, "scopes": scopes}})


def _by_signature(request: HttpRequest, context: _Context, exchange: Exchange) -> Verified:
    where = f"the route {context.entry.key} of the HTTP API {context.located.api.name}"
    try:
        found = signed_caller(request, exchange, "execute-api")
    except SignatureRefused as error:
        cause = f"{where} does not accept the signature: {error}"
        raise JsonRefused(403, "Forbidden", cause, reason="signature_refused") from error
    if found is None:
        fix = f"sign it, as with curl --aws-sigv4 aws:amz:{exchange.region}:execute-api"
        cause = f"{where} has AuthorizationType AWS_IAM, and the request is not signed. Fix: {fix}"
        raise JsonRefused(403, "Forbidden", cause, reason="signature_refused")
    return Verified(v2={"iam": iam_fields(found)}, identity=iam_identity(found))


async def _by_function(
    request: HttpRequest, access: LambdaAuthorizer, context: _Context, exchange: Exchange
) -> Verified:
    question = _question(request, access, context)
    try:
        result = await authorize(access, question, exchange)
    except Unauthorized as error:
        raise JsonRefused(401, "Unauthorized", str(error), reason="authorizer_refused") from error
    except AccessDenied as error:
        raise JsonRefused(403, "Forbidden", str(error), reason="authorizer_refused") from error
    except AuthorizerFailed as error:
        raise JsonRefused(500, "Internal Server Error", str(error), reason="authorizer_failed") from error
    principal = {"principalId": result.principal} if result.principal else {}
    return Verified({**result.context, **principal}, {"lambda": dict(result.context)})


def _question(request: HttpRequest, access: LambdaAuthorizer, context: _Context) -> Question:
    located, values = context.located, _values(request, context)
    identity = tuple(values.read(source.written.removeprefix("$")) for source in access.sources)
    stage = located.stage.name
    api = f"arn:aws:execute-api:{located.api.region}:{located.api.account}:{located.api.id}"
    arn = f"{api}/{stage}/{request.method}{_decoded(located.path)}"
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


# ---- integration ----------------------------------------------------------------------------------------------------


async def _integrated(request: HttpRequest, context: _Context, exchange: Exchange) -> HttpResponse:
    integration = context.entry.integration
    if isinstance(integration, str):
        where = f"the route {context.entry.key} of the HTTP API {context.located.api.name}"
        cause = f"{where}: {integration}. Fix: send requests to another route"
        raise JsonRefused(501, "Not Implemented", cause, reason="not_served")
    function = with_variables(integration.function, context.located.stage.variables)
    payload = to_json(_event(request, context, integration))
    if len(payload) > SYNC_LIMIT:
        cause = f"the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}. Fix: send less"
        raise JsonRefused(HTTP_API_TOO_LARGE_FOR_LAMBDA, "Request Entity Too Large", cause, reason="request_too_large")
    result = await _invoked(exchange, function, payload, context, integration.timeout)
    if exchange.recorder is not None:
        await exchange.record(_event(without_credentials(request), context, integration), request, result)
    response = _response(result, function, integration)
    changes = integration.response.get(str(response.status), ())
    return mapped_response(response, changes, _values(request, context)) if changes else response


async def _invoked(
    exchange: Exchange, function: str, payload: bytes, context: _Context, seconds: float
) -> InvocationResult:
    """The result, or a refusal after the integration's timeout. The function runs on, as on AWS."""
    running = asyncio.ensure_future(exchange.invoke(function, payload, trace_id=context.trace_id))
    try:
        done, _ = await asyncio.wait({running}, timeout=seconds)
    except asyncio.CancelledError:
        running.cancel()
        raise
    if not done:
        running.add_done_callback(lambda task: task.cancelled() or task.exception())  # asyncio would log a later one
        fix = "make it faster, or raise TimeoutInMillis, to 30 s at most"
        cause = f"{function} did not answer within {seconds:g} s. Fix: {fix}"
        raise JsonRefused(HTTP_API_TIMED_OUT, "Service Unavailable", cause, reason="integration_timeout")
    try:
        return running.result()
    except LambdaError as error:
        cause = f"Lambda refused to invoke {function}: {error.code}: {error}"
        if str(error) == MISSING:
            cause = (
                f"{function} has tenant isolation, and an HTTP API cannot send a tenant id. Fix: integrate a bridge "
                "in its place, or use a REST API that maps X-Amz-Tenant-Id"
            )
        if error.status == 429:
            raise JsonRefused(HTTP_API_THROTTLED, "Service Unavailable", cause, reason="function_throttled") from error
        raise JsonRefused(500, "Internal Server Error", cause, reason="invoke_refused") from error


def _response(result: InvocationResult, function: str, integration: Integration) -> HttpResponse:
    if result.error is not None or result.timed_out:
        timeout = "timed out. Fix: make it faster, or raise its Timeout in the template"
        cause = f"{function} {timeout if result.timed_out else f'failed: {result.description}'}"
        reason = "function_timeout" if result.timed_out else "function_failed"
        raise JsonRefused(500, "Internal Server Error", cause, reason=reason)
    try:
        response = http_response(result.payload, integration.version, TEXT)
    except NotAReply as error:
        cause = f"the response of {function} is not one of payload format {integration.version}: {error}"
        raise JsonRefused(500, "Internal Server Error", cause, reason="not_a_reply") from error
    return replace(response, body=b"") if response.status in (204, 304) else response


# ---- events ---------------------------------------------------------------------------------------------------------


def _event(request: HttpRequest, context: _Context, integration: Integration) -> dict[str, Any]:
    received = _received(request, context)
    if integration.request:
        received = mapped_request(received, integration.request, _values(request, context))
    write = _event_v1 if integration.version == "1.0" else _event_v2
    return write(received, request, context)


def _received(request: HttpRequest, context: _Context) -> Request:
    """The request as events contain it: with the name of the stage in the path, and the headers that AWS adds."""
    located = context.located
    stage = "" if located.stage.name == DEFAULT_STAGE else f"/{located.stage.name}"
    # API Gateway decodes the path, and ends it at a decoded `?` (captures in middleapi/standard-server#93).
    return Request(
        version=2,
        method=request.method,
        path=stage + _decoded(located.path).partition("?")[0],
        raw_query=request.target.partition("?")[2],
        headers=tuple(received_headers(request, context.trace_id)),
        content=content_of(request),
        request_id=context.request_id,
        time_epoch=context.epoch,
    )


def _event_v2(received: Request, request: HttpRequest, context: _Context) -> dict[str, Any]:
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


def _event_v1(received: Request, request: HttpRequest, context: _Context) -> dict[str, Any]:
    """Payload format 1.0 of an HTTP API: a REST API's, with `version`.

    Its path contains the key of a custom domain in place of the stage's name.
    """
    located, entry = context.located, context.entry
    path = f"/{located.key}{_decoded(located.path)}" if located.key else received.path
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


def received_headers(request: HttpRequest, trace_id: str) -> Pairs:
    """The headers of an event: the client's, without those of the connection, and those that AWS adds."""
    dropped = _WITHIN_CONNECTION | (connection_options(request.headers) - {"host"})
    added = ("x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "content-length")
    kept = [pair for pair in request.headers if pair[0] not in dropped and pair[0] not in added]
    addresses = [value for name, value in request.headers if name == "x-forwarded-for"]
    return [
        *kept,
        ("content-length", str(len(request.body))),
        ("x-amzn-trace-id", trace_id.partition(";")[0]),
        ("x-forwarded-for", ", ".join([*addresses, request.client_address])),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ]


def _values(request: HttpRequest, context: _Context) -> Values:
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
    return Values(request, _decoded(located.path), context.parameters, variables, located.stage.variables)


def _authorizer_values(authorizer: Mapping[str, Any]) -> list[tuple[str, str]]:
    claims = (authorizer.get("jwt") or {}).get("claims") or {}
    context = {name: value for name, value in (authorizer.get("lambda") or {}).items() if isinstance(value, str)}
    return [*((f"claims.{name}", value) for name, value in claims.items()), *context.items()]
