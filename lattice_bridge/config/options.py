"""The options of a bridge: the functions behind it, and how it invokes them.

Rule: only values that passed the configuration's checks. A backend is chosen by whole segments of the path as it was
sent: `/a` serves `/a` and `/a/b`, not `/ab`; `%2F` is not a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from lattice_bridge.errors import NotFound
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Payload, Scheme
from lattice_bridge.formats.recognise import Enabled
from lattice_bridge.formats.reply import SetCookie
from lattice_bridge.invoke.call import Invocation

if TYPE_CHECKING:
    from lattice_bridge.config.event_source import EventSource

Invoker = Literal["direct", "boto3"]
LoggedCaller = Literal["key", "full"]

DEFAULT_TIMEOUT: Final = 28.0
DEFAULT_REFRESH: Final = 60.0

# Lambda's NamespacedFunctionName (botocore's service model): a name, a partial ARN or an ARN, each with a qualifier.
# Not compiled here: a start whose configuration is compiled has no names to check.
_FUNCTION: Final = (
    r"(arn:(aws[a-zA-Z-]*):lambda:)?([a-z]{2,4}(-[a-z]+)+-[0-9]:)?([0-9]{12}:)?(function:)?[a-zA-Z0-9_-]{1,64}"
    r"(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)


def function_fault(function: str) -> str | None:
    """The fault of a function's name, or None.

    >>> function_fault("orders:live")
    >>> function_fault("orders/live")
    'function "orders/live" is not a Lambda function name or ARN'
    """
    return None if re.fullmatch(_FUNCTION, function) else f'function "{function}" is not a Lambda function name or ARN'


class Backend(NamedTuple):
    """One `[[backend]]`.

    Attributes:
        path: the prefix that it serves; `/` serves the paths without a longer prefix.
        function: name or ARN, with an optional `:qualifier`.
        isolated: the function has tenant isolation. If not, it is invoked without a tenant id, and reads the tenant
            from the tenant header like any other function.
        payload: the format of the events that it receives, see docs/backends.md.
        invocation: `sync` waits for the answer, `async` answers 202 at once.
        timeout: seconds to wait for the answer.
        keep_headers: credentials that are passed on instead of dropped.
    """

    path: str
    function: str
    isolated: bool = True
    payload: Payload = "lattice"
    invocation: Invocation = "sync"
    timeout: float = DEFAULT_TIMEOUT
    keep_headers: frozenset[str] = frozenset()

    def serves(self, path: str) -> bool:
        """Reports whether `path` is this backend's path or below it.

        >>> [Backend("/a", "orders").serves(path) for path in ("/a", "/a/b", "/ab", "/a%2Fb")]
        [True, True, False, False]
        """
        return path == self.path or path.startswith(self.path if self.path.endswith("/") else self.path + "/")


class Backends:
    """All backends, from the longest prefix to the shortest."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._by_length = sorted(backends, key=lambda backend: len(backend.path), reverse=True)

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._by_length)

    def serving(self, path: str) -> Backend:
        """The backend with the longest prefix of `path`.

        Raises:
            NotFound: no backend serves it.
        """
        for backend in self._by_length:
            if backend.serves(path):
                return backend
        raise NotFound("no_backend", 'no [[backend]] serves the path; one with path = "/" would')


class Options(NamedTuple):
    """All options of a bridge.

    Attributes:
        backends: in the configuration's order.
        event_sources: in the configuration's order.
        services: ARNs of the Lattice services that events may come from; empty for any.
        apis: ids of the REST and HTTP APIs that events may come from; empty for none.
        target_groups: ARNs of the target groups that events may come from; empty for none.
        function_url: whether events may come from the function's own URL.
        set_cookie: the place of cookies in a reply to Lattice.
        drop_headers: names of a backend's headers that do not reach the caller, in lower case.
        scheme: of the connection between clients and Lattice.
        refresh: seconds between two reloads of the configuration.
        invoker: `direct` signs and sends requests itself, `boto3` leaves that to boto3.
        log_caller: what the log line of a refused request contains of its caller: the `key`, which names no person, or
            the `full` principal and the subjects of tokens.
    """

    backends: tuple[Backend, ...] = ()
    event_sources: tuple[EventSource, ...] = ()
    services: frozenset[str] = frozenset()
    apis: frozenset[str] = frozenset()
    target_groups: frozenset[str] = frozenset()
    function_url: bool = False
    set_cookie: SetCookie = SET_COOKIE
    drop_headers: frozenset[str] = frozenset()
    scheme: Scheme = FORWARDED_SCHEME
    refresh: float = DEFAULT_REFRESH
    invoker: Invoker = "direct"
    log_caller: LoggedCaller = "key"

    @property
    def enabled(self) -> Enabled:
        """The events that are accepted."""
        return Enabled(self.services, self.apis, self.target_groups, self.function_url)

    def with_function(self, function: str | None) -> Options:
        """These options with another function for the backend whose path is `/`, which is added if there is none."""
        if not function:
            return self
        others = [backend for backend in self.backends if backend.path != "/"]
        first = next((backend for backend in self.backends if backend.path == "/"), Backend("/", function))
        return self._replace(backends=(*others, first._replace(function=function)))

    def to_json(self) -> dict[str, Any]:
        """As values of JSON."""
        backends = [{**one._asdict(), "keep_headers": sorted(one.keep_headers)} for one in self.backends]
        sets = {name: sorted(getattr(self, name)) for name in _SETS}
        sources = [asdict(one) for one in self.event_sources]
        return {**self._asdict(), **sets, "backends": backends, "event_sources": sources}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Options:
        """The options that `to_json` wrote. Raises a built-in exception for other values."""
        backends = (Backend(**{**one, "keep_headers": frozenset(one["keep_headers"])}) for one in found["backends"])
        sources = _sources_from_json(found.get("event_sources", ()))
        # Maps that were compiled before a set was new do not have it.
        sets = {name: frozenset(found.get(name, ())) for name in _SETS}
        return cls(**{**found, **sets, "backends": tuple(backends), "event_sources": sources})


def _sources_from_json(written: Iterable[Mapping[str, Any]]) -> tuple[EventSource, ...]:
    if not written:
        return ()
    from lattice_bridge.config.event_source import EventSource  # here: a start without sources does not wait for it

    return tuple(map(EventSource.from_json, written))


_SETS: Final = ("services", "apis", "target_groups", "drop_headers")
"""The options that are sets. JSON has none, so a compiled map contains sorted lists."""
