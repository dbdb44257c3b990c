"""The front's reports about each request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, ReceivedRequest, RequestObserver
from lattice_bridge.local.front.exchange.http_message import Signer
from lattice_bridge.local.front.front import Front
from lattice_bridge.local.front.lattice.service import _advice
from lattice_bridge.local.plan.readers.template import read_plan
from tests.support.incoming import Incoming

TEMPLATE = """
Resources:
  Fn: {Type: "AWS::Serverless::Function", Properties: {FunctionName: orders, Handler: a.b, Runtime: python3.13}}
  Group: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Fn.Arn}]}}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: shop, AuthType: AUTH}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {FixedResponse: {StatusCode: 404}}
  Rule:
    Type: AWS::VpcLattice::Rule
    Properties:
      ListenerIdentifier: !Ref Listener
      Priority: 1
      Match: {HttpMatch: {PathMatch: {Match: {Prefix: /orders}}}}
      Action: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group}]}}
"""
POLICY = """
  Policy:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !Ref Service
      Policy: {Statement: [{Effect: Deny, Principal: "*", Action: "*", Resource: "*"}]}
"""
CALLER = "arn:aws:sts::111122223333:assumed-role/blue-api/local"
OK = InvocationResult(b'{"statusCode": 201}')


class Observer(RequestObserver):
    def __init__(self) -> None:
        self.invoked: list[tuple[str, str, str]] = []
        self.requests: list[AnsweredRequest] = []
        self.received_first: list[ReceivedRequest] = []

    def received(self, request: ReceivedRequest) -> None:
        assert request.id not in [answered.id for answered in self.requests]
        self.received_first.append(request)

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        self.invoked.append((request_id, function, trace_id))

    def answered(self, request: AnsweredRequest) -> None:
        self.requests.append(request)


class Lambda:
    """A Lambda service with one outcome."""

    def __init__(self, outcome: InvocationResult | Exception) -> None:
        self.outcome = outcome
        self.seen: list[InvokeRequest] = []

    async def invoke(self, request: InvokeRequest) -> InvocationResult:
        self.seen.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def sent(
    folder: Path,
    target: str,
    outcome: InvocationResult | Exception = OK,
    *,
    auth: str = "NONE",
    observer: Observer | None = None,
    version: str = "1.1",
) -> Any:
    """Sends a GET. Returns the observer, the Lambda service, and the status that the client gets."""
    observer = observer or Observer()
    (folder / "template.yaml").write_text(TEMPLATE.replace("AUTH", auth), encoding="utf-8")
    plan = read_plan(read_template(folder / "template.yaml", {}, "us-east-1"))
    service = Lambda(outcome)
    front = Front(plan, service, {}, observer)  # type: ignore[arg-type] # a fake of the one method it uses
    request = Incoming("GET", target, host="shop", http_version=version)
    asyncio.run(front(request))
    return observer, service, request.response[0]


@pytest.mark.parametrize("target", ["/orders?token=secret", "/other"])
def test_request_is_reported_once_when_it_is_received_and_with_its_response(tmp_path: Path, target: str) -> None:
    observer, _, status = sent(tmp_path, target)
    (received,), (answered,) = observer.received_first, observer.requests
    assert received.id == answered.id
    assert (received.request.method, received.request.target, received.version) == ("GET", target, "1.1")
    assert received.body_read
    assert received.way_in is not None
    assert received.way_in.name == "shop"
    assert answered.response.status == status


def test_request_that_is_refused_before_it_is_read_is_reported_too(tmp_path: Path) -> None:
    observer, _, status = sent(tmp_path, "/orders", version="2")
    (received,), (answered,) = observer.received_first, observer.requests
    assert (received.id, received.request.body, received.version) == (answered.id, b"", "2")
    assert not received.body_read
    assert answered.response.status == status == 400


def test_served_request_is_reported_with_the_trace_of_its_invocation(tmp_path: Path) -> None:
    observer, service, status = sent(tmp_path, "/orders?token=secret")
    (request,), ((request_id, function, trace_id),) = observer.requests, observer.invoked
    assert (request.method, request.path, request.status) == ("GET", "/orders", status)
    assert (request.refusal, request.fixed, request_id) == (None, None, request.id)
    assert request.milliseconds > 0
    assert function.endswith(":function:orders")
    assert [one.trace_id for one in service.seen] == [trace_id]


@pytest.mark.parametrize(
    ("outcome", "reason", "cause"),
    [
        (InvocationResult(b"{}", "Unhandled", timed_out=True), "function_timeout", "orders timed out. Fix: make it"),
        (
            InvocationResult(b'{"errorType":"KeyError","errorMessage":"x"}', "Unhandled"),
            "function_failed",
            "orders failed: KeyError: x",
        ),
        (InvocationResult(b"[]"), "not_a_reply", "it is a list. Fix: return an object with statusCode"),
        (LambdaError(429, "TooManyRequestsException", "slow"), "function_throttled", "Exception: slow"),
        (LambdaError(400, "InvalidParameterValueException", "tenant"), "invoke_refused", "Exception: tenant"),
    ],
)
def test_failed_invocation_is_reported_with_a_reason(
    tmp_path: Path, outcome: InvocationResult | Exception, reason: str, cause: str
) -> None:
    observer, _, status = sent(tmp_path, "/orders", outcome)
    (request,) = observer.requests
    assert request.status == status
    assert request.refusal.reason == reason
    assert cause in request.refusal.cause


@pytest.mark.parametrize(
    ("target", "auth", "status", "reason", "cause"),
    [
        ("/orders", "AWS_IAM", 403, "auth_policy", "; the request is not signed. Fix: write an AWS::VpcLattice::AuthP"),
        (
            "/other",
            "NONE",
            404,
            None,
            "no listener rule of the service shop matches, and its default action invokes no",
        ),
    ],
)
def test_request_that_reaches_no_function_is_reported_with_the_cause(
    tmp_path: Path, target: str, auth: str, status: int, reason: str | None, cause: str
) -> None:
    observer, _, sent_status = sent(tmp_path, target, auth=auth)
    (request,) = observer.requests
    assert (request.status, sent_status, observer.invoked) == (status, status, [])
    assert (request.refusal.reason if request.refusal else None) == reason
    assert cause in (request.fixed or request.refusal.cause)


@pytest.mark.parametrize(
    ("signer", "advice"),
    [
        (None, "the request is not signed. Fix: sign it, or change the policy"),
        (
            Signer(parse_arn(CALLER)),
            f"the caller is {CALLER}. Fix: change the policy, or sign as another caller",
        ),
    ],
)
def test_caller_that_the_policy_refused_is_named(tmp_path: Path, signer: Signer | None, advice: str) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("AUTH", "AWS_IAM") + POLICY, encoding="utf-8")
    plan = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    assert _advice(plan.services[0], signer) == advice


def test_request_with_an_unexpected_error_is_reported_too(tmp_path: Path) -> None:
    """Trap D9: a request that was never reported would be kept for ever."""
    observer = Observer()
    with pytest.raises(ZeroDivisionError):
        sent(tmp_path, "/orders", ZeroDivisionError(), observer=observer)
    assert [request.status for request in observer.requests] == [500]
