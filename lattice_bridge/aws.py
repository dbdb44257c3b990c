"""A boto3 client for what a configuration names: S3, SSM, DynamoDB. Lambda is invoked elsewhere.

Rule: it gives up soon, since requests wait; and nothing of it is imported before it is wanted.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.runtime.process import after_fork

MAX_CONNECTIONS: Final = 64

NO_BOTO3: Final = "boto3 is not there: Lambda's Python brings one; elsewhere, package it"

_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")


class AwsClient:
    """Made at its first use, and once a process: making a client is not safe for threads, using one is. A client that
    was made before a fork has connections that the parent goes on using.

    Two attempts, a second each to connect. AWS_ENDPOINT_URL and its kin say where, as they do for all of boto3.

    Args:
        service: as boto3 calls it.
        region: boto3's own if None.
        read_timeout: seconds, for each of the two attempts.
    """

    def __init__(self, service: str, region: str | None, read_timeout: float) -> None:
        self._service = service
        self._region = region
        self._read_timeout = read_timeout
        self._made: Any = None
        self._lock = threading.Lock()
        after_fork(self._forget)

    def __call__(self) -> Any:
        """The client. Called at init as well, where Lambda gives a whole core."""
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _forget(self) -> None:
        self._made, self._lock = None, threading.Lock()

    def _connect(self) -> Any:
        import boto3  # here, since a configuration that names none of this does not pay for it
        from botocore.config import Config

        config = Config(
            connect_timeout=1,
            read_timeout=self._read_timeout,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=MAX_CONNECTIONS,
        )
        return boto3.session.Session(region_name=self._region).client(self._service, config=config)


def code_of(error: Exception) -> str:
    """AWS's error code, or else the exception's type. An exception's message may quote what was asked for."""
    if isinstance(error, ImportError):
        return NO_BOTO3
    response = getattr(error, "response", None)
    said = response.get("Error") if isinstance(response, Mapping) else None
    code = said.get("Code") if isinstance(said, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else type(error).__name__
