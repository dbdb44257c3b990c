"""Warnings about event sources."""

from __future__ import annotations

import pytest

from lattice_bridge.review.check import findings_of
from tests.support.queue_maps import BLUE, ORDERS, QUEUES, RULES, SHOP, SOURCES, TENANTS

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


def test_queue_of_one_tenant_needs_no_claim_for_a_sender_of_several() -> None:
    both = QUEUES.replace(f'source = "{ORDERS}"\n', "")
    assert said(both) == []


def test_session_of_a_sender_that_a_deny_rule_covers_is_never_reached() -> None:
    session = f'sender = {{ role_id = "{SHOP}", session = "i-1" }}\nsession_set_by = "ec2"\ntenant = "blue"\n'
    deny = f'sender = {{ role_id = "{SHOP}" }}\ndeny = true\n'
    found = said(f'{QUEUES}[[rule]]\nid = "job"\n{session}[[rule]]\nid = "stop"\n{deny}')
    assert [text for _, text in found if 'rule "job": is never reached, since rule "stop" denies all' in text]
