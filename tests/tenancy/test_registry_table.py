"""The registry's table in DynamoDB, over real HTTP with moto's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lattice_bridge.tenancy.registry import DynamoDbTable, Registry
from lattice_bridge.tenancy.rules import Tenant
from tests.support.aws_server import REGION, AwsServer
from tests.support.registry import Clock, item, unavailable


class Stored:
    """A table on moto's server, and a way to write to it."""

    def __init__(self, server: AwsServer, name: str, key: str = "tenant") -> None:
        self.name = name
        self._client = server.client("dynamodb")
        self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def put(self, name: str, status: str, **more: Any) -> None:
        self._client.put_item(TableName=self.name, Item=item(name, {"S": status}) | more)

    def delete(self, name: str) -> None:
        self._client.delete_item(TableName=self.name, Key={"tenant": {"S": name}})

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def stored(aws: AwsServer, request: pytest.FixtureRequest) -> Iterator[Stored]:
    table = Stored(aws, request.node.name)
    yield table
    table.close()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[AwsServer, str], DynamoDbTable]]:
    """Makes tables that ask the server, in an environment that boto3 can start in; closes them."""
    made: list[DynamoDbTable] = []

    def make(server: AwsServer, name: str) -> DynamoDbTable:
        server.environment(monkeypatch)
        made.append(DynamoDbTable(name, REGION))
        return made[-1]

    yield make
    for table in made:
        table.connect().close()


Connected = Callable[[AwsServer, str], DynamoDbTable]


def test_dynamodb_table_is_read(aws: AwsServer, stored: Stored, connected: Connected) -> None:
    """Traps D6, D7."""
    clock = Clock()
    registry = Registry(connected(aws, stored.name), clock=clock)
    assert registry.find("blue") is None
    stored.put("blue", "active", plan={"S": "gold"})
    clock.now += 5
    assert registry.find("blue") == Tenant("blue", active=True)
    assert registry.find("Blue") is None
    stored.put("blue", "suspended")
    clock.now += 60
    assert registry.find("blue") == Tenant("blue", active=False)
    stored.delete("blue")
    clock.now += 60
    assert registry.find("blue") is None


def test_two_attributes_are_requested(aws: AwsServer, stored: Stored, connected: Connected) -> None:
    stored.put("blue", "active", plan={"S": "gold"})
    assert connected(aws, stored.name)("blue") == item("blue")


def test_read_is_consistent_and_sent_twice_at_most(aws: AwsServer, stored: Stored, connected: Connected) -> None:
    """Trap D6: another read may be answered from before the suspension."""
    table = connected(aws, stored.name)
    client: Any = table.connect()
    sent: list[str] = []
    client.meta.events.register("before-send.dynamodb.GetItem", lambda request, **_: sent.append(str(request.body)))
    table("blue")
    assert len(sent) == 1
    assert '"ConsistentRead": true' in sent[0]
    config = client.meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (1, 1, 2)


def test_32_threads_share_one_client(aws: AwsServer, stored: Stored, connected: Connected) -> None:
    stored.put("t1", "active")
    table = connected(aws, stored.name)
    with ThreadPoolExecutor(32) as pool:
        assert len({id(client) for client in pool.map(lambda _: table.connect(), range(64))}) == 1


def test_missing_table_is_unavailable_and_named(aws: AwsServer, connected: Connected) -> None:
    """Trap D7."""
    detail = unavailable(Registry(connected(aws, "nothing")), "blue").detail
    assert "ResourceNotFoundException: there is no such table" in detail
    assert "blue" not in detail


def test_table_with_another_key_is_named(aws: AwsServer, connected: Connected) -> None:
    table = Stored(aws, "other-key", key="id")
    table.close()
    detail = unavailable(Registry(connected(aws, "other-key")), "blue").detail
    assert "ValidationException: the table's key has to be `tenant`" in detail


def test_missing_region_is_unavailable(monkeypatch: pytest.MonkeyPatch, aws: AwsServer) -> None:
    aws.environment(monkeypatch)
    assert "NoRegionError" in unavailable(Registry(DynamoDbTable("tenants")), "blue").detail


def test_stopped_server_leaves_the_last_known_tenants(connected: Connected) -> None:
    """Trap D7."""
    clock = Clock()
    with AwsServer() as server:
        table = Stored(server, "tenants")
        table.put("blue", "active")
        table.put("green", "suspended")
        table.close()
        registry = Registry(connected(server, "tenants"), clock=clock)
        assert registry.find("blue") == Tenant("blue")
        assert registry.find("green") == Tenant("green", active=False)
        assert registry.find("red") is None
    clock.now += 60
    assert registry.find("blue") == Tenant("blue")
    assert registry.find("green") == Tenant("green", active=False)
    assert "EndpointConnectionError" in unavailable(registry, "red").detail
    clock.now += 3600
    assert "EndpointConnectionError" in unavailable(registry, "blue").detail
