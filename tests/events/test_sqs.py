"""Events of SQS: what is evidence in a record, what a claim reads, and the way back.

The recorded events are of the Lambda guide ("Using Lambda with Amazon SQS").
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.answer import response
from lattice_bridge.events.batch import claimed, payload
from lattice_bridge.events.record import Claim, Record
from lattice_bridge.events.sqs import records_of, write
from lattice_bridge.message import Sender
from tests.support.examples import examples

QUEUE: Final = "arn:aws:sqs:us-east-2:123456789012:my-queue"
FIFO: Final = "arn:aws:sqs:us-east-2:123456789012:fifo.fifo"
ROLE: Final = "AROADBQP57FF2AEXAMPLE"
OF_STANDARD: Final[dict[str, Any]] = {
    "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
    "body": "Test message.",
    "attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1545082649183",
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": "1545082649185",
    },
    "messageAttributes": {
        "myAttribute": {
            "stringValue": "myValue",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        }
    },
    "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "eventSource": "aws:sqs",
    "eventSourceARN": QUEUE,
    "awsRegion": "us-east-2",
}
OF_FIFO: Final[dict[str, Any]] = {
    "messageId": "11d6ee51-4cc7-4302-9e22-7cd8afdaadf5",
    "receiptHandle": "AQEBBX8nesZEXmkhsmZeyIE8iQAMig7qw...",
    "body": "Test message.",
    "attributes": {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": "1573251510774",
        "SequenceNumber": "18849496460467696128",
        "MessageGroupId": "1",
        "SenderId": "AIDAIO23YVJENQZJOL4VO",
        "MessageDeduplicationId": "1",
        "ApproximateFirstReceiveTimestamp": "1573251510774",
    },
    "messageAttributes": {},
    "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    "eventSource": "aws:sqs",
    "eventSourceARN": FIFO,
    "awsRegion": "us-east-2",
}


def altered(record: dict[str, Any], /, **fields: Any) -> Record:
    """One record with other fields; `attributes` are added to its own, and a value of None removes one."""
    attributes = {**record["attributes"], **fields.pop("attributes", {})}
    kept = {name: value for name, value in attributes.items() if value is not None}
    (found,) = records_of([{**record, "attributes": kept, **fields}])
    return found


# ---- evidence -------------------------------------------------------------------------------------------------------


def test_recorded_events_are_split_in_order() -> None:
    standard, fifo = records_of([OF_STANDARD, OF_FIFO])
    assert (standard.id, standard.source, standard.group) == (OF_STANDARD["messageId"], QUEUE, None)
    assert (fifo.id, fifo.source, fifo.group) == (OF_FIFO["messageId"], FIFO, "1")
    assert (standard.sender, standard.fault, standard.trace) == (Sender("AIDAIENQZJOLO23YVJ4VO"), None, None)
    assert standard.content == OF_STANDARD


@pytest.mark.parametrize(
    ("sender_id", "sender"),
    [
        (f"{ROLE}:i-a123b456", Sender(ROLE, "i-a123b456")),
        (f"{ROLE}:a:b", Sender(ROLE, "a:b")),
        (ROLE, Sender(ROLE)),
        ("123456789012", Sender("123456789012")),
        ("123456789012:ann", Sender("123456789012", "ann")),
        ("203.0.113.7", None),
        ("anonymous", None),
        (f"{ROLE}:", None),
        (f"{ROLE.lower()}:i-1", None),
        (f"{ROLE}:i-1\n", None),
        (f"{ROLE}:i 1", None),
        ("A" * 129, None),
    ],
)
def test_sender_is_read_whole_or_not_at_all(sender_id: str, sender: Sender | None) -> None:
    """Trap E4: an id of an unknown form is no sender, so that no rule for a sender is for it."""
    record = altered(OF_STANDARD, attributes={"SenderId": sender_id})
    assert (record.sender, record.fault) == (sender, None)


def test_sender_of_each_record_is_its_own() -> None:
    """Trap D8: what a batch has of its senders is found by the whole `SenderId`."""
    ids = ["AROAIENQZJOLO23YVJ4VO:a", "AROAIENQZJOLO23YVJ4VO:b", "203.0.113.7", "AROAIENQZJOLO23YVJ4VO:a"]
    contents = [{**OF_STANDARD, "attributes": {**OF_STANDARD["attributes"], "SenderId": one}} for one in ids]
    assert [record.sender and record.sender.session for record in records_of(contents)] == ["a", "b", None, "a"]


@pytest.mark.parametrize("group", ["-", "1", "sqs"])
def test_group_of_a_fifo_queue_keeps_the_order_whatever_its_name(group: str) -> None:
    assert altered(OF_FIFO, attributes={"MessageGroupId": group}).group == group


def test_group_of_a_standard_queue_keeps_no_order() -> None:
    """Trap E10: the ARN tells which queues are FIFO. Fair queues write a group too."""
    assert altered(OF_STANDARD, attributes={"MessageGroupId": "blue", "SequenceNumber": "1"}).group is None
    assert altered(OF_FIFO, attributes={"SequenceNumber": None}).group == "1"


@pytest.mark.parametrize(
    "fields",
    [
        {"eventSource": "aws:kinesis"},
        {"eventSource": None},
        {"eventSourceARN": None},
        {"eventSourceARN": ["arn"]},
        {"attributes": {"SenderId": None}},
        {"attributes": {"SenderId": ""}},
        {"attributes": {"MessageGroupId": None}},
        {"attributes": {"MessageGroupId": ""}},
        {"body": None},
        {"body": {"tenant": "blue"}},
    ],
    ids=str,
)
def test_record_that_sqs_does_not_write_has_a_fault_and_keeps_its_id(fields: dict[str, Any]) -> None:
    """Traps E5, E6: it can be reported, and is never decided."""
    record = altered(OF_FIFO, **fields)
    assert record.id == OF_FIFO["messageId"]
    assert record.fault is not None
    assert record.fault.reason == "malformed_event"
    assert "blue" not in str(record.fault)


@pytest.mark.parametrize("content", [None, 5, "x", [], {}, {"messageId": None}, {"messageId": ""}, {"messageId": 5}])
def test_record_without_an_id_refuses_the_whole_event(content: Any) -> None:
    """Trap E12: it could not be reported, and an answer without it would delete it."""
    with pytest.raises(BadRequest, match="record 2 of the event has no messageId"):
        records_of([OF_STANDARD, content])


# ---- claims ---------------------------------------------------------------------------------------------------------

GROUP: Final = Claim("message_group")
ATTRIBUTE: Final = Claim("attribute", name="tenant")
BODY: Final = Claim("body", path=("meta", "tenant"))


def attribute(value: object, kind: str = "String") -> dict[str, Any]:
    return {"tenant": {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": kind}}


def refused(record: Record, claim: Claim) -> str:
    with pytest.raises(BadRequest) as caught:
        claimed(record, claim)
    return caught.value.reason


def test_claims_read_their_part_of_the_record_and_no_other() -> None:
    """Trap E2: each part names another tenant."""
    body = json.dumps({"meta": {"tenant": "body"}, "tenant": "top"})
    record = altered(
        OF_STANDARD, attributes={"MessageGroupId": "group"}, messageAttributes=attribute("attribute"), body=body
    )
    assert [claimed(record, claim) for claim in (GROUP, ATTRIBUTE, BODY)] == ["group", "attribute", "body"]


@pytest.mark.parametrize("value", ["a#b", "blue\n", " blue", "b" * 257, "", "ｂｌｕｅ", "%62lue", "\ud800"])
def test_claim_is_neither_trimmed_nor_decoded(value: str) -> None:
    """Trap E21: the decision refuses it as it is."""
    body = json.dumps({"meta": {"tenant": value}})
    record = altered(
        OF_FIFO, attributes={"MessageGroupId": value or "x"}, messageAttributes=attribute(value), body=body
    )
    assert [claimed(record, claim) for claim in (ATTRIBUTE, BODY)] == [value, value]
    assert claimed(record, GROUP) == (value or "x")


@pytest.mark.parametrize("kind", ["String.tenant", "Number", "Binary", "string", "", None])
def test_attribute_of_another_type_is_no_claim(kind: Any) -> None:
    assert refused(altered(OF_STANDARD, messageAttributes=attribute("blue", kind)), ATTRIBUTE) == "claim_unreadable"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, "claim_missing"),
        (None, "claim_missing"),
        ([{"tenant": "blue"}], "claim_missing"),
        ({"Tenant": attribute("blue")["tenant"]}, "claim_missing"),
        ({"tenant": None}, "claim_missing"),
        ({"tenant": {"dataType": "String"}}, "claim_missing"),
        ({"tenant": "blue"}, "claim_unreadable"),
        ({"tenant": {"dataType": "String", "stringValue": ["blue"]}}, "claim_unreadable"),
    ],
    ids=str,
)
def test_attribute_that_is_not_there_is_no_claim(attributes: Any, reason: str) -> None:
    assert refused(altered(OF_STANDARD, messageAttributes=attributes), ATTRIBUTE) == reason


def test_record_without_a_group_has_no_claim_in_it() -> None:
    assert refused(altered(OF_STANDARD), GROUP) == "claim_missing"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        *(
            ("", "claim_unreadable"),
            ("blue", "claim_unreadable"),
            ("{", "claim_unreadable"),
            ("\ufeff{}", "claim_unreadable"),
        ),
        *(("{}", "claim_missing"), ("[]", "claim_missing"), ('"blue"', "claim_missing"), ("null", "claim_missing")),
        ('{"meta": "blue"}', "claim_missing"),
        ('{"meta": [{"tenant": "blue"}]}', "claim_missing"),
        ('{"meta": {"tenant": null}}', "claim_missing"),
        ('{"meta.tenant": "blue"}', "claim_missing"),
        ('{"meta": {"tenant": 5}}', "claim_unreadable"),
        ('{"meta": {"tenant": ["blue"]}}', "claim_unreadable"),
        ('{"meta": {"tenant": true}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue", "tenant": "green"}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue", "\\u0074enant": "green"}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue"}, "meta": {}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue"}, "other": {"a": 1, "a": 2}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue", "Tenant": "green"}}', "claim_unreadable"),
        ('{"META": {"tenant": "green"}, "meta": {"tenant": "blue"}}', "claim_unreadable"),
        ('{"Meta": {"Tenant": "blue"}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue"}} {}', "claim_unreadable"),
        ('{"meta": {"tenant": "bl\nue"}}', "claim_unreadable"),
        ('{"meta": {"tenant": "blue", "n": NaN}}', "claim_unreadable"),
        ("[" * 100_000, "claim_unreadable"),
        ('{"a":' * 100_000, "claim_unreadable"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_body_in_which_two_readers_could_find_two_tenants_is_no_claim(body: str, reason: str) -> None:
    """Trap E6: it is refused, and nothing of it is in the reason (trap E24)."""
    record = altered(OF_STANDARD, body=body)
    assert refused(record, BODY) == reason
    with pytest.raises(BadRequest) as caught:
        claimed(record, BODY)
    assert "blue" not in str(caught.value)
    assert "green" not in str(caught.value)


def test_body_with_a_number_of_very_many_digits_is_read() -> None:
    """Python refuses to read an integer of 4,300 digits or more. The message may be right for the function."""
    body = f'{{"meta": {{"tenant": "blue"}}, "n": {"9" * 5000}, "x": -{"1" * 100_000}}}'
    assert claimed(altered(OF_STANDARD, body=body), BODY) == "blue"


def test_members_off_the_path_may_differ_by_case_alone() -> None:
    body = '{"meta": {"tenant": "blue", "A": 1, "a": 2}, "x": 1, "X": 2}'
    assert claimed(altered(OF_STANDARD, body=body), BODY) == "blue"


# ---- the way back ---------------------------------------------------------------------------------------------------


def test_function_receives_the_record_alone_and_unchanged() -> None:
    """Trap E1."""
    record = records_of([OF_STANDARD, OF_FIFO])[1]
    assert json.loads(payload(record)) == {"Records": [OF_FIFO]}


def test_payload_is_what_json_makes_of_the_record() -> None:
    """One writer serves all records, so what it wrote before must not change what it writes."""
    body = 'é \u2028 "quoted" \\ \x00\x1f\x7f 😀'
    values: list[Any] = [[], {}, None, True, 1.5, 10**30, {"a": [{"b": body}]}]
    for value in values:
        (record,) = records_of([{**OF_STANDARD, "body": body, "more": value}])
        expected = json.dumps({"Records": [record.content]}, separators=(",", ":"), ensure_ascii=False)
        assert payload(record) == expected.encode()


def test_response_names_the_failed_records() -> None:
    assert response(["a", "b"]) == {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}
    assert response([]) == {"batchItemFailures": []}


def test_written_record_is_the_recorded_one() -> None:
    for recorded in (OF_STANDARD, OF_FIFO):
        written = write(
            message_id=recorded["messageId"],
            receipt_handle=recorded["receiptHandle"],
            body=recorded["body"],
            attributes=recorded["attributes"],
            message_attributes=recorded["messageAttributes"],
            md5_of_body=recorded["md5OfBody"],
            md5_of_message_attributes=None,
            arn=recorded["eventSourceARN"],
        )
        assert written == recorded
        assert list(written) == list(recorded)


texts: Final = st.text(st.characters(codec="utf-8"), max_size=20)
names: Final = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
senders: Final = st.builds(
    Sender,
    st.from_regex(r"A(ROA|IDA)[A-Z0-9]{16,20}", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9_+=,.@-]{2,64}", fullmatch=True),
)


@settings(max_examples=examples(150), deadline=None)
@given(
    names,
    st.booleans(),
    senders,
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=20),
    texts,
    texts,
)
def test_what_is_written_is_read_again(
    name: str, is_fifo: bool, sender: Sender, group: str, value: str, body: str
) -> None:
    arn = f"arn:aws:sqs:eu-west-1:111122223333:{name}{'.fifo' if is_fifo else ''}"
    content = write(
        message_id="m-1",
        receipt_handle="r-1",
        body=json.dumps({"meta": {"tenant": value}, "text": body}),
        attributes={"SenderId": ":".join(filter(None, sender)), "MessageGroupId": group},
        message_attributes=attribute(value),
        md5_of_body="0" * 32,
        md5_of_message_attributes="1" * 32,
        arn=arn,
    )
    (record,) = records_of(json.loads(json.dumps([content])))
    assert (record.id, record.source, record.sender, record.fault) == ("m-1", arn, sender, None)
    assert record.group == (group if is_fifo else None)
    assert [claimed(record, claim) for claim in (GROUP, ATTRIBUTE, BODY)] == [group, value, value]
    assert json.loads(payload(record)) == {"Records": [content]}
    assert (content["awsRegion"], content["md5OfMessageAttributes"]) == ("eu-west-1", "1" * 32)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*OF_FIFO, *OF_FIFO["attributes"], "tenant", "dataType"]) | texts, inner, max_size=6
            )
        ),
        max_leaves=12,
    )
)
def test_any_record_is_read_or_refused(content: Any) -> None:
    """Trap E5: a hand-made event raises nothing but a refusal."""
    for one in (content, {**OF_FIFO, **content} if isinstance(content, dict) else content):
        with suppress(BadRequest):
            (record,) = records_of([one])
            for claim in (GROUP, ATTRIBUTE, BODY):
                with suppress(BadRequest):
                    assert record.fault is not None or isinstance(claimed(record, claim), str)
