"""The parts of a map that a check covers, counted.

Rule: the numbers are those of the file, also if some of its tables have faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass

from lattice_bridge.config.compiled import map_of
from lattice_bridge.config.document import Document
from lattice_bridge.errors import InvalidMap


@dataclass(frozen=True, slots=True)
class Coverage:
    """The numbers of a map's tables.

    Attributes:
        rules: `[[rule]]` tables.
        tenants: entries of `[tenants]`; None if a registry has them.
        tests: `[[test]]` tables; None in a compiled map, whose tests were run when it was compiled.
    """

    rules: int
    tenants: int | None
    tests: int | None


def coverage_of(document: Document) -> Coverage | None:
    """What a check of a document covers; None for a compiled map that does not load."""
    tables = document.tables
    if document.compiled is None:
        return Coverage(_number(tables, "rule"), _tenants(tables), _number(tables, "test"))
    try:
        rules = map_of(document.compiled)[1]
    except InvalidMap:
        return None
    number = len(rules.owners) + sum(map(len, rules.denials.values()))
    return Coverage(number, None if "registry" in tables else len(rules.tenants), None)


def _tenants(tables: Mapping[str, object]) -> int | None:
    return None if "registry" in tables else _number(tables, "tenants")


def _number(tables: Mapping[str, object], name: str) -> int:
    """A table with a fault may be of any type."""
    value = tables.get(name, ())
    return len(value) if isinstance(value, Sized) and not isinstance(value, str) else 0
