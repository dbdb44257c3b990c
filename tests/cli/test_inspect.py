"""`lattice-bridge inspect`: the inspector's page over a file."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from lattice_bridge.cli.inspect import _period, _serve, recorded
from lattice_bridge.local.inspector.from_file import FromFile
from lattice_bridge.local.inspector.server import Inspector
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.server import HttpServer, PortTaken
from tests.support.builders import MAP, role, v2
from tests.support.commands import assert_harmless, read, written
from tests.support.paths import ROOT

LINE = (
    '{"timestamp":"2026-11-21T09:00:00.500+00:00","message":"request","requestId":"r-1","method":"GET",'
    '"path":"/orders","status":403,"reason":"no_rule","callerKey":"111122223333/bleu-api"}\n'
)


def get(port: int, path: str, token: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_page_is_served_until_it_is_interrupted(tmp_path: Path) -> None:
    """Trap G2: the token of the URL is needed, also for a file."""
    written(tmp_path / "bridge.toml", MAP)
    written(tmp_path / "bridge.log", LINE)
    arguments = ("inspect", "bridge.log", "--map", "bridge.toml", "--port", "0")
    begin = [sys.executable, "-m", "lattice_bridge", *arguments]
    with subprocess.Popen(begin, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        first, second = run.stdout.readline(), run.stdout.readline()
        assert first == "bridge.log: 1 entry of log lines, 2026-11-21 09:00:00 to 09:00:00 UTC\n"
        found = re.fullmatch(
            r"Inspector  http://[0-9a-f]{8}\.localhost:([0-9]+)/#token=(\S{43})  \(Ctrl-C ends it\)\n", second
        )
        assert found is not None
        port, token = int(found[1]), found[2]
        status, state = get(port, "/api/state", token)
        assert (status, state["mode"], state["title"], state["can_replay"]) == (200, "file", "bridge.log", False)
        _, entry = get(port, "/api/entries/1", token)
        (document,) = entry["decision"]["documents"]
        assert [miss["rule"] for miss in document["near_misses"]] == ["blue-api"]
        assert get(port, "/api/entries/1", "wrong")[0] == 401
        run.send_signal(signal.SIGINT)
    assert run.returncode == 0


@pytest.mark.parametrize(("taken", "asked"), [((), [8081]), ((8081,), [8081, 0])])
def test_port_is_the_usual_one_or_a_free_one(taken: tuple[int, ...], asked: list[int]) -> None:
    class Ports(Inspector):
        def __init__(self) -> None:
            super().__init__(Timeline(), lambda _entry: None, "bridge.log")
            self.asked = list[int]()

        async def start(self, port: int = 0) -> HttpServer:
            self.asked.append(port)
            if port in taken:
                raise PortTaken("in use")
            return await super().start(0)

    inspector = Ports()
    asyncio.run(_serve(inspector, None, lambda: signal.raise_signal(signal.SIGINT)))
    assert inspector.asked == asked


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_line_with_a_time_beyond_the_calendar_is_shown(time: str, tmp_path: Path) -> None:
    """Trap G2: another person may have written the file."""
    written(tmp_path / "bridge.log", LINE.replace("2026-11-21T09:00:00.500+00:00", time))
    shown = FromFile(None, None, 1.0).of_text((tmp_path / "bridge.log").read_text(encoding="utf-8"))
    assert shown.began is not None
    assert "UTC" in _period(shown.began, shown.began)


# ---- files that are refused -----------------------------------------------------------------------------------------


def refused(*arguments: str, stdin: str = "") -> str:
    done = read("inspect", *arguments, stdin=stdin)
    assert done.exit_code == 2, done.output
    assert_harmless(done.output)
    return " ".join(done.output.split())


def test_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "notes.txt", "hello\n")
    assert f"Error: {path}: neither an event nor a log line of a request in it. Fix: " in refused(path)
    assert "stdin: neither an event nor a log line of a request in it. Fix: " in refused("-", stdin="hello")


def test_folder_without_an_event_is_refused(tmp_path: Path) -> None:
    assert f"Error: {tmp_path}: no event in it. Fix: " in refused(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "not JSON: "), ("[" * 100_000, "nested too deeply. "), ("\udcff", "not UTF-8")],
)
def test_file_of_a_folder_that_cannot_be_read_is_named(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "0001.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert f"Error: {tmp_path / '0001.json'}: {what}" in refused(str(tmp_path))


def test_link_to_a_device_is_refused(tmp_path: Path) -> None:
    """Trap G4: as every file that a command reads."""
    (tmp_path / "0001.json").symlink_to("/dev/zero")
    assert "0001.json: not a regular file but a device. Fix: " in refused(str(tmp_path))


def test_folder_has_a_highest_number_of_files(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").touch()
    with pytest.raises(click.UsageError, match=r"over 2 files\. Fix: move some of them"):
        list(recorded(tmp_path, max_files=2))


def test_base_needs_a_map(tmp_path: Path) -> None:
    path = written(tmp_path / "bridge.log", LINE)
    assert "--base: there is no map. Fix: add --map MAP" in refused(path, "--base", str(tmp_path))


def test_recorded_folder_has_events_and_what_is_beside_them(tmp_path: Path) -> None:
    event = v2(role("blue-api"))
    (tmp_path / "0001-get.json").write_text(json.dumps(event), encoding="utf-8")
    (tmp_path / "0001-get.expected.json").write_text('{"reply": {"statusCode": 200}}', encoding="utf-8")
    (tmp_path / "0002-get.json").write_text(json.dumps(event), encoding="utf-8")
    found = [(one.name, one.expected, one.event == event) for one in recorded(tmp_path)]
    assert found == [("0001-get", {"reply": {"statusCode": 200}}, True), ("0002-get", {}, True)]
