"""The AWS endpoint: one port for the APIs of every AWS service that the stack has.

Rule: a request is for the service that its signature names. A signature is verified once, here, so that a client that
signs wrongly fails on this machine, and not first after its deployment. Policies are not evaluated: every key may call
every operation.

A request for another service is answered before its signature is verified: the answer contains nothing but names of
services, and S3 has rules of its own for signatures.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, EXECUTION_ROLE_KEY, AccessKey
from lattice_bridge.local.aws.lambda_service import new_request_id
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse, error_response
from lattice_bridge.local.web.incoming import ClientGone, IncomingRequest
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed, signer_of

_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]{1,128})/[0-9]{8}/[^/,\s]{1,64}/([a-z0-9-]{1,64})/aws4_request")
"""The access key and the service of a signature in a header, or in a query: there the slashes may be encoded. Each part
has a limit: it is searched for before the signature is verified, and at every place of a long header."""
_UNKNOWN: Final = "UnrecognizedClientException"
_INVALID: Final = "The security token included in the request is invalid."
_FIX: Final = (
    f" Fix: sign with this stack's AWS_ACCESS_KEY_ID={DEVELOPER_KEY.access_key} "
    f"AWS_SECRET_ACCESS_KEY={DEVELOPER_KEY.secret_key}"
)


@dataclass(frozen=True, slots=True)
class AwsService:
    """A service of the endpoint.

    Attributes:
        answer: answers a request whose signature is verified, or raises AwsError.
        body_limit: bytes. Of a larger body, the service receives a little more, and refuses it in its own words.
        for_identities: whether the stack's identities may sign for it, beside developers and functions.
    """

    answer: Callable[[AwsRequest], Awaitable[AwsResponse]]
    body_limit: int
    for_identities: bool = False


class AwsEndpoint:
    """Serves AWS services, as an application of `HttpServer`.

    Args:
        services: by the name with which their clients sign, as in `lambda`.
        keys: that may sign for every service, by access key.
        region: for which requests must be signed.
        identities: that may sign for some services, by access key. It may change while requests are served.
        now: in UTC.
    """

    def __init__(
        self,
        services: Mapping[str, AwsService],
        keys: Mapping[str, AccessKey],
        region: str,
        identities: Mapping[str, AccessKey] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._services = services
        self._first = next(iter(services))
        self._keys = keys
        self._region = region
        self._identities = {} if identities is None else identities
        self._now = now

    async def __call__(self, incoming: IncomingRequest) -> None:
        request, access_key = _head(incoming)
        body_read = False
        try:
            service = self._service(request, access_key)
            body, digest = await _body(incoming, service.body_limit)
            body_read = True
            key = self._signer(request, digest, service)
            request.body, request.key, request.gone = body, key, incoming.gone
            response = await service.answer(request)
        except AwsError as error:
            response = error_response(request, error)
        except ClientGone:
            return  # no client reads a response
        if not body_read:
            await incoming.discard()
        await incoming.respond(response.status, _headers(response, request.id, close=not body_read), response.body)

    def _service(self, request: AwsRequest, access_key: str) -> AwsService:
        """Finds the service. A request that names none, which is refused later, is for any."""
        service = self._services.get(request.service or self._first)
        if service is not None:
            return service
        if access_key == EXECUTION_ROLE_KEY.access_key:
            fix = (
                "set the variable AWS_ENDPOINT_URL_… of this service in the function's Environment, or start the stack "
                "with --passthrough, so that functions use your own AWS credentials and the real service"
            )
        else:
            fix = "to reach AWS, leave out --endpoint-url and AWS_ENDPOINT_URL, and sign with your own keys"
        called = f"{request.service} {request.operation}" if request.operation.isalnum() else request.service
        here = " and ".join(self._services)
        raise AwsError(501, "NotImplemented", f"{called}: this local stack has only {here}. Fix: {fix}")

    def _signer(self, request: AwsRequest, digest: str, called: AwsService) -> AccessKey:
        """Verifies the signature.

        Args:
            request: without its body.
            digest: the body's sha256 as hex.
            called: the service.
        """
        signed = Signed(request.method, request.path, request.query, request.headers)
        service = request.service or self._first
        keys = {**self._identities, **self._keys} if called.for_identities else self._keys
        try:
            key = signer_of(signed, keys, service=service, region=self._region, payload=digest, now=self._now())
        except SignatureRefused as error:
            code, _, message = str(error).partition(": ")
            raise AwsError(403, code, _INVALID + _FIX if code == _UNKNOWN else message) from error
        if key is None:
            raise AwsError(403, "MissingAuthenticationTokenException", "Missing Authentication Token." + _FIX)
        if key.token is not None and signed.values("x-amz-security-token") != [key.token]:
            raise AwsError(403, _UNKNOWN, _INVALID + _FIX)
        return key


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def _head(incoming: IncomingRequest) -> tuple[AwsRequest, str]:
    """Reads the request without its body, and the access key that its signature names."""
    path, _, query = incoming.address.target.partition("?")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in incoming.headers]
    signature = next((value for name, value in headers if name == "authorization"), "") or query.replace("%2F", "/")
    match = _CREDENTIAL.search(signature)
    access_key, service = match.groups() if match else ("", "")
    return AwsRequest(new_request_id(), incoming.method, path, query, headers, service), access_key


async def _body(incoming: IncomingRequest, limit: int) -> tuple[bytes, str]:
    """Reads the body and its sha256 as hex. Keeps little more than the limit."""
    chunks: list[bytes] = []
    size, digest, more = 0, sha256(), True
    while more:
        chunk, more = await incoming.read()
        size += len(chunk)
        digest.update(chunk)
        if size <= limit + len(chunk):  # read on: the client then gets the response, and not a broken connection
            chunks.append(chunk)
    return b"".join(chunks), digest.hexdigest()


def _headers(response: AwsResponse, request_id: str, *, close: bool) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"x-amzn-requestid", request_id.encode()))
    if close:
        headers.append((b"connection", b"close"))
    return headers
