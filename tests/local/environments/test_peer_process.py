"""The owner of a connection, as the kernel reports it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lattice_bridge.local.environments.peer_process import PeerProcess, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="this machine cannot find the owner of a connection")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_process_with_the_client_end_owns_it(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        assert PeerProcess(os.getpid()).owns(client.getsockname(), server.getsockname())
        assert not PeerProcess(os.getppid()).owns(client.getsockname(), server.getsockname())
        assert not PeerProcess(2**22 + 1).owns(client.getsockname(), server.getsockname())


def test_process_of_another_connection_is_refused(server: socket.socket) -> None:
    """Both processes have a connection to the same port; only the client ports differ."""
    connect = "import socket, sys; c = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
    command = [sys.executable, "-I", "-c", connect, str(server.getsockname()[1])]
    with socket.create_connection(server.getsockname()) as ours:
        server.accept()[0].close()
        with subprocess.Popen(command, stdin=subprocess.PIPE) as other:
            connection, theirs = server.accept()
            with connection:
                assert PeerProcess(other.pid).owns(theirs, server.getsockname())
                assert not PeerProcess(os.getpid()).owns(theirs, server.getsockname())
                assert not PeerProcess(other.pid).owns(ours.getsockname(), server.getsockname())
                other.communicate(b"")


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
