"""examples/events on the real stack: what docs/events.md says about the bridge, beside the routers of AWS's blog."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.modules import module
from tests.support.paths import ROOT
from tests.support.stack_queues import client, lines, received, records_of

FOLDER: Final = ROOT / "examples" / "events"
REASONS: Final = {2: "claim_missing", 3: "tenant_suspended", 4: "tenant_not_allowed", 6: "tenant_malformed"}
"""Number of an event → why it is in the quarantine. The last one is published by the test."""
FAILS: Final = 5
"""The number of the event on which the function fails."""
TRIES: Final = 3


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(FOLDER / "template.yaml", options=["--async-retry", "0.1"]) as stack:
        yield stack


@pytest.fixture(scope="module")
def ids(stack: LocalStack) -> list[str]:
    """Publishes the events of the example, and one whose tenant is no tenant id. Their ids, in order."""
    events = client(stack, service="events")
    detail = json.dumps({"tenant": "tenant#blue", "quantity": 1})
    entry = {"EventBusName": "shop", "Source": "shop", "DetailType": "Order placed", "Detail": detail}
    published = module(FOLDER / "publish.py").publish(events)
    return [*published, events.put_events(Entries=[entry])["Entries"][0]["EventId"]]


@pytest.fixture(scope="module")
def copies(stack: LocalStack, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Id of an event → its copy in the quarantine."""
    assert ids
    found = [received(client(stack), "shop-quarantine") for _ in REASONS]
    return {json.loads(one["Body"])["id"]: one for one in found}


@pytest.fixture(scope="module")
def failure(stack: LocalStack, ids: list[str]) -> dict[str, Any]:
    """Lambda's record about the event on which the bridge failed."""
    assert ids
    return dict(json.loads(received(client(stack), "shop-failed")["Body"]))


def test_event_of_each_tenant_runs_under_it(stack: LocalStack, ids: list[str]) -> None:
    found = lines(stack, lambda line: line.get("object", {}).get("status") == "done", 2)
    records = {line["object"]["id"]: line["object"]["tenant"] for line in found}
    assert records == {ids[0]: "blue", ids[1]: "green"}
    outputs = {line.get("line") for line in lines(stack, lambda line: "pieces" in str(line.get("line")), 2)}
    assert {"blue: order 1, 2 pieces", "green: order 1, 3 pieces"} <= outputs


@pytest.mark.parametrize("number", REASONS)
def test_event_without_a_tenant_of_its_account_is_in_the_quarantine_and_never_ran(
    stack: LocalStack, ids: list[str], copies: dict[str, dict[str, Any]], number: int
) -> None:
    """Trap E2, E6: it is tried once, since no retry can help."""
    note = json.loads(copies[ids[number]]["MessageAttributes"]["lattice-bridge"]["StringValue"])
    assert (note["reason"], note["id"]) == (REASONS[number], ids[number])
    lines(stack, lambda line: line.get("object", {}).get("id") == ids[number], 1)  # written behind the copy
    own = [one for one in records_of(stack) if one["id"] == ids[number]]
    assert [(one["status"], one.get("function")) for one in own] == [("quarantined", None)]


def test_event_on_which_the_function_fails_is_tried_three_times_and_kept(
    stack: LocalStack, ids: list[str], failure: dict[str, Any]
) -> None:
    """Trap E16: an error of the function is one of the bridge, so that Lambda tries the event again."""
    assert failure["requestPayload"]["id"] == ids[FAILS]
    assert failure["requestContext"]["condition"] == "RetriesExhausted"
    lines(stack, lambda line: line.get("object", {}).get("id") == ids[FAILS], TRIES)  # behind the record
    own = [one for one in records_of(stack) if one["id"] == ids[FAILS]]
    assert [(one["status"], one["reason"], one["tenant"]) for one in own] == [
        ("failed", "backend_raised", "blue")
    ] * TRIES


@pytest.mark.usefixtures("copies", "failure")
def test_log_of_the_bridge_contains_nothing_of_the_detail(stack: LocalStack) -> None:
    """Trap E24: the copies have the contents."""
    written = json.dumps(records_of(stack))
    assert [word for word in ("quantity", "tenant#blue", "purple") if word in written] == []


def test_reasons_on_the_page_are_those_of_the_copies() -> None:
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8").partition("### Compared with AWS's blog")[2]
    assert set(re.findall(r"\(`(\w+)`\)", page.partition("\n## ")[0])) == set(REASONS.values())
