"""The scenario of AWS's sample sqs-lambda-tenant-isolation-sam-py on the real stack: three tenants, and each fault.

docs/queues.md compares the two. Each of its statements about the bridge is an assertion here. The project is
tests/stranger/tenant_isolation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT
from tests.support.stack_queues import client, lines, received, records_of, url_of

PROJECT: Final = ROOT / "tests" / "stranger" / "tenant_isolation"
SHOP: Final = ("LOCALAROASHOPSHOPSHOPSHOP1", "aroashopshopshopshop1")
"""The key with which the stack lets boto3 send as the role of the rule."""

GOOD: Final = '{"quantity": 2}'
LARGE: Final = json.dumps({"quantity": 2, "note": "x" * 300_000})
"""The sample skips what has more than 256 KB."""

BATCH: Final[dict[str, tuple[str, str | None]]] = {
    "blue": (GOOD, "tenant-blue"),
    "green": (GOOD, "tenant-green"),
    "yellow": (GOOD, "tenant-yellow"),
    "bad JSON": ('{"quantity": ', "tenant-blue"),
    "no object": ("[2]", "tenant-green"),
    "no group": (GOOD, None),
    "unregistered": (GOOD, "tenant-red"),
    "no tenant id": (GOOD, "tenant#blue"),
    "fails": ('{"quantity": 0}', "tenant-green"),
    "large": (LARGE, "tenant-yellow"),
}
"""Name → body and group: one batch of the standard queue."""

GOOD_ONES: Final = {"blue": "tenant-blue", "green": "tenant-green", "yellow": "tenant-yellow", "large": "tenant-yellow"}
"""Messages of the batch that can be processed, with their tenants."""

ORDERED: Final[dict[str, tuple[str, str | None]]] = {
    "first": ('{"tenant": "tenant-blue", "quantity": 1}', "customer-1"),
    "fails": ('{"tenant": "tenant-blue", "quantity": 0}', "customer-1"),
    "bad JSON": ('{"tenant": "tenant-blue", ', "customer-1"),
    "last": ('{"tenant": "tenant-blue", "quantity": 4}', "customer-1"),
    "other group": ('{"tenant": "tenant-green", "quantity": 5}', "customer-2"),
}
"""Name → body and group: of the FIFO queue, in this order."""

RECEIVES: Final = 3
"""`maxReceiveCount` of both queues."""


@dataclass(frozen=True)
class Outcome:
    """All that became of the messages of one queue. Messages have their names instead of their ids."""

    attempts: list[str]
    """The messages with which the function was invoked, in order."""

    processed: list[dict[str, Any]]
    """The lines of the function about what it has processed, in order."""

    quarantine: dict[str, dict[str, Any]]
    """Message → its copy in the quarantine."""

    dead: list[str]
    """What the dead-letter queue received, in order."""

    left: int
    """Messages that the queue still has."""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(PROJECT / "template.yaml") as stack:
        yield stack


@pytest.fixture(scope="module")
def names(stack: LocalStack) -> dict[str, dict[str, str]]:
    """Sends everything at once. Queue → id of a message → its name."""
    shop, other = client(stack, *SHOP), client(stack)
    standard = send(shop, "orders", BATCH)
    forged = other.send_message(QueueUrl=url_of(other, "orders"), MessageBody=GOOD, MessageGroupId="tenant-blue")
    return {
        "orders": standard | {forged["MessageId"]: "other sender"},
        "orders.fifo": send(shop, "orders.fifo", ORDERED),
    }


def send(sqs: Any, queue: str, messages: dict[str, tuple[str, str | None]]) -> dict[str, str]:
    """Sends messages in one call. Returns their names by their ids."""
    entries = [{"Id": str(number), "MessageBody": body} for number, (body, _) in enumerate(messages.values())]
    for one, (_, group) in zip(entries, messages.values(), strict=True):
        one |= {"MessageGroupId": group} if group else {}
        one |= {"MessageDeduplicationId": one["Id"]} if queue.endswith(".fifo") else {}
    answer = sqs.send_message_batch(QueueUrl=url_of(sqs, queue), Entries=entries)
    return {found["MessageId"]: name for found, name in zip(answer["Successful"], messages, strict=True)}


@pytest.fixture(scope="module")
def standard(stack: LocalStack, names: dict[str, dict[str, str]]) -> Outcome:
    lines(stack, partial(is_step, step="processed", messages=names["orders"]), 4)
    retry(stack, names["orders"], "orders", "bad JSON", "no object", "fails")
    return outcome(stack, names["orders"], "orders", quarantined=4, dead=3)


@pytest.fixture(scope="module")
def ordered(stack: LocalStack, names: dict[str, dict[str, str]]) -> Outcome:
    lines(stack, partial(is_step, step="processed", messages=names["orders.fifo"]), 2)
    retry(stack, names["orders.fifo"], "orders.fifo", "fails")
    lines(stack, partial(is_step, step="processed", messages=names["orders.fifo"]), 3)
    return outcome(stack, names["orders.fifo"], "orders.fifo", quarantined=1, dead=1)


def is_step(line: dict[str, Any], step: str, messages: Container[str]) -> bool:
    """The function has printed this line about one of the messages."""
    found = line.get("object", {})
    return found.get("step") == step and found["id"] in messages


def retry(stack: LocalStack, names: dict[str, str], queue: str, *failing: str) -> None:
    """Makes messages visible again each time they have failed: no test waits for a visibility timeout."""
    sqs = client(stack)
    for receive, (message, name) in product(range(1, RECEIVES + 1), names.items()):
        if name in failing:
            record = {"message": "record", "id": message, "status": "failed", "receiveCount": receive}
            lines(stack, partial(is_object_with, record), 1)
            tried = lines(stack, partial(is_step, step="attempt", messages=(message,)), receive)
            receipt = tried[-1]["object"]["receipt"]
            sqs.change_message_visibility(QueueUrl=url_of(sqs, queue), ReceiptHandle=receipt, VisibilityTimeout=0)


def is_object_with(part: dict[str, Any], line: dict[str, Any]) -> bool:
    """The line is an object with these members."""
    return part.items() <= {key: line.get("object", {}).get(key) for key in part}.items()


def outcome(stack: LocalStack, names: dict[str, str], queue: str, *, quarantined: int, dead: int) -> Outcome:
    """Drains the quarantine and the dead-letter queue, and reads what the function has printed."""
    sqs, (name, *fifo) = client(stack), queue.partition(".")
    copies = [received(sqs, "".join([name, "-quarantine", *fifo])) for _ in range(quarantined)]
    letters = [received(sqs, "".join([name, "-dead", *fifo])) for _ in range(dead)]
    counts = sqs.get_queue_attributes(QueueUrl=url_of(sqs, queue), AttributeNames=["All"])["Attributes"]
    printed = [
        line["object"] | {"name": names[line["object"]["id"]]}
        for line in list(stack.process.lines)
        if is_step(line, "attempt", names) or is_step(line, "processed", names)
    ]
    return Outcome(
        attempts=[line["name"] for line in printed if line["step"] == "attempt"],
        processed=[line for line in printed if line["step"] == "processed"],
        quarantine={names[note_of(copy)["id"]]: copy for copy in copies},
        dead=[names[letter["MessageId"]] for letter in letters],
        left=sum(int(value) for key, value in counts.items() if key.startswith("ApproximateNumber")),
    )


def note_of(copy: dict[str, Any]) -> dict[str, Any]:
    """The bridge's attribute of a copy."""
    return dict(json.loads(copy["MessageAttributes"]["lattice-bridge"]["StringValue"]))


