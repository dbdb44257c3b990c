"""How the corpus is read, and that it has a case for each trap that an event can show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge import TenantMap, parse_event
from lattice_bridge.testing import Case, all_events, load_event
from lattice_bridge.testing.corpus import UnknownEvent, all_replies
from tests.support.paths import ROOT

EVENTS: Final = ROOT / "events"

OLDER: Final = {
    "A7": "v2/lattice-headers-from-client",
    "A8": "invalid/alb",
    "A9": "invalid/both-markers",
    "B2": "v2/signed-role-iam-spelling",
    "B5": "v2/signed-role-arn",
    "B10": "v2/signed-role-session-resembles",
    "B11": "invalid/identity-session-conflict",
    "B12": "invalid/identity-unknown-shape",
}
"""Cases of traps that do not say so themselves."""

DECIDED: Final = [case for case in all_events() if "decision" in case.expected]


def _traps() -> Iterator[str]:
    """Those of docs/traps.md that are of events or replies."""
    for line in (EVENTS.parent / "docs" / "traps.md").read_text(encoding="utf-8").splitlines():
        name = line.removeprefix("| ").partition(" |")[0]
        if name[:1] in ("A", "B") and name[1:].isdigit():
            yield name


@pytest.fixture(scope="module")
def tenant_map() -> TenantMap:
    return TenantMap.from_toml((EVENTS / "decisions.toml").read_text(encoding="utf-8"))


# ---- what is in it --------------------------------------------------------------------------------------------------


def test_every_trap_of_an_event_or_a_reply_has_a_case() -> None:
    traps = set(_traps())
    assert len(traps) >= 34
    cases = {case.name: case.expected for case in all_events()}
    cases |= {f"replies/{case.name}": case.expected for case in all_replies()}
    assert set(OLDER.values()) <= cases.keys()
    assert {expected["trap"] for expected in cases.values() if "trap" in expected} | OLDER.keys() == traps


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: case.name)
def test_a_map_decides_so(tenant_map: TenantMap, case: Case) -> None:
    decided = tenant_map.decide(parse_event(case.event))
    if "tenant" in case.expected["decision"]:
        assert case.expected["decision"] == {"tenant": decided.tenant}
    else:
        assert case.expected["decision"] == {"status": decided.status, "reason": decided.reason}


def test_case_of_a_trap_has_a_decision_or_is_refused() -> None:
    trapped = [case for case in all_events() if "trap" in case.expected]
    assert len(trapped) > 30
    assert [case.name for case in trapped if not {"decision", "reason"} & case.expected.keys()] == []


@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_every_reply_has_evidence(kind: str) -> None:
    cases = all_replies(f"{kind}/*")
    assert len(cases) >= 12
    for case in cases:
        assert case.expected["about"].endswith(".")
        assert case.expected["evidence"] in ("documented", "observed", "assumed")
        assert case.expected["source"].startswith("docs/wire.md §2 ")
    files = {path.name for path in (EVENTS / "replies" / kind).iterdir()}
    names = {case.name.partition("/")[2] for case in cases}
    assert files == {f"{name}{ending}" for name in names for ending in (".json", ".expected.json")}


# ---- how it is read -------------------------------------------------------------------------------------------------


def test_an_event_is_loaded_anew_each_time() -> None:
    one = load_event("v2/query-repeated")
    one.clear()
    assert load_event("v2/query-repeated")["path"] == "/orders?a=1&b=2&a=3&a="


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("v2/query-repeatd", "v2/query-repeated"),
        ("query-repeated", "v2/query-repeated"),
        ("v1/query-repeated", "v2/query-repeated"),
        ("v2/zzzzzzzz", "others"),
        ("replies/valid/full", "others"),
        ("../pyproject", "others"),
    ],
)
def test_unknown_name_is_a_key_error_with_similar_names(name: str, near: str) -> None:
    with pytest.raises(KeyError) as refused:
        load_event(name)
    assert str(refused.value).startswith(f"no event '{name}'; ")
    assert near in str(refused.value)


def test_all_events_are_sorted_by_folder_and_name() -> None:
    names = [case.name for case in all_events()]
    assert names == sorted(names)
    assert {name.partition("/")[0] for name in names} == {"invalid", "v1", "v2"}
    assert len(names) >= 60


def test_a_pattern_chooses_by_name() -> None:
    names = [case.name for case in all_events("*/forwarded-*")]
    assert names == ["v1/forwarded-ipv6", "v1/forwarded-two-hops", "v2/forwarded-ipv6", "v2/forwarded-two-hops"]


def test_a_case_has_the_event_and_what_stands_beside_it() -> None:
    (case,) = all_events("v2/unsigned")
    assert case.event == load_event("v2/unsigned")
    assert case.expected == json.loads((EVENTS / "v2" / "unsigned.expected.json").read_text(encoding="utf-8"))


def test_a_folder_of_ones_own_takes_the_place_of_the_corpus(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.json").write_text('{"a": 1}')
    (tmp_path / "two.json").write_text("[]")
    (tmp_path / "two.expected.json").write_text('{"status": 400}')
    assert all_events(folder=tmp_path) == [Case("mine/one", {"a": 1}, {}), Case("two", [], {"status": 400})]
    assert all_events("t*", folder=str(tmp_path)) == [Case("two", [], {"status": 400})]


@pytest.mark.parametrize("arguments", [("v3/*",), ("*", "nowhere")])
def test_pattern_without_match_is_refused(arguments: Any) -> None:
    with pytest.raises(UnknownEvent):
        all_events(*arguments)


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not JSON"):
        all_events(folder=tmp_path)


@pytest.mark.parametrize(("count", "words"), [(1, "there is 1 other"), (2, "there are 2 others")])
def test_events_of_a_folder_are_counted(tmp_path: Path, count: int, words: str) -> None:
    for number in range(count):
        (tmp_path / f"{number}.json").write_text("{}")
    with pytest.raises(UnknownEvent, match=words):
        all_events("unlike/any", tmp_path)
