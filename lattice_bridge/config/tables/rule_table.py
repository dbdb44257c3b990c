"""One `[[rule]]` as it is written: its keys, and what an anchor among them consists of.

Rule: the descriptions of the keys are their documentation, also in the JSON Schema. What is wrong with a rule is found
elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import Field

from lattice_bridge.config.tables.table import OwnNames, Table
from lattice_bridge.errors import Fault
from lattice_bridge.tenancy.anchors import Key
from lattice_bridge.tenancy.rules import ConditionKind

SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")


class SsoTable(Table):
    """`sso = { account = "…", permission_set = "…" }`: a role of IAM Identity Center."""

    account: str = Field(description="Twelve digits, in quotes.")
    permission_set: str = Field(description="Its name, as in Support.")


class SenderTable(Table):
    """`sender = { role_id = "…" }` or `{ user_id = "…" }`: the sender of a record, as the queue authenticated it."""

    example: ClassVar = '{ role_id = "AROA…" }'

    role_id: str | None = Field(default=None, description="A role's unique id, AROA…: neither its name nor its ARN.")
    user_id: str | None = Field(default=None, description="A user's unique id, AIDA…: neither its name nor its ARN.")
    session: str | None = Field(default=None, description="This session of the role.")


class RuleTable(Table):
    """The keys of a `[[rule]]`."""

    id: str = Field(min_length=1, max_length=128, description="Its name in logs and explanations.")
    # anchors, one a rule (session goes with role; a condition is an anchor if there is no other)
    role: str | None = Field(
        default=None,
        description="Sessions of this role, written as IAM writes it; * at the end, after one of - _ . @ = + ,",
    )
    session: str | None = Field(default=None, description="This session of the role.")
    user: str | None = Field(default=None, description="This IAM user.")
    sso: SsoTable | None = Field(
        default=None, description="The role that IAM Identity Center creates for a permission set."
    )
    account: str | None = Field(
        default=None, description="Every role and user of the account: twelve digits, in quotes."
    )
    root: str | None = Field(default=None, description="The root user of an account.")
    federated_user: str | None = Field(default=None, description="This federated user.")
    jwt: str | None = Field(
        default=None, description="Callers with a token of this issuer; beside another anchor, a condition."
    )
    client_cert: str | None = Field(
        default=None, description="Callers with a certificate of this subject, which API Gateway verified."
    )
    sender: SenderTable | None = Field(
        default=None, description="Records of this sender, by its unique id in IAM, as the queue authenticated it."
    )
    event_account: str | None = Field(
        default=None,
        description="Events of an event bus that were published in this account: twelve digits, in quotes.",
    )
    anyone: bool = Field(default=False, description="Callers without any credential.")
    # parts of event_account, and of source if it is an event bus
    bus_source: str | None = Field(default=None, description="Of these events, those whose source is this.")
    detail_type: str | None = Field(default=None, description="Of these events, those whose detail-type is this.")
    # further conditions
    vpc: str | list[str] | None = Field(
        default=None, description="Condition: the VPC that the request came from. Alone, an anchor."
    )
    org: str | list[str] | None = Field(default=None, description="Condition: the caller's organisation.")
    service: str | list[str] | None = Field(default=None, description="Condition: the Lattice service.")
    network: str | list[str] | None = Field(default=None, description="Condition: the Lattice service network.")
    api: str | list[str] | None = Field(
        default=None,
        description="Condition: the API that the request came through. Alone, an anchor: callers that its authorizer "
        "verified.",
    )
    source: str | list[str] | None = Field(
        default=None,
        description="Condition: the event source that the record came from, by its arn. Alone, an anchor: every record "
        "of it.",
    )
    # outcomes, one a rule
    tenant: str | None = Field(default=None, description="The tenant.")
    tenants: list[str] | str | None = Field(
        default=None, description='The header chooses one of these; "*" is every registered tenant.'
    )
    tenant_from: Literal["session", "x509_san_uri", "claim", "authorizer"] | None = Field(
        default=None, description="The evidence that contains the tenant's name."
    )
    template: str | None = Field(default=None, description="The position of the name in it, as in t-{tenant}.")
    claim: list[str] | None = Field(default=None, description="The path to a claim, one element a level.")
    claim_is_list: bool = Field(
        default=False,
        description="The claim is a list, and the header chooses one of its elements.",
    )
    path: list[str] | None = Field(
        default=None, description="The path to a value that the API's authorizer returned, one element a level."
    )
    deny: bool = Field(
        default=False,
        description="These callers are refused, whatever other rules allow.",
    )
    # acknowledgements
    accept_risk: str | None = Field(
        default=None, description="Why it is right that these callers are not identified further."
    )
    session_set_by: str | None = Field(default=None, description="Who chooses the session's name, if not the caller.")
    x509_set_by: str | None = Field(
        default=None, description="Why the role can only be assumed through IAM Roles Anywhere."
    )
    claim_is_admin_set: str | None = Field(default=None, description="Why users cannot change the claim.")
    authorizer_set_by: str | None = Field(
        default=None, description="What sets the value that the API's authorizer returns, and from which evidence."
    )
    client_cert_issued_by: str | None = Field(
        default=None, description="What ensures that only its holder gets a certificate with this subject."
    )

    def values(self, kind: ConditionKind) -> list[str]:
        """The values of a condition, which may be written as one string; empty if the rule does not have it."""
        value = getattr(self, kind)
        return [value] if isinstance(value, str) else list(value or ())


Acknowledgement = tuple[str, str]
"""The key that a rule needs, and the risk that it acknowledges."""


def _no_fault(_table: RuleTable, _own: OwnNames) -> Iterator[Fault]:
    return iter(())


def _no_warning(_table: RuleTable) -> Iterator[str]:
    return iter(())


def _no_risk(_table: RuleTable) -> Iterator[Acknowledgement]:
    return iter(())


@dataclass(frozen=True, slots=True)
class WrittenAnchor:
    """An anchor as a rule writes it.

    Attributes:
        name: its key in the table.
        key: the key of the rule, see `tenancy.anchors`. For a table without faults.
        faults: everything that is wrong with it, given the names in the map.
        risks: what a rule that allows has to acknowledge.
        warnings: what `check` warns about, of a table without faults.
        is_condition: the key is a further condition if the rule has another anchor.
    """

    name: str
    key: Callable[[RuleTable], Key]
    faults: Callable[[RuleTable, OwnNames], Iterator[Fault]] = _no_fault
    risks: Callable[[RuleTable], Iterator[Acknowledgement]] = _no_risk
    warnings: Callable[[RuleTable], Iterator[str]] = _no_warning
    is_condition: bool = False
