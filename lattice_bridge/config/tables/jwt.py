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
from lattice_bridge.config.words import quoted, suggestion
from lattice_bridge.errors import Fault
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


def jwt_faults(name: str, table: JwtTable, tenant_header: str) -> Iterator[Fault]:
    """Everything wrong with one issuer of a map, given the tenant header's name."""
    if _NAME.fullmatch(name) is None:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:64]
        fix = "write letters, digits, - and _" + (f", as in [jwt.{plain}]" if plain else "")
        yield Fault(f"is not a name. Fix: {fix}", at_key=True)
    if not table.issuer.strip():
        yield Fault("issuer is empty. Fix: write the value of iss, which is often an https URL", ("issuer",))
    yield from _audience_faults(table)
    if not table.algorithms:
        yield Fault('algorithms is empty. Fix: write algorithms = ["RS256"]', ("algorithms",))
    for index, algorithm in enumerate(table.algorithms):
        if algorithm not in ALGORITHMS:
            hint = suggestion(algorithm, ALGORITHMS)
            yield Fault(f"algorithm {quoted(algorithm)} is not accepted{hint}", ("algorithms", index))
    yield from _key_faults(table)
    yield from _header_faults(table, tenant_header)


def _audience_faults(table: JwtTable) -> Iterator[Fault]:
    if not table.audience or not all(text.strip() for text in table.audience):
        what = "audience is empty, so a token for another service would be accepted"
        yield Fault(f'{what}. Fix: write the value of aud: audience = ["…"]', ("audience",))


def _key_faults(table: JwtTable) -> Iterator[Fault]:
    own = table.issuer.rstrip("/") if _URL.fullmatch(table.issuer) else "https://HOST"
    if (table.jwks_url is None) == (table.jwks_file is None):
        what = "needs exactly one of jwks_url, jwks_file"
        fix = f'write one of the two, as in jwks_url = "{own}/…"' if table.jwks_url is None else "remove one of the two"
        yield Fault(f"{what}. Fix: {fix}", given=("jwks_url", "jwks_file"))
    if table.jwks_url is not None and _URL.fullmatch(table.jwks_url) is None:
        path = re.sub(r"[^!-~]", "", table.jwks_url.partition("://")[2] or table.jwks_url)[:200]
        fix = f'write jwks_url = "https://{path}"' if _URL.fullmatch(f"https://{path}") else f"write one, as in {own}/…"
        yield Fault(f"jwks_url {quoted(table.jwks_url)} is not an https URL. Fix: {fix}", ("jwks_url",))


def _header_faults(table: JwtTable, tenant_header: str) -> Iterator[Fault]:
    header, found = names.lower(table.header), quoted(table.header)
    if not _can_carry_a_token(header):
        fix = "write authorization, or a name such as x-id-token"
        yield Fault(f"header {found} cannot contain a token. Fix: {fix}", ("header",))
    if header == tenant_header:
        yield Fault(f"header {found} is the tenant header. Fix: use another header for the token", ("header",))


def same_issuer_faults(tables: Mapping[str, JwtTable]) -> Iterator[tuple[str, Fault]]:
    """Each issuer whose `issuer` another one has too, by its name, and the fault."""
    seen: dict[str, str] = {}
    for name, table in tables.items():
        if table.issuer in seen:
            what = f'jwt "{seen[table.issuer]}" has this issuer too. Fix: write one with both audiences'
            yield name, Fault(what, ("issuer",))
        seen.setdefault(table.issuer, name)


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
