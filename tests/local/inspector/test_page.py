"""The inspector's page in a browser: the token, the timeline, one entry, and strings of a caller that means harm."""

from __future__ import annotations

import contextlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from lattice_bridge.local.inspector.server import MAX_STREAMS
from tests.support import inspector_data as data
from tests.support.browser import REFUSED_LOAD, Window
from tests.support.builders import role, v2
from tests.support.inspector_sample import EXAMPLE, PAGE, TOKEN, Sample

TABS = ("Came in", "Event", "Decision", "Payload", "Answer", "Reply")
SEVERAL = (1, 4, 7, 9, 11, 13, 14, 15, 19, 20)
"""Allowed, refused, failed, refused by the front, a record, without its content, empty, an invoke, 6 MB, running."""
MAX_WEIGHT = 150_000
FILTERED: Final = [
    ("Text", "orders/17", [5]),
    ("Text", "support POST", [3]),
    ("Text", "KeyError", []),
    ("Tenant", "green", [14, 8, 3]),
    ("Tenant", "no tenant", [11, 9, 6, 5, 4]),
    ("Outcome", "refused", [16, 9, 6, 5, 4]),
    ("Outcome", "failed", [7]),
    ("Outcome", "quarantined", [11]),
    ("Outcome", "running", [20]),
    ("Source", "queue orders", [11, 10]),
    ("Source", "bus shop", [14]),
    ("Source", "invoke", [15]),
]
"""Filter, its value, and the entries that it shows, the newest first."""


def row(page: Page, n: int) -> Locator:
    return page.locator(f"#entry-{n}")


def expect_chosen(page: Page, n: int) -> None:
    """Waits: a row is drawn in the frame after a key."""
    expect(page.locator("[role=option][aria-selected=true]")).to_have_attribute("data-n", str(n))


# ---- the files -------------------------------------------------------------------------------------------------------


def test_page_weighs_less_than_its_limit() -> None:
    assert sum(file.stat().st_size for file in PAGE.iterdir()) < MAX_WEIGHT


def test_page_makes_no_html_of_strings() -> None:
    """Trap G2: whatever reaches the page as a string becomes a text node or an attribute."""
    makes_html = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function|https?://(?!127)"
    )
    found = {file.name: makes_html.findall(file.read_text(encoding="utf-8")) for file in PAGE.iterdir()}
    assert {name: parts for name, parts in found.items() if parts} == {}


def test_document_has_neither_inline_script_nor_style() -> None:
    """Trap G2: the policy refuses both, so that a string that became HTML could do nothing."""
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", text) == []


# ---- the token -------------------------------------------------------------------------------------------------------


def test_token_leaves_the_address_and_survives_a_reload(page: Page, sample: Sample) -> None:
    expect(row(page, 20)).to_be_visible()
    assert TOKEN not in page.url
    page.reload()
    expect(row(page, 20)).to_be_visible()


def test_without_a_token_the_page_asks_and_accepts_the_pasted_url(window: Window, sample: Sample) -> None:
    with window.opened(sample.origin, expects=REFUSED_LOAD) as page:
        expect(page.get_by_role("heading", name="This page needs its token")).to_be_visible()
        expect(page.locator("#page")).to_be_hidden()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.get_by_label("URL or token").fill("guessed")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not accept this token")
        page.get_by_label("URL or token").fill(f"  {sample.url} ")
        page.keyboard.press("Enter")
        expect(row(page, 20)).to_be_visible()


