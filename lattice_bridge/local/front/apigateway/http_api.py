"""HTTP APIs of API Gateway as a way in: stage, route, authorizer, integration, response.

Rule: as the API Gateway developer guide describes HTTP APIs, and captured events where they show more; each guess is a
name in `formats.assumptions`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lattice_bridge.formats.assumptions import HTTP_API_THROTTLED, HTTP_API_TIMED_OUT, HTTP_API_TOO_LARGE_FOR_LAMBDA
from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.http.query import parse_form_query
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.lambda_service import new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.apigateway import cors
from lattice_bridge.local.front.apigateway.http_api_event import (
    Context,
    Located,
    Verified,
    decoded,
    event,
    question,
    recorded,
    values,
)
from lattice_bridge.local.front.apigateway.json_refused import JsonRefused
from lattice_bridge.local.front.apigateway.jwt_authorizer import (
    scopes_of,
    token_command,
    token_of,
    verified_claims,
    written,
)
from lattice_bridge.local.front.apigateway.lambda_authorizer import (
    AccessDenied,
    AuthorizerFailed,
    Unauthorized,
    authorize,
)
from lattice_bridge.local.front.apigateway.parameter_mapping import mapped_response
from lattice_bridge.local.front.apigateway.proxy_reply import http_response
from lattice_bridge.local.front.exchange.caller import iam_fields, iam_identity, signed_caller
from lattice_bridge.local.front.exchange.exchange import Answer, Exchange
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, to_json
from lattice_bridge.local.front.exchange.token_keys import TokenRefused
from lattice_bridge.local.plan.http_api import (
    DEFAULT_STAGE,
    DomainPath,
    HttpApi,
    HttpDomain,
    HttpRoute,
    Integration,
    JwtAuthorizer,
)
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Unserved
from lattice_bridge.local.plan.parameters import with_variables
from lattice_bridge.local.web.admission import quoted
from lattice_bridge.local.web.sigv4 import SignatureRefused

BODY_LIMIT: Final = 10 * 1024 * 1024
HEAD_LIMIT: Final = 10_240
"""Bytes of the request line and the values of the headers together."""

TEXT: Final = "text/plain;charset=UTF-8"
"""The content type of a reply without one."""

_NAMED: Final = 6
"""Routes that a refusal names."""


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
            return entry, {name: decoded(value) for name, value in found.items()}
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
    """The host name without the port and a dot at its end. `NAME.localhost` is NAME."""
    host = next((value for name, value in request.headers if name == "host"), "")
    return host.partition(":")[0].lower().rstrip(".").removesuffix(".localhost")


# ---- authorizers ----------------------------------------------------------------------------------------------------


def _context(located: Located, found: tuple[HttpRoute, Mapping[str, str]], exchange: Exchange) -> Context:
    entry, parameters = found
    return Context(located, entry, parameters, exchange.id, new_trace_id(), time.time_ns() // 1000)


async def _authorized(context: Context, request: HttpRequest, exchange: Exchange) -> Context:
    """The context with what the route's authorizer verified."""
    access = context.entry.access
    if isinstance(access, JwtAuthorizer):
        return replace(context, verified=await _by_token(request, access, context.entry, exchange))
    if isinstance(access, LambdaAuthorizer):
        return replace(context, verified=await _by_function(request, access, context, exchange))
    if isinstance(access, Unserved):
        cause = f"the route {context.entry.key} of the HTTP API {context.located.api.name} has {access.what}"
        raise JsonRefused(500, "Internal Server Error", f"{cause}. Fix: add it to the template", reason="not_served")
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
        command = token_command(access)
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


def _by_signature(request: HttpRequest, context: Context, exchange: Exchange) -> Verified:
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
    request: HttpRequest, access: LambdaAuthorizer, context: Context, exchange: Exchange
) -> Verified:
    try:
        result = await authorize(access, question(request, access, context), exchange)
    except Unauthorized as error:
        raise JsonRefused(401, "Unauthorized", str(error), reason="authorizer_refused") from error
    except AccessDenied as error:
        raise JsonRefused(403, "Forbidden", str(error), reason="authorizer_refused") from error
    except AuthorizerFailed as error:
        raise JsonRefused(500, "Internal Server Error", str(error), reason="authorizer_failed") from error
    principal = {"principalId": result.principal} if result.principal else {}
    return Verified({**result.context, **principal}, {"lambda": dict(result.context)})


# ---- integration ----------------------------------------------------------------------------------------------------


async def _integrated(request: HttpRequest, context: Context, exchange: Exchange) -> HttpResponse:
    integration = context.entry.integration
    if isinstance(integration, str):
        where = f"the route {context.entry.key} of the HTTP API {context.located.api.name}"
        cause = f"{where}: {integration}. Fix: send requests to another route"
        raise JsonRefused(501, "Not Implemented", cause, reason="not_served")
    function = with_variables(integration.function, context.located.stage.variables)
    payload = to_json(event(request, context, integration))
    if len(payload) > SYNC_LIMIT:
        cause = f"the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}. Fix: send less"
        raise JsonRefused(HTTP_API_TOO_LARGE_FOR_LAMBDA, "Request Entity Too Large", cause, reason="request_too_large")
    result = await _invoked(exchange, function, payload, context, integration.timeout)
    if exchange.recorder is not None:
        await exchange.record(recorded(request, context, integration), request, result)
    response = _response(result, function, integration)
    changes = integration.response.get(str(response.status), ())
    return mapped_response(response, changes, values(request, context)) if changes else response


async def _invoked(
    exchange: Exchange, function: str, payload: bytes, context: Context, seconds: float
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
    except BadReply as error:
        cause = f"the response of {function} is not one of payload format {integration.version}: {error}"
        raise JsonRefused(500, "Internal Server Error", cause, reason="not_a_reply") from error
    return replace(response, body=b"") if response.status in (204, 304) else response
