"""A second reading of tenant maps, which reads every rule in turn, and strategies for maps and requests to compare.

It shares no code with the package's decision: `expected` is the reference for `decide`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypothesis import strategies as st

from lattice_bridge import BridgeError, Caller, Decision, Request, TenantMap
from lattice_bridge.config.document import Document
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509, Authorizer, BusEvent, Sender
from lattice_bridge.tenancy.decide import Entitlements, decide
from lattice_bridge.tenancy.rules import Tenant
from lattice_bridge.tenancy.subject import Subject, subject_of

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
APIS: Final = ("a1b2c3d4e5", "b1b2c3d4e5")
CERTIFICATES: Final = ("CN=blue,O=Example", "CN=green,O=Example")
QUEUES: Final = tuple(f"arn:aws:sqs:eu-west-1:{ONE}:{name}" for name in ("orders", "blue-orders.fifo"))
SENDERS: Final = ("AROADBQP57FF2AEXAMPLE", "AIDACKCEVSQ6C2EXAMPLE")
BUS: Final = f"arn:aws:events:eu-west-1:{ONE}:event-bus/orders"
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
        sources = [{"arn": arn, "function": "orders"} for arn in (*QUEUES, BUS)]
        return {"jwt": issuers, "rule": list(self.rules), "event_source": sources, **where}

    def load(self) -> TenantMap:
        found = TenantMap.from_document(Document(self.tables, ""))
        if not self.closed:
            found.find = self.find
        return found

    def find(self, name: str) -> Tenant | None:
        return Tenant(name, active=self.tenants[name]) if name in self.tenants else None


@dataclass(frozen=True)
class Asked:
    """A request, or a record, in the words that the reference reads. `who` is an ARN, None for an unauthenticated
    caller. A record has a queue and a sender with its session, or a bus and the event's account, source and detail
    type; the first tenant header is its claim."""

    who: str | None = None
    session: str | None = None
    org: str | None = None
    vpc: str | None = None
    service: str | None = None
    network: str | None = None
    uri: str | None = None
    tokens: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Headers = ()
    api: str | None = None
    answer: Mapping[str, Any] | None = None
    cert: str | None = None
    queue: str | None = None
    sender: tuple[str, str | None] | None = None
    event: tuple[str, str, str] | None = None

    @property
    def claim(self) -> str | None:
        return next((value for name, value in self.headers if name == "x-tenant-id"), None)

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
            source="lattice" if self.api is None else "apigateway",
            api_id=self.api,
            authorizer=None if self.answer is None else Authorizer.of(self.answer),
            client_cert=self.cert,
        )

    def decide(self, found: TenantMap, entitlements: Entitlements | None = None) -> Decision:
        rules = found.rules
        if self.queue is not None:
            sender = None if self.sender is None else Sender(*self.sender)
            event = None if self.event is None else BusEvent(*self.event)
            subject = Subject(requested_tenant=self.claim, source=self.queue, sender=sender, bus_event=event)
            return decide(subject, rules, found.find, entitlements)
        try:
            subject = subject_of(self.request, self.tokens, rules.header, rules.token_headers)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return decide(subject, rules, found.find)


def anchors(accounts: tuple[str, ...], *, nobody: bool = True) -> st.SearchStrategy[Table]:
    """Anchors of rules; `nobody` adds those that name no account."""
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
    of_records = [st.sampled_from(SENDER_ANCHORS), st.sampled_from(SOURCE_ANCHORS), st.sampled_from(EVENT_ANCHORS)]
    others = [
        st.builds(lambda v: {"vpc": v}, st.sampled_from([VPCS[0], VPCS[0].rpartition("/")[2]])),
        st.builds(lambda i: {"jwt": i}, st.sampled_from(ISSUERS)),
        st.just({"anyone": True}),
        st.builds(lambda api: {"api": api}, st.sampled_from(APIS)),
        st.builds(lambda cert: {"client_cert": cert}, st.sampled_from(CERTIFICATES)),
    ]
    return st.one_of(named + (others * 2 + of_records if nobody else []))


SENDER_ANCHORS: Final[list[Table]] = [
    {"sender": {"role_id": SENDERS[0]}},
    *({"sender": {"role_id": SENDERS[0], "session": name}} for name in ("blue", "s-1")),
    {"sender": {"user_id": SENDERS[1]}},
]
SOURCE_ANCHORS: Final[list[Table]] = [{"source": arn} for arn in QUEUES]
EVENT_SOURCES: Final = ("shop", "shop.blue", "aws.s3", "aws.events")
DETAIL_TYPES: Final = ("Order placed", "Object Created")
EVENT_ANCHORS: Final[list[Table]] = [
    {**anchor, **part}
    for anchor in ({"event_account": ONE}, {"event_account": TWO}, {"source": BUS})
    for part in (
        {},
        *({"bus_source": name} for name in (EVENT_SOURCES[0], EVENT_SOURCES[2])),
        {"detail_type": DETAIL_TYPES[0]},
        *({"bus_source": name, "detail_type": DETAIL_TYPES[0]} for name in (EVENT_SOURCES[0], EVENT_SOURCES[2])),
    )
]
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
    {"tenant_from": "authorizer", "path": ["tenant"]},
    {"tenant_from": "authorizer", "path": ["claims", "tenant"], "template": "t-{tenant}"},
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
    {"api": APIS[0]},
    {"api": list(APIS)},
    {"source": QUEUES[0]},
]


def sensible(anchor: Table, outcome: Table, condition: Table) -> Table:
    """A rule of the three that loads: without what does not go together, and with what it has to acknowledge."""
    exact = "role" in anchor and not anchor["role"].endswith("*")
    sends = set(anchor.get("sender", ())) == {"role_id"}
    kinds = {"source"} if "sender" in anchor else {"vpc", "org", "service", "network", "jwt", "api"}
    is_whole = {"event_account", "source"}.isdisjoint(anchor)
    condition = {key: value for key, value in condition.items() if key in kinds and is_whole}
    fits = {
        "session": "session" not in anchor and ("role" in anchor or "sso" in anchor or sends),
        "x509_san_uri": exact,
        "claim": {"anyone", "sender", "event_account", "source"}.isdisjoint(anchor),
        "authorizer": "api" in anchor and "jwt" not in condition,
    }
    if not fits.get(outcome.get("tenant_from", ""), True):
        outcome = {"tenant": "blue"}
    table = {**condition, **anchor, **outcome}
    if "api" in condition and anchor_of(table) == "api" and "api" not in anchor:  # the anchor is the VPC
        table.pop("api")
    if "anyone" in anchor:
        table = {key: value for key, value in table.items() if key not in ("org", "jwt")}
    if "deny" in table:
        return {key: value for key, value in table.items() if key != "jwt" or anchor_of(table) == "jwt"}
    if table.get("tenant_from") == "claim":
        table.setdefault("jwt", "corp")
    if anchor_of(table) in ("anyone", "vpc") or (anchor_of(table) in ("jwt", "api") and table.get("tenants") == "*"):
        table["accept_risk"] = "a test"
    is_part = {"bus_source", "detail_type"} & set(anchor) and not anchor.get("bus_source", "").startswith("aws.")
    if is_part or ("source" in anchor and "tenants" in table):
        table["accept_risk"] = "a test"
    names_session = "session" in anchor or "session" in anchor.get("sender", ())
    if names_session or "federated_user" in anchor or table.get("tenant_from") == "session":
        table["session_set_by"] = "a test"
    if table.get("tenant_from") == "x509_san_uri":
        table["x509_set_by"] = "a test"
    if table.get("tenant_from") == "authorizer":
        table["authorizer_set_by"] = "a test"
    if "client_cert" in anchor:
        table["client_cert_issued_by"] = "a test"
    return table


ANCHOR_NAMES: Final = (
    *("role", "sso", "account", "user", "root", "federated_user", "client_cert", "sender", "event_account", "anyone"),
    *("source", "jwt", "api", "vpc"),
)
"""Those that are conditions too come last: a rule's anchor is the first that it has."""


