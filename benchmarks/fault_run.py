"""A run of the whole local stack in which functions fail and routers are killed, until each message is done or set
aside. No message may be lost, overtake another of its group, or run as another tenant.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

import boto3
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from benchmarks.ledger import Ledger, Message, Plan, serving
from benchmarks.soak import listening

ROUTER: Final = "soak-router"
ACCOUNT: Final = "us-east-1:123456789012"
AHEAD: Final = 2_000
"""Messages that are sent and not settled, at most: a backlog for all routers, and yet a short way to the end."""
DRAIN: Final = 180.0
"""Seconds beyond the limit of a plan for what was sent before it."""


@dataclass
class Log:
    """What is kept of the stack's log: numbers alone, so that memory here stays small.

    Attributes:
        killed: batches whose router was killed while it worked.
        batches: that were delivered.
        statuses: how many records ended so, by status and reason.
    """

    killed: int = 0
    batches: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def read(self, stream: IO[str]) -> None:
        for text in stream:
            line = json.loads(text)
            if line.get("message") == "batch":
                self.take(line)
            record = line.get("object", {})
            if record.get("message") == "record":
                self.statuses[f"{record['status']}, {record['reason']}"] += 1

    def take(self, batch: Mapping[str, Any]) -> None:
        """The end of a batch."""
        self.batches += 1
        self.killed += "signal: 9" in batch.get("error", "")

    def facts(self) -> dict[str, float]:
        """Further rows of the table."""
        return {}

    def faults(self) -> dict[str, list[str]]:
        """What the source must not do, by name; empty lists if it did not."""
        return {}


@dataclass
class Result:
    """What was found at the end.

    Attributes:
        ledger, log: of the run.
        sent: messages; all of the plan, unless its limit came first.
        seconds: from the first message sent to the end.
        kills: processes of the router that were killed.
        stored: how often each message was found set aside.
        left: messages that the source still had.
    """

    ledger: Ledger
    log: Log
    sent: int = 0
    seconds: float = 0.0
    kills: int = 0
    stored: Counter[int] = field(default_factory=Counter)
    left: int = 0

    def settled(self) -> int:
        """Messages that are done or set aside."""
        return len(self.ledger.done) + len(self.stored)

    def poison(self) -> list[int]:
        return [one.number for one in self.ledger.messages[: self.sent] if one.poison]

    def faults(self) -> dict[str, Sequence[int] | Sequence[str]]:
        """What must not happen, by name; empty lists if it did not."""
        good = [one.number for one in self.ledger.messages[: self.sent] if not one.poison]
        return {
            "lost": [number for number in good if not self.ledger.processed[number]],
            "set aside, and not poison": [number for number in good if self.stored[number]],
            "out of order in a group": self.ledger.out_of_order(),
            "under another tenant": self.ledger.wrong,
            "poison that was not set aside": [number for number in self.poison() if not self.stored[number]],
            **self.log.faults(),
        }


class Source(Protocol):
    """What messages are sent to."""

    @property
    def most(self) -> int:
        """Messages of one request."""

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages in order, by one request."""

    def collect(self) -> Iterable[int]:
        """The numbers of messages that were set aside since the last call."""

    def left(self) -> int:
        """Messages that are not yet done for the source."""


Connect = Callable[[str], Source]
"""The source of a stack, by the URL of its AWS endpoint."""


def client(service: str, url: str, identity: str = "") -> Any:
    """boto3 for the stack, as a role with a unique id. It never repeats a request: a message would be there twice."""
    return boto3.session.Session().client(
        service,
        endpoint_url=url,
        region_name=ACCOUNT.partition(":")[0],
        aws_access_key_id=f"LOCAL{identity}" if identity else "local",
        aws_secret_access_key=identity.lower() or "local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=120),
    )


def emptied(sqs: Any, url: str) -> Iterable[Mapping[str, Any]]:
    """Takes all messages out of a queue."""
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
        "Messages"
    ):
        handles = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(found)]
        sqs.delete_message_batch(QueueUrl=url, Entries=handles)
        yield from found


def soak(
    plan: Plan,
    result: Result,
    files: Callable[[int], Mapping[str, str]],
    connect: Connect,
    progress: Console | None = None,
) -> None:
    """Runs a plan. The stack has ended when it returns.

    Args:
        plan: of the run.
        result: gets what happens.
        files: of the project with `template.yaml`, by path, for the port on which functions report.
        connect: to the source of the messages.
        progress: gets a line each five seconds.
    """
    with tempfile.TemporaryDirectory() as folder, serving(result.ledger) as port:
        for name, content in files(port).items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        arguments = ["--template", str(Path(folder, "template.yaml")), "--max-environments", "400"]
        with listening(arguments, result.log.read) as (pid, addresses):
            _Run(plan, result, pid, connect(addresses["lambda"])).until_settled(progress or Console(quiet=True))


