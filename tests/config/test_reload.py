"""Reloads of a configuration: the last good one serves, also if its store fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.reload import (
    CLOSED_REFRESH,
    OVERDUE,
    ActiveConfiguration,
    Handler,
    ReloadingHandler,
    ReloadResult,
)
from lattice_bridge.config.stores import StoredText
from lattice_bridge.errors import BridgeError, InvalidMap, Misconfigured, Unavailable
from tests.support.lifetime import outlives

REFRESH = 60.0


class Script:
    """A store with the text that a test sets. A text that begins with `bad` cannot serve."""

    def __init__(self, text: str | None = "one") -> None:
        self.text = text
        self.reads = 0
        self.now = 1_000_000.0
        self.looks: list[ReloadResult] = []
        self.pending: list[Callable[[], None]] = []
        self.aside = True
        self.failing: Exception | None = None
        self.fixed = False

    def read(self, known: str | None) -> StoredText | None:
        self.reads += 1
        if self.text is None:
            raise Unavailable("config_unreachable", "it is gone")
        return None if known == self.text else StoredText(self.text, self.text)

    def build(self, text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        if self.failing:
            raise self.failing
        if text.startswith("bad") and not self.fixed:
            raise InvalidMap([f"{text} is wrong"])
        return ActiveConfiguration(_says(text), sha256_of(text), REFRESH)

    def start(self, work: Callable[[], None]) -> None:
        if self.aside:
            work()
        else:
            self.pending.append(work)

    def follow(self) -> ReloadingHandler:
        return ReloadingHandler(
            self, self.build, lambda refusal: _says(refusal.reason), self.looks.append, clock=lambda: self.now,
            start=self.start,
        )  # fmt: skip


def _says(text: str) -> Handler:
    def handler(event: object, context: object) -> dict[str, Any]:
        return {"said": text}

    return handler


def ask(following: ReloadingHandler) -> str:
    said: str = following({}, None)["said"]
    return said


def refusals(script: Script) -> list[str]:
    return [look.refusal.detail for look in script.looks if look.refusal]


def test_good_configuration_serves_until_its_refresh() -> None:
    script = Script()
    following = script.follow()
    script.text = "two"
    script.now += REFRESH - 1
    assert [ask(following) for _ in range(100)] == ["one"] * 100
    assert script.reads == 1


def test_new_configuration_is_active_after_the_refresh() -> None:
    script = Script()
    following = script.follow()
    script.text = "two"
    script.now += REFRESH
    ask(following)
    assert ask(following) == "two"
    assert script.looks[-1] == ReloadResult(sha256_of("one"), sha256_of("two"))


def test_request_does_not_wait_for_its_reload() -> None:
    script = Script()
    following = script.follow()
    script.text, script.aside = "two", False
    script.now += REFRESH
    assert [ask(following) for _ in range(10)] == ["one"] * 10
    assert len(script.pending) == 1
    script.pending.pop()()
    assert ask(following) == "two"


@pytest.mark.parametrize("text", ["bad", None])
def test_last_good_configuration_stays_active(text: str | None) -> None:
    """Traps D3, D4."""
    script = Script()
    following = script.follow()
    script.text = text
    for _ in range(5):
        script.now += REFRESH
        assert ask(following) == "one"
    assert following.active is not None
    assert following.active.sha256 == sha256_of("one")


@pytest.mark.parametrize("text", ["bad", None])
def test_fault_is_reported_at_every_reload(text: str | None) -> None:
    """Trap D3."""
    script = Script()
    following = script.follow()
    script.text = text
    for _ in range(3):
        script.now += REFRESH
        ask(following)
    assert refusals(script) == [("bad is wrong" if text else "it is gone")] * 3
    script.text = "one" if text is None else "two"
    script.now += REFRESH
    ask(following)
    script.now += REFRESH
    ask(following)
    assert len(refusals(script)) == 3


def test_bad_configuration_is_built_once() -> None:
    script = Script()
    following = script.follow()
    script.text = "bad"
    built: list[str] = []
    build = script.build

    def counting(text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        built.append(text)
        return build(text, replaced)

    script.build = counting  # type: ignore[method-assign] # the script's own, with a count
    following = script.follow()
    for _ in range(4):
        script.now += CLOSED_REFRESH
        ask(following)
    assert built == ["bad"]


@pytest.mark.parametrize(("text", "reason"), [("bad", "config_invalid"), (None, "config_unreachable")])
def test_start_without_good_configuration_refuses_all(text: str | None, reason: str) -> None:
    """Trap D4."""
    script = Script(text)
    following = script.follow()
    assert ask(following) == reason
    script.text = "one"
    assert ask(following) == reason
    script.now += CLOSED_REFRESH
    assert ask(following) == "one"
    assert script.looks[-1] == ReloadResult(None, sha256_of("one"))


def test_closed_bridge_reports_the_current_fault() -> None:
    script = Script(None)
    following = script.follow()
    script.text = "bad"
    script.now += CLOSED_REFRESH
    assert ask(following) == "config_invalid"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Misconfigured("boto3_too_old", "1.30")])
def test_failed_build_is_tried_again(error: Exception) -> None:
    script = Script()
    script.failing = error
    following = script.follow()
    assert ask(following) in ("config_invalid", "boto3_too_old")
    script.failing = None
    script.now += CLOSED_REFRESH
    assert ask(following) == "one"


def test_same_text_in_new_version_replaces_nothing() -> None:
    script = Script()
    following = script.follow()
    before = following.active
    script.read = lambda known: StoredText("one", "touched")  # type: ignore[method-assign] # as a file that was touched
    script.now += REFRESH
    ask(following)
    assert following.active is before
    assert script.looks == []


def test_reload_without_threads_waits_for_the_next_refresh() -> None:
    script = Script()
    following = script.follow()

    def none_left(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    start, script.start = script.start, none_left  # type: ignore[method-assign] # a process at its limit
    following = ReloadingHandler(script, script.build, lambda refusal: _says(""), script.looks.append,
                          clock=lambda: script.now, start=lambda work: script.start(work))  # fmt: skip
    script.text = "two"
    script.now += REFRESH
    assert ask(following) == "one"
    script.start = start  # type: ignore[method-assign] # as it was
    script.now += REFRESH
    ask(following)
    assert ask(following) == "two"


def test_clock_set_back_stops_no_reload() -> None:
    script = Script()
    following = script.follow()
    script.text = "two"
    script.now -= 1_000
    ask(following)
    assert ask(following) == "two"


def test_concurrent_requests_reload_once() -> None:
    """Trap D10."""
    script = Script()
    following = ReloadingHandler(
        script, script.build, lambda refusal: _says(refusal.reason), script.looks.append, clock=lambda: script.now
    )
    script.text = "two"
    script.now += REFRESH
    said: list[str] = []
    together = threading.Barrier(16)

    def client() -> None:
        together.wait(5)
        said.extend(ask(following) for _ in range(50))

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(said) == 800
    assert set(said) <= {"one", "two"}
    assert script.reads == 2


def test_unexpected_error_is_a_refusal() -> None:
    script = Script()
    following = script.follow()

    def broken(known: str | None) -> StoredText | None:
        raise ValueError("a bug in the source")

    script.read = broken  # type: ignore[method-assign] # what no source should do
    script.now += REFRESH
    assert ask(following) == "one"
    assert isinstance(script.looks[-1].refusal, BridgeError)


def test_unbuilt_text_is_read_again_as_a_reload() -> None:
    """Trap D4: a first reading takes a file that is half written."""
    script = Script()
    following = script.follow()
    seen: list[str | None] = []
    read = script.read

    def noting(known: str | None) -> StoredText | None:
        seen.append(known)
        return read(known)

    script.read = noting  # type: ignore[method-assign] # the script's own, with a note
    script.text, script.failing = "two", RuntimeError("no memory")
    for _ in range(2):
        script.now += REFRESH
        assert ask(following) == "one"
    script.failing = None
    script.now += REFRESH
    ask(following)
    assert ask(following) == "two"
    assert None not in seen


def test_idle_environment_reloads_before_it_serves() -> None:
    """Traps D3, D6: a tenant suspended hours ago is not served once more after a quiet time."""
    script = Script()
    script.aside = False
    following = script.follow()
    script.text = "two"
    script.now += OVERDUE * REFRESH
    assert ask(following) == "two"
    assert script.pending == []


def test_idle_environment_keeps_the_last_good_one() -> None:
    """Trap D4."""
    script = Script()
    following = script.follow()
    script.text = None
    for _ in range(2):
        script.now += 3600
        assert ask(following) == "one"
    assert refusals(script) == ["it is gone"] * 2


def test_refused_map_with_key_file_is_built_again() -> None:
    """The file may come, or be fixed, without a change of the map's text."""
    script = Script("bad jwks_file")
    following = script.follow()
    assert ask(following) == "config_invalid"
    script.fixed = True
    script.now += CLOSED_REFRESH
    assert ask(following) == "bad jwks_file"


