"""A Chromium for tests of the inspector's page, which fails a test for whatever the page reports as an error.

Rule: no network. The browser gets no other address than that of a server of the test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-default-apps", "--disable-extensions", "--disable-sync", "--no-first-run", "--mute-audio"),
)
WAIT_MS: Final = 20_000
"""On a busy machine, a page takes seconds."""
REFUSED_LOAD: Final = "Failed to load resource"
"""What Chromium reports for each response with an error status."""
_LISTEN: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


def program() -> str | None:
    """The path of a Chromium or Chrome."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Window:
    """A tab of the browser. A new one takes a process of its own, and longer than most tests."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._errors: list[str] = []
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.add_init_script(_LISTEN)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("dialog", self._dismiss)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._errors.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        self._errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    @contextmanager
    def checked(self, expects: str | None = None) -> Iterator[Page]:
        """The open page. Fails if it reports an error, except those that begin with `expects`."""
        assert self._errors == [], "the page before has reported an error"
        yield self._page
        self._page.evaluate("0")  # what the page has reported before is here now
        errors = [error for error in self._errors if expects is None or not error.startswith(expects)]
        self._errors.clear()
        assert errors == []

    @contextmanager
    def opened(
        self,
        url: str,
        *,
        expects: str | None = None,
        scheme: Literal["dark", "light"] = "light",
        size: tuple[int, int] = (1280, 800),
    ) -> Iterator[Page]:
        """Opens a page, and fails if it reports an error.

        Args:
            url: of a server that no other test has, so that the page has no storage.
            expects: the beginning of messages that are no errors here.
            scheme: the colours that the user prefers.
            size: of the window.
        """
        with self.checked(expects) as page:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.goto(url)
            yield page
            page.goto("about:blank")  # ends the page's requests


class Browser:
    """A running browser, with a context whose pages may use the clipboard."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    def window(self) -> Window:
        return Window(self._context.new_page())


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, or a skipped test."""
    found = program()
    if found is None:
        pytest.skip("no browser: tests of the inspector's page need chromium or google-chrome on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        try:
            yield Browser(browser.new_context(permissions=["clipboard-read", "clipboard-write"]))
        finally:
            browser.close()
