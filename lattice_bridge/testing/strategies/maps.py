"""Tenant maps that load.

Rule: a map comes with its tenants and rules as values, so that a test can compare a decision with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.http.headers import lower
from lattice_bridge.testing.strategies.ids import TENANT_IDS
from lattice_bridge.testing.strategies.who import ORIGINS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenMap:
    """A tenant map as a person writes it.

    Attributes:
        text: TOML; for a bridge.toml, append a `[[backend]]`. It has `[[event_source]]` tables, a queue and an event
            bus, if a rule is for records.
        tenants: the registered ones, and whether they are active. At least one.
        rules: the `[[rule]]` tables as in the text. At least one.
        header: the tenant header's name, in lower case.
    """

    text: str
    tenants: Mapping[str, bool]
    rules: tuple[Table, ...]
    header: str

    def load(self) -> TenantMap:
        """The map. Nothing is fetched before a request has a token."""
        return TenantMap.from_toml(self.text)

    @property
    def principals(self) -> list[str]:
        """One ARN for each rule that names principals. Rules for tokens, a VPC or anyone have none."""
        return [arn for rule in self.rules if (arn := _principal_for(rule)) is not None]


def maps() -> SearchStrategy[WrittenMap]:
    """Tenant maps that load: every kind of rule, in many combinations. The tenants are listed in the map; issuers of
    tokens have keys at URLs that do not exist."""
    return _MAPS


_ANCHORS: Final = (
    *("role", "role", "role", "role*", "session", "user", "root", "federated_user", "account", "sso", "jwt", "vpc"),
    *("anyone", "api", "client_cert", "sender", "sender-session", "event_account", "source"),
)
_OUTCOMES: Final = (
    *("tenant", "tenants", "*", "deny", "tenant", "session", "session-template", "x509", "claim", "claim-list"),
)
_CONDITIONS: Final[tuple[Table, ...]] = (
    *({}, {}, {}, {}, {"vpc": ORIGINS[0].source_vpc_arn}, {"vpc": [ORIGINS[1].source_vpc_arn.rpartition("/")[2]]}),
    *({"org": "o-a1b2c3d4e5"}, {"org": ["o-a1b2c3d4e5", "o-" + "z9" * 16]}, {"service": ORIGINS[0].service_arn}),
    {"network": [origin.service_network_arn for origin in ORIGINS]},
)
_PLACES: Final = (("aws", "111122223333"), ("aws", "111122223333"), ("aws", "444455556666"), ("aws-cn", "111122223333"))
_ROLE_NAMES: Final = ("blue-api", "edge-proxy", "support", "a", "a_b.c@d+e", "tenant-blue-api")
_MAP_SESSIONS: Final = ("i-0123456789abcdef0", "blue", "green", "ann@example.com")
_RULES: Final = st.lists(
    st.tuples(
        st.sampled_from(_ANCHORS),
        st.sampled_from(_PLACES),
        st.sampled_from(_ROLE_NAMES),
        st.sampled_from(_MAP_SESSIONS),
        st.sampled_from(_OUTCOMES),
        st.sampled_from(_CONDITIONS),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=8,
)
_HEADERS: Final = ("x-tenant-id", "x-tenant-id", "X-Tenant-Id", "x-customer")


QUEUE: Final = "arn:aws:sqs:eu-west-1:111122223333:orders"
"""The queue of every rule for messages."""
BUS: Final = "arn:aws:events:eu-west-1:111122223333:event-bus/orders"
"""The event bus of every rule for events."""
SENDERS: Final = ("AROADBQP57FF2AEXAMPLE", "AIDACKCEVSQ6C2EXAMPLE")
"""The unique ids of the role and the user of every rule for senders."""


def _anchor(who: str, place: tuple[str, str], name: str, session: str, issuer: str | None) -> Table:
    """The anchor's keys of a rule."""
    partition, account = place
    iam = f"arn:{partition}:iam::{account}:"
    numbered = account if partition == "aws" else f"{partition}:{account}"
    found: dict[str, Table] = {
        "role": {"role": f"{iam}role/{name}"},
        "role*": {"role": f"{iam}role/{name}-*"},
        "session": {"role": f"{iam}role/{name}", "session": session, "session_set_by": "a test"},
        "user": {"user": f"{iam}user/team/{name}"},
        "root": {"root": f"{iam}root"},
        "federated_user": {
            "federated_user": f"arn:{partition}:sts::{account}:federated-user/{name}",
            "session_set_by": "a test",
        },
        "account": {"account": numbered},
        "sso": {"sso": {"account": numbered, "permission_set": "Support"}},
        "vpc": {"vpc": ORIGINS[0].source_vpc_arn.rpartition("/")[2], "accept_risk": "a test"},
        "anyone": {"anyone": True, "accept_risk": "a test"},
        "api": {"api": "a1b2c3d4e5"},
        "client_cert": {"client_cert": f"CN={name.replace('+', '-')},O=Example", "client_cert_issued_by": "a test"},
        "sender": {"sender": {"user_id": SENDERS[1]} if name == "support" else {"role_id": SENDERS[0]}},
        "sender-session": {"sender": {"role_id": SENDERS[0], "session": session}, "session_set_by": "a test"},
        "event_account": {"event_account": account, **_PARTS.get(name, {})},
        "source": {"source": BUS if name in _PARTS else QUEUE, **_PARTS.get(name, {})},
    }
    return found.get(who) or ({"anyone": True, "accept_risk": "a test"} if issuer is None else {"jwt": issuer})


