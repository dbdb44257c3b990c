"""The timeline and the decisions of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge import Bridge
from lattice_bridge.cli.files import read_map
from lattice_bridge.config.options import Backend
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.local.inspector.from_file import BadContent, FromFile, Recorded, Shown
from lattice_bridge.local.inspector.timeline import MAX_ENTRIES
from lattice_bridge.testing import sqs_event, sqs_record
from tests.support.builders import ACCOUNT, MAP, SERVICE, VPC, role, v1, v2
from tests.support.fronts import function_url, http_api, load_balancer
from tests.support.queue_maps import ORDERS, QUEUES, SHOP
from tests.support.token_builder import ISSUER, NOW, jwk, key_set, token

CONDITION = f'[[rule]]\nid = "job"\nrole = "arn:aws:iam::{ACCOUNT}:role/job"\nvpc = "{VPC}"\ntenant = "blue"\n'
USERS = (
    f'[jwt.corp]\nissuer = "{ISSUER}"\naudience = ["orders"]\nalgorithms = ["ES256"]\njwks_file = "keys.json"\n'
    '[[rule]]\nid = "users"\njwt = "corp"\ntenant_from = "claim"\nclaim = ["tenant"]\n'
)


def reader(folder: Path, text: str = MAP) -> FromFile:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return FromFile(read_map(str(path)).explainer(), "bridge.toml", NOW)


def without_map() -> FromFile:
    return FromFile(None, None, NOW)


def entries(shown: Shown) -> list[Entry]:
    return shown.timeline.since(0)[0]


def logged(folder: Path, *events: dict[str, Any], text: str = MAP) -> str:
    """The log that a bridge with this map writes."""
    (folder / "then.toml").write_text(text, encoding="utf-8")
    lines: list[str] = []
    deployed = TenantMap.from_file(folder / "then.toml")
    backends = [Backend("/", "orders:live")]
    bridge = Bridge(deployed, lambda _: b'{"statusCode": 200}', backends=backends, write=lines.append)
    for event in events:
        bridge(event, None)
    return "".join(lines)


def decided(read: FromFile, shown: Shown, position: int = 0) -> Mapping[str, Any]:
    found = read.decide(entries(shown)[position])
    assert found is not None
    return found


# ---- log lines ------------------------------------------------------------------------------------------------------


def test_refused_line_is_explained_by_the_map_with_near_misses_and_gaps(tmp_path: Path) -> None:
    read = reader(tmp_path)
    found = decided(read, read.of_text(logged(tmp_path, v2(role("bleu-api")))))
    (document,) = found["documents"]
    assert (found["same_map"], found["map"], found["error"]) == (True, "bridge.toml", None)
    assert [miss["rule"] for miss in document["near_misses"]] == ["blue-api"]
    assert document["missing"][:2] == ["session", "header"]
    assert document["log"]["requestId"] == "lattice-1"


def test_allowed_line_is_shown_with_its_rule(tmp_path: Path) -> None:
    """Its line names no caller, so that nothing else of the decision is known."""
    read = reader(tmp_path, MAP + CONDITION)
    found = decided(read, read.of_text(logged(tmp_path, v2(role("job")), text=MAP + CONDITION)))
    (document,) = found["documents"]
    assert (document["allowed"], document["tenant"], document["owner"], document["caller"]) == (
        True,
        "blue",
        "job",
        None,
    )
    assert document["sources"] == [{"key": f"role job of {ACCOUNT}", "rule": "job", "allows": "blue"}]
    (condition,) = document["conditions"]
    assert (condition["expected"], condition["actual"], condition["holds"]) == (VPC, "not in the log line", True)


def test_condition_on_a_fact_that_the_line_lacks_is_open(tmp_path: Path) -> None:
    read = reader(tmp_path, MAP + CONDITION)
    identity = {"type": "AWS_IAM", "principal": role("job")}
    event = v2(role("job"), requestContext={"serviceArn": SERVICE, "identity": identity})
    log = logged(tmp_path, event, text=MAP + CONDITION)
    (document,) = decided(read, read.of_text(log))["documents"]
    assert [(one["actual"], one["holds"]) for one in document["conditions"]] == [("not in the log line", None)]


def test_line_that_lacks_the_deciding_fact_stays_refused(tmp_path: Path) -> None:
    """Without the header, the map alone would allow the caller: the line was refused because of it."""
    read = reader(tmp_path)
    found = decided(read, read.of_text(logged(tmp_path, v2(role("blue-api"), headers={"x-tenant-id": "green"}))))
    (document,) = found["documents"]
    assert (document["allowed"], document["tenant"], document["reason"]) == (False, None, "tenant_not_allowed")
    assert found["error"] == (
        "log line: it lacks the fact that decided; with what it contains alone, it would run as blue"
    )


def test_line_that_another_map_refused_is_explained_by_the_new_one(tmp_path: Path) -> None:
    read = reader(tmp_path, MAP.replace("role/blue-api", "role/new-api"))
    found = decided(read, read.of_text(logged(tmp_path, v2(role("new-api")))))
    assert (found["same_map"], found["documents"][0]["tenant"]) == (False, "blue")
    assert found["error"].endswith("by this one, with what the line contains, it would run as blue")


def test_line_without_a_caller_is_shown_with_its_own_facts(tmp_path: Path) -> None:
    read, event = reader(tmp_path), v2(role("blue-api"), headers={"x-tenant-id": ["blue", "green"]})
    log = json.loads(logged(tmp_path, event).splitlines()[0])
    found = decided(read, read.of_text(json.dumps({**log, "callerKey": None})))
    assert (found["documents"][0]["reason"], found["documents"][0]["looked_for"]) == ("header_repeated", None)
    assert "lattice-bridge explain --log FILE --request-id lattice-1" in found["error"]


def test_without_a_map_a_line_has_its_own_facts(tmp_path: Path) -> None:
    read = without_map()
    found = decided(read, read.of_text(logged(tmp_path, v2(role("bleu-api")))))
    (document,) = found["documents"]
    assert (document["reason"], document["status"], document["looked_for"]) == ("no_rule", 403, None)
    assert found["error"] == "log line: without a map, only its own facts are known. Fix: add --map FILE"


def test_lines_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    line = json.loads(logged(tmp_path, v2(role("blue-api"))).splitlines()[0])
    times = [f"2026-11-21T09:00:0{second}+00:00" for second in (3, 1, 2)]
    text = "\n".join(json.dumps({**line, "timestamp": time, "requestId": time}) for time in times)
    shown = without_map().of_text(text)
    assert [entry.id for entry in entries(shown)] == sorted(times)
    assert (shown.began, shown.ended) == (1795251601.0, 1795251603.0)


def test_only_the_last_entries_are_kept(tmp_path: Path) -> None:
    line = logged(tmp_path, v2(role("blue-api"))).splitlines()[0]
    shown = without_map().of_text(f"{line}\n" * (MAX_ENTRIES + 2))
    assert (len(shown.timeline), shown.left_out) == (MAX_ENTRIES, 2)


def test_record_line_names_its_source_and_what_became_of_it(tmp_path: Path) -> None:
    line = {
        "timestamp": "2026-11-21T09:00:00+00:00",
        "message": "record",
        "requestId": "r-1",
        "source": "orders",
        "id": "m-1",
        "status": "quarantined",
        "reason": "tenant_suspended",
        "callerKey": SHOP,
        "rule": "shop",
    }
    read = reader(tmp_path, QUEUES)
    shown = read.of_text(json.dumps(line))
    (document,) = decided(read, shown)["documents"]
    assert (document["record"]["id"], document["record"]["source"]) == ("m-1", ORDERS)
    assert document["missing"] == ["record_claim"]
    (alone,) = decided(without_map(), shown)["documents"]
    assert (alone["record"]["outcome"], alone["record"]["source"]) == ("quarantined", "orders")


# ---- events ---------------------------------------------------------------------------------------------------------


def test_recorded_request_is_an_entry_with_its_reply(tmp_path: Path) -> None:
    expected = {"about": "GET /orders", "recorded": "2026-11-21T09:00:00+00:00", "reply": {"statusCode": 200}}
    read = reader(tmp_path)
    shown = read.of_events([Recorded(v2(role("blue-api")), expected, "0001-get-orders")])
    (entry,) = entries(shown)
    assert (entry.at, entry.method, entry.path, entry.id) == (1795251600.0, "GET", "/orders", "lattice-1")
    assert (entry.caller, entry.tenant, entry.status, entry.outcome) == ("role blue-api", "blue", 200, "ok")
    assert entry.content is not None
    assert entry.content.invocations[0].answer == b'{"statusCode": 200}'
    assert decided(read, shown)["documents"][0]["owner"] == "blue-api"


def test_decision_that_contradicts_the_recorded_reply_is_marked(tmp_path: Path) -> None:
    """A recording contains no token, so that the caller seems to have no credential."""
    read = reader(tmp_path)
    shown = read.of_events([Recorded(v2(), {"reply": {"statusCode": 200}})])
    (entry,) = entries(shown)
    assert (entry.outcome, entry.reason) == ("ok", None)
    assert decided(read, shown)["error"].startswith("event: its reply was 200, so something else has decided: ")


@pytest.mark.parametrize(("status", "outcome"), [(200, "ok"), (404, "ok"), (403, "ok"), (500, "failed")])
def test_status_of_a_backend_is_no_refusal(status: int, outcome: str, tmp_path: Path) -> None:
    shown = reader(tmp_path).of_events([Recorded(v2(role("blue-api")), {"reply": {"statusCode": status}})])
    assert [entry.outcome for entry in entries(shown)] == [outcome]


def test_recorded_error_is_a_failure(tmp_path: Path) -> None:
    error = {"error": {"errorType": "Boom", "errorMessage": "no"}}
    (entry,) = entries(reader(tmp_path).of_events([Recorded(v2(role("blue-api")), error)]))
    assert (entry.status, entry.outcome) == (502, "failed")


def test_without_a_map_an_event_has_no_decision() -> None:
    read = without_map()
    shown = read.of_events([Recorded(v2(role("blue-api")))])
    (entry,) = entries(shown)
    assert (entry.tenant, entry.outcome, read.decide(entry)) == (None, None, None)


@pytest.mark.parametrize(
    ("event", "way"),
    [(v1(), "lattice"), (load_balancer(), "load_balancer"), (function_url(), "function_url"), (http_api(), "api")],
)
def test_way_in_is_that_of_the_event(event: dict[str, Any], way: str) -> None:
    (entry,) = entries(without_map().of_events([Recorded(event)]))
    assert entry.way == way


def test_token_was_valid_when_the_event_was_recorded(tmp_path: Path) -> None:
    """The issuer's keys verify it, at the time of the request."""
    (tmp_path / "keys.json").write_bytes(key_set(jwk()))
    read = reader(tmp_path, MAP + USERS)
    then = NOW - 10 * 365 * 86_400
    event = v2(headers={"authorization": f"Bearer {token(iat=then - 60, exp=then + 60)}"})
    event["requestContext"]["timeEpoch"] = str(then * 1_000_000)
    shown = read.of_events([Recorded(event)])
    assert [entry.tenant for entry in entries(shown)] == ["blue"]
    assert decided(read, shown)["documents"][0]["verified_by"] == ["a token of corp"]


