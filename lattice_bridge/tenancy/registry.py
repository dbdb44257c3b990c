"""Tenants from a table in DynamoDB: remembered, bounded, kept while the table is out of reach.

Rule: nobody is let in for want of an answer. A name that is not known and cannot be asked for is `Unavailable`, and
only an item that says `active` is an active tenant. However many ask for a name, one fetch of it is in flight; no lock
is held across it, and after one that failed there is a pause for all names.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from lattice_bridge.aws import AwsClient, code_of
from lattice_bridge.errors import InvalidMap, Unavailable
from lattice_bridge.message import is_tenant_id
from lattice_bridge.runtime.process import after_fork, elapsed, is_past
from lattice_bridge.tenancy.rules import Tenant

MISS_TTL: Final = 5.0
"""Seconds for which a name that the table does not have is refused without asking, at most."""

MISSES: Final = 10_000
"""Such names that are remembered. Beside the known tenants, not among them: callers choose these."""

Item = Mapping[str, Any]
"""An item in DynamoDB's own typing: `{"tenant": {"S": "blue"}, "status": {"S": "active"}}`."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """Instead of an answer. The detail is ours: an exception's message may quote the name."""

    detail: str


_Answer = Tenant | None | _Failed


@dataclass(frozen=True, slots=True)
class _Known:
    tenant: Tenant
    since: float


@dataclass(slots=True)
class _Flight:
    """One fetch, and those who wait for it."""

    began: float
    answer: _Answer = _Failed("no answer yet")
    ended: threading.Event = field(default_factory=threading.Event)


class Registry:
    """The tenants of one table; `find` may be called by any number of threads.

    A tenant is answered from memory for `ttl` seconds, then asked for again. While the table cannot be asked, the last
    known answer stands in: a suspended tenant stays suspended, an active one active, and a name that is not known, or
    was not there when last asked for, is `Unavailable`. Neither memory grows with what callers send: known tenants give
    way to those used since, and unknown names only to other unknown names.

    Args:
        fetch: a name's item, or None if the table has none. May raise anything.
        warm: prepares the first fetch.
        clock: seconds; may jump. Ages are counted from when a fetch began.
        ttl: seconds for which an answer is not asked for again. A miss has 5 of them at most.
        max_stale: seconds for which the last known answer serves while the table cannot be asked.
        size: known tenants that are remembered.
        pause: seconds after a failed fetch in which nobody begins one, whatever the name; from then on one a pause,
            until one succeeds. Otherwise an outage would cost every request a timeout.
        wait: seconds after a fetch's beginning that others wait for it, should `fetch` not keep to its time.
    """

    def __init__(
        self,
        fetch: Callable[[str], Item | None],
        *,
        warm: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = elapsed,
        ttl: float = 60,
        max_stale: float = 3600,
        size: int = 10_000,
        pause: float = 1.0,
        wait: float = 5.0,
    ) -> None:
        self._fetch = fetch
        self._warm = warm
        self._clock = clock
        self._ttl = ttl
        self._miss_ttl = min(ttl, MISS_TTL)
        self._max_stale = max_stale
        self._size = size
        self._pause = pause
        self._wait = wait
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._missed: OrderedDict[str, float] = OrderedDict()
        self._flights: dict[str, _Flight] = {}
        self._failed: _Flight | None = None
        self._tried = 0.0
        after_fork(self._forget_flights)

    def _forget_flights(self) -> None:
        self._lock, self._flights = threading.Lock(), {}

    def warm(self) -> None:
        """Prepares the first fetch, without one.

        Raises:
            InvalidMap: there is no boto3 to fetch with.
        """
        try:
            self._warm()
        except ImportError as error:
            raise InvalidMap([f"[registry]: {code_of(error)}"]) from error
        except Exception:  # noqa: S110 - the fetch will say it
            pass

    def find(self, name: str) -> Tenant | None:
        """The tenant of exactly this name, with the table's own spelling of it; None if the table has none.

        Raises:
            Unavailable: `registry_unavailable`: nothing is known that is young enough, and the table cannot be asked.
        """
        if not is_tenant_id(name):
            return None
        now = self._clock()
        with self._lock:
            known = self._known.get(name)
            if known is not None and not is_past(known.since, now, self._ttl):
                self._known.move_to_end(name)
                return known.tenant
            if not is_past(self._missed.get(name), now, self._miss_ttl):
                return None
            flight, is_ours = self._flight(name, now)
        if is_ours:
            self._fly(flight, name)
        else:
            flight.ended.wait(min(self._wait, max(0.0, flight.began + self._wait - now)))
        answer = flight.answer
        return self._last_known(name, answer) if isinstance(answer, _Failed) else answer

    def _flight(self, name: str, now: float) -> tuple[_Flight, bool]:
        """Whose outcome to take, and whether it is for the caller to bring it about. In a pause it is the failure's."""
        if self._failed is not None and not is_past(self._tried, now, self._pause):
            return self._failed, False
        flight = self._flights.get(name)
        if flight is not None:
            return flight, False
        self._tried = now  # after a failure, one tries and the others need not: the pause begins again
        flight = self._flights[name] = _Flight(now)
        return flight, True

    def _fly(self, flight: _Flight, name: str) -> None:
        reached = False
        answer: _Answer = _Failed("the fetch was broken off")
        try:
            item = self._fetch(name)
            reached, answer = True, _read(item, name)
        except Exception as error:
            answer = _Failed(f"the registry could not be asked ({_cause(error)})")
        finally:
            self._land(flight, name, answer, reached)

    def _land(self, flight: _Flight, name: str, answer: _Answer, reached: bool) -> None:
        now = self._clock()
        with self._lock:
            self._remember(name, answer, flight.began)
            # An item that cannot be read is the trouble of one tenant; the others are not made to wait for it.
            self._failed = None if reached else flight
            self._tried = now
            flight.answer = answer
            self._flights.pop(name, None)
        flight.ended.set()

    def _remember(self, name: str, answer: _Answer, since: float) -> None:
        if isinstance(answer, Tenant):
            self._missed.pop(name, None)
            _put(self._known, name, _Known(answer, since), self._size)
        elif answer is None:
            self._known.pop(name, None)
            _put(self._missed, name, since, MISSES)

    def _last_known(self, name: str, failed: _Failed) -> Tenant:
        now = self._clock()  # again: the fetch may have taken its time
        with self._lock:
            known = self._known.get(name)
            if known is not None and not is_past(known.since, now, self._max_stale):
                self._known.move_to_end(name)
                return known.tenant
            again = math.ceil(self._tried + self._pause - now)
        raise Unavailable("registry_unavailable", failed.detail, retry_after=max(1, again))


