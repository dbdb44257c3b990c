"""The real stack, as a developer starts it: the command in a process of its own, on free ports."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lattice_bridge.testing import LocalStack
from lattice_bridge.testing.stack_process import output_line
from tests.support.paths import ROOT

PERSON = Credentials("local", "local")
FAULTS = ROOT / "tests" / "functions" / "template.yaml"

ONE_FUNCTION = """
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: {Handler: app.handler, Runtime: python3.13}
  Service:
    Type: AWS::VpcLattice::Service
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {FixedResponse: {StatusCode: 404}}
"""
"""A function that only Invoke reaches; `Handler:` is replaced to add properties."""

FORWARDED_FUNCTION = """
Resources:
  Function: {Type: "AWS::Serverless::Function", Properties: {Handler: app.handler, Runtime: python3.13}}
  Targets:
    Type: AWS::VpcLattice::TargetGroup
    Properties:
      Type: LAMBDA
      Config: {LambdaEventStructureVersion: V2}
      Targets: [{Id: !GetAtt Function.Arn}]
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Targets, Weight: 1}]}}
"""
"""A function that every request reaches, without the service of the listener."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RunningStack:
    """A running stack.

    Attributes:
        front, lambda_url: the URLs of the front and of the AWS endpoint.
        lines: its log, decoded from JSON.
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
        """Sends an Invoke as plain HTTP, signed by botocore. Names of headers have `_` in place of `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if tenant is not None:
            given["X-Amz-Tenant-Id"] = tenant
        url = f"{self.lambda_url}/2015-03-31/functions/{function}/invocations"
        body = json.dumps(event if event is not None else {}).encode()
        return opened(url, signed(url, given, body), body, "POST")

    def output_of(self, function: str) -> list[str]:
        return [output_line(line) for line in self.lines if line.get("environment", "").startswith(function)]

    def processes(self) -> list[int]:
        """Returns the process ids of the execution environments."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(entry.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self.process.pid:
                found.append(int(entry.parent.name))
        return found


def person_with_credentials(home: Path) -> Path:
    """Writes AWS credentials into a home folder, and returns the folder."""
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAPERSON\naws_secret_access_key = own-secret\naws_session_token = own-token\n"
    )
    return home


def allowed(*command: str) -> bool:
    """Whether this machine can run a command."""
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def running(*arguments: str, template: Path = ROOT / "template.yaml") -> Iterator[RunningStack]:
    """Runs `lattice-bridge local` until the block ends. Then the stack must stop by itself, with exit code 0."""
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
    """Returns the headers with a signature for Lambda."""
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(who, "lambda", region).add_auth(request)
    return dict(request.headers.items())


def opened(url: str, headers: dict[str, str] | None, body: bytes | None, method: str) -> Answer:
    """Sends a request, and returns the response with any status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method or None)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


def alive(pid: int) -> bool:
    """Whether a process runs. A process that has ended but is not reaped does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Waits until a condition is true, and fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.02)
