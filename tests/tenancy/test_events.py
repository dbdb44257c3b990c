"""Decisions for events of a bus: the account and the bus are evidence, narrowed by the event's source and detail type.

Also for records of streams and tables, whose only evidence is their source.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Decision, TenantMap
from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.message import BusEvent
from lattice_bridge.tenancy.anchors import ANCHORS, broader_keys, broader_owning_keys, event_account_key, source_key
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject
from tests.support.decision_reference import (
    EVENT_ANCHORS,
    Asked,
    Headers,
    Map,
    Table,
    event_maps,
    events,
    expected,
    is_rival,
    sensible,
    tenant_headers,
)
from tests.support.examples import examples

ACCOUNT, OTHER = "111122223333", "444455556666"
BUS: Final = f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/orders"
STREAM: Final = f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/clicks"
TABLE: Final = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/orders"
QUEUE: Final = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"
SOURCES: Final = (BUS, STREAM, TABLE, QUEUE)
HEAD: Final = "[tenants]\nblue = {}\ngreen = {}\nold = { status = 'suspended' }\n" + "".join(
    f'[[event_source]]\narn = "{arn}"\nfunction = "orders"\nquarantine = "{QUEUE}-poison"\n' for arn in SOURCES
)
ACCEPTED: Final = 'accept_risk = "a test"'
OF_SHOP: Final = f'event_account = "{OTHER}"\nbus_source = "shop"\ntenants = ["blue", "green"]\n{ACCEPTED}'
OF_ACCOUNT: Final = f'event_account = "{OTHER}"\ntenant = "green"'
OF_BUS: Final = f'source = "{BUS}"\ntenants = "*"\n{ACCEPTED}'


def event_map(*rules: str) -> TenantMap:
    """A map with a bus, a stream, a table and a queue, and a rule of each text."""
    tables = (f'[[rule]]\nid = "r{number}"\n{text}\n' for number, text in enumerate(rules))
    return TenantMap.from_toml(HEAD + "".join(tables))


def decided(
    found: TenantMap,
    claim: str | None = None,
    source: str = "shop",
    detail_type: str = "Order placed",
    account: str = OTHER,
) -> Decision:
    event = BusEvent(account, source, detail_type)
    return decide(Subject(requested_tenant=claim, source=BUS, bus_event=event), found.rules)


def test_account_of_an_event_is_evidence_and_its_detail_only_chooses() -> None:
    """Trap E2: the detail is the publisher's word."""
    found = event_map(f'event_account = "{OTHER}"\ntenants = ["blue", "green"]')
    assert decided(found, "blue").tenant == "blue"
    assert decided(found, "old").reason == "tenant_not_allowed"
    assert decided(found).reason == "ambiguous"
    assert decided(found, "blue", account=ACCOUNT).reason == "no_rule"
    assert decided(found, "blue", account="").reason == "no_rule"


@pytest.mark.parametrize(
    ("bus_source", "detail_type", "tenant"),
    [
        ("shop", "Order placed", "t-both"),
        ("shop", "Order sent", "t-source"),
        ("till", "Order placed", "t-type"),
        ("till", "Order sent", "t-alone"),
        ("shop.x", "Order placed.x", "t-alone"),
        ("SHOP", "order placed", "t-alone"),
        ("", "", "t-alone"),
    ],
)
@pytest.mark.parametrize("anchor", [f'event_account = "{OTHER}"', f'source = "{BUS}"'])
def test_rule_for_the_smallest_part_of_the_events_owns_one(
    anchor: str, bus_source: str, detail_type: str, tenant: str
) -> None:
    """Its source counts more than its detail type. Both are compared in full."""
    parts = {
        "t-alone": "",
        "t-type": f'detail_type = "Order placed"\n{ACCEPTED}',
        "t-source": f'bus_source = "shop"\n{ACCEPTED}',
        "t-both": f'bus_source = "shop"\ndetail_type = "Order placed"\n{ACCEPTED}',
    }
    names = "".join(f"{name} = {{}}\n" for name in parts)
    rules = [f'[[rule]]\nid = "{name}"\n{anchor}\n{part}\ntenant = "{name}"\n' for name, part in parts.items()]
    found = TenantMap.from_toml(HEAD.replace("[tenants]\n", f"[tenants]\n{names}") + "".join(rules))
    decision = decided(found, None, bus_source, detail_type)
    assert (decision.tenant, decision.rule) == (tenant, tenant)


