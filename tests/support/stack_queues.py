"""Queues of a real stack: boto3 as a client, what a queue contains, and what functions have printed about messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3

from lattice_bridge.testing import LocalStack


def client(stack: LocalStack, key: str = "local", secret: str = "local", service: str = "sqs") -> Any:
    """boto3 for the stack's AWS endpoint."""
    return _session().client(
        service,
        endpoint_url=stack.process.lambda_url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@cache
def _session() -> Any:
    """One session for all clients: it reads the model of a service once."""
    return boto3.session.Session()


def url_of(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def received(sqs: Any, name: str) -> dict[str, Any]:
    """The next message of a queue, which is deleted."""
    url = url_of(sqs, name)
    found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, AttributeNames=["All"], MessageAttributeNames=["All"])
    (message,) = found["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(message)


def lines(stack: LocalStack, wanted: Callable[[dict[str, Any]], bool], count: int) -> list[dict[str, Any]]:
    """Waits until the stack has so many lines of this kind, and returns them in order."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = [line for line in list(stack.process.lines) if wanted(line)]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} such lines in {stack.process.lines}")


def printed(stack: LocalStack, word: str, count: int) -> list[str]:
    """Waits until functions have printed so many lines with the word, and returns them in order."""
    return [str(line["line"]) for line in lines(stack, lambda line: word in str(line.get("line", "")), count)]


def records_of(stack: LocalStack) -> list[dict[str, Any]]:
    """The log lines of records that routers have written until now."""
    found = [line["object"] for line in list(stack.process.lines) if "object" in line]
    return [one for one in found if one.get("message") == "record"]
