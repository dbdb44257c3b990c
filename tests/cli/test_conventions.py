"""Conventions of all commands: JSON for programs, colours, the version, and completion."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from lattice_bridge.cli import show
from lattice_bridge.cli.root import root
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.testing.corpus import all_events
from lattice_bridge.version import __version__
from tests.support.builders import MAP
from tests.support.commands import read, written
from tests.support.packages import install_a_package
from tests.support.paths import ROOT

REFERENCE: Final = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8").partition("\n## The command line\n")[2]


def commands(group: click.Group, names: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{names}{name} ")
        else:
            yield f"{names}{name}", command


COMMANDS: Final = dict(commands(root))


# ---- help -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_the_exit_codes_and_a_sentence_for_each_option(command: str) -> None:
    found = COMMANDS[command]
    options = [param for param in found.params if isinstance(param, click.Option)]
    assert not [param.opts[0] for param in options if not (param.help or "").endswith(".")]
    assert "Exits with " in " ".join((found.help or "").split())


CLICKS_OWN: Final = ("TEXT", "PATH", "DIRECTORY", "INTEGER RANGE", "FLOAT RANGE")


@pytest.mark.parametrize("command", COMMANDS)
def test_value_of_an_option_has_a_name_that_says_what_it_is(command: str) -> None:
    """FILE, DIR, MAP, ARN and so on, and not the type that click reads."""
    found = COMMANDS[command]
    values = [param for param in found.params if not isinstance(param, click.Option) or not param.is_flag]
    shown = {param.opts[0]: param.make_metavar(click.Context(found)) for param in values}
    assert not {name: value for name, value in shown.items() if value in CLICKS_OWN}


# ---- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_json(command: str) -> None:
    options = {name for param in COMMANDS[command].params for name in param.opts}
    assert "--json" in options


EVENT: Final = str(ROOT / "events" / "v2" / "query-repeated.json")
ARGUMENTS: Final[dict[str, list[str]]] = {
    "check": ["bad.toml"],
    "compile": ["map.toml"],
    "diff": ["map.toml", "new.toml"],
    "event check": ["odd.json"],
    "event convert": ["--to", "alb", EVENT],
    "event list": ["v2/query-*"],
    "event new": [],
    "event parse": [EVENT],
    "event show": ["v2/cookies"],
    "explain": ["--map", "map.toml", EVENT],
    "init": ["project"],
    "inspect": ["--json", "--map", "map.toml", EVENT],  # without it, the page is served until Ctrl-C
    "local": ["--plan", "--template", str(ROOT / "template.yaml")],
    "package": ["--folder", "package", "--arch", "x86_64", "whole.toml"],
    "schema": [],
    "token": ["--map", "map.toml", "--issuer", "corp"],
    "who": ["--map", "map.toml", "blue"],
}
ISSUER: Final = """
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
"""
WITHOUT_KEYS: Final = {"event convert", "event new", "event show", "schema"}
"""Commands that print an event or a schema, whose keys other pages describe."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    written(tmp_path / "map.toml", MAP + ISSUER)
    written(tmp_path / "whole.toml", f'[[backend]]\nfunction = "orders"\n{MAP}')
    written(tmp_path / "new.toml", MAP.replace('role/leaver"\ntenant = "old"', 'role/leaver"\ndeny = true'))
    written(tmp_path / "bad.toml", MAP.replace('tenant = "blue"', 'tenant = "bleu"'))
    written(tmp_path / "odd.json", json.dumps({**all_events("v2/cookies")[0].event, "odd": 1}))


def row(command: str) -> str:
    found = re.search(rf"^\| `{command}` \| (.*) \|$", REFERENCE, re.MULTILINE)
    assert found, f"docs/reference.md has no row for {command}"
    return found[1]


def documented(command: str) -> list[str]:
    """The keys that a row names, without remarks in brackets, values of a key, and further sentences."""
    first = re.sub(r"\([^)]*\)", "", row(command)).partition(". ")[0]
    return re.findall(r"`(\w+)`", first.partition("object")[2])


def keys(document: object) -> list[str]:
    first = document[0] if isinstance(document, list) else document
    assert isinstance(first, dict)
    return list(first)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"doctor"}))
