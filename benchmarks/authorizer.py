"""What one decision of the map as a Lambda authorizer costs: from the event to the answer, with both log lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.cpu import in_turns
from benchmarks.section import Bench, Section
from benchmarks.table import Table
from benchmarks.tokens import POOL, tenant_map, token
from lattice_bridge.authorize import Authorizer

ROUNDS, CALLS = 15, 300
API: Final = "a1b2c3d4e5"
REMEMBERED: Final = "REST API, a token seen before"
NEW: Final = "REST API, a token never seen, ES256"
REFUSED: Final = "REST API, a tenant that the token does not allow"


def event(bearer: str, **headers: str) -> dict[str, Any]:
    """An event of the size that AWS documents."""
    sent = {
        *(("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("Host", f"{API}.execute-api.eu-west-1.amazonaws.com")),
        *(("User-Agent", "curl/8.7.1"), ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")),
        *(("Authorization", f"Bearer {bearer}"), ("X-Amzn-Trace-Id", "Root=1-5e66d96f-7491f09xmpl79d18acf3d050")),
        *headers.items(),
    }
    return {
        "type": "REQUEST",
        "methodArn": f"arn:aws:execute-api:eu-west-1:111122223333:{API}/prod/GET/orders/7",
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": dict(sent),
        "multiValueHeaders": {name: [value] for name, value in sent},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "requestContext": {"apiId": API, "stage": "prod", "requestId": "c6af9ac6-7b61", "identity": {}},
    }


def answering(authorizer: Authorizer, events: list[dict[str, Any]]) -> Callable[[], object]:
    turns: Iterator[dict[str, Any]] = cycle(events)
    return lambda: authorizer(next(turns), None)


def run(bench: Bench) -> Section:
    key = ec.generate_private_key(ec.SECP256R1())
    found = tenant_map({"ES256": key})
    authorizer = Authorizer(found, apis=[API], write=lambda _text: None)
    tokens = [token(key, "ES256", number) for number in range(bench.few(POOL))]
    first = event(tokens[0])
    assert authorizer(first, None)["context"] == {"tenantId": "blue"}
    calls = {
        REMEMBERED: answering(authorizer, [first]),
        NEW: answering(authorizer, [event(one) for one in tokens]),
        REFUSED: answering(authorizer, [event(tokens[0], **{"X-Tenant-Id": "green"})]),
    }
    rows = in_turns(calls, REMEMBERED, bench.few(ROUNDS), bench.few(CALLS))
    title = "The map as a Lambda authorizer: CPU of one decision, in µs; at most 1,000"
    return Section([Table(title, ("", "median", "range", "over a token seen before"), rows)])