_PARTS: Final[Mapping[str, Table]] = {
    "edge-proxy": {"bus_source": "aws.s3"},
    "support": {"bus_source": "shop", "detail_type": "Order placed", "accept_risk": "a test"},
}
"""A role's name → the part of an account's or a bus's events that a rule is for instead."""


def _outcome(kind: str, anchor: Table, names: list[str], number: int, issuer: str | None) -> Table:
    """The outcome's keys of a rule, if the kind fits the anchor."""
    name = names[number % len(names)]
    named = "role" in anchor and not anchor["role"].endswith("*")
    acknowledged = {"session_set_by": "a test"}
    if kind == "session" and "session" not in anchor and ("role" in anchor or "sso" in anchor):
        return {"tenant_from": "session", **acknowledged}
    if kind == "session-template" and "session" not in anchor and ("role" in anchor or "sso" in anchor):
        return {"tenant_from": "session", "template": "t-{tenant}", **acknowledged}
    if kind == "x509" and named:
        template = "spiffe://example.org/t/{tenant}"
        return {"tenant_from": "x509_san_uri", "template": template, "x509_set_by": "a test"}
    if kind == "session" and "session_set_by" not in anchor and "role_id" in anchor.get("sender", {}):
        return {"tenant_from": "session", **acknowledged}
    if kind.startswith("claim") and issuer is not None and not _WITHOUT_TOKEN & set(anchor):
        listed = {"claim_is_list": True} if kind == "claim-list" else {}
        return {"tenant_from": "claim", "claim": ["app", "tenant"], "jwt": issuer, **listed}
    if kind == "deny":
        return {"deny": True}
    if kind == "*":
        return {"tenants": "*", **({"accept_risk": "a test"} if {"jwt", "api", "source"} & set(anchor) else {})}
    if kind == "tenants":
        several = sorted({name, *names[:number]})
        return {"tenants": several, **({"accept_risk": "a test"} if "source" in anchor and len(several) > 1 else {})}
    return {"tenant": name}


_WITHOUT_TOKEN: Final = frozenset({"anyone", "vpc", "api", "sender", "event_account", "source"})
"""Anchors beside which no claim of a token is read."""


def _rule(choice: tuple[Any, ...], names: list[str], issuer: str | None) -> Table:
    who, place, name, session, kind, conditions, number = choice
    anchor = _anchor(who, place, name, session, issuer)
    outcome = _outcome(kind, anchor, names, number, issuer)
    # `anyone` has no organisation, and a record nothing that a request has; a VPC that is the anchor is no condition
    never = {"org"} if "anyone" in anchor else set(conditions) if _OF_RECORDS & set(anchor) else set()
    table = {key: value for key, value in conditions.items() if key not in {*anchor, *never}}
    table = {**table, **anchor, **outcome}
    if "deny" in table:
        table = {key: value for key, value in table.items() if key not in _ACKNOWLEDGEMENTS}
    return table


