"""The parts that run now: environments, maps, queues and streams."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.aws.dynamodb.stream import TableStream
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams, Wanted
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.stream import Stream
from lattice_bridge.local.environments.environment import Environment
from lattice_bridge.local.inspector import runs
from lattice_bridge.local.inspector.logs import LAST_LINES, Logs
from lattice_bridge.local.inspector.runs import _OF_NO_QUEUE, QueueView
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.quarantine import ATTRIBUTE
from tests.support.builders import MAP, OPEN
from tests.support.inspected_map import BACKEND, USERS, configured
from tests.support.queue_maps import QUEUES
from tests.support.virtual_queues import VirtualQueues, redrive, send

SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026"
FUNCTION = Function("orders", "arn", "a.b", Path(), {}, isolated=True, runtime="python3.13")


# ---- environments ---------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """An environment as far as it is shown."""

    function: Function = FUNCTION
    tenant: str | None = "blue"
    slot: int = 1
    state: str = "idle"
    began: float = 10.0
    idle_since: float = 15.0
    invocations: int = 3
    pid: int | None = os.getpid()
    label: str = "orders/blue#1"


def shown(running: Running, logs: Logs) -> dict[str, Any]:
    (found,) = runs.environments([running], logs, running.label, 17.0)  # type: ignore[list-item] # see Running
    return found


def test_tenant_of_an_environment_is_masked_and_its_log_is_found_by_what_is_shown() -> None:
    """Trap G2: a function may ask for any tenant, also for a token."""
    running, logs = Running(tenant=SECRET, label=f"orders/{SECRET}#1"), Logs(lambda: 20.0)
    logs.add(running.label, "a line")
    (found,) = runs.environments([running], logs, "", 17.0)  # type: ignore[list-item] # see Running
    assert SECRET not in str(found)
    label = f"orders/{found['tenant']}#1"
    assert runs.environments([running], logs, label, 17.0)[0]["log"] == ["a line"]  # type: ignore[list-item] # same


def test_environment_has_its_age_memory_and_invocations() -> None:
    found = shown(Running(), Logs())
    memory = found.pop("memory")
    assert memory > 2**20
    assert found == {
        "function": "orders",
        "tenant": "blue",
        "slot": 1,
        "state": "idle",
        "age": 7.0,
        "idle": 2.0,
        "invocations": 3,
        "log": [],
    }
    assert shown(Running(state="busy", pid=None), Logs())["idle"] is None
    assert shown(Running(pid=2**22 + 1), Logs())["memory"] is None


def test_environment_tells_what_it_does() -> None:
    async def run() -> list[str]:
        shared: Any = type("Shared", (), {"stack_id": "s"})()
        environment = Environment(FUNCTION, "blue", 1, 1, shared)
        states = [environment.state]
        environment.invocations = 1
        states.append(environment.state)
        environment._busy = True
        states.append(environment.state)
        await environment.stop()
        return [*states, environment.state]

    assert asyncio.run(run()) == ["starting", "idle", "busy", "ending"]


def test_log_has_the_last_lines_of_this_environment_only() -> None:
    """An environment that is started later may have the label of one that has ended: of another invocation."""
    clock = iter(range(100)).__next__
    logs = Logs(lambda: float(clock()))
    for number in range(70):
        logs.add("orders/blue#1", f"line {number}")
    logs.add("orders/green#1", "another tenant's")
    assert shown(Running(began=0), logs)["log"] == [f"line {number}" for number in range(20, 70)]
    assert len(shown(Running(began=0), logs)["log"]) == LAST_LINES
    assert shown(Running(began=68), logs)["log"] == ["line 68", "line 69"]


def test_only_the_log_that_is_open_is_shown() -> None:
    """The page asks every second: to mask the lines of 64 environments would keep the stack waiting."""
    logs = Logs(lambda: 20.0)
    for label in ("orders/blue#1", "orders/green#1"):
        logs.add(label, f"a line of {label}")
    found: Any = [Running(), Running(tenant="green", label="orders/green#1")]
    assert [one["log"] for one in runs.environments(found, logs, "", 17.0)] == [[], []]
    of_green = runs.environments(found, logs, "orders/green#1", 17.0)
    assert [one["log"] for one in of_green] == [[], ["a line of orders/green#1"]]


def test_log_lines_are_short_and_without_credentials() -> None:
    """Trap G2."""
    logs = Logs(lambda: 20.0)
    logs.add("orders/blue#1", f"Authorization: Bearer {SECRET}")
    logs.add("orders/blue#1", "a" * 100_000)
    first, second = shown(Running(), logs)["log"]
    assert SECRET not in first
    assert len(second) == 1000


# ---- maps -----------------------------------------------------------------------------------------------------------


def test_map_has_its_rules_in_the_order_of_the_file(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BACKEND + MAP + USERS)
    refused = {"Bridge": ["bridge.toml:1: broken\x1b[2J"], "Other": ["bridge.toml:1: of another map"]}
    (found,) = runs.maps([configuration], 5.0, refused)
    assert configuration.settings is not None
    assert found["sha256"] == configuration.settings.tenant_map.sha256
    assert (found["function"], found["file"], found["loaded_at"]) == ("Bridge", str(tmp_path / "bridge.toml"), 5.0)
    assert (found["faults"], found["refused"]) == ([], [r"bridge.toml:1: broken\x1b[2J"])
    assert found["tenants"][-1] == {"id": "old", "state": "suspended"}
    rules = {rule["id"]: rule for rule in found["rules"]}
    assert list(rules) == ["blue-api", "support", "edge", "leaver", "leaked", "users"]
    assert rules["support"] == {
        "id": "support",
        "key": "role support of 111122223333",
        "tenants": ["blue", "green"],
        "conditions": [],
        "line": 14,
    }
    assert [rules[name]["tenants"] for name in ("edge", "leaked")] == [["*"], []]
    assert rules["users"]["tenants"] == ["{tenant} in claim.corp.tenant"]
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8").splitlines()
    assert all(text[rule["line"] - 1] == "[[rule]]" for rule in found["rules"])


def test_large_map_is_shown_in_part(tmp_path: Path) -> None:
    tenants = "".join(f"t{number} = {{}}\n" for number in range(runs.MAX_TENANTS + 5))
    (found,) = runs.maps([configured(tmp_path, f"{BACKEND}[tenants]\n{tenants}{OPEN}")], 0.0, {})
    assert (len(found["tenants"]), found["left_out"]) == (runs.MAX_TENANTS, 5)


def test_map_that_does_not_load_shows_its_faults(tmp_path: Path) -> None:
    configuration = replace(configured(tmp_path, BACKEND + MAP), settings=None, faults=("bridge.toml: broken",))
    (found,) = runs.maps([configuration], 0.0, {})
    assert (found["rules"], found["tenants"], found["faults"]) == ([], [], ["bridge.toml: broken"])
    assert found["refused"] == [], "no older map is active"


# ---- queues ---------------------------------------------------------------------------------------------------------


class Stored:
    """A queue with a dead-letter queue and a quarantine."""

    def __init__(self, *, fifo: bool = False) -> None:
        self.virtual = VirtualQueues()
        end, make = (".fifo", self.virtual.fifo) if fifo else ("", self.virtual.standard)
        self.dead, self.quarantine = make(f"dead{end}"), make(f"quarantine{end}")
        self.orders = make(f"orders{end}", RedrivePolicy=redrive(self.dead, 1))
        self.view = QueueView(self.virtual.queues, lambda: {self.quarantine.arn: frozenset({self.orders.arn})})

    def fail(self, *bodies: str) -> None:
        """Sends messages, and receives them until they are in the dead-letter queue."""
        send(self.orders, *bodies)
        for _ in range(2):
            self.orders.receive(10)
            self.virtual.clock.forward(31)
        self.orders.receive(10)


def copied(queue: Queue, body: str, note: object, **fields: Any) -> None:
    attribute = Attribute("String", note if isinstance(note, str) else json.dumps(note))
    queue.send(Outgoing(body, {ATTRIBUTE: attribute, "tenant": Attribute("String", "blue")}, **fields))


def test_queues_have_their_depths_and_their_kind() -> None:
    stored = Stored()
    send(stored.orders, "a", "b")
    stored.virtual.clock.forward(5)
    stored.orders.receive()
    dead, orders, quarantine = stored.view.listed()
    assert orders == {
        "name": "orders",
        "kind": "standard",
        "visible": 1,
        "in_flight": 1,
        "delayed": 0,
        "oldest": 5.0,
        "is_quarantine": False,
        "is_dead_letters": False,
        "dead_letters": "dead",
    }
    assert (dead["is_dead_letters"], dead["is_quarantine"], dead["oldest"]) == (True, False, None)
    assert (quarantine["is_dead_letters"], quarantine["is_quarantine"]) == (False, True)


def test_messages_are_read_without_a_receive() -> None:
    stored = Stored()
    note = {"source": stored.orders.arn, "id": "m", "group": None, "reason": "tenant_unknown", "hops": 1, "x": SECRET}
    copied(stored.quarantine, json.dumps({"n": 1, "password": "hunter2-hunter2"}), note)
    (message,) = stored.view.messages("quarantine", 0)["messages"]
    assert (message["receives"], message["state"], message["group"]) == (0, "visible", None)
    assert message["reason"] == {"source": stored.orders.arn, "id": "m", "reason": "tenant_unknown", "hops": "1"}
    assert json.loads(message["body"]["text"])["n"] == 1
    assert "hunter2" not in json.dumps(message)
    assert stored.quarantine.counts() == (1, 0, 0)
    (received,) = stored.quarantine.receive()
    assert received.attributes["ApproximateReceiveCount"] == "1", "the first receive"


def test_messages_come_in_pages() -> None:
    stored = Stored()
    send(stored.orders, *[str(number) for number in range(runs.MAX_MESSAGES + 1)])
    first = stored.view.messages("orders", 0)
    assert (len(first["messages"]), first["more"]) == (runs.MAX_MESSAGES, True)
    second = stored.view.messages("orders", first["messages"][-1]["number"])
    assert ([one["body"]["text"] for one in second["messages"]], second["more"]) == (["50"], False)


@pytest.mark.parametrize("note", ["no JSON", "[1]", "[" * 9999, '{"reason": {"a": 1}}', "{}"])
def test_attribute_that_is_not_the_bridges_own_gives_no_reason(note: str) -> None:
    """Any sender can write it."""
    stored = Stored()
    copied(stored.quarantine, "a", note)
    assert stored.view.messages("quarantine", 0)["messages"][0]["reason"] is None
    assert stored.view.redrive("quarantine") == {"moved": 0, "left": 1, "why": _OF_NO_QUEUE}


@pytest.mark.parametrize("fifo", [False, True])
def test_dead_letters_are_sent_back(fifo: bool) -> None:
    stored = Stored(fifo=fifo)
    stored.fail("a", "b")
    assert stored.dead.counts().visible == 2
    assert stored.view.redrive(stored.dead.name) == {"moved": 2, "left": 0, "why": None}
    assert [one["body"]["text"] for one in stored.view.messages(stored.orders.name, 0)["messages"]] == ["a", "b"]
    assert stored.view.redrive(stored.dead.name)["moved"] == 0


@pytest.mark.parametrize("fifo", [False, True])
def test_quarantine_is_sent_back_to_the_queues_that_it_names(fifo: bool) -> None:
    """Trap E25: with the bridge's own attribute, which keeps it out of another queue, and ends a loop."""
    stored = Stored(fifo=fifo)
    group = {"group": "g"} if fifo else {}
    copied(stored.quarantine, "a", {"source": stored.orders.arn, "hops": 1}, **group)
    copied(stored.quarantine, "of a stream", {"source": "arn:aws:kinesis:eu-west-1:1:stream/clicks"}, **group)
    copied(stored.quarantine, "of itself", {"source": stored.quarantine.arn}, **group)
    other = stored.virtual.fifo("other.fifo") if fifo else stored.virtual.standard("other")
    copied(stored.quarantine, "of another queue", {"source": other.arn}, **group)
    assert stored.view.redrive(stored.quarantine.name) == {"moved": 1, "left": 3, "why": _OF_NO_QUEUE}
    assert other.counts().visible == 0, "the map sends none of its records here, so the bridge did not write this"
    (back,) = stored.orders.receive()
    assert (back.body, back.attributes.get("MessageGroupId")) == ("a", group.get("group"))
    assert json.loads(str(back.sender_attributes[ATTRIBUTE].value))["hops"] == 1
    left = [one["body"]["text"] for one in stored.view.messages(stored.quarantine.name, 0)["messages"]]
    assert left == ["of a stream", "of itself", "of another queue"]


