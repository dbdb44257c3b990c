"""The decision of a bridge about an entry, as the inspector's page shows it."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.local.bridge.configuration import BridgeConfiguration, read_configuration
from lattice_bridge.local.inspector.decision import MOST_RECORDS, decide, decision_of
from lattice_bridge.local.inspector.entry import Content, Entry, Invoked, RecordIn
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function
from lattice_bridge.testing import kinesis_event, kinesis_record, sqs_event, sqs_record
from lattice_bridge.testing.corpus import all_events
from tests.support.builders import ACCOUNT, MAP, VPC, role, v2
from tests.support.commands import read
from tests.support.inspected_map import BACKEND, CONDITION, USERS, configured
from tests.support.queue_maps import ORDERS, QUEUES, SHOP
from tests.support.stream_maps import CLICKS, STREAMS
from tests.support.token_builder import NOW, token

RULE = f'[tenants]\nblue = {{}}\n[[rule]]\nid = "clicks"\nsource = "{CLICKS}"\ntenant = "blue"\n'


def decided(
    configuration: BridgeConfiguration, event: object, record_id: str | None = None, at: float = NOW
) -> dict[str, Any]:
    return decision_of(json.dumps(event).encode(), configuration, record_id, at)


def test_payload_of_the_map_as_an_authorizer_is_decided(tmp_path: Path) -> None:
    """The target's own event may have no caller."""
    configuration = configured(tmp_path, BACKEND + MAP)
    asked = Invoked("authorizer", "i0", json.dumps(v2()).encode(), NOW, role="authorizer", is_bridge=True)
    content = Content(invocations=[asked, Invoked("orders", "i1", b"{}", NOW)])
    entry = Entry("api", "shop", "/", "r1", NOW, content=content, configuration=configuration)
    alone = copy(entry)
    alone.content = Content(invocations=[asked])
    assert decide(entry) == decide(alone)


# ---- requests -------------------------------------------------------------------------------------------------------


def test_decision_is_what_explain_prints_for_any_event(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BACKEND + MAP)
    for case in all_events():
        stdin = json.dumps(case.event)
        printed = json.loads(read("explain", "--json", "--map", str(configuration.file), "-", stdin=stdin).output)
        found = decided(configuration, case.event)["documents"]
        for document in found:
            document.pop("conditions", None)
        assert found == printed.get("records", [printed])


def test_conditions_have_the_values_of_the_request(tmp_path: Path) -> None:
    found = decided(configured(tmp_path, BACKEND + MAP + CONDITION), v2(role("job"), requestContext=_from("vpc-0b")))
    (document,) = found["documents"]
    assert document["reason"] == "condition_failed"
    assert document["conditions"] == [
        {"rule": "job", "name": "vpc", "expected": VPC, "actual": f"{VPC[:40]}vpc-0b", "holds": False},
    ]


def _from(vpc: str) -> dict[str, Any]:
    identity = {
        "type": "AWS_IAM",
        "principal": role("job"),
        "sourceVpcArn": f"{VPC[:40]}{vpc}",
    }
    return {**v2()["requestContext"], "identity": identity}


def test_map_is_compared_with_that_of_the_log_line(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BACKEND + MAP)
    assert configuration.settings is not None
    own = configuration.settings.tenant_map.sha256
    event = json.dumps(v2(role("blue-api"))).encode()
    found = [decision_of(event, configuration, None, NOW, {"map": then})["same_map"] for then in (own, "0" * 64, None)]
    assert found == [True, False, None]


# ---- tokens and the registry ----------------------------------------------------------------------------------------


def test_token_that_has_expired_since_is_explained_as_the_bridge_accepted_it(tmp_path: Path) -> None:
    """The keys are not read either: the issuer may be out of reach, and may have others by now."""
    configuration = configured(tmp_path, BACKEND + MAP + USERS)
    (tmp_path / "keys.json").unlink()
    bearer = f"Bearer {token(iat=NOW - 900, exp=NOW - 300)}"
    (document,) = decided(configuration, v2(headers={"authorization": bearer}), at=NOW - 600)["documents"]
    assert (document["tenant"], document["verified_by"]) == ("blue", ["a token of corp"])
    assert bearer[7:40] not in json.dumps(document)


