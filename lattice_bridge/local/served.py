"""The definition that a stack serves: makes it ready to run, and replaces it after its files have changed.

Rule: a new template, map or list of identities is active as a whole, or the old one stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lattice_bridge.local.aws.access_keys import AccessKey, AccessKeys
from lattice_bridge.local.aws.lambda_service import LambdaService
from lattice_bridge.local.bridge.trust import LocalTrust, TrustedPlan
from lattice_bridge.local.code.code_folders import CodeFolders
from lattice_bridge.local.code.code_zip import BadArchive
from lattice_bridge.local.definition import Definition, DoesNotLoad, MapDoesNotLoad
from lattice_bridge.local.environments.pool import EnvironmentPool, counted
from lattice_bridge.local.environments.storage import SHARED, Storage
from lattice_bridge.local.front.front import Front
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.sources.event_sources import EventSources
from lattice_bridge.local.sources.template_buses import TemplateBuses
from lattice_bridge.local.sources.template_queues import TemplateQueues
from lattice_bridge.local.sources.template_streams import TemplateStreams
from lattice_bridge.local.sources.template_tables import TemplateTables

FOLLOW_SECONDS: Final = 1.0
"""Seconds between two checks whether a file of the definition has changed."""


class Preparation:
    """Makes plans ready to run, in a stack's folder: with all code in folders, bridges that trust the local key, and
    variables that have the local URLs of queues."""

    def __init__(self, folder: Path, aws_url: str, log: LogWriter) -> None:
        self._aws_url = aws_url
        self._folders = CodeFolders(folder)
        self._trust = LocalTrust(folder / SHARED, log)

    @property
    def is_due(self) -> bool:
        """Whether the plan should be made ready again, because keys of an issuer may have changed."""
        return self._trust.is_due

    async def ready(self, plan: Plan) -> TrustedPlan:
        """A plan that can run.

        Raises:
            BadArchive: the zip of a function cannot be unpacked.
        """
        return await self._trust.applied(
            await asyncio.to_thread(self._folders.made, with_local_urls(plan, self._aws_url))
        )


@dataclass(frozen=True, slots=True)
class AwsResources:
    """What the AWS endpoint has of the definition.

    Attributes:
        keys: that may sign.
        queues, streams, tables: of the template.
        sources: the mappings that poll the queues and read the streams.
        buses: of the template, with their rules.
    """

    keys: AccessKeys
    queues: TemplateQueues
    streams: TemplateStreams
    sources: EventSources
    tables: TemplateTables
    buses: TemplateBuses

    def replace(self, plan: Plan, keys: Mapping[str, AccessKey]) -> None:
        """Accepts these keys, makes the resources of a plan, and runs its mappings from now on."""
        self.keys.set_identities(keys)
        self.queues.replace(plan.queues)
        self.streams.replace(plan.streams)
        self.tables.replace(plan.tables)
        self.sources.replace((*plan.mappings, *plan.stream_mappings))
        self.buses.replace(plan.event_buses, plan.event_rules)


@dataclass(slots=True)
class Active:
    """The definition that is served now.

    Attributes:
        definition: as it was read.
        since: seconds since the epoch.
        refused: the faults of changed maps that were refused, by the names of their bridges.
    """

    definition: Definition
    since: float = field(default_factory=time.time)
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """Everything that serves the definition, and has to be replaced with it.

    Attributes:
        preparation: makes the new plan ready.
        storage: of the environments.
        environments: restart if their function has changed.
        service: invokes the functions.
        front: has the routes and the identities.
        names: the host names that the front's server admits.
        aws: the keys, the queues, the streams, the tables and the mappings of the AWS endpoint.
        log: for the developer.
        active: the definition.
    """

    preparation: Preparation
    storage: Storage
    environments: EnvironmentPool
    service: LambdaService
    front: Front
    names: set[str]
    aws: AwsResources
    log: LogWriter
    active: Active

    async def follow(self, read: Callable[[], Definition] | None) -> None:
        """Replaces the definition after its files have changed, until cancelled.

        Without `read`, only the bridges' copies of their configurations follow (`bridge.trust`), as bridges follow
        their configuration without the stack.
        """
        definition = self.active.definition
        active = seen = _states(definition.files)
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            now = _states(active)
            # A file that has just changed may be half written.
            changed = [path for path in now if now[path] != active[path]] if now == seen else []
            seen = now
            if not changed and not self.preparation.is_due:
                continue
            active = now if changed else active
            try:
                found = await asyncio.to_thread(read) if changed and read else definition
                count = await self.replace(found)
            except DoesNotLoad as error:
                active = _extended(active, (*definition.files, *error.files))  # before a person is asked to change one
                self.active.refused = error.faults if isinstance(error, MapDoesNotLoad) else {}
                text = f"changed: {_listed(changed)}; it does not load, so {error.consequence}: {error}"
                for line in text.splitlines():  # pip's messages have several
                    self.log.warning(line)
                continue
            definition, active = found, _extended(active, found.files)
            if changed and read:
                restarts = f"; {counted(count)} will restart" if count else ""
                self.log.info(f"changed: {_listed(changed)}; active now{restarts}")

    async def replace(self, definition: Definition) -> int:
        """Serves another definition from now on. Returns the number of environments that restart.

        Raises:
            DoesNotLoad: it cannot be made ready. The old one stays.
        """
        try:
            plan, copied = await self.preparation.ready(definition.plan)
        except (BadArchive, OSError) as error:
            raise DoesNotLoad(str(error), definition.files) from error
        before = self.service.functions
        stale = {name for name, function in before.items() if plan.functions.get(name) != function}
        self.storage.keep(plan)
        self.service.functions = plan.functions
        self.aws.replace(plan, definition.endpoint_keys)
        self.front.plan, self.front.identities = plan, definition.identities
        self.names.clear()
        self.names.update(names_of(plan))
        if definition is not self.active.definition:
            self.active.definition, self.active.since = definition, time.time()
        self.active.refused = {}
        return self.environments.mark_stale(stale | copied)


def with_local_urls(plan: Plan, aws_url: str) -> Plan:
    """The plan whose functions' variables have the URLs of the queues at the AWS endpoint: some SDKs send a request to
    the host of the queue's URL."""
    begins = {queue.address.removesuffix(queue.name): queue.path.removesuffix(queue.name) for queue in plan.queues}

    def local(value: str) -> str:
        for address, path in begins.items():
            value = value.replace(address, f"{aws_url}{path}")
        return value

    functions = {
        name: replace(function, environment={key: local(value) for key, value in function.environment.items()})
        for name, function in plan.functions.items()
    }
    return replace(plan, functions=functions)


def names_of(plan: Plan) -> set[str]:
    """The host names of a plan's ways in."""
    return {name for way in plan.ways_in for name in way.names}


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files) or "keys of an issuer"


def _states(files: Iterable[Path]) -> dict[Path, object]:
    """What changes with a file, by its path."""
    return {path: _state(path) for path in files}


def _extended(active: Mapping[Path, object], files: Iterable[Path]) -> dict[Path, object]:
    """The states of these files when they were read: those that are known, and now for the others."""
    return {path: active[path] if path in active else _state(path) for path in files}


def _state(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