def test_messages_that_cannot_move_yet_are_counted() -> None:
    stored = Stored()
    copied(stored.quarantine, "a", {"source": stored.orders.arn})
    stored.quarantine.receive()
    found = stored.view.redrive("quarantine")
    assert found == {"moved": 0, "left": 1, "why": "Messages that are in flight or delayed stay."}


def test_attribute_of_ours_means_nothing_in_another_queue() -> None:
    """Any sender can write it."""
    stored = Stored()
    copied(stored.orders, "a", {"source": stored.orders.arn, "reason": "tenant_unknown"})
    assert stored.view.messages("orders", 0)["messages"][0]["reason"] is None


def test_other_queue_has_no_redrive() -> None:
    stored = Stored()
    with pytest.raises(Refused, match="neither a dead-letter queue nor a quarantine") as refused:
        stored.view.redrive("orders")
    assert refused.value.status == 409
    send(stored.dead, "sent here by a person")
    found = stored.view.redrive("dead")
    assert (found["moved"], found["left"]) == (0, 1)
    assert "sent here directly" in found["why"]
    with pytest.raises(Refused, match="there are dead, orders, quarantine") as refused:
        stored.view.messages("none", 0)
    assert refused.value.status == 404


def test_quarantines_are_those_of_the_active_maps(tmp_path: Path) -> None:
    found = runs.quarantines_of([configured(tmp_path, QUEUES)])
    name = "arn:aws:sqs:eu-west-1:111122223333:orders"
    assert found == {f"{name}-quarantine": frozenset({name})}


