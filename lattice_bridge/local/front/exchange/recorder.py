"""Records requests: the event of each as NAME.json, and the function's reply in NAME.expected.json.

Rule: no credential is written, no file is overwritten, and no other user can read one. Bodies and paths are written as
they are. The names are those that `--lattice-events` and `diff --events` read.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import MIB
from lattice_bridge.formats import reply
from lattice_bridge.http import headers as names
from lattice_bridge.http.query import parse_query
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.http_message import HttpRequest

MAX_REQUESTS: Final = 1000
"""Requests in a folder, with those of earlier runs."""
MAX_BYTES: Final = 256 * MIB
"""Bytes that one stack writes: as much as `diff --events` reads."""

_SECRET: Final = re.compile(
    r"(?:authorization|cookies?|tokens?|secrets?|passwords?|credentials?|signature|api-?keys?)\Z"
)
"""Ends of the folded names of headers and query parameters whose values are credentials."""
_SCHEME: Final = re.compile(r"\s*+(?:basic|bearer|digest|negotiate|aws4-\S++)\s", re.I)
"""The beginning of a value with a scheme of HTTP authentication, which is a credential under any name."""
JWT: Final = r"(?<![\w-])(?=[\w-]*?(?-i:eyJ)[\w-]{6})[\w-]{9,}+={0,2}\.[\w-]*+={0,2}(?:\.[\w-]*+={0,2})*+"
"""A JSON Web Token in any text, also behind a prefix. Of each run of its characters only one place is tried: a caller
chooses the text, and a pattern that began anew at each character would need minutes for a header of 256 KB."""
_JWT: Final = re.compile(JWT)
_NUMBERED: Final = re.compile(r"([0-9]{4,9})-.*\.json")
_LONGEST_PATH: Final = 40

_logger: Final = logging.getLogger(__name__)


class BadRecording(Exception):
    """The folder cannot be recorded into. The message has the form `where: what is wrong. Fix: …`."""


class Recorder:
    """Writes requests into a folder.

    Args:
        folder: made if there is none.
        max_requests, max_bytes: when one is reached, a warning is logged and recording ends.

    Raises:
        BadRecording: it is not a folder, or cannot be made.
    """

    def __init__(self, folder: Path, *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = [entry.name for entry in folder.iterdir() if not entry.name.endswith(".expected.json")]
        except OSError as error:
            raise BadRecording(
                f"--record {folder}: {error.strerror}. Fix: name a folder that you can write to"
            ) from error
        numbers = [int(match[1]) for name in there if (match := _NUMBERED.fullmatch(name))]
        self._folder = folder
        self._next = max(numbers, default=0) + 1
        self._requests_left = max_requests - len(numbers)
        self._bytes_left = max_bytes
        self._limits = f"{max_requests} requests in the folder, and {max_bytes // MIB} MiB"
        self._lock = threading.Lock()

    def write(self, event: Mapping[str, Any], request: HttpRequest, result: InvocationResult) -> None:
        """Writes the two files of one request. Logs a fault, and raises none.

        Args:
            event: made of a request `without_credentials`.
            request: names the files.
            result: of the function.
        """
        with self._lock:
            if self._requests_left < 0:
                return
            about = f"{request.method} {request.target.partition('?')[0]}"
            files = _line(event), expected(about, time.time(), result)
            self._bytes_left -= sum(map(len, files))
            self._requests_left -= 1
            if self._requests_left < 0 or self._bytes_left < 0:
                self._stop(f"the limit is {self._limits}")
                return
            try:
                self._write_new(about, *files)
            except OSError as error:
                self._stop(str(error))

    def _stop(self, reason: str) -> None:
        self._requests_left = -1
        _logger.warning("recording into %s ends: %s. Fix: start again with another folder", self._folder, reason)

    def _write_new(self, about: str, event: bytes, expected: bytes) -> None:
        while True:
            name = file_name(self._next, about)
            self._next += 1
            try:
                _write(self._folder / f"{name}.json", event)
            except FileExistsError:  # of another stack that records into the folder
                continue
            _write(self._folder / f"{name}.expected.json", expected)
            return


def file_name(number: int, about: str) -> str:
    """The name of a request's files, without their ends.

    >>> file_name(7, "GET /orders/17")
    '0007-get-orders-17'
    """
    slug = re.sub(r"[^a-z0-9]+", "-", about.lower())[:_LONGEST_PATH].strip("-")
    return f"{number:04}-{slug}"


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _line(value: object) -> bytes:
    """JSON on one line, so that a file is also a file of events. In ASCII: it contains no control character."""
    return json.dumps(value).encode() + b"\n"


def expected(about: str, at: float, result: InvocationResult | None) -> bytes:
    """The content of NAME.expected.json.

    Args:
        about: the method and the path of the request.
        at: seconds since the epoch.
        result: of the function; None if it has not answered.
    """
    recorded = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return _line({"about": about, "recorded": recorded, **({} if result is None else _outcome(result))})


# ---- without credentials --------------------------------------------------------------------------------------------


def without_credentials(request: HttpRequest) -> HttpRequest:
    """The request without the headers and the query parameters that contain credentials.

    >>> without_credentials(HttpRequest("GET", "/a?b=1&X-Amz-Signature=f00", [("cookie", "a=b"), ("accept", "*/*")]))
    HttpRequest(method='GET', target='/a?b=1', headers=[('accept', '*/*')], body=b'', client_address='127.0.0.1')
    """
    path, mark, query = request.target.partition("?")
    kept = "&".join(part for part in query.split("&") if not any(is_secret(*pair) for pair in parse_query(part)))
    headers = [pair for pair in request.headers if not is_secret(*pair)]
    return replace(request, target=f"{path}?{kept}" if kept or (mark and not query) else path, headers=headers)


def is_secret(name: str, value: object) -> bool:
    """Whether a field, by its name or its value, contains a credential."""
    texts = value if isinstance(value, list) else [value]
    found = any(isinstance(text, str) and (_SCHEME.match(text) or _JWT.search(text)) for text in texts)
    return found or _SECRET.search(names.fold(name)) is not None


def _outcome(result: InvocationResult) -> dict[str, Any]:
    """The reply without cookies and other credentials in its headers, or the function's error."""
    if result.error is not None:
        kind, message = result.error_type_and_message()
        return {"error": {"errorType": kind, "errorMessage": message}}
    try:
        answer = json.loads(result.payload)
    except (ValueError, RecursionError):
        return {"error": {"errorType": "", "errorMessage": "the function's answer is not JSON"}}
    if not isinstance(answer, dict):
        return {"reply": answer}
    return {"reply": {name: _public(name, value) for name, value in answer.items() if name != reply.COOKIES}}


def _public(name: str, value: Any) -> Any:
    """The value of a reply's field. A reply for ALB or API Gateway has `multiValueHeaders` too."""
    if not isinstance(value, dict) or not name.lower().endswith(reply.HEADERS):
        return value
    return {header: text for header, text in value.items() if not is_secret(header, text)}
