"""The routers of AWS's blog post on the real stack: what docs/queues.md and docs/events.md say about them.

The bridge beside them is in test_stack_tenant_isolation.py and test_stack_events_example.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT
from tests.support.stack_queues import client, lines, received, url_of

PROJECT: Final = ROOT / "tests" / "stranger" / "blog_routers"
TRIES: Final = 3
"""`maxReceiveCount` of each queue, and the tries of Lambda."""

QUEUES: Final[dict[str, dict[str, tuple[int, str | None]]]] = {
    "no-group": {"before": (1, "blue"), "without": (1, None), "behind": (1, "green")},
    "no-tenant-id": {"ahead": (1, "blue"), "bad": (1, "tenant#blue"), "after": (1, "green")},
    "others": {"unregistered": (1, "red"), "other sender": (1, "blue"), "fails": (0, "yellow")},
    "waiting": {"fails, awaited": (0, "yellow"), "good": (1, "yellow")},
}
"""Queue → its one batch: order → quantity and message group."""

FAILING: Final = ("no-group", "no-tenant-id")
"""Queues whose batch fails."""

EVENTS: Final[dict[str, tuple[str, int, str | None, int]]] = {
    "event without": ("Event", 1, None, TRIES),
    "bad event": ("Event", 1, "tenant#blue", TRIES),
    "unregistered event": ("Event", 1, "red", 1),
    "failing event": ("Event", 0, "blue", 1),
    "failing event, awaited": ("RequestResponse", 0, "blue", 1),
}
"""Order → the invocation type of its router, its quantity, its tenant, and how often its router is tried."""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(PROJECT / "template.yaml", options=["--async-retry", "0.1"]) as stack:
        yield stack


@pytest.fixture(scope="module")
def dead(stack: LocalStack) -> list[str]:
    """Sends every message, and lets those come again that failed. The orders that became dead letters.

    One queue after another: a router imports boto3 in each environment, and so needs one environment alone.
    """
    sqs = client(stack)
    for queue, messages in QUEUES.items():
        entries: list[dict[str, Any]] = []
        for number, (order, (quantity, group)) in enumerate(messages.items()):
            body = json.dumps({"order": order, "quantity": quantity})
            entries.append({"Id": str(number), "MessageBody": body} | ({"MessageGroupId": group} if group else {}))
        sqs.send_message_batch(QueueUrl=url_of(sqs, queue), Entries=entries)
        for attempt in range(1, 1 + (TRIES if queue in FAILING else 0)):
            lines(stack, partial(is_failed_batch, queue), attempt)
            receipts = lines(stack, partial(has_receipts, queue), attempt)[-1]["object"]["receipts"].values()
            shown = [
                {"Id": str(one), "ReceiptHandle": each, "VisibilityTimeout": 0} for one, each in enumerate(receipts)
            ]
            sqs.change_message_visibility_batch(QueueUrl=url_of(sqs, queue), Entries=shown)
        lines(stack, partial(is_batch, queue), 1)
    return sorted(json.loads(received(sqs, "dead")["Body"])["order"] for _ in range(2 * len(QUEUES["no-group"])))


@pytest.fixture(scope="module")
def tries(stack: LocalStack) -> list[list[dict[str, Any]]]:
    """Publishes one event after another. For each, the lines of Lambda's tries to invoke its router, in order."""
    buses, count = client(stack, service="events"), 0
    for order, (kind, quantity, tenant, often) in EVENTS.items():
        detail = {"order": order, "quantity": quantity} | ({"tenant": tenant} if tenant else {})
        entry = {"EventBusName": "shop", "Source": "shop", "DetailType": kind, "Detail": json.dumps(detail)}
        assert buses.put_events(Entries=[entry])["FailedEntryCount"] == 0
        count += often
        lines(stack, is_try_of_router, count)
    found = sorted(lines(stack, is_try_of_router, count), key=itemgetter("requestId"))
    return [list(one) for _, one in groupby(found, key=itemgetter("requestId"))]


