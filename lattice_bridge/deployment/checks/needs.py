"""The parts of a request that a map reads, for the checks of a template beside it.

Rule: the map need not load: its faults are findings of their own, and its readable parts are compared all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.config.compiled import map_of
from lattice_bridge.config.document import Document
from lattice_bridge.deployment.checks.stack import MapNeeds
from lattice_bridge.tenancy.anchors import ANYONE
from lattice_bridge.tenancy.rules import Rules, TenantFrom

_TENANT_HEADER: Final = "x-tenant-id"
_TOKEN_HEADER: Final = "authorization"  # noqa: S105 - the name of a header


def needs_of(document: Document) -> MapNeeds:
    """What the map of a configuration reads of a request.

    Raises:
        InvalidMap: a compiled map that does not load.
    """
    if document.compiled is not None:
        return _of_rules(map_of(document.compiled)[1])
    tables = document.tables
    issuers = [one for one in _table(tables.get("jwt")).values() if isinstance(one, Mapping)]
    headers = {str(_table(tables.get("header")).get("name", _TENANT_HEADER)).lower()}
    headers |= {str(one.get("header", _TOKEN_HEADER)).lower() for one in issuers}
    rules = tables.get("rule")
    written = [one for one in rules if isinstance(one, Mapping)] if isinstance(rules, list) else []

    def ids(reads: Callable[[Mapping[str, Any]], bool]) -> tuple[str, ...]:
        return tuple(str(one.get("id")) for one in written if reads(one))

    return MapNeeds(
        certified=ids(lambda one: one.get("tenant_from") == "x509_san_uri"),
        headers=frozenset(headers),
        from_authorizer=ids(lambda one: one.get("tenant_from") == "authorizer"),
        certificates=ids(lambda one: "client_cert" in one),
        vpcs=ids(lambda one: "vpc" in one),
        admits_anyone=any(one.get("anyone") is True and not one.get("deny") for one in written),
        trusted_sources=tuple(
            (source, str(one.get("id")))
            for one in written
            for source in _texts(one.get("source"))
            if not one.get("deny") and "sender" not in one and "event_account" not in one
        ),
    )


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    """The texts of a value that may be one, or a list of them."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _of_rules(rules: Rules) -> MapNeeds:
    def from_source(source: str) -> tuple[str, ...]:
        allowing = rules.owners.values()
        return tuple(one.id for one in allowing if isinstance(one.outcome, TenantFrom) and one.outcome.source == source)

    return MapNeeds(
        certified=from_source("x509_san_uri"),
        headers=frozenset({rules.header, *rules.token_headers}),
        from_authorizer=from_source("authorizer"),
        certificates=rules.reading("client-cert"),
        vpcs=rules.reading("vpc"),
        admits_anyone=ANYONE in rules.owners,
        trusted_sources=tuple((key[1], rule.id) for key, rule in rules.owners.items() if key[0].startswith("source")),
    )
