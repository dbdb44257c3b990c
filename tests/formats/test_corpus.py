"""The corpus under events/: adding a case is adding a file and its `.expected.json`."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge import BridgeError, Request, parse_event
from lattice_bridge.events.batch import batch_of
from lattice_bridge.events.kinesis import deaggregated
from lattice_bridge.events.record import Record
from lattice_bridge.testing import all_events, load_event
from tests.support.paths import ROOT

EVENTS: Final = ROOT / "events"
FOLDERS: Final = ("v1", "v2", "invalid")
EVIDENCE: Final = {"documented", "observed", "assumed"}


def _cases(*folders: str) -> list[Any]:
    paths = [path for folder in folders for path in sorted((EVENTS / folder).glob("*.json"))]
    return [
        pytest.param(path, id=f"{path.parent.name}/{path.stem}")
        for path in paths
        if not path.name.endswith(".expected.json")
    ]


def _expected(path: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads(path.with_suffix(".expected.json").read_text(encoding="utf-8"))
    return expected


def _seen(request: Request) -> dict[str, Any]:
    caller = request.caller
    return {
        "version": request.version,
        "method": request.method,
        "path": request.path,
        "raw_query": request.raw_query,
        "query": request.query,
        "query_all": [list(pair) for pair in request.query_all],
        "headers": [list(pair) for pair in request.headers],
        "body_base64": base64.b64encode(request.body).decode(),
        "principal": caller.principal,
        "authenticated": caller.authenticated,
        "session_name": caller.session_name,
        "org_id": caller.org_id,
        "source_vpc_arn": caller.source_vpc_arn,
        "x509": None if caller.x509 is None else asdict(caller.x509),
        "request_id": request.request_id,
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_events(folder: str) -> None:
    assert len(_cases(folder)) >= 10


@pytest.mark.parametrize("folder", [*FOLDERS, "sqs", "kinesis", "dynamodb", "eventbridge", "pipes"])
def test_every_event_has_an_expected_file(folder: str) -> None:
    names = {path.name for path in (EVENTS / folder).iterdir()}
    expected = {name for name in names if name.endswith(".expected.json")}
    assert {name.removesuffix(".json") + ".expected.json" for name in names - expected} == expected


@pytest.mark.parametrize("path", _cases(*FOLDERS))
def test_every_case_has_about_and_evidence(path: Path) -> None:
    expected = _expected(path)
    assert expected["about"].endswith(".")
    assert expected["evidence"] in EVIDENCE
    assert expected["source"].startswith("docs/wire.md §1 ")


@pytest.mark.parametrize("path", _cases("v1", "v2"))
def test_a_valid_event_becomes_this_request(path: Path) -> None:
    assert _seen(parse_event(json.loads(path.read_text(encoding="utf-8")))) == _expected(path)["request"]


@pytest.mark.parametrize("path", _cases("invalid"))
def test_an_invalid_event_is_refused_for_this_reason(path: Path) -> None:
    expected = _expected(path)
    with pytest.raises(BridgeError) as refused:
        parse_event(json.loads(path.read_text(encoding="utf-8")))
    assert (refused.value.status, refused.value.reason) == (expected["status"], expected["reason"])
    assert expected["detail_contains"] in refused.value.detail


# ---- records --------------------------------------------------------------------------------------------------------

SECTIONS: Final = {"sqs": 6, "kinesis": 7, "dynamodb": 8, "eventbridge": 9, "pipes": 10}
"""The folder → the section of docs/wire.md."""


def _seen_message(record: Record) -> dict[str, Any]:
    sender = record.sender
    return {
        "id": record.id,
        "source": record.source,
        "group": record.group,
        "sender": None if sender is None else sender.id,
        "session": None if sender is None else sender.session,
        "trace": record.trace,
        "receive_count": record.receive_count,
        "fault": None if record.fault is None else record.fault.reason,
    }


def _seen_record(record: Record) -> dict[str, Any]:
    account, source, detail_type = record.bus_event or (None, None, None)
    seen = {
        "id": record.id,
        "source": record.source,
        "group": record.group,
        "caller": record.caller,
        "account": account,
        "bus_source": source,
        "detail_type": detail_type,
        "fault": None if record.fault is None else record.fault.reason,
    }
    if seen["fault"] != "aggregated":
        return seen
    parts = [(one.name, one.group, one.fault and one.fault.reason) for one in deaggregated(record)]
    return {**seen, "parts": [{"name": name, "group": group, "fault": fault} for name, group, fault in parts]}


@pytest.mark.parametrize("path", _cases(*SECTIONS))
def test_event_becomes_these_records(path: Path) -> None:
    event, expected = json.loads(path.read_text(encoding="utf-8")), _expected(path)
    seen = _seen_message if path.parent.name == "sqs" else _seen_record
    if "records" in expected:
        assert [seen(record) for record in batch_of(event).records] == expected["records"]
        return
    with pytest.raises(BridgeError) as refused:
        batch_of(event)
    assert refused.value.reason == expected["reason"]


@pytest.mark.parametrize("path", _cases(*SECTIONS))
def test_every_case_of_records_has_about_and_evidence(path: Path) -> None:
    expected = _expected(path)
    assert expected["about"].endswith(".")
    assert expected["evidence"] in EVIDENCE
    assert expected["source"].startswith(f"docs/wire.md §{SECTIONS[path.parent.name]} ")


def test_source_of_a_case_is_a_row_of_the_page() -> None:
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    for path in (value for folder in SECTIONS for value in sorted((EVENTS / folder).glob("*.expected.json"))):
        _, section, row = json.loads(path.read_text(encoding="utf-8"))["source"].split(" ", 2)
        text = page.partition(f"\n## {section[1:]}. ")[2].partition("\n## ")[0]
        assert f"\n| {row} |" in text, path


def test_patterns_of_http_events_fit_no_event_with_records() -> None:
    assert {case.name.partition("/")[0] for case in all_events()} == set(FOLDERS)
    for folder in SECTIONS:
        assert len(all_events(f"{folder}/*")) == len(_cases(folder)) >= 10
    assert load_event("sqs/standard")["Records"][0]["eventSource"] == "aws:sqs"
    assert load_event("pipes/kinesis")[0]["eventSource"] == "aws:kinesis"