def test_order_of_each_tenant_runs_once_in_an_environment_of_its_own(standard: Outcome) -> None:
    """Trap E1: the batch has orders of three tenants, and faulty ones."""
    assert {line["name"]: line["tenant"] for line in standard.processed} == GOOD_ONES
    assert all(line["counts"].keys() == {line["tenant"]} for line in standard.processed)
    assert len(standard.processed) == len(GOOD_ONES)


def test_neighbours_of_a_faulty_message_are_not_invoked_again(
    stack: LocalStack, names: dict[str, dict[str, str]], standard: Outcome
) -> None:
    """Trap E22: they were in one batch, of which only the failed messages came again."""
    first = [one for one in records_of(stack) if names["orders"].get(one["id"]) in BATCH and one["receiveCount"] == 1]
    assert (len(first), len({one["requestId"] for one in first})) == (len(BATCH), 1)
    assert {name: standard.attempts.count(name) for name in GOOD_ONES} == dict.fromkeys(GOOD_ONES, 1)


@pytest.mark.parametrize("name", ["bad JSON", "no object", "fails"])
def test_message_on_which_the_function_fails_is_tried_until_it_is_a_dead_letter(standard: Outcome, name: str) -> None:
    assert standard.attempts.count(name) == RECEIVES
    assert standard.dead.count(name) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no group", "claim_missing"),
        ("unregistered", "tenant_not_allowed"),
        ("no tenant id", "tenant_malformed"),
        ("other sender", "no_rule"),
    ],
)
def test_message_without_a_tenant_of_its_sender_is_in_the_quarantine_and_never_ran(
    standard: Outcome, name: str, reason: str
) -> None:
    """Trap E2, E3: a group only chooses among the tenants of its sender."""
    copy, (body, group) = standard.quarantine[name], BATCH.get(name, (GOOD, "tenant-blue"))
    assert (copy["Body"], copy["Attributes"].get("MessageGroupId")) == (body, group)
    assert note_of(copy)["reason"] == reason
    assert name not in standard.attempts


