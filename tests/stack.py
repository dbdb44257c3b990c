"""The real stack, as a person starts it: the command in a process of its own, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PERSON = Credentials("local", "local")
ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "tests" / "functions" / "template.yaml"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RunningStack:
    """A stack that serves.

    Attributes:
        front, lambda_url: where.
        lines: what it has printed, decoded from JSON.
    """

    process: subprocess.Popen[str]
    front: str
    lambda_url: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def get(
        self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None, method: str = ""
    ) -> Answer:
        return opened(self.front + path, headers, body, method)

    def invoke(self, function: str, event: Any = None, tenant: str | None = None, **headers: str) -> Answer:
        """An Invoke as plain HTTP, signed by botocore; names of headers with `_` for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if tenant is not None:
            given["X-Amz-Tenant-Id"] = tenant
        url = f"{self.lambda_url}/2015-03-31/functions/{function}/invocations"
        body = json.dumps(event if event is not None else {}).encode()
        return opened(url, signed(url, given, body), body, "POST")

    def output_of(self, function: str) -> list[str]:
        return [line["line"] for line in self.lines if line.get("environment", "").startswith(function)]

    def processes(self) -> list[int]:
        """The execution environments' process ids."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(entry.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.process.pid:
                found.append(int(entry.parent.name))
        return found


@contextmanager
def running(*arguments: str, template: Path = ROOT / "template.yaml", cwd: Path = ROOT) -> Iterator[RunningStack]:
    """`lattice-bridge local` until the block ends; then it has to end by itself, with exit code 0."""
    command = [sys.executable, "-m", "lattice_bridge.cli", "local", "--template", str(template)]
    options = ["--port", "0", "--lambda-port", "0", "--json-logs", *arguments]
    process = subprocess.Popen(
        [*command, *options], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    if '"listening"' not in first:
        process.kill()
        raise AssertionError(f"the stack did not start: {first}{process.stderr.read()}")
    fields = json.loads(first)
    stack = RunningStack(process, fields["front"], fields["lambda"])
    reader = threading.Thread(target=_read, args=(process.stdout, stack.lines), daemon=True)
    reader.start()
    try:
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=20)
        finally:
            process.kill()
        reader.join(timeout=5)
        errors = process.stderr.read()
        process.stderr.close()
        process.stdout.close()
    assert code == 0, errors
    assert errors == ""


def signed(
    url: str, headers: dict[str, str], body: bytes, who: Credentials = PERSON, region: str = "us-east-1"
) -> dict[str, str]:
    """The headers with a signature for Lambda."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(who, "lambda", region).add_auth(request)
    return dict(request.headers.items())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _read(stream: Any, lines: list[dict[str, Any]]) -> None:
    for line in map(json.loads, stream):
        lines.append(line)  # noqa: PERF402 - one at a time: the tests look while it grows


def opened(url: str, headers: dict[str, str] | None, body: bytes | None, method: str) -> Answer:
    """The answer to a request, whatever its status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method or None)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
