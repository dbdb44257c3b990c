"""What a message costs in the local SQS through HTTP, and what a receive costs with a long backlog.

The stack's own endpoint runs in a process of its own, whose CPU time is measured: a shared machine disturbs it less
than the clock. Two clients show what of the clock's time is the client's own: boto3, and http.client with a signature.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config

from benchmarks.cpu import microseconds
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import spread
from benchmarks.table import Table
from lattice_bridge.invoke.signing import Credentials, Signer
from lattice_bridge.local.aws.access_keys import AccessKeys
from lattice_bridge.local.aws.endpoint import AwsEndpoint
from lattice_bridge.local.aws.sqs.api import SERVICE, sqs_api
from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.web.incoming import IncomingRequest
from lattice_bridge.local.web.server import HttpServer

REGION: Final = "us-east-1"
ACCOUNT: Final = "111122223333"
ROUNDS, BATCHES, BATCH = 7, 40, 10
SHORT, LONG, RECEIVES = 100, 100_000, 300
BODY: Final = "x" * 1000


# ---- through HTTP ---------------------------------------------------------------------------------------------------

Send = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Sends one request: the operation's name and its parameters. Returns the answer."""


def serve(pipe: Connection) -> None:
    """Serves SQS. Answers each message of the pipe, `fill` with a queue's name and size or `time`, with this process's
    CPU time in seconds: all, and without the kernel's, whose part depends on the machine most."""

    async def main() -> None:
        async def app(request: IncomingRequest) -> None:
            await served(request)

        server = await HttpServer.start(app)
        url, queues = f"http://127.0.0.1:{server.port}", Queues(REGION, ACCOUNT)
        served = AwsEndpoint({SERVICE: sqs_api(queues, url)}, AccessKeys().known, REGION)
        pipe.send(url)
        while wanted := await asyncio.to_thread(pipe.recv):
            if wanted[0] == "fill":
                fill(queues, *wanted[1:])
            pipe.send((time.process_time(), os.times().user))
        await server.stop()

    asyncio.run(main())


@contextmanager
def serving() -> Iterator[tuple[str, Connection]]:
    """The URL of a process that serves SQS, and the pipe to it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send(None)
        process.join(20)


def seconds_of(pipe: Connection, *wanted: object) -> tuple[float, float]:
    """CPU seconds of the server so far: all, and without the kernel's."""
    pipe.send(wanted or ("time",))
    found: tuple[float, float] = pipe.recv()
    return found


def by_boto3(endpoint: str) -> Send:
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": REGION}
    client = boto3.client("sqs", endpoint_url=endpoint, config=config, **keys)
    return lambda operation, parameters: getattr(client, xform_name(operation))(**parameters)


