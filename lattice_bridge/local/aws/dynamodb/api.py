"""DynamoDB's API and that of its streams, as one service of the AWS endpoint: both sign as `dynamodb`.

Rule: this module knows the protocol only. What does not fit the model of an operation is refused here, so `tables`
receives the members, and the types, that the model has.
Source: botocore's service models of DynamoDB and DynamoDB Streams 2012-08-10.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.local.aws.dynamodb import streams_api
from lattice_bridge.local.aws.dynamodb.errors import PREFIX, DynamoDbError, NotHere, invalid
from lattice_bridge.local.aws.dynamodb.tables import OPERATIONS, Tables
from lattice_bridge.local.aws.dynamodb.values import TOO_DEEP, parse, written
from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.protocol import AwsRequest, AwsResponse

if TYPE_CHECKING:
    from botocore.model import ServiceModel

SERVICE: Final = "dynamodb"

_STREAMS: Final = "DynamoDBStreams_20120810"
_MODELS: Final = {"DynamoDB_20120810": "dynamodb", _STREAMS: "dynamodbstreams"}
"""Prefix of `X-Amz-Target` → botocore's name of the API."""
_BODY_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a request, as on AWS."""
_JSON: Final = ("content-type", "application/x-amz-json-1.0")
_PARTIQL: Final = ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")


def dynamodb_api(tables: Tables) -> AwsService:
    """Makes the API."""
    return AwsService(_Operations(tables).answer, _BODY_LIMIT, for_identities=True)


class _Operations:
    """The operations of both APIs."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._streams = streams_api.operations(tables)

    async def answer(self, request: AwsRequest) -> AwsResponse:
        """Answers a request."""
        try:
            if not self._tables.is_loaded:
                await asyncio.to_thread(self._tables.engine)
            result = self._result(request)
        except DynamoDbError as error:
            return _error(error)
        return _response(200, result)

    def _result(self, request: AwsRequest) -> Mapping[str, Any]:
        target, _, name = (request.header("x-amz-target") or "").partition(".")
        if target not in _MODELS:
            raise DynamoDbError("UnknownOperationException", "The X-Amz-Target header names no operation of DynamoDB")
        of_streams = target == _STREAMS
        if name not in (self._streams if of_streams else OPERATIONS):
            raise _unknown(name, self._streams if of_streams else OPERATIONS)
        model = _model(_MODELS[target]).operation_model(name)
        given = _checked(request.body, model.input_shape)
        if of_streams:
            return self._streams[name](given)
        result = self._tables.call(name, given)
        return {} if model.output_shape is None else dict(written(result, model.output_shape))


@cache
def _model(name: str) -> ServiceModel:
    from botocore.session import Session  # slow to import, and of use only to clients of tables

    return Session().get_service_model(name)


def _unknown(name: str, known: Iterable[str]) -> DynamoDbError:
    shown = name if name.isalnum() and name.isascii() and len(name) < 80 else "this operation"
    if name in _PARTIQL:
        return NotHere(f"DynamoDB {name}: PartiQL is not in this local stack. Fix: call GetItem, Query or UpdateItem")
    return NotHere(f"DynamoDB {shown}: this local stack has {', '.join(sorted(known))}. Fix: call one of them")


def _checked(body: bytes, shape: Any) -> Mapping[str, Any]:
    """The parameters of a request, checked by the model of its operation."""
    from botocore.validate import ParamValidator

    if len(body) > _BODY_LIMIT:
        raise DynamoDbError("RequestEntityTooLargeException", "The request is larger than 16 MiB", status=413)
    try:
        found = json.loads(body or b"{}")
        if not isinstance(found, dict):
            raise DynamoDbError("SerializationException", "The body of the request is not a JSON object")
        if b"\\ud" in body.lower():  # half of a surrogate pair is no text
            json.dumps(found, ensure_ascii=False).encode()
        report = ParamValidator().validate({name: each for name, each in found.items() if each is not None}, shape)
        if report.has_errors():
            raise invalid(report.generate_report()[:2000])
        return dict(parse(found, shape))
    except RecursionError:
        raise invalid(TOO_DEEP) from None
    except ValueError:
        raise DynamoDbError("SerializationException", "The body of the request is not JSON") from None


def _error(error: DynamoDbError) -> AwsResponse:
    message = "Message" if "CancellationReasons" in error.members else "message"
    members = {"__type": f"{PREFIX}{error.name}", message: str(error), **error.members}
    return _response(error.status, members, ("x-amzn-errortype", error.name))


def _response(status: int, members: Mapping[str, Any], *headers: tuple[str, str]) -> AwsResponse:
    body = json.dumps(members, separators=(",", ":")).encode()
    return AwsResponse(status, [_JSON, ("x-amz-crc32", str(zlib.crc32(body))), *headers], body)