_OF_RECORDS: Final = frozenset({"sender", "event_account", "source"})
_ACKNOWLEDGEMENTS: Final = ("accept_risk", "session_set_by", "client_cert_issued_by")
"""Keys that a deny rule has not: it allows nothing."""


def _same_anchor(table: Table) -> tuple[Any, ...]:
    """A key that is equal for two rules that may not be in one map. The path of a role or user is ignored."""
    anchor = next(key for key in ("role", "user", "root", "federated_user", *_UNNAMED) if key in table)
    text = table[anchor]
    spelled = text if anchor in _UNNAMED else (*text.split("/")[0].split(":"), text.split("/")[-1])
    return anchor, str(spelled).lower(), table.get("session"), table.get("bus_source"), "deny" in table


_UNNAMED: Final = (
    *("account", "sso", "client_cert", "sender", "event_account", "anyone", "source", "jwt", "api", "vpc"),
)


def _principal_for(rule: Table) -> str | None:
    if "sso" in rule:
        partition, _, account = rule["sso"]["account"].rpartition(":")
        name = f"AWSReservedSSO_{rule['sso']['permission_set']}_0123456789abcdef"
        return f"arn:{partition or 'aws'}:iam::{account}:role/{name}"
    if "account" in rule:
        partition, _, account = rule["account"].rpartition(":")
        return f"arn:{partition or 'aws'}:iam::{account}:role/any"
    if "role" in rule and "session" in rule:
        return f"{rule['role'].replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{rule['session']}"
    if "role" in rule:
        return str(rule["role"]).replace("*", "x")
    return rule.get("user") or rule.get("root") or rule.get("federated_user")


def _map(
    names: list[str], suspended: int, choices: list[tuple[Any, ...]], header: str, issuer: str | None
) -> WrittenMap:
    rules: dict[tuple[Any, ...], Table] = {}
    for choice in choices:
        table = _rule(choice, names, issuer)
        rules.setdefault(_same_anchor(table), {"id": f"rule-{len(rules)}", **table})
    tenants = {name: number != suspended for number, name in enumerate(names)}
    lines = [] if header == "x-tenant-id" else ["[header]", f"name = {_toml(header)}", ""]
    lines += ["[tenants]", *(f"{_toml(name)} = {_toml({} if tenants[name] else _SUSPENDED)}" for name in names)]
    if any(_OF_RECORDS & set(rule) for rule in rules.values()):
        for arn in (QUEUE, BUS):
            lines += ["", "[[event_source]]", *_lines({"arn": arn, "function": "orders"})]
    if issuer is not None:
        lines += ["", f"[jwt.{issuer}]", *_lines(_ISSUER)]
    for rule in rules.values():
        lines += ["", "[[rule]]", *_lines(rule)]
    return WrittenMap("\n".join(lines) + "\n", tenants, tuple(rules.values()), lower(header))


_SUSPENDED: Final = {"status": "suspended"}
_ISSUER: Final[Table] = {
    "issuer": "https://corp.invalid",
    "audience": ["orders"],
    "jwks_url": "https://corp.invalid/keys",
    "header": "x-id-token",
}


def _lines(table: Table) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in table.items()]


def _toml(value: Any) -> str:
    """A value in TOML, on one line. All strings here are ASCII, and for those JSON's strings are TOML's."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


_MAPS: Final[SearchStrategy[WrittenMap]] = st.builds(
    _map,
    st.lists(st.sampled_from(["blue", "green", "old", "Blue"]) | TENANT_IDS, min_size=1, max_size=5, unique=True),
    st.integers(0, 9),
    _RULES,
    st.sampled_from(_HEADERS),
    st.sampled_from([None, "corp"]),
)
