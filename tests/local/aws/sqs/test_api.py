"""SQS's API through HTTP, as its usual clients call it: boto3, the AWS CLI and curl."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY, EXECUTION_ROLE_KEY, AccessKey
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest
from lattice_bridge.local.aws.sqs.api import SERVICE, sqs_api
from lattice_bridge.local.aws.sqs.queues import Queues
from tests.support.aws_cli import KEYS, run_aws
from tests.support.endpoint import BLUE, REGION, client, endpoint
from tests.support.stack import opened
from tests.support.virtual_queues import VirtualQueues, send

ACCOUNT = "123456789012"
NAMES = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    queues = Queues(REGION, ACCOUNT)
    with endpoint(lambda address: {SERVICE: sqs_api(queues, address)}) as found:
        yield found


@pytest.fixture(scope="module")
def sqs(url: str) -> Any:
    return client(url, "sqs")


@pytest.fixture
def queue(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName=f"queue-{next(NAMES)}")["QueueUrl"])


@pytest.fixture
def fifo(sqs: Any) -> str:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    return str(sqs.create_queue(QueueName=f"queue-{next(NAMES)}.fifo", Attributes=attributes)["QueueUrl"])


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as found:
        call(**arguments)
    error = found.value.response["Error"]
    return error["Code"], error["Message"]


# ---- boto3: queues --------------------------------------------------------------------------------------------------


def test_queue_is_created_found_listed_and_deleted(url: str, sqs: Any) -> None:
    found = sqs.create_queue(QueueName="life", Attributes={"DelaySeconds": "1"}, tags={"team": "blue"})["QueueUrl"]
    assert found == f"{url}/{ACCOUNT}/life" == sqs.get_queue_url(QueueName="life")["QueueUrl"]
    sqs.tag_queue(QueueUrl=found, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=found, TagKeys=["a", "none"])
    assert sqs.list_queue_tags(QueueUrl=found)["Tags"] == {"team": "blue", "b": "2"}
    sqs.set_queue_attributes(QueueUrl=found, Attributes={"VisibilityTimeout": "7"})
    attributes = sqs.get_queue_attributes(QueueUrl=found, AttributeNames=["All"])["Attributes"]
    assert {name for name in attributes if "Timestamp" not in name} == {
        *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible"),
        *("DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "QueueArn", "ReceiveMessageWaitTimeSeconds"),
        *("SqsManagedSseEnabled", "VisibilityTimeout"),
    }  # recorded on AWS
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("7", "1")
    sqs.delete_queue(QueueUrl=found)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="life")


def test_queues_are_listed_in_pages(sqs: Any) -> None:
    urls = [sqs.create_queue(QueueName=f"page-{number}")["QueueUrl"] for number in range(5)]
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="none")


@pytest.mark.parametrize(
    "form",
    [
        "http://localhost:1/{account}/{name}",
        "https://sqs.us-east-1.amazonaws.com/{account}/{name}",
        "https://us-east-1.queue.amazonaws.com/{account}/{name}",
        "http://sqs.us-east-1.localhost.localstack.cloud:4566/{account}/{name}",
        "{name}",  # recorded on AWS
    ],
)
def test_url_of_a_queue_can_have_any_host(sqs: Any, queue: str, form: str) -> None:
    name = queue.rpartition("/")[2]
    sqs.send_message(QueueUrl=form.format(account=ACCOUNT, name=name), MessageBody="a")
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "a"


@pytest.mark.parametrize(
    "form", ["{url}/999999999999/{name}", "{url}/{account}/{name}x", "{url}/{account}/{name}.fifo"]
)
def test_url_of_no_queue_is_one_that_does_not_exist(sqs: Any, url: str, queue: str, form: str) -> None:
    address = form.format(url=url, account=ACCOUNT, name=queue.rpartition("/")[2])
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as found:
        sqs.receive_message(QueueUrl=address)
    assert found.value.response["Error"] == {
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "Message": "The specified queue does not exist.",
        "QueryErrorCode": "QueueDoesNotExist",
        "Type": "Sender",
    }  # recorded on AWS


def test_errors_have_their_classes_in_boto3(sqs: Any, queue: str, fifo: str) -> None:
    name = queue.rpartition("/")[2]
    sqs.purge_queue(QueueUrl=queue)
    found = sqs.exceptions
    for expected, call, arguments in (
        (found.QueueNameExists, sqs.create_queue, {"QueueName": name, "Attributes": {"DelaySeconds": "9"}}),
        (found.PurgeQueueInProgress, sqs.purge_queue, {"QueueUrl": queue}),
        (found.InvalidAttributeName, sqs.get_queue_attributes, {"QueueUrl": queue, "AttributeNames": ["Foo"]}),
        (found.ReceiptHandleIsInvalid, sqs.delete_message, {"QueueUrl": queue, "ReceiptHandle": "garbage"}),
        (found.ResourceNotFoundException, sqs.list_message_move_tasks, {"SourceArn": "none"}),
        (found.EmptyBatchRequest, sqs.send_message_batch, {"QueueUrl": queue, "Entries": []}),
        (found.InvalidAddress, sqs.purge_queue, {"QueueUrl": "http://127.0.0.1/"}),
    ):
        with pytest.raises(expected):
            call(**arguments)
    assert refused(sqs.receive_message, QueueUrl=queue, ReceiveRequestAttemptId="x")[0] == "InvalidParameterValue"
    assert refused(sqs.send_message, QueueUrl=fifo, MessageBody="a")[0] == "MissingParameter"


# ---- boto3: messages ------------------------------------------------------------------------------------------------


def test_message_and_its_attributes_come_back(sqs: Any, queue: str) -> None:
    attributes = {
        "Text": {"DataType": "String", "StringValue": "é"},
        "Number.x": {"DataType": "Number.int", "StringValue": "7"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(
        QueueUrl=queue, MessageBody="é\n", MessageAttributes=attributes, MessageSystemAttributes=system
    )
    everything = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    (message,) = sqs.receive_message(QueueUrl=queue, **everything)["Messages"]
    assert message["MessageAttributes"] == attributes
    for name in ("MD5OfMessageAttributes", "MessageId"):
        assert message[name] == sent[name]
    assert (message["Body"], message["MD5OfBody"]) == ("é\n", sent["MD5OfMessageBody"])
    assert message["Attributes"]["AWSTraceHeader"] == system["AWSTraceHeader"]["StringValue"]
    assert message["Attributes"]["SenderId"] == DEVELOPER_KEY.user_id


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], set()),
        (["All"], {"a.b", "a.c", "d"}),
        ([".*"], {"a.b", "a.c", "d"}),
        (["a.*"], {"a.b", "a.c"}),
        (["d", "none"], {"d"}),
        (["none"], set()),
    ],
)
def test_client_gets_the_message_attributes_that_it_names(
    sqs: Any, queue: str, wanted: list[str], names: set[str]
) -> None:
    attributes = {name: {"DataType": "String", "StringValue": "x"} for name in ("a.b", "a.c", "d")}
    sqs.send_message(QueueUrl=queue, MessageBody="a", MessageAttributes=attributes)
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=wanted)["Messages"]
    assert set(message.get("MessageAttributes", {})) == names
    assert ("MD5OfMessageAttributes" in message) == bool(names)
    assert "Attributes" not in message


@pytest.mark.parametrize("key", [EXECUTION_ROLE_KEY, BLUE], ids=["function", "identity"])
def test_sender_is_the_one_that_signed(url: str, sqs: Any, queue: str, key: AccessKey) -> None:
    token = () if key.token is None else (key.token,)
    sender = client(url, "sqs", key.access_key, key.secret_key, *token)
    sender.send_message(QueueUrl=queue, MessageBody="a")
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["SenderId"])["Messages"]
    assert message["Attributes"] == {"SenderId": key.user_id}


def test_batch_reports_each_entry(sqs: Any, queue: str) -> None:
    """Recorded on AWS: the entry with a forbidden character fails alone."""
    entries = [{"Id": "good", "MessageBody": "a"}, {"Id": "bad", "MessageBody": "\x01"}]
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert ([each["Id"] for each in sent["Successful"]], sent["Failed"][0]["Code"]) == (
        ["good"],
        "InvalidMessageContents",
    )
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    handles = [{"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "2", "ReceiptHandle": "garbage"}]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=queue, Entries=[{**each, "VisibilityTimeout": 9} for each in handles]
    )
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=handles)
    for found in (changed, deleted):
        assert found["Successful"] == [{"Id": "1"}]
        assert (found["Failed"][0]["Id"], found["Failed"][0]["Code"]) == ("2", "ReceiptHandleIsInvalid")


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([{"Id": str(number), "MessageBody": "a"} for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "MessageBody": "a"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a:b", "MessageBody": "a"}], "InvalidBatchEntryId"),
        ([{"Id": "a" * 81, "MessageBody": "a"}], "InvalidBatchEntryId"),
        ([{"Id": str(number), "MessageBody": "a" * 600_000} for number in range(2)], "BatchRequestTooLong"),
    ],
)
def test_batch_that_aws_refuses_is_refused(sqs: Any, queue: str, entries: list[dict[str, str]], code: str) -> None:
    found, _ = refused(sqs.send_message_batch, QueueUrl=queue, Entries=entries)
    assert found == f"AWS.SimpleQueueService.{code}"


def test_batch_of_a_fifo_queue_without_a_group_fails_as_a_whole(sqs: Any, fifo: str) -> None:
    """Recorded on AWS."""
    entries = [{"Id": "1", "MessageBody": "a", "MessageGroupId": "g"}, {"Id": "2", "MessageBody": "b"}]
    assert refused(sqs.send_message_batch, QueueUrl=fifo, Entries=entries)[0] == "InvalidParameterValue"
    assert "Messages" not in sqs.receive_message(QueueUrl=fifo)


def test_fifo_message_has_its_group_and_number(sqs: Any, fifo: str) -> None:
    entries = [{"Id": str(number), "MessageBody": str(number), "MessageGroupId": "g"} for number in range(3)]
    sent = sqs.send_message_batch(QueueUrl=fifo, Entries=entries)["Successful"]
    found = sqs.receive_message(QueueUrl=fifo, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert [each["Body"] for each in found] == ["0", "1", "2"]
    assert [each["Attributes"]["SequenceNumber"] for each in found] == [each["SequenceNumber"] for each in sent]


def test_dead_letters_are_moved_back(sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    source = sqs.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [source]
    sqs.send_message(QueueUrl=source, MessageBody="a")
    sqs.receive_message(QueueUrl=source, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=source)
    handle = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
    assert sqs.receive_message(QueueUrl=source)["Messages"][0]["Body"] == "a"
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"], "TaskHandle" in task) == ("COMPLETED", 1, False)
    assert refused(sqs.cancel_message_move_task, TaskHandle=handle)[0] == "ResourceNotFoundException"


# ---- long polls -----------------------------------------------------------------------------------------------------


def test_long_poll_ends_with_the_message(sqs: Any, queue: str) -> None:
    thread = threading.Timer(0.05, lambda: sqs.send_message(QueueUrl=queue, MessageBody="a"))
    thread.start()
    assert sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"][0]["Body"] == "a"
    thread.join()


def polled(virtual: VirtualQueues, gone: asyncio.Event, then: Any) -> list[str]:
    """The bodies that a long poll receives when something happens during it."""
    api = sqs_api(virtual.queues, "http://127.0.0.1:1")

    async def client_gone() -> None:
        await gone.wait()

    async def poll() -> list[str]:
        request = AwsRequest(
            *("id", "POST", "/", "", [("x-amz-target", "AmazonSQS.ReceiveMessage")], "sqs"),
            body=b'{"QueueUrl": "orders"}',
            gone=client_gone,
        )
        answering = asyncio.ensure_future(api.answer(request))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not answering.done()
        then()
        response = await answering
        return [each["Body"] for each in json.loads(response.body).get("Messages", [])]

    return asyncio.run(poll())


@pytest.fixture
def virtual() -> VirtualQueues:
    virtual = VirtualQueues()
    virtual.standard("orders", ReceiveMessageWaitTimeSeconds=20)
    return virtual


def test_long_poll_has_the_time_of_the_queue(virtual: VirtualQueues) -> None:
    queue = virtual.queues.get("orders")
    assert polled(virtual, asyncio.Event(), lambda: send(queue, "a")) == ["a"]


def test_long_poll_ends_when_the_stack_stops(virtual: VirtualQueues) -> None:
    assert polled(virtual, asyncio.Event(), virtual.queues.close) == []


def test_long_poll_receives_nothing_for_a_client_that_has_gone(virtual: VirtualQueues) -> None:
    queue, gone = virtual.queues.get("orders"), asyncio.Event()
    assert polled(virtual, gone, gone.set) == []
    send(queue, "a")
    assert queue.counts() == (1, 0, 0)


def test_long_poll_of_a_deleted_queue_is_an_error(virtual: VirtualQueues) -> None:
    api = sqs_api(virtual.queues, "http://127.0.0.1:1")

    async def poll() -> int:
        headers = [("x-amz-target", "AmazonSQS.ReceiveMessage")]
        request = AwsRequest("id", "POST", "/", "", headers, "sqs", body=b'{"QueueUrl": "orders"}')
        answering = asyncio.ensure_future(api.answer(request))
        for _ in range(5):
            await asyncio.sleep(0)
        virtual.queues.delete("orders")
        return (await answering).status

    assert asyncio.run(poll()) == 400


# ---- the AWS CLI and curl -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", [1, 2])
def test_aws_cli_sends(url: str, sqs: Any, queue: str, tmp_path: Path, major: int) -> None:
    """The AWS CLI v1 ignores AWS_ENDPOINT_URL for SQS, as its `overridesslcommonname.py` shows."""
    attributes = '{"tenant": {"DataType": "String", "StringValue": "blue"}}'
    arguments = ("--queue-url", queue, "--message-body", "hello", "--message-attributes", attributes)
    sent = run_aws(major, tmp_path, REGION, "sqs", "send-message", "--endpoint-url", url, *arguments)
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert (message["Body"], message["MessageId"]) == ("hello", sent["MessageId"])
    assert message["MessageAttributes"]["tenant"]["StringValue"] == "blue"


def test_aws_cli_2_finds_the_queue_by_its_own_setting_and_receives(
    url: str, sqs: Any, queue: str, tmp_path: Path
) -> None:
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    keys = {**KEYS, "AWS_ENDPOINT_URL_SQS": url}
    received = run_aws(2, tmp_path, REGION, "sqs", "receive-message", "--queue-url", queue, keys=keys)
    assert [message["Body"] for message in received["Messages"]] == ["hello"]


def curl(url: str, target: str, body: str, *, path: str = "/", options: Sequence[str] = ()) -> tuple[int, bytes]:
    done = subprocess.run(
        [
            *("curl", "-s", "--aws-sigv4", f"aws:amz:{REGION}:sqs", "--user", "local:local", "-w", "\n%{http_code}"),
            *(["-H", f"X-Amz-Target: {target}", "-H", "Content-Type: application/x-amz-json-1.0"] if target else []),
            *(*options, "--data-binary", "@-", url + path),
        ],
        input=body.encode(),
        capture_output=True,
        check=True,
    )
    content, _, status = done.stdout.rpartition(b"\n")
    return int(status), content


def test_curl_sends_and_receives(url: str, queue: str) -> None:
    status, content = curl(url, "AmazonSQS.SendMessage", json.dumps({"QueueUrl": queue, "MessageBody": "a"}))
    assert (status, json.loads(content)["MD5OfMessageBody"]) == (200, "0cc175b9c0f1b6a831c399e269772661")
    status, content = curl(url, "AmazonSQS.ReceiveMessage", json.dumps({"QueueUrl": queue}))
    assert json.loads(content)["Messages"][0]["Body"] == "a"


def test_message_does_not_go_to_a_client_that_has_closed_its_connection(url: str, sqs: Any, queue: str) -> None:
    body = json.dumps({"QueueUrl": queue, "WaitTimeSeconds": 20})
    with pytest.raises(subprocess.CalledProcessError) as ended:
        curl(url, "AmazonSQS.ReceiveMessage", body, options=["--max-time", "0.3"])
    assert ended.value.returncode == 28  # curl's number for its own timeout
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


# ---- hostile input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", f"/{ACCOUNT}/orders"])
def test_query_protocol_is_refused_with_the_versions_to_update_to(url: str, path: str) -> None:
    """Old SDKs send it also to the path of the queue."""
    status, content = curl(url, "", "Action=SendMessage&MessageBody=a&Version=2012-11-05", path=path)
    assert (status, content.count(b"<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code>")) == (400, 1)
    assert b"SQS SendMessage: this local stack has only the JSON protocol" in content
    assert b"Fix: update the SDK: boto3 from 1.28.82" in content


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("AmazonSQS.AddPermission", "Fix: set the attribute Policy"),
        ("AmazonSQS.Foo", "SQS Foo: this local stack has CancelMessageMoveTask, ChangeMessageVisibility"),
        ("AmazonSQS.a-b", "SQS this operation"),
    ],
)
def test_unknown_operation_is_a_sentence(url: str, target: str, text: str) -> None:
    status, content = curl(url, target, "{}")
    assert (status, json.loads(content)["__type"], text in json.loads(content)["message"]) == (
        400,
        "UnknownOperationException",
        True,
    )


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{", "[" * 100_000, '"a"'),
        *('{"QueueUrl": 1}', '{"QueueUrl": "http://[/a"}', '{"QueueUrl": "orders", "MessageBody": 1}'),
        '{"QueueUrl": "orders", "MessageBody": "\\ud800"}',
        '{"QueueUrl": "orders", "MessageBody": "a", "DelaySeconds": true}',
        '{"QueueUrl": "orders", "MessageBody": "a", "DelaySeconds": 1e400}',
        '{"QueueUrl": "orders", "MessageBody": "a", "MessageAttributes": {"\\ud800": {"DataType": "String"}}}',
        '{"QueueUrl": "orders", "MessageBody": "a", "MessageAttributes": {"a": 1}}',
        '{"QueueUrl": "orders", "MessageBody": "a", "MessageAttributes": {"a": {"DataType": "Binary", '
        '"BinaryValue": "*"}}}',
        '{"QueueUrl": "orders", "MessageBody": "a", "MessageSystemAttributes": {"a": {"DataType": "String"}}}',
    ],
)
def test_body_of_another_shape_is_a_client_error(virtual: VirtualQueues, body: str) -> None:
    request = AwsRequest(
        *("id", "POST", "/", "", [("x-amz-target", "AmazonSQS.SendMessage")], "sqs"), body=body.encode()
    )
    service = sqs_api(virtual.queues, "http://127.0.0.1:1")

    async def status() -> int:
        try:
            return (await service.answer(request)).status
        except AwsError as error:  # the endpoint writes it
            return error.status

    assert (asyncio.run(status()), virtual.queues.get("orders").counts().visible) == (400, 0)


def test_message_of_many_mebibytes_is_refused(url: str, queue: str, sqs: Any) -> None:
    for body in ("a" * (1024 * 1024 + 1), "\n" * 9_000_000):
        code, message = refused(sqs.send_message, QueueUrl=queue, MessageBody=body)
        assert (code, "Message must be shorter than 1048576 bytes" in message) == ("InvalidParameterValue", True)
    sqs.send_message(QueueUrl=queue, MessageBody='"' * 1024 * 1024)


def test_unsigned_request_reaches_no_queue(url: str) -> None:
    headers = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
    answer = opened(f"{url}/", headers, b"{}", "POST")
    assert (answer.status, b"MissingAuthenticationTokenException" in answer.body) == (403, True)
