"""What holds for every map and request, also for those that nobody thought of, and what hostile input may raise.

The reference, `expected`, looks at every rule in turn and shares no code with the package.
"""

from __future__ import annotations

import copy
import json
import random
import re
import string
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lattice_bridge import Bridge, BridgeError, Caller, Decision, Request, TenantMap, parse_event
from lattice_bridge.config.backend import Backend
from lattice_bridge.config.compiling import compile_document
from lattice_bridge.config.document import FORMAT, Document, parse_document, sealed
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.issuer import IssuerTable
from lattice_bridge.config.tables.map import ELSEWHERE, TABLES, RegistryTable
from lattice_bridge.config.tables.options import BackendTable, LatticeTable
from lattice_bridge.config.tables.rule import RuleTable
from lattice_bridge.config.tables.test import TestTable
from lattice_bridge.errors import BackendFailed, InvalidMap, Misconfigured, NotFound, TimedOut, TooLarge, Unavailable
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.invoke.call import Call
from lattice_bridge.message import X509
from lattice_bridge.review.check import findings_of
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import Tenant
from tests.support.builders import OPEN, role, tenant_map, v1, v2
from tests.support.examples import examples
from tests.support.token_builder import jwk, key_set, sign
from tests.support.valid import assert_valid

ONE, TWO = "111122223333", "444455556666"
SET_ROLE: Final = "AWSReservedSSO_Set_0123456789abcdef"
ROLES: Final = ("a", "a-b", "a-b-c", SET_ROLE)
SESSIONS: Final = ("blue", "t-blue", "t-green", "old", "s-1")
NAMES: Final = ("blue", "green", "old", "Blue")
VPCS: Final = tuple(f"arn:aws:ec2:eu-west-1:{ONE}:vpc/vpc-0b8276c8{end}" for end in ("4697e7339", "4697e7330"))
ORGS: Final = ("o-a1b2c3d4e5", "o-a1b2c3d4e6")
SERVICES: Final = tuple(f"arn:aws:vpc-lattice:eu-west-1:{ONE}:service/svc-{end}" for end in ("01", "02"))
NETWORKS: Final = tuple(f"arn:aws:vpc-lattice:eu-west-1:{ONE}:servicenetwork/sn-{end}" for end in ("01", "02"))
ISSUERS: Final = ("corp", "lab")
URI: Final = "spiffe://example.org/t/{tenant}/api"

Table = dict[str, Any]
Headers = tuple[tuple[str, str], ...]


# ---- maps and requests ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Map:
    """Rules as they are written, and tenants: active ones are True. Not `closed`: they are in a registry."""

    rules: tuple[Table, ...]
    tenants: Mapping[str, bool]
    closed: bool = True

    @property
    def tables(self) -> Table:
        issuers = {
            name: {"issuer": f"https://{name}.example", "audience": ["x"], "jwks_url": f"https://{name}.example/keys"}
            for name in ISSUERS
        }
        listed = {name: {} if active else {"status": "suspended"} for name, active in self.tenants.items()}
        where: Table = {"tenants": listed} if self.closed else {"registry": {"dynamodb_table": "tenants"}}
        return {"jwt": issuers, "rule": list(self.rules), **where}

    def load(self) -> TenantMap:
        found = TenantMap.from_document(Document(self.tables, ""))
        if not self.closed:
            found.find = self.find
        return found

    def find(self, name: str) -> Tenant | None:
        return Tenant(name, active=self.tenants[name]) if name in self.tenants else None


@dataclass(frozen=True)
class Asked:
    """A request in the words that the reference reads. `who` is an ARN, None if nobody authenticated the caller."""

    who: str | None = None
    session: str | None = None
    org: str | None = None
    vpc: str | None = None
    service: str | None = None
    network: str | None = None
    uri: str | None = None
    tokens: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Headers = ()

    @property
    def request(self) -> Request:
        who = Caller(source_vpc_arn=self.vpc)
        if self.who is not None:
            x509 = None if self.uri is None else X509(san_uri=self.uri)
            who = Caller(True, parse_arn(self.who), self.session, self.org, self.vpc, x509)
        return Request(
            version=2,
            method="GET",
            path="/",
            headers=self.headers,
            caller=who,
            service_arn=self.service,
            service_network_arn=self.network,
        )

    def decide(self, found: TenantMap) -> Decision:
        return decide(self.request, found.rules, self.tokens, found.find)


def anchors(accounts: tuple[str, ...], *, nobody: bool = True) -> st.SearchStrategy[Table]:
    """Whom a rule is for; `nobody` adds those that no account is in."""
    where, name = st.sampled_from(accounts), st.sampled_from(ROLES)
    named = [
        st.builds(lambda a, n: {"role": f"arn:aws:iam::{a}:role/{n}"}, where, name),
        st.builds(lambda a, n: {"role": f"arn:aws:iam::{a}:role/team/{n}"}, where, name),
        st.builds(
            lambda a, n, s: {"role": f"arn:aws:iam::{a}:role/{n}", "session": s}, where, name, st.sampled_from(SESSIONS)
        ),
        st.builds(
            lambda a, p: {"role": f"arn:aws:iam::{a}:role/{p}*"},
            where,
            st.sampled_from(["a-", "a-b-"]),
        ),
        st.builds(lambda a: {"sso": {"account": a, "permission_set": "Set"}}, where),
        st.builds(lambda a: {"account": a}, where),
        st.builds(lambda a: {"user": f"arn:aws:iam::{a}:user/a"}, where),
        st.builds(lambda a: {"root": f"arn:aws:iam::{a}:root"}, where),
        st.builds(lambda a: {"federated_user": f"arn:aws:sts::{a}:federated-user/a"}, where),
    ]
    others = [
        st.builds(lambda v: {"vpc": v}, st.sampled_from([VPCS[0], VPCS[0].rpartition("/")[2]])),
        st.builds(lambda i: {"jwt": i}, st.sampled_from(ISSUERS)),
        st.just({"anyone": True}),
    ]
    return st.one_of(named + (others * 2 if nobody else []))


