"""Lambda function URLs as a way in: the caller, the permission, the function, the response.

Rule: as the Lambda developer guide, "Invoking Lambda function URLs" and "Control access to Lambda function URLs",
describes them. The resource policy counts with every AuthType. The path is passed on as sent, unlike by an HTTP API.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lattice_bridge.formats import apigateway_v2 as v2
from lattice_bridge.formats.assumptions import FUNCTION_URL_FAILED
from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.lambda_service import new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.apigateway import cors
from lattice_bridge.local.front.apigateway.http_api_event import received_headers
from lattice_bridge.local.front.apigateway.json_refused import JsonRefused
from lattice_bridge.local.front.apigateway.proxy_reply import http_response
from lattice_bridge.local.front.exchange.caller import SignedCaller, iam_fields, signed_caller
from lattice_bridge.local.front.exchange.exchange import Answer, Exchange
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, content_of, to_json
from lattice_bridge.local.front.exchange.recorder import without_credentials
from lattice_bridge.local.plan.function_url import BOTH, FunctionUrl, Grant
from lattice_bridge.local.web.sigv4 import SignatureRefused
from lattice_bridge.message import Request

BODY_LIMIT: Final = 6 * 1024 * 1024

_TYPE: Final = "application/json"
"""The content type of a reply without one."""


async def serve(request: HttpRequest, url: FunctionUrl, exchange: Exchange) -> Answer:
    """Answers a request as a function URL does.

    Raises:
        Refused: the request, or the answer of the function.
    """
    try:
        return await _answer(request, url, exchange)
    except JsonRefused as refusal:
        headers = cors.with_cors(url.cors, request, HttpResponse(refusal.status)).headers
        raise refusal.answered(headers) from refusal.__cause__


async def _answer(request: HttpRequest, url: FunctionUrl, exchange: Exchange) -> Answer:
    if url.cors is not None and cors.is_preflight(request):
        headers = cors.preflight_headers(url.cors, request)
        return Answer(HttpResponse(200, headers), f"the CORS configuration of the function URL {url.name} answers it")
    caller = _caller(request, url, exchange)
    _check_permission(caller, url)
    origin = _Origin(url, caller, exchange.id, new_trace_id(), time.time_ns() // 1000)
    payload = to_json(_event(request, origin))
    if len(payload) > SYNC_LIMIT:
        cause = f"the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}. Fix: send less"
        raise JsonRefused(413, "Request Entity Too Large", cause, reason="request_too_large")
    try:
        result = await exchange.invoke(url.function, payload, trace_id=origin.trace_id)
    except LambdaError as error:
        raise _refused_invoke(error, url) from error
    if exchange.recorder is not None:
        await exchange.record(_event(without_credentials(request), origin), request, result)
    return Answer(cors.with_cors(url.cors, request, _response(result, url)))


def _refused_invoke(error: LambdaError, url: FunctionUrl) -> JsonRefused:
    """The refusal with Lambda's own answer, which a function URL passes to the client."""
    cause = f"Lambda refused to invoke {url.function}: {error.code}: {error}"
    if str(error) == MISSING:
        cause = (
            f"{url.function} has tenant isolation, which Lambda does not offer behind a function URL. "
            "Fix: put the URL in front of a bridge"
        )
    reason = "function_throttled" if error.status == 429 else "invoke_refused"
    return JsonRefused(error.status, str(error), cause, reason=reason, headers=[("x-amzn-errortype", error.code)])


# ---- the caller -----------------------------------------------------------------------------------------------------


def _caller(request: HttpRequest, url: FunctionUrl, exchange: Exchange) -> SignedCaller | None:
    """The caller, if the AuthType asks for one. With NONE, a signature is not read."""
    if url.auth_type == "NONE":
        return None
    try:
        caller = signed_caller(request, exchange, "lambda")
    except SignatureRefused as error:
        code, _, message = str(error).partition(": ")
        text, _, fix = message.partition(". Fix: ")
        cause = f"the function URL {url.name} does not accept the signature: {code}: {text}. Fix: {fix}"
        headers = [("x-amzn-errortype", code)]
        raise JsonRefused(403, text, cause, reason="signature_refused", headers=headers) from error
    if caller is None:
        raise _forbidden(
            f"the function URL {url.name} has AuthType AWS_IAM, and the request is not signed. "
            f"Fix: sign it, as with curl --aws-sigv4 aws:amz:{exchange.region}:lambda"
        )
    return caller


