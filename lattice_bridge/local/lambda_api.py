"""Lambda's Invoke operation over HTTP, for boto3, the AWS CLI and the bridge.

Rule: the protocol only. What is done with an invocation is the service's.
Source: botocore's service model of Lambda 2015-03-31, operation Invoke.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, get_args
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lattice_bridge.local.environment import Outcome
from lattice_bridge.local.service import InvocationType, LambdaError, LambdaService, Order
from lattice_bridge.payload import SYNC_LIMIT

_STATUS: Final = {"RequestResponse": 200, "Event": 202, "DryRun": 204}


def lambda_api(service: LambdaService) -> Starlette:
    """The API as an ASGI application."""

    async def invoke(request: Request) -> Response:
        try:
            order = await _order(request)
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


async def _order(request: Request) -> Order:
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
        payload=await _payload(request),
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


async def _payload(request: Request) -> bytes:
    """At most a little more than the limit is kept; the service says which limit it was."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > SYNC_LIMIT + len(chunk):
            continue  # read on, so that the client gets the answer and not a broken connection
        chunks.append(chunk)
    return b"".join(chunks)


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
