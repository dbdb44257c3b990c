"""A Chromium for tests of the inspector's page, which fails a test for whatever the page reports as an error.

Rule: no network. The browser gets no other address than that of a server of the test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-default-apps", "--disable-extensions", "--disable-sync", "--no-first-run", "--mute-audio"),
)
REFUSED_LOAD: Final = "Failed to load resource"
"""What Chromium reports for each response with an error status."""
_LISTEN: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def program() -> str | None:
    """The path of a Chromium or Chrome."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, or a skipped test."""
    found = program()
    if found is None:
        pytest.skip("no browser: tests of the inspector's page need chromium or google-chrome on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, expects: str | None = None, **context: Any) -> Iterator[Page]:
    """A page in a window of its own, without storage.

    Args:
        browser: to open it in.
        url: of the page.
        expects: the beginning of messages that are no errors here.
        context: of the window, such as `color_scheme`.
    """
    errors: list[str] = []
    window = browser.new_context(viewport=context.pop("viewport", {"width": 1280, "height": 800}), **context)
    try:
        page = window.new_page()
        page.set_default_timeout(10_000)
        page.add_init_script(_LISTEN)
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        page.goto(url)
        yield page
    finally:
        window.close()
    assert [error for error in errors if expects is None or not error.startswith(expects)] == []
