"""Identities for the callers that the rules of a map name, so that a developer can sign as each of them at once.

Rule: an access key begins with LOCAL. AWS's own begin with A (AKIA, ASIA), so no key here can be one of AWS. The keys
depend on the map alone: the same map gives the same keys on every machine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.front.exchange.identities import SESSION, SESSION_NAME, Identity
from lattice_bridge.message import X509
from lattice_bridge.tenancy.rules import Rule, TenantFrom

PREFIX: Final = "LOCAL"

_LONGEST: Final = 100
_ORG: Final = "o-local00000"
_NO_LETTER: Final = re.compile("[^A-Za-z0-9]")


def rule_identities(configurations: Iterable[BridgeConfiguration]) -> dict[str, Identity]:
    """The identities that the rules of these maps name, by access key, in the order of the rules.

    An access key is LOCAL and the name of the role, user or session, with its letters and digits only, in capitals. If
    several callers would have the same key, their account follows, and then a number. The secret is the key without
    LOCAL, in lower case.

    Deny rules, and rules that name no principal, give no identity. Neither does a compiled map, which does not contain
    the names as they were written.
    """
    found = list(dict.fromkeys(each for configuration in configurations for each in _callers(configuration)))
    names = _distinct([(_name_of(identity), identity.principal.account) for identity in found])
    return {
        PREFIX + name: replace(identity, access_key=PREFIX + name, secret_key=name.lower() or SESSION)
        for identity, name in zip(found, names, strict=True)
    }


def _distinct(named: list[tuple[str, str]]) -> Iterator[str]:
    names = Counter(name for name, _ in named)
    whole = [name if names[name] == 1 else name + account for name, account in named]
    repeated, seen = Counter(whole), Counter[str]()
    for name in whole:
        seen[name] += 1
        yield name if repeated[name] == 1 else f"{name}N{seen[name]}"


def _name_of(identity: Identity) -> str:
    session = "" if identity.session == SESSION else identity.session
    name = identity.principal.name or identity.principal.kind
    return _NO_LETTER.sub("", name + session).upper()[:_LONGEST]


# ---- the callers of a map -------------------------------------------------------------------------------------------


def _callers(configuration: BridgeConfiguration) -> Iterator[Identity]:
    """The callers without their keys."""
    if configuration.settings is None:
        return
    rules = configuration.settings.tenant_map.rules
    allowing = {rule.id: rule for rule in rules.owners.values()}
    tenant = next((tenant.id for tenant in rules.tenants.values() if tenant.active), "tenant")
    for written in configuration.written_rules:
        rule, arn = allowing.get(written["id"]), _arn(written)
        if rule is None or arn is None:
            continue
        try:
            principal = parse_arn(arn)
        except BadPrincipal:  # the example of a prefix is longer than a name may be
            continue
        session = written.get("session") or _named(rule, "session", tenant) or ""
        session = session if re.fullmatch(SESSION_NAME, session) else SESSION
        uri = _named(rule, "x509_san_uri", tenant)
        org = next((value for one in rule.conditions if one.kind == "org" for value in sorted(one.values)), _ORG)
        yield Identity("", "", principal, arn, session, org, X509(san_uri=uri) if uri else None)


def _named(rule: Rule, source: str, tenant: str) -> str | None:
    """The evidence that names a tenant, if the rule reads it there."""
    outcome = rule.outcome
    if not isinstance(outcome, TenantFrom) or outcome.source != source:
        return None
    return f"{outcome.pattern.before}{tenant}{outcome.pattern.after}"


def _arn(written: Mapping[str, Any]) -> str | None:
    """The principal that a rule names, or an example of those that it is for; None if it names none."""
    if role := written.get("role"):
        return f"{role[:-1]}1" if role.endswith("*") else str(role)
    if sso := written.get("sso"):
        name = f"AWSReservedSSO_{sso['permission_set']}_{'0' * 16}"
        role = str(Principal(*_partition_and_account(sso["account"]), "role", name))
        return role.replace(":role/", ":role/aws-reserved/sso.amazonaws.com/")
    if account := written.get("account"):
        return str(Principal(*_partition_and_account(account), "role", "any-role"))
    return next((str(written[name]) for name in ("user", "root", "federated_user") if name in written), None)


def _partition_and_account(text: str) -> tuple[str, str]:
    partition, _, account = text.rpartition(":")
    return partition or "aws", account
