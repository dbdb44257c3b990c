"""Configurations of any kind: each one loads, or is refused with its faults."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lattice_bridge import TenantMap
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import FORMAT, parse_document, sealed
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.event_source import ClaimTable, EventSourceTable
from lattice_bridge.config.tables.jwt import JwtTable
from lattice_bridge.config.tables.map import ELSEWHERE, TABLES, RegistryTable, TestTable
from lattice_bridge.config.tables.options import BackendTable, LatticeTable
from lattice_bridge.config.tables.rule_table import RuleTable, SenderTable
from lattice_bridge.config.tables.table import fields_of
from lattice_bridge.errors import (
    InvalidMap,
)
from lattice_bridge.review.check import findings_of
from tests.support.builders import role
from tests.support.decision_reference import ISSUERS, NAMES, ONE, QUEUES, ROLES, SENDERS, SERVICES, VPCS
from tests.support.examples import examples
from tests.support.hostile import json_values

# ---- configurations of any kind -------------------------------------------------------------------------------------

WHOLE: Final = f"""
[[backend]]
path = "/orders"
function = "orders:live"
isolated = false
invocation = "async"
timeout = 28
keep_headers = ["authorization"]
[[event_source]]
arn = "{QUEUES[0]}"
function = "orders-worker:live"
claim = {{ from = "body", path = ["meta", "tenant"] }}
concurrency = 4
quarantine = "{QUEUES[0]}-quarantine"
timeout = 20
[lattice]
services = ["{SERVICES[0]}"]
set_cookie = "cookies"
[map]
refresh = 30
[header]
name = "x-tenant-id"
[tenants]
blue = {{}}
old = {{ status = "suspended" }}
[jwt.corp]
issuer = "https://corp.example"
audience = ["x"]
algorithms = ["RS256"]
jwks_url = "https://corp.example/keys"
header = "x-id-token"
profile = "generic"
[[rule]]
id = "blue-api"
role = "arn:aws:iam::{ONE}:role/blue-api"
session = "i-0123"
session_set_by = "a test"
vpc = ["vpc-0b8276c84697e7339"]
tenants = ["blue", "old"]
[[rule]]
id = "support"
sso = {{ account = "{ONE}", permission_set = "Support" }}
tenant_from = "claim"
jwt = "corp"
claim = ["app", "tenant"]
template = "t-{{tenant}}"
claim_is_list = true
[[rule]]
id = "open"
anyone = true
tenants = "*"
accept_risk = "a test"
[[rule]]
id = "shop"
sender = {{ role_id = "{SENDERS[0]}", session = "i-0123" }}
session_set_by = "a test"
source = ["{QUEUES[0]}"]
tenants = ["blue", "old"]
[[test]]
principal = "{role("blue-api", session="i-0123")}"
vpc = "vpc-0b8276c84697e7339"
header = "blue"
claims = {{ corp = {{ app = {{ tenant = ["t-blue"] }} }} }}
expect = "blue"
"""
LITERALS: Final = (
    *(
        "true",
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "1979-05-27",
        "07:32:00",
        '""',
        '"blue"',
        '"*"',
        '"\\u0000"',
        "[]",
        "{}",
    ),
    *("[[]]", "[1]", '["blue", 1]', "[{}]", '{ "" = "" }', "9" * 5000, '"' + "x" * 5000 + '"', '"""\n"""', "[" * 2000),
    *(
        "0x10",
        '"arn:aws:iam::111122223333:role/a*"',
        '"arn:aws:iam::111122223333:role/*"',
        '"x-tenant_id"',
        '"{tenant}"',
    ),
)


def _damaged(text: str, changes: list[str], piece: str, dice: random.Random) -> str:
    """A map that was edited in a hurry: cut off, lines doubled, lost, moved, values of other types."""
    for change in changes:
        lines = text.split("\n")
        at = dice.randrange(len(lines))
        if change == "cut":
            text = text[: dice.randrange(len(text) + 1)]
            continue
        if change == "doubled":
            lines.insert(at, lines[at])
        elif change == "lost":
            del lines[at]
        elif change == "moved":
            lines.insert(dice.randrange(len(lines)), lines.pop(at))
        elif change == "typed":
            lines[at] = f"{lines[at].partition('=')[0]}= {dice.choice(LITERALS)}"
        else:
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + piece + lines[at][place:]
        text = "\n".join(lines)
    return text


CHANGES: Final = ("cut", "doubled", "lost", "moved", "typed", "typed", "inserted")
MODELS: Final = (
    *(RuleTable, SenderTable, TestTable, JwtTable, RegistryTable, BackendTable, LatticeTable),
    *(EventSourceTable, ClaimTable),
)
KEYS: Final = sorted(
    {key for model in MODELS for key in fields_of(model)} | {"blue", "corp", "name", "refresh", "status"}
)
plain = (
    st.text(max_size=8)
    | st.sampled_from([*NAMES, *ROLES, *ISSUERS, *VPCS, *SERVICES, *QUEUES, *SENDERS])
    | st.sampled_from([ONE, role("a"), f"arn:aws:iam::{ONE}:role/a-*", "*"])
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.dates()
)
toml_values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)
rule_like = st.fixed_dictionaries(
    {"id": plain}, optional={key: toml_values for key in RuleTable.model_fields if key != "id"}
)
toml_tables = st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), toml_values, max_size=5) | st.builds(
    lambda tables, rules: {**tables, "rule": rules},
    st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), toml_values, max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from([*RuleTable.model_fields]), toml_values, max_size=5) | rule_like, max_size=2
    ),
)


def to_toml(value: Any) -> str:
    """A value as TOML writes it within a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return value.isoformat() if isinstance(value, date) else str(value).lower()


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


COMPILED_KEYS: Final = (
    *("format", "tables", "options", "around", "tenants", "suspended"),
    *("outcomes", "conditions", "owners", "denials"),
)
sealed_texts = st.builds(
    lambda members: sealed({"format": FORMAT, "tables": {}, **members}),
    st.dictionaries(st.sampled_from(COMPILED_KEYS), json_values, max_size=8)
    | st.fixed_dictionaries({"tables": st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), json_values)}),
)
whole_texts = [WHOLE, compile_document(parse_document(WHOLE), Path())]
configurations = st.one_of(
    st.text(max_size=60),
    st.builds(lambda text: "{" + text, st.text(st.characters(codec=None), max_size=60)),
    st.builds(
        _damaged,
        st.sampled_from(whole_texts),
        st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3),
        st.text(st.characters(codec=None), max_size=3),
        st.randoms(),
    ),
    st.builds(
        lambda tables: "\n".join(f"{_text(name)} = {to_toml(value)}" for name, value in tables.items()), toml_tables
    ),
    sealed_texts,
)
READERS: Final[list[Callable[[str], object]]] = [
    parse_document,
    TenantMap.from_toml,
    Settings.from_text,
    partial(Settings.from_text, function="orders"),
]


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations)
@example("a = " + "9" * 5000)
@example("a = " + "[" * 5000)
def test_any_configuration_loads_or_is_refused_with_faults(text: str) -> None:
    for read in READERS:
        with suppress(InvalidMap):
            read(text)
    assert all(finding.text for finding in findings_of(text))


def test_undamaged_configuration_loads(tmp_path: Path) -> None:
    for text in whole_texts:
        assert Settings.from_text(text, folder=tmp_path).tenant_map.rules.owners
