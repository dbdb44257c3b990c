"""The records of writes, as DynamoDB writes them and moto does not, and items that expire."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from typing import Any, Final

import pytest

from lattice_bridge.local.aws.dynamodb.engine import Engine
from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError, NotInstalled
from lattice_bridge.local.aws.dynamodb.tables import Tables, is_installed
from tests.support.virtual_queues import ACCOUNT, REGION, START
from tests.support.virtual_tables import ORDERS, VirtualTables, definition

ONE: Final = {"N": "1"}
TWO: Final = {"N": "2"}


@pytest.fixture
def made() -> VirtualTables:
    return VirtualTables()


def refused(made: VirtualTables, operation: str, **given: Any) -> tuple[str, str]:
    """The error of an operation that leaves items and stream as they were."""
    before = (list(made.call("Scan")["Items"]), len(made.records()))
    with pytest.raises(DynamoDbError) as found:
        made.call(operation, **given)
    assert (list(made.call("Scan")["Items"]), len(made.records())) == before
    return found.value.name, str(found.value)


def put(name: str, **attributes: Any) -> dict[str, Any]:
    return {"Put": {"TableName": ORDERS, "Item": {"id": {"S": name}, **attributes}}}


# ---- the differences of moto ----------------------------------------------------------------------------------------


def test_update_of_a_new_item_is_one_insert(made: VirtualTables) -> None:
    """moto writes two: one with the key only, and one with the whole item."""
    made.update("a", "SET n = :n", n=ONE)
    assert made.events() == [("INSERT", "-", "1")]


def test_write_that_changes_nothing_has_no_record(made: VirtualTables) -> None:
    """moto writes a MODIFY. DynamoDB compares values: `1.0` is `1`, and a set has no order."""
    made.put("a", n=ONE, s={"SS": ["x", "y"]})
    made.put("a", n={"N": "1"}, s={"SS": ["y", "x"]})
    made.update("a", "SET n = :n", n=ONE)
    made.update("a", "REMOVE absent")
    made.update("a", "ADD s :s", s={"SS": ["x"]})
    made.delete("b")
    made.call("BatchWriteItem", RequestItems={ORDERS: [{"PutRequest": {"Item": made.item("a")}}]})
    made.call("TransactWriteItems", TransactItems=[put("a", n=ONE, s={"SS": ["x", "y"]})])
    assert made.events() == [("INSERT", "-", "1")]


def test_record_has_aws_s_form(made: VirtualTables) -> None:
    """moto writes the region us-east-1, version 1.0, and the length of the record's JSON as its size."""
    made.put("a", b={"B": b"\0\1"}, m={"M": {"b": {"BS": [b"\1", b"\0"]}}})
    (record,) = made.records()
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2027-01-15T08:00:00.000"
    assert record == {
        "eventID": record["eventID"],
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": START,
            "Keys": {"id": {"S": "a"}},
            "NewImage": {
                "id": {"S": "a"},
                "b": {"B": "AAE="},
                "m": {"M": {"b": {"BS": ["AA==", "AQ=="]}}},
            },
            "SequenceNumber": "100000000000000000001",
            "SizeBytes": 17,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": arn,
    }
    assert len(record["eventID"]) == 32
    assert made.stream.arn == arn


@pytest.mark.parametrize(
    ("view_type", "images"),
    [
        ("KEYS_ONLY", [set(), set(), set()]),
        ("NEW_IMAGE", [{"NewImage"}, {"NewImage"}, set()]),
        ("OLD_IMAGE", [set(), {"OldImage"}, {"OldImage"}]),
        ("NEW_AND_OLD_IMAGES", [{"NewImage"}, {"NewImage", "OldImage"}, {"OldImage"}]),
    ],
)
def test_record_has_the_images_of_the_view_type(view_type: str, images: list[set[str]]) -> None:
    made = VirtualTables(view_type=view_type)
    made.put("a", n=ONE)
    made.put("a", n=TWO)
    made.delete("a")
    records = [one["dynamodb"] for one in made.records()]
    assert [{name for name in one if name.endswith("Image")} for one in records] == images
    assert [one["eventName"] for one in made.records()] == ["INSERT", "MODIFY", "REMOVE"]