def test_refused_token_is_compared_at_the_time_of_the_request(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BACKEND + MAP + USERS)
    event = v2(headers={"authorization": f"Bearer {token(aud='billing', iat=NOW - 60, exp=NOW + 60)}"})
    line = {"reason": "token_invalid", "detail": "aud is not for us"}
    (document,) = decision_of(json.dumps(event).encode(), configuration, None, NOW, line)["documents"]
    assert (document["reason"], document["detail"], document["status"]) == ("token_invalid", "aud is not for us", 401)
    assert [miss["kind"] for miss in document["near_misses"]] == ["audience"]  # and not its times


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("ok", (True, "allowed")),
        ("tenant_unknown", (False, "tenant_unknown")),
        ("tenant_suspended", (False, "tenant_suspended")),
        ("registry_unavailable", (False, "registry_unavailable")),
    ],
)
def test_registry_is_not_asked_again(reason: str, outcome: tuple[bool, str], tmp_path: Path) -> None:
    rule = f'[registry]\ndynamodb_table = "tenants"\n[[rule]]\nid = "api"\nrole = "arn:aws:iam::{ACCOUNT}:role/api"\n'
    configuration = configured(tmp_path, f'{BACKEND}{rule}tenants = "*"\n')
    event = json.dumps(v2(role("api"), headers={"x-tenant-id": "blue"})).encode()
    (document,) = decision_of(event, configuration, None, NOW, {"reason": reason})["documents"]
    assert (document["allowed"], document["reason"]) == outcome


# ---- records --------------------------------------------------------------------------------------------------------


def test_one_record_of_a_batch_is_explained(tmp_path: Path) -> None:
    records = [sqs_record(queue=ORDERS, sender=f"{SHOP}:i-1", attributes={"tenant": name}) for name in ("blue", "red")]
    records = [{**record, "messageId": f"m-{number}"} for number, record in enumerate(records)]
    configuration = configured(tmp_path, QUEUES)
    found = [decided(configuration, sqs_event(*records), name)["documents"] for name in ("m-0", "m-1")]
    assert [(one["record"]["id"], one["reason"]) for (one,) in found] == [
        ("m-0", "allowed"),
        ("m-1", "tenant_suspended"),
    ]
    missing = decided(configuration, sqs_event(*records), "m-2")
    assert (missing["documents"], missing["error"].partition(". Fix")[0]) == (
        [],
        'event: it has no record with the id "m-2"',
    )


def test_entry_of_a_record_is_explained_and_that_without_a_bridge_is_not(tmp_path: Path) -> None:
    record = sqs_record(queue=ORDERS, sender=f"{SHOP}:i-1", attributes={"tenant": "blue"})
    event = json.dumps(sqs_event(record)).encode()
    content = Content(RecordIn(json.dumps(record).encode()), event)
    entry = Entry("queue", "orders", "", record["messageId"], NOW, content=content)
    entry.configuration = configured(tmp_path, QUEUES)
    found = decide(entry)
    assert found is not None
    assert [one["tenant"] for one in found["documents"]] == ["blue"]
    assert found["map"] == "bridge.toml"
    entry.configuration = None
    assert decide(entry) is None


def test_number_of_explained_records_is_bounded(tmp_path: Path) -> None:
    records = [kinesis_record(stream=CLICKS, partition_key="blue") for _ in range(MOST_RECORDS + 3)]
    found = decided(configured(tmp_path, STREAMS + RULE), kinesis_event(*records))
    assert len(found["documents"]) == MOST_RECORDS
    assert found["error"].startswith(f"event: left out here are 3 of {MOST_RECORDS + 3} records")


# ---- what cannot be explained ---------------------------------------------------------------------------------------


def test_map_that_does_not_load_is_named_with_its_first_fault(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("nonsense", encoding="utf-8")
    found = decided(read_configuration(Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path, {})), v2())
    assert found["documents"] == []
    assert found["error"].startswith("bridge.toml: does not load, so nothing was decided by it: ")


def test_map_that_is_no_file_is_named(tmp_path: Path) -> None:
    address = "s3://maps/bridge.toml"
    bridge = Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path, {CONFIG_VARIABLE: address})
    found = decided(read_configuration(bridge), v2())
    assert (found["map"], found["error"].partition(",")[0]) == (address, f"{address}: not a file")


@pytest.mark.parametrize(
    "event", [b"", b"\xff", b"[" * 200_000, b"null", b"[]", b'{"Records": []}', b'{"Records": [1]}']
)
def test_no_event_makes_the_decision_fail(event: bytes, tmp_path: Path) -> None:
    found = decision_of(event, configured(tmp_path, QUEUES), None, NOW)
    assert found["error"] or found["documents"][0]["allowed"] is False


def test_bug_is_named_by_its_type_alone(tmp_path: Path) -> None:
    """The message of an exception may quote the event."""
    configuration = replace(configured(tmp_path, BACKEND + MAP), settings=("no settings", None))  # type: ignore[arg-type]  # what a bug would leave
    found = decided(configuration, v2(role("blue-api")))
    assert found["error"] == "decision: it cannot be explained (AttributeError). Fix: report this"
