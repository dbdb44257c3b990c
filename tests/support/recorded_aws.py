"""Recorded answers of AWS on a loopback port, for the calls that moto does not have.

Rule: each answer passes botocore's Stubber, which compares it with the service's own model. A call without a recording
is answered with ResourceNotFoundException.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import boto3
from botocore.config import Config
from botocore.serialize import create_serializer
from botocore.stub import Stubber

from tests.support.aws_server import REGION


@dataclass(frozen=True, slots=True)
class Recording:
    """One call and its answer, or the code that it fails with."""

    service: str
    method: str
    arguments: dict[str, Any]
    answer: dict[str, Any] = field(default_factory=dict)
    fails: str | None = None


class RecordedAws:
    """Answers services that speak REST with JSON.

    Attributes:
        url: where it listens.
        asked: method and path of each request.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self.asked: list[str] = []
        self.answers = {_place(one): one for one in recordings}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def client(self, service: str) -> Any:
        """boto3's own client for it, which tries once."""
        return client(service, self.url)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: the second would wait for the first one's acknowledgement

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                recorded.asked.append(f"{self.command} {self.path}")
                parts = urlsplit(self.path)
                place = self.command, unquote(parts.path), _query(dict(parse_qsl(parts.query)))
                found = recorded.answers.get(place)
                code = "ResourceNotFoundException" if found is None else found.fails
                body = json.dumps({"message": code, "Message": code} if code or found is None else found.answer)
                self.send_response(_STATUS.get(code or "", 403 if code else 200))
                if code:
                    self.send_header("x-amzn-errortype", code)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                pass

        return Handler


_STATUS = {"ResourceNotFoundException": 404, "TooManyRequestsException": 429}


def client(service: str, url: str) -> Any:
    """boto3's client for a service at an address."""
    return _session().client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))


@cache
def _session() -> Any:
    """One session for all tests: reading a service's model takes longer than a test."""
    return boto3.session.Session("AKIDEXAMPLE", "not-a-secret", region_name=REGION)


@cache
def unconnected(service: str) -> Any:
    """A client that makes no call, for the model of its service."""
    return client(service, "http://127.0.0.1:9")


def _place(one: Recording) -> tuple[str, str, str]:
    """The method, path and query that botocore makes of a call, once the answer passed the Stubber."""
    made = unconnected(one.service)
    stubber = Stubber(made)
    if one.fails is None:
        stubber.add_response(one.method, one.answer, one.arguments)
    model = made.meta.service_model.operation_model(made.meta.method_to_api_mapping[one.method])
    request = create_serializer("rest-json").serialize_to_request(one.arguments, model)
    return request["method"], unquote(request["url_path"]), _query(request["query_string"])


def _query(values: dict[str, Any]) -> str:
    return urlencode(sorted(values.items()))