def test_refused_map_is_not_built_again() -> None:
    script = Script("bad")
    following = script.follow()
    script.fixed = True
    script.now += CLOSED_REFRESH
    assert ask(following) == "config_invalid"


def test_hanging_reload_is_reported() -> None:
    """Trap D3: a mounted file system that hangs."""
    script = Script()
    following = script.follow()
    script.aside = False
    script.now += REFRESH
    ask(following)
    assert len(script.pending) == 1  # begun, and never done
    for _ in range(6):
        script.now += REFRESH / 2
        assert ask(following) == "one"
    assert set(refusals(script)) == {"a reload of the configuration has not ended"}
    assert 1 <= len(refusals(script)) <= 2


@pytest.mark.parametrize("text", ["bad", None])
def test_request_that_reloads_is_not_kept_by_the_fault(text: str | None) -> None:
    """Trap D9: the fault of a refused map is kept until another one comes, and its frames had the event and the map."""
    script = Script()
    following = script.follow()
    script.text = text
    script.now += OVERDUE * REFRESH
    assert not outlives(lambda event: following(event, None))
    assert len(refusals(script)) == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread"), OSError(12, "no memory")])
def test_thread_start_failure_does_not_raise(error: Exception) -> None:
    script = Script()

    def none_left(work: Callable[[], None]) -> None:
        raise error

    following = ReloadingHandler(
        script, script.build, lambda refusal: _says(""), script.looks.append, clock=lambda: script.now, start=none_left
    )
    script.text = "two"
    for _ in range(2):
        script.now += REFRESH
        assert ask(following) == "one"
