"""Lambda's API, as a service of the AWS endpoint: Invoke, and the operations that read functions.

Rule: this module knows the protocol only; `lambda_service` handles the invocation.
Source: botocore's service model of Lambda 2015-03-31.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.invoke_checks import (
    STATUS,
    LambdaError,
    parse_invocation_type,
    parse_qualifier,
    single_tenant,
)
from lattice_bridge.local.aws.lambda_service import InvokeRequest, LambdaService
from lattice_bridge.local.aws.protocol import AwsRequest, AwsResponse
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.model import Function

SERVICE: Final = "lambda"

_PATH: Final = re.compile(r"/2015-03-31/functions(?:/(?P<function>[^/]+)(?P<rest>/[a-z]+)?)?/?")
_STREAM: Final = re.compile(r"/2021-11-15/functions/[^/]+/response-streaming-invocations")
_EVENT_CONFIG: Final = re.compile(r"/2019-09-25/functions/[^/]+/event-invoke-config(/list)?")
_OPERATIONS: Final = "Invoke, GetFunction, GetFunctionConfiguration, ListFunctions"
_PAGE: Final = 50
"""Functions of a page, as in Lambda."""
_JSON: Final = ("content-type", "application/json")


def lambda_api(service: LambdaService) -> AwsService:
    """Makes the API. `service` runs the invocations."""

    async def answer(request: AwsRequest) -> AwsResponse:
        try:
            return await _answer(request, service)
        except LambdaError as error:
            return _error(error)

    return AwsService(answer, SYNC_LIMIT)


async def _answer(request: AwsRequest, service: LambdaService) -> AwsResponse:
    match = _PATH.fullmatch(request.path)
    function, rest = (unquote(match["function"] or ""), match["rest"]) if match else ("", None)
    if function and (request.method, rest) == ("POST", "/invocations"):
        return await _invoke(function, request, service)
    if function and (request.method, rest) in (("GET", None), ("GET", "/configuration")):
        found = _configuration(*service.find(function, parse_qualifier(_parameter(request, "Qualifier"))))
        return _json(found if rest else {"Configuration": found, "Code": {}})
    if match and not function and request.method == "GET":
        return _json(_page(request, service))
    if _STREAM.fullmatch(request.path):
        what = "InvokeWithResponseStream: this local stack streams no response. Fix: send Invoke"
        raise LambdaError(501, "NotImplemented", what)
    if _EVENT_CONFIG.fullmatch(request.path):
        what = (
            "event-invoke-config: this local stack reads it in the template. Fix: write AWS::Lambda::EventInvokeConfig"
        )
        raise LambdaError(501, "NotImplemented", what)
    what = f"{request.method} {request.path[:200]!a}: this local stack has {_OPERATIONS}"
    raise LambdaError(404, "UnknownOperationException", what)


async def _invoke(function: str, request: AwsRequest, service: LambdaService) -> AwsResponse:
    invoke_request = InvokeRequest(
        function=function,
        payload=request.body,
        type=parse_invocation_type(request.header("x-amz-invocation-type") or "RequestResponse"),
        tenant=single_tenant(request.values("x-amz-tenant-id")),
        qualifier=parse_qualifier(_parameter(request, "Qualifier")),
        trace_id=request.trace_id,
        client_context=_client_context(request.header("x-amz-client-context")),
        request_id=request.id,
    )
    result = await service.invoke(invoke_request)
    if result is None:
        return AwsResponse(STATUS[invoke_request.type])
    return _response(result, with_log=request.header("x-amz-log-type") == "Tail")


def _page(request: AwsRequest, service: LambdaService) -> Mapping[str, Any]:
    """One page of the functions, by name. The marker is the last name of the page before."""
    size, marker = _parameter(request, "MaxItems") or "", _parameter(request, "Marker") or ""
    names = sorted(name for name in service.functions if name > marker)
    count = min(_PAGE, int(size)) if re.fullmatch("[1-9][0-9]{0,4}", size) else _PAGE
    shown = [_configuration(service.functions[name], service.functions[name].arn) for name in names[:count]]
    return {"Functions": shown, **({"NextMarker": names[count - 1]} if len(names) > count else {})}


def _configuration(function: Function, arn: str) -> Mapping[str, Any]:
    """A function as GetFunctionConfiguration describes it: what the template contains, and that it can be invoked."""
    logging = {"LogFormat": function.log_format, "LogGroup": f"/aws/lambda/{function.name}"}
    if function.log_level:
        logging["ApplicationLogLevel"] = function.log_level
    return {
        "FunctionName": function.name,
        "FunctionArn": arn,
        **({"Runtime": function.runtime} if function.runtime else {}),
        **({"Handler": function.handler} if function.handler else {}),
        "Timeout": int(function.timeout),
        "MemorySize": function.memory,
        "Version": "$LATEST",
        "Environment": {"Variables": dict(function.environment)},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "LoggingConfig": logging,
        **({"DeadLetterConfig": {"TargetArn": function.dead_letters}} if function.dead_letters else {}),
        **({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}} if function.isolated else {}),
    }


def _parameter(request: AwsRequest, name: str) -> str | None:
    """Returns the first value of a query parameter, or None if it is absent."""
    return next(iter(parse_qs(request.query, keep_blank_values=True).get(name, [])), None) if request.query else None


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


def _response(result: InvocationResult, *, with_log: bool) -> AwsResponse:
    headers = [_JSON, ("x-amz-executed-version", "$LATEST")]
    if result.error is not None:
        headers.append(("x-amz-function-error", result.error))
    if with_log:
        headers.append(("x-amz-log-result", base64.b64encode(result.tail).decode("ascii")))
    return AwsResponse(200, headers, result.payload)


def _json(body: Mapping[str, Any]) -> AwsResponse:
    return AwsResponse(200, [_JSON], json.dumps(body).encode())


def _error(error: LambdaError) -> AwsResponse:
    body: dict[str, Any] = {"Type": "User", "Message": str(error), "message": str(error)}
    headers = [_JSON, ("x-amzn-errortype", error.code)]
    if error.reason is not None:
        body["Reason"] = error.reason
        headers.append(("retry-after", "1"))
    return AwsResponse(error.status, headers, json.dumps(body).encode())
