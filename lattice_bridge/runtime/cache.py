"""A cache in front of a slow source: single flight, stale if error, and bounds for everything that callers choose.

Rule: a value is served past its `ttl` only while the source fails, and never past `max_stale`. All callers
of a key share one fetch; no lock is held while it runs. A failure is repeated to callers for `pause` seconds,
and a caller waits `wait` seconds at most. A forked child inherits values, but no fetch and no lock.
Source of the words: RFC 5861, section 4 (stale-if-error); Go's golang.org/x/sync/singleflight.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from lattice_bridge.errors import BridgeError
from lattice_bridge.runtime.process import after_fork, elapsed, is_past

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a fetch without an answer. The detail is for the log, and never an exception's own message."""

    detail: str


_UNANSWERED: Final = Failed("no answer yet")


@dataclass(slots=True)
class _Fetch(Generic[Value]):
    """One fetch, and the event that its waiting callers wait for. `reached`: the source has answered it."""

    key: Hashable
    began: float
    reached: bool = False
    outcome: Value | Failed | None = _UNANSWERED
    ended: threading.Event = field(default_factory=threading.Event)


def _in_this_thread(work: Callable[[], None]) -> None:
    work()


class StaleIfErrorCache(Generic[Key, Value]):
    """Values by key, each fetched once for all callers. Any number of threads may use it.

    Args:
        fetch: returns a key's value; None if the source has none; `Failed` if the source answered and the answer cannot
            be used, which is a fault of this key alone. An exception means that the source is out of reach.
        ttl: seconds for which a value is served without a fetch, counted from the beginning of its fetch.
        max_stale: seconds for which a value is served while the source fails.
        size: values that are kept. The least recently used value is dropped first.
        miss_ttl: seconds for which a key that the source does not have is not asked for again. Misses are never served
            stale.
        misses: such keys that are kept, apart from the values: callers choose them, and they must not evict a value.
        pause: seconds after a fetch in which no other begins; callers get the last outcome instead.
        pause_after: `failure`: whatever the key, while the source is out of reach. An outage does not cost each request
            a timeout, and no caller waits for the fetch that tries again. `fetch`: also after an answer, for its key,
            if callers can ask for new fetches at will.
        wait: seconds after a fetch's beginning for which other callers wait for it.
        clock: seconds; may jump.
        start: runs a fetch. Raises RuntimeError or MemoryError if it cannot.
    """

    def __init__(
        self,
        fetch: Callable[[Key], Value | Failed | None],
        *,
        ttl: float,
        max_stale: float,
        pause: float,
        wait: float,
        size: int = 1,
        miss_ttl: float = 0.0,
        misses: int = 1,
        pause_after: Literal["failure", "fetch"] = "failure",
        clock: Callable[[], float] = elapsed,
        start: Callable[[Callable[[], None]], None] = _in_this_thread,
    ) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._max_stale = max_stale
        self._pause = pause
        self._wait = wait
        self._size = size
        self._miss_ttl = miss_ttl
        self._max_misses = misses
        self._joins_first = pause_after == "fetch"
        self._clock = clock
        self._start = start
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, tuple[Value, float]] = OrderedDict()
        self._misses: OrderedDict[Key, float] = OrderedDict()
        self._fetches: dict[Key, _Fetch[Value]] = {}
        self._last: _Fetch[Value] | None = None
        self._tried: float | None = None
        after_fork(self._drop_fetches)

    def get(self, key: Key) -> Value | Failed | None:
        """The value of a key: fresh, fetched, or stale if the fetch fails. None if the source has none.

        The first caller runs the fetch if `start` runs it in the calling thread. The others wait for it.
        """
        now = self._clock()
        with self._lock:
            if (value := self._held(key, now, self._ttl)) is not None:
                return value
            if not is_past(self._misses.get(key), now, self._miss_ttl):
                return None
            fetch, is_new = self._join(key, now)
        outcome = self._outcome(key, fetch, is_new, now)
        if isinstance(outcome, Failed) and (stale := self.held(key)) is not None:
            return stale
        return outcome

    def held(self, key: Key, max_age: float = math.inf) -> Value | None:
        """The cached value if it is at most `max_age` seconds old, and not older than `max_stale`. Fetches nothing."""
        with self._lock:
            return self._held(key, self._clock(), min(max_age, self._max_stale))

    def fetch(self, key: Key) -> Value | Failed | None:
        """The outcome of a new fetch, of the one that runs, or, in a pause, of the last one."""
        now = self._clock()
        with self._lock:
            fetch, is_new = self._join(key, now)
        return self._outcome(key, fetch, is_new, now)

    def prefetch(self, key: Key) -> None:
        """Starts a fetch unless one runs or there is a pause. Does not wait, if `start` does not."""
        now = self._clock()
        with self._lock:
            fetch, is_new = self._join(key, now)
        if is_new:
            self._run(key, fetch)

    def settle(self, key: Key, seconds: float) -> None:
        """Waits for the fetch of this key that runs, if there is one."""
        with self._lock:
            fetch = self._fetches.get(key)
        if fetch is not None:
            fetch.ended.wait(min(seconds, self._wait))

    def retry_after(self) -> int:
        """Whole seconds until the next fetch may begin; at least 1."""
        with self._lock:
            tried = self._tried
        return 1 if tried is None else max(1, math.ceil(tried + self._pause - self._clock()))

    # ---- with the lock ----------------------------------------------------------------------------------------------

    def _held(self, key: Key, now: float, max_age: float) -> Value | None:
        found = self._values.get(key)
        if found is None or is_past(found[1], now, max_age):
            return None
        self._values.move_to_end(key)
        return found[0]

    def _join(self, key: Key, now: float) -> tuple[_Fetch[Value], bool]:
        """The fetch whose outcome the caller gets, and whether the caller has to run it."""
        running = self._fetches.get(key)
        if running is not None and self._joins_first:
            return running, False
        last = self._last
        is_for_key = last is not None and (last.key == key or not last.reached)  # an answer is of its own key (trap D8)
        if last is not None and is_for_key and not is_past(self._tried, now, self._pause):
            return last, False
        if running is not None:
            return running, False
        self._tried = now  # with this, the pause begins again: one caller tries, and the others need not
        fetch = self._fetches[key] = _Fetch[Value](key, now)
        return fetch, True

    def _keep(self, key: Key, outcome: Value | Failed | None, since: float) -> None:
        if outcome is None:
            self._values.pop(key, None)
            _put(self._misses, key, since, self._max_misses)
        elif not isinstance(outcome, Failed):
            self._misses.pop(key, None)
            _put(self._values, key, (outcome, since), self._size)

    # ---- without the lock -------------------------------------------------------------------------------------------

    def _outcome(self, key: Key, fetch: _Fetch[Value], is_new: bool, now: float) -> Value | Failed | None:
        if is_new:
            self._run(key, fetch)
        fetch.ended.wait(min(self._wait, max(0.0, fetch.began + self._wait - now)))
        return fetch.outcome

    def _run(self, key: Key, fetch: _Fetch[Value]) -> None:
        try:
            self._start(lambda: self._fetch_now(key, fetch))
        except (RuntimeError, MemoryError):  # otherwise the key would wait for this fetch for ever
            self._end(key, fetch, Failed("no thread could be started"), reached=False)

    def _fetch_now(self, key: Key, fetch: _Fetch[Value]) -> None:
        reached = False
        outcome: Value | Failed | None = Failed("the fetch was broken off")
        try:
            outcome = self._fetch(key)
            reached = True
        except BridgeError as error:
            outcome = Failed(error.detail)
        except Exception as error:
            outcome = Failed(f"the fetch failed ({type(error).__name__})")
        finally:
            self._end(key, fetch, outcome, reached)

    def _end(self, key: Key, fetch: _Fetch[Value], outcome: Value | Failed | None, reached: bool) -> None:
        now = self._clock()
        with self._lock:
            self._keep(key, outcome, fetch.began)
            self._last = fetch if self._joins_first or not reached else None
            self._tried = now
            fetch.outcome, fetch.reached = outcome, reached
            self._fetches.pop(key, None)
        fetch.ended.set()

    def _drop_fetches(self) -> None:
        """The parent's threads do not run in the child. What they fetch may be fetched anew at once."""
        self._lock = threading.Lock()
        if self._fetches:
            self._fetches, self._tried = {}, None


def _put(kept: OrderedDict[Key, _Kept], key: Key, value: _Kept, size: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > size:
        kept.popitem(last=False)
