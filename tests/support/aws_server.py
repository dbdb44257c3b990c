"""AWS on a loopback port: moto's own server, for real boto3 over real HTTP.

Rule: a process of its own. In a thread it would change the botocore that other tests measure, and go on answering on
open connections after it was stopped.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import boto3

if TYPE_CHECKING:
    import pytest

REGION: Final = "eu-west-1"

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What boto3 starts in."""

_PROGRAM: Final = """
import logging, sys
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # ends with the process that started this one, however that ends
"""


class AwsServer:
    """DynamoDB, S3, SSM and the rest of moto, empty.

    Attributes:
        url: of the server; after `stop`, of a closed port.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "moto's server did not start; it says why above"
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def reset(self) -> None:
        """Deletes all that clients have put there."""
        urllib.request.urlopen(f"{self.url}/moto-api/reset", data=b"", timeout=60).close()

    def client(self, service: str) -> Any:
        """boto3's own client for it, to put things there with."""
        return self._session.client(service, endpoint_url=self.url)

    @cached_property
    def _session(self) -> Any:
        """One, because it reads the descriptions of the services, which takes a tenth of a second."""
        return boto3.session.Session("AKIDEXAMPLE", "not-a-secret", region_name=REGION)

    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes the process's environment one in which boto3 finds this server, and nothing of the machine's."""
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
