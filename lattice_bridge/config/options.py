"""What a configuration says beside the map: the functions behind the bridge, and how it serves them.

Rule: values that passed the configuration's checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from lattice_bridge.config.backend import Backend
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Scheme
from lattice_bridge.formats.reply import SetCookie

Invoker = Literal["direct", "boto3"]

DEFAULT_REFRESH: Final = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """All of it.

    Attributes:
        backends: in the configuration's order.
        services: ARNs of the Lattice services events may come from; empty for any.
        set_cookie: where a reply carries cookies.
        drop_headers: names of a backend's headers that do not reach the caller, in lower case.
        scheme: what clients speak with Lattice.
        refresh: seconds between two looks at where the configuration came from.
        invoker: how functions are invoked: signed and sent here, or by boto3.
    """

    backends: tuple[Backend, ...] = ()
    services: frozenset[str] = frozenset()
    set_cookie: SetCookie = SET_COOKIE
    drop_headers: frozenset[str] = frozenset()
    scheme: Scheme = FORWARDED_SCHEME
    refresh: float = DEFAULT_REFRESH
    invoker: Invoker = "direct"

    def with_function(self, function: str | None) -> Options:
        """With another function for the backend whose path is `/`, which is added if there is none."""
        if not function:
            return self
        others = [backend for backend in self.backends if backend.path != "/"]
        first = next((backend for backend in self.backends if backend.path == "/"), Backend("/", function))
        return replace(self, backends=(*others, replace(first, function=function)))

    def to_json(self) -> dict[str, Any]:
        """As JSON's own values."""
        backends = [{**asdict(one), "keep_headers": sorted(one.keep_headers)} for one in self.backends]
        sets = {"services": sorted(self.services), "drop_headers": sorted(self.drop_headers)}
        return {**asdict(self), **sets, "backends": backends}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Options:
        """What `to_json` wrote. Raises whatever comes of another text."""
        backends = (Backend(**{**one, "keep_headers": frozenset(one["keep_headers"])}) for one in found["backends"])
        # `drop_headers` came later than the others: a map that was compiled before has none.
        sets = {"services": frozenset(found["services"]), "drop_headers": frozenset(found.get("drop_headers", ()))}
        return cls(**{**found, **sets, "backends": tuple(backends)})