def test_token_of_an_earlier_start_ends_the_stream_and_a_new_one_starts_anew(window: Window, sample: Sample) -> None:
    with window.opened(sample.url, expects=REFUSED_LOAD) as page:
        expect(row(page, 20)).to_be_visible()
        sample.inspector.token = "of another start"
        row(page, 1).click()
        expect(page.get_by_role("heading", name="This page needs its token")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("It may belong to an earlier start of the stack.")
        page.evaluate("window.isOld = true")
        page.get_by_label("URL or token").fill("of another start".replace(" ", "%20"))
        sample.inspector.token = "of%20another%20start"
        page.keyboard.press("Enter")
        expect(row(page, 20)).to_be_visible()
        assert page.evaluate("window.isOld") is None, "what the page has may be of another stack"


def test_ninth_page_shows_why_it_has_no_stream(window: Window, sample: Sample) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            request = Request(f"{sample.origin}/api/stream", headers={"authorization": f"Bearer {TOKEN}"})
            stack.enter_context(urlopen(request, timeout=20))
        with window.opened(sample.url, expects=REFUSED_LOAD) as page:
            expect(page.locator("#state-text")).to_have_text("stream: 8 pages are open. Fix: close one")


def test_page_of_another_origin_neither_reads_nor_replays(window: Window, common: Sample, tmp_path: Path) -> None:
    """Trap G2: not even with the token, nor without CORS, nor by a form."""
    (tmp_path / "index.html").write_text("<!doctype html><title>foreign</title><link rel=icon href='data:,'>")
    handler = partial(_Quiet, directory=str(tmp_path))
    common.stack.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with window.opened(f"http://127.0.0.1:{server.server_port}/", expects="") as page:
            for url, options in FOREIGN:
                assert page.evaluate(ASK, [f"{common.origin}{url}", options]) == "TypeError"
            page.evaluate(FORM, f"{common.origin}/api/replay")
            expect(page.frame_locator("iframe").locator("body")).to_have_count(1)
            page.frames[-1].wait_for_load_state()
        server.shutdown()
    assert common.stack.asked == []


ASK: Final = "([url, options]) => fetch(url, options).then((response) => response.type, (error) => error.name)"
FORM: Final = """(url) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.name = "answer";
  document.body.append(frame);
  const form = Object.assign(document.createElement("form"), { action: url, method: "post", target: "answer" });
  form.enctype = "text/plain";
  form.append(Object.assign(document.createElement("input"), { name: '{"n": 2, "x": "', value: '"}' }));
  document.body.append(form);
  frame.onload = done;
  form.submit();
})"""
SIGNED_IN: Final = {"authorization": f"Bearer {TOKEN}"}
REPLAYED: Final = {"method": "POST", "body": '{"n": 2}'}
FOREIGN: Final[list[tuple[str, data.Document]]] = [
    ("/api/state", {}),
    ("/api/state", {"headers": SIGNED_IN}),
    ("/api/entries/1", {"headers": SIGNED_IN}),
    ("/api/replay", {**REPLAYED, "headers": SIGNED_IN}),
    ("/api/replay", {**REPLAYED, "mode": "no-cors"}),
    ("/api/replay", {**REPLAYED, "mode": "no-cors", "credentials": "include", "headers": SIGNED_IN}),
]
"""URL and options of `fetch`. Without CORS, a browser sends the request, and gives the page nothing of the response."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        pass


# ---- the timeline ----------------------------------------------------------------------------------------------------


def test_row_shows_outcome_way_path_reason_tenant_and_time(shared: Page) -> None:
    expect(row(shared, 8)).to_have_text(
        re.compile(r"^200\d\d:\d\d:\d\d\.\d{3}Lattice shopGET↻ /ordersgreenrole support12 ms$")
    )
    expect(row(shared, 4)).to_contain_text("tenant_not_allowed")
    expect(row(shared, 1)).to_contain_text("cold 412 ms")
    expect(row(shared, 11)).to_contain_text("quarantined")
    expect(row(shared, 20)).to_contain_text("running")
    expect(shared.locator("[role=option]").first).to_have_id("entry-20")


def test_keys_move_open_and_close(page: Page) -> None:
    expect(row(page, 20)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect_chosen(page, 19)
    expect(page.get_by_role("heading", name="PUT /upload")).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="POST /reports/yearly")).to_be_visible()
    page.keyboard.press("End")
    expect_chosen(page, 1)
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("listbox")).to_have_attribute("aria-activedescendant", "entry-2")
    expect(page.locator("#entry-title")).to_have_text("GET /orders")
    page.keyboard.press("Enter")
    expect(page.locator("#entry-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()


def test_tab_that_was_chosen_last_is_shown_in_whatever_order_the_details_arrive(page: Page) -> None:
    """Each is asked for anew while the first one is on its way."""
    expect(row(page, 20)).to_be_visible()
    held: list[Route] = []
    page.route("**/api/entries/19", lambda route: route.continue_() if held else held.append(route))
    page.evaluate("location.hash = 'n=19&tab=came'")
    with page.expect_response("**/api/entries/19"):
        page.evaluate("location.hash = 'n=19&tab=event'")
    expect(page.locator("#tab-event")).to_have_attribute("aria-selected", "true")
    with page.expect_response("**/api/entries/19") as late:
        held[0].continue_()
    late.value.finished()
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    expect(page.locator("#tab-event")).to_have_attribute("aria-selected", "true")


def test_page_is_used_with_the_keyboard_alone(shared: Page) -> None:
    """From the list to the entry, its tabs, the form, the width of the list, and the dialog and back."""
    press = shared.keyboard.press
    expect(row(shared, 20)).to_be_visible()
    shared.get_by_role("listbox").focus()
    for key in ("Home", "ArrowDown", "Enter"):
        press(key)
    expect(shared.locator("#entry-title")).to_be_focused()
    shared.get_by_role("tab", selected=True).focus()
    press("Home")
    for name in (*TABS[1:], TABS[0]):
        press("ArrowRight")
        expect(shared.get_by_role("tab", name=name)).to_be_focused()
        expect(shared.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    press("Tab")
    expect(shared.get_by_role("tabpanel")).to_be_focused()
    shared.get_by_role("button", name="Edit and replay").focus()
    press("Enter")
    expect(shared.get_by_label("Method")).to_be_focused()
    press("Escape")
    expect(shared.get_by_role("tablist")).to_be_visible()
    splitter = shared.get_by_role("separator", name="Width of the list")
    splitter.focus()
    press("ArrowLeft")
    expect(splitter).to_have_attribute("aria-valuenow", "44")
    press("ArrowRight")
    press("?")
    dialog = shared.get_by_role("dialog", name="Keys")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    press("Escape")
    expect(dialog).to_be_hidden()
    expect(splitter).to_be_focused()
    press("Escape")
    expect(shared.get_by_role("listbox")).to_be_focused()
    expect(shared.locator("#detail")).to_be_hidden()


@pytest.mark.parametrize(("name", "value", "shown"), FILTERED)
def test_each_filter_shows_what_it_names(shared: Page, name: str, value: str, shown: list[int]) -> None:
    control = shared.get_by_label(name, exact=True)
    expect(row(shared, 20)).to_be_visible()
    if name == "Text":
        control.fill(value)
    else:
        control.select_option(value)
    expect(shared.locator("#count")).to_have_text(f"{len(shown)} of 20")
    expect(shared.locator("[role=option]")).to_have_count(len(shown))
    assert [
        int(n or 0) for n in shared.locator("[role=option]").evaluate_all("(all) => all.map((one) => one.dataset.n)")
    ] == shown


def test_filters_combine_and_survive_a_reload(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("orders")
    page.get_by_label("Outcome").select_option("refused")
    expect(page.locator("#count")).to_have_text("3 of 20")
    page.get_by_label("Tenant", exact=True).select_option("no tenant")
    page.get_by_label("Source").select_option("Lattice shop")
    page.reload()
    expect(page.locator("#count")).to_have_text("2 of 20")
    expect(page.get_by_label("Text")).to_have_value("orders")
    expect(page.get_by_label("Source")).to_have_value("lattice/shop")
    page.get_by_label("Text").fill("no such entry")
    page.get_by_role("button", name="Remove the filters").click()
    expect(page.locator("#count")).to_have_text("20 entries")


def test_paused_list_waits_with_new_entries(page: Page, sample: Sample) -> None:
    expect(row(page, 20)).to_be_visible()
    page.keyboard.press("p")
    sample.add(data.Made(data.entry(21, "/late")))
    expect(page.locator("#state-text")).to_have_text("paused – 1 waiting")
    expect(row(page, 21)).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(row(page, 21)).to_be_visible()
    expect(page.locator("#state-text")).to_have_text("live")


def test_entry_that_ends_replaces_the_running_one(page: Page, sample: Sample) -> None:
    row(page, 20).click()
    expect(page.locator("#detail .badge")).to_have_text("running")
    sample.change(20, state="ended", outcome="ok", status=200, ms=950.0)
    expect(row(page, 20)).to_contain_text("950 ms")
    expect(page.locator("#detail .badge")).to_have_text("200")
    assert page.locator("[role=option]").count() == 20


def test_cleared_list_tells_how_to_send_a_request(page: Page, sample: Sample) -> None:
    expect(row(page, 20)).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="Nothing came in yet")).to_be_visible()
    expect(page.get_by_label("Command")).to_have_text(EXAMPLE)
    sample.add(data.Made(data.entry(21, "/new")))
    expect(row(page, 21)).to_be_visible()
    assert page.locator("[role=option]").count() == 1


def test_broken_stream_is_followed_again_without_a_gap(window: Window, sample: Sample) -> None:
    with window.opened(sample.url, expects=REFUSED_LOAD) as page:
        expect(row(page, 20)).to_be_visible()
        sample.break_off()
        expect(page.locator("#state")).to_have_attribute("data-state", "disconnected")
        sample.add(data.Made(data.entry(21, "/meanwhile")))
        sample.resume()
        expect(row(page, 21)).to_be_visible()
        expect(page.locator("#state-text")).to_have_text("live")


def test_ten_thousand_entries_have_few_rows_and_drop_the_oldest(window: Window) -> None:
    with Sample() as sample, window.opened(sample.url) as page:
        sample.add(*data.many(1, 10_300))
        expect(page.locator("#count")).to_have_text("10,000 entries")
        expect(page.locator("[role=option]").first).to_have_attribute("data-n", "10300")
        assert page.locator("[role=option]").count() < 60
        page.keyboard.press("End")
        expect(row(page, 301)).to_have_attribute("aria-posinset", "10000")
        expect(page.get_by_role("heading", name="GET /orders/301")).to_be_visible()
        assert page.locator("[role=option]").count() < 60


def test_scrolled_list_stays_where_it_is_read(window: Window) -> None:
    with Sample() as sample, window.opened(sample.url) as page:
        sample.add(*data.many(1, 200))
        expect(row(page, 200)).to_be_visible()
        page.locator("#timeline").evaluate("(box) => { box.scrollTop = 1000; }")
        before = row(page, 150).bounding_box()
        sample.add(*data.many(201, 40))
        more = page.get_by_role("button", name="↑ 40 new")
        expect(more).to_be_visible()
        assert row(page, 150).bounding_box() == before
        more.click()
        expect(row(page, 240)).to_be_in_viewport()


def test_colour_of_each_tenant_has_enough_contrast(shared: Page) -> None:
    """4.5:1 is what WCAG asks for."""
    measure = """() => import("./dom.js").then(({ tenantChip }) => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const light = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((one) => one / 255)
          .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const chip = tenantChip("x");
      document.body.append(chip);
      return Math.min(...Array.from({ length: 120 }, (_, place) => {
        chip.style.setProperty("--hue", 3 * place);
        const { color, backgroundColor } = getComputedStyle(chip);
        const [low, high] = [light(color), light(backgroundColor)].sort((one, other) => one - other);
        return (high + 0.05) / (low + 0.05);
      }));
    })"""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        shared.emulate_media(color_scheme=scheme)
        assert shared.evaluate(measure) >= 4.5
    shared.locator("body > .tenant").evaluate_all("(chips) => chips.forEach((chip) => chip.remove())")


def test_tenants_with_similar_names_have_different_colours(shared: Page) -> None:
    """A tenant's colour is that of its whole name: "blue-1" and "blue-2" may be the only ones."""
    hues = "import('./dom.js').then(({ hueOf }) => ['blue', 'blue-1', 'blue-2', 'BlueTenant', 'bluebird'].map(hueOf))"
    found = shared.evaluate(hues)
    assert len(set(found)) == 5
    assert shared.evaluate(hues) == found
    assert found[0] == 258  # the hue of blue