def test_json_has_the_documented_keys(command: str) -> None:
    """Whatever is printed without it, standard output is one JSON document with it."""
    document = json.loads(read(*command.split(), "--json", *ARGUMENTS[command], obj=install_a_package).stdout)
    assert row(command)
    assert document
    if command not in WITHOUT_KEYS:
        assert sorted(keys(document)) == sorted(documented(command))


def test_findings_of_doctor_have_the_documented_keys() -> None:
    assert documented("doctor") == [field.name for field in dataclasses.fields(Finding)]


def test_departures_and_ways_have_the_documented_keys(files: None) -> None:
    (departure,) = json.loads(read("event", "check", "--json", "odd.json").stdout)["departures"]
    assert f"(objects with {inside(departure)})" in row("event check")
    (way, *_) = json.loads(read("who", "--json", "--map", "map.toml", "blue").stdout)["ways"]
    assert f"(objects with {inside(way)})" in row("who")


def inside(found: dict[str, object]) -> str:
    *others, last = (f"`{key}`" for key in found)
    return f"{', '.join(others)} and {last}"


def test_compiled_map_with_an_error_is_json_too(files: None) -> None:
    done = read("compile", "--json", "bad.toml")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["file"], document["bytes"]) == (1, None, None)
    assert f"(objects with {inside(document['errors'][0])})" in row("compile")
    assert not Path("bad.json").exists()


def test_json_of_the_local_stack_needs_the_plan() -> None:
    done = read("local", "--json", "--template", str(ROOT / "template.yaml"))
    assert (done.exit_code, "--json needs --plan. Fix: add --plan" in done.stderr) == (2, True)


# ---- colour ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Standard output is a terminal."""
    leader, follower = pty.openpty()
    with open(follower, "w", encoding="utf-8") as output, contextlib.redirect_stdout(output):  # noqa: PTH123 - a number
        yield
    os.close(leader)


@pytest.mark.parametrize(("value", "colour"), [(None, True), ("", True), ("1", False)])
def test_terminal_has_colour_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, value: str | None, colour: bool
) -> None:
    """As https://no-color.org has it, an empty value is none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    with terminal():
        assert show.has_colour() is colour


def test_only_one_module_asks_whether_there_is_a_terminal() -> None:
    """So NO_COLOR is read in one place, also for the log of the local stack."""
    asking = [path.name for path in (ROOT / "lattice_bridge").rglob("*.py") if "isatty" in path.read_text("utf-8")]
    assert asking == ["show.py"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"doctor", "schema"}))
def test_pipe_gets_no_colour_whatever_is_asked_for(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in read(*command.split(), *ARGUMENTS[command], obj=install_a_package).output


# ---- the command itself ---------------------------------------------------------------------------------------------


def test_package_is_the_command() -> None:
    command = [sys.executable, "-m", "lattice_bridge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"lattice-bridge, version {__version__}\n"


COMPLETED: Final = """
{line}
compopt() {{ :; }}
for COMP_LINE in "lattice-bridge ex" "lattice-bridge event n"; do
    COMP_WORDS=($COMP_LINE) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    COMPREPLY=()
    _lattice_bridge_completion lattice-bridge
    printf '%s\\n' "${{COMPREPLY[@]}}"
done
"""


def test_bash_completes_commands_with_the_documented_line() -> None:
    documented = re.search(r"`(eval .*bash_source lattice-bridge\)\")`", REFERENCE)
    assert documented
    command = ["bash", "-ec", COMPLETED.format(line=documented[1])]
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["explain", "new"], "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_line_for_another_shell_is_documented_and_known_to_click(shell: str) -> None:
    """These shells are not installed everywhere, so only the script is asked for."""
    assert f"_LATTICE_BRIDGE_COMPLETE={shell}_source lattice-bridge" in REFERENCE
    environ = {"_LATTICE_BRIDGE_COMPLETE": f"{shell}_source"}
    done = CliRunner().invoke(root, prog_name="lattice-bridge", env=environ)
    assert "_LATTICE_BRIDGE_COMPLETE" in done.output


def test_interruption_during_the_imports_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    command = [sys.executable, "-m", "lattice_bridge", "event", "list"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_nothing_else_is_imported_before_interruptions_are_quiet() -> None:
    program = "import sys, lattice_bridge.cli; print(*sorted(n for n in sys.modules if n.startswith('lattice_bridge')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        *("lattice_bridge", "lattice_bridge.cli", "lattice_bridge.runtime", "lattice_bridge.runtime.process")
    ]
