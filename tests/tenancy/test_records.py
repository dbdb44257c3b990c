"""Decisions for records: the sender and the queue are evidence, and a claim chooses one of the tenants they allow."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Decision, TenantMap
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.message import Authorizer, BusEvent, Caller, Sender
from lattice_bridge.tenancy.anchors import ANCHORS, keys_of, other_keys
from lattice_bridge.tenancy.decide import Entitlement, Entitlements, decide
from lattice_bridge.tenancy.rules import ANY_TENANT, Rule, Rules, Tenant
from lattice_bridge.tenancy.subject import ANONYMOUS, Subject
from tests.support.decision_reference import (
    CONDITIONS,
    SENDER_ANCHORS,
    Asked,
    Headers,
    Map,
    Table,
    anybody,
    expected,
    is_rival,
    record_maps,
    records,
    sensible,
    tenant_headers,
)
from tests.support.examples import examples

ORDERS: Final = "arn:aws:sqs:eu-west-1:111122223333:orders"
BLUE_ORDERS: Final = "arn:aws:sqs:eu-west-1:111122223333:blue-orders"
ROLE, USER = "AROADBQP57FF2AEXAMPLE", "AIDACKCEVSQ6C2EXAMPLE"
HEAD: Final = f"""
[tenants]
blue = {{}}
green = {{}}
old = {{ status = "suspended" }}
[[event_source]]
arn = "{ORDERS}"
function = "orders"
[[event_source]]
arn = "{BLUE_ORDERS}"
function = "orders"
"""


def record_map(*rules: str) -> TenantMap:
    """A map with two queues, and a rule of each text."""
    tables = (f'[[rule]]\nid = "r{number}"\n{text}\n' for number, text in enumerate(rules))
    return TenantMap.from_toml(HEAD + "".join(tables))


def decided(
    found: TenantMap, claim: str | None = None, *, source: str = ORDERS, sender: Sender | None = None
) -> Decision:
    return decide(Subject(requested_tenant=claim, source=source, sender=sender), found.rules)


SHOP: Final = f'sender = {{ role_id = "{ROLE}" }}\ntenants = ["blue", "green"]'
BLUE_QUEUE: Final = f'source = "{BLUE_ORDERS}"\ntenant = "blue"'


@pytest.mark.parametrize(
    ("claim", "tenant", "reason"),
    [
        ("blue", "blue", "allowed"),
        ("green", "green", "allowed"),
        (None, None, "ambiguous"),
        ("old", None, "tenant_not_allowed"),
        ("red", None, "tenant_not_allowed"),
    ],
)
def test_claim_chooses_among_the_tenants_of_the_sender(claim: str | None, tenant: str | None, reason: str) -> None:
    """Trap E2: it is the sender's word, so it grants nothing."""
    decision = decided(record_map(SHOP), claim, sender=Sender(ROLE, "i-1"))
    assert (decision.tenant, decision.reason) == (tenant, reason)


def test_claim_without_evidence_is_refused() -> None:
    """Trap E2: neither the sender nor the queue has a rule."""
    found = record_map(SHOP)
    for sender in (None, Sender(USER), Sender(ROLE[:-1] + "F", "i-1"), Sender("111122223333")):
        assert decided(found, "blue", sender=sender).reason == "no_rule"


@pytest.mark.parametrize("claim", ["blue", "green"])
def test_claim_of_another_tenant_than_the_senders_runs_as_neither(claim: str) -> None:
    """Trap E3."""
    other = {"blue": "green", "green": "blue"}[claim]
    found = record_map(f'sender = {{ role_id = "{ROLE}" }}\ntenant = "{other}"')
    decision = decided(found, claim, sender=Sender(ROLE, "i-1"))
    assert (decision.tenant, decision.reason) == (None, "tenant_not_allowed")


def test_queue_of_one_tenant_never_runs_another_whoever_sends() -> None:
    """Trap E3: where rules for the sender and the queue both match, only their common tenants remain."""
    found = record_map(SHOP, BLUE_QUEUE, f'sender = {{ user_id = "{USER}" }}\ntenant = "green"')
    assert decided(found, source=BLUE_ORDERS, sender=Sender(ROLE, "i-1")).tenant == "blue"
    assert decided(found, "green", source=BLUE_ORDERS, sender=Sender(ROLE, "i-1")).reason == "tenant_not_allowed"
    assert decided(found, source=BLUE_ORDERS, sender=Sender(USER)).reason == "conflict"
    assert decided(found, source=BLUE_ORDERS, sender=Sender("111122223333")).tenant == "blue"


