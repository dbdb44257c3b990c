"""Faults of a map have their file, line and column, whichever command or handler cannot load it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lattice_bridge.bootstrap import make_handler
from lattice_bridge.cli.root import root
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import InvalidMap
from tests.support.builders import role, v2

WRONG = """\
[[backend]]
functoin = "orders:live"
[tenants]
blue = {}
[[rule]]
id = "blue-api"
role = "arn:aws:iam::111122223333:role/blue-api"
tenant = "bleu"
"""
FAULTS = [
    (2, 1, "backend number 1: functoin: unknown key; did you mean function?"),
    (8, 10, 'rule "blue-api": tenant "bleu" is not in [tenants]; did you mean "blue"?'),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "bridge.toml"
    found.write_text(WRONG, encoding="utf-8")
    return found


def lines(path: Path | str, level: str = "error: ") -> list[str]:
    return [f"{path}:{line}:{column}: {level}{text}" for line, column, text in FAULTS]


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "--principal", role("blue-api"), "--map"],
        ["who", "blue", "--map"],
        ["diff", "{path}"],
        ["compile"],
        ["doctor", "--function", "bridge", "--config"],
    ],
)
def test_command_that_cannot_load_a_map_prints_all_faults_with_their_places(command: list[str], path: Path) -> None:
    arguments = [word.format(path=path) for word in command]
    done = CliRunner().invoke(root, [*arguments, str(path)], catch_exceptions=False)
    assert done.exit_code in (1, 2)
    assert done.stderr.splitlines() == lines(path)


def test_check_has_the_places_in_text_json_and_sarif(path: Path) -> None:
    def checked(form: str) -> str:
        return CliRunner().invoke(root, ["check", str(path), "--format", form], catch_exceptions=False).output

    assert checked("text").splitlines()[:2] == lines(path)
    found = [(str(one["file"]), one["line"], one["column"], one["text"]) for one in json.loads(checked("json"))]
    assert found == [(str(path), *fault) for fault in FAULTS]
    (run,) = json.loads(checked("sarif"))["runs"]
    regions = [one["locations"][0]["physicalLocation"]["region"] for one in run["results"]]
    assert regions == [{"startLine": line, "startColumn": column} for line, column, _ in FAULTS]
    assert run["columnKind"] == "unicodeCodePoints"


def test_unreadable_template_has_the_place_of_its_fault(tmp_path: Path, path: Path) -> None:
    template = tmp_path / "t.yaml"
    template.write_text("Resources:\n  A:\n    Type: x\n  A:\n    Type: x\n", encoding="utf-8")
    arguments = ["check", str(path), "--template", str(template)]
    done = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert f"{template}:4:3: error: line 4: A occurs twice" in done.output


def test_log_line_of_the_handler_has_the_places(path: Path) -> None:
    written: list[str] = []
    environ = {"LATTICE_BRIDGE_CONFIG": "bridge.toml", "LAMBDA_TASK_ROOT": str(path.parent), "AWS_REGION": "eu-west-1"}
    handler = make_handler(environ, written.append)
    loaded: dict[str, Any] = json.loads(written[0].splitlines()[0])
    assert loaded["faults"] == lines("bridge.toml", "")
    handler(v2(role("blue-api")), None)
    assert json.loads(written[1].splitlines()[0])["detail"] == lines("bridge.toml", "")[0]


def test_error_that_a_test_shows_has_a_line_for_each_fault(path: Path) -> None:
    with pytest.raises(InvalidMap) as caught:
        Settings.load({"LATTICE_BRIDGE_CONFIG": str(path)})
    assert str(caught.value).splitlines() == ["config_invalid:", *(f"  {line}" for line in lines(path, ""))]


def test_map_from_a_file_has_the_places(path: Path) -> None:
    with pytest.raises(InvalidMap) as caught:
        TenantMap.from_file(path)
    assert caught.value.messages == (lines(path, "")[1],), "the map is read without the tables beside it"


def test_who_suggests_a_tenant(path: Path) -> None:
    path.write_text(WRONG.replace("functoin", "function").replace("bleu", "blue"), encoding="utf-8")
    done = CliRunner().invoke(root, ["who", "bleu", "--map", str(path)], catch_exceptions=False)
    assert done.stderr == 'error: tenant "bleu" is not registered; did you mean "blue"?\n'
