"""The inspector's page over a running stack: replay, copies, a redrive, and a page that may not look."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Window, chromium
from tests.support.endpoint import client
from tests.support.stack import RunningStack, running

TEMPLATE = """
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: bridge, Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Dead: {Type: "AWS::SQS::Queue", Properties: {QueueName: dead}}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: queue
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 1}
  Group:
    Type: AWS::VpcLattice::TargetGroup
    Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Bridge.Arn}]}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: shop}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      Protocol: HTTP
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group}]}}
"""
MAP = """
[[backend]]
function = "orders"
[tenants]
blue = {}
green = {}
[[rule]]
id = "open"
anyone = true
tenants = "*"
accept_risk = "a test"
"""
CODE = 'def handler(event, context):\n    return {"statusCode": 200, "body": context.tenant_id}\n'
MESSAGES = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("seen")
    for name, text in (("template.yaml", TEMPLATE), ("bridge.toml", MAP), ("app.py", CODE)):
        (folder / name).write_text(text, encoding="utf-8")
    with running("--inspect", template=folder / "template.yaml") as found:
        yield found


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(window: Window, stack: RunningStack) -> Iterator[Page]:
    with window.opened(url_of(stack)) as found:
        yield found


def url_of(stack: RunningStack) -> str:
    return str(next(line["inspector"] for line in stack.lines if line.get("message") == "listening"))


def test_request_appears_and_is_sent_again_as_another_tenant(page: Page, stack: RunningStack) -> None:
    stack.get("/orders?x=1", {"x-tenant-id": "blue"})
    first = page.locator("[role=option]").filter(has_text="/orders").first
    expect(first).to_contain_text("blue")
    first.click()
    page.get_by_role("tab", name="Payload").click()
    expect(page.locator(".invocation h3")).to_have_text(["orders"])
    for name, wanted in (("curl", "/orders?x=1"), ("[[test]]", 'expect = "blue"')):
        page.get_by_role("button", name=f"Copy as {name}").click()
        expect(page.get_by_role("button", name=f"Copy as {name}")).to_have_text("Copied")
        assert wanted in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Edit and replay").click()
    page.get_by_label("Tenant asked for").fill("green")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("group", name="Comparison")).to_contain_text("allowed: green")
    expect(page.locator("[role=option]").filter(has_text="↻ /orders")).to_contain_text("green")


def test_all_messages_of_a_dead_letter_queue_are_shown_and_sent_back(page: Page, stack: RunningStack) -> None:
    """More than one answer of the server has."""
    sqs = client(stack.lambda_url, "sqs")
    url = f"{stack.lambda_url}/123456789012/dead"
    for start in range(0, MESSAGES, 10):
        entries = [{"Id": str(n), "MessageBody": json.dumps({"n": start + n})} for n in range(10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    page.get_by_role("button", name="What runs").click()
    page.get_by_role("button", name="Messages of dead").click()
    expect(page.locator(".message")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".message")).to_have_count(MESSAGES)
    page.get_by_role("button", name="Redrive dead").click()
    expect(page.get_by_role("region", name="Queues")).to_contain_text("of dead")


def test_page_of_another_origin_reads_nothing(window: Window, stack: RunningStack, tmp_path: Path) -> None:
    """Trap G2: not even with the token, nor without CORS."""
    (tmp_path / "index.html").write_text("<!doctype html><title>foreign</title><link rel=icon href='data:,'>")
    handler = partial(_Quiet, directory=str(tmp_path))
    origin, _, token = url_of(stack).partition("/#token=")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with window.opened(f"http://127.0.0.1:{server.server_port}/", expects="") as page:
            ask = """([url, options]) => fetch(url, options).then((response) => response.type, (error) => error.name)"""
            for headers in ({}, {"authorization": f"Bearer {token}"}):
                assert page.evaluate(ask, [f"{origin}/api/state", {"headers": headers}]) == "TypeError"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass
