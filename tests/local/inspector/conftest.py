"""One browser for the tests of a file, and pages over samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # most tests of this folder need no browser, and its driver takes long to import
    from playwright.sync_api import Page

    from tests.support.browser import Browser, Window
    from tests.support.inspector_sample import Sample


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: Playwright's event loop runs in this thread as long as the browser, so that another file's
    `asyncio.run` would fail."""
    from tests.support.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def window(browser: Browser) -> Window:
    """For tests that open a page of their own."""
    return browser.window()


@pytest.fixture
def sample() -> Iterator[Sample]:
    """A server of the test's own."""
    from tests.support import inspector_data as data
    from tests.support.inspector_sample import Sample

    with Sample(data.entries()) as running:
        yield running


@pytest.fixture
def page(window: Window, sample: Sample) -> Iterator[Page]:
    """A page of the test's own."""
    with window.opened(sample.url) as found:
        yield found


@pytest.fixture(scope="module")
def common() -> Iterator[Sample]:
    """A server for all tests of a file that leave its entries as they are, or only add some."""
    from tests.support import inspector_data as data
    from tests.support.inspector_sample import Sample

    with Sample(data.entries()) as running:
        yield running


@pytest.fixture(scope="module")
def kept(browser: Browser, common: Sample) -> Iterator[Window]:
    """The page over `common`, which stays open: to load a page takes longer than most tests."""
    window = browser.window()
    with window.opened(common.url):
        yield window


@pytest.fixture
def shared(kept: Window, common: Sample) -> Iterator[Page]:
    """The page over `common`, with the timeline in sight and nothing chosen."""
    common.stack.asked.clear()
    with kept.checked() as page:
        yield page
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.evaluate("location.hash = ''")
        page.locator("#help").evaluate("(dialog) => dialog.close()")
        page.locator("#detail").wait_for(state="hidden")
