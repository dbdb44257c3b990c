"""The local stack for tests: a template's functions and Lattice resources, served on free ports.

Rule: a request is sent exactly as the test writes it, so that a test can send a malformed one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import SequenceMatcher
from email.message import Message
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from lattice_bridge.local.front.exchange.identities import SESSION_PREFIX, Identity
from lattice_bridge.testing.builders import Headers
from lattice_bridge.testing.stack_process import StackFailed, StackProcess, output_line

__all__ = ["Answer", "LocalStack", "StackFailed", "UnknownIdentity"]

SigningService = Literal["vpc-lattice-svcs", "execute-api", "lambda"]

REGION: Final = "us-east-1"
_PATIENCE: Final = 60.0
"""Seconds to wait for a response: more than Lattice itself would wait."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of the front.

    Attributes:
        status: of HTTP.
        headers: found in upper or lower case; `get_all` returns a repeated one.
        body: as sent.
    """

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)


class UnknownIdentity(KeyError):
    """No identity has this access key."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would put quotes around it


class LocalStack:
    """`lattice-bridge local` in a process of its own, for as long as the context lasts.

        with LocalStack("template.yaml", {"AuthType": "NONE"}) as stack:
            assert stack.get("/orders", headers={"x-tenant-id": "blue"}).status == 200

    It needs the extra `local` as well. Its region is us-east-1, and it gets no variable that begins with `AWS_`.

    Args:
        template: of SAM or CloudFormation.
        parameters: of the template.
        options: further options of `lattice-bridge local`, as in `["--event-version", "V1"]`.
    """

    def __init__(
        self,
        template: str | Path = "template.yaml",
        parameters: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
    ) -> None:
        self._template = Path(template).absolute()
        self._parameters = dict(parameters or {})
        given = [f"--parameter={name}={value}" for name, value in self._parameters.items()]
        self._arguments = [f"--template={self._template}", *given, *options]
        self._process: StackProcess | None = None

    def __enter__(self) -> Self:
        self._process = StackProcess(self._arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.end()

    @property
    def process(self) -> StackProcess:
        """The process, with its log."""
        if self._process is None:
            raise RuntimeError("LocalStack has not been started. Fix: write `with LocalStack() as stack:`")
        return self._process

    @property
    def url(self) -> str:
        """The URL of the front, for clients of Lattice, without a slash at its end."""
        return self.process.front_url

    @property
    def lambda_url(self) -> str:
        """The URL of the AWS endpoint, which has Lambda's API, for `endpoint_url` and AWS_ENDPOINT_URL."""
        return self.process.lambda_url

    def get(self, path: str, headers: Headers = (), **more: Any) -> Answer:
        """Sends a GET request; see `request`."""
        return self.request("GET", path, headers, **more)

    def request(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        identity: str | None = None,
        session: str | None = None,
        service: SigningService = "vpc-lattice-svcs",
    ) -> Answer:
        """Sends one request to the front. Follows no redirection, and uses no proxy.

        Args:
            method: as sent.
            path: as sent, with the query.
            headers: a mapping of names to one value or several, or pairs. The front must admit the `host`.
            body: bytes, or text as UTF-8.
            identity: access key of the identity that signs: of the identities.toml beside the template, or LOCAL and
                the name of a role of the map, as in LOCALBLUEAPI for blue-api. Without an identities.toml also
                LOCALBLUE or LOCALGREEN.
            session: the name of the role's session, if not the identity's own.
            service: that the request is signed for: `execute-api` for an API of API Gateway, `lambda` for a function
                URL.

        Raises:
            StackFailed: the stack has ended.
            UnknownIdentity: a KeyError; no identity has this access key. The message lists those there are.
        """
        pairs, content = list(_pairs(headers)), body.encode() if isinstance(body, str) else body
        if identity is not None:
            signing = _Signing(self._identity(identity), session, service)
            pairs = _signed(self.url + path, method, pairs, content, signing)
        try:
            return _exchange(self.url, method, path, pairs, content)
        except OSError:
            self.process.check_runs()
            raise

    def output(self, function: str = "") -> list[str]:
        """Returns the lines that functions have printed so far.

        Args:
            function: a function (`orders`), one tenant's environments (`orders/blue`), or empty for all functions.

        A line may arrive a moment later than the response: see `printed`. A line that is a JSON object is returned
        without spaces between its parts, and in ASCII.
        """
        lines = [line for line in list(self.process.lines) if "environment" in line]
        return [output_line(line) for line in lines if _belongs_to(line["environment"], function)]

    def printed(self, text: str, function: str = "", *, seconds: float = 10.0) -> bool:
        """Waits for a line that contains the text. Returns False after `seconds`. `function` is as for `output`."""
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.output(function)):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def _identity(self, name: str) -> Identity:
        if name not in self._identities:
            near = sorted(self._identities, key=lambda other: SequenceMatcher(None, name, other).ratio(), reverse=True)
            raise UnknownIdentity(
                f"identity {name!r}: no identity has this access key. "
                f"Fix: write one of {', '.join(near)}, or add it to identities.toml beside the template"
            )
        return self._identities[name]

    @cached_property
    def _identities(self) -> Mapping[str, Identity]:
        from lattice_bridge.local.definition import (
            read_definition,
        )  # pydantic and PyYAML, which only tests that sign pay

        return read_definition(self._template, self._parameters, REGION).identities


def _belongs_to(environment: str, function: str) -> bool:
    """Whether an environment's label, `FUNCTION#1` or `FUNCTION/TENANT#1`, belongs to a function or tenant."""
    return not function or environment.startswith((f"{function}#", f"{function}/"))


def _pairs(headers: Headers) -> Iterator[tuple[str, str]]:
    given: Iterable[tuple[str, str | Sequence[str]]] = headers.items() if isinstance(headers, Mapping) else headers
    for name, value in given:
        yield from [(name, value)] if isinstance(value, str) else ((name, each) for each in value)


class _Signing(NamedTuple):
    """How a request is signed.

    Attributes:
        identity: signs it.
        session: the name of its session; None for its own.
        service: that the request is for.
    """

    identity: Identity
    session: str | None
    service: SigningService


def _signed(
    url: str, method: str, pairs: list[tuple[str, str]], body: bytes, signing: _Signing
) -> list[tuple[str, str]]:
    """Adds a signature. It does not cover the client's own headers: botocore would join repeated ones."""
    from botocore.auth import SigV4Auth  # a tenth of a second, which only tests that sign pay
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from lattice_bridge.local.web.sigv4 import SERVICE, UNSIGNED

    host = next((value for name, value in pairs if name.lower() == "host"), urlsplit(url).netloc)
    token = f"{SESSION_PREFIX}{signing.session}" if signing.session else None
    # Lattice does not verify bodies. The others do, without this header.
    headers = {"host": host} | ({"x-amz-content-sha256": UNSIGNED} if signing.service == SERVICE else {})
    request = AWSRequest(method, url, headers=headers, data=body)
    credentials = Credentials(signing.identity.access_key, signing.identity.secret_key, token)
    SigV4Auth(credentials, signing.service, REGION).add_auth(request)
    return [*(pair for pair in pairs if pair[0].lower() != "host"), *request.headers.items()]


def _exchange(url: str, method: str, path: str, pairs: list[tuple[str, str]], body: bytes) -> Answer:
    names = {name.lower() for name, _ in pairs}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)) as connection:
        connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value.encode())
        if body and not names & {"content-length", "transfer-encoding"}:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
