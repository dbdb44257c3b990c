"""Records of asynchronous invocations on the event buses of the stack."""

from __future__ import annotations

import json
import time

import pytest

from lattice_bridge.local.aws.async_invokes import Undelivered
from lattice_bridge.local.sources.destination_buses import DestinationBuses
from tests.support.virtual_buses import World

ENTRY = {"Source": "lambda", "DetailType": "Result - Failure", "Detail": '{"a": 1}', "Resources": ["r"], "Time": 0.0}


def test_record_is_an_event_of_the_bus() -> None:
    world = World(clock=time.time)
    bus = world.buses.get(None)
    DestinationBuses(world.buses).put(bus.arn, ENTRY)
    ((event, why),) = world.lost
    assert (event.bus, event.source, event.detail_type, why) == (
        "default",
        "lambda",
        "Result - Failure",
        "no rule takes it",
    )
    found = json.loads(event.text)
    assert (found["detail"], found["resources"], found["time"]) == ({"a": 1}, ["r"], "1970-01-01T00:00:00Z")


def test_record_for_no_bus_or_without_a_detail_is_undelivered() -> None:
    buses = DestinationBuses(World(clock=time.time).buses)
    with pytest.raises(Undelivered, match="no such event bus"):
        buses.put("arn:aws:events:eu-west-1:111122223333:event-bus/absent", ENTRY)
    with pytest.raises(Undelivered, match="MalformedDetail: Detail is malformed"):
        buses.put("arn:aws:events:eu-west-1:111122223333:event-bus/default", {**ENTRY, "Detail": "no"})