def test_image_is_that_of_its_own_write(made: VirtualTables) -> None:
    """moto's MODIFY of an update can contain the item that a later update changes."""
    made.put("a", m={"M": {"x": ONE}})
    made.update("a", "SET m.x = :n", n=TWO)
    made.update("a", "SET m.x = :n", n={"N": "3"})
    images = [one["dynamodb"]["NewImage"]["m"]["M"]["x"]["N"] for one in made.records()]
    assert images == ["1", "2", "3"]


def test_failed_update_leaves_nothing_behind(made: VirtualTables) -> None:
    """moto keeps a new item that has only its key, and the parts of an update before the one that fails."""
    made.put("a", n=ONE)
    given = {"UpdateExpression": "SET n = :n ADD q :q", "ExpressionAttributeValues": {":n": TWO, ":q": {"S": "x"}}}
    for name in "ab":
        assert refused(made, "UpdateItem", Key={"id": {"S": name}}, **given)[0] == "ValidationException"


def test_failed_batch_leaves_nothing_behind(made: VirtualTables) -> None:
    """moto writes the items before the one that it refuses."""
    items: list[Mapping[str, Any]] = [{"id": {"S": "a"}}, {"id": {"S": "b"}, "long": {"S": "x" * 500_000}}]
    requests = [{"PutRequest": {"Item": item}} for item in items]
    assert "size" in refused(made, "BatchWriteItem", RequestItems={ORDERS: requests})[1]


