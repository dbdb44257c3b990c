"""The log of the stack."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.log_writer import LogWriter, WarningHandler
from lattice_bridge.local.web.admission import Refused
from tests.support.async_world import ORDERS


def printed(path: Path, text: str, *, as_json: bool) -> str:
    with path.open("w", encoding="utf-8") as stream:
        log = LogWriter(stream, as_json=as_json)
        log.warning(text)
        log.info(text)
        log.close()
    return path.read_text(encoding="utf-8")


def test_control_characters_are_escaped_for_a_terminal(tmp_path: Path) -> None:
    """Trap G3: a function's error or a client's request is part of a warning."""
    assert printed(tmp_path / "out", "é\x1b[2J\x9b", as_json=False) == "é\\x1b[2J\\x9b\n" * 2


def test_json_contains_the_original_text(tmp_path: Path) -> None:
    lines = printed(tmp_path / "out", "\x1b[2J", as_json=True).splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["\x1b[2J", "\x1b[2J"]


@pytest.mark.parametrize(
    ("logger", "level", "line"),
    [
        ("lattice_bridge.a", logging.WARNING, "why\n"),
        ("uvicorn.error", logging.ERROR, "uvicorn.error: why\n"),
        ("uvicorn.error", logging.WARNING, ""),
    ],
)
def test_library_is_shown_with_its_errors_and_without_its_advice(
    tmp_path: Path, logger: str, level: int, line: str
) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        log = LogWriter(stream)
        WarningHandler(log).emit(logging.LogRecord(logger, level, "", 0, "why", None, None))
        log.close()
    assert (tmp_path / "out").read_text() == line


def test_lines_that_come_together_are_written_at_once() -> None:
    """Each request has several lines, and each system call of the writer's thread stops the others."""
    reader, writer = os.pipe2(os.O_DIRECT)  # a read returns what one call has written
    with os.fdopen(reader, "rb", 0) as packets, os.fdopen(writer, "w", encoding="utf-8") as stream:
        log = LogWriter(stream, as_json=False)
        for text in ("one", "two", "three"):
            log.info(text)
        log.close()
        assert packets.read(1000) == b"one\ntwo\nthree\n"


def test_requests_and_output_are_written_in_the_chosen_form(tmp_path: Path) -> None:
    def written(*, as_json: bool) -> list[str]:
        with (tmp_path / "out").open("w", encoding="utf-8") as stream:
            log = LogWriter(stream, as_json=as_json)
            log.invoking("id", "orders", "Root=1-a")
            log.invocation_began(ORDERS, InvokeRequest("orders", b"{}", trace_id="Root=1-a"))
            log.function_output("orders#1", '{"a": 1}')
            log.answered(AnsweredRequest("id", "GET", "/", 504, 3.0, Refused(504, "late")))
            log.error("broken")
            log.close()
        return (tmp_path / "out").read_text().splitlines()

    output, request, cause, broken = written(as_json=False)
    assert (output, cause.strip(), broken) == ('[orders#1]  {"a": 1}', "Late", "broken")
    assert request.split()[1:4] == ["504", "GET", "/"]
    found = [json.loads(line) for line in written(as_json=True)]
    assert [one.get("level") for one in found] == [None, "warning", "error"]
    assert found[0]["object"] == {"a": 1}
    assert found[1]["message"] == "front: GET /: 504: late"
