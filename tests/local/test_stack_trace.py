"""One request in the logs of bridge and backend: X-Ray traces, and Lambda's request id of a failed call."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT

BRIDGE = """
import os
from lattice_bridge.main import handler as bridge

def handler(event, context):
    reply = bridge(event, context)
    reply["headers"]["x-of-the-bridge"] = os.environ["_X_AMZN_TRACE_ID"]
    return reply
"""
BACKEND = """
import os

def handler(event, context):
    if event["path"] == "/raises":
        print(f"own id: {context.aws_request_id}.")
        raise RuntimeError
    return {"statusCode": 200, "body": os.environ["_X_AMZN_TRACE_ID"]}
"""
CONFIG = """
invoker = "INVOKER"

[[backend]]
function = "backend"

[tenants]
blue = {}

[[rule]]
id = "open"
anyone = true
tenants = "*"
accept_risk = "a test"
"""


@pytest.fixture(scope="module", params=["direct", "boto3"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("traced")
    template = (ROOT / "tests" / "stranger" / "bridge" / "template.yaml").read_text(encoding="utf-8")
    for old, new in {
        "lattice_bridge.main.handler": "app.handler",
        "FunctionName: orders": "FunctionName: backend",
    }.items():
        assert old in template
        template = template.replace(old, new)
    (folder / "template.yaml").write_text(template)
    (folder / "bridge.toml").write_text(CONFIG.replace("INVOKER", request.param))
    (folder / "app.py").write_text(BRIDGE)
    (folder / "requirements.txt").write_text("lattice-bridge\n")
    (folder / "orders").mkdir()
    (folder / "orders" / "app.py").write_text(BACKEND)
    with LocalStack(folder / "template.yaml", {"AuthType": "NONE"}) as running:
        yield running


def test_backend_continues_the_trace_of_its_request(stack: LocalStack) -> None:
    answers = [stack.get("/", {"x-tenant-id": "blue"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.text for answer in answers] == [answer.headers["x-of-the-bridge"] for answer in answers]
    assert answers[0].text != answers[1].text
    assert answers[0].text.startswith("Root=1-")


def test_log_line_of_a_failed_call_has_the_functions_own_request_id(stack: LocalStack) -> None:
    assert stack.get("/raises", {"x-tenant-id": "blue"}).status == 502
    assert stack.printed("backend_raised", "Bridge")
    lines = [json.loads(line) for line in stack.output("Bridge") if "backend_raised" in line]
    found = {line["lambdaRequestId"] for line in lines if line.get("message") == "request"}
    assert len(found) == 1
    assert stack.printed(f"own id: {found.pop()}.", "backend")
