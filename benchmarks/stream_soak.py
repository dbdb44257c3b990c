"""Shards under load and faults: Kinesis records through routers that are killed, to functions that fail. A poison
record must not block its shard, and no record may be lost, overtake another of its key, or run as another tenant.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final

import click
from rich.console import Console

from benchmarks import fault_run
from benchmarks.fault_run import ACCOUNT, ROUTER, Log, Result, client, emptied, report
from benchmarks.ledger import REPORT, Ledger, Message, Plan, messages_of

STREAM: Final = f"arn:aws:kinesis:{ACCOUNT}:stream/clicks"
POISON: Final = ("no claim", "a tenant that no rule of the stream names", "suspended", "not JSON", "an aggregate")
FAULTS: Final = (*("raise", "report") * 4, "exit", "timeout")
"""A new process costs more than all others, so few functions end theirs."""
BATCH: Final = 100
RETRIES: Final = 20
PUT: Final = 500
"""Records of one PutRecords, at most."""


@dataclass(frozen=True, slots=True)
class StreamPlan(Plan):
    """What is sent, and what goes wrong.

    Attributes:
        shards: of the stream.
        lanes: of each shard that a mapping reads side by side.
    """

    messages: int = 100_000
    tenants: int = 64
    groups: int = 1
    poison: float = 0.01
    faults: float = 0.02
    kills: float = 0.002
    shards: int = 4
    lanes: int = 2


def record(message: Message) -> dict[str, Any]:
    """A record of PutRecords."""
    tenant = {POISON[1]: "stranger", "suspended": "suspended"}.get(message.poison, message.group.partition(".")[0])
    content = {"number": message.number, "tenant": tenant}
    if message.poison == "no claim":
        del content["tenant"]
    data = json.dumps(content).encode()
    if message.poison == "not JSON":
        data = data[:-1]
    if message.poison == "an aggregate":
        data = aggregate(message.group.encode(), data)
    return {"Data": data, "PartitionKey": message.group}


def aggregate(key: bytes, data: bytes) -> bytes:
    """One record as the Kinesis Producer Library aggregates it. Key and record have less than 100 bytes."""
    inner = b"\x08\x00\x1a" + bytes([len(data)]) + data
    message = b"\x0a" + bytes([len(key)]) + key + b"\x1a" + bytes([len(inner)]) + inner
    return b"\xf3\x89\x9a\xc2" + message + md5(message, usedforsecurity=False).digest()


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
      Timeout: 60
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.worker
      Runtime: python3.13
      Code: code
      Timeout: 2
      TenancyConfig: {{TenantIsolationMode: PER_TENANT}}
      Environment: {{Variables: {{LEDGER: "{port}"}}}}
  Clicks: {{Type: AWS::Kinesis::Stream, Properties: {{Name: clicks, ShardCount: {shards}}}}}
  Aside: {{Type: AWS::SQS::Queue, Properties: {{QueueName: aside}}}}
  Discarded: {{Type: AWS::SQS::Queue, Properties: {{QueueName: discarded}}}}
  Reads:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Clicks.Arn
      FunctionName: !Ref Router
      StartingPosition: TRIM_HORIZON
      BatchSize: {batch}
      ParallelizationFactor: {lanes}
      MaximumRetryAttempts: {retries}
      DestinationConfig: {{OnFailure: {{Destination: !GetAtt Discarded.Arn}}}}
      FunctionResponseTypes: [ReportBatchItemFailures]
"""
MAP: Final = """
[[event_source]]
arn = "{stream}"
function = "worker"
claim = {{ from = "body", path = ["tenant"] }}
quarantine = "arn:aws:sqs:{account}:aside"
concurrency = 16
timeout = 20
[tenants]
suspended = {{ status = "suspended" }}
stranger = {{}}
{tenants}
[[rule]]
id = "clicks"
source = "{stream}"
tenants = ["suspended", {names}]
accept_risk = "the only producer is this benchmark"
"""
CODE: Final = f"""{REPORT}
import base64

def worker(event, context):
    failed = []
    for record in event["Records"]:
        content = json.loads(base64.b64decode(record["kinesis"]["data"]))
        if process(content["number"], context.tenant_id):
            failed.append({{"itemIdentifier": record["kinesis"]["sequenceNumber"]}})
    return {{"batchItemFailures": failed}}
"""


