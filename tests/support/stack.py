"""The real stack, as a person starts it: the command in a process of its own, on free ports."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
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

from lattice_bridge.testing import LocalStack
from tests.support.paths import ROOT

PERSON = Credentials("local", "local")
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

    process: subprocess.Popen[bytes]
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


def allowed(*command: str) -> bool:
    """Whether this machine lets a test run so."""
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def running(*arguments: str, template: Path = ROOT / "template.yaml") -> Iterator[RunningStack]:
    """`lattice-bridge local` until the block ends; then it has to end by itself, with exit code 0."""
    with LocalStack(template, options=arguments) as stack:
        process = stack.process
        try:
            yield RunningStack(process.popen, process.front_url, process.lambda_url, process.lines)
        finally:
            process.end(signal.SIGINT)
    assert process.exit_code == 0, process.errors
    assert process.errors == ""


def signed(
    url: str, headers: dict[str, str], body: bytes, who: Credentials = PERSON, region: str = "us-east-1"
) -> dict[str, str]:
    """The headers with a signature for Lambda."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(who, "lambda", region).add_auth(request)
    return dict(request.headers.items())


def opened(url: str, headers: dict[str, str] | None, body: bytes | None, method: str) -> Answer:
    """The answer to a request, whatever its status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method or None)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