def test_failed_transaction_leaves_nothing_behind(made: VirtualTables) -> None:
    """moto copies each table for each part of a transaction, and replaces it to undo one."""
    made.put("a", n=ONE)
    table = made.tables.engine()._backend.tables[ORDERS]
    check = {"TableName": ORDERS, "Key": {"id": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(id)"}
    name, message = refused(made, "TransactWriteItems", TransactItems=[put("b"), {"ConditionCheck": check}])
    assert (name, message[-30:]) == ("TransactionCanceledException", "[None, ConditionalCheckFailed]")
    assert made.tables.engine()._backend.tables[ORDERS] is table
    made.call("TransactWriteItems", TransactItems=[put("b", n=TWO), {"Delete": _without_condition(check)}])
    assert made.events()[1:] == [("INSERT", "-", "2"), ("REMOVE", "1", "-")]


def _without_condition(check: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in check.items() if name != "ConditionExpression"}


def test_read_or_removal_keeps_no_entry_of_a_hash_key() -> None:
    """moto keeps one for each hash key that was ever asked for."""
    engine = Engine(REGION, ACCOUNT)
    engine.call("CreateTable", definition(view_type="", id="S", at="N"))
    key = {"id": {"S": "a"}, "at": ONE}
    engine.call("PutItem", {"TableName": ORDERS, "Item": key})
    engine.call("DeleteItem", {"TableName": ORDERS, "Key": key})
    assert engine.settle(ORDERS, key) is None
    engine.call("GetItem", {"TableName": ORDERS, "Key": {**key, "id": {"S": "b"}}})
    assert len(engine._backend.tables[ORDERS].items) == 0


def test_copied_value_is_one_of_its_own(made: VirtualTables) -> None:
    """moto has one value for both attributes, so that a change of the copy changes the first too."""
    made.put("a", m={"M": {"x": ONE}}, s={"SS": ["x"]})
    made.update("a", "SET c = m, t = s")
    made.update("a", "SET c.x = :n ADD t :t", n=TWO, t={"SS": ["y"]})
    item = made.records()[-1]["dynamodb"]["NewImage"]
    assert (item["m"], item["c"]) == ({"M": {"x": ONE}}, {"M": {"x": TWO}})
    assert (item["s"], item["t"]) == ({"SS": ["x"]}, {"SS": ["x", "y"]})


def test_number_of_38_digits_is_added_exactly(made: VirtualTables) -> None:
    """moto computes with the 28 digits of Python's default."""
    made.put("a", n={"N": "1." + "1" * 36})
    made.update("a", "ADD n :n", n={"N": "0." + "0" * 35 + "1"})
    assert made.events()[1][2] == "1." + "1" * 35 + "2"


def test_sum_that_no_number_has_is_refused(made: VirtualTables) -> None:
    made.put("a", n={"N": "9" * 38})
    given = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": "0.5"}}}
    name, message = refused(made, "UpdateItem", Key={"id": {"S": "a"}}, **given)
    assert (name, "38 significant digits" in message) == ("ValidationException", True)


def test_last_value_of_a_set_takes_its_attribute_with_it(made: VirtualTables) -> None:
    made.put("a", s={"SS": ["x"]})
    made.update("a", "DELETE s :s", s={"SS": ["x"]})
    assert made.records()[1]["dynamodb"]["NewImage"] == {"id": {"S": "a"}}


# ---- each operation that writes -------------------------------------------------------------------------------------


def test_batch_has_a_record_for_each_item_in_its_order(made: VirtualTables) -> None:
    """moto puts before it deletes."""
    made.put("a", n=ONE)
    requests = [
        {"DeleteRequest": {"Key": {"id": {"S": "a"}}}},
        {"PutRequest": {"Item": {"id": {"S": "b"}, "n": TWO}}},
    ]
    made.call("BatchWriteItem", RequestItems={ORDERS: requests})
    assert made.events()[1:] == [("REMOVE", "1", "-"), ("INSERT", "-", "2")]


def test_batch_names_an_item_once(made: VirtualTables) -> None:
    """moto accepts a put and a delete of one item."""
    requests = [{"DeleteRequest": {"Key": {"id": {"S": "a"}}}}, {"PutRequest": {"Item": {"id": {"S": "a"}}}}]
    assert "duplicates" in refused(made, "BatchWriteItem", RequestItems={ORDERS: requests})[1]
    many = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(26)]
    assert "25 at most" in refused(made, "BatchWriteItem", RequestItems={ORDERS: many})[1]


@pytest.mark.parametrize(
    ("operation", "given", "message"),
    [
        ("PutItem", {"Item": {"n": ONE}}, "Missing the key id"),
        ("PutItem", {"Item": {"id": ONE}}, "Type mismatch for key id expected: S actual: N"),
        ("PutItem", {"Item": {"id": {"S": ""}}}, "empty string value. Key: id"),
        ("DeleteItem", {"Key": {"id": ONE}}, "does not match the schema"),
        ("DeleteItem", {"Key": {"id": {"S": "a"}, "n": ONE}}, "does not match the schema"),
        ("UpdateItem", {"Key": {}, "UpdateExpression": "SET n = n"}, "does not match the schema"),
        ("GetItem", {"Key": {"n": ONE}}, "does not match the schema"),
    ],
)
def test_key_that_does_not_fit_is_refused(
    made: VirtualTables, operation: str, given: dict[str, Any], message: str
) -> None:
    made.put("a")
    name, found = refused(made, operation, **given)
    assert (name, message in found) == ("ValidationException", True), found


@pytest.mark.parametrize("parameter", ["AttributeUpdates", "Expected", "ConditionalOperator"])
def test_older_parameter_is_refused_with_what_replaced_it(made: VirtualTables, parameter: str) -> None:
    """moto ignores the condition of a delete, and changes the type of an updated attribute."""
    made.put("a", n=ONE)
    name, message = refused(made, "DeleteItem", Key={"id": {"S": "a"}}, **{parameter: {"n": {"Value": TWO}}})
    assert (name, "Expression" in message) == ("NotImplemented", True)


def test_items_of_a_table_with_two_keys_are_told_apart() -> None:
    made = VirtualTables(keys={"id": "S", "at": "N"})
    for at in ("10", "9", "9"):
        made.put("a", at={"N": at}, n={"N": at})
    assert [one.key for one in made.stream.after(0, 9)] == [
        '{"at":{"N":"10"},"id":{"S":"a"}}',
        '{"at":{"N":"9"},"id":{"S":"a"}}',
    ]


def test_expression_that_moto_does_not_parse_is_refused(made: VirtualTables) -> None:
    """moto raises a ValueError, and an SDK would repeat a request with status 500."""
    made.put("a", n=ONE)
    given = {"ConditionExpression": "n == :n", "ExpressionAttributeValues": {":n": ONE}}
    assert refused(made, "DeleteItem", Key={"id": {"S": "a"}}, **given)[0] == "ValidationException"


def test_what_moto_cannot_do_is_said() -> None:
    """moto raises errors of Python for what it does not expect, here for a segment of binary keys."""
    made = VirtualTables(keys={"id": "B"})
    made.call("PutItem", Item={"id": {"B": b"a"}})
    assert refused(made, "Scan", Segment=0, TotalSegments=2) == (
        "NotImplemented",
        "Scan: the emulator of this local stack fails at this request (AttributeError). "
        "Fix: check its expressions and values, or write it in another way",
    )


def test_items_have_a_limit_together() -> None:
    """What is deleted, replaced or expired makes space."""
    made = expiring(VirtualTables(memory=6000))
    made.put("a", s={"S": "x" * 4000}, **ends(10))
    long = {"id": {"S": "b"}, "s": {"S": "x" * 4000}}
    assert refused(made, "PutItem", Item=long)[0] == "ItemCollectionSizeLimitExceededException"
    requests = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(10)]
    assert refused(made, "BatchWriteItem", RequestItems={ORDERS: requests})[0].startswith("ItemCollectionSize")
    made.clock.forward(10)
    made.call("PutItem", Item=long)
    made.put("b", s={"S": "y"})
    made.put("c", s={"S": "x" * 4000})
    made.delete("c")
    made.put("d", s={"S": "x" * 4000})


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_stream_of_a_table_is_described_with_it(made: VirtualTables) -> None:
    table = made.call("DescribeTable")["Table"]
    assert table["LatestStreamArn"] == made.stream.arn
    assert table["LatestStreamLabel"] == "2027-01-15T08:00:00.000"
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_stream_that_is_enabled_again_is_another(made: VirtualTables) -> None:
    made.put("a")
    made.call("UpdateTable", StreamSpecification={"StreamEnabled": False})
    made.put("b")
    assert "StreamSpecification" not in made.call("DescribeTable")["Table"]
    assert made.call("DescribeTable")["Table"]["LatestStreamArn"] == made.stream.arn
    made.call("UpdateTable", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    first, second = made.tables.streams
    assert (first.is_closed, second.is_closed) == (True, False)
    assert first.arn != second.arn
    assert [len(one.after(0, 9)) for one in (first, second)] == [1, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}, "Table already has an enabled stream"),
        ({"StreamEnabled": True, "StreamViewType": "ALL"}, "StreamViewType 'ALL' is unknown"),
    ],
)
def test_stream_that_aws_refuses_is_refused(made: VirtualTables, given: dict[str, Any], message: str) -> None:
    assert message in refused(made, "UpdateTable", StreamSpecification=given)[1]