def anchor_of(table: Table) -> str:
    for name in ANCHOR_NAMES:  # no generator: this is called a million times
        if name in table:
            return name
    raise LookupError(table)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def is_rival(table: Table, other: Table) -> bool:
    """Whether no map may have both: two rules that allow, or two denies on equal conditions, for the same callers."""
    if _whom(table) != _whom(other) or ("deny" in table) != ("deny" in other):
        return False
    return "deny" not in table or _all_conditions(table) == _all_conditions(other)


def _whom(table: Table) -> tuple[str | None, ...]:
    """A role's and a user's path is ignored, and of a VPC all but its id."""
    anchor = anchor_of(table)
    text = str(table[anchor])
    account = text.split(":")[4] if anchor in ("role", "user", "root", "federated_user") else None
    return anchor, account, text.split("/")[-1], table.get("session"), table.get("bus_source"), table.get("detail_type")


def _all_conditions(table: Table) -> Table:
    return {kind: sorted(_listed(table[kind])) for kind in conditions_in(table)}


def _map(tables: list[Table], more: set[str], suspended: set[str], closed: bool) -> Map:
    kept: list[Table] = []
    for table in tables:
        if not any(is_rival(table, other) for other in kept):
            kept.append({"id": f"r{len(kept)}", **table})
    used = {name for table in kept if table.get("tenants") != "*" for name in table.get("tenants", [])}
    used |= {table["tenant"] for table in kept if "tenant" in table}
    names = used | more if closed else more
    return Map(tuple(kept), {name: name not in suspended for name in sorted(names)}, closed)


