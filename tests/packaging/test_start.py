"""Modules that a start does not import, because each takes time at every cold start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from tests.support.builders import MAP

PROGRAM = """
import json, sys
from lattice_bridge.config.settings import Settings
import lattice_bridge.bridge, lattice_bridge.telemetry
settings = Settings.load({"LATTICE_BRIDGE_CONFIG": sys.argv[1]})
assert settings.tenant_map.rules.owners
print(json.dumps(sorted(sys.modules)))
"""
BACKEND = '[[backend]]\nfunction = "orders:live"\n'


def imported(path: Path) -> set[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # imports TOML
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return set(json.loads(done.stdout))


def test_compiled_configuration_imports_no_toml_modules(tmp_path: Path) -> None:
    path = tmp_path / "bridge.json"
    path.write_text(compile_document(parse_document(MAP + BACKEND), tmp_path), encoding="utf-8")
    unwanted = {"pydantic", "boto3", "botocore", "jwt", "cryptography", "tomllib", "click", "rich"}
    assert unwanted & imported(path) == set()


def test_toml_imports_nothing_of_issuers_and_registries(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(MAP + BACKEND, encoding="utf-8")
    assert not {"boto3", "botocore", "jwt", "cryptography", "click", "rich"} & imported(path)
