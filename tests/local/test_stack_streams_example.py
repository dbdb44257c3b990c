"""examples/streams on the real stack: what its README and docs/streams.md say about each record that put.py puts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.modules import module
from tests.support.paths import ROOT
from tests.support.stack_queues import client, lines, printed, received

FOLDER: Final = ROOT / "examples" / "streams"
QUARANTINED: Final = 3
"""Records of put.py that no retry can help."""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """The stack after Lambda has given up the batch of the failing click."""
    with LocalStack(FOLDER / "template.yaml") as stack:
        module(FOLDER / "put.py").put(client(stack, service="kinesis"), client(stack, service="dynamodb"))
        lines(stack, lambda line: line.get("object", {}).get("status") == "quarantined", QUARANTINED)
        printed(stack, "placed → shipped", 1)
        yield stack


@pytest.fixture(scope="module")
def failed(stack: LocalStack) -> dict[str, Any]:
    """The message about the batch that Lambda has given up."""
    return dict(json.loads(received(client(stack), "streams-failed")["Body"]))


@pytest.fixture(scope="module")
def copies(stack: LocalStack) -> dict[str, dict[str, Any]]:
    """Reason → copy in the quarantine, which is deleted."""
    found = [received(client(stack), "streams-quarantine") for _ in range(QUARANTINED)]
    return {json.loads(one["MessageAttributes"]["lattice-bridge"]["StringValue"])["reason"]: one for one in found}


def redriven(stack: LocalStack, queue: str) -> int:
    connect = partial(_client, stack)
    return int(module(FOLDER / "redrive.py").redrive(connect, "Bridge:live", queue))


def _client(stack: LocalStack, service: str) -> Any:
    return client(stack, service=service)


@pytest.mark.usefixtures("failed")
def test_each_record_runs_under_the_tenant_that_it_names(stack: LocalStack) -> None:
    """Trap E1, E11: the click of blue behind the failing one does not run, and that of another visitor does."""
    outputs = {str(line["line"]) for line in list(stack.process.lines) if "line" in line}
    assert outputs >= {
        *("blue: click 1, on /home", "green: click 1, on /home", "green: click 2, on /cart"),
        *("blue: order b-1, - → placed", "blue: order b-1, placed → shipped", "green: order g-1, - → placed"),
    }
    assert not [line for line in outputs if line.startswith("blue: click 2,")]


def test_poison_is_in_the_quarantine_as_it_was_and_stops_no_shard(copies: dict[str, dict[str, Any]]) -> None:
    """Trap E22, E23."""
    bodies = {reason: json.loads(copy["Body"]) for reason, copy in copies.items()}
    assert bodies.keys() == {"claim_missing", "tenant_suspended", "tenant_not_allowed"}
    assert bodies["claim_missing"]["kinesis"]["partitionKey"] == "visitor-3"
    assert bodies["tenant_not_allowed"]["dynamodb"]["Keys"]["tenant"] == {"S": "purple"}


def test_batch_that_lambda_gave_up_begins_with_the_failing_click(failed: dict[str, Any]) -> None:
    """Trap E30: two of its records had run, or never will without a person."""
    assert failed["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert failed["KinesisBatchInfo"]["batchSize"] == 3


def test_copy_that_is_given_to_the_bridge_is_refused_again_and_kept_again(
    stack: LocalStack, copies: dict[str, dict[str, Any]]
) -> None:
    """Trap E25: nothing in a copy allows a tenant."""
    sqs = client(stack)
    url = sqs.get_queue_url(QueueName="streams-quarantine")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=copies["tenant_suspended"]["Body"])
    assert redriven(stack, url) == 1
    again = received(sqs, "streams-quarantine")
    assert again["Body"] == copies["tenant_suspended"]["Body"]
    assert '"tenant_suspended"' in again["MessageAttributes"]["lattice-bridge"]["StringValue"]


def test_batch_that_is_given_to_the_bridge_is_read_from_the_stream(stack: LocalStack, failed: dict[str, Any]) -> None:
    """The function knows the sequence number of the click that had run. The failing one fails again, so all stay."""
    sqs = client(stack)
    url = sqs.get_queue_url(QueueName="streams-failed")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(failed))
    before = len([line for line in list(stack.process.lines) if "click 2 again" in str(line.get("line", ""))])
    assert redriven(stack, url) == 0
    printed(stack, "green: click 2 again, nothing to do", before + 1)
