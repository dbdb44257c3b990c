"""The modules that the handler imports until its first answer.

The lists are written out, so that a new import in the handler is a decision: every cold start waits for each of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from tests.support.authorizer_events import API, rest
from tests.support.builders import MAP, OPEN, role, v2
from tests.support.paths import ROOT
from tests.support.records import BY_ATTRIBUTE, STORED, event, record, source, with_sources

PROGRAM: Final = """
import importlib, json, sys
answer = importlib.import_module(sys.argv[1]).handler(json.loads(sys.argv[2]), None)
print(json.dumps([answer, sorted(sys.modules)]))
"""
COLLECTING: Final = """
import gc, importlib, sys
found = []
gc.callbacks.append(lambda phase, _: found.append("lattice_bridge.errors" in sys.modules))
gc.set_threshold(100)
importlib.import_module(sys.argv[1])
assert False in found, "nothing was collected before"
sys.exit(1 if True in found or not gc.isenabled() else 0)
"""
"""Fails if garbage is collected from the first imports of a start to its end, or if that stays so."""
APIS: Final = f'[apigateway]\napis = ["{API}"]\n'
BACKEND: Final = '[[backend]]\nfunction = "orders:live"\n'

SERVING: Final = {
    *("__init__", "aws", "bootstrap", "bridge", "environment", "errors", "main", "message", "telemetry", "version"),
    *("config", "config.code_hash", "config.compiled", "config.document", "config.location", "config.map_settings"),
    *(
        "config.options",
        "config.regular_file",
        "config.reload",
        "config.settings",
        "config.stores",
        "config.tenant_map",
    ),
    *("events", "events.recognise"),
    *("formats", "formats.assumptions", "formats.event", "formats.lattice_v1", "formats.lattice_v2", "formats.payload"),
    *("formats.front", "formats.recognise", "formats.reply"),
    *("http", "http.base64", "http.client", "http.headers", "http.http1", "http.memory", "http.query"),
    *("identity", "identity.principal", "identity.token"),
    *("invoke", "invoke.call", "invoke.credentials", "invoke.direct", "invoke.endpoint", "invoke.retry"),
    *("invoke.request", "invoke.signing"),
    *("runtime", "runtime.process"),
    *("tenancy", "tenancy.anchors", "tenancy.decide", "tenancy.name_pattern", "tenancy.rules", "tenancy.subject"),
}
"""What a bridge with a compiled map imports."""

ROUTING: Final = {
    *("config.event_source", "events.aggregate", "events.answer", "events.batch", "events.dynamodb"),
    *("events.eventbridge", "events.json_claim", "events.kinesis", "events.record", "events.sqs", "events.stream"),
    *("lanes", "quarantine", "router"),
}
"""What a bridge imports besides if its map has event sources."""

AUTHORIZING: Final = (
    SERVING
    - {"bootstrap", "bridge", "events", "events.recognise", "formats.front", "formats.payload", "main"}
    - {"http.client", "http.http1", "invoke.credentials", "invoke.direct", "invoke.endpoint"}
    - {"invoke.request", "invoke.retry", "invoke.signing"}
    | {"authorize", "authorizer", "formats.authorizer", "formats.apigateway_v1", "formats.apigateway_v2"}
    | {"formats.evidence", "formats.gateway"}
)
"""What an authorizer with a compiled map imports."""

READING_TOML: Final = {
    *("config.tables", "config.tables.jwt", "config.tables.map", "config.tables.options", "config.tables.outcome"),
    *("config.tables.event_source", "config.tables.rule", "config.tables.table", "config.words"),
    *("config.event_source", "events.json_claim", "events.record", "events.sqs"),
    *("config.tables.record_anchors", "config.tables.rule_table", "config.tables.source_arns"),
}
"""What a bridge imports besides if it reads TOML."""

DEVELOPMENT: Final = {"boto3", "botocore", "click", "cryptography", "jwt", "rich"}
"""Packages that no start without boto3, a registry or a token needs."""


def imported(configuration: Path) -> set[str]:
    """Every module after the bridge's first answer. The function cannot be reached: the answer is a 503."""
    answer, modules = first_answer("lattice_bridge.main", configuration, v2(role("blue-api")))
    assert answer["statusCode"] == 503
    return modules


