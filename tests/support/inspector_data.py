"""Entries of the inspector for tests of its page: decisions by `explain`, events of the builders, hostile strings."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

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
    "card": "•••• 16 characters",
}


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


def body(value: Any, *, total: int | None = None, masked: int = 0) -> Document:
    """A BODY: bytes as hex, a string as text, everything else as JSON."""
    if value in (None, b"", ""):
        return {"kind": "empty", "text": "", "bytes": 0, "shown": 0, "masked": 0}
    if isinstance(value, bytes):
        kind, text, size = "hex", _dump(value), len(value)
    elif isinstance(value, str):
        kind, text, size = "text", value, len(value.encode("utf-8", "replace"))
    else:
        kind, text = "json", json.dumps(value, indent=2, ensure_ascii=False)
        size = len(text.encode())
    return {"kind": kind, "text": text, "bytes": total or size, "shown": size, "masked": masked}


def _dump(data: bytes) -> str:
    rows = (data[start : start + 16] for start in range(0, len(data), 16))
    return "\n".join(
        f"{16 * place:08x}  {row.hex(' '):<47}  |{''.join(chr(one) if 32 <= one < 127 else '.' for one in row)}|"
        for place, row in enumerate(rows)
    )


def summary(n: int, path: str, **fields: Any) -> Document:
    """A SUMMARY with harmless defaults."""
    return {
        "n": n,
        "at": 1_795_000_000.0 + n * 1.37,
        "way": "lattice",
        "source": "shop",
        "method": "GET",
        "path": path,
        "id": f"4f0e6a58-11c2-4d7a-9c64-{n:012x}",
        "caller": "role blue-api",
        "tenant": "blue",
        "state": "ended",
        "outcome": "ok",
        "status": 200,
        "reason": "ok",
        "ms": 12.4,
        "cold": False,
        "function": "orders",
        "replay_of": None,
        **fields,
    }


def invocation(function: str, tenant: str | None, payload: Any, answer: Any, **fields: Any) -> Document:
    return {
        "function": function,
        "tenant": tenant,
        "payload": body(payload),
        "answer": None if answer is None else body(answer),
        "error": None,
        "environment": f"{function}{f'/{tenant}' if tenant else ''}#1",
        "cold": False,
        "began": 1.2,
        "init_ms": None,
        "ms": 8.3,
        "log": [],
        **fields,
    }


def detail(entry: Document, **fields: Any) -> Document:
    """A DETAIL of which a test writes only what it is about."""
    return {
        "summary": entry,
        "dropped": False,
        "came_in": None,
        "event": None,
        "decision": None,
        "invocations": [],
        "reply": None,
        "steps": [],
        "text": None,
        **fields,
    }


def http_detail(
    entry: Document,
    built: Mapping[str, Any],
    answer: Any,
    *,
    sent: Any = None,
    target: str | None = None,
    **fields: Any,
) -> Document:
    """A request through the bridge, to the function if the bridge allows it."""
    decision = fields.pop("decision", None) or decision_of(built)
    (found,) = decision["documents"]
    cold, total = entry["cold"], entry["ms"] or 5.0
    reply = {"statusCode": entry["status"], "body": json.dumps(answer)}
    calls = [invocation("bridge", None, built, reply, began=0.6, ms=round(total - 1.1, 1), log=[_log_line(entry)])]
    steps = [_step("front", 0, total), _step("bridge", 0.6, total - 1.1)]
    steps += [_step("bridge: parse", 0.6, 0.3), _step("bridge: decide", 0.9, 0.4)]
    if found["allowed"] and entry["function"]:
        log = [f"INFO\tlisting orders of {entry['tenant']}", f"INFO\t{ANSI} done"]
        began = 0.42 * total if cold else 2.1
        calls.append(
            invocation(
                *("orders", entry["tenant"], built, reply),
                cold=cold,
                began=began,
                init_ms=0.4 * total if cold else None,
                log=log,
            )
        )
        steps += [_step("cold start", 2.1, 0.4 * total, cold=True)] if cold else []
        steps.append(_step("orders", began, total - began - 1.4))
    principal = found["caller"]
    return detail(
        entry,
        **{
            "came_in": {
                "kind": "http",
                "method": entry["method"],
                "target": target or entry["path"],
                "version": "1.1",
                "headers": _headers(built, principal),
                "body": body(sent, masked=1 if sent is BODY else 0),
                "identity": {"access_key": "LOCALBLUEAPI", "principal": principal} if principal else None,
            },
            "event": body(built),
            "decision": decision,
            "invocations": calls,
            "reply": {"status": entry["status"], "headers": _REPLY_HEADERS, "body": body(answer)},
            "steps": steps,
            **fields,
        },
    )


_REPLY_HEADERS: Final = [["content-type", "application/json", False], ["x-request-id", "4f0e6a58", False]]


def _headers(event: Mapping[str, Any], principal: str | None) -> list[list[Any]]:
    found = [[name, value[0] if isinstance(value, list) else value, False] for name, value in event["headers"].items()]
    signature = [["authorization", "•••• 249 characters", True], ["x-amz-date", "20261118T093412Z", False]]
    return [*found, ["user-agent", "curl/8.11.0", False], *(signature if principal else [])]


def _step(name: str, start: float, ms: float, *, cold: bool = False) -> Document:
    return {"name": name, "from": round(start, 2), "ms": round(ms, 2), "cold": cold}


def _log_line(entry: Document) -> str:
    fields = {"message": "request", "requestId": entry["id"], "status": entry["status"], "reason": entry["reason"]}
    return json.dumps({**fields, "tenant": entry["tenant"]})


def record_detail(entry: Document, event: Mapping[str, Any], reply: Document, **fields: Any) -> Document:
    (record,) = event["Records"]
    decision = decision_of(event, QUEUES)
    calls = [invocation("router", None, event, {"batchItemFailures": []}, ms=9.1)]
    if decision["documents"][0]["allowed"]:
        calls.append(invocation("orders-worker", entry["tenant"], event, {"batchItemFailures": []}, began=3.1, ms=5.2))
    steps = [_step("batch", 0, 11.2), _step("router", 0.8, 9.1), _step("orders-worker", 3.1, 5.2)]
    return detail(
        entry,
        **{
            "came_in": {
                "kind": "record",
                "record": body({"order": 17}),
                "batch": {"id": "batch-31", "size": 1, "position": 1, "attempt": 1},
                "group": None,
                "attributes": record["messageAttributes"],
            },
            "event": body(event),
            "decision": decision,
            "invocations": calls,
            "reply": reply,
            "steps": steps[: len(calls) + 1],
            **fields,
        },
    )


def details(now: float | None = None) -> list[Document]:
    """One entry of each kind, the oldest first, the newest at `now`."""
    found = [*_requests(), *_records(), *_hostile()]
    if now is not None:
        for place, one in enumerate(reversed(found)):
            one["summary"]["at"] = now - 1.7 * place**1.3
    return found


def _requests() -> list[Document]:
    blue, stranger = role("blue-api"), role("blue-api", "444455556666")
    orders = {"tenant": "blue", "orders": [{"id": 17, "state": "paid"}, {"id": 18, "state": "open"}]}
    asks = {"x-tenant-id": "green"}
    refused = {"tenant": None, "outcome": "refused", "status": 403, "function": None, "ms": 2.9}
    failed = {"outcome": "failed", "status": 502, "reason": "function_error", "ms": 31.0}
    conditions = [
        _condition("source_vpc", "vpc-0a1b2c3d4e5f60718", "vpc-0a1b2c3d4e5f60718", holds=True),
        _condition("principal_org", "o-a1b2c3d4e5", None, holds=False),
    ]
    path = "/orders?status=open&token=••••%2012%20characters"
    denied = summary(4, "/orders", reason="tenant_not_allowed", **refused)
    unknown = summary(5, "/orders/17", reason="no_rule", caller="role blue-api of 444455556666", **refused)
    stopped = summary(6, "/exports", reason="tenant_not_allowed", **refused)
    choice = summary(8, "/orders", caller="role support", tenant="green", replay_of=4)
    with_conditions = decision_of(v2(blue, headers=asks), conditions=conditions)
    return [
        http_detail(summary(1, "/orders", ms=412.0, cold=True), v2(blue), orders, target=path),
        http_detail(summary(2, "/orders", ms=9.6), v2(blue), orders),
        http_detail(
            *(summary(3, "/orders", method="POST", tenant="green", status=201, caller="role support"),),
            *(v2(role("support"), method="POST", headers=asks, body=json.dumps(BODY)), {"id": 19}),
            sent=BODY,
        ),
        http_detail(
            *(denied, v2(blue, headers=asks), {"error": "tenant_not_allowed"}),
            text="rule blue-api does not allow the tenant green. Fix: add green to the rule, or do not ask for it",
        ),
        http_detail(
            unknown, v2(stranger), {"error": "no_rule"}, text="no rule is for the role blue-api of 444455556666"
        ),
        http_detail(stopped, v2(blue, headers=asks), {"error": "tenant_not_allowed"}, decision=with_conditions),
        http_detail(
            *(summary(7, "/orders/9", method="DELETE", **failed), v1(blue), {"error": "function_error"}),
            text="orders/blue#1 raised KeyError: 'state'",
        ),
        http_detail(choice, v2(role("support"), headers=asks), {"tenant": "green", "orders": []}),
        detail(
            summary(
                9, "/health", outcome="fixed", status=404, reason="no_listener_rule", tenant=None, caller=None, ms=0.3
            ),
            reply={"status": 404, "headers": [], "body": body("Not Found")},
            text="The listener answers with a fixed response: no function runs.",
        ),
    ]


def _condition(name: str, expected: str, actual: str | None, *, holds: bool) -> Document:
    return {"rule": "blue-api", "name": name, "expected": expected, "actual": actual, "holds": holds}


def _records() -> list[Document]:
    sender = f"{SENDER}:i-1"
    queue = {"way": "queue", "source": "orders", "method": None, "status": None, "caller": f"sender {SENDER}"}
    message = sqs_event(sqs_record(queue=ORDERS, sender=sender, attributes={"tenant": "blue"}, body='{"order": 17}'))
    other = sqs_event(sqs_record(queue=ORDERS, sender=sender, attributes={"tenant": "pink"}, body='{"order": 18}'))
    aside = {"outcome": "quarantined", "reason": "tenant_not_allowed", "tenant": None, "ms": 6.4}
    more = {"method": None, "status": None, "caller": None}
    bus = {**more, "way": "bus", "source": "shop", "caller": f"account {ACCOUNT}", "tenant": "green"}
    call = summary(15, "orders", **more, way="invoke", source="", ms=18.2)
    return [
        record_detail(
            *(summary(10, "5c0cb1a2-7d1e-4f6b-9d2c-8a4f0e6a5811", function="orders-worker", ms=11.2, **queue), message),
            {"outcome": "deleted", "text": "The function succeeded, so the queue deleted the message."},
        ),
        record_detail(
            *(summary(11, "77aa01b3-2b64-4c1f-8f0e-6a5811c24d7a", function=None, **{**queue, **aside}), other),
            {"outcome": "quarantined", "text": "A copy is stored in orders-quarantine."},
            text="rule shop does not allow the tenant pink: a copy is stored in orders-quarantine",
        ),
        detail(summary(12, "shardId-000000000000:4965", **more, way="stream", source="clicks", ms=4.8)),
        detail(summary(13, "4421584500000000017450439091", **more, way="table", source="carts", ms=7.7)),
        detail(summary(14, "Order Placed", **bus, ms=5.1)),
        detail(
            call,
            came_in={
                "kind": "invoke",
                "function": "orders",
                "tenant": "blue",
                "type": "RequestResponse",
                "payload": body({"a": 1}),
            },
            invocations=[invocation("orders", "blue", {"a": 1}, {"ok": True}, log=["START", "END"])],
            steps=[_step("orders", 0.4, 17.6)],
        ),
    ]


def _hostile() -> list[Document]:
    long_path = "/" + "very-long/" * 1024
    blue = role("blue-api")
    binary = bytes(range(256)) * 2
    shortened = {**body({"text": "x" * 600}), "bytes": 6_000_000, "masked": 2}
    missing = summary(
        16, f"/{SCRIPT}", tenant=f"{SCRIPT}", caller=f"role {SCRIPT}", reason="no_rule", outcome="refused", status=403
    )
    coloured = summary(17, f"/{ANSI}/{RIGHT_TO_LEFT}", caller=f"role {RIGHT_TO_LEFT}")
    running = summary(
        20, "/reports/yearly", method="POST", state="running", outcome=None, status=None, reason=None, ms=None
    )
    return [
        http_detail(
            missing, v2(role(SCRIPT), headers={"x-tenant-id": SCRIPT}), {"html": SCRIPT}, sent=SCRIPT, text=SCRIPT
        ),
        http_detail(coloured, v2(blue, headers={"x-ansi": ANSI}), {"say": RIGHT_TO_LEFT}, sent=ANSI),
        http_detail(summary(18, long_path), v2(blue), {"ok": True}, target=long_path),
        http_detail(
            *(summary(19, "/upload", method="PUT", ms=44.0), v2(blue, method="PUT"), {"bytes": len(binary)}),
            sent=binary,
            event=shortened,
        ),
        http_detail(running, v2(blue, method="POST"), {}, reply=None),
    ]


def many(first: int, count: int, *, at: float | None = None) -> list[Document]:
    """Summaries of a busy stack: eight tenants, some of them refused."""
    tenants = ["blue", "green", "acme", "globex", "initech", "umbrella", "stark", "wayne"]
    begin = time.time() if at is None else at
    found = []
    for n in range(first, first + count):
        fields: Document = {"tenant": tenants[n * 7 % 8], "ms": 3 + n * 13 % 90 / 2, "at": begin + (n - first) / 200}
        if n % 17 == 0:
            fields |= {"tenant": None, "outcome": "refused", "status": 403, "reason": "tenant_not_allowed"}
        found.append(summary(n, f"/orders/{n}", **fields))
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
    return {"id": f"shardId-{number:012}", "records": records, "behind": behind}


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
        "faults": ['line 12: rule "green-api": tenant "gren" is not registered. Fix: write "green"'],
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


def messages(name: str) -> list[Document]:
    reason = {"reason": "tenant_not_allowed", "source": ORDERS, "detail": SCRIPT, "attempts": 1}
    return [
        {
            "id": f"77aa01b3-{number:04}",
            "group": "pink" if name.endswith(".fifo") else None,
            "receives": number,
            "sent": 1_795_000_000.0,
            "body": body({"order": number, "note": SCRIPT}),
            "reason": reason if name == "orders-quarantine" else None,
        }
        for number in (1, 2)
    ]
