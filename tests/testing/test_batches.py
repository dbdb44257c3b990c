"""The strategy for batches: events that Lambda can make, and what the router does with them."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from lattice_bridge.config.settings import Settings
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.invoke.call import Call
from lattice_bridge.router import Router
from lattice_bridge.testing.departures import departures
from lattice_bridge.testing.strategies import batches
from lattice_bridge.testing.strategies.maps import QUEUE, SENDERS
from tests.support.examples import examples
from tests.support.stream_batches import Delivery, check_delivery, deliveries
from tests.support.stream_records import BUS, STREAM, TABLE

ORDERED: Final = f"{QUEUE.removesuffix(FIFO)}{FIFO}"
CLAIMS: Final = (
    'from = "attribute", name = "tenant"',
    'from = "message_group"',
    'from = "body", path = ["meta", "tenant"]',
)


def map_of(claim: str, queue: str) -> str:
    return f"""
[[event_source]]
arn = "{queue}"
function = "orders"
claim = {{ {claim} }}
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "shop"
sender = {{ role_id = "{SENDERS[0]}" }}
tenants = ["blue", "green"]
"""


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[*HealthCheck])
@given(batches(QUEUE) | batches(ORDERED) | batches(STREAM) | batches(TABLE) | batches(BUS))
def test_batch_is_what_lambda_makes(event: dict[str, Any]) -> None:
    """Apart from aggregates that only look like one, which any producer can put."""
    assert [one for one in departures(event) if "aggregate" not in one.found] == []


@pytest.mark.parametrize("claim", CLAIMS)
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[*HealthCheck])
@given(event=batches(ORDERED))
def test_message_runs_only_for_its_sender_and_as_what_it_asks_for(claim: str, event: dict[str, Any]) -> None:
    """Traps E2, E3: with a sender that no rule is for, nothing runs."""
    calls: list[Call] = []

    def invoke(call: Call) -> bytes:
        calls.append(call)
        return b"{}"

    loaded = Settings.from_text(map_of(claim, ORDERED))
    router = Router(loaded.tenant_map, invoke, sources=loaded.options.event_sources, write=lambda _: None)
    failed = {item["itemIdentifier"] for item in router(event, None)["batchItemFailures"]}
    allowed = [one for one in event["Records"] if one["messageId"] not in failed]
    assert len(calls) == len(allowed)
    assert all(one["attributes"]["SenderId"].startswith(f"{SENDERS[0]}:") for one in allowed)
    assert {call.tenant for call in calls} <= {"blue", "green"}


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[*HealthCheck])
@given(deliveries())
def test_router_loses_nothing_and_keeps_tenants_and_order(delivery: Delivery) -> None:
    """Traps E1, E3, E6, E11, E18: of streams, tables and buses. A queue's batches have a reference of their own."""
    check_delivery(delivery)


def test_source_of_another_service_has_no_batches() -> None:
    with pytest.raises(ValueError, match="is the ARN of no queue, stream, table or event bus"):
        batches("arn:aws:sns:eu-west-1:111122223333:orders")
