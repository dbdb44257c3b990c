"""The local stack: starts every part, replaces what it serves, and stops every part.

Rule: everything that is started here is stopped here, in the reverse order, also if the start fails half way. A new
template, map or list of identities is active as a whole, or the old one stays.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lattice_bridge.local.aws.lambda_api import execution_role_variables, lambda_api
from lattice_bridge.local.aws.lambda_service import LambdaService
from lattice_bridge.local.bridge.trust import LocalTrust
from lattice_bridge.local.definition import Definition, DoesNotLoad
from lattice_bridge.local.environments.archive import BadArchive, Zips
from lattice_bridge.local.environments.environment import SharedSettings
from lattice_bridge.local.environments.installed import installed
from lattice_bridge.local.environments.launcher import TMP
from lattice_bridge.local.environments.packages import compile_packages
from lattice_bridge.local.environments.pool import EnvironmentPool, counted, watch
from lattice_bridge.local.environments.processes import (
    adopt_orphans,
    kill_children,
    kill_left_behind,
    kill_marked,
    stack_mark,
)
from lattice_bridge.local.environments.storage import Storage, stack_folder
from lattice_bridge.local.front.data_plane import LatticeDataPlane
from lattice_bridge.local.front.recorder import Recorder
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.web.server import HOST, Application, AsgiServer, PortTaken, Receive, Scope, Send

LAMBDA_PORT: Final = 9001
"""The default port of the Lambda API, so that clients can be configured once."""

FOLLOW_SECONDS: Final = 1.0
"""Seconds between two checks whether a file of the definition has changed."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a stack.

    Attributes:
        port: of the front; 0 for a free one.
        lambda_port: of the Lambda API; 0 for a free one, None for LAMBDA_PORT or, if that is in use, a free one.
        max_environments: the highest number of environments, busy or idle.
        idle_seconds: after which an idle environment is ended.
        reload: whether environments restart after their code has changed, and a changed definition is served.
        record: the folder into which requests are recorded; None for no recording.
    """

    port: int = 8080
    lambda_port: int | None = None
    max_environments: int = 64
    idle_seconds: float = 600.0
    reload: bool = False
    record: Path | None = None


@dataclass(slots=True)
class Stack:
    """A running stack.

    Attributes:
        front_url: of the front.
        lambda_url: for `--endpoint-url` and AWS_ENDPOINT_URL_LAMBDA.
        environments: the pool of execution environments.
    """

    front_url: str
    lambda_url: str
    environments: EnvironmentPool = field(repr=False)


@asynccontextmanager
async def serve(
    definition: Definition,
    options: Options,
    log: LogWriter,
    read: Callable[[], Definition] | None = None,
) -> AsyncIterator[Stack]:
    """Runs the stack, as long as the context lasts.

    Args:
        definition: of the start.
        options: of the stack.
        log: for the developer.
        read: with `reload`: reads the definition after one of its files has changed, as `reread` does, in a thread.

    Raises:
        PortTaken: one of the ports is in use.
        BadArchive: the zip of a function cannot be unpacked.
        BadRecording: requests cannot be recorded into the folder.
    """
    recorder = None if options.record is None else Recorder(options.record)
    stack_id = f"{stack_mark(os.getpid())}{uuid.uuid4().hex}"
    adopt_orphans()
    await asyncio.to_thread(kill_left_behind)
    async with AsyncExitStack() as started:
        folder = await started.enter_async_context(stack_folder())
        zips = Zips(folder)
        plan = await asyncio.to_thread(zips.unpacked, definition.plan)
        storage = Storage(folder, plan)
        trust = LocalTrust(storage.shared, log)
        plan = (await trust.applied(plan)).plan
        storage.keep(plan)
        started.push_async_callback(asyncio.to_thread, kill_children)
        started.push_async_callback(asyncio.to_thread, kill_marked, f"{stack_id}/")
        # Every environment gets the Lambda API's port, so the server starts before the service exists.
        late_app = _LateApplication()
        api_server = await _start_lambda_api(started, late_app, options.lambda_port, log)
        lambda_url = f"http://{HOST}:{api_server.port}"
        variables = execution_role_variables(lambda_url)
        shared = SharedSettings(stack_id, plan.region, variables, storage, log.function_output)
        environments = EnvironmentPool(shared, limit=options.max_environments, idle_seconds=options.idle_seconds)
        service = LambdaService(plan.functions, plan.region, environments, log.invoked)
        late_app.app = lambda_api(service, plan.region)
        # These tasks do not delay the first response, except that environments wait for the storage's test.
        preparing = (_prepare(storage, log), compile_packages(f"{stack_id}/0."))
        running = (*preparing, environments.reap(), service.work())
        tasks = [asyncio.create_task(task) for task in running]
        if options.reload:
            watching = watch(lambda: service.functions.values(), environments, log.info, options.record)
            tasks.append(asyncio.create_task(watching))
        started.push_async_callback(environments.close)
        started.push_async_callback(_cancel, tasks)
        started.callback(service.report_waiting)
        front = LatticeDataPlane(plan, service, definition.identities, log, recorder)
        names = _names(plan)
        front_server = await AsgiServer.start(front, options.port, names=names)
        started.push_async_callback(front_server.stop)
        served = _Served(zips, storage, environments, service, front, names, trust, log)
        tasks.append(asyncio.create_task(served.follow(definition, read if options.reload else None)))
        yield Stack(f"http://{HOST}:{front_server.port}", lambda_url, environments)


class _Served:
    """Everything that serves the definition, and has to be replaced with it."""

    def __init__(
        self,
        zips: Zips,
        storage: Storage,
        environments: EnvironmentPool,
        service: LambdaService,
        front: LatticeDataPlane,
        names: set[str],
        trust: LocalTrust,
        log: LogWriter,
    ) -> None:
        self._zips = zips
        self._storage = storage
        self._environments = environments
        self._service = service
        self._front = front
        self._names = names
        self._trust = trust
        self._log = log

    async def follow(self, definition: Definition, read: Callable[[], Definition] | None) -> None:
        """Replaces the definition after its files have changed, until cancelled.

        Without `read`, only the bridges' copies of their configurations follow (`bridge.trust`), as bridges follow
        their configuration without the stack.
        """
        active = seen = _states(definition.files)
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            now = _states(definition.files)
            # A file that has just changed may be half written.
            changed = [path for path in now if now[path] != active[path]] if now == seen else []
            seen = now
            if not changed and not self._trust.is_due:
                continue
            active = now if changed else active
            try:
                found = await asyncio.to_thread(read) if changed and read else definition
                count = await self._replace(found)
            except (DoesNotLoad, BadArchive, OSError) as error:
                text = f"changed: {_listed(changed)}; it does not load, so the old one stays active: {error}"
                for line in text.splitlines():  # pip's messages have several
                    self._log.warning(line)
                continue
            definition, active = found, {path: active.get(path, _state(path)) for path in found.files}
            if changed and read:
                restarts = f"; {counted(count)} will restart" if count else ""
                self._log.info(f"changed: {_listed(changed)}; active now{restarts}")

    async def _replace(self, definition: Definition) -> int:
        """Serves another definition from now on. Returns the number of environments that restart."""
        unpacked = await asyncio.to_thread(self._zips.unpacked, definition.plan)
        plan, copied = await self._trust.applied(unpacked)
        before = self._service.functions
        stale = {name for name, function in before.items() if plan.functions.get(name) != function}
        self._storage.keep(plan)
        self._service.functions = plan.functions
        self._front.plan, self._front.identities = plan, definition.identities
        self._names.clear()
        self._names.update(_names(plan))
        return self._environments.mark_stale(stale | copied)


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files) or "keys of an issuer"


def _names(plan: Plan) -> set[str]:
    return {name for service in plan.services for name in service.names}


def _states(files: Iterable[Path]) -> dict[Path, object]:
    """What changes with a file, by its path."""
    return {path: _state(path) for path in files}


def _state(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def _prepare(storage: Storage, log: LogWriter) -> None:
    finding = asyncio.to_thread(_find_installed)
    reason, _ = await asyncio.gather(storage.probe(), finding)
    if reason is not None:
        log.warning(
            f"Tenants share this machine's {TMP} here ({reason}). Each environment has a folder of its own as TMPDIR; "
            "every tenant can read files that a function writes elsewhere."
        )
    await storage.remove_left_behind()


def _find_installed() -> None:
    """Fills the cache, so that the first cold start does not wait for it."""
    for with_bridge in (True, False):
        installed(with_bridge=with_bridge)


class _LateApplication:
    """An ASGI application that is set after its server has started, and before any client knows the port."""

    app: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


async def _start_lambda_api(started: AsyncExitStack, app: Application, port: int | None, log: LogWriter) -> AsgiServer:
    try:
        server = await AsgiServer.start(app, LAMBDA_PORT if port is None else port)
    except PortTaken:
        if port is not None:
            raise
        server = await AsgiServer.start(app)
        log.info(f"Port {LAMBDA_PORT} is in use: the Lambda API listens on port {server.port} instead.")
    started.push_async_callback(server.stop)
    return server


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
