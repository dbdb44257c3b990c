"""The inspector's page under load: first paint, the time between frames at 200 entries a second, its weight.

Bounded by a number of seconds, on the loopback. It needs a Chromium, as the tests of the page do.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

import click

from tests.support import inspector_data as data
from tests.support.browser import chromium
from tests.support.inspector_sample import PAGE, Sample

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

FULL: Final = 10_000
TICK: Final = 0.1
"""Seconds between two messages of the real server."""
RECORD: Final = """() => {
  const deltas = (globalThis.deltas = []);
  let last = performance.now();
  const frame = (now) => {
    if (globalThis.deltas !== deltas) return;
    deltas.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@click.command()
@click.option("--seconds", default=10, show_default=True)
@click.option("--rate", default=200, show_default=True, help="New entries a second.")
def main(seconds: int, rate: int) -> None:
    """Measure the page in a browser."""
    with Sample(pace=TICK) as sample, chromium() as browser, browser.window().opened(sample.url) as page:
        paints = []
        for _ in range(5):
            page.get_by_role("heading", name="Nothing came in yet").wait_for()
            paints.append(float(page.evaluate(PAINT)))
            page.reload()
        click.echo(f"first contentful paint: {statistics.median(paints):.0f} ms (median of 5)")
        sample.add(*data.many(1, FULL))
        page.locator("#count", has_text="10,000").wait_for()
        page.keyboard.press("j")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        for wanted in (0, rate):
            page.evaluate(RECORD)
            before = _cpu(session)
            _feed(sample, seconds, wanted)
            busy = (_cpu(session) - before) / seconds
            frames: list[float] = sorted(page.evaluate("deltas"))
            click.echo(
                f"{wanted} entries a second, {FULL} in the list, {page.locator('[role=option]').count()} rows in the "
                f"document: {len(frames)} frames, median {statistics.median(frames):.1f} ms, "
                f"99 % under {frames[int(len(frames) * 0.99)]:.1f} ms, the longest {frames[-1]:.1f} ms; "
                f"CPU of the main thread {100 * busy:.0f} % of a processor"
            )
    click.echo(f"weight: {sum(file.stat().st_size for file in PAGE.iterdir()) / 1000:.1f} KB")


def _cpu(session: CDPSession) -> float:
    """Seconds of the main thread, without the time in which another process had the processor."""
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def _feed(sample: Sample, seconds: int, rate: int) -> None:
    """Adds entries as a busy stack does."""
    begin, count = time.monotonic(), FULL
    while (passed := time.monotonic() - begin) < seconds:
        wanted = FULL + int(passed * rate)
        if wanted > count:
            sample.add(*data.many(count + 1, wanted - count))
        count = wanted
        time.sleep(TICK)


if __name__ == "__main__":
    main()
