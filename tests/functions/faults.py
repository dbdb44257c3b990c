"""Handlers that fail in many ways. The local stack runs them; no test imports them."""

import ctypes
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any


def echo(event: Any, context: Any) -> dict[str, Any]:
    """Returns the event, the context and the environment."""
    print("echo was here")
    return {
        "event": event,
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "path0": sys.path[0],
        "tenant": context.tenant_id,
        "arn": context.invoked_function_arn,
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "client_context": context.client_context.custom if context.client_context else None,
        "environ": dict(os.environ),
    }


def reply(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Returns a valid reply that contains the event."""
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}


def cookies(_event: Any, _context: Any) -> dict[str, Any]:
    return {
        "statusCode": 200,
        "headers": {"x-a": "1", "content-length": "999"},
        "cookies": ["a=1", "b=2"],
        "body": "ok",
    }


def raises(_event: Any, _context: Any) -> None:
    raise RuntimeError("a secret of the function")


def unended(event: dict[str, str], _context: Any) -> None:
    """Prints a line without its end, then ends as the event says."""
    sys.stderr.write(event["text"])
    if event["then"] == "raise":
        raise RuntimeError
    if event["then"] == "exit":
        os._exit(7)
    if event["then"] == "hang":
        time.sleep(600)


def exits(_event: Any, _context: Any) -> None:
    os._exit(7)


def leaves(_event: Any, _context: Any) -> None:
    sys.exit(0)


def crashes(_event: Any, _context: Any) -> None:
    ctypes.string_at(0)


def hangs(_event: Any, _context: Any) -> None:
    time.sleep(600)


def floods(event: dict[str, Any], _context: Any) -> dict[str, int]:
    size = int(event.get("bytes", 20_000_000))
    line = "x" * 99 + "\n"
    for _ in range(size // 100):
        sys.stdout.write(line)
    os.write(2, b"y" * 1_000_000)  # without an end of line
    print("the last line")
    return {"written": size}


def forks(_event: Any, _context: Any) -> dict[str, int]:
    """Starts a child that leaves the process group and keeps the pipe open."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return {"child": child.pid, "pid": os.getpid()}


def nonsense(_event: Any, _context: Any) -> list[str]:
    return ["not", "a", "reply"]


def not_json(_event: Any, _context: Any) -> bytes:
    return b"\xff\xfe not json"


def too_large(_event: Any, _context: Any) -> str:
    return "x" * (6 * 1024 * 1024 + 200)


def slow(event: dict[str, Any], _context: Any) -> dict[str, int]:
    time.sleep(float(event.get("seconds", 0.3)))
    return {"pid": os.getpid()}


def fails_at_first(event: dict[str, Any], _context: Any) -> None:
    """Fails as often as the event says, as long as its process lives."""
    print("run")
    runs.append(1)
    if len(runs) <= event["fail"]:
        raise RuntimeError("not yet")


runs: list[int] = []


def files(event: dict[str, str], _context: Any) -> dict[str, Any]:
    """Runs a shell command, and returns its output, its process and its temporary folder."""
    done = subprocess.run(event["run"], shell=True, capture_output=True, text=True, check=False)
    user = os.readlink("/proc/self/ns/user") if os.path.exists("/proc/self/ns") else None
    return {"pid": os.getpid(), "out": done.stdout, "err": done.stderr, "tmp": tempfile.gettempdir(), "user": user}


def breaks_off(_event: Any, context: Any) -> None:
    """Dies in the middle of its response."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    connection = http.client.HTTPConnection(address)
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response")
    connection.putheader("content-length", "1000")
    connection.endheaders()
    connection.send(b"12345")
    os._exit(9)


def raises_much(_event: Any, _context: Any) -> None:
    raise RuntimeError("x" * 7_000_000)


def escapes(_event: Any, _context: Any) -> int:
    """Starts a child that leaves the process group and has no environment variables."""
    command = [sys.executable, "-I", "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(command, env={}, start_new_session=True).pid