def test_source_is_compared_in_full() -> None:
    """Trap E10: `blue-orders` is neither `blue-orders.fifo` nor the queue of this name in another account or region."""
    found = record_map(BLUE_QUEUE)
    assert decided(found, source=BLUE_ORDERS).tenant == "blue"
    for other in (f"{BLUE_ORDERS}.fifo", BLUE_ORDERS.replace("1111", "2222"), BLUE_ORDERS.replace("west", "east")):
        assert decided(found, source=other).reason == "no_rule"


def test_session_of_a_sender_goes_before_its_role() -> None:
    """Trap E4: another role, or a session of another role, has neither."""
    session = f'sender = {{ role_id = "{ROLE}", session = "i-1" }}\nsession_set_by = "EC2"\ntenant = "green"'
    found = record_map(f'sender = {{ role_id = "{ROLE}" }}\ntenant = "blue"', session)
    assert decided(found, sender=Sender(ROLE, "i-1")).tenant == "green"
    assert decided(found, "blue", sender=Sender(ROLE, "i-1")).reason == "tenant_not_allowed"
    assert decided(found, "blue", sender=Sender(ROLE, "I-1")).tenant == "blue"
    assert decided(found, "green", sender=Sender("AROADBQP57FF2AEXAMPLF", "i-1")).reason == "no_rule"


def test_tenant_from_the_session_of_a_sender() -> None:
    """Trap E4: a broker gives each tenant's session its name. A claim may only repeat it."""
    outcome = 'tenant_from = "session"\ntemplate = "t-{tenant}"\nsession_set_by = "broker"'
    found = record_map(f'sender = {{ role_id = "{ROLE}" }}\n{outcome}')
    assert decided(found, sender=Sender(ROLE, "t-blue")).tenant == "blue"
    assert decided(found, "blue", sender=Sender(ROLE, "t-blue")).tenant == "blue"
    assert decided(found, "green", sender=Sender(ROLE, "t-blue")).reason == "tenant_not_allowed"
    assert decided(found, sender=Sender(ROLE, "blue")).reason == "source_mismatch"
    assert decided(found, sender=Sender(ROLE)).reason == "source_mismatch"
    assert decided(found, sender=Sender(ROLE, "t-old")).reason == "tenant_suspended"


def test_source_beside_a_sender_limits_the_rule_to_the_queue() -> None:
    """The owner's condition decides: no broader rule is tried, and the queue's own rule does not replace it."""
    found = record_map(f'{SHOP}\nsource = ["{ORDERS}"]', BLUE_QUEUE)
    assert decided(found, "green", sender=Sender(ROLE, "i-1")).tenant == "green"
    assert decided(found, "blue", source=BLUE_ORDERS, sender=Sender(ROLE, "i-1")).reason == "condition_failed"


@pytest.mark.parametrize(
    "deny", [f'sender = {{ role_id = "{ROLE}" }}\ndeny = true', f'source = "{ORDERS}"\ndeny = true']
)
def test_deny_wins_over_every_rule_that_allows(deny: str) -> None:
    """Trap E4: the quickest way to lock a sender or a queue out."""
    found = record_map(SHOP, deny)
    assert decided(found, "blue", sender=Sender(ROLE, "i-1")).reason == "denied"


@pytest.mark.parametrize(
    "claim", ["a#b", "blue\n", " blue", "blue ", "", "b" * 257, "blue\x00", "ｂｌｕｅ", "blue,green", "*", "BLUE"]
)
def test_claim_outside_of_the_grammar_is_never_cut_into_a_tenant(claim: str) -> None:
    """Trap E21."""
    found = record_map(f'source = "{ORDERS}"\ntenants = "*"\naccept_risk = "a test"')
    assert decided(found, claim).reason == ("tenant_unknown" if claim == "BLUE" else "tenant_malformed")