OUTCOMES: Final[list[Table]] = [
    {"deny": True},
    {"tenants": "*"},
    *({"tenant": name} for name in NAMES),
    {"tenants": ["blue", "green"]},
    {"tenants": ["blue", "old"]},
    {"tenant_from": "session"},
    {"tenant_from": "session", "template": "t-{tenant}"},
    {"tenant_from": "x509_san_uri", "template": URI},
    {"tenant_from": "x509_san_uri", "template": "spiffe://example.org/{tenant}"},
    {"tenant_from": "claim", "claim": ["tenant"]},
    {"tenant_from": "claim", "claim": ["app", "tenant"]},
    {"tenant_from": "claim", "claim": ["tenant"], "template": "t-{tenant}"},
    {"tenant_from": "claim", "claim": ["tenant"], "claim_is_list": True},
    {"tenant_from": "claim", "claim": ["app", "tenant"], "claim_is_list": True, "template": "t-{tenant}"},
]
CONDITIONS: Final[list[Table]] = [
    *([{}] * 12),
    {"vpc": VPCS[0]},
    {"vpc": [VPCS[0].rpartition("/")[2], VPCS[1]]},
    {"org": ORGS[0]},
    {"org": list(ORGS), "service": SERVICES[0]},
    {"service": list(SERVICES)},
    {"network": NETWORKS[0]},
    {"jwt": "corp"},
    {"jwt": "lab", "org": ORGS[0]},
]


def _sensible(anchor: Table, outcome: Table, condition: Table) -> Table:
    """A rule of the three that loads: without what does not go together, and with what it has to acknowledge."""
    exact = "role" in anchor and not anchor["role"].endswith("*")
    fits = {
        "session": "session" not in anchor and ("role" in anchor or "sso" in anchor),
        "x509_san_uri": exact,
        "claim": "anyone" not in anchor,
    }
    if not fits.get(outcome.get("tenant_from", ""), True):
        outcome = {"tenant": "blue"}
    table = {**condition, **anchor, **outcome}
    if "anyone" in anchor:
        table = {key: value for key, value in table.items() if key not in ("org", "jwt")}
    if "deny" in table:
        return {key: value for key, value in table.items() if key != "jwt" or _anchor(table) == "jwt"}
    if table.get("tenant_from") == "claim":
        table.setdefault("jwt", "corp")
    if _anchor(table) in ("anyone", "vpc") or (_anchor(table) == "jwt" and table.get("tenants") == "*"):
        table["accept_risk"] = "a test"
    if "session" in anchor or "federated_user" in anchor or table.get("tenant_from") == "session":
        table["session_set_by"] = "a test"
    if table.get("tenant_from") == "x509_san_uri":
        table["x509_set_by"] = "a test"
    return table


def _anchor(table: Table) -> str:
    names = ("role", "sso", "account", "user", "root", "federated_user", "anyone", "jwt", "vpc")
    return next(name for name in names if name in table)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def _is_rival(table: Table, other: Table) -> bool:
    """Whether no map may have both: two rules that allow, or two denies on equal conditions, for the same callers."""
    if _whom(table) != _whom(other) or ("deny" in table) != ("deny" in other):
        return False
    return "deny" not in table or _all_conditions(table) == _all_conditions(other)


def _whom(table: Table) -> tuple[str | None, ...]:
    """A role's and a user's path is ignored, and of a VPC all but its id."""
    anchor = _anchor(table)
    text = str(table[anchor])
    account = text.split(":")[4] if anchor in ("role", "user", "root", "federated_user") else None
    return anchor, account, text.split("/")[-1], table.get("session")


def _all_conditions(table: Table) -> Table:
    return {kind: sorted(_listed(table[kind])) for kind in _conditions(table)}


def _map(tables: list[Table], more: set[str], suspended: set[str], closed: bool) -> Map:
    kept: list[Table] = []
    for table in tables:
        if not any(_is_rival(table, other) for other in kept):
            kept.append({"id": f"r{len(kept)}", **table})
    used = {name for table in kept if table.get("tenants") != "*" for name in table.get("tenants", [])}
    used |= {table["tenant"] for table in kept if "tenant" in table}
    names = used | more if closed else more
    return Map(tuple(kept), {name: name not in suspended for name in sorted(names)}, closed)


def rules_for(accounts: tuple[str, ...], *, nobody: bool = True) -> st.SearchStrategy[Table]:
    return st.builds(
        _sensible, anchors(accounts, nobody=nobody), st.sampled_from(OUTCOMES), st.sampled_from(CONDITIONS)
    )


def maps_of(rules: st.SearchStrategy[Table], closed: st.SearchStrategy[bool]) -> st.SearchStrategy[Map]:
    names = st.just({*NAMES}) | st.sets(st.sampled_from(NAMES))
    suspended = st.sampled_from([{"old"}, {"old"}, {"old", "blue"}, set[str]()])
    return st.builds(_map, st.lists(rules, min_size=2, max_size=9), names, suspended, closed)


ANYWHERE: Final = (ONE, ONE, ONE, TWO)
mostly = st.sampled_from([True] * 3 + [False])
a_crowd: Final[list[Table]] = [
    {"role": f"arn:aws:iam::{ONE}:role/{SET_ROLE}"},
    {"role": f"arn:aws:iam::{ONE}:role/{SET_ROLE}", "session": "blue"},
    {"sso": {"account": ONE, "permission_set": "Set"}},
    {"account": ONE},
    {"jwt": "corp"},
    {"jwt": "lab"},
    {"vpc": VPCS[0]},
]
crowded = st.builds(_sensible, st.sampled_from(a_crowd), st.sampled_from(OUTCOMES), st.sampled_from(CONDITIONS))
maps = maps_of(rules_for(ANYWHERE), mostly) | maps_of(crowded, mostly)


