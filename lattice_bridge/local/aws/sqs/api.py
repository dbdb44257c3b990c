"""SQS's API, as a service of the AWS endpoint.

Rule: this module knows the protocol only; `queue` and `queues` decide. It speaks AWS's JSON protocol, as SDKs do since
November 2023.
Source: botocore's service model of SQS 2012-11-05.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse
from lattice_bridge.local.aws.sqs.attributes import FIFO_QUEUE, MAX_MESSAGE, MAX_WAIT, SETTABLE, written
from lattice_bridge.local.aws.sqs.errors import QueueNotFound, SqsError, invalid_value, missing
from lattice_bridge.local.aws.sqs.message import Message, Outgoing, Sent, md5_of_attributes, size_of
from lattice_bridge.local.aws.sqs.moves import MoveTask
from lattice_bridge.local.aws.sqs.parameters import SqsParameters
from lattice_bridge.local.aws.sqs.queue import Queue, no_deduplication_id
from lattice_bridge.local.aws.sqs.queues import Queues

SERVICE: Final = "sqs"
TARGET: Final = "AmazonSQS"

_BODY_LIMIT: Final = 8 * MAX_MESSAGE
"""Bytes. In JSON, a character of two bytes can have six, and a batch has 1 MiB of messages."""
_JSON: Final = ("content-type", "application/x-amz-json-1.0")
_PAGE: Final = 1000
_MAX_TAGS: Final = 50
_COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_READABLE: Final = {*SETTABLE, FIFO_QUEUE, *_COUNTS, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "All"}

Result = Mapping[str, Any]


def sqs_api(queues: Queues, url: str) -> AwsService:
    """Makes the API.

    Args:
        queues: of the stack.
        url: of the AWS endpoint, as it begins a queue's URL.
    """
    operations = _Operations(queues, url)
    return AwsService(operations.answer, _BODY_LIMIT, for_identities=True)


class _Operations:
    """The operations by their names."""

    def __init__(self, queues: Queues, url: str) -> None:
        self._queues = queues
        self._url = url
        self._operations: Mapping[str, Callable[[SqsParameters, AwsRequest], Result]] = {
            "CancelMessageMoveTask": self._cancel_move,
            "ChangeMessageVisibility": self._change_visibility,
            "ChangeMessageVisibilityBatch": self._change_visibility_batch,
            "CreateQueue": self._create,
            "DeleteMessage": self._delete_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "DeleteQueue": self._delete,
            "GetQueueAttributes": self._get_attributes,
            "GetQueueUrl": self._get_url,
            "ListDeadLetterSourceQueues": self._list_sources,
            "ListMessageMoveTasks": self._list_moves,
            "ListQueueTags": self._list_tags,
            "ListQueues": self._list,
            "PurgeQueue": self._purge,
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "SetQueueAttributes": self._set_attributes,
            "StartMessageMoveTask": self._start_move,
            "TagQueue": self._tag,
            "UntagQueue": self._untag,
        }

    async def answer(self, request: AwsRequest) -> AwsResponse:
        """Answers a request."""
        name = _operation(request)
        try:
            if name == "ReceiveMessage":
                result = await self._receive(_parameters(request), request)
            else:
                operation = self._operations.get(name)
                if operation is None:
                    raise _unknown(name, [*self._operations, "ReceiveMessage"])
                result = operation(_parameters(request), request)
        except SqsError as error:
            return _error(error)
        return AwsResponse(200, [_JSON], json.dumps(result, separators=(",", ":")).encode())

    # ---- queues -----------------------------------------------------------------------------------------------------

    def _create(self, given: SqsParameters, _request: AwsRequest) -> Result:
        tags = given.strings("tags")
        _check_tags(tags)
        known = {queue.name for queue in self._queues} if tags else set()
        queue = self._queues.create(given.text("QueueName"), given.strings("Attributes"))
        if tags and queue.name not in known:
            queue.tags = tags
        return {"QueueUrl": self._url_of(queue)}

    def _get_url(self, given: SqsParameters, _request: AwsRequest) -> Result:
        owner = given.optional_text("QueueOwnerAWSAccountId")
        return {"QueueUrl": self._url_of(self._find(owner, given.text("QueueName")))}

    def _list(self, given: SqsParameters, _request: AwsRequest) -> Result:
        prefix = given.optional_text("QueueNamePrefix") or ""
        found = [queue for queue in self._queues if queue.name.startswith(prefix)]
        return self._page("QueueUrls", found, given)

    def _list_sources(self, given: SqsParameters, _request: AwsRequest) -> Result:
        return self._page("queueUrls", self._queues.sources_of(self._queue(given)), given)

    def _page(self, member: str, found: list[Queue], given: SqsParameters) -> Result:
        """A page of queues, by name. The token is the last name of the page before."""
        size = given.number("MaxResults", 1, _PAGE, f"MaxResults must be an integer between 1 and {_PAGE}.")
        after = given.optional_text("NextToken") or ""
        rest = [queue for queue in found if queue.name > after]
        shown = rest[: size or _PAGE]
        # As on AWS, only a client that asks for pages gets a token.
        token = {"NextToken": shown[-1].name} if size is not None and len(rest) > len(shown) else {}
        return {member: [self._url_of(queue) for queue in shown], **token} if shown else {}

    def _delete(self, given: SqsParameters, _request: AwsRequest) -> Result:
        self._queues.delete(self._queue(given).name)
        return {}

    def _purge(self, given: SqsParameters, _request: AwsRequest) -> Result:
        self._queue(given).purge()
        return {}

    def _get_attributes(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue, names = self._queue(given), given.texts("AttributeNames")
        for name in names:
            if name not in _READABLE:
                raise SqsError("InvalidAttributeName", f"Unknown Attribute {name[:100]}.")
        found = {
            "QueueArn": queue.arn,
            **dict(zip(_COUNTS, map(str, queue.counts()), strict=True)),
            "CreatedTimestamp": str(int(queue.created)),
            "LastModifiedTimestamp": str(int(queue.modified)),
            **written(queue.attributes, is_fifo=queue.is_fifo),
        }
        shown = found if "All" in names else {name: found[name] for name in names if name in found}
        return {"Attributes": shown} if shown else {}

    def _set_attributes(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue, attributes = self._queue(given), given.strings("Attributes")
        if not attributes:
            raise missing("Attributes")
        self._queues.set_attributes(queue, attributes)
        return {}

    def _tag(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue, tags = self._queue(given), given.strings("Tags")
        if not tags:
            raise missing("Tags")
        _check_tags({**queue.tags, **tags})
        queue.tags |= tags
        return {}

    def _untag(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue = self._queue(given)
        for key in given.texts("TagKeys"):
            queue.tags.pop(key, None)
        return {}

    def _list_tags(self, given: SqsParameters, _request: AwsRequest) -> Result:
        tags = self._queue(given).tags
        return {"Tags": tags} if tags else {}

    def _queue(self, given: SqsParameters) -> Queue:
        return self._find(*given.queue_account_and_name())

    def _find(self, account: str | None, name: str) -> Queue:
        queue = self._queues.get(name)
        if account not in (None, queue.account):
            raise QueueNotFound
        return queue

    def _url_of(self, queue: Queue) -> str:
        return self._url + queue.url_path

    # ---- messages ---------------------------------------------------------------------------------------------------

    def _send(self, given: SqsParameters, request: AwsRequest) -> Result:
        return _sent(self._queue(given).send(_outgoing(given, request)))

    def _send_batch(self, given: SqsParameters, request: AwsRequest) -> Result:
        queue, entries = self._queue(given), given.entries()
        if queue.is_fifo:
            _check_fifo_batch(queue, entries)
        found = {entry_id: _outgoing_or_error(entry, request) for entry_id, entry in entries}
        size = sum(size_of(each) for each in found.values() if isinstance(each, Outgoing))
        if size > MAX_MESSAGE:
            what = f"Batch requests cannot be longer than {MAX_MESSAGE} bytes. You have sent {size} bytes."
            raise SqsError("BatchRequestTooLong", what)

        def send(entry: SqsParameters) -> Result:
            outgoing = found[entry.text("Id")]
            if isinstance(outgoing, SqsError):
                raise outgoing
            return _sent(queue.send(outgoing))

        return _each(entries, send)

    async def _receive(self, given: SqsParameters, request: AwsRequest) -> Result:
        queue = self._queue(given)
        limit = given.number("MaxNumberOfMessages", 1, 10, "Must be between 1 and 10, if provided.") or 1
        wait = given.number("WaitTimeSeconds", 0, MAX_WAIT, f"Must be >= 0 and <= {MAX_WAIT}, if provided.")
        seconds = queue.attributes.receive_message_wait_time_seconds if wait is None else wait
        visibility, attempt_id = given.visibility(), given.optional_text("ReceiveRequestAttemptId")
        if attempt_id is not None and not queue.is_fifo:
            reason = "The request include parameter that is not valid for this queue type."
            raise invalid_value("ReceiveRequestAttemptId", attempt_id, reason)

        def receive() -> list[Message]:
            return self._queues.get(queue.name).receive(limit, visibility, attempt_id)

        system = {*given.texts("AttributeNames"), *given.texts("MessageSystemAttributeNames")}
        names = given.texts("MessageAttributeNames")
        messages = await self._poll(queue, receive, seconds, request.gone) if seconds else receive()
        return {"Messages": [_received(message, system, names) for message in messages]} if messages else {}

    async def _poll(
        self,
        queue: Queue,
        receive: Callable[[], list[Message]],
        seconds: int,
        client_gone: Callable[[], Awaitable[None]],
    ) -> list[Message]:
        """Receives messages, and waits for the first one. No message goes to a client that has gone."""
        until = self._queues.now() + seconds
        gone: asyncio.Future[None] | None = None
        try:
            while True:
                try:
                    messages = receive()
                except SqsError as error:
                    if error.name != "OverLimit":  # as on AWS, a long poll waits until messages are deleted
                        raise
                    messages = []
                if messages or self._queues.closed or self._queues.now() >= until:
                    return messages
                gone = gone or asyncio.ensure_future(client_gone())
                waiting = asyncio.ensure_future(queue.wait(until))
                try:
                    await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if gone.done():
                    return []
        finally:
            if gone is not None:
                gone.cancel()

    def _delete_message(self, given: SqsParameters, _request: AwsRequest) -> Result:
        self._queue(given).delete(given.text("ReceiptHandle"))
        return {}

    def _delete_message_batch(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue = self._queue(given)
        return _each(given.entries(), lambda entry: queue.delete(entry.text("ReceiptHandle")))

    def _change_visibility(self, given: SqsParameters, _request: AwsRequest) -> Result:
        _change(self._queue(given), given)
        return {}

    def _change_visibility_batch(self, given: SqsParameters, _request: AwsRequest) -> Result:
        queue = self._queue(given)
        return _each(given.entries(), lambda entry: _change(queue, entry))

    # ---- move tasks -------------------------------------------------------------------------------------------------

    def _start_move(self, given: SqsParameters, _request: AwsRequest) -> Result:
        reason = "Must be between 1 and 500, if provided."
        rate = given.number("MaxNumberOfMessagesPerSecond", 1, 500, reason)
        task = self._queues.start_move(given.text("SourceArn"), given.optional_text("DestinationArn"), rate)
        return {"TaskHandle": task.handle}

    def _list_moves(self, given: SqsParameters, _request: AwsRequest) -> Result:
        most = given.number("MaxResults", 1, 10, "Must be between 1 and 10, if provided.") or 1
        return {"Results": [_move(task) for task in self._queues.moves(given.text("SourceArn"))[:most]]}

    def _cancel_move(self, given: SqsParameters, _request: AwsRequest) -> Result:
        task = self._queues.cancel_move(given.text("TaskHandle"))
        return {"ApproximateNumberOfMessagesMoved": task.moved}


# ---- requests -------------------------------------------------------------------------------------------------------


def _operation(request: AwsRequest) -> str:
    """The name of the operation.

    Raises:
        AwsError: the request has another protocol.
    """
    target, _, name = (request.header("x-amz-target") or "").partition(".")
    if target == TARGET:
        return name
    form = request.body[:2000].decode("latin-1") or request.query
    action = next(iter(parse_qs(form).get("Action", [])), "")
    shown = f"SQS {action}" if action.isalnum() and action.isascii() else "SQS"
    raise AwsError(
        400,
        "InvalidAction",
        f"{shown}: this local stack has only the JSON protocol of SQS (X-Amz-Target: {TARGET}.OPERATION), and this "
        "request has not. Fix: update the SDK: boto3 from 1.28.82, AWS CLI from 1.29.82 or 2.13.33, JavaScript from "
        "3.447.0, Java from 2.21.19, Go from 1.28.0 of v2, .NET from 3.7.681",
    )


def _unknown(name: str, known: list[str]) -> AwsError:
    shown = name if name.isalnum() and name.isascii() and len(name) < 80 else "this operation"
    fix = "set the attribute Policy; every key may call every operation here" if shown.endswith("Permission") else None
    what = f"SQS {shown}: this local stack has {', '.join(sorted(known))}. Fix: {fix or 'call one of them'}"
    return AwsError(400, "UnknownOperationException", what)


def _parameters(request: AwsRequest) -> SqsParameters:
    if len(request.body) > _BODY_LIMIT:
        what = f"One or more parameters are invalid. Reason: Message must be shorter than {MAX_MESSAGE} bytes."
        raise SqsError("InvalidParameterValueException", what)
    try:
        found = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AwsError(400, "SerializationException", "The body of the request is not a JSON object.")
    return SqsParameters(found)


def _outgoing(given: SqsParameters, request: AwsRequest) -> Outgoing:
    return given.outgoing("" if request.key is None else request.key.user_id, request.trace_id)


def _outgoing_or_error(entry: SqsParameters, request: AwsRequest) -> Outgoing | SqsError:
    """The message of an entry, or why it fails: the size of the whole batch is checked before any is sent."""
    try:
        return _outgoing(entry, request)
    except SqsError as error:
        return error


def _check_fifo_batch(queue: Queue, entries: list[tuple[str, SqsParameters]]) -> None:
    """Refuses a whole batch for what AWS refuses as a whole, and in another way than for one message."""
    for _, entry in entries:
        if not entry.has("MessageGroupId"):
            raise SqsError("InvalidParameterValueException", str(missing("MessageGroupId")))
        if not entry.has("MessageDeduplicationId") and not queue.attributes.content_based_deduplication:
            raise no_deduplication_id()


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MAX_TAGS:
        raise SqsError("InvalidParameterValueException", f"Too many tags: a queue has {_MAX_TAGS} at most.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            what = "A tag has a key of 1 to 128 characters and a value of 256 at most."
            raise SqsError("InvalidParameterValueException", what)


def _change(queue: Queue, given: SqsParameters) -> None:
    seconds = given.visibility()
    if seconds is None:
        raise missing("VisibilityTimeout")
    queue.change_visibility(given.text("ReceiptHandle"), seconds)


# ---- responses ------------------------------------------------------------------------------------------------------


def _each(entries: list[tuple[str, SqsParameters]], do: Callable[[SqsParameters], Result | None]) -> Result:
    """Does something with each entry of a batch. A refused one does not stop the others."""
    done: list[Result] = []
    failed: list[Result] = []
    for entry_id, entry in entries:
        try:
            done.append({"Id": entry_id, **(do(entry) or {})})
        except SqsError as error:
            failed.append({"Id": entry_id, "SenderFault": True, "Code": error.older_name, "Message": str(error)})
    return {"Successful": done, "Failed": failed} if failed else {"Successful": done}


def _sent(sent: Sent) -> Result:
    found = {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": sent.md5_of_body,
        "MD5OfMessageAttributes": sent.md5_of_attributes,
        "MD5OfMessageSystemAttributes": sent.md5_of_system_attributes,
        "SequenceNumber": sent.sequence_number,
    }
    return {name: value for name, value in found.items() if value is not None}


def _received(message: Message, system: set[str], names: list[str]) -> Result:
    """A message with the attributes that the client asks for. The checksum is that of the attributes it gets."""
    found: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5_of_body,
        "Body": message.body,
    }
    if system:
        wanted = {name: value for name, value in message.attributes.items() if name in system or "All" in system}
        if wanted:
            found["Attributes"] = wanted
    if names and message.sender_attributes:
        chosen = {name: each for name, each in message.sender_attributes.items() if _is_wanted(name, names)}
        if chosen:
            found["MD5OfMessageAttributes"] = md5_of_attributes(chosen)
            found["MessageAttributes"] = {name: each.response() for name, each in chosen.items()}
    return found


def _is_wanted(name: str, wanted: list[str]) -> bool:
    """Whether one of the names is `All`, this one, or a prefix such as `bar.*`."""
    return any(each in ("All", name) or (each.endswith(".*") and name.startswith(each[:-2])) for each in wanted)


def _move(task: MoveTask) -> Result:
    found = {
        "TaskHandle": task.handle if task.status == "RUNNING" else None,
        "Status": task.status,
        "SourceArn": task.source.arn,
        "DestinationArn": task.destination_arn,
        "MaxNumberOfMessagesPerSecond": task.rate,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.total,
        "FailureReason": task.failure,
        "StartedTimestamp": int(task.started * 1000),
    }
    return {name: value for name, value in found.items() if value is not None}


def _error(error: SqsError) -> AwsResponse:
    body = {"__type": f"com.amazonaws.sqs#{error.name}", "message": str(error)}
    return AwsResponse(
        error.status, [_JSON, ("x-amzn-query-error", f"{error.older_name};Sender")], json.dumps(body).encode()
    )
