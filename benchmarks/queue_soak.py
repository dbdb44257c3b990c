"""Queues under load and faults: the whole local stack, with poison messages, functions that fail, and a router that is
killed while it works. No message may be lost, overtake another of its group, or run as another tenant.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click
from rich.console import Console

from benchmarks import fault_run, ledger
from benchmarks.fault_run import ACCOUNT, ROUTER, Log, Result, client, emptied, report
from benchmarks.ledger import REPORT, Ledger, Message, Plan

SENDER: Final = "AROAEXAMPLE123456789"
QUEUES: Final = f"arn:aws:sqs:{ACCOUNT}"
POISON: Final = ("no claim", "a tenant that the sender may not name", "suspended", "not JSON")
FULL: Final = "ten attributes and no claim"
"""The quarantine cannot store it, so that it reaches the dead-letter queue. It has a group of its own: what is behind a
message that keeps failing shares its receive count."""
FAULTS: Final = ("raise", "exit", "timeout")
BATCH: Final = 10
MOST_RECEIVES: Final = 12


@dataclass(frozen=True, slots=True)
class QueuePlan(Plan):
    """What is sent, and what goes wrong.

    Attributes:
        routers: that work at the same time, at most.
        visibility: seconds until a message that failed comes again; 4 at least. A router has one second less, and with
            two it would never begin to fill the quarantine.
        full: also messages that the quarantine cannot store. They need `MOST_RECEIVES` times `visibility`.
    """

    messages: int = 10_000
    tenants: int = 64
    groups: int = 10
    poison: float = 0.05
    faults: float = 0.05
    kills: float = 0.02
    routers: int = 4
    visibility: int = 8
    full: bool = True


def messages_of(plan: QueuePlan) -> list[Message]:
    """The messages in the order of sending."""
    found = ledger.messages_of(plan, (*POISON, FULL) if plan.full else POISON, FAULTS)
    return [replace(one, group=f"full.{one.number}") if one.poison == FULL else one for one in found]


def entry(message: Message) -> dict[str, Any]:
    """An entry of SendMessageBatch."""
    named = {"suspended": "suspended", POISON[1]: "stranger"}.get(message.poison, message.tenant)
    content = {"number": message.number}
    body = json.dumps(content if message.poison in (POISON[0], FULL) else {**content, "tenant": named})
    names = ["number", *(f"n{number}" for number in range(9 if message.poison == FULL else 0))]
    return {
        "Id": str(message.number),
        "MessageBody": "{" if message.poison == "not JSON" else body,
        "MessageGroupId": message.group,
        "MessageDeduplicationId": str(message.number),
        "MessageAttributes": {name: {"DataType": "Number", "StringValue": str(message.number)} for name in names},
    }


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
CODE: Final = f"""{REPORT}
def worker(event, context):
    for record in event["Records"]:
        process(json.loads(record["body"])["number"], context.tenant_id)
"""


def files_of(plan: QueuePlan, port: int) -> Mapping[str, str]:
    """The template with its functions, by path."""
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
    return {"template.yaml": template, "router/bridge.toml": text, "code/app.py": CODE}


# ---- the run --------------------------------------------------------------------------------------------------------


@dataclass
class QueueResult(Result):
    """What was found at the end. A message moves to one of two queues, so each poison is there once."""

    def faults(self) -> dict[str, Sequence[int] | Sequence[str]]:
        found = [number for number in self.poison() if self.stored[number] > 1]
        return {**super().faults(), "poison set aside more than once": found}


class Orders:
    """The queue of a stack, by the URL of its AWS endpoint, with its quarantine and its dead-letter queue."""

    most = BATCH

    def __init__(self, url: str) -> None:
        self._sqs = client("sqs", url, SENDER)
        self._orders, self._aside, self._dead = (
            self._sqs.get_queue_url(QueueName=f"{name}.fifo")["QueueUrl"] for name in ("orders", "aside", "dead")
        )

    def send(self, messages: Sequence[Message]) -> None:
        entries = [entry(message) for message in messages]
        answer = self._sqs.send_message_batch(QueueUrl=self._orders, Entries=entries)
        if answer.get("Failed"):
            raise RuntimeError(f"not sent: {answer['Failed']}")

    def collect(self) -> Iterable[int]:
        """The numbers of the messages in the quarantine and the dead-letter queue, which are emptied."""
        for url in (self._aside, self._dead):
            for message in emptied(self._sqs, url):
                yield int(message["MessageAttributes"]["number"]["StringValue"])

    def left(self) -> int:
        """Messages in the queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._orders, AttributeNames=names)["Attributes"]
        return sum(int(found[each]) for each in names)


def soak(plan: QueuePlan, progress: Console | None = None) -> QueueResult:
    """Runs a plan. The stack has ended when it returns."""
    result = QueueResult(Ledger(messages_of(plan)), Log())
    fault_run.soak(plan, result, lambda port: files_of(plan, port), Orders, progress)
    return result


@click.command()
@click.option("--messages", default=10_000, show_default=True, help="How many.")
@click.option("--limit", default=1800.0, show_default=True, help="Seconds after which no more is sent.")
@click.option("--seed", default=17, show_default=True, help="Of all choices.")
def main(messages: int, limit: float, seed: int) -> None:
    """Send messages through a router that is killed, to functions that fail, and count what became of each."""
    plan = QueuePlan(messages, limit=limit, seed=seed)
    title = f"messages of {plan.tenants} tenants in a FIFO queue"
    sys.exit(report(title, soak(plan, Console())))


if __name__ == "__main__":
    main()
