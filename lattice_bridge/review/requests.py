"""Requests in events of either handler: of the bridge, and of the map as a Lambda authorizer.

Rule: an event that one of the handlers would refuse is refused here, for the same reason.
"""

from __future__ import annotations

from lattice_bridge.errors import BridgeError
from lattice_bridge.formats import authorizer, recognise
from lattice_bridge.message import Request


def receive(event: object, enabled: recognise.Enabled) -> Request:
    """The request in an event that the bridge or the authorizer accepts.

    Raises:
        BadRequest, Forbidden: as the two formats' own readers.
    """
    if authorizer.recognises(event):
        return authorizer.parse(event, enabled.apis)
    return recognise.receive(event, enabled)


def parse_any(event: object) -> Request:
    """The request in an event of any format, enabled or not, for tools that read recorded events.

    Raises:
        BadRequest, Forbidden: as for `receive`.
    """
    return authorizer.parse(event, None) if authorizer.recognises(event) else recognise.parse_any(event)


def check_enabled(request: Request, enabled: recognise.Enabled) -> None:
    """Refuses a request that `parse_any` read, unless what sent it is enabled.

    Raises:
        BadRequest: it is not.
    """
    if authorizer.recognises(request.event):
        authorizer.check_enabled(request.event, enabled.apis)
    elif request.source != "lattice":
        recognise.check_enabled(request.event, enabled)


def status_of(refusal: BridgeError, event: object) -> int:
    """The status that the client gets. An authorizer can choose between three."""
    return authorizer.status_of(refusal, event) if authorizer.recognises(event) else refusal.status
