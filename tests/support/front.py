"""The front with a template and a Lambda service that only records, so that a test needs no process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.aws.invoke_checks import check_tenant
from lattice_bridge.local.aws.lambda_service import InvokeRequest, find_function
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, RequestObserver
from lattice_bridge.local.front.exchange.identities import read_identities
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.front.front import Front
from lattice_bridge.local.plan.http_api import HttpApi
from lattice_bridge.local.plan.readers.template import read_plan
from lattice_bridge.local.web.admission import Refused
from tests.support.incoming import Incoming

Reply = Callable[[Mapping[str, Any]], Any]
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@dataclass(frozen=True)
class Response:
    """What the client gets."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value


@dataclass
class Stack:
    """A front for a template. The functions answer with `reply`, and their events are kept.

    Attributes:
        front: serves the plan.
        reply: makes the answer of every function of its event; an exception is raised by the invocation.
        invoked: each function with its event.
        answered: what the log gets of each request.
    """

    front: Front
    reply: Reply = lambda event: {"statusCode": 200, "body": "ok"}
    invoked: list[tuple[str, Any]] = field(default_factory=list)
    answered: list[AnsweredRequest] = field(default_factory=list)

    @property
    def api(self) -> HttpApi:
        """The first HTTP API."""
        return next(api for api in self.front.plan.http_apis if isinstance(api, HttpApi))

    @property
    def event(self) -> Any:
        """The event of the last invocation."""
        return self.invoked[-1][1]

    @property
    def refusal(self) -> Refused:
        """The refusal of the last request."""
        refusal = self.answered[-1].refusal
        assert refusal is not None
        return refusal

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str = "localhost",
    ) -> Response:
        """Sends a request through the front."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if not any(name == "host" for name, _ in pairs):
            pairs.append(("host", host))
        authority = next(value for key, value in pairs if key == "host")
        incoming = Incoming(method, target, pairs, body, host=authority)
        asyncio.run(self.front(incoming))
        return Response(*incoming.text_response)

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Ignores a begun invocation."""


class _Lambda:
    """A Lambda service that refuses what Lambda refuses, and answers with a stack's reply."""

    def __init__(self) -> None:
        self.stack: Stack

    async def invoke(self, request: InvokeRequest) -> InvocationResult:
        plan = self.stack.front.plan
        function, _ = find_function(request.function, plan.functions, plan.region)
        check_tenant(function.isolated, request.tenant)
        event = json.loads(request.payload)
        self.stack.invoked.append((function.name, event))
        answer = self.stack.reply(event)
        if isinstance(answer, Exception):
            raise answer
        if asyncio.isfuture(answer):
            await answer
        return answer if isinstance(answer, InvocationResult) else InvocationResult(json.dumps(answer).encode())


class _Observer(RequestObserver):
    def __init__(self) -> None:
        self.stack: Stack

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Ignores a begun invocation."""

    def answered(self, request: AnsweredRequest) -> None:
        self.stack.answered.append(request)


def stack_of(
    template: str,
    folder: Path,
    *,
    tokens: TokenKeys | None = None,
    recorder: Recorder | None = None,
    now: Callable[[], datetime] = lambda: NOW,
) -> Stack:
    """Makes a front for a template. Its clock stands still at NOW, unless another is given."""
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    plan = read_plan(read_template(folder / "template.yaml", {}, "us-east-1"))
    service, observer = _Lambda(), _Observer()
    front = Front(
        plan,
        service,  # type: ignore[arg-type] # a fake of the one method that it uses
        read_identities(None),
        observer,
        recorder,
        now=now,
        tokens=tokens,
    )
    service.stack = observer.stack = Stack(front)
    return service.stack


def signed(
    method: str,
    target: str,
    service: str,
    *,
    body: bytes = b"",
    user: tuple[str, str] = ("LOCALBLUE", "blue"),
    region: str = "us-east-1",
    host: str = "localhost",
    at: datetime = NOW,
) -> dict[str, str]:
    """The headers of a request that botocore signs."""
    request = AWSRequest(method, f"http://{host}{target}", data=body)
    auth = SigV4Auth(Credentials(*user), service, region)
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    request.headers["host"] = host
    request.headers["x-amz-date"] = stamp
    request.context["timestamp"] = stamp
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    names = ";".join(sorted(name.lower() for name in request.headers))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    return {
        "host": host,
        "x-amz-date": stamp,
        "authorization": f"AWS4-HMAC-SHA256 Credential={user[0]}/{scope}, SignedHeaders={names}, Signature={signature}",
    }
