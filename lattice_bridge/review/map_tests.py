"""The map's own tests: runs `[[test]]` tables, and makes the subjects that they and `explain` describe.

Rule: a test calls the same `decide` as a request does, and never a part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lattice_bridge.config.tables.map import MapFile, TestTable
from lattice_bridge.config.words import quoted, shown_key, suggestion
from lattice_bridge.errors import REASONS, Fault
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.identity.token import NO_TOKENS, Tokens
from lattice_bridge.message import X509, Authorizer, Caller
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
    """Makes a subject from the keys of a `[[test]]`, which are also the options of `explain`.

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


def failed_tests(read: MapFile, find: Find | None = None) -> Iterator[Fault]:
    """Runs a map's tests: yields those that fail, and those whose request could not happen.

    Args:
        read: the map.
        find: finds a tenant; None to find it among the map's own.
    """
    issuers = [source.issuer.name for source in read.around.issuers]
    for index, test in enumerate(read.tests):
        where = f"test number {index + 1} ({_described(test)})"
        found = [*_contradictions(test, issuers), *_outcome_faults(test, read.rules, find)]
        yield from (fault.within(where, ("test", index)) for fault in found)


def _outcome_faults(test: TestTable, rules: Rules, find: Find | None) -> Iterator[Fault]:
    try:
        subject = described_subject(**{name: getattr(test, name) for name in _SUBJECT_KEYS})
        actual = described_outcome(decide(subject, rules, find))
    except BadPrincipal as error:
        actual = f"no decision: {error.detail}"
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


_SUBJECT_KEYS = tuple(name for name in TestTable.model_fields if name not in ("expect", "source", "sender", "claim"))


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
