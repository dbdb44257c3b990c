"""Warnings about event sources."""

from __future__ import annotations

import pytest

from lattice_bridge.review.check import findings_of
from tests.support.queue_maps import BLUE, BUS, EVENTS, ORDERS, QUEUES, RULES, SHOP, SOURCES, STREAM, TENANTS

CLAIM = 'claim = { from = "attribute", name = "tenant" }\n'
GROUP = 'claim = { from = "message_group" }\n'


def said(text: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings_of(text)]


def test_map_whose_queues_are_all_served_has_no_warning() -> None:
    assert said(QUEUES) == []


def test_queue_that_no_rule_serves_is_warned_of_at_its_arn() -> None:
    extra = f'[[event_source]]\narn = "{ORDERS}-new"\nfunction = "orders"\n'
    (finding,) = findings_of(f"{extra}{QUEUES}")
    assert (finding.level, finding.subject, finding.line) == ("warning", "event_source", 2)
    assert finding.text == (
        f'event_source "{ORDERS}-new": no rule allows its records, so every one is refused. Fix: write a [[rule]] with '
        f'source = "{ORDERS}-new", or with sender'
    )


def test_sender_without_a_condition_on_the_queue_serves_it() -> None:
    rule = f'[[rule]]\nid = "job"\nsender = {{ role_id = "{SHOP}X" }}\ntenant = "blue"\n'
    extra = f'[[event_source]]\narn = "{ORDERS}-new"\nfunction = "orders"\n'
    assert said(f"{extra}{QUEUES}{rule}") == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            SOURCES.replace(f'arn = "{BLUE}"\n', f'arn = "{BLUE}"\n{GROUP}') + TENANTS + RULES,
            "claim chooses nothing: each rule for these records allows one tenant, and a record without it is refused",
        ),
        (
            QUEUES.replace(CLAIM, ""),
            'no claim chooses one of the tenants that rule "shop" allows, so every record is refused as ambiguous',
        ),
        (
            f'{QUEUES}[[rule]]\nid = "stop"\nsource = "{BLUE}"\ndeny = true\n',
            'rule "stop" denies all its records, so none is processed',
        ),
        (
            QUEUES.replace(CLAIM, "").replace('["blue", "green", "red"]', '"*"'),
            'no claim chooses one of the tenants that rule "shop" allows, so every record is refused as ambiguous',
        ),
    ],
)
def test_event_source_that_is_probably_not_intended_is_warned_of(text: str, warning: str) -> None:
    found = [one for level, one in said(text) if level == "warning" and warning in one]
    assert len(found) == 1, said(text)
    assert "Fix: " in found[0]


def test_map_whose_bus_and_stream_are_served_has_no_warning() -> None:
    assert said(EVENTS) == []


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (f'arn = "{STREAM}-new"\nquarantine = "{ORDERS}-quarantine"\n', f'source = "{STREAM}-new"'),
        (f'arn = "{ORDERS}-new"\n', f'source = "{ORDERS}-new", or with sender'),
    ],
)
def test_source_without_a_rule_is_warned_of_with_the_anchors_that_it_can_have(text: str, fix: str) -> None:
    """Rules for an account are for the bus alone."""
    (warning,) = [
        one for level, one in said(f'[[event_source]]\nfunction = "orders"\n{text}{EVENTS}') if level == "warning"
    ]
    assert warning.endswith(f"no rule allows its records, so every one is refused. Fix: write a [[rule]] with {fix}")


def test_bus_without_a_rule_is_warned_of() -> None:
    rules = EVENTS.partition('[[rule]]\nid = "shop"')[0]
    text = rules + f'[[rule]]\nid = "clicks"\nsource = "{STREAM}"\ntenants = "*"\naccept_risk = "a test"\n'
    found = [one for level, one in said(text) if level == "warning" and "no rule allows" in one]
    assert [one.endswith(f'with source = "{BUS}", or with event_account') for one in found] == [True]


def test_claim_that_would_choose_is_shown_as_its_service_writes_it() -> None:
    several = '\ntenants = ["blue", "green"]\naccept_risk = "a test"\n'
    stream = EVENTS.replace(f'source = "{STREAM}"\ntenant = "blue"', f'source = "{STREAM}"{several}')
    (warning,) = [one for level, one in said(stream) if level == "warning"]
    assert warning.endswith('Fix: write claim, as in claim = { from = "partition_key" }')


def test_claim_chooses_for_a_part_of_the_events() -> None:
    """One part of the bus's events has several tenants, and the account one."""
    assert said(EVENTS.replace('tenants = ["blue", "green", "red"]', 'tenant = "red"')) == []


def test_queue_of_one_tenant_needs_no_claim_for_a_sender_of_several() -> None:
    both = QUEUES.replace(f'source = "{ORDERS}"\n', "")
    assert said(both) == []


def test_session_of_a_sender_that_a_deny_rule_covers_is_never_reached() -> None:
    session = f'sender = {{ role_id = "{SHOP}", session = "i-1" }}\nsession_set_by = "ec2"\ntenant = "blue"\n'
    deny = f'sender = {{ role_id = "{SHOP}" }}\ndeny = true\n'
    found = said(f'{QUEUES}[[rule]]\nid = "job"\n{session}[[rule]]\nid = "stop"\n{deny}')
    assert [text for _, text in found if 'rule "job": is never reached, since rule "stop" denies all' in text]