def rules_for(accounts: tuple[str, ...], *, nobody: bool = True) -> st.SearchStrategy[Table]:
    return st.builds(sensible, anchors(accounts, nobody=nobody), st.sampled_from(OUTCOMES), st.sampled_from(CONDITIONS))


def maps_of(
    rules: st.SearchStrategy[Table],
    closed: st.SearchStrategy[bool],
    first: st.SearchStrategy[tuple[Table, ...]] | None = None,
) -> st.SearchStrategy[Map]:
    """Maps with the rules of `first`, and some more."""
    names = st.just({*NAMES}) | st.sets(st.sampled_from(NAMES))
    suspended = st.sampled_from([{"old"}, {"old"}, {"old", "blue"}, set[str]()])
    tables = st.builds(
        lambda these, more: [*these, *more],
        st.just(()) if first is None else first,
        st.lists(rules, min_size=2, max_size=9),
    )
    return st.builds(_map, tables, names, suspended, closed)


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
crowded = st.builds(sensible, st.sampled_from(a_crowd), st.sampled_from(OUTCOMES), st.sampled_from(CONDITIONS))
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
Way = tuple[str | None, Mapping[str, Any] | None, str | None]
WAYS: Final[tuple[Way, ...]] = (
    *([(None, None, None)] * 6),
    *((api, None, None) for api in APIS),
    *((APIS[0], {"tenant": value}, None) for value in ("blue", "green", "[blue]", ["blue"], 7, "unknown")),
    (APIS[1], {"tenant": "blue"}, None),
    *((APIS[0], {"claims": {"tenant": value}}, None) for value in ("t-blue", "t-green", "blue")),
    *((APIS[0], None, cert) for cert in (*CERTIFICATES, "CN=other")),
    (APIS[0], {"tenant": "blue"}, CERTIFICATES[0]),
    (APIS[1], {"claims": {"tenant": "t-blue"}}, CERTIFICATES[1]),
)
"""Ways in: an API or None for Lattice, what its authorizer returned, and the subject of a certificate."""


def _through(asked: Asked, way: Way) -> Asked:
    api, answer, cert = way
    return asked if api is None else replace(asked, service=None, network=None, api=api, answer=answer, cert=cert)


anybody = st.builds(
    _through,
    callers(st.one_of(theirs, theirs, in_the_crowd, in_the_crowd, st.none())),
    st.sampled_from(WAYS),
)
records = st.builds(
    lambda queue, sender: Asked(queue=queue, sender=sender),
    st.sampled_from([*QUEUES, *QUEUES, QUEUES[0].replace(ONE, TWO)]),
    st.sampled_from(
        [
            *((SENDERS[0], name) for name in ("blue", "blue", "s-1", "s-1", "t-green", None)),
            *((SENDERS[1], None), ("AROADBQP57FF2AEXAMPLF", "blue"), (ONE, None), None),
        ]
    ),
)


def _record_rules(anchor: st.SearchStrategy[Table]) -> st.SearchStrategy[Table]:
    outcome = st.sampled_from([one for one in OUTCOMES if one.get("tenant_from") in (None, "session")])
    condition = st.sampled_from([{}, {}, {"source": QUEUES[0]}, {"source": list(QUEUES)}])
    return st.builds(sensible, anchor, outcome, condition)


