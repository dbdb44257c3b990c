"""Decides whether a map may give a caller a tenant, by checking every rule.

Rule: uses nothing of the package, only the tables and the event's own fields. It allows more than a map does, since it
does not compare how specific rules are; a decision that it does not allow is certainly wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """The caller of an event, or what vouches for a record: its source, and its sender or the account, source and
    detail type of an event. `arn` is None for an unsigned request."""

    arn: str | None = None
    session: str | None = None
    vpc: str | None = None
    uri: str | None = None
    queue: str | None = None
    sender: str | None = None
    event: tuple[str, str, str] | None = None

    @classmethod
    def of_record(cls, record: Table) -> Asking:
        """The sender and the queue of a record that SQS can send. Only a role's id has a session behind it."""
        sender, _, session = str(record["attributes"]["SenderId"]).partition(":")
        return cls(session=session or None, queue=record["eventSourceARN"], sender=sender)

    @classmethod
    def of(cls, event: Table) -> Asking:
        """The caller of an event that Lattice can send."""
        if event.get("version") == "2.0":
            fields = dict(event["requestContext"]["identity"])
            uri = fields.get("x509SanUri")
        else:
            lines = "; ".join(event["headers"].get(f"x-amzn-lattice-{name}", "") for name in ("network", "identity"))
            fields = {key[:1].lower() + key[1:]: value for key, _, value in _parts(lines)}
            uri = None  # a certificate's fields are not read from V1
        signed = fields.get("type") == "AWS_IAM"
        return cls(
            fields["principal"] if signed else None,
            fields.get("sessionName") or None if signed else None,
            fields.get("sourceVpcArn"),
            uri if signed else None,
        )


def _parts(lines: str) -> list[tuple[str, str, str]]:
    return [part.strip().partition("=") for part in lines.split(";")]


def may_be(
    tenant: str, asking: Asking, wanted: str | None, rules: Sequence[Table], tenants: Mapping[str, bool]
) -> bool:
    """Whether a rule for the caller gives the tenant, the tenant is active, the header requests no other, and no rule
    without conditions denies the caller."""
    if tenants.get(tenant) is not True or wanted not in (None, tenant):
        return False
    for_caller = [rule for rule in rules if is_for(rule, asking)]
    if any("deny" in rule and not _conditions(rule) for rule in for_caller):
        return False
    return any("deny" not in rule and gives(rule, tenant, asking, tenants) for rule in for_caller)


def _conditions(rule: Table) -> set[str]:
    if "sender" in rule:
        return {"source"} & set(rule)
    anchored = any(key in rule for key in ("role", "user", "root", "federated_user", "account", "sso", "anyone", "jwt"))
    return {"vpc", "org", "service", "network"} & set(rule) if anchored else {"org", "service", "network"} & set(rule)


def is_for(rule: Table, asking: Asking) -> bool:
    """Whether a rule applies to the caller. No request here has a token, or came through API Gateway."""
    if asking.queue is not None:
        return _is_for_record(rule, asking)
    if not {"sender", "event_account", "source"}.isdisjoint(rule):
        return False
    if not {"jwt", "api", "client_cert"}.isdisjoint(rule):
        return False
    if rule.get("anyone"):
        return asking.arn is None
    named = [key for key in ("role", "user", "root", "federated_user", "account", "sso") if key in rule]
    if not named:
        return asking.vpc is not None and asking.vpc.endswith("/" + rule["vpc"].rpartition("/")[2])
    if asking.arn is None:
        return False
    _, partition, _, _, account, resource = asking.arn.split(":", 5)
    kind, *path = resource.split("/")
    name = (path[0] if kind == "assumed-role" else path[-1] if path else "").lower()
    if "account" in rule:
        return f"{partition}:{account}" == _numbered(rule["account"])
    if "sso" in rule:
        pattern = f"awsreservedsso_{re.escape(rule['sso']['permission_set'].lower())}_[0-9a-f]{{16}}"
        fits = kind == "assumed-role" and re.fullmatch(pattern, name) is not None
        return fits and f"{partition}:{account}" == _numbered(rule["sso"]["account"])
    _, its_partition, _, _, its_account, its_resource = rule[named[0]].split(":", 5)
    if (partition, account) != (its_partition, its_account):
        return False
    its_kind, its_name = its_resource.split("/")[0], its_resource.split("/")[-1].lower()
    if named[0] == "role":
        fits = name.startswith(its_name[:-1]) if its_name.endswith("*") else name == its_name
        return kind == "assumed-role" and fits and rule.get("session", asking.session) == asking.session
    return kind == its_kind and (kind == "root" or name == its_name)


def _is_for_record(rule: Table, asking: Asking) -> bool:
    sender = rule.get("sender")
    if sender is None:
        return _is_for_event(rule, asking)
    if asking.queue not in _listed(rule.get("source", asking.queue)):
        return False
    is_sender = asking.sender in (sender.get("role_id"), sender.get("user_id"))
    return is_sender and sender.get("session", asking.session) == asking.session


def _is_for_event(rule: Table, asking: Asking) -> bool:
    """A rule for a source, or for an account. Events of AWS are allowed by rules that name their source alone."""
    account, source, detail_type = asking.event or ("", "", "")
    if source.startswith("aws.") and "bus_source" not in rule and "deny" not in rule:
        return False
    part = (rule.get("bus_source", source), rule.get("detail_type", detail_type))
    facts = (asking.queue, account)
    wanted = (rule.get("source", asking.queue), rule.get("event_account", account))
    return part == (source, detail_type) and facts == wanted and not {"source", "event_account"}.isdisjoint(rule)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _numbered(account: str) -> str:
    return account if ":" in account else f"aws:{account}"


def gives(rule: Table, tenant: str, asking: Asking, tenants: Mapping[str, bool]) -> bool:
    """Whether a rule that applies to the caller gives the tenant."""
    source = rule.get("tenant_from")
    if source == "session":
        return asking.session == str(rule.get("template", "{tenant}")).replace("{tenant}", tenant)
    if source == "x509_san_uri":
        return asking.uri == str(rule["template"]).replace("{tenant}", tenant)
    if source is not None:
        return False  # a claim, and no request has a token
    listed = [rule["tenant"]] if "tenant" in rule else rule["tenants"]
    return tenant in (tenants if listed == "*" else listed)
