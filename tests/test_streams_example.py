"""examples/streams: map, functions and programs; each record runs once, and copies are redriven."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.config.settings import Settings
from tests.support.modules import module
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "examples" / "streams"
BLUE: Final = SimpleNamespace(tenant_id="blue")


def test_strict_check_of_map_and_template_finds_nothing_and_the_tests_of_the_map_pass() -> None:
    template = ["--template", str(FOLDER / "template.yaml")]
    result = CliRunner().invoke(root, ["check", str(FOLDER / "bridge.toml"), "--strict", *template])
    assert (result.exit_code, result.stdout.count("no errors, no warnings")) == (0, 2), result.stdout


def test_program_puts_a_record_for_each_end_of_one() -> None:
    """A tenant of the map, a suspended one, one that is not in the map, and none."""
    program, known = module(FOLDER / "put.py"), Settings.from_text((FOLDER / "bridge.toml").read_text()).tenant_map
    tenants = {click.get("tenant") for _, click in program.CLICKS} | {order["tenant"] for order in program.ORDERS}
    assert tenants == {*known.rules.tenants, "purple", None}


class Store:
    """Kinesis and DynamoDB; keeps what is put."""

    def __init__(self, failed: int = 0) -> None:
        self.failed = failed
        self.put: list[Any] = []

    def put_records(self, *, StreamName: str, Records: list[Any]) -> dict[str, int]:  # noqa: N803 - boto3's arguments
        self.put += [(StreamName, one["PartitionKey"], json.loads(one["Data"])) for one in Records]
        return {"FailedRecordCount": self.failed}

    def put_item(self, *, TableName: str, Item: dict[str, Any]) -> None:  # noqa: N803 - boto3's arguments
        self.put.append((TableName, {name: value["S"] for name, value in Item.items()}))


def test_program_puts_clicks_in_one_call_and_each_order() -> None:
    program, store = module(FOLDER / "put.py"), Store()
    program.put(store, store)
    assert store.put == [("clicks", *one) for one in program.CLICKS] + [("orders", one) for one in program.ORDERS]


def test_records_that_kinesis_did_not_take_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="took only a part"):
        module(FOLDER / "put.py").put(Store(failed=1), Store())


# ---- the functions --------------------------------------------------------------------------------------------------


def click(page: str, number: str = "1") -> dict[str, Any]:
    data = base64.b64encode(json.dumps({"tenant": "blue", "page": page}).encode()).decode()
    return {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"sequenceNumber": number, "data": data}}]}


def test_click_runs_once_under_the_tenant_of_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    """A record that was done comes again, behind one that failed."""
    app = module(FOLDER / "src" / "clicks" / "app.py")
    for event in (click("/home"), click("/home"), click("/cart", "2")):
        assert app.handler(event, BLUE) is None
    assert capsys.readouterr().out.splitlines() == [
        "blue: click 1, on /home",
        "blue: click 1 again, nothing to do",
        "blue: click 2, on /cart",
    ]


def test_faulty_click_raises_and_counts_nothing() -> None:
    app = module(FOLDER / "src" / "clicks" / "app.py")
    with pytest.raises(ValueError, match="is on a page"):
        app.handler(click("nowhere"), BLUE)
    assert app.done == {}


@pytest.mark.parametrize(
    ("images", "states"),
    [
        ({"NewImage": {"state": {"S": "placed"}}}, "- → placed"),
        ({"OldImage": {"state": {"S": "placed"}}, "NewImage": {"state": {"S": "shipped"}}}, "placed → shipped"),
        ({"OldImage": {"state": {"S": "shipped"}}}, "shipped → -"),
    ],
    ids=["insert", "modify", "remove"],
)
def test_change_prints_both_states(images: dict[str, Any], states: str, capsys: pytest.CaptureFixture[str]) -> None:
    change = {"Keys": {"tenant": {"S": "blue"}, "order": {"S": "b-1"}}, **images}
    module(FOLDER / "src" / "changes" / "app.py").handler({"Records": [{"dynamodb": change}]}, BLUE)
    assert capsys.readouterr().out == f"blue: order b-1, {states}\n"


# ---- redriving ------------------------------------------------------------------------------------------------------


class Queue:
    """SQS with one queue; keeps what is deleted."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.waiting = list(messages)
        self.deleted: list[str] = []

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.waiting))}}

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        limit = arguments["MaxNumberOfMessages"]
        found, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return {"Messages": found} if found else {}

    def delete_message(self, **arguments: Any) -> None:
        self.deleted.append(arguments["ReceiptHandle"])


class Functions:
    """Lambda with the bridge; keeps the events, and gives one answer to each."""

    def __init__(self, answer: Any = None, **more: str) -> None:
        self.answer, self.more = answer, more
        self.events: list[Any] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's arguments
        assert FunctionName == "bridge:live"
        self.events.append(json.loads(Payload))
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(self.answer).encode()), **self.more}


RECORD: Final = {"eventSource": "aws:kinesis", "kinesis": {"sequenceNumber": "9"}}
EVENT: Final = {"id": "1", "detail-type": "Order placed", "detail": {}}


