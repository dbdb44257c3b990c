"""Finds out whether a process, or one of its descendants, has the other end of a loopback connection.

Rule: only the kernel's answer counts. A port number, a header or a variable proves nothing: every process on this
machine may connect to a loopback port, `/proc/net/tcp` shows every port, and a process chooses its own variables.

Linux only. sock_diag(7) gives the inode of the client's socket, and the process must have a descriptor of that inode,
or else one of its descendants, such as the `curl` of a shell script. A process whose parent has ended is a child of
the stack, and no descendant any more. Reading `/proc/net/tcp` was rejected: the kernel walks its whole table of
connections for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

Address = tuple[str, int]

_KNOWN: Final = 16
"""Number of a process's connections that are cached."""

_DESCENDANTS: Final = 64
"""Descendants that are searched. A function that has started thousands must not stop the stack."""

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_ALL_STATES: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI")
_ENDS: Final = struct.Struct("!HH4s12x4s12x")
_NO_COOKIE: Final = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
_INODE_AT: Final = _HEADER.size + 4 + 48 + 16
"""Offset of the inode in `inet_diag_msg` of linux/inet_diag.h: behind four bytes, the socket's id, and four numbers."""


class PeerProcess:
    """A process that connects to loopback ports of the stack, with all that it has started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._known: set[int] = set()

    def owns(self, client: Address, server: Address) -> bool:
        """Whether the process or a descendant has the client's end of a connection between two IPv4 addresses.

        False if the client has closed its end. True if this machine cannot find out; see `is_supported`.
        """
        if not is_supported():
            return True
        inode = _inode(client, server)
        if inode not in self._known:  # a process may have thousands of descriptors: they are read once a connection
            if not any(_has_socket(pid, inode) for pid in _family(self._pid)):
                return False
            if len(self._known) == _KNOWN:
                self._known.clear()
            self._known.add(inode)
        return True


@cache
def is_supported() -> bool:
    """Whether this machine can find out: tries it with a connection that this process has with itself."""
    with (
        contextlib.suppress(OSError),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        inode = _inode(client.getsockname(), server.getsockname())
        return inode == os.fstat(client.fileno()).st_ino and _has_socket(os.getpid(), inode)
    return False


def _inode(client: Address, server: Address) -> int:
    """Returns the inode of the client's socket; 0 if there is none."""
    ends = _ENDS.pack(client[1], server[1], socket.inet_aton(client[0]), socket.inet_aton(server[0]))
    request = _REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + ends + _NO_COOKIE
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(1)  # the answer is there when `send` returns
            kernel.send(header + request)
            answer = kernel.recv(8192)
    except (OSError, AttributeError):  # AF_NETLINK is Linux's
        return 0
    # If there is no such connection, the kernel answers with a socket that listens on the client's port.
    start = _HEADER.size + 4
    found = len(answer) >= _INODE_AT + 4 and answer[start : start + _ENDS.size] == ends
    return int(struct.unpack_from("=I", answer, _INODE_AT)[0]) if found else 0


def _family(pid: int) -> Iterator[int]:
    """Gives a process, and then its descendants."""
    found = [pid]
    for each in found:  # the list grows meanwhile
        yield each
        found += islice(_children(each), _DESCENDANTS + 1 - len(found))


def _children(pid: int) -> Iterator[int]:
    """Gives the processes that any thread of a process has started."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - see `_target`
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())


def _has_socket(pid: int, inode: int) -> bool:
    """Whether a process has a descriptor of this socket."""
    if inode == 0:
        return False
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        return any(_target(descriptor.path) == f"socket:[{inode}]" for descriptor in descriptors)
    return False


def _target(link: str) -> str:
    with contextlib.suppress(OSError):  # closed since it was listed
        return os.readlink(link)  # noqa: PTH115 - it runs for each request, and Path takes three times as long
    return ""
