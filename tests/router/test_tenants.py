"""The tenant that each record runs as."""

from __future__ import annotations

import json

import pytest

from lattice_bridge.errors import BridgeError, Unavailable
from tests.support.records import (
    ARN,
    BLUE_ARN,
    BLUE_SHOP,
    BY_ATTRIBUTE,
    BY_BODY,
    BY_GROUP,
    STORED,
    Context,
    Functions,
    World,
    event,
    record,
    source,
    text_attribute,
)


def test_each_record_of_a_mixed_batch_is_invoked_alone_as_its_own_tenant() -> None:
    """Trap E1: one record of a batch must not name the tenant of another, nor share its Invoke."""
    world = World()
    assert world(record(1, "blue"), record(2, "green"), record(3, "blue")) == []
    assert sorted(world.functions.ran) == [(1, "blue"), (2, "green"), (3, "blue")]


def test_function_receives_the_record_unchanged_and_alone() -> None:
    """Its messageId is the key of idempotency, so nothing of the record is written anew."""
    world, sent = World(), record(1, "blue", body='{"a": "é\\u0000"}', system={"AWSTraceHeader": "Root=1-2-3"})
    world(sent)
    [call] = world.functions.calls
    assert json.loads(call.payload) == {"Records": [sent]}
    assert (call.function, call.invocation, call.timeout) == ("orders-worker:live", "sync", 28.0)


def test_function_without_isolation_is_invoked_without_a_tenant_id_for_a_tenant_that_is_decided() -> None:
    world = World(source(BY_ATTRIBUTE, "isolated = false"))
    assert world(record(1, "blue"), record(2, "red")) == [2]
    assert world.functions.ran == [(1, None)]


def test_asynchronous_source_sends_events_and_reads_no_answer() -> None:
    world = World(source(BY_ATTRIBUTE, 'invocation = "async"'), functions=Functions(default=b""))
    assert world(record(1, "blue")) == []
    assert world.functions.calls[0].invocation == "async"


# ---- claims choose, evidence allows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "sent"),
    [
        (BY_ATTRIBUTE, record(1, "green", sender=f"{BLUE_SHOP}:i-1")),
        (BY_GROUP, record(1, group="green", sender=f"{BLUE_SHOP}:i-1")),
        (BY_BODY, record(1, body='{"meta":{"tenant":"green"}}', sender=f"{BLUE_SHOP}:i-1")),
        (BY_ATTRIBUTE, record(1, "green", sender="AROASTRANGER12345678:shop-1")),
        (BY_GROUP, record(1, group="blue", sender="AROASTRANGER12345678:shop-1")),
    ],
)
def test_claim_outside_of_the_evidence_is_never_invoked(claim: str, sent: dict[str, object]) -> None:
    """Trap E2: a message group, an attribute or a member of the body proves nothing."""
    world = World(source(claim))
    assert world(sent) == [1]
    assert world.functions.calls == []


def test_sender_of_one_tenant_that_claims_another_is_quarantined() -> None:
    """Trap E3: it runs as neither."""
    world = World(source(BY_ATTRIBUTE, STORED))
    assert world(record(1, "green", sender=f"{BLUE_SHOP}:i-1")) == []
    assert world.functions.calls == []
    assert world.reasons == {1: ("quarantined", "tenant_not_allowed")}
    assert [note["reason"] for note in world.sqs.notes] == ["tenant_not_allowed"]


def test_queue_of_one_tenant_never_runs_another_whoever_the_sender_is() -> None:
    world = World(source(BY_ATTRIBUTE, arn=BLUE_ARN))
    assert world(record(1, "green", arn=BLUE_ARN), record(2, "blue", arn=BLUE_ARN)) == [1]
    assert world.functions.ran == [(2, "blue")]


def test_claim_that_is_missing_is_refused_also_where_one_tenant_is_left() -> None:
    world = World(source(BY_ATTRIBUTE, arn=BLUE_ARN))
    assert world(record(1, arn=BLUE_ARN)) == [1]
    assert world.reasons == {1: ("failed", "claim_missing")}


def test_evidence_of_one_tenant_needs_no_claim() -> None:
    world = World(source(arn=BLUE_ARN))
    assert world(record(1, "green", arn=BLUE_ARN)) == []
    assert world.functions.ran == [(1, "blue")]


HOSTILE = ["a#b", "blue\n", " blue", "blue ", "b" * 257, "BLUE", "", "blue\u200b", "ｂlue", "../blue", "blue\x00"]


@pytest.mark.parametrize("claimed", HOSTILE)
def test_claim_that_is_no_tenant_id_is_refused_and_not_trimmed(claimed: str) -> None:
    """Trap E21."""
    sources = [source(BY_ATTRIBUTE, STORED), source(BY_BODY, STORED, arn=BLUE_ARN)]
    world = World(*sources, more='[[rule]]\nid = "any"\nsender = { role_id = "AROAANYEXAMPLE123456" }\ntenants = "*"\n')
    body = json.dumps({"meta": {"tenant": claimed}})
    sender = "AROAANYEXAMPLE123456:i-1"
    assert world(record(1, claimed, sender=sender), record(2, body=body, arn=BLUE_ARN, sender=sender)) == []
    assert world.functions.calls == []
    assert len(world.sqs.sent) == 2


