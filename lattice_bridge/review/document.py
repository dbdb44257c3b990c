"""An explanation as a JSON document: of a request, of each record of a batch, and of a caller or a record that is
described. `explain --json` prints it, and the inspector's page draws it.

Rule: every document has all keys. It contains ids, evidence, the tenant that is asked for, rules, and the values that
their conditions compare. No body and no token is in it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from lattice_bridge.bridge import check_service
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tables.source_arns import SERVICES, is_bus, service_in
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.record import BUS, Claim, Record, service_of
from lattice_bridge.formats.recognise import Enabled
from lattice_bridge.identity.token import NO_TOKENS, Tokens
from lattice_bridge.message import BusEvent, Request
from lattice_bridge.review.explain import Explanation, explain, explain_request, in_words, key_in_words
from lattice_bridge.review.map_tests import described_subject
from lattice_bridge.review.near_misses import NOT_KNOWN, NearMiss, NearMisses, alternatives, near_misses, shortened
from lattice_bridge.review.records import RecordExplanation, Sources
from lattice_bridge.review.requests import receive, status_of
from lattice_bridge.review.token_misses import token_misses
from lattice_bridge.router import is_permanent
from lattice_bridge.tenancy.anchors import AWS_SOURCES
from lattice_bridge.tenancy.rules import FACTS, Condition, Find, Rule, Rules
from lattice_bridge.tenancy.subject import Subject, evidence_of

Document = dict[str, Any]

UNKNOWN: Final[Mapping[str, None]] = dict.fromkeys(
    (
        *("caller", "authenticated", "verified_by", "looked_for", "denied_by", "owner", "runner_up", "sources"),
        *("header", "chosen_by", "allowed", "tenant", "reason", "detail", "status"),
        *("near_misses", "near_misses_left_out", "record", "log", "missing"),
    )
)
"""The keys of an explanation as JSON. Each explanation has all of them; what was not read is null."""

UNREAD: Final = dict.fromkeys(
    (
        *("id", "source", "group", "sender", "event_account", "bus_source", "detail_type", "claim", "claim_from"),
        *("function", "service", "pipe"),
        *("outcome", "permanent", "quarantine", "fix"),
    )
)
"""The keys of `record` in an explanation as JSON."""

OF_EVENTS: Final = ("event_account", "bus_source", "detail_type")
OF_RECORDS: Final = ("source", "sender", *OF_EVENTS, "claim")
"""The facts that describe a record: the options of `explain`, without their dashes."""


class Unexplained(Exception):
    """What was given cannot be explained: a fact is missing, or two do not fit together. The message has the form
    `what is wrong. Fix: …`, and its fix names options of `lattice-bridge explain`."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains by one configuration.

    Attributes:
        tenant_map: decides.
        enabled: the events that the configuration accepts.
        sources: the configuration's event sources.
        find: looks up tenants; the map's own if None.
        tokens_of: gives the verified tokens of a request; the map's own if None.
        now: seconds since the epoch of the request, for the times of its tokens; the clock's if None.
        with_conditions: whether each document has `conditions`, beside the members that `explain` prints.
    """

    tenant_map: TenantMap
    enabled: Enabled
    sources: Sources
    find: Find | None = None
    tokens_of: Callable[[Request], Tokens] | None = None
    now: float | None = None
    with_conditions: bool = False

    @property
    def _find(self) -> Find:
        return self.find or self.tenant_map.find

    def _tokens_of(self, request: Request) -> Tokens:
        return self.tokens_of(request) if self.tokens_of else self.tenant_map.tokens_of(request, self.now)

    def of_event(self, event: object) -> Document:
        """The document of a request.

        Args:
            event: of the bridge or of the map as an authorizer.
        """
        request: Request | None = None
        try:
            request = receive(event, self.enabled)
            check_service(request, self.enabled.services)
            tokens = self._tokens_of(request)
        except BridgeError as refusal:  # before any rule was read
            refused = {**_refused(refusal), "status": status_of(refusal, event)}
            if request is None:
                return refused
            known = {**_caller(evidence_of(request, NO_TOKENS)), "header": self._header_in(request)}
            return {**refused, **known, **_near(NearMisses(self._before_rules(request, refusal)))}
        explanation = explain_request(request, self.tenant_map.rules, tokens, self._find)
        document = self._decided(explanation)
        denied = explanation.decision.refusal
        return document if denied is None else {**document, "status": status_of(denied, event)}

    def _before_rules(self, request: Request, refusal: BridgeError) -> tuple[NearMiss, ...]:
        """The near misses of a request for which no rule was read."""
        if refusal.reason == "token_invalid":
            return token_misses(
                request, self.tenant_map.issuers, refusal, time.time() if self.now is None else self.now
            )
        if refusal.reason == "service_not_allowed":
            text, actual = "service is not in [lattice] services", request.service_arn or "absent"
            return (NearMiss("service", text, None, " or ".join(sorted(self.enabled.services)), actual),)
        return ()

    def _header_in(self, request: Request) -> str | None:
        return next((value for name, value in request.headers if name == self.tenant_map.rules.header), None)

    def of_batch(self, event: object) -> list[Document]:
        """The documents of the records of an event; one document if the handler raises before it reads a record."""
        try:
            batch = self.sources.batch_in(event)
        except BridgeError as refusal:
            return [_unread_batch(refusal)]
        return [self._of_record(one) for one in self.sources.explain_batch(batch, self.tenant_map.rules, self._find)]

    def of_record(self, record: Record, *, is_alone: bool, is_begun: bool = True) -> Document:
        """The document of one record of an event.

        Args:
            record: of a batch that `Sources.batch_in` returns.
            is_alone: the event has no other record.
            is_begun: the record is not in the `rest` of the batch.
        """
        rules = self.tenant_map.rules
        return self._of_record(self.sources.explain(record, rules, self._find, is_alone=is_alone, is_begun=is_begun))

    def of_description(self, described: Mapping[str, Any], unknown: frozenset[str] = frozenset()) -> Document:
        """The document of a caller or a record that is described.

        Args:
            described: the options of `explain`, without their dashes; None for those that are not given.
            unknown: the facts that are not known, see `near_misses`.

        Raises:
            Unexplained: a record has no source, or facts of a request.
        """
        of_record = {name: described[name] for name in OF_RECORDS}
        of_request = {name: value for name, value in described.items() if name not in OF_RECORDS}
        if any(of_record.values()):
            return self._of_described_record(of_record, of_request, unknown)
        try:
            subject = described_subject(**of_request)
        except BridgeError as refusal:
            return _refused(refusal)
        return self._decided(explain(subject, self.tenant_map.rules, self._find), unknown)

    def of_rule(self, rule_id: str) -> Document:
        """The members of a document about the rule that has allowed a request, as far as its id is enough for them.
        Empty if the map has no rule with this id that allows."""
        rule = next((one for one in self.tenant_map.rules.owners.values() if one.id == rule_id), None)
        if rule is None:
            return {}
        key = key_in_words(rule.key)
        found: Document = {
            "looked_for": [{"key": key, "rule": rule.id}],
            "sources": [{"key": key, "rule": rule.id, "allows": in_words(rule.outcome)}],
        }
        if self.with_conditions:
            known = {"actual": NOT_KNOWN, "holds": True}
            found["conditions"] = [{**_condition(rule, condition), **known} for condition in rule.conditions]
        return found

    def _of_described_record(
        self, of_record: Mapping[str, Any], of_request: Mapping[str, Any], unknown: frozenset[str]
    ) -> Document:
        source, sources = of_record["source"], self.sources.by_arn
        others = [_flag(name) for name, value in of_request.items() if value]
        if others:
            fix = "write --claim instead" if others == ["--header"] else "leave one of the two out"
            raise Unexplained(f"{others[0]} is for a request, and a record has none. Fix: {fix}")
        if source is None:
            known = f", as in --source {next(iter(sources))}" if sources else ""
            given = next(name for name, value in of_record.items() if value)
            raise Unexplained(f"{_flag(given)} needs the source of the record. Fix: add --source ARN{known}")
        _check_evidence(source, of_record)
        found = sources.get(source)
        if found is not None and found.claim is None and of_record["claim"] is not None:
            raise Unexplained(
                "--claim is never read: the [[event_source]] with this ARN has no claim. Fix: leave it out, or write "
                "claim in the map"
            )
        bus_event = BusEvent(*(of_record[name] or "" for name in OF_EVENTS)) if is_bus(source) else None
        rules, find = self.tenant_map.rules, self._find
        explained = self.sources.describe(
            source, of_record["sender"], of_record["claim"], rules, find, bus_event=bus_event
        )
        return self._of_record(explained, unknown)

    def _of_record(self, explained: RecordExplanation, unknown: frozenset[str] = frozenset()) -> Document:
        document = {**UNKNOWN, "allowed": False, **_near(NearMisses())}
        if explained.explanation is not None:
            document = self._decided(explained.explanation, unknown)
        elif explained.source is None:
            document |= _near(self.sources.near(explained.record.source))
        if (fault := explained.fault) is not None:
            document |= {"allowed": False, "tenant": None, "reason": fault.reason, "detail": fault.detail or None}
        of_requests = dict.fromkeys(("caller", "authenticated", "verified_by", "header", "status"))
        return {**document, **of_requests, "record": _record_part(explained)}

    def _decided(self, explanation: Explanation, unknown: frozenset[str] = frozenset()) -> Document:
        decision = explanation.decision
        keys = {rule: key_in_words(key) for key, rule in explanation.keys}
        return {
            **UNKNOWN,
            **_caller(explanation.subject),
            "looked_for": [{"key": key_in_words(key), "rule": rule} for key, rule in explanation.keys],
            "denied_by": explanation.denied_by,
            "owner": explanation.sources[0][0] if explanation.sources else None,
            "runner_up": explanation.next_rule,
            "sources": [{"key": keys[rule], "rule": rule, "allows": allows} for rule, allows in explanation.sources],
            "header": explanation.header,
            "chosen_by": decision.chosen_by,
            "allowed": decision.allowed,
            "tenant": decision.tenant,
            "reason": decision.reason,
            "detail": decision.refusal.detail if decision.refusal else None,
            "status": decision.status,
            **_near(near_misses(explanation, self.tenant_map.rules, unknown)),
            **(
                {"conditions": list(_conditions(explanation, self.tenant_map.rules, unknown))}
                if self.with_conditions
                else {}
            ),
        }


def _check_evidence(source: str, of_record: Mapping[str, Any]) -> None:
    """Refuses evidence that the records of a source do not have."""
    service = service_in(source)
    for name in ("sender", *OF_EVENTS):
        owner = "sqs" if name == "sender" else BUS
        if of_record[name] is not None and service not in (None, owner):
            what = (
                f"{_flag(name)} is for a record of {SERVICES[owner].source}, and --source is {SERVICES[service].source}"
            )
            raise Unexplained(f"{what}. Fix: leave it out")
    account = of_record["event_account"]
    if account is not None and re.fullmatch("[0-9]{12}", account) is None:
        raise Unexplained(f"--event-account: {quoted(account)} is not an account. Fix: write its 12 digits")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _unread_batch(refusal: BridgeError) -> Document:
    """The document of an event whose records cannot be read: the handler raises."""
    unread = {**UNREAD, "outcome": "raised", "permanent": is_permanent(refusal)}
    return {**_refused(refusal), "status": None, "record": unread}


def _conditions(explanation: Explanation, rules: Rules, unknown: frozenset[str]) -> Iterator[Document]:
    """The conditions of the rules that decided, each with the request's own value. `holds` is None if that is not
    known."""
    subject = explanation.subject
    decided = {explanation.denied_by} if explanation.denied_by else {rule for rule, _ in explanation.sources}
    found = (rules.denial_of(subject), rules.owner_by_caller(subject), *rules.other_owners(subject))
    for rule in dict.fromkeys(one for one in found if one is not None and one.id in decided):
        for condition in rule.conditions:
            facts = FACTS[condition.kind](subject)
            is_unknown = condition.kind in unknown and not facts
            holds = condition.may_hold(subject) if rule.outcome is None else condition.holds(subject)
            yield {
                **_condition(rule, condition),
                "actual": NOT_KNOWN if is_unknown else shortened(facts[0]) if facts else None,
                "holds": None if is_unknown else holds,
            }


def _condition(rule: Rule, condition: Condition) -> Document:
    return {"rule": rule.id, "name": condition.kind, "expected": alternatives(sorted(condition.values))}


def _near(found: NearMisses) -> Document:
    return {"near_misses": [asdict(miss) for miss in found.found], "near_misses_left_out": found.left_out}


def _refused(refusal: BridgeError) -> Document:
    outcome = {"allowed": False, "reason": refusal.reason, "detail": refusal.detail or None, "status": refusal.status}
    return {**UNKNOWN, **outcome}


def _caller(subject: Subject) -> Document:
    caller = subject.caller
    return {
        "caller": caller.principal,
        "authenticated": caller.authenticated,
        "verified_by": list(_verified_by(subject)),
    }


def _verified_by(subject: Subject) -> Iterator[str]:
    """What vouches for the caller beside an IAM signature. Neither claims nor values of an authorizer are shown."""
    yield from (f"a token of {issuer}" for issuer in subject.tokens)
    if subject.authorizer is not None:
        kind = "a token's claims" if subject.authorizer.claims is not None else "a Lambda authorizer's values"
        yield f"the authorizer of the API {subject.api_id} ({kind})"
    if subject.client_cert is not None:
        yield f"the client certificate {subject.client_cert}"


# ---- the part about a record ---------------------------------------------------------------------------------------


def _record_part(explained: RecordExplanation) -> Document:
    """The value of `record` in an explanation as JSON."""
    record, source = explained.record, explained.source
    sender = record.sender
    account, bus_source, detail_type = record.bus_event or (None, None, None)
    return {
        **UNREAD,
        "id": record.name,
        "source": record.source,
        "group": record.group,
        "sender": None if sender is None else ":".join(part for part in sender if part is not None),
        "event_account": account or None,
        "bus_source": bus_source or None,
        "detail_type": detail_type or None,
        "service": record.service or None,
        "pipe": None if source is None else source.pipe,
        "claim": explained.claim,
        "claim_from": None if source is None or source.claim is None else claim_in_words(source.claim),
        "function": None if source is None else source.function,
        "outcome": explained.outcome,
        "permanent": explained.is_permanent,
        "quarantine": None if source is None else source.quarantine,
        "fix": _fix(explained),
    }


def claim_in_words(claim: Claim) -> str:
    """The place that a claim reads.

    >>> claim_in_words(Claim("body", path=("meta", "tenant")))
    'the member meta/tenant of the body'
    """
    path = "/".join(claim.path)
    return {
        "message_group": "the message group",
        "attribute": f"the attribute {claim.name}",
        "body": f"the member {path} of the body",
        "partition_key": "the partition key",
        "key": f"the key {claim.name}",
        "image": f"the attribute {claim.name} of the images",
        "detail": f"the member {path} of the detail",
    }[claim.kind]


# ---- what to write instead ------------------------------------------------------------------------------------------

_SENT: Final = "the sender has to write"
_BESIDE: Final = {"sqs": "sender", BUS: "account"}
"""The service → the evidence that its records have beside their source."""


def _fix(explained: RecordExplanation) -> str | None:
    """What allows a record with this fault, if that is meant; None without a fault, or if nothing in the map does."""
    source, reason = explained.source, explained.fault.reason if explained.fault else None
    if source is None and explained.record.caller == "bus":
        return "write an [[event_source]] with the ARN of the event bus, or delete its rule"
    if source is None and not explained.record.source.startswith("arn:"):
        return "write the source's ARN"
    if source is None:
        return f"write an [[event_source]] with arn = {quoted(explained.record.source)}, or delete its mapping"
    place = claim_in_words(source.claim) if source.claim else ""
    return {
        "no_rule": _rule_for(explained, source),
        "claim_missing": f"{_SENT} the tenant into {place}; or remove claim, if the evidence gives one tenant",
        "claim_unreadable": f"{_SENT} the tenant's id into {place}, as a string",
        "tenant_malformed": f"{_SENT} a tenant's id alone into {place}",
        "tenant_not_allowed": f"add the tenant to the rule; or {_SENT} one of those that it allows",
        "images_differ": f"{_SENT} the same tenant into {place} before and after a change; or read a key instead",
        "aggregated": "write deaggregate = true in the [[event_source]]",
        "ambiguous": f"add claim to the [[event_source]], as in claim = {SERVICES[service_of(source.arn)].claim}",
        "conflict": f"let the rules for the {_BESIDE.get(explained.record.service, 'sender')} and for the source allow "
        "one tenant in common",
        "tenant_suspended": "activate the tenant, then send the copies in the quarantine back to their source",
    }.get(reason or "")


def _rule_for(explained: RecordExplanation, source: EventSource) -> str:
    sender, event = explained.record.sender, explained.record.bus_event
    by_source = f"a [[rule]] with source = {quoted(source.arn)}"
    if event is not None and event.account:
        is_of_aws = event.source.startswith(AWS_SOURCES)
        part = f" and bus_source = {quoted(event.source)}" if is_of_aws else ""
        return f"write a [[rule]] with event_account = {quoted(event.account)}{part}, or {by_source}{part}"
    if sender is None or not sender.id.startswith(("AROA", "AIDA")):
        return f"write {by_source}"
    key = "role_id" if sender.id.startswith("AROA") else "user_id"
    return f"write a [[rule]] with sender = {{ {key} = {quoted(sender.id)} }}, or {by_source}"