def test_time_beyond_the_calendar_is_not_that_of_an_event() -> None:
    """Trap G2: another person may have written the file, and the command prints the period."""
    event = v2(role("blue-api"))
    event["requestContext"]["timeEpoch"] = "9" * 18
    assert [entry.at for entry in entries(without_map().of_text(json.dumps(event)))] == [NOW]


def test_each_record_of_an_event_is_an_entry(tmp_path: Path) -> None:
    records = [
        {**sqs_record(queue=ORDERS, sender=f"{SHOP}:i-1", attributes={"tenant": name}), "messageId": f"m-{name}"}
        for name in ("blue", "red")
    ]
    read = reader(tmp_path, QUEUES)
    shown = read.of_text(json.dumps(sqs_event(*records)))
    found = [(one.way, one.source, one.id, one.tenant, one.outcome, one.caller) for one in entries(shown)]
    assert found == [
        ("queue", "orders", "m-blue", "blue", "ok", f"sender {SHOP}"),
        ("queue", "orders", "m-red", None, "quarantined", f"sender {SHOP}"),
    ]
    assert [document["record"]["id"] for document in decided(read, shown, 1)["documents"]] == ["m-red"]


@pytest.mark.parametrize("layout", [None, 2])
def test_file_of_events_has_one_a_line_or_one_alone(layout: int | None) -> None:
    text = json.dumps(v2(role("blue-api")), indent=layout)
    text = text if layout else f"{text}\n\n{text}\n"
    assert len(without_map().of_text(text).timeline) == (1 if layout else 2)


