"""`lattice-bridge explain` and `who`: why a request runs as a tenant, and which callers can become one."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.bridge import check_service
from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import read_event
from lattice_bridge.cli.explain_record import UNREAD, claim_fact, evidence_facts, outcome_facts
from lattice_bridge.cli.explain_record import described as of_record
from lattice_bridge.cli.files import GivenMap, base_option, map_option, read_input_text, read_map
from lattice_bridge.config.regular_file import MIB
from lattice_bridge.config.tables.source_arns import SERVICES, is_bus, service_in
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.config.words import listed, nearest, quoted, suggestion
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import BUS
from lattice_bridge.events.sqs import parse_sender
from lattice_bridge.identity.token import NO_TOKENS
from lattice_bridge.message import BusEvent, Request, Sender
from lattice_bridge.review.explain import Explanation, explain_request, key_in_words, ways_to
from lattice_bridge.review.explain import explain as explain_subject
from lattice_bridge.review.log_line import (
    NO_CALLER,
    NOT_LOGGED,
    NOT_LOGGED_OF_RECORDS,
    OF_DECISIONS,
    LoggedCaller,
    LogLine,
    caller_in,
    request_lines,
)
from lattice_bridge.review.map_tests import described_subject
from lattice_bridge.review.near_misses import NOT_KNOWN, NearMiss, NearMisses, near_misses
from lattice_bridge.review.records import RecordExplanation, Sources
from lattice_bridge.review.requests import receive, status_of
from lattice_bridge.review.token_misses import token_misses
from lattice_bridge.router import is_permanent
from lattice_bridge.tenancy.anchors import ANYONE
from lattice_bridge.tenancy.subject import Subject, evidence_of

if TYPE_CHECKING:
    from rich.table import Table


Document = dict[str, Any]

UNKNOWN: Final[Mapping[str, None]] = dict.fromkeys(
    (
        *("caller", "authenticated", "verified_by", "looked_for", "denied_by", "owner", "runner_up", "sources"),
        *("header", "chosen_by", "allowed", "tenant", "reason", "detail", "status"),
        *("near_misses", "near_misses_left_out", "record", "log", "missing"),
    )
)
"""The keys of an explanation as JSON. Each explanation has all of them; what was not read is null."""
_DRAWN: Final = 20
"""Records of an event that are shown on a terminal."""

RECORDS: Final = "records"
"""The key of the explanations of an event with records."""

OF_EVENTS: Final = ("event_account", "bus_source", "detail_type")
OF_RECORDS: Final = ("source", "sender", *OF_EVENTS, "claim")
"""The options that describe a record."""

MAX_LOG_BYTES: Final = 64 * MIB
"""Bytes of a log: some hundred thousand lines."""
_IDS_SHOWN: Final = 5


_EXAMPLES: Final = """\b
Examples:
  lattice-bridge explain event.json
  lattice-bridge explain --header green \\
    --principal arn:aws:sts::111122223333:assumed-role/blue-api/i-0123
  lattice-bridge explain --claims 'corp={"tenant": "blue"}'
  lattice-bridge explain --log bridge.log --request-id 4f0e6a58
  lattice-bridge explain --source arn:aws:sqs:eu-west-1:111122223333:orders \\
    --sender AROAEXAMPLEEXAMPLE123:i-0123 --claim blue
  lattice-bridge explain --claim blue --event-account 111122223333 \\
    --source arn:aws:events:eu-west-1:111122223333:event-bus/shop
