"""The map's own tests: runs `[[test]]` tables, and makes the subjects that they and `explain` describe.

Rule: a test calls the same `decide` as a request does, and never a part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tables.map import MapFile, TestTable
from lattice_bridge.config.tables.record_anchors import unique_id_faults
from lattice_bridge.config.tables.source_arns import SERVICES, is_bus, service_in
from lattice_bridge.config.words import listed, quoted, shown_key, suggestion
from lattice_bridge.errors import REASONS, Fault
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.identity.token import NO_TOKENS, Tokens
from lattice_bridge.message import X509, Authorizer, BusEvent, Caller, Sender
from lattice_bridge.review.records import Sources
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Find, Rules, Tenant
from lattice_bridge.tenancy.subject import Subject


def described_subject(
    *,
    principal: str | None = None,
    session: str | None = None,
    header: str | None = None,
    vpc: str | None = None,
    org: str | None = None,
    service: str | None = None,
    network: str | None = None,
    x509_san_uri: str | None = None,
    claims: Tokens = NO_TOKENS,
    api: str | None = None,
    authorizer: Mapping[str, Any] | None = None,
    client_cert: str | None = None,
) -> Subject:
    """Makes a request's subject from the keys of a `[[test]]`, which are also the options of `explain`.

    Args:
        principal: the ARN that the platform authenticated; None for an unauthenticated caller.
        session: the session's name; the one in the ARN if None.
        header: the tenant that the caller asks for.
        vpc, org, service, network, x509_san_uri: as Lattice's events contain them.
        claims: verified claims by the issuer's name.
        api: the id of the API that the request came through.
        authorizer: what the API's authorizer returned: `{"claims": {…}}`, or the values of a Lambda authorizer.
        client_cert: the subject of the certificate that API Gateway verified.

    Raises:
        BadPrincipal: `principal` is not an ARN of a known shape.
    """
    iam = None if principal is None else parse_arn(principal)
    name, x509 = session or (iam.session if iam else None), X509(san_uri=x509_san_uri) if x509_san_uri else None
    caller = Caller(iam is not None, iam, name, org, vpc, x509)
    answer = Authorizer.of(authorizer) if authorizer else None
    return Subject(caller, claims, header, service, network, authorizer=answer, client_cert=client_cert, api_id=api)


def described_outcome(decision: Decision) -> str:
    """A decision as `expect` writes it: the tenant, or `refused: REASON`."""
    return decision.tenant if decision.tenant is not None else f"refused: {decision.reason}"


def every_tenant(name: str) -> Tenant:
    """Replaces a registry, which is not asked before deployment: every tenant counts as registered and active."""
    return Tenant(name)


def failed_tests(
    read: MapFile, event_sources: Iterable[EventSource] | None, find: Find | None = None
) -> Iterator[Fault]:
    """Runs a map's tests: yields those that fail, and those whose request or record could not happen.

    Args:
        read: the map.
        event_sources: those beside the map; None if they have faults: tests of records are then not run.
        find: finds a tenant; None to find it among the map's own.
    """
    issuers = [source.issuer.name for source in read.around.issuers]
    sources = Sources(event_sources or ())
    for index, test in enumerate(read.tests):
        if event_sources is None and _is_of_record(test):
            continue
        where = f"test number {index + 1} ({_described(test)})"
        wrong = list(_record_contradictions(test, sources) if _is_of_record(test) else _contradictions(test, issuers))
        actual = _outcome(test, sources, read.rules, find)
        found = [*wrong, *_outcome_faults(test, actual, read.rules, find)]
        yield from (fault.within(where, ("test", index)) for fault in found)


def _outcome(test: TestTable, sources: Sources, rules: Rules, find: Find | None) -> str:
    try:
        if test.source is not None:
            found = sources.describe(test.source, _sender(test), test.claim, rules, find, bus_event=_bus_event(test))
            decision = found.explanation.decision if found.explanation else Decision(refusal=found.fault)
        else:
            subject = described_subject(**{name: getattr(test, name) for name in _REQUEST_KEYS})
            decision = decide(subject, rules, find)
    except BadPrincipal as error:
        return f"no decision: {error.detail}"
    return described_outcome(decision)


def _outcome_faults(test: TestTable, actual: str, rules: Rules, find: Find | None) -> Iterator[Fault]:
    if actual != test.expect and not (test.expect == "refused" and actual.startswith("refused: ")):
        hint = _expectation_hint(test.expect, rules, find)
        yield Fault(f"expects {test.expect}, gets {actual}{hint}", ("expect",))


def _expectation_hint(expect: str, rules: Rules, find: Find | None) -> str:
    """Names the tenant or the reason that was probably meant, if `expect` is neither."""
    outcome, mark, reason = expect.partition(": ")
    if mark and outcome == "refused":
        return "" if reason in REASONS else f"; {quoted(reason)} is not a reason{suggestion(reason, REASONS)}"
    if expect == "refused" or find is not None or expect in rules.tenants:
        return ""
    return f"; {quoted(expect)} is not in [tenants]{suggestion(expect, [*rules.tenants, 'refused'])}"


_EVENT_KEYS: Final = ("event_account", "bus_source", "detail_type")
_RECORD_KEYS: Final = ("source", "sender", *_EVENT_KEYS, "claim")
_REQUEST_KEYS: Final = tuple(name for name in TestTable.model_fields if name not in ("expect", *_RECORD_KEYS))


# ---- tests of records -----------------------------------------------------------------------------------------------


def _is_of_record(test: TestTable) -> bool:
    return any(getattr(test, name) is not None for name in _RECORD_KEYS)


def _sender(test: TestTable) -> Sender | None:
    identifier = (test.sender.role_id or test.sender.user_id) if test.sender else None
    return Sender(identifier, test.sender.session) if test.sender and identifier else None


def _bus_event(test: TestTable) -> BusEvent | None:
    """What the test contains of its event. No rule is for what it leaves out."""
    if test.source is None or not is_bus(test.source):
        return None
    return BusEvent(test.event_account or "", test.bus_source or "", test.detail_type or "")


def _record_contradictions(test: TestTable, sources: Sources) -> Iterator[Fault]:
    """Why no such record can arrive."""
    of_requests = [name for name in _REQUEST_KEYS if getattr(test, name) not in (None, {})]
    if of_requests:
        what = f"{of_requests[0]} is for a request, and {_first_of_record(test)} for a record"
        fix = "write claim instead" if of_requests[0] == "header" else "leave one of them out"
        yield Fault(f"{what}. Fix: {fix}", (of_requests[0],), at_key=True)
    yield from _sender_faults(test)
    if test.source is None:
        fix = f'as in source = "{next(iter(sources.by_arn), "arn:aws:sqs:REGION:ACCOUNT:NAME")}"'
        yield Fault(f"{_first_of_record(test)} needs the source that the record came from. Fix: write it, {fix}")
    elif test.source not in sources.by_arn:
        near = next((miss.expected for miss in sources.near(test.source).found), None)
        known = listed(sources.by_arn) if sources.by_arn else "the arn of one"
        hint = f"; did you mean {quoted(near)}?" if near else f". Fix: write {known}"
        yield Fault(f"source {quoted(test.source)} is not the arn of an [[event_source]]{hint}", ("source",))
    else:
        yield from _foreign_facts(test, test.source)
        if test.claim is not None and sources.by_arn[test.source].claim is None:
            what = "claim is never read: the [[event_source]] has no claim"
            yield Fault(f"{what}. Fix: leave it out here, or write claim there", ("claim",), at_key=True)


def _foreign_facts(test: TestTable, source: str) -> Iterator[Fault]:
    """Facts that no record of the source has."""
    for name in ("sender", *_EVENT_KEYS):
        owner = "sqs" if name == "sender" else "events"
        service = service_in(source)
        if getattr(test, name) is not None and service is not None and service != owner:
            what = f"{name} is for a record of {SERVICES[owner].source}, and source is {SERVICES[service].source}"
            yield Fault(f"{what}. Fix: leave it out", (name,), at_key=True)


def _first_of_record(test: TestTable) -> str:
    return next(name for name in _RECORD_KEYS if getattr(test, name) is not None)


def _sender_faults(test: TestTable) -> Iterator[Fault]:
    if test.sender is None:
        return
    given = [name for name in ("role_id", "user_id") if getattr(test.sender, name) is not None]
    if len(given) != 1:
        what = f"sender has {' and '.join(given) or 'neither role_id nor user_id'}"
        yield Fault(f'{what}. Fix: write one of the two, as in sender = {{ role_id = "AROA…" }}', ("sender",))
    for name in given:
        yield from unique_id_faults(name, getattr(test.sender, name))


# ---- tests of requests ----------------------------------------------------------------------------------------------


def _contradictions(test: TestTable, issuers: Collection[str]) -> Iterator[Fault]:
    """Why no such request can happen."""
    if test.principal is None and (test.session or test.org or test.x509_san_uri):
        yield Fault("session, org and x509_san_uri need an authenticated caller. Fix: write its principal")
    own = (test.principal or "").partition(":assumed-role/")[2].partition("/")[2]
    if own and test.session not in (None, own):
        what = f"session {quoted(test.session)} is not the one in the ARN of the principal. Fix: leave session out"
        yield Fault(what, ("session",))
    if test.authorizer and test.api is None:
        yield Fault('authorizer needs the API whose authorizer answers. Fix: write its id, as in api = "a1b2c3d4e5"')
    if test.authorizer and test.principal is not None:
        what = "principal and authorizer: a route of an API has one authorizer, IAM or another"
        yield Fault(f"{what}. Fix: leave one of them out", ("authorizer",), at_key=True)
    for name in test.claims:
        if name not in issuers:
            hint = suggestion(name, issuers) if issuers else f". Fix: add the table [jwt.{shown_key(name)}]"
            what = f"claims: {quoted(name)} is not an issuer of this map{hint}"
            yield Fault(what, ("claims", name), at_key=True)


def _described(test: TestTable) -> str:
    given: dict[str, Any] = test.model_dump(exclude_defaults=True, exclude={"expect"})
    # Claims may be nested to any depth (trap D9): `quoted` shortens them.
    shown = {name: value if isinstance(value, str) else quoted(value) for name, value in given.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "no credential"
