"""Gives an environment's process the file system that Lambda gives it, then becomes the runtime client.

Rule: `/tmp` is the process's own and the only place that it can write to. A step that fails ends the process, before
any code of the function runs.

Run as a script: `launcher.py HANDLER FOLDER KEPT…`, with the task root as the working directory. An empty HANDLER only
tries the steps. Linux 5.12 or later, for mount_setattr(2). docs/why.md says why this is Python.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

TYPE_CHECKING = False  # `typing` itself would be 4 ms of every cold start, and `runpy` 7
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

TMP: Final = "/tmp"  # noqa: S108 - Lambda's own path

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUSER: Final = 0x10000000
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18
_MOUNT_SETATTR: Final = 442  # the same number on every architecture
_RDONLY: Final = 1
_AT_RECURSIVE: Final = 0x8000
_PR_CAPBSET_DROP: Final = 24
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_SYS_ADMIN: Final = 21
_CAPABILITIES: Final = range(64)

_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter(folder: str, kept: Sequence[str]) -> None:
    """Makes `folder` this process's `/tmp`, and everything else read-only.

    Args:
        folder: exists, and is empty.
        kept: absolute paths beneath `/tmp` that stay visible, none within another. What does not exist is left out.

    Raises:
        OSError: a step was refused. Its text names the step.
    """
    root = os.getcwd()
    privileged = _unshare()
    _mount("none", "/", _MS_REC | _MS_PRIVATE)  # root's mounts would appear in the machine's own list otherwise
    for path in kept:
        if os.path.exists(path):
            _mount(path, _mount_point(folder, path), _MS_BIND | _MS_REC)
    _mount(folder, TMP, _MS_BIND | _MS_REC)
    _set_read_only("/", _AT_RECURSIVE, read_only=True)
    _set_read_only(TMP, 0, read_only=False)
    os.chdir(root)  # the working directory was still the one beneath the mounts
    # What made the mounts could undo them. Root keeps its other rights, which the functions of a root's stack have had.
    _drop_capabilities([_CAP_SYS_ADMIN] if privileged else _CAPABILITIES)


def _unshare() -> bool:
    """Takes mounts of our own. Root needs no user namespace for it, and would lose other users' files in one."""
    if _libc.unshare(_CLONE_NEWNS) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _libc.unshare, _CLONE_NEWUSER | _CLONE_NEWNS)
    for name, text in (
        ("setgroups", b"deny"),
        ("uid_map", b"%d %d 1" % (user, user)),
        ("gid_map", b"%d %d 1" % (group, group)),
    ):
        try:
            with open(f"/proc/self/{name}", "wb", buffering=0) as file:
                file.write(text)
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror}") from error
    return False


def _mount_point(folder: str, path: str) -> str:
    point = folder + path.removeprefix(TMP)
    if os.path.isdir(path):
        os.makedirs(point, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(point), exist_ok=True)
        with open(point, "wb"):
            pass
    return point


def _mount(source: str, target: str, flags: int) -> None:
    call = (os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None)
    _call(f"mount {source} on {target}", _libc.mount, *call)


def _set_read_only(path: str, flags: int, *, read_only: bool) -> None:
    attributes = struct.pack("QQQQ", _RDONLY if read_only else 0, 0 if read_only else _RDONLY, 0, 0)
    size = ctypes.c_size_t(len(attributes))
    _call(f"mount_setattr {path}", _libc.syscall, _MOUNT_SETATTR, -1, os.fsencode(path), flags, attributes, size)


def _drop_capabilities(dropped: Sequence[int]) -> None:
    for capability in dropped:
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that this kernel does not have
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: the lower halves, then the upper ones
    _call("capget", _libc.capget, header, data)
    masks = [~sum(1 << bit - start for bit in dropped if start <= bit < start + 32) for start in (0, 32)]
    words = struct.unpack("6I", data.raw)
    left = [word & masks[number // 3] & 0xFFFFFFFF for number, word in enumerate(words)]
    _call("capset", _libc.capset, header, struct.pack("6I", *left))


def _call(what: str, function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def main(handler: str, folder: str, *kept: str) -> None:
    try:
        enter(folder, kept)
    except OSError as error:
        sys.exit(f"lattice-bridge: no private {TMP}: {error.strerror}")
    if handler:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
        from awslambdaric.__main__ import main as run  # installed with the stack, and not needed to try the steps

        sys.argv[1:] = [handler]
        run(sys.argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
