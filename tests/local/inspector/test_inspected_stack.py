"""The inspector of a real stack, by its API and in a browser: its URL, what it shows, replay, and its end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Window
from tests.support.endpoint import client
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running, wait_until

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
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: worker
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      Events: {Messages: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 1}}}
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
CODE = """
def handler(event, context):
    print("tenant", context.tenant_id)
    return {"statusCode": 200, "body": context.tenant_id or "none"}
"""


MESSAGES = 60


class Inspected:
    """A stack with the API of its inspector."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        line = next(line for line in stack.lines if line.get("message") == "listening")
        self.page_url: str = line["inspector"]
        url, _, self.token = self.page_url.partition("/#token=")
        self.url = f"http://127.0.0.1:{url.rpartition(':')[2]}"  # only browsers resolve every name of localhost

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read())
        except HTTPError as error:
            with error:
                raise AssertionError(error.read()) from error

    def ended(self, number: int) -> Any:
        """The summary of an entry that has ended."""
        wait_until(lambda: self.ask("GET", f"entries/{number}")["summary"]["state"] == "ended")
        return self.ask("GET", f"entries/{number}")["summary"]

    def page(self) -> socket.socket:
        """The connection of a page that is open."""
        connection = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=20)
        head = f"GET /api/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self.token}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        return connection

    def last(self) -> int:
        """The number of the newest entry, as a stream begins with it."""
        request = urllib.request.Request(f"{self.url}/api/stream", headers={"authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            data = next(line for line in response if line.startswith(b"data: "))
        return int(max(entry["n"] for entry in json.loads(data[6:])["entries"]))


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspected]:
    folder: Path = tmp_path_factory.mktemp("inspected")
    for name, text in (("template.yaml", TEMPLATE), ("bridge.toml", MAP), ("app.py", CODE)):
        (folder / name).write_text(text, encoding="utf-8")
    with running("--inspect", template=folder / "template.yaml") as stack:
        inspected = Inspected(stack)
        yield inspected
        page = inspected.page()
    with page, page.makefile("rb") as rest:  # an open page does not delay the end of the stack, and is ended by it
        assert rest.read().endswith(b"0\r\n\r\n")


def test_request_is_shown_and_replayed_as_another_tenant(inspected: Inspected) -> None:
    answer = inspected.stack.get("/orders?x=1", {"x-tenant-id": "blue"})
    assert answer.body == b"blue"
    number = inspected.last()
    entry = inspected.ended(number)
    assert (entry["path"], entry["tenant"], entry["status"], entry["function"]) == ("/orders", "blue", 200, "orders")
    copy = inspected.ask("POST", "replay", {"n": number, "tenant": "green"})["n"]
    replayed = inspected.ended(copy)
    assert (replayed["replay_of"], replayed["tenant"], replayed["outcome"]) == (number, "green", "ok")
    table = inspected.ask("GET", f"entries/{copy}/copy?as=test")["text"]
    assert table == '[[test]]\nheader = "green"\nexpect = "green"\n'


def test_what_runs_is_shown(inspected: Inspected) -> None:
    inspected.stack.get("/orders", {"x-tenant-id": "blue"})
    found = inspected.ask("GET", "runs")
    blue = next(one for one in found["environments"] if one["tenant"] == "blue")
    label = f"{blue['function']}/blue#{blue['slot']}"
    found = inspected.ask("GET", f"runs?log={quote(label, safe='')}")
    environment = next(one for one in found["environments"] if one["tenant"] == "blue")
    assert environment["state"] in ("idle", "busy")
    assert environment["memory"] > 2**20
    assert "tenant blue" in environment["log"]
    assert [rule["id"] for rule in found["map"][0]["rules"]] == ["open"]
    assert {one["name"]: one["dead_letters"] for one in found["queues"]} == {"dead": None, "queue": "dead"}


def test_message_is_shown_and_put_into_its_queue_again(inspected: Inspected) -> None:
    sqs = client(inspected.stack.lambda_url, "sqs")
    sqs.send_message(QueueUrl=f"{inspected.stack.lambda_url}/123456789012/queue", MessageBody="hello")
    before = inspected.last()
    wait_until(lambda: inspected.ask("GET", f"entries/{inspected.last()}")["summary"]["way"] == "queue")
    number = inspected.last()
    assert number >= before
    edit = inspected.ask("GET", f"entries/{number}")["came_in"]["edit"]
    assert (edit["body"]["text"], edit["attributes"], edit["group_name"]) == ("hello", {}, "group")
    copy = inspected.ask("POST", "replay", {"n": number, "attributes": {"a": "b"}})["n"]
    assert inspected.ended(copy)["replay_of"] == number
    assert inspected.ask("GET", f"entries/{copy}")["came_in"]["edit"]["attributes"] == {"a": "b"}


def test_invocation_is_shown_and_repeated_for_another_tenant(inspected: Inspected) -> None:
    assert inspected.stack.invoke("orders", {"n": 1}, tenant="blue").status == 200
    number = inspected.last()
    assert inspected.ended(number)["way"] == "invoke"
    changes = {"n": number, "tenant": "green", "payload": {"text": '{"n": 2}'}}
    copy = inspected.ended(inspected.ask("POST", "replay", changes)["n"])
    assert (copy["way"], copy["tenant"], copy["outcome"], copy["replay_of"]) == ("invoke", "green", "ok", number)


def test_state_names_the_stack(inspected: Inspected) -> None:
    found = inspected.ask("GET", "state")
    assert (found["front"], found["aws"]) == (inspected.stack.front, inspected.stack.lambda_url)
    assert (found["title"], found["header"], found["mode"]) == ("template.yaml", "x-tenant-id", "live")
    assert found["example"].endswith(f" {inspected.stack.front}/")
    assert found["example"].startswith("curl ")


def test_make_run_has_the_inspector() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "lattice-bridge local --inspect " in text.partition("\nrun:")[2].partition("\n\n")[0]


# ---- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(window: Window, inspected: Inspected) -> Iterator[Page]:
    with window.opened(inspected.page_url) as found:
        yield found


def test_request_appears_and_is_sent_again_as_another_tenant(page: Page, inspected: Inspected) -> None:
    inspected.stack.get("/orders/17?x=1", {"x-tenant-id": "blue"})
    first = page.locator("[role=option]").filter(has_text="/orders/17").first
    expect(first).to_contain_text("blue")
    first.click()
    page.get_by_role("tab", name="Payload").click()
    expect(page.locator(".invocation h3")).to_have_text(["orders"])
    for name, wanted in (("curl", "/orders/17?x=1"), ("[[test]]", 'expect = "blue"')):
        page.get_by_role("button", name=f"Copy as {name}").click()
        expect(page.get_by_role("button", name=f"Copy as {name}")).to_have_text("Copied")
        assert wanted in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Edit and replay").click()
    page.get_by_label("Tenant asked for").fill("green")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("group", name="Comparison")).to_contain_text("allowed: green")
    expect(page.locator("[role=option]").filter(has_text="↻ /orders/17")).to_contain_text("green")


