"""A REST API behind the front, without a server and without processes: functions are Python functions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.aws.invoke_checks import LambdaError, check_tenant
from lattice_bridge.local.aws.lambda_service import InvokeRequest, find_function
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, RequestObserver
from lattice_bridge.local.front.exchange.identities import read_identities
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.front.front import Front
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan
from tests.support.incoming import Incoming

NOW: Final = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)

FUNCTIONS: Final = """
  Orders: {Type: "AWS::Serverless::Function", Properties: {FunctionName: orders, Handler: a.b, Runtime: python3.13}}
  Isolated:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: isolated
      Handler: a.b
      Runtime: python3.13
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Guard: {Type: "AWS::Serverless::Function", Properties: {FunctionName: guard, Handler: a.b, Runtime: python3.13}}
"""
STAGE: Final = """
  Deployment: {Type: "AWS::ApiGateway::Deployment", Properties: {RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties:
      RestApiId: !Ref Api
      DeploymentId: !Ref Deployment
      StageName: prod
      Variables: {alias: live, who: blue}
"""


def to(function: str, **more: Any) -> dict[str, Any]:
    """An OpenAPI operation with a proxy integration. Further fields of the integration by name."""
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{function}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    return {"x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, **more}}


def tenant_from(expression: str) -> dict[str, str]:
    """The mapping of the tenant id."""
    return {"integration.request.header.X-Amz-Tenant-Id": expression}


def api(paths: Mapping[str, Any], *, more: str = "", properties: str = "", **body: Any) -> str:
    """A template with a REST API, by its OpenAPI paths. `body` are further members of the definition."""
    definition = json.dumps({"openapi": "3.0.1", "paths": paths, **body})
    return f"""
Resources:{FUNCTIONS}
  Api: {{Type: "AWS::ApiGateway::RestApi", Properties: {{{properties}Body: {definition}}}}}
{STAGE}{more}"""


def write(folder: Path, template: str) -> Plan:
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    return read_plan(read_template(folder / "template.yaml", {}, "us-east-1"))


@dataclass
class Answered:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    request: AnsweredRequest

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def cause(self) -> str:
        assert self.request.refusal is not None
        return self.request.refusal.cause


@dataclass
class Gateway(RequestObserver):
    """A front with one plan. Functions get the event, and return what becomes JSON, or an `InvocationResult`."""

    plan: Plan
    functions: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    recorder: Recorder | None = None
    invoked: list[InvokeRequest] = field(default_factory=list)
    requests: list[AnsweredRequest] = field(default_factory=list)
    seconds: float = 0.0
    tokens: TokenKeys | None = None

    def __post_init__(self) -> None:
        identities = read_identities(None)
        self.front = Front(self.plan, self, identities, self, self.recorder, self.now, self.tokens)  # type: ignore[arg-type] # a fake of the one method that it uses

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def events(self, function: str) -> list[Any]:
        return [json.loads(one.payload) for one in self.invoked if f":{function}" in one.function]

    # The observer and the Lambda service of the front.

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        assert request_id
        assert function
        assert trace_id.startswith("Root=")

    def answered(self, request: AnsweredRequest) -> None:
        self.requests.append(request)

    async def invoke(self, request: InvokeRequest) -> InvocationResult | None:
        function, _ = find_function(request.function, self.plan.functions, self.plan.region)
        check_tenant(function.isolated, request.tenant)
        self.invoked.append(request)
        made = self.functions.get(function.name)
        answer = made(json.loads(request.payload)) if made else {"statusCode": 200, "body": "ok"}
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, LambdaError):
            raise answer
        return answer if isinstance(answer, InvocationResult) else InvocationResult(json.dumps(answer).encode())

    def get(
        self,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        body: bytes = b"",
        host: str = "localhost:8080",
    ) -> Answered:
        """Sends a request. Names of headers are as they are sent."""
        sent = [("Host", host), *(headers.items() if isinstance(headers, Mapping) else headers)]
        incoming = Incoming(method, target, sent, body, host=host)
        asyncio.run(self.front(incoming))
        return Answered(*incoming.text_response, self.requests[-1])