def is_batch(queue: str, line: dict[str, Any]) -> bool:
    return line.get("message") == "batch" and line["queue"] == queue


def is_failed_batch(queue: str, line: dict[str, Any]) -> bool:
    return is_batch(queue, line) and bool(line["failed"])


def has_receipts(queue: str, line: dict[str, Any]) -> bool:
    return bool(line.get("object", {}).get("queue") == queue)


def is_try_of_router(line: dict[str, Any]) -> bool:
    return line.get("message") == "asynchronous invocation" and str(line["function"]).endswith("-router")


def is_run(order: str, line: dict[str, Any]) -> bool:
    return bool(line.get("object", {}).get("ran") == order)


def runs(stack: LocalStack, order: str, count: int = 0) -> list[str]:
    """The tenants as which the function has run an order, as soon as it has done so this often."""
    return [line["object"]["tenant"] for line in lines(stack, partial(is_run, order), count)]


# ---- SQS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", FAILING)
def test_message_without_a_good_tenant_takes_its_neighbours_to_the_dead_letters(
    stack: LocalStack, dead: list[str], queue: str
) -> None:
    before, bad, behind = QUEUES[queue]
    assert {before, bad, behind} <= set(dead)
    assert runs(stack, before, TRIES) == ["blue"] * TRIES
    assert (runs(stack, bad), runs(stack, behind)) == ([], [])


@pytest.mark.usefixtures("dead")
def test_tenant_of_a_message_is_not_checked(stack: LocalStack) -> None:
    assert (runs(stack, "unregistered", 1), runs(stack, "other sender", 1)) == (["red"], ["blue"])


@pytest.mark.parametrize(("queue", "order", "count"), [("others", "fails", TRIES), ("waiting", "fails, awaited", 1)])
def test_message_on_which_the_function_fails_is_lost(
    stack: LocalStack, dead: list[str], queue: str, order: str, count: int
) -> None:
    """Trap E16: the router awaits no result, or does not read that of a failed function."""
    assert runs(stack, order, count) == ["yellow"] * count
    assert [line["failed"] for line in lines(stack, partial(is_batch, queue), 1)] == [[]]
    counts = client(stack).get_queue_attributes(QueueUrl=url_of(client(stack), queue), AttributeNames=["All"])
    left = [value for name, value in counts["Attributes"].items() if name.startswith("ApproximateNumber")]
    assert (set(left), order in dead) == ({"0"}, False)


# ---- EventBridge ----------------------------------------------------------------------------------------------------


def test_event_without_a_good_tenant_is_tried_three_times_and_lost(tries: list[list[dict[str, Any]]]) -> None:
    assert sorted(len(one) for one in tries) == [1, 1, 1, TRIES, TRIES]
    assert [one[-1].get("lost", False) for one in sorted(tries, key=len)] == [False, False, False, True, True]
    errors = {str(one[-1]["error"]).partition(":")[0] for one in tries if len(one) == TRIES}
    assert errors == {"ValueError", "ClientError"}


@pytest.mark.usefixtures("tries")
def test_event_without_a_tenant_is_in_the_log_as_a_whole(stack: LocalStack) -> None:
    """Trap E24."""
    found = [str(line.get("line")) for line in list(stack.process.lines) if "event without" in str(line.get("line"))]
    assert len(found) == TRIES
    assert all('"detail": {"order": "event without", "quantity": 1}' in one for one in found)


@pytest.mark.usefixtures("tries")
@pytest.mark.parametrize(
    ("order", "tenant", "count"),
    [("unregistered event", "red", 1), ("failing event", "blue", TRIES), ("failing event, awaited", "blue", 1)],
)
def test_event_runs_and_is_done_for_its_router(stack: LocalStack, order: str, tenant: str, count: int) -> None:
    """Trap E16: also if the function fails. It has no failure destination, so the event is lost."""
    assert runs(stack, order, count) == [tenant] * count
    assert runs(stack, "bad event") == []