def test_all_messages_of_a_dead_letter_queue_are_shown_and_sent_back(page: Page, inspected: Inspected) -> None:
    """More than one answer of the server has."""
    stack = inspected.stack
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


def test_hostile_request_is_shown_and_one_with_too_many_headers_is_refused(page: Page, inspected: Inspected) -> None:
    """Trap G2: a path with markup and an escape sequence, a body of 6 MB, 10,000 headers. No script runs."""
    headers = {"x-tenant-id": "blue", "content-type": "text/plain"}
    hostile = b"<script>alert(1)</script>\x1b[31m" + b"x" * (5_500_000)
    answer = inspected.stack.get(f"/{quote('<script>')}%1b%5b31m", headers, hostile, "POST")
    row = page.locator("[role=option]").filter(has_text="script").first
    row.click()
    expect(page.locator("#detail .badge")).to_have_text(str(answer.status))
    page.get_by_role("tab", name="Came in").click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("<script>alert(1)</script>⟨ESC⟩[31m")
    expect(panel).to_contain_text("5.5 MB · the first")
    assert page.locator("#page script").count() == 0
    many = "".join(f"x-{number}: 1\r\n" for number in range(10_000))
    with socket.create_connection(("127.0.0.1", int(inspected.stack.front.rpartition(":")[2])), timeout=20) as found:
        found.sendall(f"GET /many HTTP/1.1\r\nhost: localhost\r\n{many}\r\n".encode())
        assert found.recv(13).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    inspected.stack.get("/after", headers)
    expect(page.locator("[role=option]").filter(has_text="/after")).to_be_visible()


# ---- its start -------------------------------------------------------------------------------------------------------


ALONE = """
Resources:
  Bridge:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: bridge, Handler: lattice_bridge.main.handler, Runtime: python3.13, Code: ., Role: bridge}
"""
"""A template that AWS's translator does not have to read: to import it takes a third of this test."""
SCRIPT = """
import asyncio, sys
from pathlib import Path
from lattice_bridge.local.definition import read_definition
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.stack import Options, serve

async def run(inspect):
    definition, log = read_definition(Path(sys.argv[1]), {}, "eu-west-1"), LogWriter(as_json=True, colour=False)
    async with serve(definition, Options(port=0, aws_port=0, inspect=inspect), log) as stack:
        print("loaded", *(name for name in sys.modules if "local.inspector." in name))
        print("url", stack.inspector_url)

asyncio.run(run(None))
asyncio.run(run(int(sys.argv[2])))
"""


def test_stack_without_the_option_has_no_inspector_and_one_with_it_takes_a_free_port(tmp_path: Path) -> None:
    """Nothing of it is imported without the option: the start and each request are as they were."""
    for name, text in (("template.yaml", ALONE), ("bridge.toml", MAP)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "template.yaml"), str(used)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    loaded = [line.split()[1:] for line in lines if line.startswith("loaded")]
    without, url = (line.partition(" ")[2] for line in lines if line.startswith("url"))
    assert (loaded[0], without) == (["lattice_bridge.local.inspector.observer"], "None")
    port = url.partition(".localhost:")[2].partition("/")[0]
    assert port != str(used)
    assert f"Port {used} is in use: the inspector listens on port {port} instead." in done.stdout + done.stderr
