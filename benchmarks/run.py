"""CPU per request: the bridge with either invoker, against a bare boto3 call, and the least that a POST costs.

Pairs are interleaved and CPU time is counted, not the clock's: the machine is shared. The invoked function is a
responder in another process.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.cpu import microseconds
from benchmarks.responder import responding
from lattice_bridge.invoke import Call
from lattice_bridge.invoke_direct import direct_invoker
from lattice_bridge.wiring import make_handler

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, CALLS = 15, 200
EVENT = {
    "version": "2.0",
    "path": "/isolated/orders/17?expand=lines&expand=customer",
    "method": "POST",
    "headers": {
        "host": ["orders.example"],
        "content-type": ["application/json"],
        "user-agent": ["python-httpx/0.28"],
        "x-forwarded-for": ["10.0.3.17"],
        "accept": ["*/*"],
    },
    "queryStringParameters": {"expand": ["lines", "customer"]},
    "body": "x" * 1024,
    "requestContext": {
        "serviceNetworkArn": "arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0bf3f2882e9cc805a",
        "serviceArn": "arn:aws:vpc-lattice:us-east-1:123456789012:service/svc-0a40eebed65f8d69c",
        "targetGroupArn": "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-6d0ecf831eec9f09",
        "identity": {
            "sourceVpcArn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0b8276c84697e7339",
            "type": "AWS_IAM",
            "principal": "arn:aws:sts::111122223333:assumed-role/blue-api/i-0c7f5a1e",
            "principalOrgID": "o-a1b2c3d4e5",
            "sessionName": "i-0c7f5a1e",
        },
        "region": "us-east-1",
        "timeEpoch": "1696331543569690",
    },
    "requestId": "0e3bd8c8-6ef7-4f0d-8b0a-4f4b1d6f1f00",
}


PAYLOAD = b'{"body": "' + b"x" * 1900 + b'"}'


class Context:
    aws_request_id = "8f5a7b1c-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def bridge(folder: str, environ: MutableMapping[str, str], invoker: str) -> Callable[[], object]:
    """One request through the shipped configuration, logging on. The environment is the process's own, as in Lambda:
    a look at it costs more than one at a dictionary."""
    sink = Path(os.devnull).open("w", encoding="ascii")  # noqa: SIM115 - open as long as the process
    path = Path(folder, f"{invoker}.toml")
    path.write_text(f'invoker = "{invoker}"\n' + (ROOT / "bridge.toml").read_text(encoding="utf-8"), encoding="utf-8")
    environ["LATTICE_BRIDGE_CONFIG"] = str(path)
    handler = make_handler(environ, sink.write)
    assert handler(EVENT, Context())["statusCode"] == 200
    return lambda: handler(EVENT, Context())


def bare_boto3() -> Callable[[], object]:
    import boto3

    client = boto3.session.Session(region_name="us-east-1").client("lambda")

    def call() -> object:
        return client.invoke(FunctionName="counter-isolated", TenantId="BlueTenant", Payload=PAYLOAD)["Payload"].read()

    return call


def bare_direct(environ: Mapping[str, str]) -> Callable[[], object]:
    invoke = direct_invoker(environ)
    call = Call("counter-isolated", "BlueTenant", PAYLOAD, "sync", 28.0, 29.5)
    return lambda: invoke(call)


def bare_post(url: str) -> Callable[[], object]:
    """The floor: http.client, a kept-open connection, nothing signed and nothing checked."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call() -> object:
        connection.request("POST", "/2015-03-31/functions/counter-isolated/invocations", PAYLOAD)
        return connection.getresponse().read()

    return call


def without_invoke() -> Callable[[], object]:
    """Everything the bridge does itself, with an invocation that costs nothing."""
    from benchmarks.responder import ANSWER
    from lattice_bridge.bridge import Bridge
    from lattice_bridge.settings import Settings

    settings = Settings.from_text((ROOT / "bridge.toml").read_text(encoding="utf-8"))
    sink = Path(os.devnull).open("w", encoding="ascii")  # noqa: SIM115 - open as long as the process
    own = Bridge(settings.tenant_map, lambda _call: ANSWER, backends=settings.options.backends, write=sink.write)
    return lambda: own(EVENT, Context())


def main() -> None:
    with responding() as url, tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            AWS_ENDPOINT_URL_LAMBDA=url, AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s", AWS_REGION="us-east-1"
        )
        calls = {
            "bridge, direct": bridge(folder, os.environ, "direct"),
            "bridge, boto3": bridge(folder, os.environ, "boto3"),
            "bridge without invoke": without_invoke(),
            "bare boto3.invoke": bare_boto3(),
            "bare direct invoke": bare_direct(os.environ),
            "bare http.client POST, unsigned": bare_post(url),
        }
        for call in calls.values():
            microseconds(call, CALLS)
        rounds = [{name: microseconds(call, CALLS) for name, call in calls.items()} for _ in range(ROUNDS)]
    table = Table(title=f"CPU per request, 1 KB body, {ROUNDS} rounds of {CALLS}, Python {sys.version.split()[0]}")
    for column in ("", "median µs", "lowest", "highest", "ratio to bare boto3"):
        table.add_column(column, justify="left" if not column else "right")
    for name in calls:
        found = [measured[name] for measured in rounds]
        ratio = statistics.median(measured[name] / measured["bare boto3.invoke"] for measured in rounds)
        table.add_row(
            name, *(f"{value:.0f}" for value in (statistics.median(found), min(found), max(found))), f"{ratio:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
