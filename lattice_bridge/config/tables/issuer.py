"""One `[jwt.NAME]` as it is written: what it may say, what is wrong with it, and the issuer that it becomes.

Rule: an issuer without an audience, or with an algorithm that a secret could sign by, does not load.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import Field

from lattice_bridge.config.map_settings import IssuerSettings
from lattice_bridge.config.tables.shape import Table
from lattice_bridge.http import headers as names
from lattice_bridge.identity.token import ALGORITHMS, Issuer, Profile


class IssuerTable(Table):
    """The keys of a `[jwt.NAME]`."""

    issuer: str
    audience: list[str]
    algorithms: list[str] = Field(default_factory=lambda: ["RS256"])
    jwks_url: str | None = None
    jwks_file: str | None = None
    header: str = "authorization"
    profile: Profile = "generic"

    @property
    def is_cognito(self) -> bool:
        return self.profile == "cognito" or "//cognito-idp." in self.issuer


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")


def issuer_faults(tables: Mapping[str, IssuerTable], tenant_header: str) -> Iterator[str]:
    """Everything wrong with a map's issuers, given the tenant header's name."""
    seen: dict[str, str] = {}
    for name, table in tables.items():
        for fault in _faults_of(name, table):
            yield f'jwt "{name}": {fault}'
        if names.lower(table.header) == tenant_header:
            yield f'jwt "{name}": header "{table.header}" is the tenant header'
        if table.issuer in seen:
            yield f'jwt "{name}": jwt "{seen[table.issuer]}" has this issuer; make one of the two, with both audiences'
        seen.setdefault(table.issuer, name)


def _faults_of(name: str, table: IssuerTable) -> Iterator[str]:
    if _NAME.fullmatch(name) is None:
        yield "a name is letters, digits, - and _, as in corp"
    if not table.issuer.strip():
        yield "issuer is empty; write what iss says, as in https://issuer.example"
    if not table.audience or not all(text.strip() for text in table.audience):
        yield 'audience is empty: a token that was made for another service would do; as in audience = ["orders"]'
    if not table.algorithms:
        yield 'algorithms is empty, as in algorithms = ["RS256"]'
    for algorithm in table.algorithms:
        if algorithm not in ALGORITHMS:
            yield f"algorithm {algorithm!r} is none of {', '.join(sorted(ALGORITHMS))}"
    if (table.jwks_url is None) == (table.jwks_file is None):
        yield "needs exactly one of jwks_url, jwks_file"
    if table.jwks_url is not None and _URL.fullmatch(table.jwks_url) is None:
        yield f'jwks_url "{table.jwks_url}" is not an https URL'
    header = names.lower(table.header)
    plain = names.is_token(header) and names.fold(header) == header
    taken = header in names.TENANT_NAMES or (header != "authorization" and names.has_other_meaning(header))
    if not plain or taken:
        yield f'header "{table.header}" cannot carry a token; as in authorization, or x-id-token'


def source_of(name: str, table: IssuerTable) -> IssuerSettings:
    """What a table without faults comes to."""
    issuer = Issuer(
        name=name,
        issuer=table.issuer,
        audience=frozenset(table.audience),
        algorithms=frozenset(table.algorithms),
        header=names.lower(table.header),
        profile=table.profile,
    )
    return IssuerSettings(issuer, table.jwks_url, table.jwks_file)