def test_rules_for_callers_never_match_a_record() -> None:
    """A record has no caller, so `anyone` and a token's issuer mean nothing for it."""
    found = record_map('anyone = true\ntenant = "blue"\naccept_risk = "a test"')
    assert decided(found, "blue", sender=Sender(ROLE, "i-1")).reason == "no_rule"


# ---- every map ------------------------------------------------------------------------------------------------------

several: Final = st.lists(tenant_headers, min_size=4, max_size=4)


def asked_with(who: list[Asked], headers: list[Headers]) -> list[Asked]:
    return [replace(one, headers=lines) for one in who for lines in headers]


@settings(max_examples=examples(80), deadline=None)
@given(record_maps, st.lists(records, min_size=6, max_size=6), anybody, several, st.randoms())
def test_decision_equals_a_scan_of_all_rules(
    one: Map, who: list[Asked], caller: Asked, headers: list[Headers], dice: random.Random
) -> None:
    """1,920 pairs of a map and a record, and 320 of one and a request. Neither the order of rules changes one, nor
    compiling the map."""
    found = one.load()
    shuffled = replace(one, rules=tuple(dice.sample(one.rules, len(one.rules)))).load()
    compiled = TenantMap.from_document(parse_document(compile_document(Document(one.tables, ""), Path())))
    compiled.find = found.find if not one.closed else compiled.find
    for asked in asked_with([*who, caller], headers):
        decision = asked.decide(found)
        assert decision.tenant == expected(one, asked)
        assert decision.allowed == (decision.tenant is not None)
        for other in (asked.decide(shuffled), asked.decide(compiled)):
            assert (other.tenant, other.rule, other.reason) == (decision.tenant, decision.rule, decision.reason)


@settings(max_examples=examples(60), deadline=None)
@given(record_maps, st.lists(records, min_size=6, max_size=6), several)
def test_entitlements_of_other_records_change_no_decision(one: Map, who: list[Asked], headers: list[Headers]) -> None:
    """Trap D8: what the router found for other records of a batch decides as the rules do."""
    found = one.load()
    entitlements: Entitlements = {}
    for asked in asked_with(who, headers):
        alone, with_others = asked.decide(found), asked.decide(found, entitlements)
        assert (with_others.tenant, with_others.rule, with_others.reason) == (alone.tenant, alone.rule, alone.reason)
    assert len(entitlements) <= len(who)


denies = st.builds(sensible, st.sampled_from(SENDER_ANCHORS), st.just({"deny": True}), st.sampled_from(CONDITIONS))


@settings(max_examples=examples(60), deadline=None)
@given(record_maps, denies, st.lists(records, min_size=5, max_size=5), several)
def test_adding_a_deny_never_allows_anything(one: Map, deny: Table, who: list[Asked], headers: list[Headers]) -> None:
    before = one.load()
    if any(is_rival(deny, table) for table in one.rules):
        return
    after = replace(one, rules=(*one.rules, {"id": "extra", **deny})).load()
    for asked in asked_with(who, headers):
        now, then = asked.decide(after), asked.decide(before)
        assert now.tenant in (None, then.tenant)


EVIDENCE: Final = {
    "tokens": {"corp": {"sub": "ann"}},
    "api_id": "a1b2c3d4e5",
    "authorizer": Authorizer(claims={"sub": "ann"}),
    "client_cert": "CN=blue",
    "source": ORDERS,
    "sender": Sender(ROLE, "i-0123"),
    "bus_event": BusEvent("111122223333", "shop", "Order placed"),
}


ABSENT: Final = [(), *combinations(EVIDENCE, 1), *combinations(EVIDENCE, 2), *combinations(EVIDENCE, 3)]


@pytest.mark.parametrize("absent", ABSENT)
def test_evidence_of_a_record_hides_no_other_evidence(absent: tuple[str, ...]) -> None:
    """Anchors that yield nothing are skipped. A deny rule for evidence that is there must be found."""
    facts: dict[str, Any] = {name: value for name, value in EVIDENCE.items() if name not in absent}
    subject = Subject(**facts)
    anchors = [anchor for anchor in ANCHORS.values() if anchor.evidence not in ("caller", "none")]
    assert list(other_keys(subject)) == [key for anchor in anchors for key in anchor.keys(subject)]


