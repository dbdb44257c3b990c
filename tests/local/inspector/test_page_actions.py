"""The inspector's page in a browser: replay, copies, what runs, a file; accessibility, and the pictures of the docs."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lattice_bridge.local.inspector.entry import Content
from tests.support import inspector_data as data
from tests.support.browser import REFUSED_LOAD, Window
from tests.support.inspector_sample import MOVED, Sample
from tests.support.paths import ROOT
from tests.support.written import WRITE

MAX_PICTURE = 200_000


# ---- replay ----------------------------------------------------------------------------------------------------------


def test_replay_as_is_sends_nothing_else_and_opens_the_comparison(shared: Page, common: Sample) -> None:
    fresh = len(common.timeline) + 1
    shared.locator("#entry-2").click()
    shared.get_by_role("button", name="Replay", exact=True).click()
    expect(shared.get_by_role("group", name="Comparison")).to_contain_text("#2 original")
    assert common.asked("replay") == [{"n": 2}]
    expect(shared.locator(f"#entry-{fresh}")).to_contain_text("↻ /orders")
    expect(shared.locator(".compare tr.changed")).to_have_count(0)


def test_edited_replay_sends_only_what_changed(shared: Page, common: Sample) -> None:
    """Trap G2: a masked header is sent as null. The browser never had its value."""
    fresh = len(common.timeline) + 1
    shared.locator("#entry-4").click()
    shared.get_by_role("button", name="Edit and replay").click()
    changes = {"method": "PATCH", "target": "/orders?of=blue", "tenant": "blue", "identity": "LOCALSUPPORT"}
    shared.get_by_label("Method").fill(changes["method"])
    shared.get_by_label("Target").fill(changes["target"])
    shared.get_by_label("Tenant asked for").fill(changes["tenant"])
    shared.get_by_label("Identity").select_option(changes["identity"])
    shared.get_by_label("Value of user-agent").fill("edited")
    shared.get_by_role("button", name="Send").click()
    expect(shared.get_by_role("group", name="Comparison")).to_contain_text(f"#{fresh} replay")
    (given,) = common.asked("replay")
    headers = dict(given.pop("headers"))
    assert given == {"n": 4, **changes}
    assert (headers["user-agent"], headers["authorization"]) == ("edited", None)
    expect(shared.locator(".compare tr.changed").filter(has_text="tenant").first).to_be_visible()
    shared.go_back()
    expect(shared.get_by_role("tablist")).to_be_visible()


def test_masked_body_is_sent_only_if_it_is_replaced(shared: Page, common: Sample) -> None:
    shared.locator("#entry-3").click()
    shared.get_by_role("button", name="Edit and replay").click()
    expect(shared.get_by_label("Body", exact=True)).not_to_be_editable()
    shared.get_by_label("Replace it: 1 value is masked").check()
    shared.get_by_label("Body", exact=True).fill("{}")
    shared.get_by_role("button", name="Send").click()
    expect(shared.get_by_role("group", name="Comparison")).to_be_visible()
    assert common.asked("replay") == [{"n": 3, "body": {"text": "{}"}}]


def test_binary_body_is_edited_as_hex(shared: Page, common: Sample) -> None:
    shared.locator("#entry-19").click()
    shared.get_by_role("button", name="Edit and replay").click()
    body = shared.get_by_label("Body, as hex digits")
    assert bytes.fromhex(body.input_value()) == bytes(range(256)) * 2
    body.fill("00 ff")
    shared.get_by_role("button", name="Send").click()
    expect(shared.get_by_role("group", name="Comparison")).to_be_visible()
    assert common.asked("replay") == [{"n": 19, "body": {"hex": "00ff"}}]


def test_record_is_put_again_with_another_content_and_attributes(page: Page, sample: Sample) -> None:
    """The form has what the queue takes. A removed attribute is sent as null, and one that is masked in part is not."""
    sample.stack.is_late = True
    page.locator("#entry-10").click()
    page.get_by_role("button", name="Edit and replay").click()
    expect(page.get_by_label("Content", exact=True)).to_have_value('{\n  "order": 17\n}')
    page.get_by_label("Content", exact=True).fill('{"order": 99}')
    page.get_by_label("Group", exact=True).fill("first")
    masked = page.get_by_label("Value of login")
    expect(masked).to_have_value("")
    expect(masked).to_have_attribute("placeholder", "as the original (ann password=•••• 7 characters)")
    page.get_by_role("button", name="Remove tenant").click()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name", exact=True).last.fill("source")
    page.get_by_label("Value of the new line").fill("a test")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("group", name="Comparison")).to_be_visible()
    (given,) = sample.asked("replay")
    attributes = {"tenant": None, "source": "a test"}
    assert given == {"n": 10, "body": {"text": '{"order": 99}'}, "group": "first", "attributes": attributes}


def test_payload_and_tenant_of_an_invoke_are_edited(shared: Page, common: Sample) -> None:
    shared.locator("#entry-15").click()
    shared.get_by_role("button", name="Edit and replay").click()
    expect(shared.get_by_label("Tenant asked for")).to_have_value("blue")
    shared.get_by_label("Tenant asked for").fill("green")
    shared.get_by_label("Payload", exact=True).fill("{}")
    shared.get_by_role("button", name="Send").click()
    expect(shared.get_by_role("group", name="Comparison")).to_be_visible()
    assert common.asked("replay") == [{"n": 15, "tenant": "green", "body": {"text": "{}"}}]


def test_refused_replay_shows_the_message_and_keeps_the_form(window: Window, sample: Sample) -> None:
    with window.opened(sample.url, expects=REFUSED_LOAD) as page:
        page.locator("#entry-2").click()
        page.get_by_role("button", name="Edit and replay").click()
        page.get_by_label("Method").fill("BREAK")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("is not a method. Fix: write letters")
        sample.change(2, ms=1.0)
        expect(page.locator("#entry-2")).to_contain_text("1.0 ms")
        expect(page.get_by_label("Method")).to_have_value("BREAK")
        page.keyboard.press("Escape")
        expect(page.get_by_role("tablist")).to_be_visible()


def test_comparison_marks_what_differs(shared: Page) -> None:
    shared.locator("#entry-8").click()
    shared.get_by_role("button", name="replay of #4: compare").click()
    changed = shared.locator(".compare tr.changed th").all_inner_texts()
    assert changed == [
        f"≠ {name}" for name in ("outcome", "reason", "tenant", "caller", "owner", "decision", "status", "body")
    ]
    expect(shared.locator(".compare .only")).to_have_text(
        ['"error": "tenant_not_allowed"', '"tenant": "green",', '"orders": []']
    )


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_copies_are_what_the_server_makes(shared: Page) -> None:
    shared.locator("#entry-2").click()
    for name, wanted in (("curl", "curl "), ("event", '"version": "2.0"')):
        shared.get_by_role("button", name=f"Copy as {name}").click()
        expect(shared.get_by_role("button", name=f"Copy as {name}")).to_have_text("Copied")
        assert wanted in shared.evaluate("navigator.clipboard.readText()")


def test_refused_action_shows_the_message(window: Window, sample: Sample) -> None:
    with window.opened(sample.url, expects=REFUSED_LOAD) as page:
        page.locator("#entry-2").click()
        sample.stack.refusal = "entry 2: the identity is gone. Fix: send it again"
        for name in ("Copy as curl", "Replay"):
            page.get_by_role("button", name=name, exact=True).click()
            expect(page.get_by_role("alert")).to_have_text(sample.stack.refusal)
            page.evaluate("document.querySelector('#problem').hidden = true")


def test_fixture_is_saved_as_a_file(shared: Page, tmp_path: Path) -> None:
    shared.locator("#entry-2").click()
    with shared.expect_download() as started:
        shared.get_by_role("button", name="Save as fixture").click()
    assert started.value.suggested_filename == "0002-get-orders.json"
    started.value.save_as(tmp_path / "saved")
    assert json.loads((tmp_path / "saved").read_text())["version"] == "2.0"


# ---- what runs -------------------------------------------------------------------------------------------------------


def test_environments_are_a_grid_of_functions_and_tenants_with_logs(page: Page, sample: Sample) -> None:
    page.get_by_role("button", name="What runs").click()
    heads = page.locator(".grid thead th")
    expect(heads).to_have_text(["function", "without tenant", "acme", "blue", "green"])
    orders = page.locator(".grid tbody tr").nth(1).locator("td")
    expect(orders.nth(2)).to_contain_text("#1 idle 12 s140 calls · 48.2 MB · 12 min old")
    expect(orders.nth(2)).to_contain_text("#2 busy")
    tile = orders.nth(2).get_by_role("button").first
    tile.click()
    expect(page.get_by_role("group", name="Log")).to_contain_text("listing orders <script>alert(1)</script>")
    sample.stack.found["environments"][1]["invocations"] = 141
    expect(tile).to_contain_text("141 calls")
    assert set(sample.asked("runs")) == {"", "orders/blue#1"}
    expect(tile).to_be_focused()


def test_map_that_does_not_load_is_told_from_a_refused_change(page: Page, sample: Sample) -> None:
    sample.stack.found["map"][0] |= {"faults": ["line 3: no such key"], "refused": [], "sha256": None}
    page.evaluate("location.hash = 'view=runs'")
    part = page.get_by_role("region", name="The active map")
    expect(part).to_contain_text("The map does not load, so the bridge answers 503:line 3: no such key")
    expect(part).not_to_contain_text("The last change was refused")


def test_map_shows_rules_tenants_and_the_faults_of_a_refused_change(shared: Page) -> None:
    shared.evaluate("location.hash = 'view=runs'")
    part = shared.get_by_role("region", name="The active map")
    expect(part).to_contain_text("The last change was refused")
    expect(part).to_contain_text("9f2c41d7e8b0")
    expect(part.locator("tbody tr").first).to_have_text(
        "blue-apirole blue-api of 111122223333bluevpc: vpc-0a1b2c3d4e5f607188"
    )
    expect(part).to_contain_text("oldsuspended")
    cells = [row.locator("td").nth(2).inner_text() for row in part.locator("tbody tr").all()]
    assert cells[2:] == ["any registered tenant", "acme-{tenant} in jwt.corp.tenant", "none: it denies"]
    expect(part.locator("tbody .tenant")).to_have_text(["blue", "blue", "green"])


def test_quarantine_shows_messages_with_reasons_and_can_be_redriven(shared: Page, common: Sample) -> None:
    shared.evaluate("location.hash = 'view=runs'")
    shared.get_by_role("button", name="Messages of orders-quarantine").click()
    expect(shared.locator(".message")).to_have_count(50)
    shared.get_by_role("button", name="Show more").click()
    expect(shared.locator(".message")).to_have_count(60)
    assert common.asked("messages") == [("orders-quarantine", 0), ("orders-quarantine", 150)]
    expect(shared.locator(".message").first).to_contain_text("tenant_not_allowed")
    shared.locator(".message summary").first.click()
    expect(shared.locator(".message").first).to_contain_text("detail<script>alert(1)</script>")
    assert shared.get_by_role("button", name="Redrive orders.fifo").count() == 0
    shared.get_by_role("button", name="Redrive orders-quarantine").click()
    said = f"1 message of orders-quarantine is back in its source. 1 message stays: {MOVED['why']}"
    expect(shared.get_by_role("region", name="Queues")).to_contain_text(said)
    expect(shared.locator("#announcement")).to_have_text(said)
    assert common.asked("redrive") == ["orders-quarantine"]
    expect(shared.get_by_role("region", name="Streams")).to_contain_text("shardId-0000000000001204341 s")


def test_messages_stay_if_more_cannot_be_read(window: Window, sample: Sample) -> None:
    with window.opened(f"{sample.url}&view=runs", expects=REFUSED_LOAD) as page:
        page.get_by_role("button", name="Messages of orders-quarantine").click()
        expect(page.locator(".message")).to_have_count(50)
        sample.stack.refusal = "the stack ends"
        page.get_by_role("button", name="Show more").click()
        expect(page.get_by_role("alert")).to_have_text("the stack ends")
        expect(page.locator(".message")).to_have_count(50)


def test_file_is_shown_read_only(window: Window) -> None:
    with Sample(data.entries(), mode="file") as sample, window.opened(f"{sample.url}&view=runs&n=4") as page:
        expect(page.get_by_role("heading", name="GET /orders")).to_be_visible()
        expect(page.locator("#state-text")).to_have_text("a file, read-only")
        for name in ("Replay", "Edit and replay", "Pause", "Clear", "What runs"):
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        expect(page.get_by_role("button", name="Copy as curl")).to_be_visible()
        assert sample.stack.asked == []


def test_log_line_without_an_event_shows_what_it_contains(window: Window) -> None:
    names = (
        "looked_for",
        "sources",
        "record",
        "header",
        "near_misses",
        "authenticated",
        "caller",
        "verified_by",
        "denied_by",
    )
    log = {"requestId": "4f0e6a58", "callerKey": "role blue-api of 111122223333", "rule": "blue-api", "status": 403}
    document = {
        **dict.fromkeys(names),
        "owner": "blue-api",
        "allowed": False,
        "tenant": None,
        "status": 403,
        "log": log,
    }
    document |= {"reason": "no_rule", "detail": None, "missing": ["header", "session"]}
    decision = {"documents": [document], "same_map": None, "map": None, "error": None}
    entry = data.entry(1, "/orders", tenant=None, outcome="refused", status=403, content=Content())
    with Sample([data.Made(entry, decision)], mode="file") as sample, window.opened(f"{sample.url}&n=1") as page:
        expect(page.locator(".decision")).to_contain_text("caller's keyrole blue-api of 111122223333")
        expect(page.locator(".decision")).to_contain_text("not in the lineheader, session")
        expect(page.locator(".decision")).to_contain_text("Refused with 403")
        expect(page.get_by_role("button", name="Copy as")).to_have_count(1)  # a line has no event


# ---- accessibility and pictures --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, which the driver adds to the page. The page itself loads nothing."""
    found = importlib.util.find_spec("axe_core_python")
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