@pytest.mark.parametrize(
    "attribute",
    [
        {"dataType": "String.tenant", "stringValue": "blue"},
        {"dataType": "Number", "stringValue": "1"},
        {"dataType": "Binary", "binaryValue": "Ymx1ZQ=="},
    ],
)
def test_attribute_of_another_type_is_no_claim(attribute: dict[str, str]) -> None:
    """Trap E21."""
    world = World()
    assert world(record(1, attributes={"tenant": attribute})) == [1]
    assert world.reasons[1][1] == "claim_unreadable"


@pytest.mark.parametrize(
    "body", ['{"meta":{"tenant":"blue","tenant":"green"}}', "not JSON", '{"meta":{"tenant":NaN}}', "[" * 100_000]
)
def test_body_that_two_readers_could_read_differently_is_refused(body: str) -> None:
    """Trap E6: it is not counted as processed."""
    world = World(source(BY_BODY))
    assert world(record(1, body=body)) == [1]
    assert world.reasons[1] == ("failed", "claim_unreadable")


# ---- suspended tenants, a registry that does not answer --------------------------------------------------------------


def test_records_of_a_suspended_tenant_are_kept_in_the_quarantine() -> None:
    """Trap E23."""
    world = World(source(BY_ATTRIBUTE, STORED))
    assert world(record(1, "old"), record(2, "blue")) == []
    assert world.reasons == {1: ("quarantined", "tenant_suspended"), 2: ("done", "ok")}
    assert world.functions.ran == [(2, "blue")]


def test_registry_that_does_not_answer_reports_the_record_and_does_not_quarantine_it() -> None:
    world = World(source(BY_ATTRIBUTE, STORED))

    def find(_: str) -> None:
        raise Unavailable("registry_unavailable")

    world.router.tenant_map.find, before = find, world.router.tenant_map.find
    try:
        assert world(record(1, "blue")) == [1]
    finally:
        world.router.tenant_map.find = before
    assert (world.reasons[1], world.sqs.sent) == (("failed", "registry_unavailable"), [])


# ---- events of others -----------------------------------------------------------------------------------------------


def test_queue_without_an_event_source_has_every_record_reported() -> None:
    """Trap E5."""
    world, other = World(source(BY_ATTRIBUTE, STORED)), f"{ARN}-other"
    assert world(record(1, "blue", arn=other), record(2, "blue", arn=other)) == [1, 2]
    assert (world.functions.calls, world.sqs.sent) == ([], [])
    assert set(world.reasons.values()) == {("failed", "source_not_configured")}
    assert {metric["Source"] for metric in world.metrics} == {"none"}


def test_record_of_another_queue_in_a_hand_made_event_is_decided_by_its_own_source() -> None:
    """Trap E5."""
    world = World(source(BY_ATTRIBUTE), source(arn=BLUE_ARN))
    sent = [record(1, "green"), record(2, "green", arn=BLUE_ARN), record(3, "blue", arn=f"{ARN}-other")]
    assert world(*sent) == [3]
    assert sorted(world.functions.ran) == [(1, "green"), (2, "blue")]


S3 = {"eventSource": "aws:s3", "s3": {"bucket": {"name": "secret"}}}
SNS = {"EventSource": "aws:sns", "Sns": {"MessageId": "m"}}
UNREADABLE = [
    [],
    [S3],
    [SNS],
    [None],
    ["x"],
    [{**record(), "messageId": ""}],
    [record(1), {**record(2), "messageId": 7}],
]


@pytest.mark.parametrize("records", UNREADABLE)
def test_event_that_cannot_be_reported_record_by_record_raises(records: list[object]) -> None:
    """Trap E5: the whole batch fails, and Lambda keeps the event."""
    world = World()
    with pytest.raises(BridgeError, match=r"source_unsupported|malformed_event") as raised:
        world.router({"Records": records}, Context())
    assert raised.value.__traceback__ is None or raised.value.__cause__ is None
    assert world.functions.calls == []
    assert "secret" not in "".join(world.written) + str(raised.value)
    [line], [metric] = world.lines, world.metrics
    assert (line["status"], line["reason"], "id" in line) == ("failed", raised.value.reason, False)
    assert (metric["Source"], metric["Failed"]) == ("none", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"eventSource": "aws:kinesis"},
        {"attributes": None},
        {"attributes": {"SenderId": ""}},
        {"attributes": {}},
        {"body": None},
        {"messageAttributes": {"tenant": text_attribute("blue")}, "attributes": {"SenderId": 7}},
    ],
)
def test_record_that_is_not_as_sqs_writes_it_is_reported_and_its_neighbour_runs(change: dict[str, object]) -> None:
    """Trap E6."""
    world = World()
    answer = world.router(event(record(1, "blue"), {**record(2, "blue"), **change}), Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": record(2)["messageId"]}]}
    assert world.reasons[2] == ("failed", "malformed_event")
    assert world.functions.ran == [(1, "blue")]