def test_stream_of_a_deleted_table_is_still_read(made: VirtualTables) -> None:
    made.put("a", n=ONE)
    stream = made.stream
    made.call("DeleteTable")
    assert (stream.is_closed, made.events()) == (True, [("INSERT", "-", "1")])
    with pytest.raises(DynamoDbError, match="Table: orders not found"):
        made.put("a")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (definition(), "ResourceInUseException"),
        (definition("no"), "ValidationException"),
        (definition("n" * 256), "ValidationException"),
        (definition("new", id="X"), "ValidationException"),
        (definition("new") | {"KeySchema": []}, "ValidationException"),
    ],
)
def test_table_that_aws_refuses_is_refused(made: VirtualTables, given: dict[str, Any], name: str) -> None:
    with pytest.raises(DynamoDbError) as found:
        made.tables.call("CreateTable", given)
    assert found.value.name == name
    assert len(made.tables) == 1


def test_table_is_also_found_by_its_arn(made: VirtualTables) -> None:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"
    made.tables.call("PutItem", {"TableName": arn, "Item": {"id": {"S": "a"}}})
    made.tables.call("BatchWriteItem", {"RequestItems": {arn: [{"PutRequest": {"Item": {"id": {"S": "b"}}}}]}})
    write = {"Put": {"TableName": arn, "Item": {"id": {"S": "c"}}}}
    made.tables.call("TransactWriteItems", {"TransactItems": [write]})
    assert len(made.records()) == 3


