"""The fronts: what calls the bridge, and the form in which it takes an answer.

Rule: an answer has the form of the event. An event that is not accepted is answered in Lattice's form, which API
Gateway and a load balancer read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import reply
from lattice_bridge.formats.assumptions import SET_COOKIE
from lattice_bridge.formats.recognise import Enabled, accepted_format, method_of, module_of, request_id_of
from lattice_bridge.message import Format, Response


class LatticeFront:
    """VPC Lattice, with events of either version."""

    def method_of(self, event: object) -> str:
        """The method of an event that may be malformed."""
        return method_of(event)

    def request_id_of(self, event: object) -> str | None:
        """The front's own id of the request, so that its log and the bridge's can be joined; None if there is none."""
        return request_id_of(event)

    def render(
        self,
        response: Response,
        method: str,
        event: object,  # noqa: ARG002 - other fronts choose the reply's form by it
        set_cookie: reply.SetCookie = SET_COOKIE,
        drop: frozenset[str] = frozenset(),
    ) -> reply.Reply:
        """The reply. `set_cookie` is Lattice's only: the other formats document where cookies are.

        Raises:
            BackendFailed: the reply is larger than the front accepts.
        """
        return reply.render(response, method, set_cookie, drop)


class OtherFront(LatticeFront):
    """API Gateway, a function URL or a load balancer."""

    def __init__(self, name: Format) -> None:
        self._name = name
        self._module = module_of(name)

    def method_of(self, event: object) -> str:
        assert isinstance(event, Mapping)  # its format is known
        method = self._module.method_of(event)
        return method if isinstance(method, str) else ""

    def request_id_of(self, event: object) -> str | None:
        assert isinstance(event, Mapping)
        return parts.read_request_id(self._module.request_id_of(event))

    def render(
        self,
        response: Response,
        method: str,
        event: object,
        set_cookie: reply.SetCookie = SET_COOKIE,  # noqa: ARG002 - see LatticeFront
        drop: frozenset[str] = frozenset(),
    ) -> reply.Reply:
        assert isinstance(event, Mapping)
        form = {"multi_value": self._module.is_multi_value(event)} if self._name == "alb" else {}
        found: reply.Reply = self._module.render(response, method, drop, **form)
        return found


LATTICE: Final = LatticeFront()


def front_of(event: object, enabled: Enabled) -> LatticeFront:
    """The front of an event that may be anything: Lattice, unless the event is one of what is enabled beside it."""
    if not (enabled.apis or enabled.target_groups or enabled.function_url):
        return LATTICE
    name = accepted_format(event, enabled)
    return LATTICE if name is None else _other(name)


@cache
def _other(name: Format) -> LatticeFront:
    return OtherFront(name)
