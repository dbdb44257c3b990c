"""Queues under load and faults: the whole local stack, with poison messages, functions that crash, and a router that is
killed while it works. No message may be lost, overtake another of its group, or run as another tenant.

Rule: a function reports each message to this process before it answers, and this process alone decides which message
crashes it. So the result does not depend on the log of the stack, nor on how often a message is delivered.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socketserver
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import boto3
import click
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from benchmarks.soak import listening

ROUTER: Final = "queue-router"
SENDER: Final = "AROAEXAMPLE123456789"
QUEUES: Final = "arn:aws:sqs:us-east-1:123456789012"
POISON: Final = ("no claim", "a tenant that the sender may not name", "suspended", "not JSON")
FULL: Final = "ten attributes and no claim"
"""The quarantine cannot store it, so that it reaches the dead-letter queue. It has a group of its own: what is behind a
message that keeps failing shares its receive count."""
CRASHES: Final = ("raise", "exit", "timeout")
BATCH: Final = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent, and what goes wrong.

    Attributes:
        messages, tenants: how many.
        groups: of each tenant.
        routers: that work at the same time, at most.
        poison, crashes, kills: shares of the messages.
        visibility: seconds until a message that failed comes again; 4 at least. A router has one second less, and with
            two it would never begin to fill the quarantine.
        full: also messages that the quarantine cannot store. They need `MOST_RECEIVES` times `visibility`.
        limit: seconds after which the run ends, whatever is missing.
        seed: of all choices.
    """

    messages: int = 10_000
    tenants: int = 64
    groups: int = 10
    routers: int = 4
    poison: float = 0.05
    crashes: float = 0.05
    kills: float = 0.02
    visibility: int = 8
    full: bool = True
    limit: float = 1800.0
    seed: int = 17