"""


@click.command(epilog=_EXAMPLES, short_help="Show why a request runs as a tenant, or is refused.")
@click.argument("event", type=click.Path(path_type=Path), required=False)
@map_option()
@base_option
@click.option("--log", type=click.Path(), metavar="FILE", help="The bridge's log, or - for stdin, instead of an event.")
@click.option(
    "--request-id", metavar="ID", help="The request or message in --log. Default: the only one that was refused."
)
@click.option("--principal", metavar="ARN", help="The caller's IAM ARN, instead of an event.")
@click.option("--session", metavar="NAME", help="The session's name, if the principal does not contain it.")
@click.option("--header", metavar="TENANT", help="The tenant header's value.")
@click.option("--vpc", metavar="ID|ARN", help="The source VPC.")
@click.option("--org", metavar="ID", help="The principal's organisation, o-….")
@click.option("--service", metavar="ARN", help="The Lattice service.")
@click.option("--network", metavar="ARN", help="The service network.")
@click.option("--x509-san-uri", metavar="URI", help="The SPIFFE id in the certificate.")
@click.option("--api", metavar="ID", help="The API that the request came through.")
@click.option("--authorizer", metavar="JSON", help="What the API's authorizer returned; it counts as verified.")
@click.option("--client-cert", metavar="SUBJECT", help="The subject of the certificate that API Gateway verified.")
@click.option(
    "--claims", multiple=True, metavar="ISSUER=JSON", help="The claims of an issuer's token, which counts as verified."
)
@click.option("--source", metavar="ARN", help="The queue, stream, table or event bus that a record came from.")
@click.option("--sender", metavar="ID[:SESSION]", help="The record's SenderId: AROA…:session, or AIDA… of a user.")
@click.option("--event-account", metavar="NUMBER", help="The account in which an event of a bus was published.")
@click.option("--bus-source", metavar="NAME", help="The `source` of an event of a bus.")
@click.option("--detail-type", metavar="NAME", help="The `detail-type` of an event of a bus.")
@click.option("--claim", metavar="TENANT", help="The tenant that the record asks for.")
@show.JSON
def explain(
    event: Path | None,
    map_name: str,
    base: Path | None,
    log: str | None,
    request_id: str | None,
    *,
    as_json: bool,
    claims: tuple[str, ...],
    **described: Any,
) -> None:
    """Explain the decision for the event in EVENT (- for stdin), for a caller or a record described by options, or for
    a request or a record in the bridge's log. With --log, options add what its line does not contain. The output also
    lists near misses: rules that almost fit the request. Of an event with records, each is explained. Exits with 0 if
    all of it is allowed, 1 if something is refused."""
    given = read_map(map_name, base)
    tenant_map = given.load()
    described["claims"] = _claims(claims, given)
    described["authorizer"] = _authorizer(described, has_log=log is not None)
    described["sender"] = _sender(described["sender"])
    if request_id is not None and log is None:
        raise click.UsageError("--request-id needs the log that has the request. Fix: add --log FILE")
    if sum((event is not None, log is not None or any(described.values()))) != 1:
        raise click.UsageError(
            "not exactly one thing to explain. Fix: give an event, or a caller by --principal, --claims or similar "
            "options, or a record by --source, or --log FILE"
        )
    is_batch = False
    if event is not None:
        found = read_event(event)
        is_batch = source_of(found) is not None
        documents = _of_batch(found, tenant_map, given.sources) if is_batch else [_of_event(found, tenant_map, given)]
    elif log is not None:
        documents = [_of_log(_line(log, request_id), described, tenant_map, given.sources)]
    else:
        documents = [_of_description(described, tenant_map, given.sources)]
    _print(documents, tenant_map.rules.header, is_batch=is_batch, as_json=as_json)
    sys.exit(0 if all(one["allowed"] and not _is_another_outcome(one) for one in documents) else 1)


def _print(documents: list[Document], header: str, *, is_batch: bool, as_json: bool) -> None:
    if as_json:
        show.say_json({RECORDS: documents} if is_batch else documents[0])
    elif show.is_terminal():
        _draw(documents, header)
    else:
        for number, document in enumerate(documents):
            if number:
                show.say()
            show.say_document(document)


def _draw(documents: list[Document], header: str) -> None:
    """Draws the explanations, a few of many: an aggregate may have 10,000 records."""
    for number, document in enumerate(documents[:_DRAWN]):
        if number:
            show.draw("")
        show.draw(show.picture(_facts(document, header)))
    if rest := documents[_DRAWN:]:
        refused = sum(not one["allowed"] for one in rest)
        show.draw("", f"and {show.counted(len(rest), 'more record')}, {refused} of them refused: --json lists all")


def _of_description(
    described: Mapping[str, Any], tenant_map: TenantMap, sources: Sources, unknown: frozenset[str] = frozenset()
) -> Document:
    of_record = {name: described[name] for name in OF_RECORDS}
    described = {name: value for name, value in described.items() if name not in OF_RECORDS}
    if any(of_record.values()):
        return _of_described_record(of_record, described, tenant_map, sources, unknown)
    try:
        subject = described_subject(**described)
    except BridgeError as refusal:
        return _refused(refusal)
    return _decided(explain_subject(subject, tenant_map.rules, tenant_map.find), tenant_map, unknown)


def _of_described_record(
    of_record: Mapping[str, Any],
    of_request: Mapping[str, Any],
    tenant_map: TenantMap,
    sources: Sources,
    unknown: frozenset[str],
) -> Document:
    source = of_record["source"]
    others = [f"--{name.replace('_', '-')}" for name, value in of_request.items() if value]
    if others:
        fix = "write --claim instead" if others == ["--header"] else "leave one of the two out"
        raise click.UsageError(f"{others[0]} is for a request, and a record has none. Fix: {fix}")
    if source is None:
        known = f", as in --source {next(iter(sources.by_arn))}" if sources.by_arn else ""
        given = next(name for name, value in of_record.items() if value)
        raise click.UsageError(f"{_flag(given)} needs the source of the record. Fix: add --source ARN{known}")
    _check_evidence(source, of_record)
    found = sources.by_arn.get(source)
    if found is not None and found.claim is None and of_record["claim"] is not None:
        raise click.UsageError(
            "--claim is never read: the [[event_source]] with this ARN has no claim. Fix: leave it out, or write claim "
            "in the map"
        )
    bus_event = BusEvent(*(of_record[name] or "" for name in OF_EVENTS)) if is_bus(source) else None
    explained = sources.describe(
        source, of_record["sender"], of_record["claim"], tenant_map.rules, tenant_map.find, bus_event=bus_event
    )
    return _of_record(explained, tenant_map, sources, unknown)


def _check_evidence(source: str, of_record: Mapping[str, Any]) -> None:
    """Refuses evidence that the records of a source do not have."""
    service = service_in(source)
    for name in ("sender", *OF_EVENTS):
        owner = "sqs" if name == "sender" else BUS
        if of_record[name] is not None and service not in (None, owner):
            what = (
                f"{_flag(name)} is for a record of {SERVICES[owner].source}, and --source is {SERVICES[service].source}"
            )
            raise click.UsageError(f"{what}. Fix: leave it out")
    account = of_record["event_account"]
    if account is not None and re.fullmatch("[0-9]{12}", account) is None:
        raise click.UsageError(f"--event-account: {quoted(account)} is not an account. Fix: write its 12 digits")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _of_batch(event: Any, tenant_map: TenantMap, sources: Sources) -> list[Document]:
    try:
        batch = sources.batch_in(event)
    except BridgeError as refusal:
        unread = {**UNREAD, "outcome": "raised", "permanent": is_permanent(refusal)}
        return [{**_refused(refusal), "status": None, "record": unread}]
    explained = sources.explain_batch(batch, tenant_map.rules, tenant_map.find)
    return [_of_record(one, tenant_map, sources) for one in explained]


def _of_record(
    explained: RecordExplanation, tenant_map: TenantMap, sources: Sources, unknown: frozenset[str] = frozenset()
) -> Document:
    document = {**UNKNOWN, "allowed": False, **_near(NearMisses())}
    if explained.explanation is not None:
        document = _decided(explained.explanation, tenant_map, unknown)
    elif explained.source is None:
        document |= _near(sources.near(explained.record.source))
    if (fault := explained.fault) is not None:
        document |= {"allowed": False, "tenant": None, "reason": fault.reason, "detail": fault.detail or None}
    of_requests = dict.fromkeys(("caller", "authenticated", "verified_by", "header", "status"))
    return {**document, **of_requests, "record": of_record(explained)}


def _of_event(found: Any, tenant_map: TenantMap, given: GivenMap) -> Document:
    enabled = given.enabled
    request: Request | None = None
    try:
        request = receive(found, enabled)
        check_service(request, enabled.services)
        tokens = tenant_map.tokens_of(request)
    except BridgeError as refusal:  # before any rule was read
        refused = {**_refused(refusal), "status": status_of(refusal, found)}
        if request is None:
            return refused
        known = {**_caller(evidence_of(request, NO_TOKENS)), "header": _header_in(request, tenant_map)}
        return {
            **refused,
            **known,
            **_near(NearMisses(_before_rules(request, refusal, tenant_map, enabled.services))),
        }
    explanation = explain_request(request, tenant_map.rules, tokens, tenant_map.find)
    document = _decided(explanation, tenant_map)
    denied = explanation.decision.refusal
    return document if denied is None else {**document, "status": status_of(denied, found)}


def _before_rules(
    request: Request, refusal: BridgeError, tenant_map: TenantMap, services: frozenset[str]
) -> tuple[NearMiss, ...]:
    """The near misses of a request for which no rule was read."""
    if refusal.reason == "token_invalid":
        return token_misses(request, tenant_map.issuers, refusal, time.time())
    if refusal.reason == "service_not_allowed":
        text, actual = "service is not in [lattice] services", request.service_arn or "absent"
        return (NearMiss("service", text, None, " or ".join(sorted(services)), actual),)
    return ()


def _header_in(request: Request, tenant_map: TenantMap) -> str | None:
    return next((value for name, value in request.headers if name == tenant_map.rules.header), None)


def _claims(claims: tuple[str, ...], given: GivenMap) -> dict[str, dict[str, Any]]:
    """The claims by the names of their issuers in the map."""
    issuers = given.document.tables.get("jwt", {})
    found: dict[str, dict[str, Any]] = {}
    for name, _, text in (one.partition("=") for one in claims):
        if name not in issuers:
            hint = suggestion(name, issuers) if issuers else ". Fix: add a table [jwt.NAME] to the map"
            raise click.UsageError(f"--claims: {quoted(name)} is not an issuer of this map{hint}")
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--claims {name}: not JSON: {error}") from error
        if not isinstance(found[name], dict):
            raise click.UsageError(
                f"""--claims {name}: not an object. Fix: write one, as in {name}='{{"sub": "ann"}}'"""
            )
    return found


def _sender(text: str | None) -> Sender | None:
    """The sender that --sender names."""
    if text is None:
        return None
    if (found := parse_sender(text)) is None:
        command = "aws iam get-role --role-name NAME --query Role.RoleId"
        raise click.UsageError(
            f"--sender: {quoted(text)} is not the SenderId of a record. Fix: write the unique id and the session, as "
            f"in AROAEXAMPLEEXAMPLE123:i-0123. `{command}` prints the id of a role; its name or ARN is none"
        )
    return found


def _authorizer(described: Mapping[str, Any], *, has_log: bool) -> dict[str, Any] | None:
    """The authorizer's answer that the options describe. A log line contains the API."""
    text = described["authorizer"]
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--authorizer: not JSON: {error}") from error
    if not isinstance(found, dict):
        example = """--authorizer '{"claims": {"custom:tenant": "blue"}}'"""
        raise click.UsageError(f"--authorizer: not an object. Fix: write one, as in {example}")
    if described["api"] is None and not has_log:
        raise click.UsageError("--authorizer: needs the API whose authorizer answers. Fix: add --api ID")
    return found


