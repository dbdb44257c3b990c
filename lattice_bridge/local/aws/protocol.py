"""Requests, responses and errors of AWS's APIs, as the services behind the AWS endpoint use them.

Rule: an error has the form that the client's SDK parses, also if the service that it asks for is not here. Otherwise a
person sees a fault of a parser, and not what is wrong.
Source: the error parsers of botocore (`parsers.py`), and Smithy's protocols `awsJson1_x`, `restJson1`, `restXml`,
`awsQuery`, `ec2Query` and `rpcv2Cbor`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

from lattice_bridge.local.aws import cbor
from lattice_bridge.local.aws.access_keys import AccessKey

Pairs = Sequence[tuple[str, str]]


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class AwsRequest:
    """A request of an SDK.

    Attributes:
        id: of the request, a UUID.
        method: as sent.
        path, query: as sent, undecoded.
        headers: names in lower case.
        service: the signing name of the service that the client asks for; empty if the request has none.
        body: the whole body, or a little more than the service's limit of a larger one.
        key: whose signature was verified; None before that.
        gone: returns when the client has closed the connection.
    """

    id: str
    method: str
    path: str
    query: str
    headers: Pairs
    service: str = ""
    body: bytes = b""
    key: AccessKey | None = None
    gone: Callable[[], Awaitable[None]] = field(default=_never, repr=False)

    def values(self, name: str) -> list[str]:
        """Returns all values of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """Returns the first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def operation(self) -> str:
        """The operation in `X-Amz-Target`, as in `GetItem`; empty for a protocol without this header."""
        return (self.header("x-amz-target") or "").rpartition(".")[2]

    @property
    def trace_id(self) -> str | None:
        """The SDK's percent-encoded trace header, decoded. Visible ASCII only, since it becomes a header again."""
        text = unquote(self.header("x-amzn-trace-id") or "")
        return text if re.fullmatch("[!-~]{1,1000}", text) else None


@dataclass(slots=True)
class AwsResponse:
    """The response to an SDK. The endpoint adds the request id and the length."""

    status: int
    headers: Pairs = ()
    body: bytes = b""


class AwsError(Exception):
    """A request that is refused. The message is for the caller.

    Attributes:
        status: of the HTTP response.
        code: the name of the error, as in `UnrecognizedClientException`.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def error_response(request: AwsRequest, error: AwsError) -> AwsResponse:
    """Writes an error in the protocol that the client speaks."""
    media_type, body = _writer_of(request)(error, request.id)
    headers = [("content-type", media_type), ("x-amzn-errortype", error.code)]
    if media_type == _CBOR_TYPE:
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    return AwsResponse(error.status, headers, body)


# ---- the protocols --------------------------------------------------------------------------------------------------

_CBOR_TYPE: Final = "application/cbor"
_REST_XML: Final = ("cloudfront", "route53")
"""The services, beside S3, whose REST protocol has XML."""

_Writer = Callable[[AwsError, str], tuple[str, bytes]]


def _writer_of(request: AwsRequest) -> _Writer:
    """Finds the protocol by what only its requests have, and by the service where nothing does."""
    if request.header("smithy-protocol") == "rpc-v2-cbor":
        return _cbor
    if request.header("content-type") == cbor.MEDIA_TYPE:
        return _json_as_cbor
    if request.operation:
        return _json
    if request.service in _OF_SERVICE:
        return _OF_SERVICE[request.service]
    form = (request.header("content-type") or "").startswith("application/x-www-form-urlencoded")
    return _query if request.path == "/" and (form or "Action=" in request.query) else _rest_json


def _json(error: AwsError, _request_id: str) -> tuple[str, bytes]:
    body = {"__type": error.code, "message": str(error)}
    return "application/x-amz-json-1.0", json.dumps(body).encode()


def _rest_json(error: AwsError, _request_id: str) -> tuple[str, bytes]:
    body = {"Type": "User", "Message": str(error), "message": str(error)}
    return "application/json", json.dumps(body).encode()


def _query(error: AwsError, request_id: str) -> tuple[str, bytes]:
    found = f"<Error><Type>Sender</Type>{_parts(error)}</Error><RequestId>{escape(request_id)}</RequestId>"
    return _xml(f"<ErrorResponse>{found}</ErrorResponse>")


def _ec2(error: AwsError, request_id: str) -> tuple[str, bytes]:
    found = f"<Errors><Error>{_parts(error)}</Error></Errors><RequestID>{escape(request_id)}</RequestID>"
    return _xml(f"<Response>{found}</Response>")


def _s3(error: AwsError, request_id: str) -> tuple[str, bytes]:
    return _xml(f"<Error>{_parts(error)}<RequestId>{escape(request_id)}</RequestId></Error>")


def _parts(error: AwsError) -> str:
    return f"<Code>{escape(error.code)}</Code><Message>{escape(str(error))}</Message>"


def _xml(text: str) -> tuple[str, bytes]:
    return "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _cbor(error: AwsError, _request_id: str) -> tuple[str, bytes]:
    return _CBOR_TYPE, cbor.written({"__type": error.code, "message": str(error)})


def _json_as_cbor(error: AwsError, _request_id: str) -> tuple[str, bytes]:
    return cbor.MEDIA_TYPE, cbor.written({"__type": error.code, "message": str(error)})


_OF_SERVICE: Final[Mapping[str, _Writer]] = {"ec2": _ec2, "s3": _s3, "sqs": _query, **dict.fromkeys(_REST_XML, _query)}