def test_function_receives_id_group_and_body_as_they_were_sent(standard: Outcome) -> None:
    """The name of a line comes from the id that SQS gave to the sender."""
    sent = {name: (BATCH[name][1], len(BATCH[name][0])) for name in GOOD_ONES}
    assert {line["name"]: (line["group"], line["bytes"]) for line in standard.processed} == sent


def test_fifo_group_keeps_its_order_behind_a_failing_and_a_quarantined_message(ordered: Outcome) -> None:
    """Trap E9, E22: nothing of the group runs before the failing message is a dead letter."""
    group = [name for name in ordered.attempts if name != "other group"]
    assert group == ["first", *["fails"] * RECEIVES, "last"]
    assert ordered.dead == ["fails"]
    copy = ordered.quarantine["bad JSON"]
    assert (copy["Body"], copy["Attributes"]["MessageGroupId"]) == ORDERED["bad JSON"]
    assert note_of(copy)["reason"] == "claim_unreadable"


def test_other_fifo_group_goes_on_while_a_message_fails(ordered: Outcome) -> None:
    """The fixture lets the message be tried again only when the other group has ended."""
    tries = [name for name in ordered.attempts if name in ("fails", "other group")]
    assert sorted(tries[:2]) == ["fails", "other group"]
    assert tries[2:] == ["fails"] * (RECEIVES - 1)


@pytest.mark.parametrize("queue", ["orders", "orders.fifo"])
def test_each_message_ends_in_one_place(
    names: dict[str, dict[str, str]], standard: Outcome, ordered: Outcome, queue: str
) -> None:
    found = {"orders": standard, "orders.fifo": ordered}[queue]
    ended = [*(line["name"] for line in found.processed), *found.quarantine, *found.dead]
    assert sorted(ended) == sorted(names[queue].values())
    assert found.left == 0


@pytest.mark.usefixtures("standard", "ordered")
def test_log_of_the_bridge_contains_no_body_and_no_claim(stack: LocalStack) -> None:
    """Trap E24: the copies and the dead letters have the contents."""
    written = json.dumps(records_of(stack))
    assert [word for word in ("quantity", "customer-1", "tenant-red", "tenant#blue") if word in written] == []


def test_reasons_on_the_page_are_those_of_the_copies(standard: Outcome, ordered: Outcome) -> None:
    page = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8").partition("## Compared with AWS's sample")[2]
    copies = [*standard.quarantine.values(), *ordered.quarantine.values()]
    assert set(re.findall(r"\(`(\w+)`\)", page)) == {note_of(copy)["reason"] for copy in copies}