def first_answer(entry: str, configuration: Path, event: Any) -> tuple[Any, set[str]]:
    """The first answer of a fresh process, and every module after it."""
    environ = environ_for(configuration)
    command = [sys.executable, "-c", PROGRAM, entry, json.dumps(event)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert done.stderr == "", "the interpreter's end is silent, too"
    answer, modules = json.loads(done.stdout.splitlines()[-1])
    return answer, set(modules)


def environ_for(configuration: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LATTICE_BRIDGE_CONFIG": str(configuration),
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:1",
    }


def ours(modules: set[str]) -> set[str]:
    found = {name.removeprefix("lattice_bridge.") for name in modules if name.startswith("lattice_bridge.")}
    return found | {"__init__"}


@pytest.fixture(scope="module")
def from_toml(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    path = tmp_path_factory.mktemp("toml") / "bridge.toml"
    path.write_text(MAP + BACKEND, encoding="utf-8")
    return imported(path)


@pytest.fixture(scope="module")
def from_compiled(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    path = tmp_path_factory.mktemp("compiled") / "bridge.json"
    path.write_text(compile_document(parse_document(MAP + BACKEND), path.parent), encoding="utf-8")
    return imported(path)


@pytest.fixture(scope="module")
def from_authorizer(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    path = tmp_path_factory.mktemp("authorizer") / "bridge.json"
    path.write_text(compile_document(parse_document(MAP + OPEN + APIS), path.parent), encoding="utf-8")
    answer, modules = first_answer("lattice_bridge.authorizer", path, rest({"x-tenant-id": "blue"}))
    assert answer["context"] == {"tenantId": "blue"}
    return modules


def test_authorizer_imports_what_it_decides_with(from_authorizer: set[str]) -> None:
    assert ours(from_authorizer) == AUTHORIZING


def test_authorizer_needs_no_package_but_the_standard_library(from_authorizer: set[str]) -> None:
    assert {name.split(".")[0] for name in from_authorizer} & {*DEVELOPMENT, "pydantic", "tomllib"} == set()


def test_compiled_map_imports_what_it_serves_with(from_compiled: set[str]) -> None:
    assert ours(from_compiled) == SERVING


def test_toml_map_imports_what_it_serves_and_reads_with(from_toml: set[str]) -> None:
    assert ours(from_toml) == SERVING | READING_TOML


def test_compiled_map_with_event_sources_imports_the_router_and_no_boto3(tmp_path: Path) -> None:
    """Also after a batch: boto3 is imported when the first copy is stored."""
    path = tmp_path / "bridge.json"
    text = with_sources(source(BY_ATTRIBUTE, STORED))
    path.write_text(compile_document(parse_document(text), path.parent), encoding="utf-8")
    answer, modules = first_answer("lattice_bridge.main", path, event(record(1, "blue")))
    assert len(answer["batchItemFailures"]) == 1
    assert ours(modules) == SERVING | ROUTING
    assert {name.split(".")[0] for name in modules} & {*DEVELOPMENT, "pydantic", "tomllib"} == set()


def test_compiled_map_needs_no_package_but_the_standard_library(from_compiled: set[str]) -> None:
    assert {name.split(".")[0] for name in from_compiled} & {*DEVELOPMENT, "pydantic", "tomllib"} == set()


def test_toml_map_needs_no_package_but_pydantic(from_toml: set[str]) -> None:
    assert {name.split(".")[0] for name in from_toml} & DEVELOPMENT == set()


def test_start_does_not_import_the_codec_of_host_names(from_compiled: set[str]) -> None:
    """The socket and TLS modules encode a string with it, but not bytes."""
    assert from_compiled & {"encodings.idna", "stringprep", "unicodedata"} == set()


@pytest.mark.parametrize("entry", ["lattice_bridge.main", "lattice_bridge.authorizer"])
def test_start_collects_no_garbage(entry: str, tmp_path: Path) -> None:
    """Imports make none, and to search it was 5 to 10 % of a start."""
    path = tmp_path / "bridge.json"
    path.write_text(compile_document(parse_document(MAP + OPEN + APIS + BACKEND), path.parent), encoding="utf-8")
    environ = {**environ_for(path), "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    assert subprocess.run([sys.executable, "-c", COLLECTING, entry], env=environ, check=False).returncode == 0
