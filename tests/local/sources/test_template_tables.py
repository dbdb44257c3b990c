"""The tables of the template in the stack's DynamoDB, and what a change of the template does to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.local.aws.dynamodb.engine import Engine
from lattice_bridge.local.aws.dynamodb.errors import NotInstalled
from lattice_bridge.local.aws.dynamodb.tables import Tables
from lattice_bridge.local.plan.tables import Table
from lattice_bridge.local.sources.template_tables import TemplateTables
from tests.support.virtual_tables import definition

ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/orders"
STREAM = f"{ARN}/stream/2015-06-27T00:48:05.899"
ORDERS = Table("Orders", "orders", ARN, STREAM, definition(view_type=""), "KEYS_ONLY", "ends")


def index(name: str, kind: str = "ALL") -> dict[str, Any]:
    key = [{"AttributeName": "id", "KeyType": "HASH"}]
    return {"IndexName": name, "KeySchema": key, "Projection": {"ProjectionType": kind}}


@pytest.fixture
def tables() -> Tables:
    return Tables("us-east-1", "123456789012")


@pytest.fixture
def template(tables: Tables) -> TemplateTables:
    found = TemplateTables(tables)
    found.replace([ORDERS])
    tables.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "a"}}})
    return found


def items(tables: Tables) -> int:
    return int(tables.call("Scan", {"TableName": "orders"})["Count"])


def test_table_of_the_template_is_made_with_its_own_arns(tables: Tables, template: TemplateTables) -> None:
    """A record has the region of its ARN, which may be that of a deployed table."""
    described = tables.call("DescribeTable", {"TableName": "orders"})["Table"]
    assert (described["TableArn"], described["LatestStreamArn"]) == (ARN, STREAM)
    stream = tables.stream(STREAM)
    assert stream is not None
    (record,) = stream.after(0, 9)
    assert (record.content["awsRegion"], record.content["eventSourceARN"]) == ("eu-central-1", STREAM)
    ttl = tables.call("DescribeTimeToLive", {"TableName": "orders"})["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "ends"


def test_change_of_the_template_keeps_items_and_records(tables: Tables, template: TemplateTables) -> None:
    template.replace([replace(ORDERS, view_type="NEW_IMAGE", expires_by="")])
    tables.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "b"}}})
    stream = tables.stream(STREAM)
    assert stream is not None
    images = ["NewImage" in record.content["dynamodb"] for record in stream.after(0, 9)]
    assert (items(tables), images) == (2, [False, True])
    ttl = tables.call("DescribeTimeToLive", {"TableName": "orders"})["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "DISABLED"}


def test_stream_that_the_template_removes_is_closed_and_the_same_when_it_comes_back(
    tables: Tables, template: TemplateTables
) -> None:
    """Its ARN is in the template's mappings, so it stays one."""
    stream = tables.stream(STREAM)
    assert stream is not None
    template.replace([replace(ORDERS, view_type="")])
    assert stream.is_closed
    template.replace([ORDERS])
    tables.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "b"}}})
    assert (stream.is_closed, len(stream.after(0, 9))) == (False, 2)


def test_global_indexes_follow_the_template(tables: Tables, template: TemplateTables) -> None:
    for wanted in (
        [index("a"), index("b")],
        [index("b", "KEYS_ONLY"), index("c")],
        [],
    ):
        template.replace([replace(ORDERS, definition={**ORDERS.definition, "GlobalSecondaryIndexes": wanted})])
        found = tables.call("DescribeTable", {"TableName": "orders"})["Table"].get("GlobalSecondaryIndexes", [])
        kinds = [(one["IndexName"], one["Projection"]["ProjectionType"]) for one in found]
        assert kinds == [(one["IndexName"], one["Projection"]["ProjectionType"]) for one in wanted]
    assert items(tables) == 1


def test_table_with_another_key_is_made_anew(
    tables: Tables, template: TemplateTables, caplog: pytest.LogCaptureFixture
) -> None:
    template.replace([replace(ORDERS, definition=definition(view_type="", number="N"))])
    assert items(tables) == 0
    assert [one.message for one in caplog.records] == [
        "table orders has another key now: it is made anew, and its items are gone"
    ]


def test_table_that_the_template_no_longer_has_is_kept(tables: Tables, template: TemplateTables) -> None:
    template.replace([])
    assert items(tables) == 1


def test_what_a_client_has_set_stays_until_the_template_changes_the_table(
    tables: Tables, template: TemplateTables
) -> None:
    wanted = {"Enabled": False, "AttributeName": "ends"}
    tables.call("UpdateTimeToLive", {"TableName": "orders", "TimeToLiveSpecification": wanted})
    template.replace([ORDERS])
    assert tables.call("DescribeTimeToLive", {"TableName": "orders"})["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "DISABLED"
    }


def test_table_that_a_client_has_deleted_is_made_again(tables: Tables, template: TemplateTables) -> None:
    tables.call("DeleteTable", {"TableName": "orders"})
    template.replace([ORDERS])
    assert items(tables) == 0


def test_without_moto_the_stack_runs_without_tables(caplog: pytest.LogCaptureFixture) -> None:
    """The start has said what to install."""

    def missing(_region: str, _account: str) -> Engine:
        raise NotInstalled

    tables = Tables("us-east-1", "123456789012", load=missing)
    TemplateTables(tables).replace([ORDERS])
    assert (len(tables), caplog.records) == (0, [])
