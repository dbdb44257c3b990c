"""The process of a local stack: starts `lattice-bridge local`, and ends it.

Rule: the stack never outlives the process that started it, also if that process is killed. The stack reads from a pipe,
which the kernel closes with the last process that could write to it; see `lattice_bridge.cli.local`.
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
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires
from typing import Any, Final

from lattice_bridge.local.environments.processes import STOP_SECONDS, kill_group, kill_marked, stack_mark
from lattice_bridge.local.web.printable import printable

START_SECONDS: Final = 60.0
INSTALL_SECONDS: Final = 600.0
"""Seconds for a start that installs the packages of functions, which happens once for each list of packages."""

_QUIET_SECONDS: Final = 0.1
_LONGEST_WAIT: Final = 2.0
"""`log_since` waits until no line has arrived for the first time, and no longer than the second."""

_PROGRAM: Final = "from lattice_bridge.cli import main_until_stdin_closes; main_until_stdin_closes()"
_LOCAL_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)[^;]*;.*\bextra *== *['\"]local['\"]")


class StackFailed(Exception):
    """The stack did not start, or has ended. The message contains what it printed."""


class StackProcess:
    """A stack that listens until `end`.

    Args:
        arguments: of `lattice-bridge local`, without ports and `--json-logs`.

    Attributes:
        front_url, lambda_url: the addresses on which it listens.
        lines: the log so far, decoded from JSON. Another thread adds to it.
        popen: the process.
        exit_code: None until the process has ended.
        errors: its standard error, after the process has ended.

    Raises:
        StackFailed: a package is not installed, or the stack did not start.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        check_installed()
        self.lines: list[dict[str, Any]] = []
        self.exit_code: int | None = None
        self.errors = ""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.popen = subprocess.Popen(  # noqa: S603 - this interpreter, and this package's command
            [sys.executable, "-P", "-c", _PROGRAM, "local", "--port=0", "--lambda-port=0", "--json-logs", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            start_new_session=True,  # the starting process handles Ctrl-C
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
        """Raises StackFailed if the process has ended by itself."""
        if self.popen.poll() is not None:
            self.end()
            raise StackFailed(f"the local stack has ended, with exit code {self.exit_code}\n{self.errors}")

    def log_since(self, began: float) -> str:
        """Returns what functions printed and what the stack itself logged since a time, as lines for a person.

        It first waits a moment for lines that are on their way. A line counts by the time at which the stack logged
        it, so a line that arrives late belongs to the test that caused it.

        Args:
            began: seconds since 1970.
        """
        latest, known = time.monotonic() + _LONGEST_WAIT, -1
        while known != len(self.lines) and time.monotonic() < latest:
            known = len(self.lines)
            time.sleep(_QUIET_SECONDS)
        return "\n".join(text for line in list(self.lines) if line.get("time", began) >= began for text in _text(line))

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> None:
        """Asks the process to end. After `seconds`, kills it and every process that it started.

        A second call does nothing.
        """
        if self.exit_code is not None:
            return
        try:
            self.popen.send_signal(number)
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also after a second Ctrl-C
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
        in_time = self._listening.wait(START_SECONDS) or self._listening.wait(more_seconds(self.lines))
        for line in self.lines:
            if line.get("message") == "listening":
                return line["front"], line["lambda"]
        self.end()
        cause = f"with exit code {self.exit_code}" if in_time else "in time"
        raise StackFailed(f"the local stack did not start ({cause}):\n{self.errors}{self.log_since(0)}")

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("message") == "listening":
                self._listening.set()
        self._listening.set()


def output_line(entry: Mapping[str, Any]) -> str:
    """A function's line in the log of the stack, decoded from JSON: a string, or an object."""
    return str(entry["line"]) if "line" in entry else json.dumps(entry["object"], separators=(",", ":"))


def _text(entry: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one entry of the log. Lambda's runtime prints a stack trace as one, indented by U+00A0."""
    if "environment" not in entry:
        label, text = f"{entry.get('level', '')}: ", str(entry.get("message", ""))
    elif "_aws" in entry.get("object", {}):
        return  # a metric, which is for CloudWatch
    else:
        label, text = f"[{entry['environment']}]  ", output_line(entry)
    first, *others = text.replace("\xa0", " ").split("\n")
    yield printable(label + first, keep="\t")
    yield from (printable(f"  {other}", keep="\t") for other in others)


def more_seconds(lines: Sequence[Mapping[str, Any]]) -> float:
    """Seconds to wait beyond START_SECONDS, by the log of the start: some if it installs packages, or else none."""
    return INSTALL_SECONDS if any(line.get("installing") for line in lines) else 0.0


def check_installed() -> None:
    """Raises StackFailed if a package of the extra `local` is missing: some are needed by the first request only."""
    try:
        found = (_LOCAL_REQUIREMENT.match(line) for line in requires("lattice-bridge") or ())
        missing = [match[1] for match in found if match and not _is_installed(match[1])]
    except PackageNotFoundError:  # it runs from its sources, without a list of requirements
        return
    if missing:
        raise StackFailed(
            f"the local stack needs packages that are not installed: {', '.join(missing)}. "
            "Fix: pip install 'lattice-bridge[local,testing]'"
        )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