def files_of(plan: StreamPlan, port: int) -> Mapping[str, str]:
    """The template with its functions, by path."""
    names = [f"tenant-{number}" for number in range(plan.tenants)]
    tenants = "\n".join(f"{name} = {{}}" for name in names)
    return {
        "template.yaml": TEMPLATE.format(
            router=ROUTER, port=port, shards=plan.shards, batch=BATCH, lanes=plan.lanes, retries=RETRIES
        ),
        "router/bridge.toml": MAP.format(
            stream=STREAM, account=ACCOUNT, tenants=tenants, names=json.dumps(names)[1:-1]
        ),
        "code/app.py": CODE,
    }


# ---- the run --------------------------------------------------------------------------------------------------------


@dataclass
class StreamLog(Log):
    """What is kept of the log of a stream.

    Attributes:
        passed: records that a checkpoint has passed.
        discarded: why records were discarded, with the first one's sequence number.
        most_failures: deliveries of the same first record without a new checkpoint, one after the other.
        longest: seconds from the first of them to the next checkpoint.
    """

    passed: int = 0
    discarded: list[str] = field(default_factory=list)
    most_failures: int = 0
    longest: float = 0.0
    _blocked: dict[str, tuple[int, float]] = field(default_factory=dict)

    def take(self, batch: Mapping[str, Any]) -> None:
        super().take(batch)
        self._take(batch["records"][0], len(batch["records"]) - len(batch["failed"]), batch.get("discarded"))

    def _take(self, first: str, done: int, discarded: str | None, now: float | None = None) -> None:
        now = time.monotonic() if now is None else now
        self.passed += done
        if discarded:
            self.discarded.append(f"{first}: {discarded}")
        failures, since = self._blocked.pop(first, (0, now))
        if done or discarded:
            self.longest = max(self.longest, now - since)
        else:
            self._blocked[first] = failures + 1, since
            self.most_failures = max(self.most_failures, failures + 1)

    def facts(self) -> dict[str, float]:
        return {
            f"most deliveries without a checkpoint, of {RETRIES + 1}": self.most_failures,
            "longest time without a checkpoint, seconds": self.longest,
        }

    def faults(self) -> dict[str, list[str]]:
        return {
            "records of a shard discarded after all retries": self.discarded,
            "shards that are still blocked": list(self._blocked),
        }


class Clicks:
    """The stream of a stack, by the URL of its AWS endpoint, with the quarantine."""

    most = PUT

    def __init__(self, url: str, log: StreamLog) -> None:
        self._log, self._put = log, 0
        self._kinesis, self._sqs = client("kinesis", url), client("sqs", url)
        self._aside = self._sqs.get_queue_url(QueueName="aside")["QueueUrl"]

    def send(self, messages: Sequence[Message]) -> None:
        """Puts records. PutRecords promises no order, but the local engine keeps that of a request."""
        answer = self._kinesis.put_records(StreamName="clicks", Records=[record(message) for message in messages])
        if answer["FailedRecordCount"]:
            raise RuntimeError("a record was not put")
        self._put += len(messages)

    def collect(self) -> Iterable[int]:
        """The numbers of the records in the quarantine, which is emptied."""
        for message in emptied(self._sqs, self._aside):
            yield number_of(json.loads(message["Body"])["kinesis"]["data"])

    def left(self) -> int:
        """Records that no checkpoint has passed."""
        return self._put - self._log.passed


def number_of(data: str) -> int:
    """The number of a record by its data, which is not always JSON."""
    found = re.search(rb'"number": (\d+)', base64.b64decode(data))
    assert found is not None, data
    return int(found[1])


def soak(plan: StreamPlan, progress: Console | None = None) -> Result:
    """Runs a plan. The stack has ended when it returns."""
    log = StreamLog()
    result = Result(Ledger(messages_of(plan, POISON, FAULTS)), log)
    fault_run.soak(plan, result, lambda port: files_of(plan, port), lambda url: Clicks(url, log), progress)
    return result


@click.command()
@click.option("--messages", default=100_000, show_default=True, help="How many records.")
@click.option("--limit", default=1800.0, show_default=True, help="Seconds after which no more is sent.")
@click.option("--seed", default=17, show_default=True, help="Of all choices.")
def main(messages: int, limit: float, seed: int) -> None:
    """Put records into a stream whose router is killed and whose functions fail, and count what became of each."""
    plan = StreamPlan(messages, limit=limit, seed=seed)
    title = f"records of {plan.tenants} tenants in {plan.shards} shards"
    sys.exit(report(title, soak(plan, Console())))


if __name__ == "__main__":
    main()