PLACES = {
    "": "#entry-20",
    "n=6&tab=decision": ".decision .fails",
    "n=3&tab=came": ".headers",
    "n=1&tab=answer": ".bridge",
    "n=8&with=4": ".compare",
    "view=runs": ".grid",
}
"""Place in the page → what is visible when it is drawn."""
IN_DARK = ("", "n=6&tab=decision", "n=3&tab=came", "n=8&with=4", "view=runs")
"""Together they have each colour."""
COLOURS = {"runOnly": ["color-contrast"]}


def test_axe_finds_no_violation(shared: Page, axe: str) -> None:
    """In the dark, only the colours differ."""
    found: dict[str, list[str]] = {}

    def check(name: str, part: str) -> None:
        found[name] = _violations(shared, part, {})
        if name in IN_DARK:
            shared.emulate_media(color_scheme="dark")
            found[f"{name}, dark"] = _violations(shared, part, COLOURS)
            shared.emulate_media(color_scheme="light")

    shared.evaluate(axe)
    for place, settled in PLACES.items():
        shared.evaluate("(place) => { location.hash = place; }", place)
        expect(shared.locator(settled)).to_be_visible()
        check(place, "#runs" if place == "view=runs" else "#detail" if place else "#page")
    shared.set_viewport_size({"width": 360, "height": 740})
    found["what runs, narrow"] = _violations(shared, "#runs", {})
    shared.evaluate("location.hash = 'n=3'")
    shared.get_by_role("button", name="Edit and replay").click()
    check("form", "#detail")
    shared.keyboard.press("Escape")
    shared.locator("#show-help").click()
    check("help", "#help")
    assert {name: faults for name, faults in found.items() if faults} == {}


