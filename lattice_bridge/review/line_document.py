"""The document of an explanation of a log line: what the line contains, and what options add.

Rule: a fact that the line lacks is named, and never treated as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lattice_bridge.config.tables.source_arns import is_bus, service_in
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.config.words import listed, quoted
from lattice_bridge.events.sqs import parse_sender
from lattice_bridge.message import Sender
from lattice_bridge.review.document import OF_EVENTS, UNKNOWN, UNREAD, Document, Explainer, Unexplained
from lattice_bridge.review.log_line import NO_CALLER, NOT_LOGGED, OF_DECISIONS, LoggedCaller, LogLine, caller_in
from lattice_bridge.review.records import OUTCOMES
from lattice_bridge.tenancy.anchors import ANYONE


def of_line(line: LogLine, described: dict[str, Any], explainer: Explainer) -> Document:
    """Explains a line with what it contains, and what the options add.

    Args:
        line: of a request or a record.
        described: as for `Explainer.of_description`.
        explainer: explains by a map, which may not be the one that decided.

    Raises:
        Unexplained: the line and the options together do not name a caller, or a source.
    """
    if line.is_of_record:
        return _of_record(line, described, explainer)
    tenant_map = explainer.tenant_map
    logged = _caller_of(line, described, tenant_map)
    has_session = described["principal"] is None and logged.has_session
    described = {
        **described,
        "api": described["api"] or line.text("api"),
        "principal": described["principal"] or logged.principal,
        "claims": {**logged.claims, **described["claims"]},
    }
    missing = _missing(described, logged, has_session=has_session)
    document = explainer.of_description(described, frozenset(missing))
    return {**document, "log": _logged_fields(line, tenant_map), "missing": missing}


def of_line_alone(line: LogLine, explainer: Explainer | None = None) -> Document:
    """What a line itself contains of the decision, and, by the map, its rule. It names no caller if it is about a
    request that was allowed.

    Args:
        line: of a request or a record.
        explainer: explains by a map; None without one.
    """
    rule, reason, status = line.text("rule"), line.text("reason"), line.fields.get("status")
    document: Document = {
        **UNKNOWN,
        "caller": line.text("callerKey"),
        "owner": rule,
        "allowed": not line.is_refused,
        "tenant": line.text("tenant"),
        "reason": "allowed" if reason == "ok" else reason,
        "detail": line.text("detail"),
        "status": status if isinstance(status, int) else None,
    }
    if line.is_of_record:
        outcome = OUTCOMES.get(str(status), "reported")
        known = {"id": line.text("id"), "source": line.text("source"), "function": line.text("function")}
        document["record"] = {**UNREAD, **known, "outcome": outcome}
    if explainer is None:
        return {**document, "log": {**_fields(line), "same_map": None}}
    allowing = explainer.of_rule(rule) if rule is not None and document["tenant"] is not None else {}
    return {**document, **allowing, "log": _logged_fields(line, explainer.tenant_map)}


def _of_record(line: LogLine, described: dict[str, Any], explainer: Explainer) -> Document:
    """Explains the line of a record. It contains the name of its source, and of a refused one the sender without its
    session, or the account of an event. It contains neither the claim, nor what the publisher says of an event."""
    name, sources, tenant_map = line.text("source") or "", explainer.sources, explainer.tenant_map
    arns = [described["source"]] if described["source"] else sources.named(name)
    if len(arns) != 1:
        which = f"{len(arns)} event sources are" if arns else "no event source is"
        fix = f"add --source ARN{f': {listed(arns)}' if arns else ''}"
        raise Unexplained(f"the line's source is {quoted(name)}, and {which} of this name. Fix: {fix}")
    described = {**described, "source": arns[0]}
    if is_bus(arns[0]):
        described["event_account"] = described["event_account"] or line.text("callerKey")
    sender = described["sender"] or (None if is_bus(arns[0]) else _logged_sender(line))
    described["sender"] = sender
    source = sources.by_arn.get(arns[0])
    is_unknown = sender is None or _has_rule_for_a_session(sender, tenant_map)
    missing = ["sender"] if is_unknown and service_in(arns[0]) == "sqs" else []
    missing += [name for name in OF_EVENTS if is_bus(arns[0]) and described[name] is None]
    missing += ["record_claim"] if source and source.claim and described["claim"] is None else []
    document = explainer.of_description(described, frozenset(missing))
    document["record"] |= {"id": line.text("id")}
    if "record_claim" in missing and document["reason"] == "claim_missing":  # of this explanation, not of the record
        document["detail"] = "the line does not contain the tenant that the record asks for"
        document["record"] |= {"fix": "add --claim, with what the record asks for"}
    return {**document, "log": _logged_fields(line, tenant_map), "missing": missing}


def _logged_sender(line: LogLine) -> Sender | None:
    return parse_sender(line.text("callerKey") or "")


def _has_rule_for_a_session(sender: Sender, tenant_map: TenantMap) -> bool:
    """Whether the session, which is not known, decides which rule is for the sender."""
    rules = tenant_map.rules
    keys = (*rules.owners, *rules.denials) if sender.session is None else ()
    return any(key[:2] == ("sender-session", sender.id) for key in keys)


def _logged_fields(line: LogLine, tenant_map: TenantMap) -> Document:
    same_map = tenant_map.sha256 is not None and line.text("map") == tenant_map.sha256
    return {**_fields(line), "same_map": same_map}


def _fields(line: LogLine) -> Document:
    names = ("requestId", "timestamp", "method", "path", "status", "reason", "detail", "rule", "callerKey", "map")
    return {name: line.fields.get(name) for name in names}


def _caller_of(line: LogLine, described: Mapping[str, Any], tenant_map: TenantMap) -> LoggedCaller:
    """The caller in a line. A line without one is about an unauthenticated caller if the map allows such a caller, or
    if the caller was asked for a credential."""
    key, is_described = line.text("callerKey"), bool(described["principal"] or described["claims"])
    if key is None:
        if not is_described and line.fields.get("status") != 401 and ANYONE not in tenant_map.rules.owners:
            raise Unexplained(
                "the line has no callerKey: its caller was not known or not refused. Fix: add --principal or --claims"
            )
        return NO_CALLER
    logged = caller_in(key)
    if (logged is None or not logged.is_whole) and not described["principal"]:
        what = "cannot be read" if logged is None else "does not contain the federated user's name"
        raise Unexplained(f"the line's callerKey {what}. Fix: add --principal with the whole ARN")
    return logged or NO_CALLER


def _missing(described: Mapping[str, Any], logged: LoggedCaller, *, has_session: bool) -> list[str]:
    """The facts that neither the line nor an option contains. A caller without a token has no claims."""
    known = {"session"} if has_session or described["principal"] is None else set()
    known |= set() if logged.has_authorizer else {"authorizer"}
    known |= set() if logged.has_certificate else {"client_cert"}
    known |= {name for name in NOT_LOGGED if described.get(name)}
    stated = [claims for claims in described["claims"].values() if claims.keys() - {"sub"}]
    if stated or not described["claims"]:
        known.add("claim")
    return [name for name in NOT_LOGGED if name not in known]


def is_another_outcome(document: Document) -> bool:
    """Whether this very map refused the line's request, so that a fact that the line lacks was the reason. With other
    statuses, the refusal came after the decision."""
    log = document["log"]
    if log is None or not log["same_map"]:
        return False
    return log["reason"] in OF_DECISIONS if document["record"] is not None else log["status"] in (400, 401, 403)
