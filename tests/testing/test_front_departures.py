"""Departures of events of API Gateway, function URLs and load balancers: none in true ones, each kind in wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.testing.builders import gateway_event
from lattice_bridge.testing.departures import departures, version_meant
from lattice_bridge.testing.front_departures import kind_of, sender_of
from tests.support import authorizer_events
from tests.support.fronts import FRONTS, Sent

Event = dict[str, Any]
ASKED = {f"authorizer {form.__name__}": form() for form in authorizer_events.FORMS}
EVENTS: dict[str, Event] = {
    **{name: front(Sent("POST", "/a?b=1", (("x-a", "1"),), b"hi")) for name, front in FRONTS.items()},
    **ASKED,
}


@pytest.mark.parametrize("name", EVENTS)
def test_event_as_its_front_sends_it_has_no_departures(name: str) -> None:
    event = EVENTS[name]
    kind = kind_of(event)
    assert kind is not None
    assert (departures(event), version_meant(event)) == ([], None)
    assert ("function URL" in sender_of(event, kind)) == ("url" in name)
    assert kind.startswith("authorizer-") == (name in ASKED)


@pytest.mark.parametrize("front", ["rest-api", "http-api", "function-url", "alb"])
def test_made_event_of_a_front_has_no_departures(front: Any) -> None:
    assert departures(gateway_event(front, path="/a?b=1", body="hi")) == []


@pytest.mark.parametrize(
    ("make", "change", "where", "refused"),
    [
        (FRONTS["rest-api"], {"odd": 1}, "/odd", False),
        (FRONTS["rest-api"], {"isBase64Encoded": None}, "/isBase64Encoded", False),
        (FRONTS["rest-api"], {"headers": {"x-a": ["1"]}, "multiValueHeaders": None}, "/headers/x-a", False),
        (FRONTS["rest-api"], {"path": "orders"}, "", True),
        (FRONTS["rest-api"], {"rawPath": "/"}, "/rawPath", True),
        (FRONTS["http-api"], {"headers": {"X-A": "1"}}, "/headers/X-A", False),
        (FRONTS["http-api"], {"rawQueryString": None}, "/rawQueryString", False),
        (FRONTS["http-api"], {"requestContext": {"http": {"method": "GET"}}}, "/requestContext/apiId", False),
        (FRONTS["alb"], {"headers": None, "multiValueHeaders": None}, "/headers", True),
        (FRONTS["alb"], {"requestContext": {"elb": {}}}, "/requestContext/elb/targetGroupArn", False),
        (authorizer_events.rest, {"body": "hi"}, "/body", False),
        (authorizer_events.rest, {"type": "TOKEN"}, "/type", True),
        (authorizer_events.http_1, {"methodArn": "orders"}, "", True),
        (authorizer_events.http_2, {"httpMethod": "GET"}, "/httpMethod", True),
    ],
)
def test_difference_is_found_at_its_place(make: Callable[[], Event], change: Event, where: str, refused: bool) -> None:
    """Trap A9, F6: an event with marks of two formats is refused, and `event check` says so."""
    found = departures({**make(), **change})
    assert where in [one.where for one in found]
    assert any(one.refused for one in found) == refused