def message(number: int, body: Any, reason: str | None = "claim_missing") -> dict[str, Any]:
    """A message; without a reason, one that Lambda wrote."""
    found = {"MessageId": str(number), "ReceiptHandle": f"r-{number}", "Body": json.dumps(body)}
    note = {"DataType": "String", "StringValue": json.dumps({"reason": reason})}
    return found if reason is None else {**found, "MessageAttributes": {"lattice-bridge": note}}


def redriven(queue: Queue, functions: Functions, *reason: str, **streams: Any) -> int:
    client = {"sqs": queue, "lambda": functions, **streams}.__getitem__
    return int(module(FOLDER / "redrive.py").redrive(client, "bridge:live", "queue", *reason))


def test_each_copy_is_given_to_the_bridge_once_as_its_source_sends_it() -> None:
    """Trap E25: the record is that of the source, so the bridge decides by the source again."""
    queue, functions = Queue(*(message(number, RECORD) for number in range(12))), Functions({"batchItemFailures": []})
    assert redriven(queue, functions) == len(queue.deleted) == 12
    assert functions.events == [{"Records": [RECORD]}] * 12


@pytest.mark.parametrize("body", [EVENT, {"requestPayload": EVENT, "responsePayload": {"errorType": "ValueError"}}])
def test_event_of_a_quarantine_or_of_a_failure_is_given_as_it_was_published(body: Any) -> None:
    functions = Functions(None)
    assert redriven(Queue(message(1, body, None)), functions) == 1
    assert functions.events == [EVENT]


@pytest.mark.parametrize(
    "functions",
    [
        Functions({"batchItemFailures": [{"itemIdentifier": "9"}]}),
        Functions({"errorType": "BackendFailed"}, FunctionError="Unhandled"),
    ],
    ids=["reported", "raised"],
)
def test_record_that_the_bridge_does_not_take_stays(functions: Functions) -> None:
    queue = Queue(message(1, RECORD))
    assert (redriven(queue, functions), queue.deleted) == (0, [])


def test_copies_of_another_reason_stay() -> None:
    queue = Queue(message(1, RECORD), message(2, RECORD, "tenant_suspended"))
    assert redriven(queue, Functions({"batchItemFailures": []}), "tenant_suspended") == 1
    assert queue.deleted == ["r-2"]


class Shard:
    """A shard of Kinesis or of a table: pages of records; keeps from where it was read."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages = pages
        self.asked: dict[str, str] = {}

    def get_shard_iterator(self, **asked: str) -> dict[str, str]:
        self.asked = asked
        return {"ShardIterator": "0"}

    def get_records(self, *, ShardIterator: str) -> dict[str, Any]:  # noqa: N803 - boto3's argument
        number = int(ShardIterator)
        following = {"NextShardIterator": str(number + 1)} if number + 1 < len(self.pages) else {}
        return {"Records": self.pages[number], **following}


BATCH: Final = {"shardId": "shardId-0", "startSequenceNumber": "9", "endSequenceNumber": "10", "batchSize": 2}
STREAM: Final = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
TABLE_STREAM: Final = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"


def test_clicks_that_lambda_gave_up_are_read_from_the_stream_until_the_last_one() -> None:
    """Trap E11: 10 is above 9. The record behind the batch is another one's."""
    records = [{"SequenceNumber": number, "PartitionKey": "k", "Data": b"{}"} for number in ("9", "10", "11")]
    shard, functions = Shard([], records[:1], records[1:]), Functions({"batchItemFailures": []})
    queue = Queue(message(1, {"KinesisBatchInfo": {**BATCH, "streamArn": STREAM}}, None))
    assert redriven(queue, functions, kinesis=shard) == 1
    assert (shard.asked["StartingSequenceNumber"], shard.asked["StreamARN"]) == ("9", STREAM)
    source = {"eventSource": "aws:kinesis", "eventSourceARN": STREAM}
    sent = [{"partitionKey": "k", "sequenceNumber": number, "data": "e30="} for number in ("9", "10")]
    assert functions.events == [{"Records": [{**source, "kinesis": one} for one in sent]}]


def test_changes_that_lambda_gave_up_are_read_from_the_stream_of_the_table() -> None:
    """The values of boto3 become those of Lambda's event."""
    keys, created = {"tenant": {"S": "blue"}, "raw": {"B": b"\x00"}}, datetime.fromtimestamp(5, UTC)
    change = {"SequenceNumber": "10", "Keys": keys, "ApproximateCreationDateTime": created}
    shard = Shard([{"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb": change}])
    functions = Functions({"batchItemFailures": []})
    queue = Queue(message(1, {"DDBStreamBatchInfo": {**BATCH, "streamArn": TABLE_STREAM}}, None))
    assert redriven(queue, functions, dynamodbstreams=shard) == 1
    (record,) = functions.events[0]["Records"]
    assert record["eventSourceARN"] == TABLE_STREAM
    assert record["dynamodb"]["Keys"]["raw"] == {"B": "AA=="}
    assert record["dynamodb"]["ApproximateCreationDateTime"] == 5.0