def _check_permission(caller: SignedCaller | None, url: FunctionUrl) -> None:
    """Checks the function's resource policy."""
    if cause := missing_permission(caller, url):
        raise _forbidden(cause)


def missing_permission(caller: SignedCaller | None, url: FunctionUrl) -> str | None:
    """The reason why the function's resource policy refuses a caller; None if it does not.

    A caller of the function's own account needs a permission there or in its own policies, which are not evaluated.
    """
    if caller is not None and caller.signer.principal.account == url.account:
        return None
    granted = {action for grant in url.grants if _names(grant, caller) for action in grant.actions}
    missing = [action for action in BOTH if action not in granted]
    if not missing:
        return None
    who = "*" if caller is None else str(caller.signer.principal)
    own = f", or sign as an identity of the account {url.account} in identities.toml" if caller else ""
    return (
        f"no AWS::Lambda::Permission of {url.function} allows {' and '.join(missing)} to {who} "
        f"with FunctionUrlAuthType {url.auth_type}. Fix: add one for each action{own}"
    )


def _names(grant: Grant, caller: SignedCaller | None) -> bool:
    """Whether a permission is for a caller: for all, for its account, its role or itself."""
    if caller is None:
        return grant.principal == "*" and grant.organisation is None
    if grant.organisation is not None and grant.organisation != caller.signer.org:
        return False
    principal = caller.signer.principal
    if grant.principal in ("*", principal.account):
        return True
    try:
        found = parse_arn(grant.principal)
    except BadPrincipal:
        return False
    return found in _identities(principal) or (found.kind == "role" and found.role == principal.role)


def _identities(principal: Principal) -> tuple[Principal, ...]:
    return principal, replace(principal, kind="root", name="", session=None)


def _forbidden(cause: str) -> JsonRefused:
    headers = [("x-amzn-errortype", "AccessDeniedException")]
    return JsonRefused(403, "Forbidden", cause, reason="forbidden", headers=headers, key="Message")


# ---- event and response ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Origin:
    """Everything that `requestContext` is made of.

    Attributes:
        epoch: microseconds since 1970.
    """

    url: FunctionUrl
    caller: SignedCaller | None
    request_id: str
    trace_id: str
    epoch: int


def _event(request: HttpRequest, origin: _Origin) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    received = Request(
        version=2,
        method=request.method,
        path=path,
        raw_query=query,
        headers=tuple(received_headers(request, origin.trace_id)),
        content=content_of(request),
        request_id=origin.request_id,
        time_epoch=origin.epoch,
    )
    authorizer: Mapping[str, Any] = {} if origin.caller is None else {"iam": iam_fields(origin.caller)}
    # In captured events without authentication, the account is this word.
    account = "anonymous" if origin.caller is None else origin.url.account
    return v2.write_received(
        received, v2.Gateway(account, origin.url.id, origin.url.domain, request.client_address, authorizer)
    )


def _response(result: InvocationResult, url: FunctionUrl) -> HttpResponse:
    if result.error is not None or result.timed_out:
        cause = f"{url.function} failed: {result.description}"
        if result.timed_out:
            cause = f"{url.function} timed out. Fix: make it faster, or raise its Timeout in the template"
        raise _failed(cause, "function_timeout" if result.timed_out else "function_failed")
    try:
        response = http_response(result.payload, "2.0", _TYPE)
    except BadReply as error:
        cause = f"the response of {url.function} is not one of payload format 2.0: {error}"
        raise _failed(cause, "not_a_reply") from error
    return replace(response, body=b"") if response.status in (204, 304) else response


def _failed(cause: str, reason: str) -> JsonRefused:
    return JsonRefused(FUNCTION_URL_FAILED, "Internal Server Error", cause, reason=reason, key="")