# ---- streams --------------------------------------------------------------------------------------------------------


def test_shard_is_as_far_behind_as_its_slowest_mapping() -> None:
    streams = KinesisStreams("eu-west-1", "111122223333", lambda: 100.0)
    clicks = streams.create(Wanted("clicks"))
    numbers = [clicks.put("k", b"data").record.number for _ in range(5)]
    (shard,) = clicks.shards()
    views: list[Stream] = [clicks, TableStream(TABLE, "KEYS_ONLY", [], lambda: None, lambda: 0.0, lambda: 100.0)]
    found = runs.streams(
        views, lambda arn: [{shard.id: numbers[4]}, {shard.id: numbers[1]}] if arn != TABLE else [], 130.0
    )
    assert found[0] == {
        "name": "clicks",
        "service": "kinesis",
        "shards": [{"id": shard.id, "records": 5, "behind": 3, "oldest": 30.0}],
    }
    assert (found[1]["name"], found[1]["service"]) == ("orders", "dynamodb")
    assert [(one["records"], one["behind"], one["oldest"]) for one in found[1]["shards"]] == [(0, None, None)]
    (all_done,) = runs.streams([clicks], lambda _arn: [{shard.id: numbers[4]}], 130.0)
    assert (all_done["shards"][0]["behind"], all_done["shards"][0]["oldest"]) == (0, None)


def test_records_of_a_table_are_counted() -> None:
    stream = TableStream(TABLE, "KEYS_ONLY", [], lambda: None, lambda: 0.0, lambda: 100.0)
    for _ in range(3):
        stream.add({"id": {"S": "1"}}, None, {"id": {"S": "1"}}, is_expired=False)
    assert [stream.count(), stream.count(stream.first_number), stream.count(stream.last_number)] == [3, 2, 0]