# ---- from a log -----------------------------------------------------------------------------------------------------


def _line(log: str, request_id: str | None) -> LogLine:
    """The line of a request in a log."""
    place = "stdin" if log == "-" else log
    lines = list(request_lines(read_input_text(log, MAX_LOG_BYTES)))
    if not lines:
        raise click.UsageError(
            f"{place}: no log line of a request in it. Fix: give the log of the bridge's function, or what "
            '`lattice-bridge local --json-logs` printed: lines with "message": "request" or "record"'
        )
    if request_id is not None:
        found = [line for line in lines if request_id in (line.id, line.text("requestId"))]
        if len({line.id for line in found}) > 1:  # Lambda's id of a batch
            found = [line for line in found if line.is_refused] or found
        if not found:
            raise click.UsageError(f'--request-id "{request_id}": not in {place}, which has {_ids(lines)}')
        return found[-1]
    refused = [line for line in lines if line.is_refused] or lines
    if len({line.id for line in refused}) > 1:
        raise click.UsageError(f"{place}: {len(refused)} requests. Fix: choose one with --request-id: {_ids(refused)}")
    return refused[-1]


def _ids(lines: list[LogLine]) -> str:
    ids = list(dict.fromkeys((line.id or "-")[:64] for line in reversed(lines)))
    more = f", and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"{', '.join(ids[:_IDS_SHOWN])}{more}"


