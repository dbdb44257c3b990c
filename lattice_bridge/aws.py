"""boto3 clients for the AWS services that a configuration names: S3, SSM, DynamoDB, SQS.

Rule: a client gives up soon, because requests wait for it, and boto3 is imported only when the first client is made.
Functions are invoked by `invoke`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from lattice_bridge.runtime.process import after_fork

MAX_CONNECTIONS: Final = 256
"""Of a client: as many as an `[[event_source]]` may use at the same time. urllib3 logs a warning for each one above."""

NO_BOTO3: Final = "boto3 is not installed. Fix: package it; only Lambda's Python runtime contains one"

_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")


class AwsClient:
    """Makes a client when it is first called, once a process.

    Threads may share a client, but must not make one at the same time. After a fork, a new one is made: the parent goes
    on using the connections of the old one.

    Args:
        service: boto3's name of it.
        region: boto3's own if None.
        read_timeout: seconds, for each attempt.
        connect_timeout: seconds, for each attempt.
        attempts: of a request.
    """

    def __init__(
        self,
        service: str,
        region: str | None,
        read_timeout: float,
        *,
        connect_timeout: float = 1,
        attempts: int = 2,
    ) -> None:
        self._service = service
        self._region = region
        self._read_timeout = read_timeout
        self._connect_timeout = connect_timeout
        self._attempts = attempts
        self._made: Any = None
        self._lock = threading.Lock()
        after_fork(self._forget)

    def __call__(self) -> Any:
        """The client. A start calls this too, because Lambda gives the init phase a whole processor."""
        with self._lock:
            if self._made is None:
                self._made = self._connect()
            return self._made

    def _forget(self) -> None:
        self._made, self._lock = None, threading.Lock()

    def _connect(self) -> Any:
        from botocore.config import Config  # here: a configuration without these services does not need it

        config = Config(
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            retries={"total_max_attempts": self._attempts, "mode": "standard"},
            max_pool_connections=MAX_CONNECTIONS,
        )
        return boto3_session(self._region).client(self._service, config=config)


def boto3_session(region: str | None) -> Any:
    """Makes a session, which finds credentials by itself, but shares what earlier sessions read from boto3's files.

    Reading these files is four fifths of making a client. They say what the services' APIs are, and no more.
    """
    import boto3  # here: a start without boto3 takes a fifth of the time
    import botocore.session

    session = botocore.session.Session()
    session.register_component("data_loader", _data_loader(session.get_config_variable("data_path")))
    return boto3.session.Session(region_name=region, botocore_session=session)


@cache
def _data_loader(path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(path)


def code_of(error: Exception) -> str:
    """AWS's error code, or the exception's type. Never the exception's message, which may quote the request."""
    if isinstance(error, ImportError):
        return NO_BOTO3
    response = getattr(error, "response", None)
    error_member = response.get("Error") if isinstance(response, Mapping) else None
    code = error_member.get("Code") if isinstance(error_member, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else type(error).__name__
