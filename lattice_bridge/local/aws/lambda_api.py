"""Lambda's Invoke operation over HTTP, for boto3, the AWS CLI and the bridge.

Rule: the protocol only. What is done with an invocation is the service's.
Source: botocore's service model of Lambda 2015-03-31, operation Invoke.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, get_args
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.lambda_keys import KEYS, PERSON
from lattice_bridge.local.aws.lambda_service import InvocationType, LambdaError, LambdaService, Order
from lattice_bridge.local.environments.environment import Outcome
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed, signer_of

_UNKNOWN: Final = "UnrecognizedClientException"
_HINT: Final = f" (This stack knows AWS_ACCESS_KEY_ID={PERSON.access_key} AWS_SECRET_ACCESS_KEY={PERSON.secret_key}.)"
_STATUS: Final = {"RequestResponse": 200, "Event": 202, "DryRun": 204}


def lambda_api(
    service: LambdaService, region: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Starlette:
    """The API as an ASGI application.

    Args:
        service: what invokes.
        region: that requests have to be signed for.
        now: in UTC.
    """

    async def invoke(request: Request) -> Response:
        try:
            payload, digest = await _payload(request)
            _authenticate(request, digest, region, now())
            order = _order(request, payload)
            outcome = await service.invoke(order)
        except LambdaError as error:
            return _error(error)
        except ClientDisconnect:
            return Response()  # nobody is there to read it
        if outcome is None:
            return Response(status_code=_STATUS[order.type])
        return _answer(outcome, with_log=request.headers.get("x-amz-log-type") == "Tail")

    async def not_found(request: Request) -> Response:
        message = f"{request.method} {request.url.path}: this local API has Invoke only"
        return _error(LambdaError(404, "UnknownOperationException", message))

    return Starlette(
        routes=[
            Route("/2015-03-31/functions/{function:path}/invocations", invoke, methods=["POST"]),
            Route("/{path:path}", not_found, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
        ]
    )


def _authenticate(request: Request, digest: str, region: str, now: datetime) -> None:
    """As Lambda does, before it looks at anything else. What the key stands for is not asked: policies are not
    evaluated here."""
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    signed = Signed(request.method, path, query, headers)
    try:
        key = signer_of(signed, KEYS, service="lambda", region=region, payload=digest, now=now)
    except SignatureRefused as error:
        code, _, message = str(error).partition(": ")
        raise LambdaError(403, code, message + (_HINT if code == _UNKNOWN else "")) from error
    if key is None:
        raise LambdaError(403, "MissingAuthenticationTokenException", "Missing Authentication Token." + _HINT)
    if key.token is not None and signed.values("x-amz-security-token") != [key.token]:
        raise LambdaError(403, _UNKNOWN, "The security token included in the request is invalid." + _HINT)


def _order(request: Request, payload: bytes) -> Order:
    headers = request.headers
    kind = headers.get("x-amz-invocation-type", "RequestResponse")
    if kind not in get_args(InvocationType):
        raise LambdaError(
            400, "InvalidParameterValueException", f"InvocationType {kind!r} is not one of {', '.join(_STATUS)}"
        )
    tenants = headers.getlist("x-amz-tenant-id")
    if len(tenants) > 1:
        raise LambdaError(400, "InvalidParameterValueException", "X-Amz-Tenant-Id occurs more than once")
    return Order(
        function=unquote(request.path_params["function"]),
        payload=payload,
        type=kind,  # type: ignore[arg-type] # one of the three, checked above
        tenant=tenants[0] if tenants else None,
        qualifier=_qualifier(request),
        trace_id=_trace_id(headers.get("x-amzn-trace-id")),
        client_context=_client_context(headers.get("x-amz-client-context")),
    )


def _qualifier(request: Request) -> str | None:
    qualifier = request.query_params.get("Qualifier")
    if qualifier == "":
        raise LambdaError(400, "ValidationException", "Value '' at 'qualifier' failed to satisfy constraint")
    return qualifier


def _trace_id(header: str | None) -> str | None:
    """The SDK's trace header, which it percent-encodes; only visible ASCII, since it becomes a header again."""
    text = unquote(header or "")
    return text if re.fullmatch("[!-~]+", text) else None


async def _payload(request: Request) -> tuple[bytes, str]:
    """The body, and its sha256 as hex. At most a little more than the limit is kept; the service says which limit it
    was."""
    chunks: list[bytes] = []
    size, digest = 0, sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
        if size > SYNC_LIMIT + len(chunk):
            continue  # read on, so that the client gets the answer and not a broken connection
        chunks.append(chunk)
    return b"".join(chunks), digest.hexdigest()


def _client_context(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        context = json.loads(base64.b64decode(header, validate=True).decode("utf-8"))
    except (binascii.Error, ValueError, RecursionError):
        context = None
    if not isinstance(context, dict):
        message = "Client context must be a valid Base64-encoded JSON object."
        raise LambdaError(400, "InvalidRequestContentException", message)
    return json.dumps(context)  # one line of ASCII: it becomes a header


def _answer(outcome: Outcome, *, with_log: bool) -> Response:
    headers = {"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json"}
    if outcome.error is not None:
        headers["X-Amz-Function-Error"] = outcome.error
    if with_log:
        headers["X-Amz-Log-Result"] = base64.b64encode(outcome.tail).decode("ascii")
    return Response(outcome.payload, status_code=200, headers=headers)


def _error(error: LambdaError) -> Response:
    body: dict[str, Any] = {"Type": "User", "Message": str(error), "message": str(error)}
    headers = {"X-Amzn-ErrorType": error.code}
    if error.reason is not None:
        body["Reason"] = error.reason
        headers["Retry-After"] = "1"
    return Response(json.dumps(body), error.status, headers, media_type="application/json")
