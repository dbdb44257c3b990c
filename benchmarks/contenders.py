"""The contenders, each of which runs in a process of its own.

Rule: a contender imports what it needs when it is made. Each checks its answers: a fast refusal is not a fast request.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.batch import ARN, FIFO_ARN, STREAM_ARN, TABLE_ARN, batch_of, record
from benchmarks.configuration import FUNCTION, ISSUER
from benchmarks.request import EVENT, TENANT, Context, by_token, large, of_tenant

Batch = Callable[[int], int]
"""Makes so many requests. Returns how many answers were of another tenant."""

Handler = Callable[[Any, Any], Mapping[str, Any]]

THREADS: Final = 32
TENANTS: Final = 64
"""Of the soak."""
PAYLOAD: Final = json.dumps(EVENT, separators=(",", ":")).encode()
_PATH: Final = "/2015-03-31/functions/counter-isolated%3Alive/invocations"


def ours() -> Handler:
    """As `lattice_bridge.main` has it: log lines go to `sys.stdout`."""
    from lattice_bridge.bootstrap import make_handler

    return make_handler(os.environ)


def powertools() -> Handler:
    from benchmarks.powertools import handler

    return handler


def one_event(make: Callable[[], Handler]) -> Batch:
    return _requests(make(), [EVENT])


def by_boto3() -> Batch:
    """The bridge with its other invoker."""
    path = Path(os.environ["LAMBDA_TASK_ROOT"], "bridge.toml")
    other = path.with_name("boto3.toml")
    other.write_text(f'invoker = "boto3"\n{path.read_text(encoding="utf-8")}', encoding="utf-8")
    os.environ["LATTICE_BRIDGE_CONFIG"] = other.name
    return one_event(ours)


def remembered_token() -> Batch:
    return _requests(ours(), [by_token(token) for token in _tokens(1)])


def fresh_tokens() -> Batch:
    """More tokens than the cache keeps, in turn, so that each is verified again."""
    from lattice_bridge.identity.token import CACHE_SIZE

    return _requests(ours(), [by_token(token) for token in _tokens(CACHE_SIZE + 100)])


def without_invoke() -> Batch:
    """The bridge alone, with an invocation that costs nothing."""
    from benchmarks.responder import answer_for
    from lattice_bridge.bridge import Bridge
    from lattice_bridge.config.settings import Settings

    settings, answer = Settings.load(os.environ), answer_for(TENANT)
    bridge = Bridge(settings.tenant_map, lambda _call: answer, backends=settings.options.backends)
    return _requests(bridge, [EVENT])


def bare_direct() -> Batch:
    """The direct invoker alone."""
    from lattice_bridge.invoke.call import Call
    from lattice_bridge.invoke.direct import direct_invoker

    invoke = direct_invoker(os.environ)
    call = Call(FUNCTION, TENANT, PAYLOAD, "sync", 28.0, 29.5)
    return _calls(lambda: invoke(call))


def bare_boto3() -> Batch:
    import boto3

    client = boto3.client("lambda")

    def call() -> object:
        return client.invoke(FunctionName=FUNCTION, TenantId=TENANT, Payload=PAYLOAD)["Payload"].read()

    return _calls(call)


def bare_post() -> Batch:
    """The floor: http.client, a kept-open connection, nothing signed and nothing checked."""
    address = urlsplit(os.environ["AWS_ENDPOINT_URL_LAMBDA"])
    host, port = str(address.hostname), address.port
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, context=context)
    else:
        connection = http.client.HTTPConnection(host, port)

    def call() -> object:
        connection.request("POST", _PATH, PAYLOAD, {"x-amz-tenant-id": TENANT})
        return connection.getresponse().read()

    return _calls(call)


def large_bodies(make: Callable[[], Handler]) -> Batch:
    """Warmed up with small requests. The large event is made when it is first needed, not before."""
    handler = make()
    _requests(handler, [EVENT])(20)
    event = cache(large)

    def batch(number: int) -> int:
        for _ in range(number):
            _check(handler(event(), Context()), TENANT)
        return 0

    return batch


def in_threads(make: Callable[[], Handler], *, may_cross: bool = False) -> Batch:
    """Each thread asks for a tenant of its own.

    Args:
        make: the handler.
        may_cross: answers of another tenant are counted; otherwise the first one ends the run.
    """
    handler = make()
    pool = ThreadPoolExecutor(THREADS)

    def one(thread: int, number: int) -> int:
        event, tenant, crossed = of_tenant(thread), f"tenant-{thread}", 0
        for _ in range(number):
            reply = handler(event, Context())
            if may_cross and reply["statusCode"] == 200 and tenant not in json.loads(reply["body"]).values():
                crossed += 1
            else:
                _check(reply, tenant)
        return crossed

    return lambda number: sum(pool.map(lambda thread: one(thread, number // THREADS), range(THREADS)))


def many_tenants() -> Batch:
    """Each thread asks for all tenants in turn, and begins with another than its neighbours."""
    handler = ours()
    pool = ThreadPoolExecutor(THREADS)
    events = [(of_tenant(number), f"tenant-{number}") for number in range(TENANTS)]

    def one(thread: int, number: int) -> None:
        for turn in range(number):
            event, tenant = events[(thread + turn) % TENANTS]
            _check(handler(event, Context()), tenant)

    def batch(number: int) -> int:
        list(pool.map(lambda thread: one(thread, number // THREADS), range(THREADS)))
        return 0

    return batch


def of_records(make: Callable[[], Handler], arn: str, size: int) -> Batch:
    """Batches of so many records. Each record of a FIFO queue has a group of its own."""
    handler, event = make(), batch_of(arn, size)

    def batch(number: int) -> int:
        for _ in range(max(number // size, 1)):
            answer = handler(event, Context())
            if answer != {"batchItemFailures": []}:
                raise AssertionError(f"{arn}: {answer}")
        return 0

    return batch


def records_by_powertools() -> Handler:
    from benchmarks.powertools_records import handler

    return handler


def bare_records(arn: str) -> Batch:
    """The direct invoker alone, with a record's payload."""
    from lattice_bridge.invoke.call import Call
    from lattice_bridge.invoke.direct import direct_invoker

    invoke = direct_invoker(os.environ)
    call = Call(FUNCTION, TENANT, json.dumps({"Records": [record(arn, 0)]}).encode(), "sync", 28.0, 29.5)
    return _calls(lambda: invoke(call))


