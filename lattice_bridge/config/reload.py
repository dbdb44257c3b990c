"""A handler that reloads its configuration.

Rule: the last good configuration stays active, whole, until another good one replaces it, whole. A request is served by
one of them from its beginning to its end. A fault of a newer configuration is reported at every reload, so that an
alarm stays on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.stores import Store
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.runtime.process import after_fork, elapsed, in_background, is_past

CLOSED_REFRESH: Final = 5.0
"""Seconds between two reloads while no configuration is active."""

OVERDUE: Final = 3
"""After so many times `refresh`, reload in the request instead of in the background. Only an environment that was idle
is so late. It would serve its next requests with a map that is hours old, and a thread may not get far between them."""

_ANOTHER: Final = '"another"'
"""A version that no text has, to read a text again. None would mean a first reading, which also takes a file that may
be half written."""

Handler = Callable[[object, object], dict[str, Any]]


class ActiveConfiguration(NamedTuple):
    """A configuration that serves requests.

    Attributes:
        handler: serves with it.
        sha256: of its text.
        refresh: seconds between two reloads.
    """

    handler: Handler
    sha256: str
    refresh: float


class ReloadResult(NamedTuple):
    """The result of one reload, for the log.

    Attributes:
        before: the sha256 of the configuration that was active; None if there was none.
        after: the sha256 of the configuration that is active now; None if there is none.
        refusal: the reason why no newer configuration is active.
    """

    before: str | None
    after: str | None
    refusal: BridgeError | None = None


class ReloadingHandler:
    """Serves with the configuration in a store, and reloads it in the background. Any number of threads may call it.

    It reloads during a request if no configuration is active, or if the reload is long overdue.

    Attributes:
        active: the active configuration, or None.

    Args:
        store: contains the configuration's text.
        build: makes a configuration of a text, given the one that it replaces. Raises for a text that cannot serve.
        closed: makes the handler that serves while no configuration is active.
        report: takes the result of a reload that changed something or failed. The first load changes nothing.
        clock: seconds; may jump.
        start: runs a reload in the background.
    """

    def __init__(
        self,
        store: Store,
        build: Callable[[str, ActiveConfiguration | None], ActiveConfiguration],
        closed: Callable[[BridgeError], Handler],
        report: Callable[[ReloadResult], None],
        *,
        clock: Callable[[], float] = elapsed,
        start: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        self._store = store
        self._build = build
        self._closed = closed
        self._report = report
        self._clock = clock
        self._start = start
        self._lock = threading.Lock()
        self._is_reloading = False
        self._reloaded: float | None = None
        self._hang_reported: float | None = None
        self._was_closed = False
        self._version: str | None = None
        self._rejected: tuple[str, BridgeError] | None = None
        after_fork(self._forget_reload)
        self._serving: Handler = closed(InvalidMap(["not loaded yet"]))
        self.active: ActiveConfiguration | None = None
        self._reload_when_due()

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """Serves one request.

        Raises:
            BridgeError: the source of the event has to keep it, see `Router`. Lambda's runtime prints the frames of an
                error, and many look like a crash. So it has only the one of this method.
        """
        self._reload_when_due()
        try:
            return self._serving(event, context)
        except BridgeError as error:
            raise error.without_frames()  # no crash: an error makes Lambda deliver the event again

    def _forget_reload(self) -> None:
        self._lock, self._is_reloading = threading.Lock(), False

    # ---- when -------------------------------------------------------------------------------------------------------

    def _reload_when_due(self) -> None:
        now, active = self._clock(), self.active
        refresh = active.refresh if active else CLOSED_REFRESH
        if not is_past(self._reloaded, now, refresh):  # nearly always; one that is due is tested again with the lock
            return
        with self._lock:
            if not is_past(self._reloaded, now, refresh):
                return
            overdue = is_past(self._reloaded, now, OVERDUE * refresh)
            hangs = self._is_reloading and overdue and is_past(self._hang_reported, now, refresh)
            if hangs:
                self._hang_reported = now
            is_ours = not self._is_reloading
            if is_ours:
                self._is_reloading, self._reloaded = True, now
        if hangs:
            refusal = Unavailable("config_unreachable", "a reload of the configuration has not ended")
            self._report(ReloadResult(_sha256(active), _sha256(active), refusal))
        if is_ours and (active is None or overdue):
            self._reload()
        elif is_ours:
            self._reload_in_background()

    def _reload_in_background(self) -> None:
        try:
            self._start(self._reload)
        except Exception:  # no more threads or memory: a later request reloads
            self._is_reloading = False

    # ---- how --------------------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        before = self.active
        try:
            refusal = self._replace(before)
        except Exception as error:
            found = error if isinstance(error, BridgeError) else InvalidMap([f"{type(error).__name__}: {error}"])
            refusal = found.without_frames()  # they refer to the request in which this reload runs
        after = self.active
        if refusal is not None and after is None:
            self._serving = self._closed(refusal)
        is_first = before is None and not self._was_closed
        self._was_closed = after is None
        self._is_reloading = False
        if refusal is not None or (after is not before and not is_first):
            self._report(ReloadResult(_sha256(before), _sha256(after), refusal))

    def _replace(self, before: ActiveConfiguration | None) -> BridgeError | None:
        """Activates the store's text if it is new and good. Returns the fault of the newest text, or None."""
        # A refused text is read again: a key file that it names may have been fixed since.
        found = self._store.read(_ANOTHER if self._rejected else self._version)
        if found is None:
            return self._rejected[1] if self._rejected else None
        sha256 = sha256_of(found.text)
        if self._rejected and self._rejected[0] == sha256 and "jwks_file" not in found.text:
            return self._rejected[1]
        self._version, self._rejected = found.version, None
        if before is not None and sha256 == before.sha256:
            return None
        try:
            after = self._build(found.text, before)
        except InvalidMap as error:
            # It is kept, and its frames have the whole map and the request.
            self._rejected = (sha256, error.without_frames())
            return error
        except Exception:  # not a fault of the text: the next reload builds it again
            self._version = None if before is None else _ANOTHER
            raise
        self.active, self._serving = after, after.handler
        return None


def _sha256(configuration: ActiveConfiguration | None) -> str | None:
    return None if configuration is None else configuration.sha256
