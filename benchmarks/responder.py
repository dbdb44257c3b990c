"""A Lambda Invoke endpoint in a process of its own, so that its CPU is not counted.

It answers an HTTP event with the tenant it was asked for. It answers a record with `null`, as a function that has
processed it, if it was asked for the record's own tenant, and reports a failure otherwise.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.environment import ROOT

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TENANT = re.compile(rb"\r\nx-amz-tenant-id: *([^\r]*)", re.IGNORECASE)
_RECORD = re.compile(rb'\{"Records": ?\[.*"(?:tenant": ?\{"(?:stringValue|S)|data)": ?"([^"]*)"', re.DOTALL)
WRONG = b'{"batchItemFailures":[{"itemIdentifier":"another tenant"}]}'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the responder answers.

    Attributes:
        delay: seconds before each answer.
        certificate: a file with its chain and its private key, for TLS.
        keeps: connections are kept; otherwise each ends with its first answer.
        resumes: gives the tickets that a client needs to resume a TLS session.
    """

    delay: float = 0.0
    certificate: str = ""
    keeps: bool = True
    resumes: bool = True

    def context(self) -> ssl.SSLContext | None:
        """For TLS."""
        if not self.certificate:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        if not self.resumes:
            context.num_tickets = 0
        return context


def answer_for(tenant: str) -> bytes:
    """What the function answers: JSON that says the tenant."""
    body = json.dumps({"tenant": tenant})
    return json.dumps({"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}).encode()


def answer_to(payload: bytes, tenant: bytes) -> bytes:
    """The answer to an invocation for a tenant."""
    record = _RECORD.match(payload)
    if record is None:
        return answer_for(tenant.decode())
    named = record[1]
    if b'"kinesis"' in payload:
        named = json.loads(base64.b64decode(named))["tenant"].encode()
    return b"null" if named == tenant else WRONG


async def answer(manner: Manner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads whole requests, and answers them until the client goes."""
    last = b"" if manner.keeps else b"connection: close\r\n"
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if (length := _LENGTH.search(head)) is None:
                break
            payload = await reader.readexactly(int(length[1]))
            tenant = _TENANT.search(head)
            body = answer_to(payload, tenant[1] if tenant else b"")
            if manner.delay:
                await asyncio.sleep(manner.delay)
            writer.write(_HEAD % (len(body), last) + body)
            await writer.drain()
            if last:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def serve(manner: Manner) -> None:
    server = await asyncio.start_server(
        partial(answer, manner), "127.0.0.1", 0, limit=2**20, backlog=512, ssl=manner.context()
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def responding(manner: Manner = Manner()) -> Iterator[str]:
    """The endpoint's URL, while the block lasts."""
    command = [sys.executable, "-m", "benchmarks.responder", json.dumps(asdict(manner))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http{'s' if manner.certificate else ''}://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(Manner(**json.loads(sys.argv[1]))))