def test_rules_for_the_account_and_for_the_bus_must_agree() -> None:
    """Trap E3: two kinds of evidence. Of each the smallest part decides, and no broader rule is tried."""
    found = event_map(OF_SHOP, OF_ACCOUNT, f'source = "{BUS}"\ntenant = "blue"')
    assert decided(found).tenant == "blue"
    assert decided(found, "green").reason == "tenant_not_allowed"
    assert decided(found, source="till").reason == "conflict"
    assert decided(found, source="till", account=ACCOUNT).tenant == "blue"


@pytest.mark.parametrize("source", ["aws.s3", "aws.events", "aws.partner/example.com/1", "aws."])
def test_event_that_aws_wrote_needs_a_rule_that_names_its_source(source: str) -> None:
    """Trap E5: a rule for an account, a bus or a detail type is for what programs publish. AWS also writes events
    there, such as those of a schedule, about any tenant's resources."""
    by_type = f'detail_type = "Order placed"\n{ACCEPTED}\ntenant = "blue"'
    broad = (OF_ACCOUNT, OF_BUS, f'event_account = "{OTHER}"\n{by_type}', f'source = "{BUS}"\n{by_type}')
    refused = decided(event_map(*broad), "blue", source)
    assert (refused.reason, refused.rule) == ("no_rule", None)
    assert "bus_source" in str(refused.refusal)
    for anchor in (f'event_account = "{OTHER}"', f'source = "{BUS}"'):
        found = event_map(*broad, f'{anchor}\nbus_source = "{source}"\ntenant = "blue"')
        assert decided(found, None, source).tenant == "blue"


@pytest.mark.parametrize("source", ["aws", "AWS.s3", " aws.s3", "my-aws.s3"])
def test_source_that_only_looks_like_one_of_aws_is_the_publishers_word(source: str) -> None:
    """Trap E2: EventBridge refuses `aws.` at the beginning from other publishers, and nothing else."""
    found = event_map(OF_ACCOUNT, f'event_account = "{OTHER}"\nbus_source = "aws.s3"\ntenant = "blue"')
    assert decided(found, None, source).tenant == "green"


@pytest.mark.parametrize(
    "deny",
    [
        f'event_account = "{OTHER}"',
        f'event_account = "{OTHER}"\nbus_source = "aws.s3"',
        f'event_account = "{OTHER}"\ndetail_type = "Object Created"',
        f'event_account = "{OTHER}"\nbus_source = "aws.s3"\ndetail_type = "Object Created"',
        f'source = "{BUS}"',
        f'source = "{BUS}"\nbus_source = "aws.s3"',
        f'source = "{BUS}"\ndetail_type = "Object Created"',
        f'source = "{BUS}"\nbus_source = "aws.s3"\ndetail_type = "Object Created"',
    ],
)
def test_event_of_aws_escapes_no_deny_rule(deny: str) -> None:
    """Trap E5: the rule that names its source allows it, and every deny rule that fits wins."""
    own = f'event_account = "{OTHER}"\nbus_source = "aws.s3"\ndetail_type = "Object Created"\ntenant = "blue"'
    assert decided(event_map(own), None, "aws.s3", "Object Created").tenant == "blue"
    assert decided(event_map(own, f"{deny}\ndeny = true"), None, "aws.s3", "Object Created").reason == "denied"


@pytest.mark.parametrize(
    "claim", ["a#b", "blue\n", " blue", "blue ", "", "b" * 257, "blue\x00", "ｂｌｕｅ", "blue,green", "*"]
)
@pytest.mark.parametrize("source", SOURCES)
def test_claim_outside_of_the_grammar_is_never_cut_into_a_tenant(source: str, claim: str) -> None:
    """Trap E21: for a record of each service."""
    found = event_map(f'source = "{source}"\ntenants = "*"\n{ACCEPTED}')
    event = BusEvent(OTHER, "shop", "Order placed") if source == BUS else None
    subject = Subject(requested_tenant=claim, source=source, bus_event=event)
    assert decide(subject, found.rules).reason == "tenant_malformed"
    assert decide(subject._replace(requested_tenant="blue"), found.rules).tenant == "blue"