def _asked(
    who: str | None, session: str | None, org: str | None, uri: str | None, place: tuple[str | None, ...]
) -> Asked:
    """Lattice says nothing of a caller that it did not authenticate but where it is, and only roles have sessions."""
    vpc, service, network = place
    if who is None:
        return Asked(vpc=vpc, service=service, network=network)
    named = who.split("/")[-1] if ":assumed-role/" in who else session if ":role/" in who else None
    return Asked(who, named, org, vpc, service, network, uri)


def arns(places: list[tuple[str, str]]) -> st.SearchStrategy[str]:
    """Principals of accounts, each with its partition."""
    resources = [
        *(f"sts:assumed-role/{name}/{session}" for name in (*ROLES, "A-B") for session in SESSIONS),
        *("iam:role/a", "iam:role/x/a-b", "iam:user/a", "iam:user/x/A", "iam:root", "sts:federated-user/a"),
    ]
    return st.builds(
        lambda place, text: f"arn:{place[0]}:{text.split(':')[0]}::{place[1]}:{text.split(':')[1]}",
        st.sampled_from(places),
        st.sampled_from(resources),
    )


def callers(arn: st.SearchStrategy[str | None]) -> st.SearchStrategy[Asked]:
    uris = [URI.format(tenant=name) for name in ("blue", "green", "old", "..")]
    return st.builds(
        _asked,
        arn,
        st.sampled_from([None, *SESSIONS]),
        st.sampled_from([None, *ORGS]),
        st.sampled_from([None, *uris, "spiffe://example.org/blue", "spiffe://example.org/t/blue/green/api"]),
        st.tuples(*(st.sampled_from([None, *of]) for of in (VPCS, SERVICES, NETWORKS))),
    )


theirs = arns([*[("aws", ONE)] * 6, ("aws", TWO), ("aws-cn", ONE)])
in_the_crowd = st.sampled_from([f"arn:aws:sts::{ONE}:assumed-role/{SET_ROLE}/{name}" for name in SESSIONS])
anybody = callers(st.one_of(theirs, theirs, in_the_crowd, in_the_crowd, st.none()))
claim_values = st.sampled_from(
    [
        *("blue", "blue", "green", "t-blue", "nobody", None, 1, {"tenant": "blue"}),
        *([], ["blue"], ["blue", "green"], ["blue", "nobody"], ["t-blue", "t-x"], ["blue", 1]),
    ]
)
claims = st.builds(lambda one, two: {"tenant": one, "app": {"tenant": two}}, claim_values, claim_values)
token_sets = st.dictionaries(st.sampled_from(ISSUERS), claims, max_size=2)
tenant_headers: st.SearchStrategy[Headers] = st.sampled_from(
    [
        *([()] * 8),
        *((("x-tenant-id", name),) for name in (*NAMES, *NAMES[:2] * 3, "nobody", "blue\n", "blue,green")),
        (("x-tenant-id", "blue"), ("x-tenant-id", "blue")),
        (("x_tenant_id", "blue"),),
        (("authorization", "AWS4-HMAC-SHA256 Credential=x"),),
    ]
)


# ---- the reference ---------------------------------------------------------------------------------------------------

LETTERS: Final = set(string.ascii_letters + string.digits)


def expected(one: Map, asked: Asked) -> str | None:
    """The tenant, by looking at every rule."""
    wanted = [value for name, value in asked.headers if name == "x-tenant-id"]
    if any(name in ("x_tenant_id", "x-tenant_id") for name, _ in asked.headers):
        return None
    if len(wanted) > 1 or not all(map(in_grammar, wanted)):
        return None
    for table in one.rules:
        if "deny" in table and rank(table, asked) is not None and not _is_known_not_to_hold(table, asked):
            return None
    if asked.who is None and any(value.startswith("AWS4-") for name, value in asked.headers if name == "authorization"):
        return None
    owners = _owners(one, asked)
    if not owners or not all(_holds(table, asked) for table in owners):
        return None
    sets = [names for table in owners if (names := _names(table, asked)) is not None]  # None: any of the registered
    if not all(sets):
        return None
    allowed = set.intersection(*sets) if sets else set(one.tenants) if one.closed or wanted else set()
    chosen = wanted[0] if wanted else next(iter(allowed)) if len(allowed) == 1 else None
    return chosen if chosen in allowed and one.tenants.get(chosen) else None


def in_grammar(text: object) -> bool:
    """Lambda's grammar for a tenant id without blanks, and with a letter or digit in front."""
    if not isinstance(text, str) or not 1 <= len(text) <= 256:
        return False
    return set(text) <= LETTERS | set("._:/=+@-") and text[0] in LETTERS


def _owners(one: Map, asked: Asked) -> list[Table]:
    """The most specific rule for whom Lattice names, and the rule for each token. None at all if one is missing."""
    allowing = [table for table in one.rules if "deny" not in table]
    by_token = [table for table in allowing if _anchor(table) == "jwt" and rank(table, asked) is not None]
    fitting: list[tuple[int, int]] = []
    for number, table in enumerate(allowing):
        own_only = asked.who is not None and (":root" in asked.who or ":federated-user/" in asked.who)
        if _anchor(table) == "jwt" or (own_only and _anchor(table) not in ("root", "federated_user")):
            continue
        if (found := rank(table, asked)) is not None:
            fitting.append((found, number))
    if not fitting and asked.who is not None:
        are_for_callers = any(_anchor(table) not in ("jwt", "anyone") for table in allowing)
        return [] if are_for_callers else by_token
    return [*(allowing[number] for _, number in sorted(fitting)[:1]), *by_token]