_Value = TypeVar("_Value")


def _put(memory: OrderedDict[str, _Value], name: str, value: _Value, size: int) -> None:
    memory[name] = value
    memory.move_to_end(name)
    if len(memory) > size:
        memory.popitem(last=False)


def _read(item: object, name: str) -> _Answer:
    """A status that is absent, misspelt or of another type is not `active`: that is how a suspension fails safely."""
    if item is None:
        return None
    if not isinstance(item, Mapping) or item.get("tenant") != {"S": name}:
        return _Failed("the registry's item is not of the tenant that was asked for")
    return Tenant(item["tenant"]["S"], active=item.get("status") == {"S": "active"})


# ---- the network ----------------------------------------------------------------------------------------------------


class DynamoDbTable:
    """Fetches items of a table whose key is `tenant`, a string, and nothing else. Asks for about two seconds at most.

    Args:
        table: its name or ARN.
        region: boto3's own if None.

    Attributes:
        connect: gives boto3's client, without a request.
    """

    def __init__(self, table: str, region: str | None = None) -> None:
        self._table = table
        self.connect = AwsClient("dynamodb", region, read_timeout=1)

    def __call__(self, name: str) -> Item | None:
        """The item of this name, or None. Raises what boto3 raises."""
        answer = self.connect().get_item(
            TableName=self._table,
            Key={"tenant": {"S": name}},
            # Otherwise the answer may be from before a suspension, and would be remembered as if it were from now.
            ConsistentRead=True,
            ProjectionExpression="#tenant, #status",  # `status` is a reserved word
            ExpressionAttributeNames={"#tenant": "tenant", "#status": "status"},
        )
        item: Item | None = answer.get("Item")
        return item


_ADVICE: Final[Mapping[str, str]] = {
    "AccessDeniedException": "grant the bridge dynamodb:GetItem on the table",
    "ResourceNotFoundException": "there is no such table in this account and region",
    "ValidationException": "the table's key has to be `tenant`, a string, and nothing else",
}


def _cause(error: Exception) -> str:
    kind = code_of(error)
    return f"{kind}: {_ADVICE[kind]}" if kind in _ADVICE else kind