def test_event_that_contains_a_log_line_is_an_event(tmp_path: Path) -> None:
    log = logged(tmp_path, v2(role("blue-api"))).splitlines()[0]
    shown = without_map().of_text(json.dumps(sqs_event(sqs_record(queue=ORDERS, body=log))))
    assert [entry.way for entry in entries(shown)] == ["queue"]


def test_batch_that_cannot_be_read_is_one_entry(tmp_path: Path) -> None:
    read = reader(tmp_path, QUEUES)
    shown = read.of_events([Recorded({"Records": [{"eventSource": "aws:s3"}]}, name="0001")])
    (entry,) = entries(shown)
    assert (entry.outcome, entry.reason) == ("failed", "source_unsupported")
    assert decided(read, shown)["documents"][0]["reason"] == "source_unsupported"


@pytest.mark.parametrize("text", ["", "{}", "hello\n", "[" * 100_000, '{"a": 1}\n{"b": 2}'])
def test_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(BadContent, match=r"neither an event nor a log line of a request in it\. Fix: "):
        without_map().of_text(text)


def test_folder_without_an_event_is_refused() -> None:
    with pytest.raises(BadContent, match=r"no event in it\. Fix: "):
        without_map().of_events([])


@pytest.mark.parametrize("place", ["event", "reply"])
def test_json_that_can_be_read_and_not_written_is_named(place: str) -> None:
    """Trap G2: reading and writing have other limits of depth."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    event: Any = {**v2(role("support")), **({"extra": deep} if place == "event" else {})}
    recorded = Recorded(event, {"reply": deep} if place == "reply" else {}, "0001-get-orders")
    with pytest.raises(BadContent, match=r"0001-get-orders: nested too deeply. Fix: remove it"):
        FromFile(None, None, 1.0).of_events([recorded])
