"""A Lambda Invoke endpoint that answers with the tenant it was asked for, in a process of its own, so that its CPU is
not counted."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TENANT = re.compile(rb"\r\nx-amz-tenant-id: *([^\r]*)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def answer_for(tenant: str) -> bytes:
    """What the function answers: JSON that says the tenant."""
    body = json.dumps({"tenant": tenant})
    return json.dumps({"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}).encode()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads whole requests, and answers them until the client goes."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if (length := _LENGTH.search(head)) is None:
                break
            await reader.readexactly(int(length[1]))
            tenant = _TENANT.search(head)
            body = answer_for(tenant[1].decode() if tenant else "")
            writer.write(_HEAD % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def serve() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def responding() -> Iterator[str]:
    """The endpoint's URL, while the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.responder"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve())
