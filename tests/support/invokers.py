"""Both invokers, made for an endpoint as bootstrap.py makes them, so that one test runs against each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from lattice_bridge.errors import BridgeError
from lattice_bridge.invoke.boto3 import Boto3Clients, Boto3Invoker, LambdaClient
from lattice_bridge.invoke.call import Call, Invoke
from lattice_bridge.invoke.direct import DirectInvoker, direct_invoker

SHORT: Final = 0.25
"""The shortest timeout that a backend can have: what a test of a silent one has to wait."""

At = Callable[..., Invoke]
"""An invoker for an endpoint; takes `clock` and `pause`."""

ENVIRON: Final = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "5",  # what an operator may have set for other clients
    "AWS_RETRY_MODE": "legacy",
}


class Pauses(list[float]):
    """Replaces `time.sleep`, and records the pauses."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Clients:
    """Makes boto3 clients, counts them, and closes them at the end."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self._connect = Boto3Clients("eu-west-1")
        self.renewals = 0

    def __call__(self, read_timeout: float) -> LambdaClient:
        client = self._connect(read_timeout)
        self.made.append(client)
        return client

    def renew(self) -> None:
        self.renewals += 1
        self._connect.renew()


@contextmanager
def boto3_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Clients]]:
    """boto3 clients for an endpoint, with credentials of their own. boto3 reads the process's environment."""
    opened: list[Clients] = []
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "_X_AMZN_TRACE_ID", "AWS_LAMBDA_FUNCTION_NAME"):
        monkeypatch.delenv(name, raising=False)

    def at(url: str) -> Clients:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
        opened.append(Clients())
        return opened[-1]

    yield at
    for clients in opened:
        for client in clients.made:
            client.close()


@contextmanager
def boto3_invokers(monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    with boto3_clients(monkeypatch) as clients:

        def at(url: str, **options: Any) -> Boto3Invoker:
            made = clients(url)
            return Boto3Invoker(made, renew=made.renew, **options)

        yield at


@contextmanager
def direct_invokers() -> Iterator[Callable[..., DirectInvoker]]:
    """Takes more of the environment as `environ`."""
    opened: list[DirectInvoker] = []

    def at(url: str, environ: dict[str, str] | None = None, **options: Any) -> DirectInvoker:
        given = {**ENVIRON, "AWS_ENDPOINT_URL_LAMBDA": url, **(environ or {})}
        opened.append(direct_invoker(given, **options))
        return opened[-1]

    yield at
    for invoker in opened:
        invoker.close()


def call(**fields: Any) -> Call:
    given = {"function": "orders:live", "tenant": "blue", "payload": b"{}", "invocation": "sync", "timeout": 4.0}
    return Call(**{**given, "left": 20.0, **fields})


def refused(invoker: Invoke, one: Call | None = None) -> BridgeError:
    with pytest.raises(BridgeError) as error:
        invoker(one or call())
    return error.value