@pytest.mark.parametrize("absent", ABSENT)
def test_deny_rule_for_any_evidence_of_a_record_is_found(absent: tuple[str, ...]) -> None:
    """The keys of a record of a batch are cached by its source and its sender. Other evidence is not among them."""
    facts: dict[str, Any] = {name: value for name, value in EVIDENCE.items() if name not in absent}
    subject = Subject(**facts)
    for key in keys_of(subject):
        deny = Rule("deny", key, None)
        assert Rules.build("x-tenant-id", [], [deny]).denial_of(subject) is deny


@pytest.mark.parametrize(
    "other",
    [
        {"source": BLUE_ORDERS},
        {"source": None},
        {"sender": None},
        {"sender": Sender(ROLE)},
        {"sender": Sender(USER)},
        {"caller": Caller(source_vpc_arn="arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1")},
        {"tokens": {"corp": {"sub": "ann"}}},
        {"requested_tenant": "green"},
        {"requested_tenant": "a b"},
        {"requested_tenant": None},
        {"service_arn": "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-1"},
        {"service_network_arn": "arn:aws:vpc-lattice:eu-west-1:111122223333:servicenetwork/sn-1"},
        {"has_unverified_credential": True},
        {"authorizer": Authorizer(claims={"sub": "ann"})},
        {"client_cert": "CN=blue"},
        {"api_id": "a1b2c3d4e5"},
        {"bus_event": BusEvent("111122223333", "shop", "Order placed")},
    ],
    ids=str,
)
def test_entitlement_is_used_only_for_a_subject_with_the_same_evidence(other: dict[str, Any]) -> None:
    """Trap D8: a subject that differs from the one before it in any field is decided as if it were the only one."""
    found = record_map(SHOP, BLUE_QUEUE, f'sender = {{ user_id = "{USER}" }}\ndeny = true')
    first = Subject(requested_tenant="blue", source=ORDERS, sender=Sender(ROLE, "i-1"))
    entitlements: Entitlements = {}
    assert decide(first, found.rules, found.find, entitlements).tenant == "blue"
    assert set(entitlements) == {(ORDERS, Sender(ROLE, "i-1"))}
    second = first._replace(**other)
    wrong: Entitlements = {
        evidence: Entitlement(Rule("wrong", ("source", ORDERS), ANY_TENANT), ANY_TENANT) for evidence in entitlements
    }
    alone, with_others = decide(second, found.rules), decide(second, found.rules, found.find, wrong)
    assert (with_others.rule == "wrong") == (set(other) == {"requested_tenant"} and alone.reason != "tenant_malformed")
    if with_others.rule != "wrong":
        assert repr(with_others) == repr(alone)


def test_registry_is_asked_for_each_record_of_a_batch() -> None:
    """Trap D6: a tenant that is suspended within a batch is refused from its next record on."""
    found, answers = record_map(SHOP), [True, False, True]
    entitlements: Entitlements = {}

    def find(name: str) -> Tenant:
        return Tenant(name, active=answers.pop(0))

    subject = Subject(requested_tenant="blue", source=ORDERS, sender=Sender(ROLE, "i-1"))
    reasons = [decide(subject, found.rules, find, entitlements).reason for _ in range(3)]
    assert reasons == ["allowed", "tenant_suspended", "allowed"]


@pytest.mark.parametrize("sender", [None, Sender(ROLE, "i-1"), Sender(ROLE), Sender(USER)])
@pytest.mark.parametrize("source", [ORDERS, BLUE_ORDERS, f"{ORDERS}.fifo"])
def test_record_has_the_decision_of_the_steps_for_all_subjects(sender: Sender | None, source: str) -> None:
    """A record of a batch skips the steps for callers. An equal caller that is another object takes them all."""
    found = record_map(SHOP, BLUE_QUEUE, f'sender = {{ user_id = "{USER}" }}\ndeny = true')
    for claim in (None, "blue", "green", "red", "a b"):
        skipping, all_steps = (
            decide(Subject(one, {}, claim, source=source, sender=sender), found.rules) for one in (ANONYMOUS, Caller())
        )
        assert (skipping.tenant, skipping.rule, skipping.chosen_by) == (
            all_steps.tenant,
            all_steps.rule,
            all_steps.chosen_by,
        )
        assert repr(skipping.refusal) == repr(all_steps.refusal)