def _of_log(line: LogLine, described: dict[str, Any], tenant_map: TenantMap, sources: Sources) -> Document:
    """Explains a line with what it contains, and what the options add."""
    if line.is_of_record:
        return _of_record_log(line, described, tenant_map, sources)
    logged = _caller_of(line, described, tenant_map)
    has_session = described["principal"] is None and logged.has_session
    described = {
        **described,
        "api": described["api"] or line.text("api"),
        "principal": described["principal"] or logged.principal,
        "claims": {**logged.claims, **described["claims"]},
    }
    missing = _missing(described, logged, has_session=has_session)
    document = _of_description(described, tenant_map, sources, frozenset(missing))
    return {**document, "log": _logged_fields(line, tenant_map), "missing": missing}


def _of_record_log(line: LogLine, described: dict[str, Any], tenant_map: TenantMap, sources: Sources) -> Document:
    """Explains the line of a record. It contains the name of its source, and of a refused one the sender without its
    session, or the account of an event. It contains neither the claim, nor what the publisher says of an event."""
    name = line.text("source") or ""
    arns = [described["source"]] if described["source"] else sources.named(name)
    if len(arns) != 1:
        which = f"{len(arns)} event sources are" if arns else "no event source is"
        fix = f"add --source ARN{f': {listed(arns)}' if arns else ''}"
        raise click.UsageError(f"the line's source is {quoted(name)}, and {which} of this name. Fix: {fix}")
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
    document = _of_description(described, tenant_map, sources, frozenset(missing))
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
    fields = ("requestId", "timestamp", "method", "path", "status", "reason", "detail", "rule", "callerKey", "map")
    known = {name: line.fields.get(name) for name in fields}
    same_map = tenant_map.sha256 is not None and line.text("map") == tenant_map.sha256
    return {**known, "same_map": same_map}


