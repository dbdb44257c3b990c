"""Differences between rules for events, for the callers of both maps."""

from __future__ import annotations

from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.review.diff import Change, changed_rules
from tests.support.queue_maps import EVENTS

ACCOUNT_RULE = '[[rule]]\nid = "shop"\nevent_account = "111122223333"\ntenants = ["blue", "green", "red"]\n'
PART = '[[rule]]\nid = "part"\nevent_account = "111122223333"\nbus_source = "{}"\ntenant = "blue"\n'


def changes(old: str, new: str) -> list[Change]:
    return list(changed_rules(TenantMap.from_toml(old).rules, TenantMap.from_toml(new).rules))


def test_part_of_aws_without_its_rule_is_refused_and_falls_to_no_broader_rule() -> None:
    """Trap E5: the rule for the account does not allow events of AWS."""
    assert ACCOUNT_RULE in EVENTS
    (change,) = changes(EVENTS + PART.format("aws.s3"), EVENTS)
    assert (change.kind, change.subject) == ("loses", "event-account 111122223333, bus_source aws.s3")


def test_part_of_a_publisher_without_its_rule_falls_to_the_rule_for_the_account() -> None:
    part = PART.format("till") + 'accept_risk = "a test"\n'
    (change,) = changes(EVENTS + part, EVENTS)
    assert (change.kind, change.before, change.after) == ("gains", "blue", "blue, green, red")


def test_denied_account_loses_every_part_of_its_events() -> None:
    deny = '[[rule]]\nid = "stop"\nevent_account = "111122223333"\ndeny = true\n'
    found = changes(EVENTS + PART.format("aws.s3"), EVENTS + PART.format("aws.s3") + deny)
    assert {change.kind for change in found} == {"loses"}
    assert {change.subject for change in found} == {
        "event-account 111122223333",
        *(f"event-account 111122223333, bus_source aws.{name}" for name in ("s3", "events")),
    }
