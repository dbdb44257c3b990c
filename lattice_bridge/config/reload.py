"""A handler that keeps up with its configuration.

Rule: the last good configuration stays in force, whole, until another good one replaces it, whole. A request is served
by one of them from its beginning to its end. What is wrong with a new one is said at every look, so that an alarm stays
on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.stores import Source
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.runtime.process import after_fork, elapsed, in_background, is_past

CLOSED_REFRESH: Final = 5.0
"""Seconds between two looks while there is no configuration to serve with."""

OVERDUE: Final = 3
"""Times `refresh` after which a look is not left to a thread: only an environment that was idle comes so late. It would
serve its next requests with a map that is hours old, and a thread may not get far between them."""

_ANOTHER: Final = '"another"'
"""A version that no text has, for reading one again. None would be a first reading, which takes half a file as well."""

Handler = Callable[[object, object], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration that serves.

    Attributes:
        handler: serves with it.
        sha256: of its text.
        refresh: seconds between two looks for another.
    """

    handler: Handler
    sha256: str
    refresh: float


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the source came to, for the log.

    Attributes:
        before, after: the sha256 of what was in force, and is.
        refusal: why nothing new is, though it should be.
    """

    before: str | None
    after: str | None
    refusal: BridgeError | None = None


class Following:
    """Serves with the configuration that `source` holds, and looks for another beside a request. For any number of
    threads. It looks during a request if it has nothing to serve with, or is long overdue.

    Args:
        source: where the configuration's text is.
        build: what serves with a text, given what it replaces. Raises for a text that cannot serve.
        closed: what serves when nothing can.
        report: takes a look at the source that changed something, or that failed. The first of all changes nothing.
        clock: seconds; may jump.
        start: runs a look beside the request.
    """

    def __init__(
        self,
        source: Source,
        build: Callable[[str, InForce | None], InForce],
        closed: Callable[[BridgeError], Handler],
        report: Callable[[Look], None],
        *,
        clock: Callable[[], float] = elapsed,
        start: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        self._source = source
        self._build = build
        self._closed = closed
        self._report = report
        self._clock = clock
        self._start = start
        self._lock = threading.Lock()
        self._looking = False
        self._looked: float | None = None
        self._complained: float | None = None
        self._was_closed = False
        self._version: str | None = None
        self._rejected: tuple[str, BridgeError] | None = None
        after_fork(self._forget_look)
        self._serving: Handler = closed(InvalidMap(["not loaded yet"]))
        self.in_force: InForce | None = None
        self._look_when_due()

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """One request."""
        self._look_when_due()
        return self._serving(event, context)

    def _forget_look(self) -> None:
        self._lock, self._looking = threading.Lock(), False

    # ---- when -------------------------------------------------------------------------------------------------------

    def _look_when_due(self) -> None:
        now, in_force = self._clock(), self.in_force
        refresh = in_force.refresh if in_force else CLOSED_REFRESH
        with self._lock:
            if not is_past(self._looked, now, refresh):
                return
            overdue = is_past(self._looked, now, OVERDUE * refresh)
            hangs = self._looking and overdue and is_past(self._complained, now, refresh)
            if hangs:
                self._complained = now
            is_ours = not self._looking
            if is_ours:
                self._looking, self._looked = True, now
        if hangs:
            refusal = Unavailable("config_unreachable", "a look at the configuration has not come to an end")
            self._report(Look(_sha256(in_force), _sha256(in_force), refusal))
        if is_ours and (in_force is None or overdue):
            self._look()
        elif is_ours:
            self._look_aside()

    def _look_aside(self) -> None:
        try:
            self._start(self._look)
        except Exception:  # no more threads, no more memory: the next time then
            self._looking = False

    # ---- what -------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        before = self.in_force
        try:
            refusal = self._replace(before)
        except Exception as error:
            refusal = error if isinstance(error, BridgeError) else InvalidMap([f"{type(error).__name__}: {error}"])
        after = self.in_force
        if refusal is not None and after is None:
            self._serving = self._closed(refusal)
        is_first = before is None and not self._was_closed
        self._was_closed = after is None
        self._looking = False
        if refusal is not None or (after is not before and not is_first):
            self._report(Look(_sha256(before), _sha256(after), refusal))

    def _replace(self, before: InForce | None) -> BridgeError | None:
        """Puts a new text in force, if there is one; returns what is wrong with the newest."""
        # One that was refused is read again: what it names, a file with keys, may have been mended since.
        found = self._source.read(_ANOTHER if self._rejected else self._version)
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
            self._rejected = (sha256, error)
            return error
        except Exception:  # not the text's fault: it is built anew at the next look
            self._version = None if before is None else _ANOTHER
            raise
        self.in_force, self._serving = after, after.handler
        return None


def _sha256(in_force: InForce | None) -> str | None:
    return None if in_force is None else in_force.sha256
