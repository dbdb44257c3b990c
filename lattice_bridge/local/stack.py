"""Starts the local stack, and stops all of it.

Rule: whatever is started here is stopped here, in the reverse order, also when the start failed half way.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from lattice_bridge.local.console import Console
from lattice_bridge.local.environment import Surroundings
from lattice_bridge.local.environments import Environments
from lattice_bridge.local.front import Front
from lattice_bridge.local.identities import Identity
from lattice_bridge.local.lambda_api import lambda_api
from lattice_bridge.local.plan import Plan
from lattice_bridge.local.processes import adopt_orphans, kill_children, kill_left_behind, kill_marked
from lattice_bridge.local.reload import watch
from lattice_bridge.local.server import HOST, LoopbackServer
from lattice_bridge.local.service import LambdaService


@dataclass(frozen=True, slots=True)
class Options:
    """How a plan is served.

    Attributes:
        port: of the front; 0 for a free one.
        lambda_port: of the Lambda API; 0 for a free one.
        max_environments: at once, busy or idle.
        idle_seconds: after which an idle environment is ended.
        reload: restart environments whose code changed.
    """

    port: int = 8080
    lambda_port: int = 9001
    max_environments: int = 64
    idle_seconds: float = 600.0
    reload: bool = False


@dataclass(slots=True)
class Stack:
    """A running stack.

    Attributes:
        front_url: of the front.
        lambda_url: for `--endpoint-url` and AWS_ENDPOINT_URL_LAMBDA.
        environments: for a look at what runs.
    """

    front_url: str
    lambda_url: str
    environments: Environments = field(repr=False)


@asynccontextmanager
async def serve(
    plan: Plan, identities: Mapping[str, Identity], options: Options, console: Console
) -> AsyncIterator[Stack]:
    """The stack, as long as the context lasts.

    Raises:
        PortTaken: one of the ports is in use.
    """
    stack_id = f"{os.getpid()}.{uuid.uuid4().hex}"
    adopt_orphans()
    await asyncio.to_thread(kill_left_behind)
    async with AsyncExitStack() as started:
        started.push_async_callback(asyncio.to_thread, kill_children)
        started.push_async_callback(asyncio.to_thread, kill_marked, f"{stack_id}/")
        # The Lambda API's port goes into every environment, so it has to be known before the service can be made.
        gate = _Gate()
        api_server = await _start(started, gate, options.lambda_port)
        around = Surroundings(stack_id, f"http://{HOST}:{api_server.port}", plan.region, console.function)
        environments = Environments(around, limit=options.max_environments, idle_seconds=options.idle_seconds)
        service = LambdaService(plan.functions, plan.region, environments, console)
        gate.app = lambda_api(service, plan.region)
        tasks = [asyncio.create_task(environments.reap()), asyncio.create_task(service.work())]
        if options.reload:
            tasks.append(asyncio.create_task(watch(plan.functions.values(), environments, console)))
        started.push_async_callback(environments.close)
        started.push_async_callback(_cancel, tasks)
        started.callback(service.report_waiting)
        front = Front(plan, service, identities, console)
        front_server = await _start(started, front, options.port)
        yield Stack(f"http://{HOST}:{front_server.port}", around.lambda_endpoint, environments)


class _Gate:
    """An ASGI application that is put in place after its port is known, and before anybody knows the port."""

    app: object = None

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        assert callable(self.app)
        await self.app(scope, receive, send)


async def _start(started: AsyncExitStack, app: object, port: int) -> LoopbackServer:
    server = await LoopbackServer.start(app, port)
    started.push_async_callback(server.stop)
    return server


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
