"""The map's own tests: `[[test]]` tables beside the rules, run by `lattice-bridge check`.

Rule: a test asks the same `decide` as a request does, and never a part of it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lattice_bridge.config.tables.shape import Table
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.message import X509, Caller, Request
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Find, Rules, Tenant

if TYPE_CHECKING:
    from lattice_bridge.review.lint import Finding


class TestTable(Table):
    """One `[[test]]`: who asks, and what is to come of it.

    `expect` is a tenant's id, or `refused`, which may name the reason: `refused: no_rule`. `claims` are what a token of
    an issuer says, by the issuer's name in the map; they count as verified.
    """

    __test__ = False  # not pytest's

    expect: str = Field(min_length=1)
    principal: str | None = None
    session: str | None = None
    header: str | None = None
    vpc: str | None = None
    org: str | None = None
    service: str | None = None
    network: str | None = None
    x509_san_uri: str | None = None
    claims: dict[str, dict[str, Any]] = Field(default_factory=dict)


def request_of(test: TestTable, header: str) -> Request:
    """The request that a test describes.

    Raises:
        BadPrincipal: its principal is none.
    """
    iam = None if test.principal is None else parse_arn(test.principal)
    caller = Caller(
        authenticated=iam is not None,
        iam=iam,
        session_name=test.session or (iam.session if iam else None),
        org_id=test.org,
        source_vpc_arn=test.vpc,
        x509=None if test.x509_san_uri is None else X509(san_uri=test.x509_san_uri),
    )
    headers = () if test.header is None else ((header, test.header),)
    return Request(
        version=2,
        method="GET",
        path="/",
        headers=headers,
        caller=caller,
        service_arn=test.service,
        service_network_arn=test.network,
    )


def outcome_of(decision: Decision) -> str:
    """A decision in the words of `expect`."""
    return decision.tenant if decision.tenant is not None else f"refused: {decision.reason}"


def every_tenant(name: str) -> Tenant:
    """In place of a registry, which a test does not ask: a tenant is taken for registered."""
    return Tenant(name)


def run(tests: list[TestTable], rules: Rules, issuers: Collection[str], find: Find | None = None) -> Iterator[Finding]:
    """What of the map's tests does not hold, or could not happen."""
    from lattice_bridge.review.lint import Finding  # here: review is not deployed, and a map loads without it

    for number, test in enumerate(tests, 1):
        for text in _impossible(test, issuers):
            yield Finding("error", None, f"test number {number} ({_asked(test)}): {text}")
        try:
            found = outcome_of(decide(request_of(test, rules.header), rules, test.claims, find))
        except BadPrincipal as error:
            found = f"no decision: {error.detail}"
        if found != test.expect and not (test.expect == "refused" and found.startswith("refused: ")):
            yield Finding("error", None, f"test number {number} ({_asked(test)}): expects {test.expect}, gets {found}")


def _impossible(test: TestTable, issuers: Collection[str]) -> Iterator[str]:
    """Why no such request ever comes."""
    if test.principal is None and (test.session or test.org or test.x509_san_uri):
        yield "session, org and x509_san_uri are of a caller that Lattice authenticated: give its principal"
    own = (test.principal or "").partition(":assumed-role/")[2].partition("/")[2]
    if own and test.session not in (None, own):
        yield "the session is the one in the principal's ARN"
    for name in test.claims:
        if name not in issuers:
            yield f"{name} is no issuer of this map"


def _asked(test: TestTable) -> str:
    given: dict[str, Any] = test.model_dump(exclude_defaults=True, exclude={"expect"})
    return ", ".join(f"{name} {_shown(value)}" for name, value in given.items()) or "nobody"


def _shown(value: object) -> str:
    """In so many characters; claims may be as deep as somebody likes."""
    return value if isinstance(value, str) else reprlib.repr(value)
