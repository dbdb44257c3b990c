"""The inspector of a real stack: its URL, what it shows, replay, and its end."""

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


class Inspected:
    """A stack with the API of its inspector."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        line = next(line for line in stack.lines if line.get("message") == "listening")
        url, _, self.token = line["inspector"].partition("/#token=")
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

asyncio.run(run(int(sys.argv[2]) if sys.argv[2:] else None))
"""


def started(folder: Path, *port: str) -> tuple[dict[str, list[str]], str]:
    """The words of a stack's own lines, and its whole output."""
    for name, text in (("template.yaml", TEMPLATE), ("bridge.toml", MAP), ("app.py", CODE)):
        (folder / name).write_text(text, encoding="utf-8")
    arguments = [sys.executable, "-c", SCRIPT, str(folder / "template.yaml"), *port]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    words = [line.split() for line in done.stdout.splitlines()]
    return {name: rest for name, *rest in filter(None, words) if name in ("loaded", "url")}, done.stdout + done.stderr


def test_stack_without_the_option_has_no_inspector(tmp_path: Path) -> None:
    """Nothing of it is imported: without it, the start and each request are as they were."""
    found, _ = started(tmp_path)
    assert found == {"loaded": ["lattice_bridge.local.inspector.observer"], "url": ["None"]}


def test_port_in_use_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        found, output = started(tmp_path, str(used))
    port = found["url"][0].partition(".localhost:")[2].partition("/")[0]
    assert port != str(used)
    assert f"Port {used} is in use: the inspector listens on port {port} instead." in output
