"""Events of an authorizer in the commands: `explain`, `diff` and `check` read them as those of the bridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.review.check import findings_of
from tests.support.authorizer_events import API, FORMS, STAGE_ARN, http_2, rest
from tests.support.builders import MAP, OPEN, v2
from tests.support.commands import explained, read, written

APIS: Final = f'[apigateway]\napis = ["{API}"]\n'
OPEN_MAP: Final = APIS + MAP + OPEN

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return written(tmp_path / "map.toml", OPEN_MAP)


def explain(path: str, folder: Path, event: dict[str, Any]) -> dict[str, Any]:
    return explained(path, written(folder / "event.json", json.dumps(event)))


@pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
def test_event_of_an_authorizer_is_explained(make: Make, path: str, tmp_path: Path) -> None:
    found = explain(path, tmp_path, make({"x-tenant-id": "green"}))
    assert (found["tenant"], found["owner"], found["chosen_by"]) == ("green", "open", "header")


def test_status_is_one_that_an_authorizer_has(path: str, tmp_path: Path) -> None:
    """API Gateway has no 400 for it, and 401 only in front of a REST API."""
    found = explain(path, tmp_path, rest({"x-tenant-id": "a b"}))
    assert (found["reason"], found["status"]) == ("tenant_malformed", 403)
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
    statuses = [explain(path, tmp_path, make(signed))["status"] for make in (rest, http_2)]
    assert statuses == [401, 403]


def test_type_token_is_explained_with_its_fix(path: str, tmp_path: Path) -> None:
    found = explain(path, tmp_path, {"type": "TOKEN", "methodArn": f"{STAGE_ARN}/GET/"})
    assert "Fix: make an authorizer of type REQUEST" in found["detail"]


def test_event_of_another_api_is_explained_as_not_enabled(tmp_path: Path) -> None:
    """Trap F1."""
    path = written(tmp_path / "map.toml", OPEN_MAP.replace(API, "z9y8x7w6v5"))
    assert explain(path, tmp_path, rest())["reason"] == "not_enabled"


def test_recorded_events_of_an_authorizer_are_compared(tmp_path: Path) -> None:
    old = written(tmp_path / "old.toml", OPEN_MAP)
    new = written(tmp_path / "new.toml", OPEN_MAP.replace(API, "z9y8x7w6v5"))
    events = written(
        tmp_path / "events.jsonl", "".join(f"{json.dumps(one)}\n" for one in (rest({"x-tenant-id": "blue"}), v2()))
    )
    done = read("diff", old, new, "--events", events)
    assert done.output.splitlines() == [
        "loses\tGET /orders/7 (rest-1)\tblue\trefused: not_enabled",
        "1 decision differs: gains 0, loses 1, changes 0",
    ]


def test_map_of_an_authorizer_needs_no_backend() -> None:
    """A map with other tables is a bridge's."""
    assert not [one for one in findings_of(OPEN_MAP) if one.level == "error"]
    (fault,) = [one for one in findings_of('[lattice]\nscheme = "https"\n' + OPEN_MAP) if one.level == "error"]
    assert fault.text.startswith("no [[backend]]")