def _caller_of(line: LogLine, described: Mapping[str, Any], tenant_map: TenantMap) -> LoggedCaller:
    """The caller in a line. A line without one is about an unauthenticated caller if the map allows such a caller, or
    if the caller was asked for a credential."""
    key, is_described = line.text("callerKey"), bool(described["principal"] or described["claims"])
    if key is None:
        if not is_described and line.fields.get("status") != 401 and ANYONE not in tenant_map.rules.owners:
            raise click.UsageError(
                "the line has no callerKey: its caller was not known or not refused. Fix: add --principal or --claims"
            )
        return NO_CALLER
    logged = caller_in(key)
    if (logged is None or not logged.is_whole) and not described["principal"]:
        what = "cannot be read" if logged is None else "does not contain the federated user's name"
        raise click.UsageError(f"the line's callerKey {what}. Fix: add --principal with the whole ARN")
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


def _is_another_outcome(document: Document) -> bool:
    """Whether this very map refused the line's request, so that a fact that the line lacks was the reason. With other
    statuses, the refusal came after the decision."""
    log = document["log"]
    if log is None or not log["same_map"]:
        return False
    return log["reason"] in OF_DECISIONS if document["record"] is not None else log["status"] in (400, 401, 403)


# ---- for machines ---------------------------------------------------------------------------------------------------


def _decided(explanation: Explanation, tenant_map: TenantMap, unknown: frozenset[str] = frozenset()) -> Document:
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
        **_near(near_misses(explanation, tenant_map.rules, unknown)),
    }


def _near(found: NearMisses) -> Document:
    return {"near_misses": [asdict(miss) for miss in found.found], "near_misses_left_out": found.left_out}


def _refused(refusal: BridgeError, known: Mapping[str, Any] = UNKNOWN) -> Document:
    outcome = {"allowed": False, "reason": refusal.reason, "detail": refusal.detail or None, "status": refusal.status}
    return {**UNKNOWN, **known, **outcome}


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


# ---- for people -----------------------------------------------------------------------------------------------------


def _facts(document: Document, header: str) -> Iterator[tuple[show.Cell, show.Cell | Table]]:
    if document["log"] is not None:
        yield from _logged(document)
    record, unknown = document["record"], set(document["missing"] or ())
    if record is not None:
        yield from evidence_facts(record, unknown)
    if document["authenticated"] is not None:
        yield "caller", (_called(document), "bold")
    if document["looked_for"]:
        yield "", ""
        yield "keys", show.table(("in this order", "rule", ""), _keys(document))
        yield "", ""
    if document["sources"] and not document["denied_by"]:
        yield "allowed", show.table(("by", "rule", "tenants"), _sources(document))
        yield "", ""
    if document["denied_by"]:
        yield "denied by", (document["denied_by"], "red")
    if record is not None and record["source"] is not None:
        yield "claim", claim_fact(record, unknown)
    if document["authenticated"] is not None:
        is_known = "header" not in unknown
        yield "header", _header(document["header"], header) if is_known else (NOT_KNOWN, "dim")
    yield "outcome", _outcome(document)
    if document["detail"]:
        yield "because", document["detail"]
    if document["near_misses"]:
        yield "", ""
        yield "near misses", show.table(("", "rule", "expected", "actual"), _misses(document))
        yield "", ""
    if record is not None:
        yield from outcome_facts(record)
    else:
        yield "client sees", _seen(document)


def _called(document: Document) -> str:
    verified = " and ".join(document["verified_by"])
    if document["caller"] is None:
        return f"a caller that is verified by {verified}" if verified else "an unauthenticated caller"
    return f"{document['caller']}, and verified by {verified}" if verified else str(document["caller"])