def bare_records_in_threads(arn: str) -> Batch:
    """The same with as many threads as the router has: some of what threads cost is not the router's."""
    batch = bare_records(arn)
    pool = ThreadPoolExecutor(BATCH)
    return lambda number: sum(pool.map(batch, [number // BATCH] * BATCH))


OURS: Final = "the bridge, by IAM principal"
REMEMBERED: Final = "the bridge, by a remembered token"
FRESH: Final = "the bridge, by a fresh RS256 token"
BOTO3: Final = 'the bridge, invoker = "boto3"'
OWN: Final = "the bridge, without its invoke"
DIRECT: Final = "its direct invoker alone"
INVOKE: Final = "bare boto3 lambda.invoke"
POWERTOOLS: Final = "Powertools' resolver and boto3"
POST: Final = "unsigned http.client POST"
LARGE: Final = "the bridge, 6 MB"
LARGE_POWERTOOLS: Final = "Powertools' resolver and boto3, 6 MB"
MANY: Final = "the bridge, 32 threads"
MANY_POWERTOOLS: Final = "Powertools' resolver and boto3, 32 threads"
SOAK: Final = "the bridge, 32 threads, 64 tenants"
BATCH, GROUPS = 10, 100
ONE: Final = "the router, concurrency 1"
SIXTEEN: Final = "the router, concurrency 16"
BARE: Final = "direct invoker alone, a record"
BARE_THREADS: Final = f"direct invoker alone, {BATCH} threads"
STREAM_ONE: Final = f"{ONE}, Kinesis"
STREAM_SIXTEEN: Final = f"{SIXTEEN}, Kinesis"
STREAM_BARE: Final = f"{BARE} of Kinesis"
STREAM_BARE_THREADS: Final = f"{BARE_THREADS}, Kinesis"
TABLE_ONE: Final = f"{ONE}, DynamoDB"
TABLE_SIXTEEN: Final = f"{SIXTEEN}, DynamoDB"
TABLE_BARE: Final = f"{BARE} of DynamoDB"
TABLE_BARE_THREADS: Final = f"{BARE_THREADS}, DynamoDB"
RECORDS_POWERTOOLS: Final = "Powertools' BatchProcessor and boto3"
GROUPS_OURS: Final = "the router, 100 groups"
GROUPS_POWERTOOLS: Final = "Powertools' BatchProcessor and boto3, 100 groups"

CONTENDERS: Final[Mapping[str, Callable[[], Batch]]] = {
    OURS: partial(one_event, ours),
    REMEMBERED: remembered_token,
    FRESH: fresh_tokens,
    BOTO3: by_boto3,
    OWN: without_invoke,
    DIRECT: bare_direct,
    INVOKE: bare_boto3,
    POWERTOOLS: partial(one_event, powertools),
    POST: bare_post,
    LARGE: partial(large_bodies, ours),
    LARGE_POWERTOOLS: partial(large_bodies, powertools),
    MANY: partial(in_threads, ours),
    MANY_POWERTOOLS: partial(in_threads, powertools, may_cross=True),
    SOAK: many_tenants,
    ONE: partial(of_records, ours, ARN, BATCH),
    SIXTEEN: partial(of_records, ours, ARN, BATCH),
    BARE: partial(bare_records, ARN),
    BARE_THREADS: partial(bare_records_in_threads, ARN),
    STREAM_ONE: partial(of_records, ours, STREAM_ARN, BATCH),
    STREAM_SIXTEEN: partial(of_records, ours, STREAM_ARN, BATCH),
    STREAM_BARE: partial(bare_records, STREAM_ARN),
    STREAM_BARE_THREADS: partial(bare_records_in_threads, STREAM_ARN),
    TABLE_ONE: partial(of_records, ours, TABLE_ARN, BATCH),
    TABLE_SIXTEEN: partial(of_records, ours, TABLE_ARN, BATCH),
    TABLE_BARE: partial(bare_records, TABLE_ARN),
    TABLE_BARE_THREADS: partial(bare_records_in_threads, TABLE_ARN),
    RECORDS_POWERTOOLS: partial(of_records, records_by_powertools, ARN, BATCH),
    GROUPS_OURS: partial(of_records, ours, FIFO_ARN, GROUPS),
    GROUPS_POWERTOOLS: partial(of_records, records_by_powertools, FIFO_ARN, GROUPS),
}


def _requests(handler: Handler, events: Iterable[Any]) -> Batch:
    turns = cycle(events)
    return _calls(lambda: _check(handler(next(turns), Context()), TENANT))


def _calls(call: Callable[[], object]) -> Batch:
    def batch(number: int) -> int:
        for _ in range(number):
            call()
        return 0

    return batch


def _check(reply: Mapping[str, Any], tenant: str) -> None:
    if reply["statusCode"] != 200 or reply["body"] != f'{{"tenant": "{tenant}"}}':
        raise AssertionError(f"for {tenant}: {reply}")


def _tokens(number: int) -> list[str]:
    import jwt

    private = json.loads(Path(os.environ["LAMBDA_TASK_ROOT"], "private.json").read_text(encoding="utf-8"))
    algorithm: Any = jwt.get_algorithm_by_name("RS256")
    key, now = algorithm.from_jwk(private), int(time.time())
    claims = {"iss": ISSUER, "aud": "orders", "iat": now, "exp": now + 3600, "tenant": TENANT}
    return [jwt.encode({**claims, "sub": f"u-{one}"}, key, "RS256", {"kid": "k1"}) for one in range(number)]
