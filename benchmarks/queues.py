"""What a message costs in the local SQS, through HTTP with boto3, and what a receive costs with a long backlog.

Both run the stack's own endpoint in a process of its own, whose CPU time is measured: a shared machine disturbs it less
than the clock. The messages a second are by the clock, with the client's own work on another core.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

import boto3
from botocore.config import Config

from benchmarks.cpu import microseconds
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import spread
from benchmarks.table import Table
from lattice_bridge.local.aws.access_keys import AccessKeys
from lattice_bridge.local.aws.endpoint import AwsEndpoint
from lattice_bridge.local.aws.sqs.api import SERVICE, sqs_api
from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.web.server import AsgiServer, Receive, Scope, Send

REGION: Final = "us-east-1"
ACCOUNT: Final = "111122223333"
ROUNDS, BATCHES, BATCH = 7, 40, 10
SHORT, LONG, RECEIVES = 100, 100_000, 300
BODY: Final = "x" * 1000


# ---- through HTTP ---------------------------------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """Serves SQS. Answers each message of the pipe with this process's CPU time in seconds: all, and without the
    kernel's, whose part depends on the machine most."""

    async def main() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await served(scope, receive, send)

        server = await AsgiServer.start(app)
        url = f"http://127.0.0.1:{server.port}"
        services = {SERVICE: sqs_api(Queues(REGION, ACCOUNT), url)}
        served = AwsEndpoint(services, AccessKeys().known, REGION)
        pipe.send(url)
        while await asyncio.to_thread(pipe.recv):
            pipe.send((time.process_time(), os.times().user))
        await server.stop()

    asyncio.run(main())


def pass_on(client: Any, url: str, batches: int, size: int) -> None:
    """Sends, receives and deletes messages, so many at a time."""
    for _ in range(batches):
        entries = [{"Id": str(number), "MessageBody": BODY} for number in range(size)]
        client.send_message_batch(QueueUrl=url, Entries=entries)
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=size)["Messages"]
        assert len(found) == size
        handles = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(found)]
        client.delete_message_batch(QueueUrl=url, Entries=handles)


def through_http(bench: Bench) -> Table:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        endpoint = here.recv()
        config = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": REGION}
        client = boto3.client("sqs", endpoint_url=endpoint, config=config, **keys)
        url = client.create_queue(QueueName="bench")["QueueUrl"]
        rows = [measured(client, url, here, bench, size) for size in (BATCH, 1)]
    finally:
        here.send(None)
        process.join(20)
    title = f"Local SQS, one client of boto3: send + receive + delete, {len(BODY)} bytes; at least 1,500 messages/s"
    return Table(title, ("", "CPU of the server, µs a message", "range", "without the kernel", "messages/s"), rows)


def measured(client: Any, url: str, pipe: Connection, bench: Bench, size: int) -> tuple[str, ...]:
    batches = bench.few(BATCHES)
    pass_on(client, url, batches, size)
    costs: list[float] = []
    own: list[float] = []
    rates: list[float] = []
    for _ in range(bench.few(ROUNDS)):
        pipe.send("time")
        before, began = pipe.recv(), time.perf_counter()
        pass_on(client, url, batches, size)
        rates.append(batches * size / (time.perf_counter() - began))
        pipe.send("time")
        after = pipe.recv()
        each, each_own = ((end - start) / (batches * size) * 1e6 for start, end in zip(before, after, strict=True))
        costs.append(each)
        own.append(each_own)
    return (
        f"batches of {size}",
        *spread(costs, 0),
        f"{statistics.median(own):,.0f}",
        f"{statistics.median(rates):,.0f}",
    )


# ---- backlog --------------------------------------------------------------------------------------------------------


def filled(name: str, backlog: int) -> Queue:
    """A queue with so many messages; a FIFO queue has a hundred groups."""
    queues = Queues(REGION, ACCOUNT)
    is_fifo = name.endswith(".fifo")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if is_fifo else {}
    queue = queues.create(name, attributes)
    for number in range(backlog):
        queue.send(Outgoing(f"{number} {BODY}", group=str(number % 100) if is_fifo else None))
    return queue


def receiving(queue: Queue) -> Callable[[], object]:
    """Receives ten messages and makes them visible again, so that the backlog stays."""

    def receive() -> None:
        for message in queue.receive(10):
            queue.change_visibility(message.receipt_handle, 0)

    return receive


def backlog(bench: Bench) -> tuple[Table, float]:
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    for name in ("standard", "queue.fifo"):
        calls = {size: receiving(filled(name, size)) for size in (SHORT, 2000 if bench.quick else LONG)}
        rounds = [
            {size: microseconds(call, bench.few(RECEIVES)) for size, call in calls.items()}
            for _ in range(bench.few(ROUNDS) + 1)
        ][1:]
        short, long = calls
        ratio = statistics.median(each[long] / each[short] for each in rounds)
        ratios.append(ratio)
        for size in calls:
            shown = "" if size == short else f"{ratio:.2f}"
            rows.append((f"{name}, {size:,} messages", *spread([each[size] for each in rounds], 1), shown))
    title = "Local SQS: a receive of ten messages by the backlog, CPU in µs, with making them visible again"
    return Table(title, ("", "median", "range", f"over {SHORT}"), rows), max(ratios)


def run(bench: Bench) -> Section:
    table, ratio = backlog(bench)
    return Section([through_http(bench), table], {"backlog of 100,000 over 100": ratio})
