"""One request of the front, and what its way in needs to answer it: the caller, the functions, the recorder.

Rule: a way in knows its own wire format only. Signatures, invocations and recordings are the same for all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lattice_bridge.local.aws.lambda_service import InvokeRequest, LambdaService, new_trace_id
from lattice_bridge.local.bridge.log_lines import function_name
from lattice_bridge.local.bridge.refusal_causes import capitalised
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.authorizer_cache import AuthorizerCache
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.front.exchange.identities import SESSION_NAME, SESSION_PREFIX, Identity
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.plan.model import WayIn
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed

_REQUEST_ID: Final = re.compile(r"RequestId: [0-9a-f-]{36} Error: ")
"""The beginning of Lambda's own errors. The function's line above the request's has the id."""


def cause_in_words(cause: str, target: str | None) -> str:
    """The cause of a refusal as a sentence, with the name of the target in place of its ARN."""
    if target is None:
        return capitalised(cause)
    words = _REQUEST_ID.sub("", cause.replace(target, function_name(target)))
    return words if cause.startswith(target) else capitalised(words)


@dataclass(slots=True)
class ReceivedRequest:
    """A request that the front has received as a whole, or as far as it has read it.

    Attributes:
        id: the front's id of the request.
        way_in: that has its host name; None if none has.
        request: as it arrived.
        version: of HTTP, as in `1.1`.
        client: the address and the port of the other end of the connection.
        began: seconds since the epoch.
        body_read: its body was read. If not, the front has refused it before, and the body of `request` is empty.
    """

    id: str
    way_in: WayIn | None
    request: HttpRequest = field(repr=False)
    version: str
    client: tuple[str, int]
    began: float
    body_read: bool = True


@dataclass(slots=True)
class AnsweredRequest:
    """A request that the front has answered.

    Attributes:
        id: the front's id of the request.
        method: as sent.
        path: as sent, without the query, which can contain credentials.
        status: of the response.
        milliseconds: from the head of the request to the response.
        refusal: the front's own, or None.
        fixed: why the way in answered by itself and invoked no function; None if it did not.
        tenant: the tenant id with which the way in invoked the function; empty for none.
        response: for the client.
    """

    id: str
    method: str
    path: str
    status: int
    milliseconds: float
    refusal: Refused | None = None
    fixed: str | None = None
    tenant: str = ""
    response: HttpResponse = field(default_factory=lambda: HttpResponse(500), repr=False)


class RequestObserver:
    """Receives what happens to the requests of the front. This one ignores it."""

    def received(self, request: ReceivedRequest) -> None:
        """The front has received a request. It is called once for each, before `answered`."""

    def identified(self, request_id: str, access_key: str, principal: str) -> None:
        """The front has verified the signature of a request."""

    def authorizing(self, request_id: str, trace_id: str) -> None:
        """The front invokes an authorizer for a request. The trace id is that of the invocation."""

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """The front invokes a target for a request. The trace id is that of the invocation."""

    def answered(self, request: AnsweredRequest) -> None:
        """The front has a response for a request. It is called once for each, also if the client has gone."""


@dataclass(slots=True)
class Answer:
    """The response of a way in.

    Attributes:
        response: for the client.
        fixed, tenant: as in `AnsweredRequest`.
    """

    response: HttpResponse
    fixed: str | None = None
    tenant: str = ""


@dataclass(slots=True)
class Exchange:
    """What a way in needs to answer one request.

    Attributes:
        id: of the request.
        region: for which requests must be signed.
        identities: that may sign, by access key.
        now: the time in UTC, with which signatures are compared.
        tokens: the keys that verify tokens.
        project: the folder of the template.
        authorizers: cached results of Lambda authorizers.
    """

    id: str
    region: str
    identities: Mapping[str, Identity]
    now: datetime
    service: LambdaService
    observer: RequestObserver
    recorder: Recorder | None = None
    tokens: TokenKeys = field(default_factory=TokenKeys)
    project: Path = Path()
    authorizers: AuthorizerCache = field(default_factory=AuthorizerCache)

    async def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        tenant: str | None = None,
        trace_id: str | None = None,
        target: bool = True,
    ) -> InvocationResult:
        """Invokes a function and waits for its answer.

        Args:
            function: name or ARN, with a qualifier if it has one.
            payload: the event as JSON.
            tenant: the tenant id of the invocation; None for none.
            trace_id: of the invocation; None for a new one.
            target: whether the function answers the request. An authorizer does not.

        Raises:
            LambdaError: Lambda refuses the invocation.
        """
        trace_id = trace_id or new_trace_id()
        if target:
            self.observer.invoking(self.id, function, trace_id)
        else:
            self.observer.authorizing(self.id, trace_id)
        result = await self.service.invoke(InvokeRequest(function, payload, tenant=tenant, trace_id=trace_id))
        assert result is not None  # an invocation of type RequestResponse has one
        return result

    async def send(self, function: str, payload: bytes, *, tenant: str | None = None, trace_id: str) -> None:
        """Queues an invocation of type Event, whose answer is discarded.

        Args:
            function, payload, tenant, trace_id: as for `invoke`.

        Raises:
            LambdaError: Lambda refuses the invocation.
        """
        self.observer.invoking(self.id, function, trace_id)
        await self.service.invoke(InvokeRequest(function, payload, type="Event", tenant=tenant, trace_id=trace_id))

    async def record(self, event: Mapping[str, Any], request: HttpRequest, result: InvocationResult) -> None:
        """Records a request, if requests are recorded. The event is made of a request without credentials."""
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.write, event, request, result)


def session_name(request: Signed, identity: Identity) -> str:
    """Returns the session's name: the identity's own, or the one of `x-amz-security-token: session=NAME`.

    On AWS, the caller of AssumeRole chooses the session's name. Here the header does.

    Raises:
        SignatureRefused: the name is not one that IAM allows.
    """
    token = next(iter(request.values("x-amz-security-token")), "")
    if not token.startswith(SESSION_PREFIX):
        return identity.session
    session = token.removeprefix(SESSION_PREFIX)
    if re.fullmatch(SESSION_NAME, session) is None:
        raise SignatureRefused(
            "InvalidSignatureException: x-amz-security-token is not session=NAME",
            "write a NAME of 2 to 64 of A-Z a-z 0-9 _ + = , . @ -",
        )
    return session
