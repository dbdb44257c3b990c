"""A Lambda Invoke endpoint in a process of its own, so that its CPU is not counted.

It answers an HTTP event with the tenant it was asked for. It answers a record with `null`, as a function that has
processed it, if it was asked for the record's own tenant, and reports a failure otherwise.
`python -m benchmarks.responder SECONDS` waits so long before each answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TENANT = re.compile(rb"\r\nx-amz-tenant-id: *([^\r]*)", re.IGNORECASE)
_RECORD = re.compile(rb'\{"Records": ?\[.*"(?:tenant": ?\{"(?:stringValue|S)|data)": ?"([^"]*)"', re.DOTALL)
WRONG = b'{"batchItemFailures":[{"itemIdentifier":"another tenant"}]}'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


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


async def answer(delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads whole requests, and answers them until the client goes."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if (length := _LENGTH.search(head)) is None:
                break
            payload = await reader.readexactly(int(length[1]))
            tenant = _TENANT.search(head)
            body = answer_to(payload, tenant[1] if tenant else b"")
            if delay:
                await asyncio.sleep(delay)
            writer.write(_HEAD % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def serve(delay: float) -> None:
    server = await asyncio.start_server(partial(answer, delay), "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def responding(delay: float = 0.0) -> Iterator[str]:
    """The endpoint's URL, while the block lasts. It waits `delay` seconds before each answer."""
    command = [sys.executable, "-m", "benchmarks.responder", str(delay)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
