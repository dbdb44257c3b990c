"""What a bridge.toml asks of the stack around it.

Rule: from the configuration as the bridge loads it; nothing of AWS is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lattice_bridge.arn import BadPrincipal, parse_arn
from lattice_bridge.compiled import options_of
from lattice_bridge.document import Document
from lattice_bridge.map_file import read_map
from lattice_bridge.options import Options
from lattice_bridge.options_file import read_options
from lattice_bridge.rules import ANYONE, Rules
from lattice_bridge.tenant_map import TenantMap

_EXACT: Final = ("role", "session")


@dataclass(frozen=True, slots=True)
class NamedRole:
    """A role that the map names exactly.

    Attributes:
        partition, account, name: of its ARN, without a path.
        rules: the ids of the rules that name it.
        denies: those rules only deny.
    """

    partition: str
    account: str
    name: str
    rules: tuple[str, ...]
    denies: bool

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True, slots=True)
class Configured:
    """What a configuration asks for.

    Attributes:
        file: its name, for people.
        options: the functions behind the bridge, and the services events may come from.
        roles: that rules name exactly.
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
            rules.knows_callers,
            any(key == ANYONE or key[0] == "jwt" for key in rules.owners),
            registry[0].dynamodb_table if registry else None,
        )


def _as_written(document: Document, folder: Path) -> dict[tuple[str, str, str], str]:
    """The names of roles in the map's own spelling; a compiled one keeps them in lower case."""
    if document.compiled is not None:
        return {}
    written = (table.role for table in read_map(document.tables, folder).written if table.role)
    return dict(_spelt(text for text in written if not text.endswith("*")))


def _spelt(texts: Iterable[str]) -> Iterator[tuple[tuple[str, str, str], str]]:
    for text in texts:
        try:
            found = parse_arn(text)
        except BadPrincipal:  # a map that loads has none
            continue
        if found.role:
            yield found.role, found.name


def _roles(rules: Rules, names: dict[tuple[str, str, str], str]) -> tuple[NamedRole, ...]:
    ids: dict[tuple[str, str, str], list[str]] = {}
    owned: set[tuple[str, str, str]] = set()
    for key, rule in rules.owners.items():
        if key[0] in _EXACT:
            role = (key[1], key[2], key[3])
            ids.setdefault(role, []).append(rule.id)
            owned.add(role)
    for key, denials in rules.denials.items():
        if key[0] in _EXACT:
            ids.setdefault((key[1], key[2], key[3]), []).extend(rule.id for rule in denials)
    return tuple(
        NamedRole(role[0], role[1], names.get(role, role[2]), tuple(sorted(found)), role not in owned)
        for role, found in sorted(ids.items())
    )
