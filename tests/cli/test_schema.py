"""The JSON Schema of bridge.toml: it accepts what the loader accepts."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from lattice_bridge.cli.root import root
from lattice_bridge.cli.schema import schema
from lattice_bridge.config.tables.map import ELSEWHERE, TABLES
from tests.config.test_compiled import EVERYTHING
from tests.support.paths import ROOT

PUBLISHED = ROOT / "docs" / "bridge.schema.json"


def faults(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(schema()).iter_errors(tomllib.loads(text))]


def test_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_published_schema_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(root, ["schema"])
    assert printed.exit_code == 0
    assert PUBLISHED.read_text(encoding="utf-8") == printed.output


def test_schema_knows_every_table_of_the_loader() -> None:
    assert set(schema()["properties"]) == TABLES | ELSEWHERE


def test_every_key_has_a_description() -> None:
    found = schema()
    tables: list[dict[str, Any]] = [found, *found["$defs"].values()]
    keys = {key: entry for table in tables for key, entry in table["properties"].items()}
    assert {key for key, entry in keys.items() if not entry.get("description")} == set()


@pytest.mark.parametrize(
    "text",
    [(ROOT / "bridge.toml").read_text(encoding="utf-8"), (ROOT / "examples/open.toml").read_text(), EVERYTHING],
    ids=["bridge.toml", "open.toml", "everything"],
)
def test_what_loads_is_valid(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        'backend = "orders"',
        "[[backend]]\npath = '/'",
        "[[backend]]\nfunction = 'f'\ntimeout = '3'",
        "[rules]\n",
        "[tenants]\nblue = { status = 'off' }",
        "[[rule]]\nid = 'a'\nrole = 'r'",
        "[[rule]]\nid = 'a'\nrole = 'r'\ntenant = 'blue'\ndeny = true",
        "[[rule]]\nid = 'a'\ntenant = 'blue'",
        "[[rule]]\nid = 'a'\nroles = 'r'\ntenant = 'blue'",
        "[registry]\nttl = 5",
    ],
)
def test_what_an_editor_should_mark_is_not(text: str) -> None:
    assert faults(text)


def test_schema_is_json_without_surprises() -> None:
    assert json.loads(json.dumps(schema())) == schema()