def by_http_client(endpoint: str) -> Send:
    """Signs each request, and does little else."""
    host = urlsplit(endpoint).netloc
    connection, signer, key = http.client.HTTPConnection(host), Signer(REGION, "sqs"), Credentials("local", "local")

    def send(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        body = json.dumps(parameters).encode()
        headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": f"AmazonSQS.{operation}"}
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signature = signer.form("/", headers, key).authorization(now, "", sha256(body).hexdigest())
        connection.request("POST", "/", body, {**headers, "x-amz-date": now, "authorization": signature})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(content.decode())
        answer: Mapping[str, Any] = json.loads(content) if content else {}
        return answer

    return send


CLIENTS: Final[Mapping[str, Callable[[str], Send]]] = {"boto3": by_boto3, "http.client": by_http_client}


def pass_on(send: Send, url: str, batches: int, size: int) -> None:
    """Sends, receives and deletes messages, so many at a time."""
    for _ in range(batches):
        entries = [{"Id": str(number), "MessageBody": BODY} for number in range(size)]
        send("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        found = send("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": size})["Messages"]
        assert len(found) == size
        handles = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(found)]
        send("DeleteMessageBatch", {"QueueUrl": url, "Entries": handles})


class Cost(NamedTuple):
    """Microseconds of a message in one round: CPU of the server with and without its kernel's, of the client, and by
    the clock."""

    server: float
    own: float
    client: float
    clock: float


def through_http(bench: Bench) -> tuple[Table, float]:
    """The table, and the microseconds by the clock of a message in batches, through http.client."""
    found: dict[tuple[str, int], Sequence[Cost]] = {}
    with serving() as (endpoint, pipe):
        clients = {name: connect(endpoint) for name, connect in CLIENTS.items()}
        url = str(clients["boto3"]("CreateQueue", {"QueueName": "bench"})["QueueUrl"])
        for size in (BATCH, 1):
            for name, send in clients.items():
                found[name, size] = measured(send, url, pipe, bench, size)
    words = {BATCH: f"batches of {BATCH}", 1: "one by one"}
    rows = [(f"{name}, {words[size]}", *_row(costs)) for (name, size), costs in found.items()]
    title = f"Local SQS, one client: send + receive + delete, {len(BODY)} bytes"
    columns = ("", "CPU of the server, µs a message", "range", "without the kernel", "CPU of the client", "messages/s")
    note = "Messages/s by the clock. Client and server wait for each other, so it has the time of both."
    return Table(title, columns, rows, note), statistics.median(one.clock for one in found["http.client", BATCH])


def _row(costs: Sequence[Cost]) -> tuple[str, ...]:
    own, client, clock = (statistics.median(values) for values in list(zip(*costs, strict=True))[1:])
    return (*spread([one.server for one in costs]), f"{own:,.0f}", f"{client:,.0f}", f"{1e6 / clock:,.0f}")


def measured(send: Send, url: str, pipe: Connection, bench: Bench, size: int) -> Sequence[Cost]:
    """The cost of each round."""
    batches = bench.few(BATCHES)
    pass_on(send, url, batches, size)
    return [_round(send, url, pipe, batches, size) for _ in range(bench.few(ROUNDS))]


def _round(send: Send, url: str, pipe: Connection, batches: int, size: int) -> Cost:
    before, client, clock = seconds_of(pipe), time.process_time(), time.perf_counter()
    pass_on(send, url, batches, size)
    clock, client = time.perf_counter() - clock, time.process_time() - client
    server, own = (end - start for start, end in zip(before, seconds_of(pipe), strict=True))
    return Cost(*(seconds / (batches * size) * 1e6 for seconds in (server, own, client, clock)))


# ---- backlog --------------------------------------------------------------------------------------------------------


def fill(queues: Queues, name: str, backlog: int) -> Queue:
    """Makes a queue with so many messages; a FIFO queue has a hundred groups."""
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


def receiving_through_http(endpoint: str, pipe: Connection, name: str, size: int) -> Callable[[int], float]:
    """Fills a queue. Returns what makes so many receives, and returns the server's microseconds of CPU for each."""
    send = by_http_client(endpoint)
    stem, _, fifo = name.partition(".")
    full = f"{stem}-{size}.{fifo}" if fifo else f"{stem}-{size}"
    seconds_of(pipe, "fill", full, size)
    url = str(send("GetQueueUrl", {"QueueName": full})["QueueUrl"])

    def receives(number: int) -> float:
        began, _ = seconds_of(pipe)
        for _ in range(number):
            found = send("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10})["Messages"]
            handles = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(found)]
            entries = [{**handle, "VisibilityTimeout": 0} for handle in handles]
            send("ChangeMessageVisibilityBatch", {"QueueUrl": url, "Entries": entries})
        return (seconds_of(pipe)[0] - began) / number * 1e6

    return receives


def backlog(bench: Bench) -> tuple[Table, float]:
    """The table, and the highest ratio of a long backlog to a short one."""
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    sizes = (SHORT, 2000 if bench.quick else LONG)
    with serving() as (endpoint, pipe):
        for name in ("standard", "queue.fifo"):
            engine = {
                size: partial(microseconds, receiving(fill(Queues(REGION, ACCOUNT), name, size))) for size in sizes
            }
            through = {size: receiving_through_http(endpoint, pipe, name, size) for size in sizes}
            for way, calls in (("engine", engine), ("HTTP", through)):
                found, ratio = compared(calls, bench)
                ratios.append(ratio)
                rows += [(f"{name}, {way}, {size:,} messages", *row) for size, row in found.items()]
    title = "Local SQS: a receive of ten messages by the backlog, CPU in µs, with making them visible again"
    return Table(title, ("", "median", "range", f"over {SHORT}"), rows), max(ratios)


def compared(calls: Mapping[int, Callable[[int], float]], bench: Bench) -> tuple[dict[int, tuple[str, ...]], float]:
    """The columns for each size, and the median ratio of the long backlog to the short one."""
    found = [{size: call(bench.few(RECEIVES)) for size, call in calls.items()} for _ in range(bench.few(ROUNDS) + 1)]
    rounds = found[1:]  # the first one warms up
    ratio = statistics.median(each[max(calls)] / each[SHORT] for each in rounds)
    rows: dict[int, tuple[str, ...]] = {}
    for size in calls:
        rows[size] = (*spread([each[size] for each in rounds], 1), f"{ratio:.2f}" if size > SHORT else "")
    return rows, ratio


def run(bench: Bench) -> Section:
    table, ratio = backlog(bench)
    passed, clock = through_http(bench)
    return Section([passed, table], {"backlog of 100,000 over 100": ratio, "local SQS, µs a message": clock})
