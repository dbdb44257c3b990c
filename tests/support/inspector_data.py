"""Entries of the inspector for tests of its page: decisions by `explain`, events of the builders, hostile strings.

Rule: they are entries of the real timeline, as a stack captures them. The real server makes of them what the page gets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, Invoked, InvokeIn, RecordIn, RecordOut
from lattice_bridge.testing import sqs_event, sqs_record
from tests.support.builders import ACCOUNT, MAP, role, v1, v2
from tests.support.commands import read
from tests.support.queue_maps import ORDERS, QUEUES
from tests.support.queue_maps import SHOP as SENDER

Document = dict[str, Any]

SCRIPT: Final = '<script>alert(1)</script><img src=x onerror="alert(2)">'
ANSI: Final = "\x1b[31mred\x1b[0m\x07"
RIGHT_TO_LEFT: Final = "\u202egnp.exe\u2066 שלום עולם"
BODY: Final = {
    "order": 12345678901234567890,
    "items": [{"sku": "A-1", "count": 2}, {"sku": "B-7", "count": 1}],
    "notes": None,
    "password": "4111111111111111",
}
HUGE: Final = json.dumps({"text": "x" * 6_000_000}).encode()
"""The largest payload that Lambda takes."""
BEGIN: Final = 1_795_000_000.0


@cache
def _explained(map_text: str, *arguments: str, stdin: str | None = None) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bridge.toml"
        path.write_text(map_text, encoding="utf-8")
        return read("explain", "--map", str(path), "--json", *arguments, stdin=stdin).output


def decision_of(event: Mapping[str, Any], map_text: str = MAP, **more: Any) -> Document:
    """The member `decision` of a detail, as `explain --json` explains the event."""
    found = json.loads(_explained(map_text, "-", stdin=json.dumps(event)))
    documents = [{**one, **more} for one in found.get("records", [found])]
    return {"documents": documents, "same_map": True, "map": "bridge.toml", "error": None}


@dataclass(frozen=True, slots=True)
class Made:
    """An entry, and its decision as `decision.decide` would explain it."""

    entry: Entry
    decision: Mapping[str, Any] | None = None


def entry(n: int, path: str, *, content: Content | None = None, **fields: Any) -> Entry:
    """An entry with harmless defaults. `n` is the number that the timeline will give it."""
    defaults: Document = {
        "at": BEGIN + n * 1.37,
        "way": "lattice",
        "source": "shop",
        "method": "GET",
        "id": f"4f0e6a58-11c2-4d7a-9c64-{n:012x}",
        "caller": "role blue-api",
        "tenant": "blue",
        "state": "ended",
        "outcome": "ok",
        "status": 200,
        "reason": "ok",
        "ms": 12.4,
        "function": "orders",
    }
    return Entry(path=path, content=content, **{**defaults, **fields})


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()


def invoked(of: Entry, function: str, tenant: str | None, payload: Any, answer: Any, **fields: Any) -> Invoked:
    """An invocation that began `after` milliseconds and ran for `ms`."""
    ms, init = fields.pop("ms", 8.3), fields.get("init_ms")
    return Invoked(
        function,
        f"{of.id}-{function}",
        _json(payload),
        of.at + fields.pop("after", 1.2) / 1000,
        tenant=tenant,
        answer=None if answer is None else _json(answer),
        environment=f"{function}{f'/{tenant}' if tenant else ''}#1",
        ms=ms,
        took_ms=ms + (init or 0),
        **fields,
    )


def of_http(of: Entry, built: Mapping[str, Any], answer: Any, **fields: Any) -> Made:
    """A request through the bridge, to the function if the bridge allows it.

    Args:
        of: the entry, without its content.
        built: the event.
        answer: of the function, or the bridge's own.
        fields: `sent` is the body, `target` has the query, `decision` is another one; the rest is of the content.
    """
    decision = fields.pop("decision", None) or decision_of(built)
    sent, target = fields.pop("sent", b""), fields.pop("target", of.path)
    (found,) = decision["documents"]
    total = of.ms or 5.0
    reply = {"statusCode": of.status, "body": json.dumps(answer)}
    line: Document = {
        "message": "request",
        "requestId": of.id,
        "status": of.status,
        "reason": of.reason,
        "tenant": of.tenant,
    }
    line["milliseconds"] = {"parse": 0.3, "decide": 0.4, "total": total - 1.1}
    calls = [
        invoked(
            *(of, "bridge", None, built, reply),
            after=0.6,
            ms=round(total - 1.1, 1),
            log=[json.dumps(line)],
            is_bridge=True,
        )
    ]
    if found["allowed"] and of.function:
        log = [f"INFO\tlisting orders of {of.tenant}", f"INFO\t{ANSI} done"]
        init = 0.4 * total if of.cold else None
        more = {"cold": of.cold, "init_ms": init, "log": log, "role": "behind"}
        calls.append(invoked(of, "orders", of.tenant, built, reply, after=2.1, ms=total / 2 - 1.4, **more))
    came_in = HttpIn(
        HttpRequest(of.method or "GET", target, _headers(built, found["caller"]), _json(sent)),
        access_key="LOCALBLUEAPI" if found["caller"] else None,
        principal=found["caller"],
    )
    response = HttpResponse(of.status or 200, [("content-type", "application/json")], _json(answer))
    of.content = Content(**{"came_in": came_in, "invocations": calls, "reply": response, "line": line, **fields})
    return Made(of, decision)


def _headers(event: Mapping[str, Any], principal: str | None) -> list[tuple[str, str]]:
    found = [(name, value[0] if isinstance(value, list) else value) for name, value in event["headers"].items()]
    signature = [
        ("authorization", f"AWS4-HMAC-SHA256 Credential=LOCALBLUEAPI/20261118/us-east-1/, Signature={'0f' * 32}"),
        ("x-amz-date", "20261118T093412Z"),
    ]
    return [*found, ("user-agent", "curl/8.11.0"), *(signature if principal else [])]


def of_record(of: Entry, event: Mapping[str, Any], reply: RecordOut, text: str | None = None) -> Made:
    """A message that a router reads, to the worker if the bridge allows it."""
    (record,) = event["Records"]
    decision = decision_of(event, QUEUES)
    line = {"message": "record", "milliseconds": {"total": 9.0}}
    answer: Document = {"batchItemFailures": []}
    calls = [invoked(of, "router", None, event, answer, after=0.8, ms=9.1, is_bridge=True)]
    if decision["documents"][0]["allowed"]:
        calls.append(
            invoked(of, "orders-worker", of.tenant, event, answer, after=3.1, ms=5.2, role="behind"),
        )
    came_in = RecordIn(_json(record), "batch-31", target="router")
    of.content = Content(came_in, invocations=calls, reply=reply, text=text, line=line)
    return Made(of, decision)


def entries(now: float | None = None) -> list[Made]:
    """One entry of each kind, the oldest first, the newest at `now`."""
    found = [*_requests(), *_records(), *_hostile()]
    if now is not None:
        for place, one in enumerate(reversed(found)):
            one.entry.at = now - 1.7 * place**1.3
    return found


def _requests() -> list[Made]:
    blue, stranger = role("blue-api"), role("blue-api", "444455556666")
    orders = {"tenant": "blue", "orders": [{"id": 17, "state": "paid"}, {"id": 18, "state": "open"}]}
    asks = {"x-tenant-id": "green"}
    refused: Document = {"tenant": None, "outcome": "refused", "status": 403, "function": None, "ms": 2.9}
    failed: Document = {"outcome": "failed", "status": 502, "reason": "function_error", "ms": 31.0}
    conditions = [
        _condition("source_vpc", "vpc-0a1b2c3d4e5f60718", "vpc-0a1b2c3d4e5f60718", holds=True),
        _condition("principal_org", "o-a1b2c3d4e5", None, holds=False),
    ]
    path = "/orders?status=open&token=twelve-chars"
    denied = entry(4, "/orders", reason="tenant_not_allowed", **refused)
    unknown = entry(5, "/orders/17", reason="no_rule", **{**refused, "caller": "role blue-api of 444455556666"})
    stopped = entry(6, "/exports", reason="tenant_not_allowed", **refused)
    choice = entry(8, "/orders", caller="role support", tenant="green", replay_of=4)
    with_conditions = decision_of(v2(blue, headers=asks), conditions=conditions)
    return [
        of_http(entry(1, "/orders", ms=412.0, cold=True), v2(blue), orders, target=path),
        of_http(entry(2, "/orders", ms=9.6), v2(blue), orders),
        of_http(
            *(entry(3, "/orders", method="POST", tenant="green", status=201, caller="role support"),),
            *(v2(role("support"), method="POST", headers=asks, body=json.dumps(BODY)), {"id": 19}),
            sent=BODY,
        ),
        of_http(
            *(denied, v2(blue, headers=asks), {"error": "tenant_not_allowed"}),
            text="rule blue-api does not allow the tenant green. Fix: add green to the rule, or do not ask for it",
        ),
        of_http(unknown, v2(stranger), {"error": "no_rule"}, text="no rule is for the role blue-api of 444455556666"),
        of_http(stopped, v2(blue, headers=asks), {"error": "tenant_not_allowed"}, decision=with_conditions),
        of_http(
            *(entry(7, "/orders/9", method="DELETE", **failed), v1(blue), {"error": "function_error"}),
            text="orders/blue#1 raised KeyError: 'state'",
        ),
        of_http(choice, v2(role("support"), headers=asks), {"tenant": "green", "orders": []}),
        _unread(),
    ]


def _unread() -> Made:
    """A request that the front has refused before it read the body."""
    request = HttpRequest("POST", "/health", [("host", "shop"), ("content-length", "99999999")])
    content = Content(
        HttpIn(request, body_read=False),
        reply=HttpResponse(413),
        text="The front refused the request: it is too large.",
    )
    fields: Document = {"method": "POST", "outcome": "refused", "status": 413, "reason": "too_large", "ms": 0.3}
    return Made(entry(9, "/health", tenant=None, caller=None, function=None, content=content, **fields))


def _condition(name: str, expected: str, actual: str | None, *, holds: bool) -> Document:
    return {"rule": "blue-api", "name": name, "expected": expected, "actual": actual, "holds": holds}


def _records() -> list[Made]:
    sender = f"{SENDER}:i-1"
    queue: Document = {"way": "queue", "source": "orders", "method": None, "status": None, "caller": f"sender {SENDER}"}
    attributes = {"tenant": "blue", "login": "ann password=hunter2"}
    message = sqs_event(sqs_record(queue=ORDERS, sender=sender, attributes=attributes, body='{"order": 17}'))
    other = sqs_event(sqs_record(queue=ORDERS, sender=sender, attributes={"tenant": "pink"}, body='{"order": 18}'))
    aside: Document = {"outcome": "quarantined", "reason": "tenant_not_allowed", "tenant": None, "ms": 6.4}
    more: Document = {"method": None, "status": None, "caller": None}
    bus: Document = {**more, "way": "bus", "source": "shop", "caller": f"account {ACCOUNT}", "tenant": "green"}
    call = entry(15, "orders", **more, way="invoke", source="", ms=18.2)
    payload = {"a": 1}
    call.content = Content(
        InvokeIn("orders", _json(payload), "blue"),
        invocations=[invoked(call, "orders", "blue", payload, {"ok": True}, after=0.4, ms=17.6, log=["START", "END"])],
    )
    return [
        of_record(
            *(entry(10, "5c0cb1a2-7d1e-4f6b-9d2c-8a4f0e6a5811", function="orders-worker", ms=11.2, **queue), message),
            RecordOut("deleted", "The function succeeded, so the queue deleted the message."),
        ),
        of_record(
            *(entry(11, "77aa01b3-2b64-4c1f-8f0e-6a5811c24d7a", function=None, **{**queue, **aside}), other),
            RecordOut("quarantined", "A copy is stored in orders-quarantine."),
            "rule shop does not allow the tenant pink: a copy is stored in orders-quarantine",
        ),
        Made(entry(12, "shardId-000000000000:4965", **more, way="stream", source="clicks", ms=4.8)),
        Made(entry(13, "4421584500000000017450439091", **more, way="table", source="carts", ms=7.7)),
        Made(entry(14, "Order Placed", **bus, ms=5.1, content=Content())),
        Made(call),
    ]


def _hostile() -> list[Made]:
    long_path = "/" + "very-long/" * 1024
    blue = role("blue-api")
    missing = entry(
        16, f"/{SCRIPT}", tenant=SCRIPT, caller=f"role {SCRIPT}", reason="no_rule", outcome="refused", status=403
    )
    coloured = entry(17, f"/{ANSI}/{RIGHT_TO_LEFT}", caller=f"role {RIGHT_TO_LEFT}")
    running = entry(
        20, "/reports/yearly", method="POST", state="running", outcome=None, status=None, reason=None, ms=None
    )
    return [
        of_http(
            *(missing, v2(role(SCRIPT), headers={"x-tenant-id": SCRIPT}), {"html": SCRIPT}),
            sent=SCRIPT.encode(),
            text=SCRIPT,
        ),
        of_http(coloured, v2(blue, headers={"x-ansi": ANSI}), {"say": RIGHT_TO_LEFT}, sent=ANSI.encode()),
        of_http(entry(18, long_path), v2(blue), {"ok": True}, target=long_path),
        of_http(
            *(entry(19, "/upload", method="PUT", ms=44.0), v2(blue, method="PUT"), {"bytes": 512}),
            sent=bytes(range(256)) * 2,
            event=HUGE,
        ),
        of_http(running, v2(blue, method="POST"), {}, reply=None),
    ]


def many(first: int, count: int, *, at: float | None = None) -> list[Made]:
    """Entries of a busy stack without their contents: eight tenants, some of them refused."""
    tenants = ["blue", "green", "acme", "globex", "initech", "umbrella", "stark", "wayne"]
    begin = time.time() if at is None else at
    found = []
    for n in range(first, first + count):
        fields: Document = {"tenant": tenants[n * 7 % 8], "ms": 3 + n * 13 % 90 / 2, "at": begin + (n - first) / 200}
        if n % 17 == 0:
            fields |= {"tenant": None, "outcome": "refused", "status": 403, "reason": "tenant_not_allowed"}
        found.append(Made(entry(n, f"/orders/{n}", **fields)))
    return found


# ---- what runs -------------------------------------------------------------------------------------------------------


def runs() -> Document:
    log = ["START RequestId: 4f0e6a58 Version: live", f"listing orders {SCRIPT}", ANSI, "END RequestId: 4f0e6a58"]
    environments = [
        _environment("bridge", None, 1, "idle", 412),
        _environment("orders", "blue", 1, "idle", 140, log=log),
        _environment("orders", "blue", 2, "busy", 31),
        _environment("orders", "green", 1, "idle", 87),
        _environment("orders", "acme", 1, "starting", 0),
        _environment("orders-worker", "blue", 1, "idle", 12),
        _environment("router", None, 1, "idle", 60),
    ]
    functions = [
        {"name": name, "isolated": isolated, "runtime": runtime}
        for name, isolated, runtime in (
            ("bridge", False, "python3.13"),
            ("orders", True, "nodejs22.x"),
            ("orders-worker", True, "python3.13"),
            ("router", False, "python3.13"),
            ("history", True, "provided.al2023"),
        )
    ]
    return {
        "environments": environments,
        "functions": functions,
        "map": [_map()],
        "queues": queues(),
        "streams": [
            {"name": "clicks", "service": "kinesis", "shards": [_shard(0, 1204, 3), _shard(1, 1187, 0)]},
            {"name": "carts", "service": "dynamodb", "shards": [_shard(0, 61, 0)]},
        ],
    }


def _shard(number: int, records: int, behind: int) -> Document:
    return {"id": f"shardId-{number:012}", "records": records, "behind": behind, "oldest": 41.7 if behind else None}


def _environment(function: str, tenant: str | None, slot: int, state: str, calls: int, **more: Any) -> Document:
    return {
        "function": function,
        "tenant": tenant,
        "slot": slot,
        "state": state,
        "age": 734.2,
        "idle": 12.4 if state == "idle" else None,
        "invocations": calls,
        "memory": 48_200_000,
        "log": [],
        **more,
    }


def _map() -> Document:
    rules: Sequence[tuple[str, str, list[str], str]] = (
        ("blue-api", f"role blue-api of {ACCOUNT}", ["blue"], "vpc: vpc-0a1b2c3d4e5f60718"),
        ("support", f"role support of {ACCOUNT}", ["blue", "green"], ""),
        ("edge", f"role edge-proxy of {ACCOUNT}", ["*"], ""),
        ("people", "anyone", ["acme-{tenant} in jwt.corp.tenant"], ""),
        ("leaked", f"role leaked of {ACCOUNT}", [], ""),
    )
    return {
        "function": "bridge",
        "file": "bridge.toml",
        "sha256": "9f2c41d7e8b0a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1",
        "loaded_at": 1_795_000_000.0,
        "faults": [],
        "refused": ['line 12: rule "green-api": tenant "gren" is not registered. Fix: write "green"'],
        "rules": [
            {
                "id": one,
                "key": key,
                "tenants": tenants,
                "conditions": [conditions] if conditions else [],
                "line": 8 + 5 * place,
            }
            for place, (one, key, tenants, conditions) in enumerate(rules)
        ],
        "tenants": [
            *({"id": name, "state": "active"} for name in ("blue", "green", "acme")),
            {"id": "old", "state": "suspended"},
        ],
        "left_out": 0,
    }


def queues() -> list[Document]:
    return [
        _queue("orders.fifo", kind="fifo", visible=3, in_flight=1, oldest=4.1, dead_letters="orders-dlq.fifo"),
        _queue("orders-dlq.fifo", kind="fifo", visible=1, oldest=402.0, is_dead_letters=True),
        _queue("orders-quarantine", visible=2, oldest=75.3, is_quarantine=True),
    ]


def _queue(name: str, **fields: Any) -> Document:
    return {
        "name": name,
        "kind": "standard",
        "visible": 0,
        "in_flight": 0,
        "delayed": 0,
        "oldest": None,
        "is_quarantine": False,
        "is_dead_letters": False,
        "dead_letters": None,
        **fields,
    }


def messages(queue: str, after: int) -> Document:
    """Sixty messages of a queue, in parts of fifty."""
    reason = {"reason": "tenant_not_allowed", "source": ORDERS, "detail": SCRIPT, "attempts": 1}
    found: list[Document] = [
        {
            "number": 100 + number,
            "id": f"77aa01b3-{number:04}",
            "group": "pink" if queue.endswith(".fifo") else None,
            "receives": number,
            "sent": BEGIN,
            "body": mask.body(_json({"order": number, "note": SCRIPT})),
            "reason": reason if queue == "orders-quarantine" else None,
        }
        for number in range(1, 61)
    ]
    left = [one for one in found if one["number"] > after]
    return {"messages": left[:50], "more": len(left) > 50}
