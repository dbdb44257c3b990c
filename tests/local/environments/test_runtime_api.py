"""The Runtime API of one environment, called as its server calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from lattice_bridge.local.environments.runtime_api import RESPONSE_LIMIT, Invocation, RuntimeApi
from lattice_bridge.local.web.http_protocol import CONNECTION, Body

INVOCATION = Invocation("id", b"{}", "arn:orders", "blue")
DEADLINE = 1_750_000_000_000


class Connection:
    """A connection of the process, or of another one."""

    def __init__(self, *, own: bool = True) -> None:
        self.own = own


class Api:
    """A Runtime API whose connections are checked by a fake."""

    def __init__(self) -> None:
        self.checks: list[Any] = []
        self.progress: list[tuple[bool, bool]] = []
        self.runtime = RuntimeApi(self._admits, self._progressed)

    def _progressed(self, response: Any) -> None:
        self.progress.append((response.done(), self.runtime.ready.done()))

    async def _admits(self, client: Any, _server: Any) -> bool:
        self.checks.append(client)
        return bool(client.own)

    async def send(
        self, connection: Connection, method: str, path: str, *parts: bytes, gone: bool = False
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Sends a request. Returns the status, the headers and the body; status 0 without a response."""
        messages: list[Any] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""})
        sent: list[tuple[int, dict[bytes, bytes], bytes]] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def respond(status: int, headers: Sequence[tuple[bytes, bytes]], body: Body) -> None:
            assert isinstance(body, bytes)
            sent.append((status, dict(headers), body))

        scope = {"method": method, "path": f"/2018-06-01/runtime{path}", CONNECTION: connection}
        await self.runtime.app({**scope, "client": connection, "server": None}, receive, respond)
        return sent[0] if sent else (0, {}, b"")


def test_invocation_is_handed_out_and_its_response_taken() -> None:
    async def run() -> None:
        api, own = Api(), Connection()
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        status, headers, body = await api.send(own, "GET", "/invocation/next")
        assert (status, body, headers[b"content-type"]) == (200, b"{}", b"application/json")
        assert headers[b"lambda-runtime-aws-tenant-id"] == b"blue"
        assert headers[b"lambda-runtime-deadline-ms"] == str(DEADLINE).encode()
        assert (await api.send(own, "POST", "/invocation/id/response", b"[1", b"]"))[0] == 202
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
        status, _, _ = await api.send(Connection(), "POST", "/invocation/id/response", b"x" * RESPONSE_LIMIT, b"x")
        assert (status, response.result().failed) == (413, True)
        assert b"Function.ResponseSizeTooLarge" in response.result().payload

    asyncio.run(run())


def test_process_that_dies_in_the_middle_of_its_response_has_not_responded() -> None:
    async def run() -> None:
        api = Api()
        response = api.runtime.dispatch(INVOCATION, DEADLINE)
        assert (await api.send(Connection(), "POST", "/invocation/id/response", b"[", gone=True))[0] == 0
        assert not response.done()

    asyncio.run(run())


def test_error_of_the_init_phase_is_kept_also_if_it_is_incomplete() -> None:
    async def run() -> None:
        api = Api()
        assert (await api.send(Connection(), "POST", "/init/error", b"{", gone=True))[0] == 202
        assert b"Runtime.Unknown" in api.runtime.init_error.result()

    asyncio.run(run())