record_maps = maps_of(
    _record_rules(st.sampled_from(SENDER_ANCHORS + SOURCE_ANCHORS) | anchors((ONE,))),
    mostly,
    first=st.tuples(*(_record_rules(st.just(one)) for one in (*SENDER_ANCHORS[:2], SOURCE_ANCHORS[0]))),
)
"""Most have a rule for a role, for a session of it, and for a queue."""
event_maps = maps_of(
    _record_rules(st.sampled_from(EVENT_ANCHORS)),
    mostly,
    first=st.tuples(*(_record_rules(st.just(one)) for one in ({"event_account": ONE}, {"source": BUS}))),
)
"""Most have a rule for an account, one for the bus, and several for parts of their events."""
events = st.builds(
    lambda *event: Asked(queue=BUS, event=event),
    st.sampled_from([ONE, ONE, TWO, "999999999999"]),
    st.sampled_from([*EVENT_SOURCES, EVENT_SOURCES[0], EVENT_SOURCES[2], "aws", "AWS.s3", " aws.s3", ""]),
    st.sampled_from([*DETAIL_TYPES, DETAIL_TYPES[0], ""]),
)
claim_values = st.sampled_from(
    [
        *("blue", "blue", "green", "t-blue", "unknown", None, 1, {"tenant": "blue"}),
        *([], ["blue"], ["blue", "green"], ["blue", "unknown"], ["t-blue", "t-x"], ["blue", 1]),
    ]
)
claims = st.builds(lambda one, two: {"tenant": one, "app": {"tenant": two}}, claim_values, claim_values)
token_sets = st.dictionaries(st.sampled_from(ISSUERS), claims, max_size=2)
tenant_headers: st.SearchStrategy[Headers] = st.sampled_from(
    [
        *([()] * 8),
        *((("x-tenant-id", name),) for name in (*NAMES, *NAMES[:2] * 3, "unknown", "blue\n", "blue,green")),
        (("x-tenant-id", "blue"), ("x-tenant-id", "blue")),
        (("x_tenant_id", "blue"),),
        (("authorization", "AWS4-HMAC-SHA256 Credential=x"),),
    ]
)


# ---- the reference ---------------------------------------------------------------------------------------------------

LETTERS: Final = set(string.ascii_letters + string.digits)
GRAMMAR: Final = LETTERS | set("._:/=+@-")


def expected(one: Map, asked: Asked) -> str | None:
    """The tenant, by looking at every rule."""
    if asked.queue is not None:
        return _expected_of_record(one, asked)
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


def _expected_of_record(one: Map, asked: Asked) -> str | None:
    """The sender's own rules decide, those with its session first; those for the event's account and for the source,
    those for the smallest part first: a tenant has to be in each."""
    if asked.claim is not None and not in_grammar(asked.claim):
        return None
    matching = [table for table in one.rules if rank(table, asked) is not None]
    if any("deny" in table and _holds(table, asked) for table in matching):
        return None
    allowing = sorted((table for table in matching if "deny" not in table), key=_size)
    if asked.event is not None and asked.event[1].startswith("aws."):
        allowing = [table for table in allowing if "bus_source" in table]
    kinds = [
        [table for table in allowing if anchor_of(table) == kind] for kind in ("sender", "event_account", "source")
    ]
    owners = [table for tables in kinds for table in tables[:1]]
    if not owners or not all(_holds(table, asked) for table in owners):
        return None
    sets = [names for table in owners if (names := _names(table, asked)) is not None]
    allowed = set.intersection(*sets) if sets else set(one.tenants) if one.closed or asked.claim else set()
    chosen = asked.claim or (next(iter(allowed)) if len(allowed) == 1 else None)
    return chosen if all(sets) and chosen in allowed and one.tenants.get(chosen) else None


def _size(table: Table) -> int:
    """How much a rule for records includes, beside others of its kind."""
    if "session" in table.get("sender", ()):
        return 0
    return 3 - 2 * ("bus_source" in table) - ("detail_type" in table)


def in_grammar(text: object) -> bool:
    """Lambda's grammar for a tenant id without spaces, and with a letter or digit in front."""
    if not isinstance(text, str) or not 1 <= len(text) <= 256:
        return False
    return set(text) <= GRAMMAR and text[0] in LETTERS


