"""The fronts: what calls the bridge, and the form in which it takes an answer.

Rule: an answer has the form of the event. An event that is not accepted is answered in Lattice's form, which API
Gateway and a load balancer read as well.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import reply
from lattice_bridge.formats.assumptions import SET_COOKIE
from lattice_bridge.formats.recognise import Enabled, accepted_format, method_of, module_of, request_id_of
from lattice_bridge.message import Format, Response


class Front:
    """VPC Lattice, with events of either version; or API Gateway, a function URL or a load balancer.

    Args:
        name: the format of the events; None for Lattice.
    """

    def __init__(self, name: Format | None = None) -> None:
        self._name = name
        self._module = None if name is None else module_of(name)

    def method_of(self, event: Any) -> str:
        """The method of an event that may be malformed; empty if it has none."""
        if self._module is None:
            return method_of(event)
        method = self._module.method_of(event)
        return method if isinstance(method, str) else ""

    def request_id_of(self, event: Any) -> str | None:
        """The front's own id of the request, so that its log and the bridge's can be joined; None if there is none."""
        if self._module is None:
            return request_id_of(event)
        return parts.read_request_id(self._module.request_id_of(event))

    def render(
        self,
        response: Response,
        method: str,
        event: Any,
        set_cookie: reply.SetCookie = SET_COOKIE,
        drop: frozenset[str] = frozenset(),
    ) -> reply.Reply:
        """The reply to an event.

        Args:
            response, method, drop: as for `reply.render`.
            event: a load balancer's reply has the same kind of headers.
            set_cookie: for Lattice. The other formats document the place of cookies.

        Raises:
            BackendFailed: the reply is larger than the front accepts.
        """
        if self._module is None:
            return reply.render(response, method, set_cookie, drop)
        form = {"multi_value": self._module.is_multi_value(event)} if self._name == "alb" else {}
        found: reply.Reply = self._module.render(response, method, drop, **form)
        return found


LATTICE: Final = Front()


def front_of(event: object, enabled: Enabled) -> Front:
    """The front of an event that may be anything: Lattice, unless the event is one of what is enabled beside it."""
    if not (enabled.apis or enabled.target_groups or enabled.function_url):
        return LATTICE
    name = accepted_format(event, enabled)
    return LATTICE if name is None else _front(name)


@cache
def _front(name: Format) -> Front:
    return Front(name)