MOST_RECEIVES: Final = 12


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        number: of all messages, in the order of sending.
        group: its message group.
        tenant: that it must run as; empty for poison, which must not run.
        poison: one of `POISON` or `FULL`; empty for a message that must run.
        crash: how the function ends when it first receives it; empty for not at all.
    """

    number: int
    group: str
    tenant: str
    poison: str = ""
    crash: str = ""

    def entry(self) -> dict[str, Any]:
        """Of SendMessageBatch."""
        named = {"suspended": "suspended", POISON[1]: "stranger"}.get(self.poison, self.tenant)
        content = {"number": self.number, "group": self.group, "expected": self.tenant}
        body = json.dumps(content if self.poison in (POISON[0], FULL) else {**content, "tenant": named})
        names = ["number", *(f"n{number}" for number in range(9 if self.poison == FULL else 0))]
        return {
            "Id": str(self.number),
            "MessageBody": "{" if self.poison == "not JSON" else body,
            "MessageGroupId": self.group,
            "MessageDeduplicationId": str(self.number),
            "MessageAttributes": {name: {"DataType": "Number", "StringValue": str(self.number)} for name in names},
        }


def messages_of(plan: Plan) -> list[Message]:
    """The messages in the order of sending: exact shares, at random places."""
    chance = random.Random(plan.seed)
    numbers = chance.sample(range(plan.messages), plan.messages)
    poison = numbers[: round(plan.messages * plan.poison)]
    crashing = numbers[len(poison) : len(poison) + round(plan.messages * plan.crashes)]
    kinds = (*POISON, FULL) if plan.full else POISON
    poisons = {number: kinds[at % len(kinds)] for at, number in enumerate(poison)}
    crashes = {number: CRASHES[at % len(CRASHES)] for at, number in enumerate(crashing)}
    found = []
    for number in range(plan.messages):
        tenant, kind = f"tenant-{chance.randrange(plan.tenants)}", poisons.get(number, "")
        group = f"{tenant}.{chance.randrange(plan.groups)}" if kind != FULL else f"full.{number}"
        found.append(Message(number, group, "" if kind else tenant, kind, crashes.get(number, "")))
    return found


# ---- the project ----------------------------------------------------------------------------------------------------

TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: {router}
      Handler: lattice_bridge.main.handler
      Runtime: python3.13
      Code: router
      Timeout: {router_timeout}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.worker
      Runtime: python3.13
      Code: code
      Timeout: 1
      TenancyConfig: {{TenantIsolationMode: PER_TENANT}}
      Environment: {{Variables: {{LEDGER: "{port}"}}}}
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: orders.fifo
      FifoQueue: true
      VisibilityTimeout: {visibility}
      RedrivePolicy: {{deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: {receives}}}
  Dead: {{Type: AWS::SQS::Queue, Properties: {{QueueName: dead.fifo, FifoQueue: true}}}}
  Aside: {{Type: AWS::SQS::Queue, Properties: {{QueueName: aside.fifo, FifoQueue: true}}}}
  Reads:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Orders.Arn
      FunctionName: !Ref Router
      BatchSize: {batch}
      ScalingConfig: {{MaximumConcurrency: {routers}}}
      FunctionResponseTypes: [ReportBatchItemFailures]
"""
MAP: Final = """
[[event_source]]
arn = "{queues}:orders.fifo"
function = "worker"
claim = {{ from = "body", path = ["tenant"] }}
quarantine = "{queues}:aside.fifo"
timeout = {timeout}
[tenants]
suspended = {{ status = "suspended" }}
stranger = {{}}
{tenants}
[[rule]]
id = "service"
sender = {{ role_id = "{sender}" }}
tenants = ["suspended", {names}]
"""
CODE: Final = """
import json, os, socket, time

PROCESS = f"{os.getpid()}-{time.time_ns()}"
ledger = socket.create_connection(("127.0.0.1", int(os.environ["LEDGER"]))).makefile("rw")

def ask(**line):
    ledger.write(json.dumps(line) + "\\n")
    ledger.flush()
    return ledger.readline().strip()

def worker(event, context):
    for record in event["Records"]:
        number, receives = json.loads(record["body"])["number"], record["attributes"]["ApproximateReceiveCount"]
        facts = {"number": number, "tenant": context.tenant_id, "process": PROCESS, "receives": int(receives)}
        crash = ask(step="begin", **facts)
        if crash == "raise":
            raise RuntimeError("as planned")
        if crash == "exit":
            os._exit(3)
        if crash == "timeout":
            time.sleep(60)
        ask(step="done", **facts)
"""