def _violations(page: Page, part: str, rules: data.Document) -> list[str]:
    # With `preload`, axe parses each style sheet again in each run, for rules that are not on, and looks for films.
    run = """([part, rules]) => axe.run(part, { resultTypes: ["violations"], preload: false, ...rules })
      .then(({ violations }) => violations)"""
    return [f"{one['id']}: {node['html'][:120]}" for one in page.evaluate(run, [part, rules]) for node in one["nodes"]]


@pytest.mark.parametrize(
    ("name", "place", "size", "scheme"),
    [
        ("inspector", "n=4&tab=decision", (1280, 800), "light"),
        ("inspector-narrow", "n=4&tab=decision", (360, 740), "dark"),
    ],
)
def test_pictures_of_the_docs(window: Window, name: str, place: str, size: tuple[int, int], scheme: Any) -> None:
    """`make docs` writes them. Fonts differ between machines, so that otherwise only their presence is checked."""
    file = ROOT / "docs" / f"{name}.png"
    if os.environ.get(WRITE) == "1":
        shown = data.entries()[:15]
        busy = data.many(16, 10, at=shown[-1].entry.at + 1)
        with (
            Sample([*shown, *busy]) as sample,
            window.opened(f"{sample.url}&{place}", size=size, scheme=scheme) as page,
        ):
            expect(page.locator(".keys .owner")).to_be_visible()
            page.screenshot(path=file, animations="disabled")
    width, height = (int.from_bytes(file.read_bytes()[start : start + 4]) for start in (16, 20))
    assert (width, height) == size
    assert file.stat().st_size < MAX_PICTURE
    assert f"({name}.png)" in (ROOT / "docs" / "inspector.md").read_text(encoding="utf-8")


def test_sample_contains_no_secret() -> None:
    """What the samples show is in the docs."""
    contents = [made.entry.content for made in data.entries() if made.entry.content is not None]
    invocations = [(one.payload, one.answer, one.log) for content in contents for one in content.invocations]
    assert len(invocations) > 10
    assert "AKIA" not in repr([[(content.came_in, content.reply) for content in contents], invocations])
