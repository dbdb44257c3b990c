"""The owner of a connection, as the kernel reports it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from lattice_bridge.local.environments.peer_process import Address, PeerProcess, is_supported
from lattice_bridge.local.environments.processes import MARK

pytestmark = pytest.mark.skipif(not is_supported(), reason="this machine cannot find the owner of a connection")

CONNECTS: Final = """
import os, socket, sys, time
port, who = int(sys.argv[1]), sys.argv[2]
if who != "itself":
    if os.fork():
        sys.stdin.read()
        os._exit(0)
    parent = os.getpid()
    if os.fork():
        if who == "grandchild":
            os.wait()
        os._exit(0)
    while who == "orphan" and os.getppid() == parent:
        time.sleep(0.001)
connection = socket.create_connection(("127.0.0.1", port))
sys.stdin.read()
"""
"""The process itself connects, or its grandchild, or its grandchild after the process between them has ended."""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@contextmanager
def connected(server: socket.socket, who: str = "itself", mark: str = "") -> Iterator[tuple[int, Address]]:
    """Starts a process that connects. Gives its pid and the address of its connection."""
    command = [sys.executable, "-I", "-c", CONNECTS, str(server.getsockname()[1]), who]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={MARK: mark}) as process:
        connection, address = server.accept()
        with connection:
            yield process.pid, address
        process.communicate(b"")


def test_process_with_the_client_end_owns_it(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        assert PeerProcess(os.getpid()).owns(client.getsockname(), server.getsockname())
        assert not PeerProcess(2**22 + 1).owns(client.getsockname(), server.getsockname())


def test_descendant_of_a_process_counts_as_the_process(server: socket.socket) -> None:
    """A shell's bootstrap sends its requests with curl."""
    with connected(server, "grandchild") as (pid, address):
        assert PeerProcess(pid).owns(address, server.getsockname())
        assert PeerProcess(os.getpid()).owns(address, server.getsockname())


def test_process_of_another_connection_is_refused(server: socket.socket) -> None:
    """Trap G8: the process of another environment, its descendant, and the parent of both."""
    with (
        connected(server) as (first, of_first),
        connected(server, "grandchild") as (second, of_second),
        socket.create_connection(server.getsockname()) as ours,
    ):
        address = server.getsockname()
        assert PeerProcess(first).owns(of_first, address)
        assert not PeerProcess(first).owns(of_second, address)
        assert not PeerProcess(second).owns(of_first, address)
        assert not PeerProcess(first).owns(ours.getsockname(), address)


def test_mark_in_the_variables_of_a_process_proves_nothing(server: socket.socket) -> None:
    """Trap G8: a process chooses its own variables."""
    with connected(server, mark="stack/1.") as (first, _), connected(server, mark="stack/1.") as (_, address):
        assert not PeerProcess(first).owns(address, server.getsockname())


def test_orphan_of_a_process_is_not_counted_as_anybodys(server: socket.socket) -> None:
    """Trap G8: after a double fork, the stack is the parent, as of the orphans of every other environment."""
    with connected(server) as (other, _), connected(server, "orphan") as (pid, address):
        assert not PeerProcess(pid).owns(address, server.getsockname())
        assert not PeerProcess(other).owns(address, server.getsockname())


def test_closed_client_is_owned_by_no_process(server: socket.socket) -> None:
    process = PeerProcess(os.getpid())
    with socket.create_connection(server.getsockname()) as client:
        address = client.getsockname()
        assert process.owns(address, server.getsockname())
    assert not process.owns(address, server.getsockname())


def test_listener_on_the_client_port_is_not_the_client(server: socket.socket) -> None:
    """If there is no connection, the kernel answers with the listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not PeerProcess(os.getpid()).owns(listener.getsockname(), server.getsockname())
