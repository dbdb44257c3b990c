"""Launcher of an environment's process: sets up files and modules as Lambda does, then becomes the runtime client.

Rule: `/tmp` is the process's own and the only place that it can write to. A step that fails ends the process, before
any code of the function runs. No package of the stack's own Python can be imported, except those in RUNTIME.

Run as a script with `python -P -S`: `launcher.py HANDLER FOLDER RUNTIME KEPT…`, with the task root as the working
directory. RUNTIME is JSON: the command of a process, see runtimes.py, or for Python the places of its modules, see
runtime_packages.py. With an empty HANDLER it only tests the steps. With an empty FOLDER it leaves the file system as it
is. A `/tmp` of its own needs Linux 5.12 or later, for mount_setattr(2). docs/why.md explains why this is Python.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

TYPE_CHECKING = False  # `typing` itself would be 4 ms of every cold start, and `runpy` 7
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution, DistributionFinder
    from typing import Any, Final

TMP: Final = "/tmp"  # noqa: S108 - Lambda's own path
OPT: Final = "/opt"

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
_CAPABILITIES: Final = range(64)
_OF_FILES: Final = range(5)
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID: root reads a project of another user."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter(folder: str, kept: Sequence[str], opt: str = "") -> None:
    """Makes `folder` this process's `/tmp`, `opt` its `/opt`, and everything else read-only.

    Args:
        folder: exists, and is empty.
        kept: absolute paths beneath `/tmp` that stay visible, none within another. Missing paths are skipped.
        opt: the folder of the function's layers; empty to leave `/opt` as it is.

    Raises:
        OSError: a step was refused. The message names the step.
    """
    root = os.getcwd()
    kept_rights = _unshare()
    _mount("none", "/", _MS_REC | _MS_PRIVATE)  # otherwise root's mounts would appear in the machine's own list
    for path in kept:
        if os.path.exists(path):
            _mount(path, _mount_point(folder, path), _MS_BIND | _MS_REC)
    if opt:
        _mount(opt, OPT, _MS_BIND | _MS_REC)
    _mount(folder, TMP, _MS_BIND | _MS_REC)
    _set_read_only("/", _AT_RECURSIVE, read_only=True)
    _set_read_only(TMP, 0, read_only=False)
    os.chdir(root)  # until here, the working directory is the one beneath the mounts
    _drop_capabilities(
        [right for right in _CAPABILITIES if right not in kept_rights]
    )  # with them, a function could undo the mounts


def _unshare() -> Sequence[int]:
    """Enters a mount namespace and a user namespace. Returns the capabilities to keep.

    Root could enter a mount namespace alone. But processes of one user namespace see each other's files through
    `/proc/PID/root`. The kernel denies that across user namespaces, except to processes with rights in the other one.
    """
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        _call("unshare", _libc.unshare, _CLONE_NEWUSER | _CLONE_NEWNS)
    elif _unshare_as_root():
        return _OF_FILES
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
    return ()


def _unshare_as_root() -> bool:
    """Maps every id to itself, so that root keeps its access to other users' files.

    Only a process of the outer namespace may write such a map: a short-lived child does. Returns False if root has no
    right to do so, as in some containers.
    """
    here = os.open(
        "/proc/self", os.O_RDONLY | os.O_DIRECTORY
    )  # opened by its name later, it could be a process of another PID namespace
    may_write, unshared = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(unshared)
        os._exit(_map_all_ids(here) if os.read(may_write, 1) else 0)
    _call("unshare", _libc.unshare, _CLONE_NEWUSER | _CLONE_NEWNS)
    os.write(unshared, b"1")
    _, status = os.waitpid(child, 0)
    for descriptor in (here, may_write, unshared):
        os.close(descriptor)
    return status == 0


def _map_all_ids(process: int) -> int:
    """Writes the id maps of a process, given the descriptor of its folder in `/proc`. Returns an exit code."""
    try:
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/self/{name}") as file:  # a container may have fewer ids than the machine
                known = [line.split() for line in file]
            text = "".join(f"{first} {first} {count}\n" for first, _, count in known)
            target = os.open(name, os.O_WRONLY, dir_fd=process)
            os.write(target, text.encode())
    except OSError:
        return 1
    return 0


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
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for a capability that this kernel does not have
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: the lower halves, then the upper halves
    _call("capget", _libc.capget, header, data)
    masks = [~sum(1 << bit - start for bit in dropped if start <= bit < start + 32) for start in (0, 32)]
    words = struct.unpack("6I", data.raw)
    left = [word & masks[number // 3] & 0xFFFFFFFF for number, word in enumerate(words)]
    _call("capset", _libc.capset, header, struct.pack("6I", *left))


def _call(what: str, function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


# ---- modules ---------------------------------------------------------------------------------------------------------


class _Installed:
    """Finds modules among the packages that are installed for the stack, after all other places.

    The folder of these packages is not on `sys.path`, because it contains others too.
    """

    def __init__(self, modules: Mapping[str, str], distributions: Mapping[str, str]) -> None:
        self._modules = modules
        self._distributions = distributions

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: object = None,  # noqa: ARG002 - importlib's own signature
    ) -> ModuleSpec | None:
        from importlib.machinery import PathFinder

        folder = self._modules.get(name) if path is None else None
        return None if folder is None else PathFinder.find_spec(name, [folder])

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        import re
        from importlib.metadata import Distribution

        if context.path is not sys.path:  # the caller searches a folder of its own
            return
        wanted = context.name and re.sub(r"[-_.]+", "-", context.name).lower()
        for name, folder in self._distributions.items():
            if wanted in (None, name):
                yield Distribution.at(folder)


def search(found: Mapping[str, Any]) -> None:
    """Sets the places where modules are searched for: the task root, the function's packages, Python's own modules,
    and some of the installed packages."""
    import site  # with -S it adds no folder

    for define in (site.setquit, site.setcopyright, site.sethelper):  # `exit`, `help` and others, as on Lambda
        define()
    sys.path[:0] = [os.getcwd(), *found["folders"]]
    sys.meta_path.append(_Installed(found["modules"], found["distributions"]))


# ---- the process -----------------------------------------------------------------------------------------------------


def become(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Replaces this program with another one. The process keeps its id, its `/tmp` and its variables.

    Args:
        command: begins with a path.
        variables: that the template does not have.
    """
    import signal

    for name, value in variables.items():
        os.environ.setdefault(name, value)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python. The other program would inherit it
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execv(command[0], list(command))  # noqa: S606 - see runtimes.py
    except OSError as error:
        sys.exit(f"lattice-bridge: {command[0]}: {error.strerror}")


def let_the_stack_work() -> None:
    """Lets this process wait for its turn when it is woken: it does not interrupt the stack, which serves all others.

    Source: sched(7), SCHED_BATCH. Only Linux has it, and a policy that a person has chosen is kept.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        except OSError:
            return  # a container may forbid it, and the process works without it


def main(handler: str, folder: str, runtime: str, *kept: str) -> None:
    import json

    let_the_stack_work()
    found = json.loads(runtime) if runtime else {}
    if folder:
        try:
            enter(folder, kept, found.get("opt", ""))
        except OSError as error:
            sys.exit(f"lattice-bridge: no private {TMP}: {error.strerror}")
    if handler:
        if "command" in found:
            become(found["command"], found["variables"])
        search(found)
        from awslambdaric.__main__ import main as run  # of the stack, unless the function has its own

        sys.argv[1:] = [handler]
        run(sys.argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
