"""The local stack: starts every part, and stops every part.

Rule: everything that is started here is stopped here, in the reverse order, also if the start fails half way.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.local.aws import lambda_api, sts_api
from lattice_bridge.local.aws.access_keys import AccessKey, AccessKeys
from lattice_bridge.local.aws.async_invokes import RETRY_SECONDS, AsyncInvokes
from lattice_bridge.local.aws.dynamodb import api as dynamodb_api
from lattice_bridge.local.aws.dynamodb.tables import Tables, is_installed
from lattice_bridge.local.aws.endpoint import AwsEndpoint, AwsService
from lattice_bridge.local.aws.event_bridge import api as event_bridge_api
from lattice_bridge.local.aws.event_bridge.buses import EventBuses
from lattice_bridge.local.aws.event_bridge.deliveries import Deliveries
from lattice_bridge.local.aws.kinesis import api as kinesis_api
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from lattice_bridge.local.aws.lambda_service import LambdaService
from lattice_bridge.local.aws.sqs import api as sqs_api
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.stream import Stream
from lattice_bridge.local.code.bytecode import compile_packages
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.environments.environment import SharedSettings
from lattice_bridge.local.environments.external import ExternalFunctions
from lattice_bridge.local.environments.launcher import TMP
from lattice_bridge.local.environments.pool import EnvironmentPool, watch
from lattice_bridge.local.environments.processes import (
    adopt_orphans,
    kill_children,
    kill_left_behind,
    kill_marked,
    stack_mark,
)
from lattice_bridge.local.environments.runtime_packages import installed
from lattice_bridge.local.environments.storage import Storage, stack_folder
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.front.front import Front
from lattice_bridge.local.inspector.observer import StackObserver
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.served import Active, AwsResources, Preparation, Served, names_of
from lattice_bridge.local.sources.destination_buses import DestinationBuses
from lattice_bridge.local.sources.destinations import Destinations
from lattice_bridge.local.sources.event_sources import EventSources
from lattice_bridge.local.sources.template_buses import TemplateBuses
from lattice_bridge.local.sources.template_queues import TemplateQueues
from lattice_bridge.local.sources.template_streams import TemplateStreams
from lattice_bridge.local.sources.template_tables import TemplateTables
from lattice_bridge.local.web.incoming import Application, IncomingRequest
from lattice_bridge.local.web.server import HOST, HttpServer, PortTaken

if TYPE_CHECKING:  # without the option, nothing of it is imported
    from lattice_bridge.local.inspector.live import Inspection

AWS_PORT: Final = 9001
"""The default port of the AWS endpoint, so that clients can be configured once."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a stack.

    Attributes:
        port: of the front; 0 for a free one.
        aws_port: of the AWS endpoint; 0 for a free one, None for AWS_PORT or, if that is in use, a free one.
        max_environments: the highest number of environments, busy or idle.
        idle_seconds: after which an idle environment is ended.
        reload: whether environments restart after their code has changed, and a changed definition is served.
        record: the folder into which requests are recorded; None for no recording.
        async_retry: seconds before the second try of an asynchronous invocation whose function failed.
        own_credentials: returns a person's AWS credentials, for functions; None if no function gets them.
        inspect: the port of the inspector, or a free one if that is in use; 0 for a free one, None for no inspector.
        example: makes a command that sends a request, for a stack without any, of the definition, the front's URL and
            that of the AWS endpoint; None if the definition allows no request.
    """

    port: int = 8080
    aws_port: int | None = None
    max_environments: int = 64
    idle_seconds: float = 600.0
    reload: bool = False
    record: Path | None = None
    async_retry: float = RETRY_SECONDS
    own_credentials: Callable[[], AccessKey] | None = None
    inspect: int | None = None
    example: Callable[[Definition, str, str], str | None] = lambda _definition, _front, _aws: None


@dataclass(slots=True)
class Stack:
    """A running stack.

    Attributes:
        front_url: of the front.
        aws_url: of the AWS endpoint, for `--endpoint-url` and AWS_ENDPOINT_URL.
        environments: the pool of execution environments.
        inspector_url: of the inspector, with its token; None without one.
    """

    front_url: str
    aws_url: str
    environments: EnvironmentPool = field(repr=False)
    inspector_url: str | None = field(default=None, repr=False)


@asynccontextmanager
async def serve(
    definition: Definition, options: Options, log: LogWriter, read: Callable[[], Definition] | None = None
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
    inspection = _inspection(options)
    adopt_orphans()
    await asyncio.to_thread(kill_left_behind)
    async with AsyncExitStack() as started:
        folder = await started.enter_async_context(stack_folder())
        endpoint = await _start_aws_endpoint(started, options.aws_port, log)
        preparation = Preparation(folder, endpoint.url, log)
        plan = (await preparation.ready(definition.plan)).plan
        storage = Storage(folder, plan)
        observer: StackObserver = log if inspection is None else inspection.observing(log)
        functions = await _start_functions(started, plan, storage, options, endpoint, log, observer)
        front, names = Front(plan, functions.service, definition.identities, observer, recorder), names_of(plan)
        server = await HttpServer.start(front, options.port, names=names)
        started.push_async_callback(server.stop)
        await functions.stores.load(plan)
        (aws := _aws_resources(started, functions, observer)).replace(plan, definition.endpoint_keys)
        runs, active = (functions.environments, functions.service), Active(definition)
        served = Served(preparation, storage, *runs, front, names, aws, log, active)
        started.push_async_callback(_cancel, [asyncio.create_task(served.follow(read if options.reload else None))])
        stack = Stack(f"http://{HOST}:{server.port}", endpoint.url, functions.environments)
        if inspection is not None:
            await _start_inspector(started, inspection, stack, functions, served, options)
        yield stack


@dataclass(frozen=True, slots=True)
class _Stores:
    """What clients of the AWS endpoint store.

    Attributes:
        queues: of SQS.
        streams: of Kinesis.
        tables: of DynamoDB.
    """

    queues: Queues
    streams: KinesisStreams
    tables: Tables

    @classmethod
    def of(cls, region: str) -> _Stores:
        """Empty ones."""
        return cls(Queues(region, ACCOUNT), KinesisStreams(region, ACCOUNT), Tables(region, ACCOUNT))

    def services(self, url: str) -> dict[str, AwsService]:
        """Their services at the endpoint, by the names with which clients sign."""
        return {
            sqs_api.SERVICE: sqs_api.sqs_api(self.queues, url),
            kinesis_api.SERVICE: kinesis_api.kinesis_api(self.streams),
            dynamodb_api.SERVICE: dynamodb_api.dynamodb_api(self.tables),
        }

    async def load(self, plan: Plan) -> None:
        """Imports what a plan needs beside the stack itself, so that the first request does not wait for it."""
        if plan.tables and is_installed():
            await asyncio.to_thread(self.tables.engine)

    def stream(self, arn: str) -> Stream | None:
        """The stream with an ARN, of Kinesis or of a table."""
        return self.streams.by_arn(arn) or self.tables.stream(arn)

    def every_stream(self) -> list[Stream]:
        """The streams of Kinesis and of the tables."""
        return [*self.streams, *self.tables.streams]

    def present(self) -> list[str]:
        """The services that have a queue, a stream or a table, as in `AWS_ENDPOINT_URL_SQS`."""
        tables = bool(self.tables)
        has = {"SQS": any(self.queues), "KINESIS": any(self.streams), "DYNAMODB": tables, "DYNAMODB_STREAMS": tables}
        return [name for name, is_present in has.items() if is_present]


@dataclass(frozen=True, slots=True)
class _Functions:
    """What runs the functions.

    Attributes:
        service: invokes them.
        environments: run them.
        stores: of the AWS endpoint.
        buses: of EventBridge, at the AWS endpoint.
        keys: the endpoint's.
    """

    service: LambdaService
    environments: EnvironmentPool
    stores: _Stores
    buses: TemplateBuses
    keys: AccessKeys


async def _start_functions(
    started: AsyncExitStack,
    plan: Plan,
    storage: Storage,
    options: Options,
    endpoint: _Endpoint,
    log: LogWriter,
    observer: StackObserver,
) -> _Functions:
    stack_id = f"{stack_mark(os.getpid())}{uuid.uuid4().hex}"
    started.push_async_callback(asyncio.to_thread, kill_children)
    started.push_async_callback(asyncio.to_thread, kill_marked, f"{stack_id}/")
    keys, stores = AccessKeys(options.own_credentials), _Stores.of(plan.region)
    shared = SharedSettings(
        stack_id,
        plan.region,
        lambda: keys.variables(endpoint.url, [*stores.present(), *template_buses.present()]),
        storage,
        observer.function_output,
    )
    environments = EnvironmentPool(shared, limit=options.max_environments, idle_seconds=options.idle_seconds)
    external = ExternalFunctions(observer.function_output)
    service = LambdaService(plan.functions, plan.region, environments, external, observer)
    template_buses = TemplateBuses(buses := _event_buses(started, service, stores.queues, plan.region, observer))
    destinations = Destinations(stores.queues, service.invoke, DestinationBuses(buses))
    invoking, retry = (service.find, service.invoke, destinations), options.async_retry
    service.accept = (events := AsyncInvokes(*invoking, time.time, observer, retry_seconds=retry)).accept
    services = _services(service, stores, buses, endpoint.url)
    endpoint.app = AwsEndpoint(services, keys.known, plan.region, keys.identities)
    # The first two do not delay the first response, except that environments wait for the storage's test.
    running = (_prepare(storage, log), compile_packages(f"{stack_id}/0."), environments.reap(), buses.run())
    tasks = [asyncio.create_task(task) for task in running]
    if options.reload:
        watching = watch(lambda: service.functions.values(), environments, log.info, options.record)
        tasks.append(asyncio.create_task(watching))
    started.push_async_callback(environments.close)
    started.push_async_callback(_cancel, tasks)
    started.push_async_callback(events.close)
    started.callback(stores.queues.close)
    return _Functions(service, environments, stores, template_buses, keys)


def _services(service: LambdaService, stores: _Stores, buses: EventBuses, url: str) -> dict[str, AwsService]:
    """Those of the endpoint, by the names with which clients sign."""
    return {
        lambda_api.SERVICE: lambda_api.lambda_api(service),
        **stores.services(url),
        event_bridge_api.SERVICE: event_bridge_api.event_bridge_api(buses),
        sts_api.SERVICE: sts_api.sts_api(),
    }


def _event_buses(
    started: AsyncExitStack, service: LambdaService, queues: Queues, region: str, observer: StackObserver
) -> EventBuses:
    """The buses of EventBridge, without any rule yet."""
    deliveries = Deliveries(service.invoke, queues, time.time, observer)
    started.callback(deliveries.report_waiting)
    return EventBuses(region, ACCOUNT, deliveries, observer)


def _aws_resources(started: AsyncExitStack, functions: _Functions, observer: StackObserver) -> AwsResources:
    """The keys, the stores and the mappings of a definition, without any resource yet."""
    stores = functions.stores
    sources = EventSources(stores.queues, stores.stream, functions.service.invoke, time.time, observer)
    started.push_async_callback(sources.close)
    queues, streams = TemplateQueues(stores.queues), TemplateStreams(stores.streams)
    return AwsResources(functions.keys, queues, streams, sources, TemplateTables(stores.tables), functions.buses)


def _inspection(options: Options) -> Inspection | None:
    """What the inspector keeps from the start on; None without one."""
    if options.inspect is None:
        return None
    from lattice_bridge.local.inspector.live import Inspection

    return Inspection()


async def _start_inspector(
    started: AsyncExitStack,
    inspection: Inspection,
    stack: Stack,
    functions: _Functions,
    served: Served,
    options: Options,
) -> None:
    """Starts the inspector's server, on a port or, if that is in use, on a free one."""
    from lattice_bridge.local.inspector.decision import decide
    from lattice_bridge.local.inspector.live import Maps, Parts, RunningStack
    from lattice_bridge.local.inspector.server import Inspector

    stores, active = functions.stores, served.active
    inspection.journal.configurations = lambda: active.definition.configurations

    def maps() -> Maps:
        return Maps(active.definition.configurations, active.since, active.refused)

    def first_command() -> str | None:
        return options.example(active.definition, stack.front_url, stack.aws_url)

    parts = Parts(
        *(stack.front_url, stack.aws_url, served.front.plan.region, lambda: served.front.identities, maps),
        *(functions.service, stores.queues, stores.streams, functions.buses.buses, functions.environments),
        *(stores.every_stream, served.aws.sources.positions, first_command),
    )
    live = RunningStack(inspection, parts)
    title = active.definition.sources[0].name
    inspector = Inspector(inspection.timeline, decide, title, live)
    try:
        server = await inspector.start(options.inspect or 0)
    except PortTaken:
        server = await inspector.start(0)
        served.log.info(f"Port {options.inspect} is in use: the inspector listens on port {server.port} instead.")
    started.push_async_callback(server.stop)
    stack.inspector_url = inspector.url


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


class _Endpoint:
    """The AWS endpoint, an application that is set after its server has started.

    Every environment, and every URL of a queue, has its port. So it starts before there are any, and no client knows it
    before it is set.

    Attributes:
        url: of the endpoint.
        app: that serves it.
    """

    url = ""
    app: Application | None = None

    async def __call__(self, request: IncomingRequest) -> None:
        assert self.app is not None
        await self.app(request)


async def _start_aws_endpoint(started: AsyncExitStack, port: int | None, log: LogWriter) -> _Endpoint:
    endpoint = _Endpoint()
    try:
        server = await HttpServer.start(endpoint, AWS_PORT if port is None else port)
    except PortTaken:
        if port is not None:
            raise
        server = await HttpServer.start(endpoint)
        log.info(f"Port {AWS_PORT} is in use: the AWS endpoint listens on port {server.port} instead.")
    started.push_async_callback(server.stop)
    endpoint.url = f"http://{HOST}:{server.port}"
    return endpoint


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
