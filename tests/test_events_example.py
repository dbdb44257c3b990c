"""examples/events: the map decides as its tests expect, and the function runs each event once."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from tests.support.modules import module
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "examples" / "events"


def test_strict_check_of_map_and_template_finds_nothing_and_the_tests_of_the_map_pass() -> None:
    """One of the tests is an event of AWS, which the rule for the account does not allow."""
    template = ["--template", str(FOLDER / "template.yaml")]
    result = CliRunner().invoke(root, ["check", str(FOLDER / "bridge.toml"), "--strict", *template])
    assert (result.exit_code, result.stdout.count("no errors, no warnings")) == (0, 2), result.stdout


class Bus:
    """EventBridge; keeps the entries."""

    def __init__(self, failed: int = 0) -> None:
        self.failed = failed
        self.entries: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's argument
        self.entries += Entries
        return {
            "FailedEntryCount": self.failed,
            "Entries": [{"EventId": str(number)} for number in range(len(Entries))],
        }


def test_program_publishes_each_order_to_the_bus_of_the_map() -> None:
    program, bus = module(FOLDER / "publish.py"), Bus()
    assert program.publish(bus) == [str(number) for number in range(len(program.ORDERS))]
    assert [json.loads(one["Detail"]) for one in bus.entries] == list(program.ORDERS)
    text = (FOLDER / "bridge.toml").read_text(encoding="utf-8")
    assert {f'event-bus/{one["EventBusName"]}"' in text for one in bus.entries} == {True}


def test_events_that_the_bus_did_not_take_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="took only a part"):
        module(FOLDER / "publish.py").publish(Bus(failed=1))


def test_order_runs_once_under_the_tenant_of_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    app, blue = module(FOLDER / "src" / "orders" / "app.py"), SimpleNamespace(tenant_id="blue")
    for event in ({"id": "1", "detail": {"quantity": 2}},) * 2:
        assert app.handler(event, blue) is None
    with pytest.raises(ValueError, match="at least one piece"):
        app.handler({"id": "2", "detail": {"quantity": 0}}, blue)
    assert capsys.readouterr().out.splitlines() == ["blue: order 1, 2 pieces", "blue: order 1 again, nothing to do"]
    assert app.done == {"1": 1}
