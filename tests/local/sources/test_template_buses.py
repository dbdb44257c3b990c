"""The buses and rules of the template in the stack's EventBridge, and what a change of the template does to them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lattice_bridge.local.plan.event_buses import EventBus, EventRule
from lattice_bridge.local.plan.event_target import read_target
from lattice_bridge.local.sources.template_buses import TemplateBuses
from tests.support.virtual_buses import ACCOUNT, FUNCTION, World, queue_arn

if TYPE_CHECKING:
    import pytest

ARN = "arn:aws:events:us-east-1:999988887777:event-bus/orders"
ORDERS = EventBus("Orders", "orders", ARN, "all")
WORKER = read_target({"Id": "worker", "Arn": FUNCTION})
PLACED = EventRule("Placed", "placed", "orders", '{"source":["shop"]}', None, targets=(WORKER,))
HOURLY = EventRule("Hourly", "hourly", "default", None, "rate(1 hour)", enabled=False)


def made() -> tuple[World, TemplateBuses]:
    world = World(clock=time.time)
    found = TemplateBuses(world.buses)
    found.replace([ORDERS], [PLACED, HOURLY])
    return world, found


def test_buses_and_rules_of_the_template_are_made() -> None:
    world, template = made()
    assert template.present() == ["EVENTBRIDGE"]
    bus = world.buses.get(ARN)
    assert (bus.name, bus.description, list(bus.rules)) == ("orders", "all", ["placed"])
    rule = world.buses.rule("placed", "orders")
    assert (rule.arn, list(rule.targets)) == ("arn:aws:events:us-east-1:999988887777:rule/orders/placed", ["worker"])
    hourly = world.buses.rule("hourly", None)
    assert (hourly.state, hourly.next) == ("DISABLED", None)


def test_event_has_the_account_of_a_deployed_bus_whose_arn_its_bus_has() -> None:
    """A rule of the map with `event_account` then allows it here, as on AWS."""
    world, _ = made()
    for bus in ("orders", ARN, None):
        world.put(source="other", bus=bus)
    assert [json.loads(event.text)["account"] for event, _ in world.lost] == ["999988887777", "999988887777", ACCOUNT]


def test_change_of_the_template_changes_and_deletes_its_own_rules_only() -> None:
    world, template = made()
    world.rule({"Arn": FUNCTION}, name="own")
    kept = read_target({"Id": "kept", "Arn": queue_arn("kept")})
    template.replace([ORDERS], [replace(PLACED, targets=(kept,))])
    assert list(world.buses.rule("placed", "orders").targets) == ["kept"]
    assert list(world.buses.get(None).rules) == ["own"]
    template.replace([], [])
    assert world.buses.find("orders") is None
    assert template.present() == []


def test_rule_that_a_client_has_changed_stays_until_the_template_changes_it() -> None:
    world, template = made()
    world.buses.set_state(world.buses.rule("placed", "orders"), "DISABLED")
    template.replace([ORDERS], [PLACED, HOURLY])
    assert not world.buses.rule("placed", "orders").is_enabled
    template.replace([ORDERS], [replace(PLACED, description="new"), HOURLY])
    assert world.buses.rule("placed", "orders").is_enabled


def test_bus_with_a_rule_of_a_client_stays() -> None:
    world, template = made()
    world.rule({"Arn": FUNCTION}, name="own", bus="orders")
    template.replace([], [])
    assert list(world.buses.get("orders").rules) == ["own"]


def test_rule_that_cannot_be_made_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    world, template = made()
    topic = read_target({"Id": "topic", "Arn": "arn:aws:sns:eu-west-1:111122223333:topic"})
    template.replace([ORDERS], [replace(PLACED, targets=(topic,))])
    assert "rule placed is not as in the template: target topic: this local stack delivers to lambda and sqs" in (
        caplog.text
    )
    assert world.buses.rule("placed", "orders").targets == {}
