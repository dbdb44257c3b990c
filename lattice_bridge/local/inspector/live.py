"""A running stack as the inspector uses it: everything that a file does not have.

Rule: the start of the stack waits for what the inspector keeps from then on, and not for what a click needs: that is
imported by `load`, or by the click itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lattice_bridge.local.aws.stream import Stream
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.pool import EnvironmentPool
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.inspector.capture import Capture
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.local.inspector.log_tails import LogTails
from lattice_bridge.local.inspector.observer import Observers, StackObserver
from lattice_bridge.local.inspector.targets import Targets
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused

if TYPE_CHECKING:  # see above
    from lattice_bridge.local.inspector.copies import Signing
    from lattice_bridge.local.inspector.replay import Replay
    from lattice_bridge.local.inspector.runs import QueueView


def load() -> None:
    """Imports what the first click needs. It may run in a thread."""
    from lattice_bridge.local.inspector import copies, detail, replay, runs  # noqa: F401 - see above


class Inspection:
    """What the inspector keeps while the stack runs.

    Attributes:
        timeline: of the requests and records.
        capture: fills it.
        tails: the output of the environments.
    """

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.capture = Capture(self.timeline)
        self.tails = LogTails()

    def observing(self, log: StackObserver) -> StackObserver:
        """What the parts of the stack report to: the log, and the inspector."""
        return Observers(log, self.capture, self.tails)


@dataclass(frozen=True, slots=True)
class Maps:
    """The active maps.

    Attributes:
        configurations: of the bridges.
        since: when they were loaded, in seconds since the epoch.
        faults: of changed files that were refused.
    """

    configurations: tuple[BridgeConfiguration, ...]
    since: float
    faults: tuple[str, ...]

    @property
    def header(self) -> str | None:
        """The header that asks for a tenant; None if no map has loaded."""
        loaded = (one.settings for one in self.configurations if one.settings)
        return next((settings.tenant_map.rules.header for settings in loaded), None)


class RunningStack:
    """A running stack: what `server.Live` describes.

    Args:
        aws: the URL of the AWS endpoint.
        inspection: of the stack.
        targets: to which entries are sent again.
        environments: the pool.
        maps: returns the active ones.
        streams: returns those of Kinesis and of tables.
        positions: see `runs.streams`.
    """

    def __init__(
        self,
        aws: str,
        inspection: Inspection,
        targets: Targets,
        environments: EnvironmentPool,
        maps: Callable[[], Maps],
        streams: Callable[[], Iterable[Stream]],
        positions: Callable[[str], list[dict[str, int]]],
    ) -> None:
        self.front = targets.front
        self.aws = aws
        self._inspection = inspection
        self._targets = targets
        self._environments = environments
        self._maps = maps
        self._streams = streams
        self._positions = positions

    @cached_property
    def _replay(self) -> Replay:
        from lattice_bridge.local.inspector.replay import Replay

        return Replay(self._inspection.timeline, self._inspection.capture, self._targets)

    @cached_property
    def _queues(self) -> QueueView:
        from lattice_bridge.local.inspector.runs import QueueView, quarantines_of

        return QueueView(self._targets.queues, lambda: quarantines_of(self._maps().configurations))

    @property
    def identities(self) -> list[dict[str, str]]:
        """The identities that may sign: name and access key."""
        return [{"name": _name(one), "access_key": key} for key, one in self._targets.identities().items()]

    @property
    def header(self) -> str | None:
        """The header that asks for a tenant; None if no map has loaded."""
        return self._targets.header()

    async def replay(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        """Sends an entry again. Returns the number of the new one."""
        return await self._replay(entry, changes)

    def curl(self, entry: Entry) -> Signing | None:
        """How the command for an entry signs; None for one that is not signed, or whose identity is gone."""
        try:
            return self._replay.signing(entry)
        except Refused:
            return None

    async def runs(self) -> Mapping[str, Any]:
        """Everything that runs."""
        from lattice_bridge.local.inspector import runs

        maps, tails = self._maps(), self._inspection.tails
        return {
            "environments": runs.environments(list(self._environments), tails, time.monotonic()),
            "functions": runs.functions(self._targets.service.functions.values()),
            "map": runs.maps(maps.configurations, maps.since, maps.faults),
            "queues": self._queues.listed(),
            "streams": runs.streams(self._streams(), self._positions),
        }

    def messages(self, queue: str, after: int) -> Mapping[str, Any]:
        """Messages of a queue."""
        return self._queues.messages(queue, after)

    def redrive(self, queue: str) -> int:
        """Sends the messages of a dead-letter queue or a quarantine back."""
        return self._queues.redrive(queue)


def _name(identity: Identity) -> str:
    return identity.principal.name or identity.principal.account
