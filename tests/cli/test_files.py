"""One rule for the map of every command: a file, standard input, or a git revision; and the folder of its key files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.builders import MAP, role, v2
from tests.support.commands import read, written
from tests.support.token_builder import jwk, key_set

PRINCIPAL = ("--principal", role("blue-api"))
KEYS = '[jwt.corp]\nissuer = "https://i.example"\naudience = ["orders"]\njwks_file = "keys.json"\n'


@pytest.mark.parametrize(
    "words",
    [
        ("check", "-"),
        ("check", "--map", "-"),
        ("compile", "-", "--output", "-"),
        ("compile", "--map", "-", "--output", "-"),
        ("explain", "--map", "-", *PRINCIPAL),
        ("who", "blue", "--map", "-"),
        ("diff", "-", "MAP"),
        ("diff", "MAP", "-"),
    ],
)
def test_every_command_reads_its_map_from_stdin(words: tuple[str, ...], tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    assert read(*(path if word == "MAP" else word for word in words), stdin=MAP).exit_code == 0


@pytest.mark.parametrize("words", [("check", "MAP"), ("check", "--map", "MAP"), ("compile", "--map", "MAP", "-o", "-")])
def test_map_is_an_argument_or_an_option(words: tuple[str, ...], tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    assert read(*(path if word == "MAP" else word for word in words)).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("check", ""),
        ("check", "--map", ""),
        ("compile", ""),
        ("package", ""),
        ("who", "blue", "--map", ""),
        ("inspect", ""),
        ("diff", "MAP", "MAP", "--events", ""),
    ],
)
def test_empty_name_is_not_that_of_the_default_map(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell passes it for a variable that is not set."""
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "bridge.toml", MAP)
    done = read(*(path if word == "MAP" else word for word in words))
    assert (done.exit_code, "the name of a file is empty. Fix: " in done.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--map", "--config"])
def test_doctor_takes_its_map_by_both_spellings(option: str, tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP + "[[rule]]\n")
    done = read("doctor", "--function", "bridge", option, path)
    assert (done.exit_code, "rule number 6" in done.stderr) == (2, True)


def test_map_that_is_given_twice_is_wrong_usage(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    done = read("check", path, "--map", path)
    assert (done.exit_code, "the map is given twice. Fix: " in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "words", [("diff", "-", "-"), ("explain", "--map", "-", "-"), ("explain", "--map", "-", "--log", "-")]
)
def test_stdin_is_read_once(words: tuple[str, ...]) -> None:
    done = read(*words, stdin=MAP)
    assert (done.exit_code, "stdin: can be read only once. Fix: " in done.stderr) == (2, True)


def test_compiled_map_of_stdin_needs_a_place() -> None:
    done = read("compile", "-", stdin=MAP)
    assert (done.exit_code, "Fix: name one with --output" in done.stderr) == (2, True)


def test_faults_of_stdin_are_found() -> None:
    done = read("check", "-", stdin=MAP.replace("blue = {}", ""))
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "stdin: 5 rules, 2 tenants, no tests: 2 errors, no warnings"


def test_key_files_are_relative_to_the_base(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "there" / "keys.json").write_bytes(key_set(jwk()))
    path, base = written(tmp_path / "here" / "map.toml", MAP + KEYS), ("--base", str(tmp_path / "there"))
    for words in (
        ("check", path),
        ("diff", path, path),
        ("explain", "--map", path, *PRINCIPAL),
        ("who", "blue", "--map", path),
    ):
        assert (read(*words).exit_code, read(*words, *base).exit_code) == (1, 0), words
    assert read("check", "-", *base, stdin=MAP + KEYS).exit_code == 0
    assert read("compile", path, *base, "-o", "-").exit_code == 0


@pytest.mark.parametrize("indent", [None, 2])
def test_events_after_a_byte_order_mark_are_read(indent: int | None, tmp_path: Path) -> None:
    path, events = written(tmp_path / "map.toml", MAP), tmp_path / "events.json"
    events.write_text(f"\ufeff{json.dumps(v2(role('blue-api')), indent=indent)}", encoding="utf-8")
    assert read("diff", path, path, "--events", str(events)).output == "no decision differs\n"
    for words in (("event", "parse"), ("explain", "--map", path), ("inspect", "--json")):
        assert read(*words, str(events)).exit_code == 0


def test_events_are_read_from_stdin_too(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    assert (
        read("diff", path, path, "--events", "-", stdin=json.dumps(v2(role("blue-api")))).output
        == "no decision differs\n"
    )


@pytest.mark.parametrize(("text", "fault"), [("x", ":1: not JSON: "), ("", ": contains no event, so nothing")])
def test_faulty_events_of_stdin_are_named_as_those_of_other_commands(text: str, fault: str, tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    done = read("diff", path, path, "--events", "-", stdin=text)
    assert (done.exit_code, f"Error: stdin{fault}" in done.stderr) == (2, True)
