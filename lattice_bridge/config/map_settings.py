"""What a map says beside its tenants and rules: the tenant header, token issuers, the registry.

Rule: values that passed the map's checks. Files and URLs are named here, and read elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lattice_bridge.identity.token import Issuer


@dataclass(frozen=True, slots=True)
class IssuerSource:
    """A token issuer, and where its keys are: one of the two.

    Attributes:
        issuer: whose tokens.
        jwks_url: https.
        jwks_file: relative to the map's folder.
    """

    issuer: Issuer
    jwks_url: str | None = None
    jwks_file: str | None = None


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """Tenants in a table of DynamoDB: its name or ARN; `ttl` and `max_stale` are seconds."""

    dynamodb_table: str
    ttl: float
    max_stale: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of it.

    Attributes:
        header: the tenant header's name, lower case.
        issuers: in the map's order.
        registry: where tenants are looked up; None if the map lists them.
    """

    header: str
    issuers: tuple[IssuerSource, ...] = ()
    registry: RegistrySource | None = None

    @property
    def token_headers(self) -> frozenset[str]:
        return frozenset(source.issuer.header for source in self.issuers)

    def to_json(self) -> dict[str, Any]:
        """As JSON's own values."""
        return {
            "header": self.header,
            "issuers": [_written(source) for source in self.issuers],
            "registry": None if self.registry is None else asdict(self.registry),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Surroundings:
        """What `to_json` wrote. Raises whatever comes of another text."""
        registry = found["registry"]
        return cls(
            found["header"],
            tuple(_read(written) for written in found["issuers"]),
            None if registry is None else RegistrySource(**registry),
        )


def _written(source: IssuerSource) -> dict[str, Any]:
    issuer = source.issuer
    sets = {"audience": sorted(issuer.audience), "algorithms": sorted(issuer.algorithms)}
    return {**asdict(issuer), **sets, "jwks_url": source.jwks_url, "jwks_file": source.jwks_file}


def _read(written: Mapping[str, Any]) -> IssuerSource:
    fields = dict(written)
    url, file = fields.pop("jwks_url"), fields.pop("jwks_file")
    sets = {name: frozenset(fields[name]) for name in ("audience", "algorithms")}
    return IssuerSource(Issuer(**{**fields, **sets}), url, file)
