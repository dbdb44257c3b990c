"""Entries as `[[test]]` tables of their map."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, RecordIn
from lattice_bridge.local.inspector.map_test import table_of, toml
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.testing import kinesis_record, sqs_record
from lattice_bridge.testing.corpus import all_events
from tests.support.builders import ACCOUNT, MAP, OPEN, VPC, role, v2
from tests.support.commands import read
from tests.support.inspected_map import BACKEND, CONDITION, USERS, configured
from tests.support.queue_maps import BUS, EVENTS, ORDERS, QUEUES, SHOP, STREAM
from tests.support.token_builder import NOW, token


def requested(event: object, configuration: BridgeConfiguration | None, **fields: Any) -> tuple[Entry, Content]:
    content = Content(HttpIn(HttpRequest("GET", "/", [])), event=json.dumps(event).encode())
    return Entry("lattice", "shop", "/", "id", 1.0, content=content, configuration=configuration, **fields), content


def recorded(record: object, configuration: BridgeConfiguration) -> tuple[Entry, Content]:
    content = Content(RecordIn(json.dumps(record).encode()))
    return Entry("queue", "orders", "id", "id", 1.0, content=content, configuration=configuration), content


def read_table(text: str) -> dict[str, Any]:
    (table,) = tomllib.loads(text)["test"]
    assert isinstance(table, dict)
    return table


def passes(configuration: BridgeConfiguration, *tables: str) -> None:
    """Appends the tables to the map, and runs `lattice-bridge check`."""
    assert configuration.file is not None
    text = configuration.file.read_text(encoding="utf-8")
    configuration.file.write_text("\n".join([text, *tables]), encoding="utf-8")
    found = read("check", str(configuration.file))
    assert found.exit_code == 0, found.output


def test_tables_of_any_event_are_accepted_by_check_and_pass(tmp_path: Path) -> None:
    """Also those of hostile events: none of their values ends a string of TOML, or its table."""
    configuration = configured(tmp_path, BACKEND + MAP + OPEN)
    tables = []
    for case in all_events():
        if "Records" not in case.event and "detail-type" not in case.event:
            with contextlib.suppress(Refused):
                tables.append(table_of(*requested(case.event, configuration)))
    assert len(tables) > 20
    passes(configuration, *tables)


def test_table_with_a_credential_is_refused_without_it(tmp_path: Path) -> None:
    """Trap G2: a copy is masked as the page is, and a table with a mask would be another test."""
    configuration = configured(tmp_path, BACKEND + MAP)
    for value in ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "AKIAQRSTUVWXYZ234567", "token=hunter2hunter2"):
        with pytest.raises(Refused, match="Fix: copy it as fixture") as refused:
            table_of(*requested(v2(role("support"), headers={"x-tenant-id": value}), configuration))
        assert value.rpartition("=")[2] not in str(refused.value)


def test_table_has_the_evidence_and_the_decision(tmp_path: Path) -> None:
    configuration = configured(tmp_path, BACKEND + MAP)
    event = v2(role("support"), headers={"x-tenant-id": "green", "authorization": "secret"})
    text = table_of(*requested(event, configuration))
    found = read_table(text)
    assert found == {"principal": role("support"), "header": "green", "expect": "green"}
    assert "secret" not in text
    refused = read_table(table_of(*requested(v2(role("stranger")), configuration)))
    assert refused["expect"] == "refused: no_rule"


def test_place_of_a_request_is_in_its_table_if_a_rule_reads_it(tmp_path: Path) -> None:
    """Those of the local stack mean nothing on AWS."""
    configuration = configured(tmp_path, BACKEND + MAP + CONDITION)
    text = table_of(*requested(v2(role("job")), configuration))
    assert read_table(text) == {"principal": role("job"), "vpc": VPC, "expect": "blue"}
    passes(configuration, text)


def test_table_of_a_token_has_the_claims_that_a_rule_reads(tmp_path: Path) -> None:
    """Trap G2: the token is not in it, and no other claim."""
    configuration = configured(tmp_path, BACKEND + MAP + USERS)
    bearer = token(iat=NOW - 60, exp=NOW + 60, email="a@b.example")
    text = table_of(*requested(v2(headers={"authorization": f"Bearer {bearer}"}), configuration))
    assert read_table(text)["claims"]["corp"]["tenant"] == "blue"
    assert read_table(text)["expect"] == "blue"
    assert "email" not in text
    assert bearer[:20] not in text
    passes(configuration, text)


def test_refused_token_gives_no_table(tmp_path: Path) -> None:
    """Its test would pass with a tenant, and the request got none."""
    configuration = configured(tmp_path, BACKEND + MAP + USERS)
    event = v2(headers={"authorization": f"Bearer {token(iat=NOW - 60, exp=NOW + 60)}"})
    with pytest.raises(Refused, match="token_invalid: its token is not accepted"):
        table_of(*requested(event, configuration, outcome="refused", reason="token_invalid"))


@pytest.mark.parametrize(
    ("text", "record", "expected"),
    [
        (
            QUEUES,
            sqs_record("{}", queue=ORDERS, sender=f"{SHOP}:till-7", attributes={"tenant": "green"}),
            {"source": ORDERS, "sender": {"role_id": SHOP, "session": "till-7"}, "claim": "green", "expect": "green"},
        ),
        (
            QUEUES,
            sqs_record("{}", queue=ORDERS, sender=f"{SHOP}:till-7", attributes={"tenant": "red"}),
            {
                "source": ORDERS,
                "sender": {"role_id": SHOP, "session": "till-7"},
                "claim": "red",
                "expect": "refused: tenant_suspended",
            },
        ),
        (EVENTS, kinesis_record(b"{}", stream=STREAM), {"source": STREAM, "expect": "blue"}),
        (
            EVENTS,
            {
                "version": "0",
                "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
                "detail-type": "placed",
                "source": "shop",
                "account": ACCOUNT,
                "time": "2026-01-01T00:00:00Z",
                "region": "eu-west-1",
                "resources": [],
                "detail": {"tenant": "green"},
            },
            {
                "source": BUS,
                "event_account": ACCOUNT,
                "bus_source": "shop",
                "detail_type": "placed",
                "claim": "green",
                "expect": "green",
            },
        ),
    ],
    ids=["queue", "refused", "stream", "bus"],
)
def test_table_of_a_record_passes(text: str, record: object, expected: dict[str, Any], tmp_path: Path) -> None:
    configuration = configured(tmp_path, text)
    table = table_of(*recorded(record, configuration))
    assert read_table(table) == expected
    passes(configuration, table)


def test_entry_without_a_map_or_event_gives_no_table(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no map has decided"):
        table_of(*requested({}, None))
    entry, content = requested({}, configured(tmp_path, BACKEND + MAP))
    content.event = b"no JSON"
    with pytest.raises(Refused, match="not JSON"):
        table_of(entry, content)
    with pytest.raises(Refused, match="refused before a rule was read"):
        table_of(*requested({"version": "9"}, entry.configuration))


def test_value_of_toml_is_read_as_it_was() -> None:
    """Trap G3: also control characters, which stay escapes."""
    value = {"a.b": ['"""', "\\", "\n\r\t\x00\x1b\x7f\x9b\u202e", "é😀", 1, True, 1.5, {"": "x"}]}
    text = toml(value)
    assert text.isprintable()
    assert tomllib.loads(f"v = {text}")["v"] == value
    with pytest.raises(Refused):
        toml("\ud800")
