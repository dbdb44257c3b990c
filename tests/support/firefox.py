"""A Firefox for tests of the inspector's page, by Marionette: the protocol that Firefox itself speaks.

It needs no driver. A message is its length, a colon, and JSON: [0, number, command, parameters], and the answer
[1, number, error, result]. See https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html

Rule: no network. The profile is new. Everything in it that would ask a server is off, and so is what one page does not
need: it takes a fifth of Firefox's start.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

PROGRAMS: Final = ("firefox-esr", "firefox")
AT_MOST_SECONDS: Final = 60.0
"""On a busy machine, a browser takes long to start."""
PREFERENCES: Final[dict[str, object]] = {
    "marionette.port": 0,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.cache.disk.enable": False,
    "browser.newtab.preload": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.region.update.enabled": False,
    "browser.search.update": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "services.settings.server": "data:,none",
    "toolkit.telemetry.server": "data:,none",
}
_FAULTS: Final = """
return Services.console.getMessageArray()
  .filter((one) => one instanceof Ci.nsIScriptError && one.sourceName.startsWith(arguments[0]))
  .map((one) => `${one.flags & 1 ? "warning" : "error"}: ${one.errorMessage} (${one.sourceName}:${one.lineNumber})`);
"""


class Firefox:
    """A page in Firefox."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=AT_MOST_SECONDS)
        self._answers = self._connection.makefile("rb")
        self._number = 0
        self._read()  # its greeting
        self._call("WebDriver:NewSession", capabilities={"unhandledPromptBehavior": "dismiss and notify"})

    def open(self, url: str) -> None:
        self._call("WebDriver:Navigate", url=url)

    def run(self, script: str, *arguments: object) -> Any:
        """The result of the body of a function in the page. A promise is awaited."""
        return self._call("WebDriver:ExecuteScript", script=script, args=arguments)["value"]

    def wait_for(self, expression: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + AT_MOST_SECONDS
        while not self.run(f"return Boolean({expression})"):
            assert time.monotonic() < end, (
                f"{expression} is not true. The page shows: {self.run('return document.body.innerText')}"
            )
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Clicks with the pointer, as a user does: what is not in sight or is covered refuses."""
        element = self._call("WebDriver:FindElement", using="css selector", value=selector)["value"]
        self._call("WebDriver:ElementClick", id=next(iter(element.values())))

    def press(self, key: str) -> None:
        """Presses a key where the focus is."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._call("WebDriver:PerformActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def faults(self, origin: str) -> list[str]:
        """Errors and warnings of the page's scripts, styles and security policy."""
        self._call("Marionette:SetContext", value="chrome")
        found: list[str] = self.run(_FAULTS, origin)
        self._call("Marionette:SetContext", value="content")
        return found

    def end(self) -> None:
        self._call("Marionette:Quit", flags=["eForceQuit"])
        self._answers.close()
        self._connection.close()

    def _call(self, command: str, **parameters: object) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(message), message))
        kind, number, error, result = self._read()
        assert (kind, number, error) == (1, self._number, None), f"{command}: {error}"
        return result

    def _read(self) -> Any:
        length = b""
        while (character := self._answers.read(1)) != b":":
            assert character.isdigit(), "Firefox has ended the connection"
            length += character
        return json.loads(self._answers.read(int(length)))


@contextmanager
def firefox() -> Iterator[Firefox]:
    """A headless Firefox with a profile of its own, or a skipped test."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("no Firefox: a test of the inspector's page needs firefox-esr or firefox on the PATH")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        options = ["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", folder]
        with subprocess.Popen([found, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                page = Firefox(_port_of(process, profile / "MarionetteActivePort"))
                yield page
                page.end()
                process.wait(AT_MOST_SECONDS)
            finally:
                process.kill()


def _port_of(process: subprocess.Popen[bytes], file: Path) -> int:
    """The port that Firefox has chosen, and writes into its profile."""
    end = time.monotonic() + AT_MOST_SECONDS
    while not (file.is_file() and (text := file.read_text(encoding="utf-8"))):
        assert process.poll() is None, f"Firefox ended with {process.returncode}"
        assert time.monotonic() < end, "Firefox does not listen"
        time.sleep(0.05)
    return int(text)
