"""One `[jwt.NAME]` as it is written: its keys, its faults, and the issuer that it describes.

Rule: an issuer without an audience, or with an algorithm that uses a shared secret, does not load.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import Field

from lattice_bridge.config.map_settings import IssuerSettings
from lattice_bridge.config.tables.table import Table
from lattice_bridge.http import headers as names
from lattice_bridge.identity.token import ALGORITHMS, Issuer, Profile


class JwtTable(Table):
    """The keys of a `[jwt.NAME]`."""

    issuer: str = Field(description="The value of iss, character for character.")
    audience: list[str] = Field(description="aud has to contain one of these.")
    algorithms: list[str] = Field(
        default_factory=lambda: ["RS256"], description="Asymmetric algorithms. The token does not choose."
    )
    jwks_url: str | None = Field(default=None, description="The https URL of the issuer's keys.")
    jwks_file: str | None = Field(default=None, description="The issuer's keys, in a file beside this one.")
    header: str = Field(default="authorization", description="The header with the token.")
    profile: Profile = Field(default="generic", description="The vendor whose tokens these are.")

    @property
    def is_cognito(self) -> bool:
        return self.profile == "cognito" or "//cognito-idp." in self.issuer


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")


def jwt_faults(tables: Mapping[str, JwtTable], tenant_header: str) -> Iterator[str]:
    """Everything wrong with a map's issuers, given the tenant header's name."""
    seen: dict[str, str] = {}
    for name, table in tables.items():
        for fault in _faults_of(name, table):
            yield f'jwt "{name}": {fault}'
        if names.lower(table.header) == tenant_header:
            yield f'jwt "{name}": header "{table.header}" is the tenant header. Fix: use another header for the token'
        if table.issuer in seen:
            yield (f'jwt "{name}": jwt "{seen[table.issuer]}" has this issuer too. Fix: write one with both audiences')
        seen.setdefault(table.issuer, name)


def _faults_of(name: str, table: JwtTable) -> Iterator[str]:
    if _NAME.fullmatch(name) is None:
        yield "is not a name. Fix: write letters, digits, - and _, as in corp"
    if not table.issuer.strip():
        yield "issuer is empty. Fix: write the value of iss, as in https://issuer.example"
    if not table.audience or not all(text.strip() for text in table.audience):
        yield (
            "audience is empty, so a token for another service would be accepted. Fix: write it as in "
            'audience = ["orders"]'
        )
    if not table.algorithms:
        yield 'algorithms is empty. Fix: write it as in algorithms = ["RS256"]'
    for algorithm in table.algorithms:
        if algorithm not in ALGORITHMS:
            yield f'algorithm "{algorithm}" is not accepted. Fix: write one of {", ".join(sorted(ALGORITHMS))}'
    if (table.jwks_url is None) == (table.jwks_file is None):
        yield "needs exactly one of jwks_url, jwks_file. Fix: write one of the two"
    if table.jwks_url is not None and _URL.fullmatch(table.jwks_url) is None:
        yield f'jwks_url "{table.jwks_url}" is not an https URL. Fix: write one, as in https://issuer.example/keys'
    if not _can_carry_a_token(names.lower(table.header)):
        yield f'header "{table.header}" cannot contain a token. Fix: write authorization, or a name such as x-id-token'


def _can_carry_a_token(header: str) -> bool:
    plain = names.is_token(header) and names.fold(header) == header
    taken = header in names.TENANT_NAMES or (header != "authorization" and names.has_other_meaning(header))
    return plain and not taken


def source_of(name: str, table: JwtTable) -> IssuerSettings:
    """The issuer that a table without faults describes."""
    issuer = Issuer(
        name=name,
        issuer=table.issuer,
        audience=frozenset(table.audience),
        algorithms=frozenset(table.algorithms),
        header=names.lower(table.header),
        profile=table.profile,
    )
    return IssuerSettings(issuer, table.jwks_url, table.jwks_file)