def rank(table: Table, asked: Asked) -> int | None:
    """How far a rule is from naming whoever asks: the smaller the more specific. None if it is not for them."""
    anchor = _anchor(table)
    if anchor == "jwt":
        return 0 if table["jwt"] in asked.tokens else None
    if anchor == "anyone":
        return None if asked.who is not None or asked.tokens else 900
    if anchor == "vpc":
        return 800 if asked.vpc is not None and asked.vpc.split("/")[-1] == table["vpc"].split("/")[-1] else None
    if asked.who is None:
        return None
    _, partition, _, _, account, resource = asked.who.split(":")
    kind, *path = resource.split("/")
    name = (path[0] if kind == "assumed-role" else path[-1] if path else "").lower()
    if anchor == "account":
        return 700 if (partition, account) == ("aws", table["account"]) else None
    if anchor == "sso":
        fits = re.fullmatch("awsreservedsso_set_[0-9a-f]{16}", name) and kind in ("role", "assumed-role")
        return 3 if fits and (partition, account) == ("aws", table["sso"]["account"]) else None
    _, _, _, _, account_, resource_ = table[anchor].split(":")
    if (partition, account) != ("aws", account_):
        return None
    if anchor != "role":
        return 1 if kind == resource_.split("/")[0] and name == resource_.split("/")[-1].partition("root")[0] else None
    pattern = resource_.split("/")[-1]
    if kind not in ("role", "assumed-role"):
        return None
    if pattern.endswith("*"):
        return 600 - len(pattern) if name.startswith(pattern[:-1].lower()) else None
    if name != pattern.lower() or table.get("session", asked.session) != asked.session:
        return None
    return 1 if "session" in table else 2


def _seen(kind: str, asked: Asked) -> list[str]:
    if kind == "vpc":
        return [] if asked.vpc is None else [asked.vpc, asked.vpc.split("/")[-1]]
    if kind == "jwt":
        return list(asked.tokens)
    value = {"org": asked.org, "service": asked.service, "network": asked.network}[kind]
    return [] if value is None else [value]


def _conditions(table: Table) -> Iterator[str]:
    return (kind for kind in ("vpc", "org", "service", "network", "jwt") if kind in table and kind != _anchor(table))


def _holds(table: Table, asked: Asked) -> bool:
    return all(set(_seen(kind, asked)) & set(_listed(table[kind])) for kind in _conditions(table))


def _is_known_not_to_hold(table: Table, asked: Asked) -> bool:
    return any(
        _seen(kind, asked) and not set(_seen(kind, asked)) & set(_listed(table[kind])) for kind in _conditions(table)
    )


def _names(table: Table, asked: Asked) -> set[str] | None:
    """The tenants that a rule allows. None: any that is registered."""
    if "tenant_from" not in table:
        return None if table.get("tenants") == "*" else set(table.get("tenants", [table.get("tenant")]))
    source = table["tenant_from"]
    value: Any = (
        asked.session if source == "session" else asked.uri if source == "x509_san_uri" else _claim(table, asked)
    )
    if not table.get("claim_is_list"):
        value = [value]
    if not isinstance(value, list):
        return set()
    names = [_read(table.get("template", "{tenant}"), text, source == "x509_san_uri") for text in value]
    return {name for name in names if name is not None} if all(map(in_grammar, names)) else set()


def _claim(table: Table, asked: Asked) -> Any:
    value: Any = asked.tokens.get(table["jwt"])
    for element in table["claim"]:
        value = value.get(element) if isinstance(value, dict) else None
    return value


def _read(template: str, text: Any, spiffe: bool) -> str | None:
    if not isinstance(text, str):
        return None
    if not spiffe:
        before, after = map(re.escape, template.split("{tenant}"))
        found = re.fullmatch(f"{before}(.+){after}", text, re.DOTALL)
        return found[1] if found else None
    segments, pattern = text.split("/"), template.split("/")
    place = pattern.index("{tenant}")
    if len(segments) != len(pattern) or [*segments[:place], *segments[place + 1 :]] != [
        p for p in pattern if "{" not in p
    ]:
        return None
    name = segments[place]
    return name if name not in (".", "..") and set(name) <= LETTERS | set("._-") and len(text) <= 2048 else None


# ---- decisions ------------------------------------------------------------------------------------------------------

several = partial(st.lists, min_size=3, max_size=3)


def crossed(who: list[Asked], tokens: list[Table], headers: list[Headers]) -> list[Asked]:
    return [replace(one, tokens=some, headers=lines) for one in who for some in tokens for lines in headers]


@settings(max_examples=examples(150), deadline=None)
@given(maps, st.lists(anybody, min_size=4, max_size=4), several(token_sets), several(tenant_headers), st.randoms())
def test_a_decision_is_the_one_that_looking_at_every_rule_would_give(
    one: Map, who: list[Asked], tokens: list[Table], headers: list[Headers], dice: random.Random
) -> None:
    """21,600 pairs of a map and a request. Neither the order of rules changes one, nor compiling the map."""
    found = one.load()
    shuffled = replace(one, rules=tuple(dice.sample(one.rules, len(one.rules)))).load()
    compiled = TenantMap.from_document(parse_document(compile_document(Document(one.tables, ""), Path())))
    compiled.find = found.find if not one.closed else compiled.find
    for asked in crossed(who, tokens, headers):
        decision = asked.decide(found)
        assert decision.tenant == expected(one, asked)
        assert decision.allowed == (decision.tenant is not None)
        for other in (asked.decide(shuffled), asked.decide(compiled)):
            assert (other.tenant, other.rule, other.reason) == (decision.tenant, decision.rule, decision.reason)


denies = st.builds(
    _sensible, anchors(ANYWHERE) | st.sampled_from(a_crowd), st.just({"deny": True}), st.sampled_from(CONDITIONS)
)