@pytest.mark.parametrize("source", [STREAM, TABLE])
def test_record_of_a_stream_has_its_source_alone_as_evidence(source: str) -> None:
    """Trap E5: it is compared in full, and rules for senders and accounts mean nothing for it."""
    sender = 'sender = { role_id = "AROADBQP57FF2AEXAMPLE" }\ntenant = "blue"'
    found = event_map(sender, OF_ACCOUNT, OF_BUS, f'source = "{source}"\ntenant = "blue"')
    assert decide(Subject(source=source), found.rules).tenant == "blue"
    for other in (f"{source}2", source.replace("west", "east"), source.replace(ACCOUNT, OTHER), f"{source}/stream/1"):
        assert decide(Subject(source=other), found.rules).reason == "no_rule"


def test_broader_keys_of_a_part_of_the_events() -> None:
    """`check` and `diff` use them. Rules that do not name a source of AWS deny its events, and allow none."""
    for key_of, whole in ((event_account_key, OTHER), (source_key, BUS)):
        both = key_of(whole, "shop", "Order placed")
        keys = (key_of(whole, "shop"), key_of(whole, detail_type="Order placed"), key_of(whole))
        assert broader_keys(both) == broader_owning_keys(both) == keys
        of_aws = key_of(whole, "aws.s3", "Order placed")
        assert broader_keys(of_aws) == (key_of(whole, "aws.s3"), *keys[1:])
        assert broader_owning_keys(of_aws) == (key_of(whole, "aws.s3"),)
        assert broader_owning_keys(key_of(whole, "aws.s3")) == ()
        assert {both[0], key_of(whole)[0]} <= set(ANCHORS)


# ---- every map ------------------------------------------------------------------------------------------------------

several: Final = st.lists(tenant_headers, min_size=3, max_size=3)
denies = st.builds(sensible, st.sampled_from(EVENT_ANCHORS), st.just({"deny": True}), st.just({}))


def asked_with(who: list[Asked], headers: list[Headers]) -> list[Asked]:
    return [replace(one, headers=lines) for one in who for lines in headers]


@settings(max_examples=examples(80), deadline=None)
@given(event_maps, st.lists(events, min_size=8, max_size=8), several, st.randoms())
def test_decision_equals_a_scan_of_all_rules(
    one: Map, who: list[Asked], headers: list[Headers], dice: random.Random
) -> None:
    """1,920 pairs of a map and an event. Neither the order of rules changes one, nor compiling the map."""
    found = one.load()
    shuffled = replace(one, rules=tuple(dice.sample(one.rules, len(one.rules)))).load()
    compiled = TenantMap.from_document(parse_document(compile_document(Document(one.tables, ""), Path())))
    compiled.find = found.find if not one.closed else compiled.find
    for asked in asked_with(who, headers):
        decision = asked.decide(found)
        assert decision.tenant == expected(one, asked)
        assert decision.allowed == (decision.tenant is not None)
        for other in (asked.decide(shuffled), asked.decide(compiled)):
            assert (other.tenant, other.rule, other.reason) == (decision.tenant, decision.rule, decision.reason)


@settings(max_examples=examples(60), deadline=None)
@given(event_maps, denies, st.lists(events, min_size=5, max_size=5), several)
def test_adding_a_deny_never_allows_anything(one: Map, deny: Table, who: list[Asked], headers: list[Headers]) -> None:
    before = one.load()
    if any(is_rival(deny, table) for table in one.rules):
        return
    after = replace(one, rules=(*one.rules, {"id": "extra", **deny})).load()
    for asked in asked_with(who, headers):
        now, then = asked.decide(after), asked.decide(before)
        assert now.tenant in (None, then.tenant)