class _Run:
    """One run against a stack that listens, with a process id."""

    def __init__(self, plan: Plan, result: Result, pid: int, source: Source) -> None:
        self._plan = plan
        self._result = result
        self._pid = pid
        self._source = source
        self._chance = random.Random(plan.seed)

    def until_settled(self, progress: Console) -> None:
        """Sends messages, kills routers, and returns when each message that was sent is done or set aside."""
        result, began = self._result, time.monotonic()
        shown = began
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        while result.seconds < self._plan.limit + DRAIN:
            result.seconds = time.monotonic() - began
            self._kill_if_due()
            is_due = time.monotonic() - shown >= 5
            if is_due or self._plan.messages < 1000:
                result.stored.update(self._source.collect())
                if not sender.is_alive() and result.settled() >= result.sent and not self._source.left():
                    break
            if is_due:
                shown = time.monotonic()
                progress.print(self._line(), highlight=False, soft_wrap=True)
            time.sleep(0.05)
        result.left = self._source.left()

    def _send(self) -> None:
        result, size = self._result, self._source.most
        while result.sent < self._plan.messages and result.seconds < self._plan.limit:
            if result.sent - result.settled() > AHEAD:
                time.sleep(0.05)
                continue
            messages = result.ledger.messages[result.sent : result.sent + size]
            self._source.send(messages)
            result.sent += len(messages)

    def _kill_if_due(self) -> None:
        result = self._result
        if result.kills < int(result.settled() * self._plan.kills) and (routers := environments(self._pid, ROUTER)):
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(routers), signal.SIGKILL)
                result.kills += 1

    def _line(self) -> str:
        result, seconds = self._result, self._result.seconds
        settled = result.settled()
        return (
            f"{seconds:4.0f} s {settled:7,} settled {settled / seconds:3.0f}/s {result.ledger.again():6,} again "
            f"{len(result.stored):4} aside {len(result.ledger.failed):4} faults {result.kills:3} kills "
            f"{sum(resident(self._pid)) / 2**20:4.1f} GiB"
        )


# ---- the stack's processes ------------------------------------------------------------------------------------------


def environments(stack: int, function: str) -> list[int]:
    """The process ids of a function's environments."""
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
    return [pid for pid in children(stack) if wanted in _variables(pid)]


def children(stack: int) -> list[int]:
    """The processes that the stack has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == stack:
                found.append(int(entry.name))
    return found


def _variables(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def resident(stack: int) -> tuple[int, int]:
    """KiB of the stack's process, and of all its environments together."""
    return _kib(stack), sum(_kib(pid) for pid in children(stack))


def _kib(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4
    return 0


# ---- the report -----------------------------------------------------------------------------------------------------


def report(title: str, result: Result) -> int:
    """Prints the table of a run and each fault. Returns the exit status."""
    console = Console()
    console.print(table_of(title, result))
    faults = {name: found for name, found in result.faults().items() if found}
    for name, found in faults.items():
        console.print(f"{name}: {', '.join(map(str, found[:20]))}", markup=False, highlight=False)
    return 1 if faults or result.left else 0


def table_of(title: str, result: Result) -> Table:
    """The figures of a run."""
    ledger, copies = result.ledger, [result.stored[number] for number in result.poison()]
    planned = f"{result.sent:,} of {len(ledger.messages):,}"
    table = Table(title=f"{planned} {title}, Python {sys.version.split()[0]}")
    table.add_column("")
    table.add_column("", justify="right")
    facts: Mapping[str, float] = {
        "seconds": result.seconds,
        "settled a second": result.settled() / result.seconds,
        "batches": result.log.batches,
        "messages processed more than once": sum(count > 1 for count in ledger.processed.values()),
        "processed again, in all": ledger.again(),
        "faults of functions": len(ledger.failed),
        "routers killed": result.kills,
        "of them while it worked": result.log.killed,
        "poison set aside once": copies.count(1),
        "poison set aside more than once": sum(count > 1 for count in copies),
        "the most copies of one": max(copies, default=0),
        **result.log.facts(),
    }
    for name, value in facts.items():
        table.add_row(name, f"{value:,.0f}")
    for name, count in sorted(result.log.statuses.items()):
        table.add_row(f"records: {name}", f"{count:,}")
    table.add_section()
    for name, found in result.faults().items():
        table.add_row(name, str(len(found)))
    table.add_row("left in the source", str(result.left))
    return table
