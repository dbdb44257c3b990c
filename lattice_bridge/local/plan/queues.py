"""Queues of Amazon SQS and the event source mappings that read them, as values.

Rule: values only. `readers.queues` and `readers.event_source_mappings` make them from a template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lattice_bridge.events.sqs import FIFO
from lattice_bridge.local.plan.event_pattern import Pattern, matches


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the template.

    Attributes:
        id: its logical id.
        name: that SQS has for it.
        arn: as in events.
        address: the queue URL that the template's `!Ref` gives. The stack replaces it by one of its own endpoint.
        attributes: as in CreateQueue, such as `VisibilityTimeout`; without those that the template leaves to SQS.
    """

    id: str
    name: str
    arn: str
    address: str
    attributes: Mapping[str, str]

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of each message group."""
        return self.name.endswith(FIFO)

    @property
    def visibility_timeout(self) -> int:
        """Seconds for which a received message is hidden from other consumers."""
        return int(self.attributes.get("VisibilityTimeout", "30"))

    @property
    def dead_letters(self) -> tuple[str, int] | None:
        """The ARN of its dead-letter queue, and how often a message is received before it moves there."""
        if "RedrivePolicy" not in self.attributes:
            return None
        policy = json.loads(self.attributes["RedrivePolicy"])
        return str(policy["deadLetterTargetArn"]), int(policy["maxReceiveCount"])

    @property
    def deduplicates_content(self) -> bool:
        """Whether a message needs no deduplication id."""
        return self.attributes.get("ContentBasedDeduplication") == "true"

    @property
    def path(self) -> str:
        """The path of its URL at an endpoint: `/ACCOUNT/NAME`."""
        return f"/{self.arn.split(':')[4]}/{self.name}"


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """An event source mapping: Lambda polls a queue, and invokes a function with batches of its messages.

    Attributes:
        id: its logical id.
        queue: ARN of the queue.
        function: that it invokes, as a name or ARN, with an optional alias.
        batch_size: the highest number of messages of an invocation.
        window: seconds for which it waits until a batch is full; 0 to invoke at once.
        maximum_concurrency: of its invocations; None for no limit of its own.
        reports_failures: the function's answer names the messages that failed (`ReportBatchItemFailures`).
        filters: a message has to match one of them; no filter if empty.
        enabled: whether it polls.
    """

    id: str
    queue: str
    function: str
    batch_size: int = 10
    window: float = 0.0
    maximum_concurrency: int | None = None
    reports_failures: bool = False
    filters: tuple[Pattern, ...] = ()
    enabled: bool = True

    def takes(self, body: str) -> bool:
        """Whether a message with this body is passed to the function. Lambda deletes the others.

        A body that is JSON is compared with a pattern of objects, and one that is not JSON with a list of texts. With a
        pattern of the other kind, Lambda drops the message.
        """
        return not self.filters or any(_matches(pattern, body) for pattern in self.filters)


def _matches(pattern: Pattern, body: str) -> bool:
    compared: Any = body
    try:
        parsed = json.loads(body)
        is_json = isinstance(parsed, dict | list)
    except (ValueError, RecursionError):
        parsed, is_json = None, False
    if isinstance(pattern.get("body"), Mapping):
        if not is_json:
            return False
        compared = parsed
    elif "body" in pattern and is_json:
        return False
    return matches(pattern, {"body": compared})
