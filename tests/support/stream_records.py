"""Streams, tables and buses for tests of the router: events, rules, and functions that do as a test says."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.events import dynamodb, eventbridge, kinesis
from lattice_bridge.events.record import Claim
from lattice_bridge.invoke.call import Call
from lattice_bridge.quarantine import Quarantine
from lattice_bridge.router import Router
from lattice_bridge.tenancy.anchors import source_key
from lattice_bridge.tenancy.rules import ANY_TENANT, Allowed, Rule, Rules, Tenant
from tests.support.records import LANES, Context, Sqs

ACCOUNT: Final = "111122223333"
STREAM: Final = f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/clicks"
TABLE: Final = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/orders"
TABLE_STREAM: Final = f"{TABLE}/stream/2026-11-30T09:00:00.000"
BUS: Final = f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/shop"
QUARANTINE: Final = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:set-aside"

BY_KEY: Final = Claim("partition_key")
BY_DATA: Final = Claim("body", path=("tenant",))
BY_ITEM_KEY: Final = Claim("key", "tenant")
BY_IMAGE: Final = Claim("image", "owner")
BY_DETAIL: Final = Claim("detail", path=("tenant",))

FIRST: Final = 49590338271490256608559692538361571095921575989136588897
"""A sequence number of the length that Kinesis writes."""


def number_of(index: int) -> str:
    return str(FIRST + index)


def put(index: int, key: str = "blue", data: bytes = b"{}", arn: str = STREAM) -> dict[str, Any]:
    """A record of Kinesis."""
    return kinesis.write(
        shard_id="shardId-000000000000",
        sequence_number=number_of(index),
        partition_key=key,
        data=data,
        arrived=1764493200.123,
        arn=arn,
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/bridge",
    )


def change(
    index: int,
    name: str = "INSERT",
    *,
    key: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    old: Mapping[str, Any] | None = None,
    is_expired: bool = False,
) -> dict[str, Any]:
    """A record of DynamoDB Streams."""
    return dynamodb.write(
        event_id="c4ca4238a0b923820dcc509a6f75849b",
        event_name=name,
        keys=key or {"tenant": {"S": "blue"}, "id": {"N": "1"}},
        new_image=new,
        old_image=old,
        sequence_number=number_of(index),
        size=26,
        view_type="NEW_AND_OLD_IMAGES",
        created=1764493200.0,
        arn=TABLE_STREAM,
        is_expired=is_expired,
    )


def published(detail: object = None, source: str = "shop.orders", account: str = ACCOUNT) -> dict[str, Any]:
    """An event of a bus."""
    return eventbridge.write(
        event_id="6f87d04b-9f74-4f04-a780-7acf4b0a9b38",
        detail_type="Order Placed",
        source=source,
        account=account,
        time="2026-11-30T09:00:00Z",
        region="eu-west-1",
        resources=[],
        detail={"tenant": "blue"} if detail is None else detail,
    )


class Functions:
    """An `invoke` that remembers what it gets, and fails for the texts in a payload that a test names."""

    def __init__(self, failures: Mapping[str, Exception] | None = None, answer: bytes = b"null") -> None:
        self.failures = dict(failures or {})
        self.answer = answer
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> bytes:
        self.calls.append(call)
        text = call.payload.decode()
        for part, failure in self.failures.items():
            if part in text:
                raise failure
        return self.answer

    @property
    def payloads(self) -> list[Any]:
        return [json.loads(call.payload) for call in self.calls]

    @property
    def tenants(self) -> list[str | None]:
        return [call.tenant for call in self.calls]


class World:
    """A router for one source, its functions, its quarantine, and what it wrote."""

    def __init__(
        self,
        arn: str,
        claim: Claim | None = None,
        *,
        functions: Functions | None = None,
        allowed: Allowed = ANY_TENANT,
        failure: Exception | None = None,
        **options: Any,
    ) -> None:
        tenants = [Tenant("blue"), Tenant("green"), Tenant("old", active=False)]
        rules = Rules.build("x-tenant-id", tenants, [Rule("all", source_key(arn), allowed)])
        self.functions = functions or Functions()
        self.sqs = Sqs(failure)
        self.written: list[str] = []
        self.router = Router(
            TenantMap(rules),
            self.functions,
            sources=[EventSource(arn, "worker", claim=claim, **{"concurrency": 1, **options})],
            quarantine=Quarantine(lambda _: lambda: self.sqs),
            lanes=LANES,
            write=self.written.append,
        )

    def __call__(self, *records: Mapping[str, Any]) -> Any:
        """The router's answer to a batch of an event source mapping."""
        return self.router({"Records": list(records)}, Context())

    def failed(self, *records: Mapping[str, Any]) -> list[str]:
        return [one["itemIdentifier"] for one in self(*records)["batchItemFailures"]]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """The status and the reason of each record, in the order of the log."""
        return [(line["status"], line["reason"]) for line in self._lines if "_aws" not in line]

    @property
    def metric_sources(self) -> set[str]:
        """The dimension `Source` of the metric lines."""
        return {line["Source"] for line in self._lines if "_aws" in line}

    @property
    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in "".join(self.written).splitlines()]


def data_in(payload: Any) -> bytes:
    """The data of the one record that a function got."""
    [one] = payload["Records"]
    return base64.b64decode(one["kinesis"]["data"])
