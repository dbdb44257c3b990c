"""What a bridge.toml asks of the stack around it.

Rule: from the configuration as the bridge loads it; nothing of AWS is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from lattice_bridge.config.compiled import options_of
from lattice_bridge.config.document import Document
from lattice_bridge.config.options import Options
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.http.headers import lower
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.tenancy.anchors import ANYONE
from lattice_bridge.tenancy.rules import Rules

_EXACT: Final[Mapping[str, Literal["role", "user"]]] = {"role": "role", "session": "role", "user": "user"}
"""Kinds of keys, and whose name is in them."""
_Key: TypeAlias = tuple[Literal["role", "user"], str, str, str]
"""Kind, partition, account, and name in lower case."""


@dataclass(frozen=True, slots=True)
class NamedRole:
    """A role or user that the map names exactly.

    Attributes:
        partition, account, name: of its ARN, without a path.
        rules: the ids of the rules that name it.
        denies: those rules only deny.
        kind: which of the two it is.
    """

    partition: str
    account: str
    name: str
    rules: tuple[str, ...]
    denies: bool
    kind: Literal["role", "user"] = "role"

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:iam::{self.account}:{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Configured:
    """What a configuration asks for.

    Attributes:
        file: its name, for people.
        options: the functions behind the bridge, and the services events may come from.
        roles: and users that rules name exactly.
        knows_callers: some rule is for callers that Lattice authenticates.
        admits_anonymous: some rule is for tokens, or for anyone: callers that Lattice calls anonymous have to get in.
        table: the registry's, by name or ARN.
    """

    file: str
    options: Options
    roles: tuple[NamedRole, ...] = ()
    knows_callers: bool = True
    admits_anonymous: bool = False
    table: str | None = None

    @classmethod
    def of(cls, file: Path, document: Document, tenant_map: TenantMap) -> Configured:
        """Of a document that loads, and the map in it."""
        options = options_of(document.compiled) if document.compiled else read_options(document.tables, [])
        rules, registry = tenant_map.rules, tenant_map.lookups.registry
        return cls(
            file.as_posix(),
            options,
            _roles(rules, _as_written(document, file.parent)),
            rules.has_caller_rules,
            any(key == ANYONE or key[0] == "jwt" for key in rules.owners),
            registry[0].dynamodb_table if registry else None,
        )


def _as_written(document: Document, folder: Path) -> dict[_Key, str]:
    """The names in the map's own spelling; a compiled one keeps them in lower case."""
    if document.compiled is not None:
        return {}
    tables = read_map(document.tables, folder).written
    written = (text for table in tables for text in (table.role, table.user) if text and not text.endswith("*"))
    return dict(_spelt(written))


def _spelt(texts: Iterable[str]) -> Iterator[tuple[_Key, str]]:
    for text in texts:
        try:
            found = parse_arn(text)
        except BadPrincipal:  # a map that loads has none
            continue
        kind: Literal["role", "user"] = "user" if found.kind == "user" else "role"
        yield (kind, found.partition, found.account, lower(found.name)), found.name


def _roles(rules: Rules, names: dict[_Key, str]) -> tuple[NamedRole, ...]:
    ids: dict[_Key, list[str]] = {}
    owned: set[_Key] = set()
    for key, rule in rules.owners.items():
        if key[0] in _EXACT:
            named = (_EXACT[key[0]], key[1], key[2], key[3])
            ids.setdefault(named, []).append(rule.id)
            owned.add(named)
    for key, denials in rules.denials.items():
        if key[0] in _EXACT:
            named = (_EXACT[key[0]], key[1], key[2], key[3])
            ids.setdefault(named, []).extend(rule.id for rule in denials)
    return tuple(
        NamedRole(named[1], named[2], names.get(named, named[3]), tuple(sorted(found)), named not in owned, named[0])
        for named, found in sorted(ids.items())
    )
