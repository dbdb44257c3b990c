"""The testing kit for functions behind VPC Lattice, with the bridge or without it. It needs the extra `testing`.

Rule: it gives tests the bridge's and the local stack's own code, and has no second implementation; see docs/testing.md.

builders        the event that Lattice makes of a request
queue_events    the event that Lambda makes of messages of a queue
stream_events   the events that Lambda makes of records of a Kinesis stream, and of changes of a DynamoDB table
bus_events      the event that EventBridge sends, and the list that its Pipes send
aggregates      what the Kinesis Producer Library makes of several records
corpus          events and replies as files
replies         checks of a reply
departures      checks of an event
fakes, issuer   servers that a test scripts
queues          the local SQS, in this process
stack           the local stack, in a process of its own
strategies      Hypothesis strategies; imported by their own name, since the rest needs no Hypothesis
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lattice_bridge.testing.builders import gateway_event, lattice_event, lattice_headers
from lattice_bridge.testing.bus_events import eventbridge_event, pipe_event
from lattice_bridge.testing.corpus import Case, all_events, load_event
from lattice_bridge.testing.queue_events import sqs_event, sqs_record
from lattice_bridge.testing.replies import assert_valid_reply
from lattice_bridge.testing.stream_events import dynamodb_event, dynamodb_record, kinesis_event, kinesis_record

if TYPE_CHECKING:
    from lattice_bridge.testing.fakes import FakeLambda
    from lattice_bridge.testing.issuer import Issuer
    from lattice_bridge.testing.queues import LocalQueue, LocalQueues
    from lattice_bridge.testing.stack import LocalStack

__all__ = [
    "Case",
    "FakeLambda",
    "Issuer",
    "LocalQueue",
    "LocalQueues",
    "LocalStack",
    "all_events",
    "assert_valid_reply",
    "dynamodb_event",
    "dynamodb_record",
    "eventbridge_event",
    "gateway_event",
    "kinesis_event",
    "kinesis_record",
    "lattice_event",
    "lattice_headers",
    "load_event",
    "pipe_event",
    "sqs_event",
    "sqs_record",
]

_SERVERS = {
    "FakeLambda": "fakes",
    "Issuer": "issuer",
    "LocalQueue": "queues",
    "LocalQueues": "queues",
    "LocalStack": "stack",
}
"""Class → module that is imported at its first use: most tests need none, and their import is slow."""


def __getattr__(name: str) -> Any:
    if name not in _SERVERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_SERVERS[name]}"), name)
