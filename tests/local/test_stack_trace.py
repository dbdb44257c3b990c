"""X-Ray traces: the backend continues the bridge's trace, and each request has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(params=["direct", "boto3"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalStack]:
    template = (ROOT / "tests" / "stranger" / "bridge" / "template.yaml").read_text(encoding="utf-8")
    for old, new in {
        "lattice_bridge.main.handler": "app.handler",
        "FunctionName: orders": "FunctionName: backend",
    }.items():
        assert old in template
        template = template.replace(old, new)
    (tmp_path / "template.yaml").write_text(template)
    (tmp_path / "bridge.toml").write_text(CONFIG.replace("INVOKER", request.param))
    (tmp_path / "app.py").write_text(BRIDGE)
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "app.py").write_text(BACKEND)
    with LocalStack(tmp_path / "template.yaml", {"AuthType": "NONE"}) as running:
        yield running


def test_backend_continues_the_trace_of_its_request(stack: LocalStack) -> None:
    answers = [stack.get("/", {"x-tenant-id": "blue"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.text for answer in answers] == [answer.headers["x-of-the-bridge"] for answer in answers]
    assert answers[0].text != answers[1].text
    assert answers[0].text.startswith("Root=1-")
