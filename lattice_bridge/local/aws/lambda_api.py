"""The local Lambda API: the Invoke operation over HTTP, for boto3, the AWS CLI and the bridge.

Rule: this module knows the protocol only; `lambda_service` handles the invocation. The access keys are public and open
nothing but this machine's stack. A signature is verified so that a client that signs wrongly fails here, and not first
after its deployment.
Source: botocore's service model of Lambda 2015-03-31, operation Invoke.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import (
    STATUS,
    LambdaError,
    parse_invocation_type,
    parse_qualifier,
    single_tenant,
)
from lattice_bridge.local.aws.lambda_service import InvokeRequest, LambdaService, new_request_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed, signer_of


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of the local Lambda API.

    Attributes:
        access_key: as in AWS_ACCESS_KEY_ID.
        secret_key: as in AWS_SECRET_ACCESS_KEY.
        token: the required AWS_SESSION_TOKEN; None for a key that needs none. A token that comes with such a key is
            ignored: it may be left over in a person's shell.
    """

    access_key: str
    secret_key: str
    token: str | None = None


DEVELOPER_KEY: Final = AccessKey("local", "local")
"""The key for people and their tools."""

EXECUTION_ROLE_KEY: Final = AccessKey("LOCALEXECUTIONROLE", "local", "local")
"""The key that execution environments have."""

_KEYS: Final[Mapping[str, AccessKey]] = {key.access_key: key for key in (DEVELOPER_KEY, EXECUTION_ROLE_KEY)}
_UNKNOWN: Final = "UnrecognizedClientException"
_HINT: Final = (
    f" (This stack accepts AWS_ACCESS_KEY_ID={DEVELOPER_KEY.access_key} "
    f"AWS_SECRET_ACCESS_KEY={DEVELOPER_KEY.secret_key}.)"
)


def execution_role_variables(endpoint: str) -> Mapping[str, str]:
    """Returns the environment variables by which a function's SDK finds the API at `endpoint` and signs for it."""
    return {
        "AWS_ACCESS_KEY_ID": EXECUTION_ROLE_KEY.access_key,
        "AWS_SECRET_ACCESS_KEY": EXECUTION_ROLE_KEY.secret_key,
        "AWS_SESSION_TOKEN": EXECUTION_ROLE_KEY.token or "",
        "AWS_ENDPOINT_URL_LAMBDA": endpoint,
    }


def lambda_api(
    service: LambdaService, region: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Starlette:
    """Makes the API as an ASGI application.

    Args:
        service: runs the invocations.
        region: for which requests must be signed.
        now: in UTC.
    """

    async def invoke(request: Request) -> Response:
        request_id = new_request_id()
        try:
            response = await answer(request, request_id)
        except LambdaError as error:
            response = _error(error)
        except ClientDisconnect:
            return Response()  # no client reads it
        response.headers["x-amzn-RequestId"] = request_id
        return response

    async def answer(request: Request, request_id: str) -> Response:
        payload, digest = await _payload(request)
        _authenticate(request, digest, region, now())
        invoke_request = _invoke_request(request, payload, request_id)
        result = await service.invoke(invoke_request)
        if result is None:
            return Response(status_code=STATUS[invoke_request.type])
        return _response(result, with_log=request.headers.get("x-amz-log-type") == "Tail")

    return Starlette(
        routes=[
            Route("/2015-03-31/functions/{function:path}/invocations", invoke, methods=["POST"]),
            Route("/{path:path}", _not_found, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
        ]
    )


async def _not_found(request: Request) -> Response:
    message = f"{request.method} {request.url.path}: this local API has Invoke only"
    return _error(LambdaError(404, "UnknownOperationException", message))


def _authenticate(request: Request, digest: str, region: str, now: datetime) -> None:
    """Verifies the signature before anything else, as Lambda does. Policies are not evaluated: every key may invoke."""
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    signed = Signed(request.method, path, query, headers)
    try:
        key = signer_of(signed, _KEYS, service="lambda", region=region, payload=digest, now=now)
    except SignatureRefused as error:
        code, _, message = str(error).partition(": ")
        raise LambdaError(403, code, message + (_HINT if code == _UNKNOWN else "")) from error
    if key is None:
        raise LambdaError(403, "MissingAuthenticationTokenException", "Missing Authentication Token." + _HINT)
    if key.token is not None and signed.values("x-amz-security-token") != [key.token]:
        raise LambdaError(403, _UNKNOWN, "The security token included in the request is invalid." + _HINT)


def _invoke_request(request: Request, payload: bytes, request_id: str) -> InvokeRequest:
    headers = request.headers
    return InvokeRequest(
        function=unquote(request.path_params["function"]),
        payload=payload,
        type=parse_invocation_type(headers.get("x-amz-invocation-type", "RequestResponse")),
        tenant=single_tenant(headers.getlist("x-amz-tenant-id")),
        qualifier=parse_qualifier(request.query_params.get("Qualifier")),
        trace_id=_trace_id(headers.get("x-amzn-trace-id")),
        client_context=_client_context(headers.get("x-amz-client-context")),
        request_id=request_id,
    )


def _trace_id(header: str | None) -> str | None:
    """Decodes the SDK's percent-encoded trace header. Accepts visible ASCII only, since it becomes a header again."""
    text = unquote(header or "")
    return text if re.fullmatch("[!-~]+", text) else None


async def _payload(request: Request) -> tuple[bytes, str]:
    """Reads the body and its sha256 as hex. Keeps little more than the limit; the service refuses the rest."""
    chunks: list[bytes] = []
    size, digest = 0, sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
        if size > SYNC_LIMIT + len(chunk):
            continue  # read on: the client then gets the response, and not a broken connection
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


def _response(result: InvocationResult, *, with_log: bool) -> Response:
    headers = {"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json"}
    if result.error is not None:
        headers["X-Amz-Function-Error"] = result.error
    if with_log:
        headers["X-Amz-Log-Result"] = base64.b64encode(result.tail).decode("ascii")
    return Response(result.payload, status_code=200, headers=headers)


def _error(error: LambdaError) -> Response:
    body: dict[str, Any] = {"Type": "User", "Message": str(error), "message": str(error)}
    headers = {"X-Amzn-ErrorType": error.code}
    if error.reason is not None:
        body["Reason"] = error.reason
        headers["Retry-After"] = "1"
    return Response(json.dumps(body), error.status, headers, media_type="application/json")
