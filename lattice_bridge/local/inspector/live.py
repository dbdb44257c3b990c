"""A running stack as the inspector uses it: everything that a file does not have.

Rule: the start of the stack waits for what the inspector keeps from then on, and not for what a click needs: the first
click imports that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lattice_bridge.local.aws.event_bridge.buses import EventBuses
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from lattice_bridge.local.aws.lambda_service import LambdaService
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.stream import Stream
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.pool import EnvironmentPool
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.local.inspector.journal import Journal
from lattice_bridge.local.inspector.logs import Logs
from lattice_bridge.local.inspector.observer import Observers, StackObserver
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused

if TYPE_CHECKING:  # see above
    from lattice_bridge.local.inspector.copies import Signing
    from lattice_bridge.local.inspector.replay import Replayer
    from lattice_bridge.local.inspector.runs import QueueView


class Inspection:
    """What the inspector keeps while the stack runs.

    Attributes:
        timeline: of the requests and records.
        journal: takes what happens.
        capture: fills the timeline.
        logs: of the environments.
    """

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.logs = Logs()
        self.journal = Journal(self.timeline, self.logs)
        self.capture = self.journal.capture

    def observing(self, log: StackObserver) -> StackObserver:
        """What the parts of the stack report to: the log, and the inspector."""
        return Observers(log, self.journal)


class Maps(NamedTuple):
    """The active maps.

    Attributes:
        configurations: of the bridges.
        since: when they were loaded, in seconds since the epoch.
        refused: the faults of changed ones that were refused, by the names of their bridges.
    """

    configurations: tuple[BridgeConfiguration, ...]
    since: float
    refused: Mapping[str, tuple[str, ...]]


class Parts(NamedTuple):
    """The parts of the stack that are shown, or to which something is sent again. What `--reload` replaces is a
    function that returns it.

    Attributes:
        front: the front's URL.
        aws: the URL of the AWS endpoint.
        region: for which requests are signed.
        identities: those that may sign, by access key.
        maps: the active ones.
        service: invokes functions.
        queues, streams, buses: of the AWS endpoint.
        environments: the pool.
        every_stream: those of Kinesis and of tables.
        positions: see `runs.streams`.
        example: see `server.Live`.
    """

    front: str
    aws: str
    region: str
    identities: Callable[[], Mapping[str, Identity]]
    maps: Callable[[], Maps]
    service: LambdaService
    queues: Queues
    streams: KinesisStreams
    buses: EventBuses
    environments: EnvironmentPool
    every_stream: Callable[[], Iterable[Stream]]
    positions: Callable[[str], list[dict[str, int]]]
    example: Callable[[], str | None] = lambda: None

    @property
    def port(self) -> int:
        """The port of the front."""
        return int(self.front.rpartition(":")[2])

    @property
    def header(self) -> str | None:
        """The header that asks for a tenant; None if no map has loaded."""
        loaded = (one.settings for one in self.maps().configurations if one.settings)
        return next((settings.tenant_map.rules.header for settings in loaded), None)


class RunningStack:
    """A running stack: what `server.Live` describes.

    Args:
        inspection: of the stack.
        parts: of the stack.
    """

    def __init__(self, inspection: Inspection, parts: Parts) -> None:
        self.front = parts.front
        self.aws = parts.aws
        self.example = parts.example
        self._inspection = inspection
        self._parts = parts

    @cached_property
    def _replay(self) -> Replayer:
        from lattice_bridge.local.inspector.replay import Replayer

        return Replayer(self._inspection.timeline, self._inspection.capture, self._parts)

    @cached_property
    def _queues(self) -> QueueView:
        from lattice_bridge.local.inspector.runs import QueueView, quarantines_of

        return QueueView(self._parts.queues, lambda: quarantines_of(self._parts.maps().configurations))

    @property
    def identities(self) -> list[dict[str, str]]:
        """The identities that may sign: name and access key."""
        return [{"name": _name(one), "access_key": key} for key, one in self._parts.identities().items()]

    @property
    def header(self) -> str | None:
        """The header that asks for a tenant; None if no map has loaded."""
        return self._parts.header

    async def replay(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        """Sends an entry again. Returns the number of the new one."""
        return await self._replay(entry, changes)

    def curl(self, entry: Entry) -> Signing | None:
        """How the command for an entry signs; None for one that is not signed, or whose identity is gone."""
        try:
            return self._replay.signing(entry)
        except Refused:
            return None

    async def runs(self, log: str = "") -> Mapping[str, Any]:
        """Everything that runs, with the last lines of one environment."""
        from lattice_bridge.local.inspector import runs

        self._inspection.journal.take_in()
        parts, maps, logs = self._parts, self._parts.maps(), self._inspection.logs
        active = await asyncio.to_thread(runs.maps, maps.configurations, maps.since, maps.refused)
        return {
            "environments": runs.environments(list(parts.environments), logs, log, time.monotonic()),
            "functions": runs.functions(parts.service.functions.values()),
            "map": active,
            "queues": self._queues.listed(),
            "streams": runs.streams(parts.every_stream(), parts.positions, time.time()),
        }

    def messages(self, queue: str, after: int) -> Mapping[str, Any]:
        """Messages of a queue."""
        return self._queues.messages(queue, after)

    def redrive(self, queue: str) -> Mapping[str, Any]:
        """Sends the messages of a dead-letter queue or a quarantine back."""
        return self._queues.redrive(queue)


def _name(identity: Identity) -> str:
    return identity.principal.name or identity.principal.account
