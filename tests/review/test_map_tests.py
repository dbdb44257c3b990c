"""`[[test]]` tables for records."""

from __future__ import annotations

import pytest

from lattice_bridge.review.check import findings_of
from tests.support.queue_maps import BLUE, BUS, EVENTS, ORDERS, QUEUES, SHOP, STREAM

SENDER = f'sender = {{ role_id = "{SHOP}", session = "i-1" }}\n'


def errors(*lines: str, text: str = QUEUES) -> list[str]:
    found = findings_of(f"{text}[[test]]\n" + "\n".join(lines) + "\n")
    return [finding.text.partition("): ")[2] for finding in found if finding.level == "error"]


@pytest.mark.parametrize(
    ("lines", "expect"),
    [
        ((f'source = "{ORDERS}"', SENDER, 'claim = "green"'), "green"),
        ((f'source = "{ORDERS}"', SENDER, 'claim = "red"'), "refused: tenant_suspended"),
        ((f'source = "{ORDERS}"', SENDER), "refused: claim_missing"),
        ((f'source = "{ORDERS}"', 'claim = "blue"'), "refused: no_rule"),
        ((f'source = "{BLUE}"',), "blue"),
        ((f'source = "{BLUE}"', 'sender = { user_id = "AIDAEXAMPLEEXAMPLE123" }'), "blue"),
        ((f'source = "{BLUE}"', SENDER), "refused: condition_failed"),
    ],
)
def test_record_that_a_test_describes_is_decided(lines: tuple[str, ...], expect: str) -> None:
    assert errors(*lines, f'expect = "{expect}"') == []
    (wrong,) = errors(*lines, 'expect = "refused: loop"')
    assert wrong == f"expects refused: loop, gets {expect}"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            (f'source = "{ORDERS}"', SENDER, 'claim = "blue"', 'header = "blue"', 'expect = "blue"'),
            "header is for a request, and source for a record. Fix: write claim instead",
        ),
        (
            ('claim = "blue"', 'expect = "refused"'),
            f'claim needs the source that the record came from. Fix: write it, as in source = "{ORDERS}"',
        ),
        (
            (f'source = "{ORDERS.replace("eu-", "us-")}"', 'expect = "refused"'),
            f'source "{ORDERS.replace("eu-", "us-")}" is not the arn of an [[event_source]]; did you mean "{ORDERS}"?',
        ),
        (
            (f'source = "{BLUE}"', 'claim = "blue"', 'expect = "blue"'),
            "claim is never read: the [[event_source]] has no claim. Fix: leave it out here, or write claim there",
        ),
        (
            (f'source = "{BLUE}"', "sender = {}", 'expect = "blue"'),
            'sender has neither role_id nor user_id. Fix: write one of the two, as in sender = { role_id = "AROA…" }',
        ),
        (
            (f'source = "{BLUE}"', 'sender = { role_id = "order-service" }', 'expect = "refused"'),
            'sender: role_id "order-service" is not the unique id of a role. Fix: write what `aws iam get-role '
            "--role-name order-service --query Role.RoleId` prints: AROA and 16 or more of A-Z 0-9, not a name or an "
            "ARN",
        ),
    ],
)
def test_record_that_cannot_arrive_is_a_fault(lines: tuple[str, ...], fault: str) -> None:
    assert fault in errors(*lines)


@pytest.mark.parametrize(
    ("lines", "expect"),
    [
        (('event_account = "111122223333"', 'claim = "green"'), "green"),
        (('event_account = "111122223333"', 'claim = "red"'), "refused: tenant_suspended"),
        (('event_account = "111122223333"',), "refused: claim_missing"),
        (('event_account = "444455556666"', 'claim = "blue"'), "refused: no_rule"),
        (('claim = "blue"',), "refused: no_rule"),
        (('event_account = "111122223333"', 'bus_source = "aws.s3"', 'claim = "blue"'), "refused: no_rule"),
        (('event_account = "444455556666"', 'bus_source = "aws.events"', 'claim = "blue"'), "blue"),
        (('bus_source = "aws.events"', 'detail_type = "Scheduled Event"', 'claim = "green"'), "green"),
        (('event_account = "111122223333"', 'bus_source = "aws.events"', 'claim = "green"'), "refused: conflict"),
    ],
)
def test_event_that_a_test_describes_is_decided(lines: tuple[str, ...], expect: str) -> None:
    """What a test leaves out has no rule."""
    assert errors(f'source = "{BUS}"', *lines, f'expect = "{expect}"', text=EVENTS) == []
    (wrong,) = errors(f'source = "{BUS}"', *lines, 'expect = "refused: loop"', text=EVENTS)
    assert wrong == f"expects refused: loop, gets {expect}"


def test_record_of_a_stream_is_decided_by_its_source() -> None:
    assert errors(f'source = "{STREAM}"', 'expect = "blue"', text=EVENTS) == []


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            (f'source = "{STREAM}"', SENDER),
            "sender is for a record of an SQS queue, and source is a Kinesis stream. Fix: leave it out",
        ),
        (
            (f'source = "{STREAM}"', 'event_account = "111122223333"'),
            "event_account is for a record of an event bus, and source is a Kinesis stream. Fix: leave it out",
        ),
        (
            ('detail_type = "Order placed"',),
            f'detail_type needs the source that the record came from. Fix: write it, as in source = "{BUS}"',
        ),
        (
            (f'source = "{BUS}"', 'bus_source = "shop"', 'vpc = "vpc-0b8276c84697e7339"'),
            "vpc is for a request, and source for a record. Fix: leave one of them out",
        ),
    ],
)
def test_event_that_cannot_arrive_is_a_fault(lines: tuple[str, ...], fault: str) -> None:
    assert fault in errors(*lines, 'expect = "refused"', text=EVENTS)


def test_tests_of_records_wait_until_the_event_sources_are_right() -> None:
    wrong = QUEUES.replace('function = "orders-worker:live"\nclaim', 'function = "a/b"\nclaim')
    found = findings_of(f'{wrong}[[test]]\nsource = "{ORDERS}"\nexpect = "green"\n')
    assert [finding.subject for finding in found if finding.level == "error"] == ["event_source"]
