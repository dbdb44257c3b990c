"""What is sent to functions that fail as planned, and what they report about it.

Rule: a function reports each message to this process before it answers, and this process alone decides which message
makes it fail. So the result does not depend on the log of the stack, nor on how often a message is delivered.
"""

from __future__ import annotations

import json
import random
import socketserver
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

REPORT: Final = """
import json, os, socket, time

PROCESS = f"{os.getpid()}-{time.time_ns()}"
ledger = socket.create_connection(("127.0.0.1", int(os.environ["LEDGER"]))).makefile("rw")

def process(number, tenant):
    ledger.write(json.dumps({"number": number, "tenant": tenant, "process": PROCESS}) + "\\n")
    ledger.flush()
    fault = ledger.readline().strip()
    if fault == "raise":
        raise RuntimeError("as planned")
    if fault == "exit":
        os._exit(3)
    if fault == "timeout":
        time.sleep(60)
    return fault
"""
"""The part of a function that reports a message. `process` returns the fault that the function must report itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, and what goes wrong.

    Attributes:
        messages, tenants: how many.
        groups: of each tenant. The messages of a group keep their order.
        poison, faults: shares of the messages.
        kills: processes of the router that are killed, as a share of the messages.
        limit: seconds after which no more is sent. What was sent by then is counted.
        seed: of all choices.
    """

    messages: int
    tenants: int
    groups: int
    poison: float
    faults: float
    kills: float
    limit: float = 1800.0
    seed: int = 17


@dataclass(frozen=True, slots=True)
class Message:
    """One message, or one record of a stream.

    Attributes:
        number: of all messages, in the order of sending.
        group: its message group, or partition key.
        tenant: that it must run as; empty for poison, which must not run.
        poison: the kind of poison; empty for a message that must run.
        fault: how the function fails when it first receives it; empty for not at all.
    """

    number: int
    group: str
    tenant: str
    poison: str = ""
    fault: str = ""


def messages_of(plan: Plan, poisons: Sequence[str], faults: Sequence[str]) -> list[Message]:
    """The messages in the order of sending: exact shares of each kind, at random places."""
    chance = random.Random(plan.seed)
    numbers = chance.sample(range(plan.messages), plan.messages)
    poison = numbers[: round(plan.messages * plan.poison)]
    failing = numbers[len(poison) : len(poison) + round(plan.messages * plan.faults)]
    poison_of = {number: poisons[at % len(poisons)] for at, number in enumerate(poison)}
    fault_of = {number: faults[at % len(faults)] for at, number in enumerate(failing)}
    found = []
    for number in range(plan.messages):
        tenant, kind = f"tenant-{chance.randrange(plan.tenants)}", poison_of.get(number, "")
        group = f"{tenant}.{chance.randrange(plan.groups)}"
        found.append(Message(number, group, "" if kind else tenant, kind, fault_of.get(number, "")))
    return found


@dataclass
class Ledger:
    """What happened to each message. Threads may share it.

    Attributes:
        messages: by number.
        done: numbers, in the order in which functions had processed them for the first time.
        processed: how often each was.
        failed: numbers of the messages that made a function fail.
        wrong: what must not happen, in words.
    """

    messages: Sequence[Message]
    done: list[int] = field(default_factory=list)
    processed: Counter[int] = field(default_factory=Counter)
    failed: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    _tenants: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, number: int, tenant: str | None, process: str) -> str:
        """One report of a function. Returns how it has to fail; empty if it has processed the message."""
        with self._lock:
            message = self.messages[number]
            served = self._tenants.setdefault(process, str(tenant))
            if not message.tenant == tenant == served:
                what = message.tenant or message.poison
                self.wrong.append(f"message {number} of {what} ran as {tenant} in a process of {served}")
            if message.fault and number not in self.failed:
                self.failed.add(number)
                return message.fault
            self.processed[number] += 1
            if self.processed[number] == 1:
                self.done.append(number)
            return ""

    def again(self) -> int:
        """Receives of messages that were processed already."""
        return self.processed.total() - len(self.done)

    def out_of_order(self) -> list[int]:
        """Numbers that were first processed after a later one of their group."""
        latest: dict[str, int] = defaultdict(lambda: -1)
        found = []
        for number in self.done:
            group = self.messages[number].group
            if number < latest[group]:
                found.append(number)
            latest[group] = max(latest[group], number)
        return found


@contextmanager
def serving(ledger: Ledger) -> Iterator[int]:
    """The port on which functions report."""

    class Reports(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # an environment ended
                for line in self.rfile:
                    self.wfile.write(f"{ledger.take(**json.loads(line))}\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Reports) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
