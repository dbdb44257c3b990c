"""A REST API of API Gateway as a way in: finds the method, authorizes the request, invokes the function, and responds.

Rule: as the API Gateway developer guide describes it, and as LocalStack's tests recorded AWS. Each guess is a name in
`formats.assumptions`. The tenant id of an invocation comes from the parameter mapping of the integration only: a
client's X-Amz-Tenant-Id is a header like any other.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from lattice_bridge.formats import apigateway_v1
from lattice_bridge.formats.assumptions import FRONT_REST_ASYNC_STATUS, FRONT_REST_PATH_PARAMETERS_ARE_DECODED
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.query import parse_form_query
from lattice_bridge.local.aws.invoke_checks import LambdaError, is_about_the_tenant
from lattice_bridge.local.aws.lambda_service import new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.apigateway import lambda_authorizer, rest_reply
from lattice_bridge.local.front.apigateway.api_policy import NotAllowed, check_policy
from lattice_bridge.local.front.apigateway.jwt_authorizer import (
    scopes_of,
    token_command,
    token_of,
    verified_claims,
)
from lattice_bridge.local.front.apigateway.lambda_authorizer import (
    AccessDenied,
    AuthorizerFailed,
    Question,
    Unauthorized,
)
from lattice_bridge.local.front.apigateway.parameters import Parameters, as_string
from lattice_bridge.local.front.apigateway.rest_refusal import GatewayRefusal
from lattice_bridge.local.front.exchange.caller import SignedCaller, iam_identity, signed_caller
from lattice_bridge.local.front.exchange.exchange import Answer, Exchange
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, Pairs, to_json
from lattice_bridge.local.front.exchange.recorder import is_secret, without_credentials
from lattice_bridge.local.front.exchange.token_keys import TokenRefused
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Unserved
from lattice_bridge.local.plan.parameters import with_variables
from lattice_bridge.local.plan.rest_api import (
    TENANT_HEADER,
    DomainMapping,
    Found,
    LambdaProxy,
    Mock,
    RestApi,
    Stage,
    UserPools,
    find_method,
    near_methods,
)
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.local.web.sigv4 import SignatureRefused
from lattice_bridge.message import Request

BODY_LIMIT: Final = 10 * 1024 * 1024

_INVOCATION_TYPE: Final = "x-amz-invocation-type"
_DROPPED: Final = frozenset(
    {
        *("connection", "content-length", "content-md5", "expect", "max-forwards", "proxy-authenticate", "server"),
        *("te", "transfer-encoding", "trailer", "upgrade", "www-authenticate"),
    }
)
"""Request headers that no event contains: LocalStack's recordings of AWS."""
_WRITTEN: Final = ("x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id")
"""Request headers that API Gateway writes."""
_SPELLED: Final = {
    name.lower(): name
    for name in ("Host", "User-Agent", "Authorization", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
} | {"x-amzn-trace-id": "X-Amzn-Trace-Id"}
"""Names that API Gateway spells so, whatever the client sent."""
_MOST_NAMED: Final = 8
_LATEST: Final = 10**11
"""Seconds since 1970 in the year 5138. A later time has no date here."""
_running: Final[set[asyncio.Task[InvocationResult]]] = set()
"""Invocations that go on although their integration has timed out."""


async def serve(request: HttpRequest, api: RestApi, exchange: Exchange) -> Answer:
    """Answers a request as API Gateway does.

    Raises:
        Refused: the request, or the answer of the function.
    """
    call = _call(request, api, exchange)
    call = await _authorized(call, exchange)
    _check_required(call)
    integration = call.found.method.integration
    if isinstance(integration, Unserved):
        cause = f"{call.route} has {integration.what}, which this stack does not serve"
        raise call.refusal("DEFAULT_5XX", "Not Implemented", cause, "not_served", status=501)
    if isinstance(integration, Mock):
        return Answer(_mock_response(integration), f"{call.route} has a mock integration")
    return await _proxied(call, integration, exchange)


def refused(refusal: Refused) -> Refused:
    """A refusal of the front itself, in the words of API Gateway."""
    if refusal.status == 413:
        return GatewayRefusal(413, "Request Too Long", refusal.cause, "RequestTooLargeException", refusal.reason)
    return refusal


# ---- one call -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, with its method and what API Gateway adds.

    Attributes:
        request: as sent.
        api, stage: that received it.
        path: without the stage and the base path, as sent.
        found: its method.
        origin: for the event.
        trace_id: of its invocation.
        exchange_id: its id.
        epoch_microseconds: when it arrived.
        authorizer: the context of an authorizer; None if none ran.
    """

    request: HttpRequest
    api: RestApi
    stage: Stage
    path: str
    found: Found
    origin: apigateway_v1.Origin
    trace_id: str
    exchange_id: str
    epoch_microseconds: int
    authorizer: Mapping[str, Any] | None = None

    @property
    def route(self) -> str:
        """The method and the resource, as messages name them."""
        return f"{self.found.method.name} {self.found.method.resource} of {self.api.name}"

    @property
    def arn(self) -> str:
        """The method's ARN, with the path as sent. A slash at its end does not choose another method, so a policy's
        `…/GET/orders` is about it too."""
        api = self.api
        whole = f"arn:aws:execute-api:{api.region}:{api.account}:{api.id}/{self.stage.name}"
        return f"{whole}/{self.request.method}/{self.path.removeprefix('/').removesuffix('/')}"

    @property
    def parameters(self) -> Parameters:
        """The values that mappings and identity sources read."""
        query = parse_form_query(self.request.target.partition("?")[2])
        variables = self.stage.variables
        return Parameters(self.request.headers, query, self.found.parameters, variables, self._context)

    def _context(self) -> Mapping[str, Any]:
        context: Mapping[str, Any] = self.event()[apigateway_v1.CONTEXT]
        return context

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """Condition keys of the request."""
        found: dict[str, tuple[str, ...]] = {
            "aws:sourceip": (self.request.client_address,),
            "aws:securetransport": ("true",),
            "aws:requestedregion": (self.api.region,),
        }
        for name in ("user-agent", "referer"):
            values = tuple(value for header, value in self.request.headers if header == name)
            if values:
                found[f"aws:{name.replace('-', '')}"] = values[-1:]
        return found

    def refusal(
        self, kind: str, message: str | None, cause: str, reason: str, *, status: int | None = None, error: str = ""
    ) -> GatewayRefusal:
        """A refusal that the API's gateway responses may change."""
        return GatewayRefusal.of_kind(self.api, kind, message, cause, reason, status=status, error=error)

    def event(self, request: HttpRequest | None = None) -> dict[str, Any]:
        """The event for the function; of another request, to be recorded."""
        authorizer = self.authorizer
        if request is not None and authorizer is not None:
            authorizer = {name: value for name, value in authorizer.items() if not is_secret(name, value)}
        return apigateway_v1.write(self.as_received(request or self.request), authorizer, self.origin)

    def as_received(self, request: HttpRequest) -> Request:
        """The request as API Gateway passes it on."""
        return Request(
            version=1,
            method=request.method,
            path=self.path,
            raw_query=request.target.partition("?")[2],
            headers=_headers(request, self.trace_id),
            content=_content(request, self.api.binary_types),
            request_id=self.exchange_id,
            time_epoch=self.epoch_microseconds,
        )


def _call(request: HttpRequest, api: RestApi, exchange: Exchange) -> _Call:
    raw_path = request.target.partition("?")[0]
    host, _ = _host_and_port(request)
    stage, path = _stage_and_path(api, host, raw_path)
    found = find_method(api, request.method, path)
    if found is None:
        there = [*near_methods(api, path)]
        more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
        cause = (
            f"the API {api.name} has no method {request.method} {quoted(path)} in the stage {stage.name}; "
            f"there are {', '.join(there[:_MOST_NAMED])}{more}"
        )
        raise GatewayRefusal.of_kind(api, "MISSING_AUTHENTICATION_TOKEN", None, cause, "no_route")
    if FRONT_REST_PATH_PARAMETERS_ARE_DECODED:
        found = Found(found.method, {name: unquote(value) for name, value in found.parameters.items()})
    now, trace_id = time.time_ns() // 1000, new_trace_id()
    origin = apigateway_v1.Origin(
        resource=found.method.resource,
        path_parameters=found.parameters,
        account=api.account,
        api_id=api.id,
        domain_name=host,
        extended_request_id=_extended_id(),
        context_path=raw_path,
        identity={"sourceIp": request.client_address},
        resource_id=found.method.resource_id,
        stage=stage.name,
        stage_variables=stage.variables,
        deployment_id=stage.deployment_id,
        spelled={**request.spelled, **_SPELLED},
    )
    return _Call(request, api, stage, path, found, origin, trace_id, exchange.id, now)


def _host_and_port(request: HttpRequest) -> tuple[str, str]:
    host = next((value for name, value in request.headers if name == "host"), "")
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not host.endswith("]") else (host, "80")


def _stage_and_path(api: RestApi, host: str, raw_path: str) -> tuple[Stage, str]:
    """The stage and the path behind it. A custom domain may have a base path in place of the stage.

    Slashes at the beginning are one: LocalStack's recordings. The others are as sent.
    """
    path = f"/{raw_path.lstrip('/')}"
    mapping = _domain_mapping(api, host, path)
    if mapping is not None:
        path = path[len(mapping.base_path) + 1 :] if mapping.base_path else path
    name, _, rest = path[1:].partition("/")
    if mapping is not None and mapping.stage is not None:
        name, rest = mapping.stage, path[1:]
    stage = api.stages.get(name)
    if stage is None:
        listed = ", ".join(f"/{one}" for one in api.stages)
        cause = f"the API {api.name} has no stage {quoted(name)}; it has {listed}"
        fix = "Fix: begin the path with the stage, as on AWS"
        raise GatewayRefusal(403, "Forbidden", f"{cause}. {fix}", "ForbiddenException", "no_stage")
    return stage, f"/{rest}"


def _domain_mapping(api: RestApi, host: str, path: str) -> DomainMapping | None:
    """The longest base path of a custom domain that a path begins with; None for another host name."""
    name = host.lower().rstrip(".")  # as `way_in_for` reads it: a dot at the end leads to no other stage
    mappings = [one for one in api.domains if one.host in (name, name.removesuffix(".localhost"))]
    fitting = [one for one in mappings if not one.base_path or f"{path}/".startswith(f"/{one.base_path}/")]
    if mappings and not fitting:
        listed = ", ".join(f"/{mapping.base_path}" for mapping in mappings)
        cause = f"the domain {mappings[0].host} has no base path for {quoted(path)}; it has {listed}"
        raise GatewayRefusal(403, "Forbidden", cause, "ForbiddenException", "no_stage")
    return max(fitting, key=lambda mapping: len(mapping.base_path), default=None)


def _headers(request: HttpRequest, trace_id: str) -> tuple[tuple[str, str], ...]:
    """The headers that the function gets. A client's address is written behind what it claims to be."""
    kept = [pair for pair in request.headers if pair[0] not in _DROPPED and pair[0] not in _WRITTEN]
    claimed = [value for name, value in request.headers if name == "x-forwarded-for"]
    return (
        *kept,
        ("x-amzn-trace-id", trace_id.partition(";")[0]),
        ("x-forwarded-for", ", ".join([*claimed, request.client_address])),
        ("x-forwarded-port", _host_and_port(request)[1]),
        ("x-forwarded-proto", "http"),
    )


def _content(request: HttpRequest, binary_types: frozenset[str]) -> str | Base64:
    """The body: base64 for a binary media type, else text. Bytes that are no text are lost, as on AWS."""
    if not request.body:
        return ""
    types = [value for name, value in request.headers if name == "content-type"]
    if rest_reply.is_binary(types[-1] if types else "application/json", binary_types):
        return Base64(base64.b64encode(request.body).decode("ascii"))
    return request.body.decode("utf-8", "replace")


def _extended_id() -> str:
    return f"{base64.urlsafe_b64encode(secrets.token_bytes(11)).decode('ascii')}"


# ---- who may call it ------------------------------------------------------------------------------------------------


async def _authorized(call: _Call, exchange: Exchange) -> _Call:
    """The call with what the authorizer verified."""
    authorization = call.found.method.authorization
    caller = _signed(call, exchange) if authorization == "AWS_IAM" else None
    signer = caller.signer if caller else None
    try:
        check_policy(call.api, call.arn, call.keys, signer, signed=authorization == "AWS_IAM")
    except NotAllowed as error:
        raise call.refusal("ACCESS_DENIED", error.response, str(error), "api_policy") from error
    if isinstance(authorization, Unserved):
        cause = f"{call.route} needs {authorization.what}, which this stack does not serve"
        raise call.refusal("UNAUTHORIZED", "Unauthorized", cause, "not_served")
    if isinstance(authorization, UserPools):
        return replace(call, authorizer={"claims": await _claims(call, authorization, exchange)})
    if isinstance(authorization, LambdaAuthorizer):
        context = await _lambda_authorized(call, authorization, exchange)
        return replace(call, authorizer=context)
    if caller is None:
        return call
    identity = {**call.origin.identity, **iam_identity(caller)}
    return replace(call, origin=replace(call.origin, identity=identity))


def _signed(call: _Call, exchange: Exchange) -> SignedCaller:
    try:
        caller = signed_caller(call.request, exchange, "execute-api")
    except SignatureRefused as error:
        code, _, message = str(error).partition(": ")
        said = message.partition(". Fix: ")[0]
        raise call.refusal("INVALID_SIGNATURE", said, str(error), "signature_refused", error=code) from error
    if caller is None:
        scope = f"aws:amz:{exchange.region}:execute-api"
        cause = f"{call.route} needs a signature. Fix: sign it, as in curl --aws-sigv4 {scope} --user KEY:SECRET"
        raise call.refusal("MISSING_AUTHENTICATION_TOKEN", None, cause, "not_signed")
    return caller


async def _lambda_authorized(call: _Call, authorizer: LambdaAuthorizer, exchange: Exchange) -> dict[str, Any]:
    parameters = call.parameters
    identity = tuple(parameters.value(source) for source in authorizer.sources)
    if authorizer.kind == "token":
        event = apigateway_v1.token_event(call.arn, identity[0] or "" if identity else "")
    else:
        event = apigateway_v1.authorizer_event(call.arn, call.event())
    function = with_variables(authorizer.function, call.stage.variables)
    question = Question(f"{call.api.id}/{call.stage.name}", function, identity, event, call.arn, call.keys)
    began = time.perf_counter()
    try:
        result = await lambda_authorizer.authorize(authorizer, question, exchange)
    except Unauthorized as error:
        raise call.refusal("UNAUTHORIZED", "Unauthorized", str(error), "unauthorized") from error
    except AccessDenied as error:
        said = "User is not authorized to access this resource"
        said = f"{said} with an explicit deny" if error.explicit else said
        raise call.refusal("ACCESS_DENIED", said, str(error), "authorizer_denied") from error
    except AuthorizerFailed as error:
        raise call.refusal("AUTHORIZER_CONFIGURATION_ERROR", None, str(error), "authorizer_failed") from error
    latency = int((time.perf_counter() - began) * 1000)
    context = {name: as_string(value) for name, value in result.context.items()}
    return {**context, "principalId": result.principal, "integrationLatency": latency}


async def _claims(call: _Call, authorizer: UserPools, exchange: Exchange) -> dict[str, str]:
    """The claims of a token of one of the user pools: an access token if the method has scopes, or an identity token.

    A local token that does not say what it is for is both.
    """
    header = authorizer.pools[0].source[1]
    refusal = TokenRefused("there is no user pool", None)
    for pool in authorizer.pools:
        try:
            token = token_of([value for name, value in call.request.headers if name == header])
            claims = await verified_claims(token, pool, exchange.tokens, exchange.project, exchange.now.timestamp())
            _check_use(claims, call.found.method.scopes)
        except TokenRefused as error:
            refusal = error
        else:
            return {name: _as_cognito(name, value) for name, value in claims.items()}
    command = token_command(authorizer.pools[0])
    cause = f"the authorizer {authorizer.name} requires a token in the header {header}: {refusal}. Fix: `{command}`"
    raise call.refusal("UNAUTHORIZED", "Unauthorized", cause, "token_invalid") from refusal


def _check_use(claims: Mapping[str, Any], scopes: tuple[str, ...]) -> None:
    wanted = "access" if scopes else "id"
    if claims.get("token_use", wanted) != wanted:
        raise TokenRefused(f"token_use is not {wanted}, which the method requires", None)
    if scopes and not set(scopes) & set(scopes_of(claims)):
        raise TokenRefused(f"the token has none of the scopes {' '.join(scopes)}", None)


def _as_cognito(name: str, value: Any) -> str:
    """A claim as events of REST APIs contain it: a string, and `exp` and `iat` as dates.

    >>> _as_cognito("exp", 1519418628), _as_cognito("cognito:groups", ["a", "b"])
    ('Fri Feb 23 20:43:48 UTC 2018', 'a,b')
    """
    if name in ("exp", "iat") and isinstance(value, int | float) and 0 <= value < _LATEST:
        return apigateway_v1.date_of(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return as_string(value) if isinstance(value, str | int | float) else ""


def _check_required(call: _Call) -> None:
    parameters = call.parameters
    missing = [source for source in call.found.method.required if parameters.value(source) is None]
    if missing:
        listed = ", ".join(source.written.rpartition(".")[2] for source in missing)
        said = f"Missing required request parameters: [{listed}]"
        cause = f"{call.route} requires {', '.join(source.described for source in missing)}"
        raise call.refusal("BAD_REQUEST_PARAMETERS", said, cause, "parameter_missing")


# ---- the integration ------------------------------------------------------------------------------------------------


def _mock_response(mock: Mock) -> HttpResponse:
    headers = dict(mock.headers)
    headers.setdefault("content-type", "application/json")
    return HttpResponse(mock.status, [*headers.items(), ("x-amz-apigw-id", _extended_id())], mock.body.encode())


async def _proxied(call: _Call, integration: LambdaProxy, exchange: Exchange) -> Answer:
    parameters = call.parameters
    values = {name: parameters.value(source) for name, source in integration.headers.items()}
    tenant = values.get(TENANT_HEADER)
    function = with_variables(integration.function, call.stage.variables)
    payload = to_json(call.event())
    try:
        if values.get(_INVOCATION_TYPE) == "Event":
            await exchange.send(function, payload, tenant=tenant, trace_id=call.trace_id)
            return Answer(HttpResponse(FRONT_REST_ASYNC_STATUS), f"{call.route} invokes asynchronously", tenant or "")
        result = await _invoke(call, integration, exchange, function, payload, tenant)
    except LambdaError as error:
        cause = f"Lambda refused to invoke {_as(function, tenant)}: {error.code}: {error}{_advice(integration, error)}"
        reason = "function_throttled" if error.status == 429 else "invoke_refused"
        raise call.refusal("API_CONFIGURATION_ERROR", "Internal server error", cause, reason) from error
    if exchange.recorder is not None:
        await exchange.record(call.event(without_credentials(call.request)), call.request, result)
    return Answer(_to_response(call, result, function, tenant), None, tenant or "")


async def _invoke(
    call: _Call, integration: LambdaProxy, exchange: Exchange, function: str, payload: bytes, tenant: str | None
) -> InvocationResult:
    """Invokes the function. On AWS too, it goes on after the integration's timeout."""
    task = asyncio.ensure_future(exchange.invoke(function, payload, tenant=tenant, trace_id=call.trace_id))
    _running.add(task)
    task.add_done_callback(_finished)
    done, _ = await asyncio.wait({task}, timeout=integration.timeout)
    if done:
        return task.result()
    cause = f"{_as(function, tenant)} did not answer within {integration.timeout:g} s, the integration's timeout"
    raise call.refusal("INTEGRATION_TIMEOUT", None, cause, "integration_timeout")


def _finished(task: asyncio.Task[InvocationResult]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # asyncio logs an exception that is never read


def _as(function: str, tenant: str | None) -> str:
    return f"{function} as the tenant {quoted(tenant)}" if tenant is not None else function


def _advice(integration: LambdaProxy, error: LambdaError) -> str:
    """The fix for an invocation without a tenant id, or with one that is not wanted. It never suggests a client's
    header: every client would then choose its tenant."""
    if not is_about_the_tenant(error):
        return ""
    source = integration.headers.get(TENANT_HEADER)
    if source is not None:
        return f" The integration reads the tenant id from the {source.described}."
    mapping = "integration.request.header.X-Amz-Tenant-Id: context.authorizer.tenantId"
    return f" Fix: map what an authorizer verified in the integration's RequestParameters, as in {mapping}"


def _to_response(call: _Call, result: InvocationResult, function: str, tenant: str | None) -> HttpResponse:
    name = _as(function, tenant)
    if result.error is not None:
        what = "timed out" if result.timed_out else f"failed: {result.description}"
        reason = "function_timeout" if result.timed_out else "function_failed"
        raise call.refusal("DEFAULT_5XX", None, f"{name} {what}", reason, status=502)
    accept = next((value for header, value in call.request.headers if header == "accept"), "")
    try:
        response = rest_reply.http_response(result.payload, call.request.method, accept, call.api.binary_types)
    except BadReply as error:
        cause = f"the response of {name} is not one that API Gateway accepts: {error}"
        raise call.refusal("DEFAULT_5XX", None, cause, "not_a_reply", status=502) from error
    added: Pairs = [
        ("x-amz-apigw-id", call.origin.extended_request_id),
        ("x-amzn-trace-id", call.trace_id.partition(";")[0]),
    ]
    return replace(response, headers=[*response.headers, *added])
