"""The fixtures with which other people test a router of streams, tables, buses and pipes: `bridge`, `fake_lambda`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.errors import BridgeError
from lattice_bridge.testing import FakeLambda, dynamodb_record, kinesis_record, pipe_event
from lattice_bridge.testing.fakes import UnscriptedCalls
from lattice_bridge.testing.fixtures import BridgeFactory
from tests.support.stream_maps import MAP

Make = Callable[..., dict[str, Any]]


def put(number: int, tenant: str = "blue") -> dict[str, Any]:
    return kinesis_record(partition_key=tenant, sequence_number=str(number))


def reported(answer: Any) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_each_record_runs_as_its_own_tenant(
    bridge: BridgeFactory, fake_lambda: FakeLambda, kinesis_event: Make
) -> None:
    """Trap E1."""
    fake_lambda.reply({})
    handler = bridge(MAP)
    assert handler(kinesis_event(put(9), put(10, "green"))) == {"batchItemFailures": []}
    assert {call.records[0]: call.tenant for call in fake_lambda.calls} == {"9": "blue", "10": "green"}
    assert sorted(line["id"] for line in handler.log) == ["10", "9"]


@pytest.mark.parametrize("fault", ["raises", "refuses", "reports"])
def test_script_for_one_record_blocks_its_key_alone(
    bridge: BridgeFactory, fake_lambda: FakeLambda, kinesis_event: Make, fault: str
) -> None:
    """Trap E11: the lowest number is the checkpoint, and `9` is below `10`."""
    fake_lambda.reply({})
    {
        "raises": lambda: fake_lambda.raises("KeyError", record="9"),
        "refuses": lambda: fake_lambda.refuses(404, "ResourceNotFoundException", record="9"),
        "reports": lambda: fake_lambda.reports(record="9"),
    }[fault]()
    assert reported(bridge(MAP)(kinesis_event(put(8), put(9), put(10), put(11, "green")))) == ["9"]
    assert sorted(call.records[0] for call in fake_lambda.calls) == ["11", "8", "9"]


def test_change_of_a_table_is_scripted_by_its_number(
    bridge: BridgeFactory, fake_lambda: FakeLambda, dynamodb_event: Make
) -> None:
    fake_lambda.reply({})
    fake_lambda.raises("KeyError", record="7")
    change = dynamodb_record(table="carts", new={"owner": "blue"}, sequence_number="7")
    assert reported(bridge(MAP)(dynamodb_event(change))) == ["7"]


def test_event_of_a_bus_runs_or_raises(bridge: BridgeFactory, fake_lambda: FakeLambda, eventbridge_event: Make) -> None:
    """Trap E16."""
    fake_lambda.reply({"ignored": True})
    fake_lambda.raises("KeyError", record="e-2")
    handler = bridge(MAP)
    assert handler(eventbridge_event({"tenant": "blue"}, event_id="e-1")) is None
    with pytest.raises(BridgeError, match="backend_raised"):
        handler(eventbridge_event({"tenant": "green"}, event_id="e-2"))
    assert [(call.records, call.tenant) for call in fake_lambda.calls] == [(["e-1"], "blue"), (["e-2"], "green")]


def test_enrichment_of_a_pipe_returns_what_the_function_made(
    bridge: BridgeFactory, fake_lambda: FakeLambda, kinesis_event: Make
) -> None:
    fake_lambda.reply([{"order": 7}], record="7")
    event = kinesis_event(kinesis_record(stream="piped", partition_key="blue", sequence_number="7"))
    assert bridge(MAP)(pipe_event(event)) == [{"order": 7}]
    assert fake_lambda.calls[0].records == ["7"]


def test_copy_for_the_quarantine_is_kept(bridge: BridgeFactory, fake_lambda: FakeLambda, kinesis_event: Make) -> None:
    """Traps E3, E6."""
    handler = bridge(MAP)
    assert handler(kinesis_event(put(7, "pink"))) == {"batchItemFailures": []}
    (copy,) = handler.quarantined
    assert json.loads(copy["MessageBody"])["kinesis"]["partitionKey"] == "pink"
    assert fake_lambda.calls == []


def test_record_without_a_reply_is_named(eventbridge_event: Make) -> None:
    payload = json.dumps(eventbridge_event(event_id="e-1")).encode()
    with pytest.raises(UnscriptedCalls) as missing, FakeLambda() as fake:
        fake.client().invoke(FunctionName="orders", Payload=payload)
    assert "orders without a tenant: record e-1\n" in str(missing.value)
    assert "Fix: write fake_lambda.reply({}, " in str(missing.value)


def test_payload_that_is_no_event_has_no_records(fake_lambda: FakeLambda) -> None:
    fake_lambda.reply({})
    for payload in ({"Records": 7}, {"Records": [{"eventSource": "aws:s3"}]}, [], [7], {"order": 7}, "text"):
        fake_lambda.client().invoke(FunctionName="orders", Payload=json.dumps(payload).encode())
    assert [call.records for call in fake_lambda.calls] == [[]] * 6
