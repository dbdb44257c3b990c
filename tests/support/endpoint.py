"""An AWS endpoint without a stack, in another thread, so that blocking clients can call it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config

from lattice_bridge.local.aws.access_keys import AccessKey, AccessKeys
from lattice_bridge.local.aws.endpoint import AwsEndpoint, AwsService
from lattice_bridge.local.web.incoming import IncomingRequest
from lattice_bridge.local.web.server import HttpServer

REGION: Final = "us-east-1"
BLUE: Final = AccessKey("LOCALBLUE", "blue", user_id="AROABLUE0000000000000:local")
IDENTITIES: Final = {BLUE.access_key: BLUE, "local": AccessKey("local", "another")}
"""May sign for some services. None replaces a key of the stack."""


@contextmanager
def endpoint(services: Callable[[str], Mapping[str, AwsService]]) -> Iterator[str]:
    """Serves services, and gives the URL.

    Args:
        services: makes them, by the names with which their clients sign, from the URL.
    """
    loop, started = asyncio.new_event_loop(), threading.Event()
    urls: list[str] = []

    async def start() -> HttpServer:
        async def app(request: IncomingRequest) -> None:
            await served(request)

        server = await HttpServer.start(app)
        urls.append(f"http://127.0.0.1:{server.port}")
        served = AwsEndpoint(services(urls[0]), AccessKeys().known, REGION, IDENTITIES)
        started.set()
        return server

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(20)
    yield urls[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def client(url: str, service: str, *keys: str, **config: Any) -> Any:
    """A boto3 client that repeats no request."""
    return _session(*(keys or ("local", "local"))).client(
        service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}, **config)
    )


@cache
def _session(*keys: str) -> boto3.session.Session:
    """A session reads the model of a service once, which takes a quarter of a second."""
    return boto3.session.Session(*keys, region_name=REGION)
