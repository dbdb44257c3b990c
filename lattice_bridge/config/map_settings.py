"""A map's settings beside its tenants and rules: the tenant header, token issuers with their key sets, the registry.

Rule: only values that passed the map's checks. A key set that the operator supplies is a regular file without private
keys, also if it was replaced after the map was compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lattice_bridge.config.regular_file import BadFile, read_regular_file
from lattice_bridge.identity.token import Issuer


class IssuerSettings(NamedTuple):
    """A token issuer, and the place of its key set: exactly one of URL and file.

    Attributes:
        issuer: for the verification of its tokens.
        jwks_url: https.
        jwks_file: relative to the map's folder.
    """

    issuer: Issuer
    jwks_url: str | None = None
    jwks_file: str | None = None


class RegistrySettings(NamedTuple):
    """A DynamoDB table of tenants, by name or ARN. `ttl` and `max_stale` are seconds."""

    dynamodb_table: str
    ttl: float
    max_stale: float


class MapSettings(NamedTuple):
    """The settings of one map.

    Attributes:
        header: the tenant header's name, lower case.
        issuers: in the map's order.
        registry: the table of tenants; None if the map lists them.
    """

    header: str
    issuers: tuple[IssuerSettings, ...] = ()
    registry: RegistrySettings | None = None

    @property
    def token_headers(self) -> frozenset[str]:
        return frozenset(entry.issuer.header for entry in self.issuers)

    def to_json(self) -> dict[str, Any]:
        """As values of JSON."""
        return {
            "header": self.header,
            "issuers": [_written(entry) for entry in self.issuers],
            "registry": None if self.registry is None else self.registry._asdict(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> MapSettings:
        """The settings that `to_json` wrote. Raises a built-in exception for other values."""
        registry = found["registry"]
        return cls(
            found["header"],
            tuple(_read(written) for written in found["issuers"]),
            None if registry is None else RegistrySettings(**registry),
        )


def _written(entry: IssuerSettings) -> dict[str, Any]:
    issuer = entry.issuer
    sets = {"audience": sorted(issuer.audience), "algorithms": sorted(issuer.algorithms)}
    return {**issuer._asdict(), **sets, "jwks_url": entry.jwks_url, "jwks_file": entry.jwks_file}


def _read(written: Mapping[str, Any]) -> IssuerSettings:
    fields = dict(written)
    url, file = fields.pop("jwks_url"), fields.pop("jwks_file")
    sets = {name: frozenset(fields[name]) for name in ("audience", "algorithms")}
    return IssuerSettings(Issuer(**{**fields, **sets}), url, file)


# ---- key sets that are files ----------------------------------------------------------------------------------------


def read_key_file(path: Path) -> bytes:
    """The bytes of a key set in a file.

    Raises:
        BadFile: it is not there, not a regular file, not readable, or over 128 KiB.
    """
    from lattice_bridge.identity.jwks import MAX_BYTES  # here: a map without issuers starts without it

    return read_regular_file(path, MAX_BYTES)


def key_file_fault(path: Path) -> str | None:
    """The fault of a key set in a file, or None. A map with such a fault does not load, before the first token."""
    from lattice_bridge.identity.jwks import key_set_fault

    try:
        return key_set_fault(read_key_file(path))
    except BadFile as error:
        return f"{error.what}. Fix: {error.fix}"
