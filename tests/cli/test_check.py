"""The parts of a map that `check` says it covered."""

from __future__ import annotations

import json
from pathlib import Path

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from tests.support.builders import MAP, role
from tests.support.commands import WIDER, read, seen, written

TESTS = f'[[test]]\nprincipal = "{role("blue-api")}"\nexpect = "blue"\n' * 2
REGISTRY = '[registry]\ndynamodb_table = "tenants"\n'


def last(path: str, *arguments: str) -> str:
    return read("check", path, *arguments).output.splitlines()[-1].removeprefix(path)


def test_summary_has_the_numbers_of_the_map(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP + TESTS)
    assert last(path) == ": 5 rules, 3 tenants, 2 tests: no errors, no warnings"


def test_summary_of_a_registry_and_of_a_compiled_map_has_what_is_in_them(tmp_path: Path) -> None:
    rules = "[[rule]]" + MAP.partition("[[rule]]")[2]
    assert last(written(tmp_path / "r.toml", REGISTRY + rules)) == (
        ": 5 rules, the tenants of a registry, no tests: no errors, no warnings"
    )
    compiled = compile_document(parse_document(MAP + TESTS), tmp_path)
    assert last(written(tmp_path / "map.json", compiled)) == ": 5 rules, 3 tenants: no errors, no warnings"
    edited = written(tmp_path / "edited.json", compiled.replace("blue-api", "blue-apj"))
    assert last(edited) == ": 1 error, no warnings"


def test_summary_of_tables_with_faults_has_the_numbers_of_the_file(tmp_path: Path) -> None:
    broken = 'tenants = "x"\nrule = 3\n[[test]]\n'
    assert last(written(tmp_path / "map.toml", broken)).startswith(": no rules, no tenants, 1 test: ")
    assert last(written(tmp_path / "no.toml", "[[")) == ": 1 error, no warnings"


def test_numbers_are_a_property_of_the_sarif_run_and_json_stays_a_list(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP + TESTS)
    [run] = json.loads(read("check", path, "--format", "sarif").output)["runs"]
    assert run["properties"] == {"covered": {"rules": 5, "tenants": 3, "tests": 2}}
    assert json.loads(read("check", path, "--json").output) == []


def test_check_says_errors_first_and_counts_them(tmp_path: Path) -> None:
    wrong = '[[test]]\nvpc = "vpc-1"\nexpect = "blue"\n'
    path = written(tmp_path / "map.toml", MAP + WIDER + wrong)
    words = [line.removeprefix(f"{path}:").split(":") for line in read("check", path).output.splitlines()]
    assert [found[2].strip() for found in words[:-1]] == ["error", "warning"]
    assert read("check", path).output.splitlines()[-1] == f"{path}: 6 rules, 3 tenants, 1 test: 1 error, 1 warning"
    screen = seen("check", path)
    assert screen.index("\x1b[1;31merror") < screen.index("\x1b[1;33mwarning")


def test_map_without_faults_has_no_errors_and_no_warnings(tmp_path: Path) -> None:
    path = written(tmp_path / "map.toml", MAP)
    assert read("check", path).output == f"{path}: 5 rules, 3 tenants, no tests: no errors, no warnings\n"
