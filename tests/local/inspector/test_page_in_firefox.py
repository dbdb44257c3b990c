"""The inspector's page in Firefox: that it works there at all. What it does is tested in Chromium."""

from __future__ import annotations

from tests.support import inspector_data as data
from tests.support.firefox import firefox
from tests.support.inspector_sample import TOKEN, Sample
from tests.support.stack import wait_until

TABS = ("came", "event", "decision", "payload", "answer", "reply")
ENTER = "\ue007"
ESCAPE = "\ue00c"


def test_page_works_in_firefox_without_errors() -> None:
    """Trap G2: the token, live entries, the tabs of a hostile entry, keys, a replay, what runs."""
    with Sample(data.entries()) as sample, firefox() as page:
        page.open(sample.url)
        page.wait_for("document.querySelector('#entry-20')")
        assert TOKEN not in page.run("return location.href")
        sample.add(data.Made(data.entry(21, "/late")))
        page.wait_for("document.querySelector('#entry-21')")
        page.click("#entry-16")
        page.wait_for("document.querySelector('#entry-title')?.textContent.includes('<script>')")
        for tab in TABS:
            page.click(f"#tab-{tab}")
            page.wait_for(f"document.querySelector('#tab-{tab}').getAttribute('aria-selected') === 'true'")
            assert page.run("return document.querySelector('#panel').innerText.trim()")
        assert page.run("return document.querySelectorAll('#page script, #page img').length") == 0
        for key in (ESCAPE, "k", "j"):
            page.press(key)
        page.wait_for("document.querySelector('#timeline').getAttribute('aria-activedescendant') === 'entry-20'")
        page.press(ENTER)
        page.wait_for("document.activeElement.id === 'entry-title'")
        page.click("#replay")
        page.wait_for("document.querySelector('.compare')")
        page.click("#show-runs")
        page.wait_for("document.querySelector('.grid .tile')")
        assert page.faults(sample.origin) == []
        page.run("document.body.append(Object.assign(document.createElement('script'), { text: 'var ran = 1' }))")
        wait_until(lambda: page.faults(sample.origin))  # the page's policy is active, and reports it a little later
        assert ["script-src" in fault for fault in page.faults(sample.origin)] == [True]
