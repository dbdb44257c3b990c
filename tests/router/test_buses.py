"""Events of buses, and what EventBridge Pipes sends: the answers that their callers read."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lattice_bridge.errors import BackendFailed, BridgeError, Unavailable
from lattice_bridge.invoke.call import Call
from lattice_bridge.router import refuse_records
from tests.support.records import Context
from tests.support.stream_records import (
    ACCOUNT,
    BUS,
    BY_DETAIL,
    BY_KEY,
    QUARANTINE,
    STREAM,
    Functions,
    World,
    number_of,
    published,
    put,
)

RAISED: Final = BackendFailed("backend_raised", "errorType KeyError")


def on_bus(world: World, *arguments: Any, **options: Any) -> Any:
    return world.router(published(*arguments, **options), Context())


# ---- buses ----------------------------------------------------------------------------------------------------------


def test_event_runs_as_the_tenant_in_its_detail() -> None:
    world = World(BUS, BY_DETAIL)
    assert on_bus(world) is None
    assert (world.functions.tenants, world.functions.payloads) == (["blue"], [published()])


@pytest.mark.parametrize("answer", [b'{"batchItemFailures": [{"itemIdentifier": "x"}]}', b"not json", b"[1]"])
def test_answer_of_a_function_to_an_event_is_not_read(answer: bytes) -> None:
    """EventBridge reads none either."""
    assert on_bus(World(BUS, BY_DETAIL, functions=Functions(answer=answer))) is None


def test_transient_fault_is_raised_so_that_lambda_tries_again() -> None:
    """Trap E16: an answer would count as a success."""
    world = World(BUS, BY_DETAIL, functions=Functions({"blue": RAISED}), quarantine=QUARANTINE)
    with pytest.raises(BackendFailed, match="backend_raised"):
        on_bus(world)
    assert world.sqs.sent == []


@pytest.mark.parametrize(
    "detail", [{}, {"tenant": 7}, {"tenant": "red"}, {"tenant": "blue", "Tenant": "green"}, "text"]
)
def test_permanent_fault_is_stored(detail: object) -> None:
    """Traps E3, E6."""
    world = World(BUS, BY_DETAIL, quarantine=QUARANTINE)
    assert on_bus(world, detail) is None
    assert [json.loads(one["MessageBody"]) for one in world.sqs.sent] == [published(detail)]
    assert world.sqs.notes[0]["source"] == BUS
    assert world.functions.calls == []
    assert json.loads(world.written[0])["callerKey"] == ACCOUNT


def test_permanent_fault_without_a_quarantine_is_raised() -> None:
    """Trap E6: Lambda sends it to the function's OnFailure destination."""
    with pytest.raises(BridgeError, match="claim_missing"):
        on_bus(World(BUS, BY_DETAIL), {})


def test_permanent_fault_whose_copy_is_not_stored_is_raised() -> None:
    """Trap E7."""
    world = World(BUS, BY_DETAIL, quarantine=QUARANTINE, failure=ConnectionError())
    with pytest.raises(BridgeError, match="quarantine_failed"):
        on_bus(world, {})


def test_event_without_a_bus_in_the_map_is_raised() -> None:
    """Trap E5."""
    world = World(STREAM, BY_KEY)
    with pytest.raises(BridgeError, match="source_not_configured"):
        on_bus(world)
    assert world.reasons == [("failed", "source_not_configured")]


@pytest.mark.parametrize("changes", [{"account": "1"}, {"account": None}, {"source": ""}, {"detail-type": None}])
def test_event_that_eventbridge_does_not_write_runs_as_nobody(changes: dict[str, Any]) -> None:
    """Trap E5."""
    world = World(BUS, BY_DETAIL)
    with pytest.raises(BridgeError, match="malformed_event"):
        world.router({**published(), **changes}, Context())
    assert world.functions.calls == []


def test_asynchronous_event_counts_as_done_once_lambda_has_accepted_it() -> None:
    world = World(BUS, BY_DETAIL, invocation="async", functions=Functions(answer=b""))
    assert on_bus(world) is None
    assert [call.invocation for call in world.functions.calls] == ["async"]


@pytest.mark.parametrize("event", [published(), [put(1)]])
def test_event_that_nobody_reads_a_report_of_is_raised_while_no_configuration_is_active(event: object) -> None:
    """Trap E5."""
    with pytest.raises(Unavailable):
        refuse_records(event, None, Unavailable("config_unreachable"), lambda _: None)


# ---- pipes ----------------------------------------------------------------------------------------------------------


def flat(index: int, key: str = "blue") -> dict[str, Any]:
    """A record of Kinesis as Pipes writes it."""
    record = put(index, key)
    return {**record.pop("kinesis"), **record}


def test_target_of_a_pipe_answers_which_records_failed() -> None:
    world = World(STREAM, BY_KEY, pipe="target", functions=Functions({number_of(2): RAISED}))
    answer = world.router([flat(1), flat(2, "green"), flat(3, "green")], Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": number_of(2)}]}
    assert world.functions.payloads == [[flat(1)], [flat(2, "green")]]


def test_enrichment_of_a_pipe_answers_what_the_function_made_of_the_record() -> None:
    world = World(STREAM, BY_KEY, pipe="enrichment", functions=Functions(answer=b'[{"order": 7}]'))
    assert world.router([flat(1)], Context()) == [{"order": 7}]


def test_enrichment_ends_an_event_that_is_stored() -> None:
    """Trap E3: nothing of it reaches the pipe's target."""
    world = World(STREAM, BY_KEY, pipe="enrichment", quarantine=QUARANTINE)
    assert world.router([flat(1, "red")], Context()) == []
    assert len(world.sqs.sent) == 1


@pytest.mark.parametrize(
    ("failures", "answer"), [({"blue": RAISED}, b"null"), ({}, b"\xff"), ({}, b'[{"price": NaN}]')]
)
def test_enrichment_that_fails_is_raised(failures: dict[str, Exception], answer: bytes) -> None:
    """Trap E16: Pipes reads no report of an enrichment."""
    world = World(STREAM, BY_KEY, pipe="enrichment", functions=Functions(failures, answer=answer))
    with pytest.raises(BackendFailed):
        world.router([flat(1)], Context())


def test_enrichment_of_two_records_invokes_nothing() -> None:
    """Trap E1: one answer would contain the data of two tenants."""
    world = World(STREAM, BY_KEY, pipe="enrichment")
    with pytest.raises(BridgeError, match="batch size"):
        world.router([flat(1), flat(2, "green")], Context())
    assert world.functions.calls == []


def test_list_for_a_source_without_a_pipe_invokes_nothing() -> None:
    """Trap E5: as an enrichment, our report would be data."""
    world = World(STREAM, BY_KEY, quarantine=QUARANTINE)
    with pytest.raises(BridgeError, match="write pipe ="):
        world.router([flat(1)], Context())
    assert (world.functions.calls, world.sqs.sent) == ([], [])


def test_batch_of_a_mapping_for_the_source_of_a_pipe_is_reported() -> None:
    """Trap E5."""
    world = World(STREAM, BY_KEY, pipe="enrichment")
    assert world.failed(put(1)) == [number_of(1)]


def test_call_of_an_event_names_the_tenant_and_no_secret() -> None:
    """Trap E24."""
    world = World(BUS, BY_DETAIL)
    on_bus(world, {"tenant": "blue", "card": "4111"})
    call: Call = world.functions.calls[0]
    assert (call.function, call.tenant, call.trace) == ("worker", "blue", None)
    assert "4111" not in "".join(world.written)
