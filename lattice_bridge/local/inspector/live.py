"""A running stack as the inspector uses it: everything that a file does not have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lattice_bridge.local.aws.stream import Stream
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.pool import EnvironmentPool
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.inspector import runs
from lattice_bridge.local.inspector.capture import Capture
from lattice_bridge.local.inspector.copies import Signing
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.local.inspector.observer import Observers, StackObserver
from lattice_bridge.local.inspector.replay import Replay, Targets
from lattice_bridge.local.inspector.runs import LogTails, QueueView
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused


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
        self.replay = Replay(inspection.timeline, inspection.capture, targets)
        self._targets = targets
        self._environments = environments
        self._tails = inspection.tails
        self._maps = maps
        self._streams = streams
        self._positions = positions
        self._queues = QueueView(targets.queues, lambda: runs.quarantines_of(maps().configurations))

    @property
    def identities(self) -> list[dict[str, str]]:
        """The identities that may sign: name and access key."""
        return [{"name": _name(one), "access_key": key} for key, one in self._targets.identities().items()]

    @property
    def header(self) -> str | None:
        """The header that asks for a tenant; None if no map has loaded."""
        return self._targets.header()

    def curl(self, entry: Entry) -> Signing | None:
        """How the command for an entry signs; None for one that is not signed, or whose identity is gone."""
        try:
            return self.replay.signing(entry)
        except Refused:
            return None

    async def runs(self) -> Mapping[str, Any]:
        """Everything that runs."""
        maps = self._maps()
        return {
            "environments": runs.environments(list(self._environments), self._tails, time.monotonic()),
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
