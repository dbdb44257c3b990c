"""The inspector's page in a browser: the token, the timeline, one entry, and strings of a caller that means harm."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from lattice_bridge.local.inspector.server import MAX_STREAMS
from tests.support import inspector_data as data
from tests.support.browser import REFUSED_LOAD, Window, chromium
from tests.support.builders import role, v2
from tests.support.inspector_sample import EXAMPLE, PAGE, TOKEN, Sample

TABS = ("Came in", "Event", "Decision", "Payload", "Answer", "Reply")
SEVERAL = (1, 4, 7, 9, 11, 13, 14, 15, 19, 20)
"""Allowed, refused, failed, refused by the front, a record, without its content, empty, an invoke, 6 MB, running."""
MAX_WEIGHT = 150_000


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    with chromium() as found:
        yield found


@pytest.fixture
def sample() -> Iterator[Sample]:
    with Sample(data.entries()) as running:
        yield running


@pytest.fixture
def page(window: Window, sample: Sample) -> Iterator[Page]:
    with window.opened(sample.url) as found:
        yield found


def row(page: Page, n: int) -> Locator:
    return page.locator(f"#entry-{n}")


def chosen(page: Page) -> str:
    return page.locator("[role=option][aria-selected=true]").get_attribute("data-n") or ""


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


# ---- the timeline ----------------------------------------------------------------------------------------------------


def test_row_shows_outcome_way_path_reason_tenant_and_time(page: Page) -> None:
    expect(row(page, 8)).to_have_text(
        re.compile(r"^200\d\d:\d\d:\d\d\.\d{3}Lattice shopGET↻ /ordersgreenrole support12 ms$")
    )
    expect(row(page, 4)).to_contain_text("tenant_not_allowed")
    expect(row(page, 1)).to_contain_text("cold 412 ms")
    expect(row(page, 11)).to_contain_text("quarantined")
    expect(row(page, 20)).to_contain_text("running")
    expect(page.locator("[role=option]").first).to_have_id("entry-20")


def test_keys_move_open_and_close(page: Page) -> None:
    expect(row(page, 20)).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert chosen(page) == "19"
    expect(page.get_by_role("heading", name="PUT /upload")).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="POST /reports/yearly")).to_be_visible()
    page.keyboard.press("End")
    assert chosen(page) == "1"
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowUp")
    assert page.get_by_role("listbox").get_attribute("aria-activedescendant") == "entry-2"
    expect(page.locator("#entry-title")).to_have_text("GET /orders")
    page.keyboard.press("Enter")
    expect(page.locator("#entry-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


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


def test_colour_of_each_tenant_has_enough_contrast(window: Window, sample: Sample) -> None:
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
        with window.opened(sample.url, scheme=scheme) as page:
            assert page.evaluate(measure) >= 4.5
            page.evaluate("sessionStorage.clear()")


def test_tenants_with_similar_names_have_different_colours(page: Page) -> None:
    """A tenant's colour is that of its whole name: "blue-1" and "blue-2" may be the only ones."""
    hues = "import('./dom.js').then(({ hueOf }) => ['blue', 'blue-1', 'blue-2', 'BlueTenant', 'bluebird'].map(hueOf))"
    found = page.evaluate(hues)
    assert len(set(found)) == 5
    assert page.evaluate(hues) == found
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


@pytest.fixture(scope="module")
def shared(window: Window) -> Iterator[Page]:
    """A page for tests that only read."""
    with Sample(data.entries()) as running, window.opened(running.url) as page:
        yield page


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


@pytest.mark.parametrize("place", ["n=18&tab=came", "n=8&with=4", "view=runs"])
def test_large_screen_has_no_overflow(window: Window, sample: Sample, place: str) -> None:
    with window.opened(f"{sample.url}&{place}", size=(3840, 2160)) as page:
        expect(page.locator(".panel, .grid").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_narrow_window_shows_the_list_or_the_entry(window: Window, sample: Sample) -> None:
    with window.opened(sample.url, size=(360, 740)) as page:
        row(page, 20).click()
        expect(page.locator("#list")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("button", name="Close the entry").click()
        expect(page.locator("#detail")).to_be_hidden()
        expect(row(page, 20)).to_be_visible()