@settings(max_examples=examples(150), deadline=None)
@given(maps, denies, several(anybody), several(token_sets), several(tenant_headers))
def test_adding_a_deny_never_allows_anything(
    one: Map, deny: Table, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    """Nor for another reason: who is still let in is let in by the same rule."""
    before, requests = one.load(), crossed(who, tokens, headers)
    for extra in (deny, *(_shut(table, deny) for table in one.rules)):
        if any(_is_rival(extra, table) for table in one.rules):
            continue
        after = replace(one, rules=(*one.rules, {"id": "extra", **extra})).load()
        for asked in requests:
            now = asked.decide(after)
            if now.allowed:
                then = asked.decide(before)
                assert (now.tenant, now.rule) == (then.tenant, then.rule)


def _shut(table: Table, deny: Table) -> Table:
    """A deny for the callers of a rule, on another's conditions."""
    anchor = {key: table[key] for key in (_anchor(table), "session") if key in table}
    return _sensible(anchor, {"deny": True}, {kind: deny[kind] for kind in _conditions(deny)})


elsewhere = arns([("aws", TWO), ("aws", "111122223334"), ("aws", "011112222333"), ("aws-cn", ONE), ("aws-us-gov", ONE)])
maps_of_one = maps_of(rules_for((ONE,), nobody=False), mostly)


@settings(max_examples=examples(150), deadline=None)
@given(maps_of_one, several(callers(elsewhere)), several(token_sets), several(tenant_headers))
def test_a_caller_of_another_account_is_never_let_in_by_a_rule_of_this_one(
    one: Map, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    """Trap B4, for whatever name, session, certificate, VPC, organisation, token and header; through both versions."""
    found = one.load()
    for asked in crossed(who, tokens, headers):
        assert not asked.decide(found).allowed
    for asked in who:
        for event in (as_v2(asked), as_v1(asked)):
            request = parse_event(event)
            assert request.caller.authenticated
            assert found.decide(request).reason in ("no_rule", "denied")


def _identity(asked: Asked) -> dict[str, str]:
    found = {"principal": asked.who, "sessionName": asked.session, "principalOrgID": asked.org}
    found |= {"sourceVpcArn": asked.vpc, "x509SanUri": asked.uri}
    return {name: value for name, value in found.items() if value is not None}


def as_v2(asked: Asked) -> Table:
    context = {"serviceArn": asked.service or SERVICES[0], "identity": {"type": "AWS_IAM", **_identity(asked)}}
    return v2(requestContext=context)


def as_v1(asked: Asked) -> Table:
    """The VPC in a header of its own; last a certificate's fields, which only sessions have."""
    found = _identity(asked)
    vpc, uri = found.pop("sourceVpcArn", ""), found.pop("x509SanUri", None)
    fields = [*(f"{name}={value}" for name, value in found.items()), "Type=AWS_IAM"]
    if uri is not None and ":assumed-role/" in str(asked.who):
        fields.append(f"X509SAN/URI={uri}")
    network = f"SourceVpcArn={vpc}"
    return v1(headers={"x-amzn-lattice-network": network, "x-amzn-lattice-identity": "; ".join(fields)})


# ---- hostile texts --------------------------------------------------------------------------------------------------

SHAPES: Final = (
    *(
        "{}",
        " {}",
        "{} ",
        "{}\n",
        "{}\r\n",
        "\t{}",
        "{}\0",
        "\0{}",
        "{}\0x",
        "{}\u200b",
        "\ufeff{}",
        "{}\u0301",
        "{}\ud800",
    ),
    *("{}/../green", "../{}", "{}/", "/{}", "./{}", "{}%00", "%62{}", "{},green", "{};green", "-{}", "{}=", "{{{}}}"),
    *("t-{}", "t-t-{}", "T-{}", "t-{}\n", "t- {}", "t-{{tenant}}", "x{}x", '"{}"', '["{}"]'),
    *("spiffe://example.org/t/{}/api", "spiffe://example.org/t/{}/api\n", "spiffe://example.org/t/{}/../green/api"),
    *("spiffe://example.org/t/{}%2fgreen/api", "spiffe://Example.org/t/{}/api", "spiffe://example.org//t/{}/api"),
    *("spiffe://example.org/t/{}/green/api", "spiffe://example.org/t/{}/api?x", "SPIFFE://example.org/t/{}/api"),
    *("spiffe://example.org/{}", "spiffe://example.org/t/{}/api/", "spiffe://example.org/t/.{}/api"),
)
LOOK_ALIKES: Final = (
    *(
        "ｂｌｕｅ",
        "bl\u03c5e",
        "b\u0131ue",
        "BLUE",
        "gr\u0435en",
        "blue" * 64,
        "b" * 256,
        "b" * 257,
        "b" * 100_000,
        "",
        " ",
        ".",
    ),
    *(
        "..",
        "t-",
        "t-..",
        "*",
        "{tenant}",
        "spiffe://example.org/t//api",
        "spiffe://example.org/t/../api",
        "null",
        "None",
    ),
)
hostile = (
    st.sampled_from([shape.format(name) for shape in SHAPES for name in (*NAMES, "nobody")])
    | st.sampled_from(LOOK_ALIKES)
    | st.text(st.characters(codec=None), max_size=20)
)
json_values = st.recursive(
    hostile | st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tenant", "app", "", "0"]) | hostile, inner, max_size=3)
    ),
    max_leaves=6,
)
hostile_claims = st.fixed_dictionaries({}, optional={"tenant": json_values, "app": json_values}) | st.builds(
    lambda value: {"app": {"tenant": value}, "tenant": value}, json_values | st.lists(hostile, max_size=3)
)
hostile_tokens = st.dictionaries(st.sampled_from(ISSUERS), hostile_claims, max_size=2)
hostile_headers = st.just(()) | st.builds(
    lambda name, value: ((name, value),),
    st.sampled_from(["x-tenant-id"] * 4 + ["x-tenant_id", "authorization"]),
    hostile,
)
TAKING: Final = [outcome for outcome in OUTCOMES if "tenant_from" in outcome or outcome.get("tenants") == "*"]
taking = st.builds(
    _sensible,
    st.sampled_from([{"role": f"arn:aws:iam::{ONE}:role/a"}, {"jwt": "corp"}, {"jwt": "lab"}, {"anyone": True}]),
    st.sampled_from(TAKING),
    st.just({}),
)
hostile_callers = st.builds(
    lambda who, session, uri: Asked(who, session, uri=uri) if who else Asked(),
    st.sampled_from([role("a")] * 3 + [None]),
    hostile | st.none(),
    hostile | st.none(),
)


def carriers(text: str, other: str) -> Iterator[Asked]:
    """Requests in which a text stands wherever a tenant's name could be read."""
    yield Asked(role("a"), text, uri=text)
    yield Asked(role("a"), other, uri=URI.format(tenant=other), headers=(("x-tenant-id", text),))
    for value in (text, [text], [text, other], [text, f"t-{other}"], [text, 7], {"tenant": text}, [[text]]):
        yield Asked(tokens={"corp": {"tenant": value, "app": {"tenant": value}}})


NO_TEXTS: Final[tuple[Any, ...]] = (None, 7, 7.0, True, 10**400, float("nan"), [7], [None], [], {}, ["blue", None])


@settings(max_examples=150, deadline=None)
@given(
    maps_of(taking, st.just(True)),
    st.sampled_from(["blue", "old", "b:1"]),
    st.lists(hostile, max_size=5),
    several(json_values),
)
def test_an_allowed_tenant_is_registered_active_and_the_registrys_own_string(
    some: Map, name: str, texts: list[str], values: list[Any]
) -> None:
    """Whatever stands in a session's name, a certificate, a claim or the header; and no other than it names."""
    one = replace(some, tenants={**some.tenants, "b:1": True, "7": True, "True": True, "None": True})
    found = one.load()
    own = {id(tenant.id) for tenant in found.rules.tenants.values()}
    asked = [
        one_of
        for text in (*(shape.format(name) for shape in SHAPES), *LOOK_ALIKES, *texts)
        for one_of in carriers("".join([*text]), name)
    ]
    asked += [Asked(tokens={"corp": {"tenant": value, "app": {"tenant": value}}}) for value in (*NO_TEXTS, *values)]
    for request in asked:
        decision = request.decide(found)
        assert decision.tenant == expected(one, request)
        if decision.allowed:
            assert in_grammar(decision.tenant)
            assert one.tenants[str(decision.tenant)]
            assert id(decision.tenant) in own


def _unreachable(name: str) -> Tenant | None:
    raise Unavailable("registry_unavailable", "a test")


REGISTRIES: Final[dict[str, Callable[[str], Tenant | None]]] = {
    "knows everybody": lambda name: Tenant("".join([*name])),
    "knows nobody": lambda name: None,
    "has suspended everybody": lambda name: Tenant(name, active=False),
    "answers for another": lambda name: Tenant("green"),
    "folds": lambda name: Tenant(name.strip().lower()),
    "is out of reach": _unreachable,
}


@settings(max_examples=examples(150), deadline=None)
@given(
    maps_of(taking, st.just(False)),
    st.sampled_from([*REGISTRIES]),
    several(hostile_callers),
    several(hostile_tokens),
    several(hostile_headers),
)
def test_a_registry_is_believed_for_the_name_that_was_asked_and_no_other(
    one: Map, kind: str, who: list[Asked], tokens: list[Table], headers: list[Headers]
) -> None:
    found = one.load()
    answers: list[tuple[str, Tenant | None]] = []

    def find(name: str) -> Tenant | None:
        answers.append((name, None))
        answers[-1] = (name, REGISTRIES[kind](name))
        return answers[-1][1]

    found.find = find
    for asked in crossed(who, tokens, headers):
        answers.clear()
        decision = asked.decide(found) if asked.tokens else found.decide(asked.request)
        assert len(answers) <= 1
        if decision.allowed:
            [(name, tenant)] = answers
            assert tenant is not None
            assert decision.tenant is tenant.id
            assert (tenant.id, tenant.active, in_grammar(name)) == (name, True, True)
        elif answers and kind in ("knows everybody", "is out of reach"):
            assert (decision.status, kind) == (503, "is out of reach")


# ---- input of any kind -----------------------------------------------------------------------------------------------

EVENT_KEYS: Final = (
    *("version", "path", "method", "headers", "body", "isBase64Encoded", "requestContext", "queryStringParameters"),
    *("raw_path", "query_string_parameters", "is_base64_encoded", "request_id", "requestId", "serviceArn", "identity"),
    *("type", "principal", "sessionName", "sourceVpcArn", "x509SanUri", "X509SAN/URI", "x-tenant-id", "X-Tenant-Id"),
    *("x-id-token", "x-lattice-bridge-hops", "connection", "x-amzn-lattice-identity", "authorization", "cookies"),
)


def walk(node: Any, dice: random.Random) -> Iterator[tuple[Any, Any]]:
    """Places in a JSON value, each with what holds it: from the outside in, by chance."""
    while isinstance(node, dict | list) and node:
        key = dice.choice([*node] if isinstance(node, dict) else range(len(node)))
        yield node, key
        node = node[key]


def _broken(event: Table, values: list[Any], dice: random.Random) -> Table:
    """An event with a part replaced by each of the values, or left out, or with something added."""
    event = copy.deepcopy(event)
    for value in values:
        places = [*walk(event, dice)]
        if not places:
            break
        node, key = dice.choice(places)
        if isinstance(node, dict) and dice.random() < 0.3:
            key = dice.choice(EVENT_KEYS)
        if isinstance(node, dict) and dice.random() < 0.1:
            node.pop(key, None)
        else:
            node[key] = copy.deepcopy(value)
    return event


def _tokens() -> Iterator[str]:
    now = int(time.time())
    good = {"iss": "https://corp.example", "aud": "x", "iat": now, "exp": now + 600, "tenant": "blue"}
    changes: list[Table] = [{}, {"tenant": None}, {"exp": 1}, {"exp": 1e400}, {"aud": [1]}, {"iss": {}}, {"nbf": "x"}]
    return (sign({**good, **change}) for change in changes)


def whole_events() -> list[Table]:
    lines: list[Table] = [{}, *({"x-tenant-id": value} for value in ("blue", "old", "blue\n"))]
    lines += [{"x-tenant-id": "blue", "x-id-token": token} for token in _tokens()]
    lines += [{"x-id-token": "Bearer a.b.c"}, {"x-id-token": "AWS4-x"}, {"authorization": "AWS4-HMAC-SHA256 x"}]
    lines += [{"x": "\ud800", "x-tenant-id": "blue"}, {"x-lattice-bridge-hops": "4"}]
    who = [None, role("edge-proxy"), role("blue-api"), role("a", session="blue"), f"arn:aws:iam::{ONE}:root"]
    return [
        make(principal, headers=some, method=method, **{where: path})
        for make, where in ((v1, "raw_path"), (v2, "path"))
        for path in ("/a?b=%ff&c=%zz", "/a")
        for principal in who
        for some in lines
        for method in ("GET", "HEAD")
    ]


anything = json_values | st.sampled_from(
    ["HEAD", "2.0", "AWS_IAM", role("a"), "/a?b=%zz", "/\udfff?%ff", "4", True, [], {}]
)
broken_events = st.builds(
    _broken, st.deferred(lambda: st.sampled_from(whole_events())), st.lists(anything, max_size=3), st.randoms()
)
events = st.one_of(
    broken_events,
    broken_events,
    json_values,
    st.dictionaries(st.sampled_from(EVENT_KEYS), anything, max_size=6),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> TenantMap:
    """A map of every kind of anchor whose tokens' keys are at hand."""
    folder = tmp_path_factory.mktemp("map")
    (folder / "keys.json").write_bytes(key_set(jwk()))
    return TenantMap.from_toml(
        f"""
        tenants = {{ blue = {{}}, green = {{}}, old = {{ status = "suspended" }} }}
        [jwt.corp]
        issuer = "https://corp.example"
        audience = ["x"]
        algorithms = ["ES256"]
        jwks_file = "keys.json"
        header = "x-id-token"
        [[rule]]
        id = "sessions"
        role = "arn:aws:iam::{ONE}:role/a"
        tenant_from = "session"
        session_set_by = "a test"
        [[rule]]
        id = "edge"
        role = "arn:aws:iam::{ONE}:role/edge-proxy"
        tenants = "*"
        [[rule]]
        id = "workload"
        role = "arn:aws:iam::{ONE}:role/blue-api"
        tenant_from = "x509_san_uri"
        template = "spiffe://example.org/{{tenant}}"
        x509_set_by = "a test"
        [[rule]]
        id = "users"
        jwt = "corp"
        tenant_from = "claim"
        claim = ["tenant"]
        [[rule]]
        id = "open"
        anyone = true
        tenants = "*"
        accept_risk = "a test"
        [[rule]]
        id = "shut"
        account = "{TWO}"
        deny = true
        """,
        folder,
    )


@settings(max_examples=examples(250), deadline=None)
@given(event=events)
@example(event={"version": "2.0", "requestContext": ["serviceArn"]})
@example(event=v2(headers={"x": "\ud800" * 3000}))
def test_an_event_is_a_request_or_a_refusal_and_a_request_has_a_decision(guarded: TenantMap, event: Any) -> None:
    try:
        request = parse_event(event)
    except BridgeError:
        return
    decision = guarded.decide(request)
    assert decision.allowed == (decision.reason == "allowed")
    assert decision.tenant in ("blue", "green") if decision.allowed else decision.tenant is None


response_fields = st.dictionaries(
    st.sampled_from(["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"]),
    anything
    | st.sampled_from(
        [200, 204, 304, 199, 600, "200", 2e2, 1e400, "aGk=", False, ["a=b"], {"a": "b", "A": ["c", None]}]
    )
    | st.dictionaries(
        st.sampled_from(["connection", "content-type", "Set-Cookie", "set-cookie", "a b", "x"]), anything
    ),
    max_size=5,
).map(lambda fields: {"statusCode": 200, **fields}) | st.builds(
    lambda name, value: {"statusCode": 200, "headers": {name: value}},
    st.sampled_from(["connection", "keep-alive", "content-length", "x", "set-cookie"]),
    st.sampled_from(["a\r\nb", "\0", "\ud800", "x, close", "a"]),
)
answers = st.one_of(
    st.binary(max_size=50),
    st.builds(lambda value: json.dumps(value).encode(), response_fields | json_values),
    st.builds(
        lambda make, after: make("internal", "a test", retry_after=after),
        st.sampled_from([BackendFailed, TimedOut, TooLarge, Unavailable, Misconfigured, NotFound, BridgeError]),
        st.sampled_from([None, 0, 1]),
    ),
    st.sampled_from([InvalidMap(["a test"]), ValueError("a bug"), RecursionError(), KeyError("\ud800")]),
)


@settings(max_examples=examples(250), deadline=None)
@given(
    broken_events
    | events
    | st.sampled_from([v1(role("blue-api")), v2(role("blue-api")), v2(role("blue-api"), method="HEAD")]),
    answers,
    st.sampled_from(["sync", "sync", "async"]),
    st.booleans(),
    st.sampled_from([None, object(), {"aws_request_id": 1}]),
)
@example(v2(role("blue-api")), b'{"statusCode":200,"headers":{"x":"a\\r\\nb"}}', "sync", True, None)
@example(v2(role("blue-api")), b'{"statusCode":200,"body":"\\ud800"}', "sync", True, None)
def test_the_bridge_always_answers_and_always_with_a_valid_reply(
    event: Any, answer: bytes | Exception, invocation: Any, isolated: bool, context: object
) -> None:
    def invoke(call: Call) -> bytes:
        assert call.tenant in ("blue", "green") if isolated else call.tenant is None
        if isinstance(answer, Exception):
            raise answer
        return answer

    behind = [Backend("/", "orders", isolated=isolated, invocation=invocation)]
    written: list[str] = []
    bridge = Bridge(tenant_map(OPEN), invoke, backends=behind, write=written.append)
    assert_valid(bridge(event, context), method_of(event))
    for line in written[0].splitlines():
        json.loads(line).items()


# ---- configurations of any kind -------------------------------------------------------------------------------------

WHOLE: Final = f"""
[[backend]]
path = "/orders"
function = "orders:live"
isolated = false
invocation = "async"
timeout = 28
keep_headers = ["authorization"]
[lattice]
services = ["{SERVICES[0]}"]
set_cookie = "cookies"
[map]
refresh = 30
[header]
name = "x-tenant-id"
[tenants]
blue = {{}}
old = {{ status = "suspended" }}
[jwt.corp]
issuer = "https://corp.example"
audience = ["x"]
algorithms = ["RS256"]
jwks_url = "https://corp.example/keys"
header = "x-id-token"
profile = "generic"
[[rule]]
id = "blue-api"
role = "arn:aws:iam::{ONE}:role/blue-api"
session = "i-0123"
session_set_by = "a test"
vpc = ["vpc-0b8276c84697e7339"]
tenants = ["blue", "old"]
[[rule]]
id = "support"
sso = {{ account = "{ONE}", permission_set = "Support" }}
tenant_from = "claim"
jwt = "corp"
claim = ["app", "tenant"]
template = "t-{{tenant}}"
claim_is_list = true
[[rule]]
id = "open"
anyone = true
tenants = "*"
accept_risk = "a test"
[[test]]
principal = "{role("blue-api", session="i-0123")}"
vpc = "vpc-0b8276c84697e7339"
header = "blue"
claims = {{ corp = {{ app = {{ tenant = ["t-blue"] }} }} }}
expect = "blue"
"""
LITERALS: Final = (
    *(
        "true",
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "1979-05-27",
        "07:32:00",
        '""',
        '"blue"',
        '"*"',
        '"\\u0000"',
        "[]",
        "{}",
    ),
    *("[[]]", "[1]", '["blue", 1]', "[{}]", '{ "" = "" }', "9" * 5000, '"' + "x" * 5000 + '"', '"""\n"""', "[" * 2000),
    *(
        "0x10",
        '"arn:aws:iam::111122223333:role/a*"',
        '"arn:aws:iam::111122223333:role/*"',
        '"x-tenant_id"',
        '"{tenant}"',
    ),
)


def _damaged(text: str, changes: list[str], piece: str, dice: random.Random) -> str:
    """A map that was edited by somebody in a hurry: cut off, lines doubled, lost, moved, values of other types."""
    for change in changes:
        lines = text.split("\n")
        at = dice.randrange(len(lines))
        if change == "cut":
            text = text[: dice.randrange(len(text) + 1)]
            continue
        if change == "doubled":
            lines.insert(at, lines[at])
        elif change == "lost":
            del lines[at]
        elif change == "moved":
            lines.insert(dice.randrange(len(lines)), lines.pop(at))
        elif change == "typed":
            lines[at] = f"{lines[at].partition('=')[0]}= {dice.choice(LITERALS)}"
        else:
            place = dice.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + piece + lines[at][place:]
        text = "\n".join(lines)
    return text


CHANGES: Final = ("cut", "doubled", "lost", "moved", "typed", "typed", "inserted")
MODELS: Final = (RuleTable, TestTable, IssuerTable, RegistryTable, BackendTable, LatticeTable)
KEYS: Final = sorted(
    {key for model in MODELS for key in model.model_fields} | {"blue", "corp", "name", "refresh", "status"}
)
plain = (
    st.text(max_size=8)
    | st.sampled_from([*NAMES, *ROLES, *ISSUERS, *VPCS, *SERVICES, ONE, role("a"), f"arn:aws:iam::{ONE}:role/a-*", "*"])
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.dates()
)
toml_values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)
rule_like = st.fixed_dictionaries(
    {"id": plain}, optional={key: toml_values for key in RuleTable.model_fields if key != "id"}
)
toml_tables = st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), toml_values, max_size=5) | st.builds(
    lambda tables, rules: {**tables, "rule": rules},
    st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), toml_values, max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from([*RuleTable.model_fields]), toml_values, max_size=5) | rule_like, max_size=2
    ),
)