def write_project(folder: Path, plan: Plan, port: int) -> Path:
    """The template with its functions, in a folder. Returns the template's path."""
    names = [f"tenant-{number}" for number in range(plan.tenants)]
    template = TEMPLATE.format(
        router=ROUTER,
        router_timeout=plan.visibility - 1,  # a message must not come again while the router works on it
        port=port,
        routers=plan.routers,
        visibility=plan.visibility,
        receives=MOST_RECEIVES,
        batch=BATCH,
    )
    tenants = "\n".join(f"{name} = {{}}" for name in names)
    text = MAP.format(
        queues=QUEUES, timeout=plan.visibility // 2, sender=SENDER, tenants=tenants, names=json.dumps(names)[1:-1]
    )
    for name, content in (("template.yaml", template), ("router/bridge.toml", text), ("code/app.py", CODE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder / "template.yaml"


# ---- what the functions report --------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """What happened to each message. Threads may share it.

    Attributes:
        messages: by number.
        done: numbers, in the order in which functions had processed them for the first time.
        processed: how often each was.
        wrong: what must not happen, in words.
        redelivered: receives beyond the first, of messages that reached a function.
    """

    messages: Sequence[Message]
    done: list[int] = field(default_factory=list)
    processed: Counter[int] = field(default_factory=Counter)
    crashed: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    redelivered: int = 0
    _tenants: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, step: str, number: int, tenant: str | None, process: str, receives: int) -> str:
        """One report of a function. Returns how it has to crash; empty for not at all."""
        with self._lock:
            message = self.messages[number]
            served = self._tenants.setdefault(process, str(tenant))
            if not message.tenant == tenant == served:
                what = message.tenant or message.poison
                self.wrong.append(f"message {number} of {what} ran as {tenant} in a process of {served}")
            if step == "begin":
                self.redelivered += receives > 1
                if message.crash and number not in self.crashed:
                    self.crashed.add(number)
                    return message.crash
            else:
                self.processed[number] += 1
                if self.processed[number] == 1:
                    self.done.append(number)
            return ""

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


# ---- the run --------------------------------------------------------------------------------------------------------


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
                self.batches += 1
                self.killed += "signal: 9" in line.get("error", "")
            record = line.get("object", {})
            if record.get("message") == "record":
                self.statuses[f"{record['status']}, {record['reason']}"] += 1


@dataclass
class Result:
    """What was found at the end.

    Attributes:
        ledger, log: of the run.
        seconds: from the first message sent to the end.
        kills: processes of the router that were killed.
        stored: how often each message was found in the quarantine or the dead-letter queue.
        left: messages that were still in the queue.
    """

    ledger: Ledger
    log: Log
    seconds: float = 0.0
    kills: int = 0
    stored: Counter[int] = field(default_factory=Counter)
    left: int = 0

    def faults(self) -> dict[str, list[int] | list[str]]:
        """What must not happen, by name; empty lists if it did not."""
        good = [one.number for one in self.ledger.messages if not one.poison]
        poison = [one.number for one in self.ledger.messages if one.poison]
        return {
            "lost": [number for number in good if not self.ledger.processed[number]],
            "set aside, and not poison": [number for number in good if self.stored[number]],
            "out of order in a group": self.ledger.out_of_order(),
            "under another tenant": self.ledger.wrong,
            "poison, not exactly once in quarantine or DLQ": [one for one in poison if self.stored[one] != 1],
        }


class Run:
    """One run against a stack that listens.

    Args:
        plan: of the run.
        result: gets what happens.
        pid: of the stack.
        url: of its AWS endpoint.
    """

    def __init__(self, plan: Plan, result: Result, pid: int, url: str) -> None:
        self._plan = plan
        self._result = result
        self._pid = pid
        self._chance = random.Random(plan.seed)
        self._sqs: Any = boto3.session.Session().client(
            "sqs",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=f"LOCAL{SENDER}",
            aws_secret_access_key=SENDER.lower(),
            config=Config(retries={"total_max_attempts": 3}),
        )
        self._queues = {
            name: self._sqs.get_queue_url(QueueName=f"{name}.fifo")["QueueUrl"] for name in ("orders", "aside", "dead")
        }

    def until_settled(self, progress: Console) -> None:
        """Sends all messages, kills routers, and returns when each message is done or set aside, or at the limit."""
        began = shown = time.monotonic()
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        while True:
            self._result.seconds = time.monotonic() - began
            self._kill_if_due()
            if time.monotonic() - shown >= 5:
                shown = time.monotonic()
                self._collect()
                progress.print(self._line(), highlight=False)
                if self._is_settled() or self._result.seconds > self._plan.limit:
                    break
            elif self._plan.messages < 1000:
                self._collect()
                if self._is_settled():
                    break
            time.sleep(0.05)
        sender.join(timeout=10)
        self._result.left = self._count("orders")

    def _send(self) -> None:
        messages = self._result.ledger.messages
        for at in range(0, len(messages), BATCH):
            entries = [message.entry() for message in messages[at : at + BATCH]]
            answer = self._sqs.send_message_batch(QueueUrl=self._queues["orders"], Entries=entries)
            if answer.get("Failed"):
                raise RuntimeError(f"not sent: {answer['Failed']}")

    def _kill_if_due(self) -> None:
        settled = len(self._result.ledger.done) + len(self._result.stored)
        if self._result.kills < int(settled * self._plan.kills) and (routers := environments(self._pid, ROUTER)):
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(routers), signal.SIGKILL)
                self._result.kills += 1

    def _collect(self) -> None:
        """Empties the quarantine and the dead-letter queue."""
        for name in ("aside", "dead"):
            url = self._queues[name]
            while found := self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["number"]
            ).get("Messages"):
                handles = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(found)]
                self._sqs.delete_message_batch(QueueUrl=url, Entries=handles)
                self._result.stored.update(int(one["MessageAttributes"]["number"]["StringValue"]) for one in found)

    def _count(self, name: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._queues[name], AttributeNames=names)["Attributes"]
        return sum(int(found[each]) for each in names)

    def _is_settled(self) -> bool:
        settled = len(self._result.ledger.done) + len(self._result.stored)
        return settled >= self._plan.messages and not self._count("orders")

    def _line(self) -> str:
        ledger, seconds = self._result.ledger, self._result.seconds
        settled = len(ledger.done) + len(self._result.stored)
        return (
            f"{seconds:4.0f} s {settled:6,} settled {settled / seconds:3.0f}/s {ledger.redelivered:5,} again "
            f"{len(self._result.stored):3} aside {len(ledger.crashed):3} crashes {self._result.kills:3} kills "
            f"{sum(resident(self._pid)) / 2**20:4.1f} GiB"
        )


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


def soak(plan: Plan, progress: Console | None = None) -> Result:
    """Runs a plan. The stack has ended when it returns."""
    result = Result(Ledger(messages_of(plan)), Log())
    with tempfile.TemporaryDirectory() as folder, serving(result.ledger) as port:
        template = write_project(Path(folder), plan, port)
        arguments = ["--template", str(template), "--max-environments", "400"]
        with listening(arguments, result.log.read) as (pid, addresses):
            Run(plan, result, pid, addresses["lambda"]).until_settled(progress or Console(quiet=True))
    return result


def table_of(plan: Plan, result: Result) -> Table:
    ledger = result.ledger
    title = f"{plan.messages:,} messages of {plan.tenants} tenants in a FIFO queue, Python {sys.version.split()[0]}"
    table = Table(title=title)
    table.add_column("")
    table.add_column("", justify="right")
    facts: Mapping[str, int | float] = {
        "seconds": result.seconds,
        "messages a second": plan.messages / result.seconds,
        "batches": result.log.batches,
        "processed more than once": sum(count > 1 for count in ledger.processed.values()),
        "receives again": ledger.redelivered,
        "functions that crashed (raise, exit, timeout)": len(ledger.crashed),
        "routers killed": result.kills,
        "of them while it worked": result.log.killed,
        "set aside": result.stored.total(),
    }
    for name, value in facts.items():
        table.add_row(name, f"{value:,.0f}")
    for name, count in sorted(result.log.statuses.items()):
        table.add_row(f"records: {name}", f"{count:,}")
    table.add_section()
    for name, found in result.faults().items():
        table.add_row(name, str(len(found)))
    table.add_row("left in the queue", str(result.left))
    return table


@click.command()
@click.option("--messages", default=10_000, show_default=True, help="How many.")
@click.option("--limit", default=1800.0, show_default=True, help="Seconds after which the run ends.")
@click.option("--seed", default=17, show_default=True, help="Of all choices.")
def main(messages: int, limit: float, seed: int) -> None:
    """Send messages through a router that is killed, to functions that crash, and count what became of each."""
    plan = Plan(messages, limit=limit, seed=seed)
    result = soak(plan, Console())
    Console().print(table_of(plan, result))
    faults = {name: found for name, found in result.faults().items() if found}
    for name, found in faults.items():
        print(f"{name}: {found[:20]}")
    sys.exit(1 if faults or result.left else 0)


if __name__ == "__main__":
    main()