# ---- one entry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", SEVERAL)
def test_each_tab_of_each_entry_opens(shared: Page, n: int) -> None:
    shared.evaluate(f"location.hash = 'n={n}'")
    expect(shared.locator("#detail .under")).to_contain_text(f"#{n} ·")
    for name in TABS:
        tab = shared.get_by_role("tab", name=name)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        assert shared.get_by_role("tabpanel").inner_text().strip()


def test_body_that_the_front_has_not_read_is_said_and_not_sent_again(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=9&tab=came'")
    expect(shared.get_by_role("tabpanel")).to_contain_text("Body: not read. The front refused the request first.")
    for name in ("Replay", "Edit and replay", "Copy as curl", "Copy as event", "Save as fixture"):
        expect(shared.get_by_role("button", name=name, exact=True)).to_have_count(0)


def test_function_is_shown_apart_from_the_bridge(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=1&tab=payload'")
    expect(shared.locator(".invocation h3")).to_have_text(["orders"])
    shared.evaluate("location.hash = 'n=1&tab=answer'")
    expect(shared.locator(".bridge summary").first).to_have_text("The bridge's own answer and log")


def test_name_of_no_tab_opens_the_first_one(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=15&tab=constructor'")
    expect(shared.locator("#entry-title")).to_have_text("orders")
    expect(shared.get_by_role("tab", name="Came in")).to_have_attribute("aria-selected", "true")


def test_refused_request_shows_its_decision_from_evidence_to_near_misses(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=6&tab=decision'")
    expect(shared.locator("#entry-title")).to_have_text("GET /exports")
    titles = shared.locator(".step h3").all_inner_texts()
    assert titles == [
        *("Evidence", "Keys, from specific to broad", "Conditions, and what the rule allows", "Asked for"),
        "Refused with 403",
    ]
    expect(shared.locator(".keys .owner")).to_have_text("role blue-api of 111122223333blue-apiowns the request")
    expect(shared.locator(".conditions .fails")).to_contain_text("principal_orgo-a1b2c3d4e5but it is absent")
    expect(shared.locator(".misses")).to_contain_text("the rule does not allow the tenant")


def test_near_miss_marks_what_differs(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=5&tab=decision'")
    expect(shared.locator(".misses mark")).to_have_text(["111122223333", "444455556666"])


def test_json_is_shown_as_it_came(shared: Page) -> None:
    """`JSON.parse` would round the number, and would keep one of the two members."""
    text = '{"b": 12345678901234567890, "a": 1.0, "a": "x"'
    members = shared.evaluate("(text) => import('./body.js').then(({ parsed }) => JSON.stringify(parsed(text)))", text)
    assert '"value":"12345678901234567890"' in members
    assert members.count('"name":"\\"a\\""') == 2
    shared.evaluate("location.hash = 'n=3&tab=came'")
    expect(shared.locator(".json")).to_contain_text('"order": 12345678901234567890,')
    fold = shared.locator(".json details details summary").first
    expect(shared.locator(".json")).to_contain_text('"sku": "A-1"')
    fold.click()
    expect(shared.get_by_text('"sku": "A-1"')).to_be_hidden()


def test_steps_are_bars_and_cold_starts_are_marked(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=1'")
    expect(shared.locator(".steps .step-name")).to_have_text(["front", "bridge", "its steps", "cold start", "orders"])
    boxes = [bar.bounding_box() for bar in shared.locator(".bar-of").all()]
    assert all(outer["x"] <= inner["x"] for outer, inner in pairwise(boxes) if outer and inner)
    expect(shared.locator(".cold-bar")).to_have_count(1)
    expect(shared.locator(".steps small")).to_have_text("parse 0.3 ms · decide 0.4 ms")


def test_large_body_is_shortened_and_binary_is_hex(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=19&tab=event'")
    expect(shared.get_by_role("tabpanel")).to_contain_text(re.compile(r"JSON · 6\.0 MB · the first \S+ KB are shown"))
    assert len(shared.content()) < 1_000_000
    shared.evaluate("location.hash = 'n=19&tab=came'")
    expect(shared.locator(".code.hex")).to_contain_text("00000010  10 11 12 13")


def test_credentials_are_masked(shared: Page) -> None:
    """Trap G2: the page has no more of them than their length."""
    shared.evaluate("location.hash = 'n=3&tab=came'")
    expect(shared.locator("dd.masked")).to_have_text("•••• 136 characters")
    expect(shared.locator(".json .masked")).to_contain_text("••••")
    assert str(data.BODY["password"]) not in shared.content()


@pytest.mark.parametrize("n", [16, 17])
def test_hostile_strings_are_shown_and_do_nothing(shared: Page, n: int) -> None:
    """Trap G2: `Window` fails the test if a script ran or was refused."""
    for tab in ("came", "event", "decision", "payload", "answer", "reply"):
        shared.evaluate(f"location.hash = 'n={n}&tab={tab}'")
        expect(shared.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
        assert shared.locator("#page img, #page script").count() == 0
        text = shared.locator("#page").inner_text()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    if n == 17:
        expect(row(shared, 17)).to_contain_text("⟨ESC⟩[31mred")
        expect(row(shared, 17)).to_contain_text("⟨U+202E⟩gnp.exe")


def test_long_path_widens_nothing(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=18&tab=came'")
    expect(shared.locator("#entry-title")).to_contain_text("/very-long/")
    assert shared.evaluate("document.documentElement.scrollWidth <= innerWidth")
    title = shared.locator("#entry-title").bounding_box()
    assert title is not None
    assert title["height"] < 100


def test_authorizer_is_neither_the_bridge_nor_the_function(window: Window) -> None:
    """An authorizer is invoked first. What the page shows does not depend on the place of an invocation."""
    made = data.of_http(data.entry(1, "/orders"), v2(role("blue-api")), {"ok": True})
    content = made.entry.content
    assert content is not None
    guard = data.invoked(made.entry, "guard", None, {}, {"isAuthorized": True}, role="authorizer")
    content.invocations.insert(0, guard)
    with Sample([made]) as sample, window.opened(f"{sample.url}&n=1&tab=payload") as page:
        expect(page.locator(".invocation h3")).to_have_text(["orders"])
        page.get_by_role("tab", name="Answer").click()
        expect(page.locator(".authorizer summary").first).to_have_text("The authorizer's answer and log")
        expect(page.locator(".bridge summary").first).to_have_text("The bridge's own answer and log")


def test_dropped_entry_is_said_to_be_dropped(window: Window) -> None:
    with Sample(data.entries(), kept=20) as sample, window.opened(sample.url, expects=REFUSED_LOAD) as page:
        expect(row(page, 20)).to_be_visible()
        page.keyboard.press("p")  # the page keeps what the server drops
        sample.add(*data.many(21, 2))
        expect(page.locator("#state-text")).to_have_text("paused – 2 waiting")
        row(page, 2).click()
        expect(page.locator("#detail")).to_contain_text("This entry was dropped")


@pytest.mark.parametrize("size", [(3840, 2160), (360, 740)])
@pytest.mark.parametrize("place", ["", "n=18&tab=came", "n=6&tab=decision", "n=8&with=4", "view=runs"])
def test_window_of_any_size_has_no_overflow(shared: Page, place: str, size: tuple[int, int]) -> None:
    shared.set_viewport_size({"width": size[0], "height": size[1]})
    shared.evaluate("(place) => { location.hash = place; }", place)
    expect(shared.locator(".panel, .grid, .row").locator("visible=true").first).to_be_visible()
    assert shared.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_narrow_window_shows_the_list_or_the_entry(shared: Page) -> None:
    shared.set_viewport_size({"width": 360, "height": 740})
    row(shared, 20).click()
    expect(shared.locator("#list")).to_be_hidden()
    tabs = shared.get_by_role("tablist")
    assert tabs.evaluate("(tabs) => tabs.scrollWidth <= tabs.clientWidth"), "each tab is in sight"
    shared.get_by_role("button", name="Close the entry").click()
    expect(row(shared, 20)).to_be_visible()


def test_row_of_an_entry_that_opens_stays_in_sight(shared: Page) -> None:
    """The rows beside an open entry are higher."""
    row(shared, 4).scroll_into_view_if_needed()
    before = row(shared, 4).bounding_box()
    row(shared, 4).click()
    expect(shared.locator("#entry-title")).to_be_visible()
    expect(row(shared, 4)).to_be_in_viewport(ratio=1)
    after = row(shared, 4).bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > before["height"]


def test_entry_in_the_address_is_in_sight_after_a_reload(shared: Page) -> None:
    shared.evaluate("location.hash = 'n=1'")
    shared.reload()
    expect(shared.locator("#detail .under")).to_contain_text("#1 ·")
    expect(row(shared, 1)).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_reason_is_not_cut_beside_an_open_entry(shared: Page, size: tuple[int, int]) -> None:
    """The whole text of a path that is cut is in the entry, and in the hint at the pointer."""
    shared.set_viewport_size({"width": size[0], "height": size[1]})
    shared.evaluate("location.hash = 'n=4'")
    expect(shared.locator("#detail .cause")).to_contain_text("tenant_not_allowed – rule blue-api does not allow")
    for n in (4, 11):
        shared.evaluate("(n) => { location.hash = `n=${n}`; }", n)
        expect(row(shared, n)).to_be_in_viewport()
        reason = row(shared, n).locator(".reason")
        assert reason.evaluate("(reason) => reason.scrollWidth <= reason.clientWidth")
        path = row(shared, n).locator(".text").bounding_box()
        assert path is not None
        assert path["width"] > 150
    shared.locator("#timeline").evaluate("(box) => { box.scrollTop = 0; }")
    row(shared, 18).hover()
    expect(row(shared, 18)).to_have_attribute("title", re.compile(r"^GET /very-long/(very-long/)+.*\ntenant blue\n"))