def to_toml(value: Any) -> str:
    """A value as TOML writes it within a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return value.isoformat() if isinstance(value, date) else str(value).lower()


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


COMPILED_KEYS: Final = (
    *("format", "tables", "options", "around", "tenants", "suspended"),
    *("outcomes", "conditions", "owners", "denials"),
)
sealed_texts = st.builds(
    lambda members: sealed({"format": FORMAT, "tables": {}, **members}),
    st.dictionaries(st.sampled_from(COMPILED_KEYS), json_values, max_size=8)
    | st.fixed_dictionaries({"tables": st.dictionaries(st.sampled_from(sorted(TABLES | ELSEWHERE)), json_values)}),
)
whole_texts = [WHOLE, compile_document(parse_document(WHOLE), Path())]
configurations = st.one_of(
    st.text(max_size=60),
    st.builds(lambda text: "{" + text, st.text(st.characters(codec=None), max_size=60)),
    st.builds(
        _damaged,
        st.sampled_from(whole_texts),
        st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3),
        st.text(st.characters(codec=None), max_size=3),
        st.randoms(),
    ),
    st.builds(
        lambda tables: "\n".join(f"{_text(name)} = {to_toml(value)}" for name, value in tables.items()), toml_tables
    ),
    sealed_texts,
)
READERS: Final[list[Callable[[str], object]]] = [
    parse_document,
    TenantMap.from_toml,
    Settings.from_text,
    partial(Settings.from_text, function="orders"),
]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations)
@example("a = " + "9" * 5000)
@example("a = " + "[" * 5000)
def test_a_configuration_of_any_kind_loads_or_is_refused_with_its_faults(text: str) -> None:
    for read in READERS:
        with suppress(InvalidMap):
            read(text)
    assert all(finding.text for finding in findings_of(text))


def test_the_whole_configuration_that_is_damaged_loads_as_it_is(tmp_path: Path) -> None:
    for text in whole_texts:
        assert Settings.from_text(text, folder=tmp_path).tenant_map.rules.owners