def test_tables_without_moto_say_what_to_install() -> None:
    def missing(_region: str, _account: str) -> Engine:
        raise NotInstalled

    with pytest.raises(DynamoDbError, match=r"Fix: pip install 'lattice-bridge\[dynamodb\]'") as found:
        Tables(REGION, ACCOUNT, load=missing).call("ListTables", {})
    assert found.value.status == 501


@pytest.mark.parametrize(
    ("found", "expected"),
    [("5.2.5", True), ("5.10.0", True), ("6.0.0.dev1", True), ("5.2.4", False), ("4.2.14", False)],
)
def test_older_moto_counts_for_none(found: str, expected: bool) -> None:
    """Projects have one for their tests."""
    assert is_installed(lambda _name: found) == expected


def test_moto_that_is_missing_counts_for_none() -> None:
    def version_of(name: str) -> str:
        raise PackageNotFoundError(name)

    assert not is_installed(version_of)


# ---- time to live ---------------------------------------------------------------------------------------------------


def expiring(made: VirtualTables) -> VirtualTables:
    made.call("UpdateTimeToLive", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})
    return made


def ends(seconds: float) -> dict[str, Any]:
    return {"ends": {"N": f"{START + seconds:.0f}"}}


def test_item_expires_by_the_clock_as_a_removal_by_the_service(made: VirtualTables) -> None:
    """Trap E19: the record has the old image, and DynamoDB as its identity."""
    expiring(made).put("a", n=ONE, **ends(10))
    made.clock.forward(9)
    assert made.item("a") is not None
    made.clock.forward(1)
    assert made.item("a") is None
    assert made.events() == [("INSERT", "-", "1"), ("REMOVE", "1", "-")]
    assert made.records()[1]["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert "userIdentity" not in made.records()[0]


def test_expired_items_are_removed_in_the_order_of_their_times(made: VirtualTables) -> None:
    for name, seconds in (("a", 30), ("b", 10), ("c", 20), ("d", 100)):
        made.put(name, n={"N": str(seconds)}, **ends(seconds))
    expiring(made)
    made.clock.forward(50)
    assert [old for kind, old, _ in made.events() if kind == "REMOVE"] == ["10", "20", "30"]


def test_removal_is_seen_by_a_reader_of_the_stream_alone(made: VirtualTables) -> None:
    expiring(made).put("a", **ends(10))
    made.clock.forward(10)
    assert made.stream.last_number - made.stream.first_number == 0
    assert len(made.stream.after(0, 9)) == 2


@pytest.mark.parametrize(
    "value",
    [{"S": str(int(START))}, {"N": str(int(START - 6 * 366 * 24 * 3600))}, {"NULL": True}, {"N": "9E120"}],
    ids=["a string", "six years ago", "null", "never"],
)
def test_item_whose_time_is_none_stays(made: VirtualTables, value: dict[str, Any]) -> None:
    expiring(made).put("a", ends=value)
    made.clock.forward(10)
    assert made.item("a") is not None


def test_time_that_was_moved_counts(made: VirtualTables) -> None:
    expiring(made).put("a", **ends(10))
    made.update("a", "SET ends = :e", e=ends(30)["ends"])
    made.clock.forward(20)
    assert made.item("a") is not None
    made.call("UpdateTimeToLive", TimeToLiveSpecification={"Enabled": False, "AttributeName": "ends"})
    made.clock.forward(20)
    assert made.item("a") is not None


def test_time_to_live_is_described_and_not_enabled_twice(made: VirtualTables) -> None:
    assert made.call("DescribeTimeToLive")["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    described = expiring(made).call("DescribeTimeToLive")["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"}
    wanted = {"Enabled": True, "AttributeName": "ends"}
    assert "already enabled" in refused(made, "UpdateTimeToLive", TimeToLiveSpecification=wanted)[1]
