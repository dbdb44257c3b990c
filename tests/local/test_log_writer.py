"""The log of the stack."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from lattice_bridge.local.log_writer import LogWriter, WarningHandler


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


@pytest.mark.parametrize(("logger", "line"), [("uvicorn.error", "uvicorn.error: why\n"), ("lattice_bridge.a", "why\n")])
def test_library_warning_is_prefixed_with_its_name(tmp_path: Path, logger: str, line: str) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        log = LogWriter(stream)
        WarningHandler(log).emit(logging.LogRecord(logger, logging.WARNING, "", 0, "why", None, None))
        log.close()
    assert (tmp_path / "out").read_text() == line