def _logged(document: Document) -> Iterator[tuple[show.Cell, show.Cell]]:
    log = document["log"]
    yield "log line", f"{log['requestId']} {log['timestamp'] or ''}".strip()
    rule = f" by rule {log['rule']}" if log["rule"] else ""
    yield "outcome then", (f"{log['status']} {log['reason']}{rule}", "bold")
    if not log["same_map"]:
        yield "map", ("another one decided then: its sha256 differs", "yellow")
    if document["missing"]:
        options = ", ".join((NOT_LOGGED | NOT_LOGGED_OF_RECORDS)[name] for name in document["missing"])
        yield "not in the line", f"{options}: add those that you know"
    yield "", ""


def _misses(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    for miss in document["near_misses"]:
        yield miss["text"], miss["rule"] or ("-", "dim"), (miss["expected"], "green"), (miss["actual"], "yellow")
    if document["near_misses_left_out"]:
        yield f"and {document['near_misses_left_out']} more rules", "", "", ""


def _keys(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    # Deny rules come first. If one applies, the owner is not read.
    owners = set() if document["denied_by"] else {source["rule"] for source in document["sources"]}
    for entry in document["looked_for"]:
        if entry["rule"] is None:
            yield (entry["key"], "dim"), ("-", "dim"), ""
        elif entry["rule"] in owners:
            yield (entry["key"], "bold"), (entry["rule"], "bold"), ("owner", "bold cyan")
        else:
            yield entry["key"], entry["rule"], ("not used", "yellow")


def _sources(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    for source in document["sources"]:
        kind, _, issuer = source["key"].partition(" ")
        by = {
            "jwt": f"token {issuer}",
            "api": "authorizer",
            "client-cert": "certificate",
            "sender": "sender",
            "event-account": "account",
            "source": "source",
        }.get(kind.removesuffix(","), "caller")
        yield by, source["rule"], source["allows"]


def _header(value: str | None, name: str) -> show.Cell:
    return (f"no {name}", "dim") if value is None else f"{name}: {value}"


def _outcome(document: Document) -> show.Cell:
    if not document["allowed"]:
        return f"refused: {document['reason']}", "bold red"
    if _is_another_outcome(document):
        return (
            f"with this alone it would run as {document['tenant']}: the line lacks the fact that decided",
            "bold yellow",
        )
    chosen_by = document["chosen_by"]
    how = "the only tenant that is allowed" if chosen_by == "rule" else f"chosen by the {chosen_by}"
    return f"runs as {document['tenant']}, {how}", "bold green"


def _seen(document: Document) -> show.Cell:
    if _is_another_outcome(document):
        document = {**document, "allowed": False, "status": document["log"]["status"]}
    return (
        "the backend's answer" if document["allowed"] else f"{document['status']}, with the same body for every reason"
    )


# ---- who ------------------------------------------------------------------------------------------------------------

_STATES: Final = {
    "active": "bold green",
    "suspended": "bold yellow",
    "not registered": "bold red",
    "not known": "bold yellow",
}


@click.command(short_help="List every way to become a tenant.")
@click.argument("tenant")
@map_option()
@base_option
@show.JSON
def who(tenant: str, map_name: str, base: Path | None, *, as_json: bool) -> None:
    """List every rule that can lead to TENANT. Exits with 0 if a rule does, 1 if none does, if the tenant is not
    registered, or if the registry cannot be read."""
    found = read_map(map_name, base).load()
    ways = [
        {"rule": rule.id, "callers": key_in_words(rule.key), "how": how} for rule, how in ways_to(tenant, found.rules)
    ]
    state = _state(tenant, found)
    document = {"tenant": tenant, "state": state, "ways": ways}
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        rows = [(way["rule"], way["callers"], way["how"]) for way in ways]
        show.draw((f"{tenant}: {state}", _STATES[state]), show.table(("rule", "callers", "how"), rows))
    else:
        show.say_document(document)
    sys.exit(0 if ways and state in ("active", "suspended") else 1)


def _state(tenant: str, found: TenantMap) -> str:
    try:
        known = found.find(tenant)
    except BridgeError as error:
        show.say_error(f"error: {error.detail}")
        return "not known"
    if known is None:
        if near := nearest(tenant, found.rules.tenants):
            show.say_error(f"error: tenant {quoted(tenant)} is not registered; did you mean {quoted(near)}?")
        return "not registered"
    return "active" if known.active else "suspended"
