"""Queues of the local SQS in this process, for tests of what sends messages and of what routes them.

Rule: the local stack's own queues answer, on a loopback port. A batch is delivered when the test says so:
nothing polls.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from lattice_bridge.events import sqs
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, EXECUTION_ROLE_KEY
from lattice_bridge.local.aws.endpoint import AwsEndpoint
from lattice_bridge.local.aws.sqs.api import SERVICE, sqs_api
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Message
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.sources.batch_response import failed_ids
from lattice_bridge.local.sources.delivery import record_of
from lattice_bridge.local.web.incoming import IncomingRequest
from lattice_bridge.local.web.server import HOST, HttpServer
from lattice_bridge.testing.boto_session import boto_session
from lattice_bridge.testing.builders import ACCOUNT, REGION

_SECONDS: Final = 10
"""For anything that this process does itself. It takes milliseconds."""
_Result = TypeVar("_Result")


class LocalQueues:
    """The local SQS, on a loopback port, without the rest of the local stack. It needs the extra `local` as well.

    >>> with LocalQueues() as queues:
    ...     orders = queues.create("orders")
    ...     sent = orders.client.send_message(QueueUrl=orders.url, MessageBody="{}")
    ...     orders.deliver(lambda event, context: {"batchItemFailures": []})
    ...     orders.counts
    {'batchItemFailures': []}
    {'visible': 0, 'in_flight': 0, 'delayed': 0}
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._queues = Queues(REGION, ACCOUNT)
        self._server: HttpServer | None = None
        self._client: Any = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self.run(self._serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queues.closed = True
        if self._client is not None:
            self._client.close()
        if self._server is not None:
            self.run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> HttpServer:
        late = _Late()
        server = await HttpServer.start(late)
        keys = {key.access_key: key for key in (DEVELOPER_KEY, EXECUTION_ROLE_KEY)}
        url = f"http://{HOST}:{server.port}"
        late.endpoint = AwsEndpoint({SERVICE: sqs_api(self._queues, url)}, keys, REGION)
        return server

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Runs a coroutine in the thread of the queues, which no other thread may touch."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    @property
    def url(self) -> str:
        """The URL for `endpoint_url` and AWS_ENDPOINT_URL_SQS."""
        if self._server is None:
            raise RuntimeError("LocalQueues has not been started. Fix: write `with LocalQueues() as queues:`")
        return f"http://{HOST}:{self._server.port}"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables by which boto3 and the AWS CLI find the queues, with useless keys."""
        return {
            "AWS_ENDPOINT_URL_SQS": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": DEVELOPER_KEY.access_key,
            "AWS_SECRET_ACCESS_KEY": DEVELOPER_KEY.secret_key,
        }

    @property
    def client(self) -> Any:
        """A boto3 client of SQS, the same one each time."""
        if self._client is not None:
            return self._client
        from botocore.config import Config

        session = boto_session(DEVELOPER_KEY.access_key, DEVELOPER_KEY.secret_key, REGION)
        self._client = session.client("sqs", endpoint_url=self.url, config=Config(proxies={}))
        return self._client

    def create(self, name: str = "orders", attributes: Mapping[str, str] | None = None) -> LocalQueue:
        """Creates a queue; a FIFO queue if its name ends in `.fifo`.

        Args:
            name: of the queue; or its ARN, as `bridge.toml` has it.
            attributes: as of CreateQueue: `{"VisibilityTimeout": "1"}`.

        Raises:
            SqsError: SQS refuses the name or an attribute.
        """
        arn = name if name.startswith("arn:") else None
        given = {**({"FifoQueue": "true"} if name.endswith(sqs.FIFO) else {}), **(attributes or {})}

        async def create() -> Queue:
            return self._queues.create(name.rpartition(":")[2] if arn else name, given, arn)

        return LocalQueue(self, self.run(create()))


class LocalQueue:
    """One queue. `LocalQueues.create` makes it.

    >>> with LocalQueues() as queues:
    ...     queues.create("orders.fifo").arn
    'arn:aws:sqs:eu-west-1:111122223333:orders.fifo'

    Attributes:
        arn: of the queue, as in `[[event_source]]`.
        url: of the queue, for clients.
    """

    def __init__(self, queues: LocalQueues, queue: Queue) -> None:
        self._queues = queues
        self._queue = queue
        self.arn = queue.arn
        self.url = queues.url + queue.url_path

    @property
    def client(self) -> Any:
        """A boto3 client of SQS."""
        return self._queues.client

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of messages: `visible`, `in_flight` (delivered, and neither deleted nor visible again) and
        `delayed`."""

        async def counts() -> dict[str, int]:
            found = self._queue.counts()
            return {"visible": found.visible, "in_flight": found.in_flight, "delayed": found.delayed}

        return self._queues.run(counts())

    def deliver(self, handler: Callable[[Any, Any], Any], limit: int = 10, context: object = None) -> Any:
        """Delivers one batch to a handler, as an event source mapping with ReportBatchItemFailures does: the messages
        that the answer does not name are deleted, and so none is if the handler raises.

        Args:
            handler: takes the event and the context. It is called in this thread, and not at all if there is no
                message.
            limit: messages of the batch, at most.
            context: for the handler.

        Returns:
            The handler's answer; None if there was no message.

        Raises:
            WholeBatchFailed: Lambda does not understand the answer, or it names no message of the batch. Lambda then
                keeps the whole batch, as here. It is a ValueError.
        """

        async def receive() -> list[Message]:
            return self._queue.receive(limit)

        async def delete(failed: Collection[str]) -> None:
            for message in messages:
                if message.id not in failed:
                    with suppress(SqsError):  # its visibility timeout has ended: a FIFO queue delivers it again
                        self._queue.delete(message.receipt_handle)

        messages = self._queues.run(receive())
        if not messages:
            return None
        answer = handler({"Records": [record_of(message, self.arn) for message in messages]}, context)
        failed = failed_ids(json.dumps(answer).encode(), {message.id for message in messages})
        self._queues.run(delete(failed))
        return answer


class _Late:
    """The endpoint, whose URL is known once its server listens."""

    endpoint: AwsEndpoint

    async def __call__(self, request: IncomingRequest) -> None:
        await self.endpoint(request)
