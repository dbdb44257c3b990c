"""The Runtime API of one environment, called as its server calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from lattice_bridge.local.environments.runtime_api import RESPONSE_LIMIT, Invocation, RuntimeApi
from lattice_bridge.local.web.admission import Address
from lattice_bridge.local.web.incoming import IncomingRequest

INVOCATION = Invocation("id", b"{}", "arn:orders", "blue")
DEADLINE = 1_750_000_000_000


class Connection:
    """A connection of the process, or of another one.

    Attributes:
        sent: the responses: status, headers and body.
        client, server: as `IncomingRequest` reads them.
    """

    def __init__(self, *, own: bool = True) -> None:
        self.own = own
        self.is_gone = False
        self.sent: list[tuple[int, dict[bytes, bytes], bytes]] = []
        self.client = self
        self.server = self
        self.transport = self

    def is_closing(self) -> bool:
        return self.is_gone

    def send(self, _request: Any, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.sent.append((status, dict(headers), body))


class Api:
    """A Runtime API whose connections are checked by a fake.

    Attributes:
        admits: a check waits for it; None for none.
    """

    admits: asyncio.Event | None = None

    def __init__(self) -> None:
        self.checks: list[Any] = []
        self.progress: list[tuple[bool, bool]] = []
        self.runtime = RuntimeApi(self._admits, self._progressed)

    def _progressed(self, response: Any) -> None:
        self.progress.append((response.done(), self.runtime.ready.done()))

    async def _admits(self, client: Any, _server: Any) -> bool:
        self.checks.append(client)
        if self.admits is not None:
            await self.admits.wait()
        return bool(client.own)

    async def send(
        self, connection: Connection, method: str, path: str, body: bytes | None = b""
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Sends a request. Returns the status, the headers and the body; status 0 without a response."""
        connection.sent.clear()
        request = IncomingRequest(
            connection,  # type: ignore[arg-type] # what is used of it
            method,
            target := f"/2018-06-01/runtime{path}",
            "1.1",
            [],
            [],
            keep_alive=True,
            expects_continue=False,
        )
        request.address = Address(target, "localhost", "localhost")
        self.runtime.app.handler(request, body)
        await asyncio.sleep(0.001)  # a connection's first request is answered by a task
        return connection.sent[0] if connection.sent else (0, {}, b"")


def test_invocation_is_handed_out_and_its_response_taken() -> None:
    async def run() -> None:
        api, own = Api(), Connection()
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        status, headers, body = await api.send(own, "GET", "/invocation/next")
        assert (status, body, headers[b"content-type"]) == (200, b"{}", b"application/json")
        assert headers[b"lambda-runtime-aws-tenant-id"] == b"blue"
        assert headers[b"lambda-runtime-deadline-ms"] == str(DEADLINE).encode()
        assert (await api.send(own, "POST", "/invocation/id/response", b"[1]"))[0] == 202
        assert (response.result().payload, response.result().failed) == (b"[1]", False)

    asyncio.run(run())


def test_progress_is_reported_after_the_response_and_after_the_request_for_the_next_invocation() -> None:
    async def run() -> None:
        api, own = Api(), Connection()
        for _ in range(2):
            api.runtime.dispatch(INVOCATION, DEADLINE)
            await api.send(own, "GET", "/invocation/next")
            await api.send(own, "POST", "/invocation/id/response", b"{}")
        assert api.progress == [(False, True), (True, True)] * 2

    asyncio.run(run())


def test_connection_is_checked_once_and_each_new_one_is_checked() -> None:
    """Trap G8: a process that is not the environment's own gets no event, whatever port or address it has."""

    async def run() -> None:
        api, own, other = Api(), Connection(), Connection(own=False)
        for _ in range(2):
            api.runtime.dispatch(INVOCATION, DEADLINE)
            assert (await api.send(own, "GET", "/invocation/next"))[0] == 200
        assert (await api.send(other, "GET", "/invocation/next"))[0] == 403
        assert (await api.send(other, "POST", "/invocation/id/response", b"{}"))[0] == 403
        assert api.checks == [own, other, other]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/invocation/other/response", 400),
        ("POST", "/invocation/id/other", 404),
        ("GET", "/invocation/id/response", 404),
        ("POST", "/invocation/next", 404),
        ("GET", "/", 404),
    ],
)
def test_request_that_is_not_one_of_the_current_invocation_is_refused(method: str, path: str, status: int) -> None:
    async def run() -> None:
        api = Api()
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        assert (await api.send(Connection(), method, path, b"{}"))[0] == status
        assert not response.done()

    asyncio.run(run())


def test_error_of_a_function_and_a_response_over_the_limit_are_failures() -> None:
    async def run() -> None:
        api = Api()
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        await api.send(Connection(), "POST", "/invocation/id/error", b"{}")
        assert response.result().failed
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        status, _, _ = await api.send(Connection(), "POST", "/invocation/id/response", None)
        assert (status, response.result().failed) == (413, True)
        assert b"Function.ResponseSizeTooLarge" in response.result().payload

    asyncio.run(run())


def test_limit_of_a_response_is_that_of_lambda() -> None:
    async def run() -> None:
        assert Api().runtime.app.max_body == RESPONSE_LIMIT == 6 * 2**20 + 100

    asyncio.run(run())


def test_error_of_the_init_phase_is_kept_also_if_it_is_too_large() -> None:
    async def run() -> None:
        for body, kept in ((b'{"errorType": "ImportError"}', b"ImportError"), (None, b"Runtime.Unknown")):
            api = Api()
            assert (await api.send(Connection(), "POST", "/init/error", body))[0] == 202
            assert kept in api.runtime.init_error.result()

    asyncio.run(run())


def test_invocation_waits_for_a_request_and_a_request_for_an_invocation() -> None:
    async def run() -> None:
        api, own = Api(), Connection()
        assert (await api.send(own, "GET", "/invocation/next"))[0] == 0
        api.runtime.dispatch(INVOCATION, DEADLINE)
        assert [status for status, _, _ in own.sent] == [200]

    asyncio.run(run())


def test_invocation_is_not_handed_to_a_client_that_has_gone() -> None:
    """A process that reconnects while it waits would lose its next invocation, which would then time out."""

    async def run() -> None:
        api, connections = Api(), [Connection() for _ in range(4)]
        for connection in connections:
            await api.send(connection, "GET", "/invocation/next")
            connections[0].is_gone = True
        connections[1].is_gone = True
        for _ in range(2):
            api.runtime.dispatch(INVOCATION, DEADLINE)
        assert [len(connection.sent) for connection in connections] == [0, 0, 1, 1]

    asyncio.run(run())


def test_end_answers_a_process_that_waits_and_one_that_asks_later() -> None:
    async def run() -> None:
        for asks_first in (True, False):
            api, own = Api(), Connection()
            if asks_first:
                await api.send(own, "GET", "/invocation/next")
            api.runtime.close()
            if not asks_first:
                await api.send(own, "GET", "/invocation/next")
            assert [status for status, _, _ in own.sent] == [410]

    asyncio.run(run())


def test_end_answers_a_request_whose_connection_is_being_checked() -> None:
    """It would keep its connection, and the server's stop would wait for it."""

    async def run() -> None:
        api, own = Api(), Connection()
        api.admits = asyncio.Event()
        assert (await api.send(own, "GET", "/invocation/next"))[0] == 0
        api.runtime.close()
        api.admits.set()
        await asyncio.sleep(0.001)
        assert [status for status, _, _ in own.sent] == [410]

    asyncio.run(run())