def _owners(one: Map, asked: Asked) -> list[Table]:
    """The most specific rule for the caller, and the rule for each token. Empty if one is missing."""
    allowing = [(anchor_of(table), table) for table in one.rules if "deny" not in table]
    matching = [(kind, table) for kind, table in allowing if kind in BESIDE and rank(table, asked) is not None]
    beside = [(kind, table) for kind, table in matching if kind != "api" or asked.answer is not None]
    by_token = [table for _, table in beside]
    for kind, is_there in (("api", asked.answer is not None), ("client_cert", asked.cert is not None)):
        if is_there and kind in dict(allowing) and kind not in dict(beside):
            return []
    fitting: list[tuple[int, int]] = []
    own_only = asked.who is not None and (":root" in asked.who or ":federated-user/" in asked.who)
    for number, (kind, table) in enumerate(allowing):
        if kind in BESIDE or (own_only and kind not in ("root", "federated_user")):
            continue
        if (found := rank(table, asked)) is not None:
            fitting.append((found, number))
    if not fitting and asked.who is not None:
        are_for_callers = any(kind not in (*BESIDE, "anyone") for kind, _ in allowing)
        return [] if are_for_callers else by_token
    return [*(allowing[number][1] for _, number in sorted(fitting)[:1]), *by_token]


BESIDE: Final = ("jwt", "api", "client_cert", "sender", "event_account", "source")
"""Anchors of evidence that stands beside the caller's own: all that match have to agree."""


def rank(table: Table, asked: Asked) -> int | None:
    """How specific a rule is for a caller, the smaller the more. None if it does not match."""
    anchor = anchor_of(table)
    if asked.queue is not None or anchor in ("sender", "event_account", "source"):
        return 0 if _is_for_record(table, asked) else None
    if anchor == "jwt":
        return 0 if table["jwt"] in asked.tokens else None
    if anchor == "api":
        return 0 if table["api"] == asked.api else None
    if anchor == "client_cert":
        return 0 if table["client_cert"] == asked.cert else None
    if anchor == "anyone":
        has_other = asked.tokens or asked.answer is not None or asked.cert is not None
        return None if asked.who is not None or has_other else 900
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


def _is_for_record(table: Table, asked: Asked) -> bool:
    anchor = anchor_of(table)
    account, bus_source, detail_type = asked.event or (None, None, None)
    if anchor in ("source", "event_account"):
        fits = table["source"] == asked.queue if anchor == "source" else table["event_account"] == account
        return (
            fits
            and bus_source == table.get("bus_source", bus_source)
            and detail_type == table.get("detail_type", detail_type)
        )
    if anchor != "sender" or asked.sender is None:
        return False
    whom, (name, session) = table["sender"], asked.sender
    return name in (whom.get("role_id"), whom.get("user_id")) and whom.get("session", session) == session


def _seen(kind: str, asked: Asked) -> list[str]:
    if kind == "vpc":
        return [] if asked.vpc is None else [asked.vpc, asked.vpc.split("/")[-1]]
    if kind == "jwt":
        return list(asked.tokens)
    values = {"org": asked.org, "service": asked.service, "network": asked.network, "api": asked.api}
    value = values.get(kind, asked.queue)
    return [] if value is None else [value]


def conditions_in(table: Table) -> Iterator[str]:
    kinds = ("vpc", "org", "service", "network", "jwt", "api", "source")
    return (kind for kind in kinds if kind in table and kind != anchor_of(table))


def _holds(table: Table, asked: Asked) -> bool:
    return all(set(_seen(kind, asked)) & set(_listed(table[kind])) for kind in conditions_in(table))


def _is_known_not_to_hold(table: Table, asked: Asked) -> bool:
    return any(
        _seen(kind, asked) and not set(_seen(kind, asked)) & set(_listed(table[kind])) for kind in conditions_in(table)
    )


def _names(table: Table, asked: Asked) -> set[str] | None:
    """The tenants that a rule allows. None: any that is registered."""
    if "tenant_from" not in table:
        return None if table.get("tenants") == "*" else set(table.get("tenants", [table.get("tenant")]))
    source = table["tenant_from"]
    readers = {"claim": _claim, "authorizer": _answered}
    session = asked.sender[1] if asked.sender else asked.session
    value: Any = session if source == "session" else asked.uri
    value = readers[source](table, asked) if source in readers else value
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


def _answered(table: Table, asked: Asked) -> Any:
    value: Any = asked.answer
    for element in table["path"]:
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
    return name if name not in (".", "..") and len(text) <= 2048 and set(name) <= LETTERS | set("._-") else None
