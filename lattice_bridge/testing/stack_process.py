"""`lattice-bridge local` in a process of its own.

Rule: nothing that is started here outlives whoever started it, however that ends. A process that is killed cleans
nothing up; so the stack watches a pipe, which the kernel closes with the last process that could write to it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, requires
from typing import Any, Final

from lattice_bridge.local.environments.processes import kill_group, kill_marked, stack_mark

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
"""Seconds that the stack has to end by itself. It gives two to what it is still answering."""

_PROGRAM: Final = "from lattice_bridge.testing.stack_process import main; main()"
_OF_LOCAL: Final = re.compile(r"([A-Za-z0-9._-]+)[^;]*;.*\bextra *== *['\"]local['\"]")


class StackFailed(Exception):
    """The stack did not start, or has ended. The message is what it had to say."""


class StackProcess:
    """A stack that listens, until `end`.

    Args:
        arguments: for `lattice-bridge local`, beside ports and `--json-logs`.

    Attributes:
        front_url, lambda_url: where it listens.
        lines: what it has printed so far, decoded from JSON; another thread adds to it.
        popen: the process.
        exit_code: once it has ended.
        errors: what stood on its stderr, once it has ended.

    Raises:
        StackFailed: something is not installed, or it did not start.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        check_installed()
        self.lines: list[dict[str, Any]] = []
        self.exit_code: int | None = None
        self.errors = ""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.popen = subprocess.Popen(  # noqa: S603 - this interpreter, and our own command
            [sys.executable, "-P", "-c", _PROGRAM, "local", "--port=0", "--lambda-port=0", "--json-logs", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            start_new_session=True,  # Ctrl-C is for whoever started it to handle
        )
        self._reader = threading.Thread(target=self._read, name="local stack", daemon=True)
        self._listening = threading.Event()
        try:
            self._reader.start()
            self.front_url, self.lambda_url = self._addresses()
        except BaseException:
            self.end()
            raise

    def check_runs(self) -> None:
        """Raises StackFailed if it has ended by itself."""
        if self.popen.poll() is not None:
            self.end()
            raise StackFailed(f"the local stack has ended, with exit code {self.exit_code}\n{self.errors}")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> None:
        """Asks the process to end, and waits for so long; then it is killed, and what it started as well. A second call
        does nothing."""
        if self.exit_code is not None:
            return
        try:
            self.popen.send_signal(number)
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also of a second Ctrl-C
            if self.popen.poll() is None:
                kill_group(self.popen.pid)
                kill_marked(stack_mark(self.popen.pid))
            self.exit_code = self.popen.wait()
            self._close()

    def _close(self) -> None:
        self._reader.join(timeout=5)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()
        with self._stderr:
            self._stderr.seek(0)
            self.errors = self._stderr.read().decode("utf-8", "replace")

    def _addresses(self) -> tuple[str, str]:
        in_time = self._listening.wait(START_SECONDS)
        for line in self.lines:
            if line.get("message") == "listening":
                return line["front"], line["lambda"]
        self.end()
        cause = f"with exit code {self.exit_code}" if in_time else f"within {START_SECONDS:g} seconds"
        raise StackFailed(f"the local stack did not start ({cause}):\n{self.errors or self.lines}")

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("message") == "listening":
                self._listening.set()
        self._listening.set()


def check_installed() -> None:
    """Raises StackFailed if the extra `local` is not all there: some of it is missed at the first request only."""
    try:
        found = (_OF_LOCAL.match(line) for line in requires("lattice-bridge") or ())
        missing = [match[1] for match in found if match and not _is_installed(match[1])]
    except PackageNotFoundError:  # run from its sources: nobody says what it needs
        return
    if missing:
        raise StackFailed(
            f"the local stack needs what is not installed here ({', '.join(missing)}): "
            "pip install 'lattice-bridge[local,testing]'"
        )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


# ---- in the stack's own process -------------------------------------------------------------------------------------


def main() -> None:
    """`lattice-bridge`, which ends with whoever holds the other end of its stdin."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    from lattice_bridge.cli import main as command

    sys.argv[0] = "lattice-bridge"
    command()


def _end_with_starter() -> None:
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    kill_marked(stack_mark(os.getpid()))
    os._exit(1)
