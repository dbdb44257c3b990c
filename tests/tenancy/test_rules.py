"""Every anchor, condition and outcome of the map, and a naive reading of the same rules to compare with."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Caller, Decision, Request, TenantMap
from lattice_bridge.errors import InvalidMap
from lattice_bridge.identity.principal import BadPrincipal, parse_arn
from lattice_bridge.message import X509, Sender
from lattice_bridge.tenancy.anchors import ANCHORS, CALLER_KEYS, caller_keys, keys_of
from lattice_bridge.tenancy.decide import decide as decide_subject
from lattice_bridge.tenancy.subject import Subject
from tests.support.examples import examples

ONE, TWO = "111122223333", "444455556666"
TENANTS: Final = "[tenants]\nblue = {}\ngreen = {}\nold = { status = 'suspended' }\nroot = {}\n"
VPC = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0b8276c84697e7339"
SERVICE = "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-0a40eebed65f8d69c"
NETWORK = "arn:aws:vpc-lattice:eu-west-1:111122223333:servicenetwork/sn-0bf3f2882e9cc805a"
QUEUE = "arn:aws:sqs:eu-west-1:111122223333:orders"
OTHER_QUEUE = "arn:aws:sqs:eu-west-1:111122223333:other"
SENDER = "AROADBQP57FF2AEXAMPLE"
SUPPORT = "AWSReservedSSO_Support_0123456789abcdef"


def rules(*tables: dict[str, Any]) -> TenantMap:
    """A map of rules given as tables; ids are made up where none is given."""
    lines = [TENANTS]
    if any({"sender", "source"} & set(table) for table in tables):
        lines += [f"[[event_source]]\narn = '{arn}'\nfunction = 'orders'" for arn in (QUEUE, OTHER_QUEUE)]
    for number, table in enumerate(tables):
        lines.append("[[rule]]")
        for key, value in {"id": f"r{number}", **table}.items():
            lines.append(f"{key} = {_toml(value)}")
    return TenantMap.from_toml("\n".join(lines))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def faults(*tables: dict[str, Any]) -> str:
    with pytest.raises(InvalidMap) as caught:
        rules(*tables)
    return "\n".join(caught.value.faults)


def role(name: str, session: str = "i-1", account: str = ONE, partition: str = "aws") -> str:
    return f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}"


def caller(principal: str | None, **fields: Any) -> Caller:
    """A caller that Lattice authenticated as `principal`; None for one that it did not."""
    if principal is None:
        return Caller(**fields)
    iam = parse_arn(principal)
    return Caller(authenticated=True, iam=iam, **{"session_name": iam.session, **fields})


def decide(found: TenantMap, principal: str | None, header: str | None = None, **fields: Any) -> Decision:
    headers = () if header is None else (("x-tenant-id", header),)
    one = Request(version=2, method="GET", path="/", headers=headers, caller=caller(principal, **fields))
    return found.decide(replace(one, service_arn=SERVICE, service_network_arn=NETWORK))


def iam(kind: str, account: str = ONE, partition: str = "aws") -> str:
    return f"arn:{partition}:iam::{account}:{kind}"


# ---- anchors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "matching", "others"),
    [
        (
            {"role": iam("role/team/blue-api")},
            [role("blue-api"), role("BLUE-API"), iam("role/x/blue-api"), role("blue-api", "other")],
            [
                role("blue-api", account=TWO),
                role("blue-api", partition="aws-cn"),
                role("blue-api2"),
                iam("user/blue-api"),
            ],
        ),
        (
            {"role": iam("role/green-dev-*")},
            [role("green-dev-1"), role("Green-Dev-"), role("green-dev-a-b")],
            [role("green-dev"), role("green-devious"), role("x-green-dev-1"), role("green-dev-1", account=TWO)],
        ),
        (
            {"role": iam("role/blue-api"), "session": "i-1", "session_set_by": "ec2"},
            [role("blue-api", "i-1")],
            [role("blue-api", "i-2"), role("blue-api", "I-1"), iam("role/blue-api")],
        ),
        (
            {"user": iam("user/team/ann")},
            [iam("user/ann"), iam("user/other/Ann")],
            [iam("user/ann2"), iam("user/ann", TWO), role("ann"), iam("role/ann")],
        ),
        (
            {"sso": {"account": ONE, "permission_set": "Support"}},
            [role(SUPPORT), role(SUPPORT.lower(), "ann@example.org")],
            [
                role("AWSReservedSSO_Support_ReadOnly_0123456789abcdef"),
                role("AWSReservedSSO_Support_0123456789abcde"),
                role("AWSReservedSSO_Support_0123456789abcdefa"),
                role("Support"),
                role(SUPPORT, account=TWO),
                role(SUPPORT, partition="aws-us-gov"),
            ],
        ),
        (
            {"sso": {"account": f"aws-us-gov:{ONE}", "permission_set": "Support"}},
            [role(SUPPORT, partition="aws-us-gov")],
            [role(SUPPORT)],
        ),
        (
            {"account": ONE},
            [role("x"), iam("user/x"), iam("role/x")],
            [
                role("x", account=TWO),
                role("x", partition="aws-cn"),
                None,
                iam("root"),
                f"arn:aws:sts::{ONE}:federated-user/x",
            ],
        ),
        ({"account": f"aws-cn:{ONE}"}, [role("x", partition="aws-cn")], [role("x")]),
        ({"root": iam("root")}, [iam("root")], [iam("root", TWO), iam("user/root"), role("root")]),
        (
            {"federated_user": f"arn:aws:sts::{ONE}:federated-user/ann", "session_set_by": "the login service"},
            [f"arn:aws:sts::{ONE}:federated-user/ann"],
            [f"arn:aws:sts::{ONE}:federated-user/Ann", iam("user/ann"), role("ann")],
        ),
        ({"anyone": True, "accept_risk": "x"}, [None], [role("x"), iam("root")]),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else "",
)
def test_anchor_matches_its_callers_and_no_others(
    anchor: dict[str, Any], matching: list[str | None], others: list[str | None]
) -> None:
    """Traps B2, B3, B4, B5, B6, B8, B9, B12."""
    found = rules({**anchor, "tenant": "blue"})
    assert [decide(found, principal).tenant for principal in matching] == ["blue"] * len(matching)
    assert [decide(found, principal).tenant for principal in others] == [None] * len(others)


def test_vpc_alone_matches_callers_without_another_rule() -> None:
    found = rules(
        {"vpc": "vpc-0b8276c84697e7339", "tenant": "blue", "accept_risk": "x"},
        {"role": iam("role/a"), "tenant": "green"},
    )
    assert decide(found, None, source_vpc_arn=VPC).tenant == "blue"
    assert decide(found, role("b"), source_vpc_arn=VPC).tenant == "blue"
    assert decide(found, role("a"), source_vpc_arn=VPC).tenant == "green"
    assert decide(found, None, source_vpc_arn=VPC.replace("339", "330")).tenant is None


@pytest.mark.parametrize(
    ("name", "between"),
    [
        (SUPPORT, [{"id": "sso", "sso": {"account": ONE, "permission_set": "Support"}}]),
        ("a-b-c", [{"id": "longer", "role": iam("role/a-b-*")}, {"id": "shorter", "role": iam("role/a-*")}]),
    ],
)
def test_most_specific_anchor_owns_the_request(name: str, between: list[dict[str, Any]]) -> None:
    ladder: list[dict[str, Any]] = [
        {"id": "session", "role": iam(f"role/{name}"), "session": "s-1", "session_set_by": "x"},
        {"id": "role", "role": iam(f"role/{name}")},
        *between,
        {"id": "account", "account": ONE},
    ]
    for start, rule in enumerate(ladder):
        found = rules(*({**table, "tenant": "blue"} for table in ladder[start:]))
        assert decide(found, role(name, "s-1")).rule == rule["id"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"role": iam("role/*-acme")}, "a * that is not at its end"),
        ({"role": "arn:aws:sts::111122223333:assumed-role/*"}, "the prefix does not end in a delimiter"),
        ({"role": iam("role/tenant-a*")}, "end it in one of - _ . @ = + ,"),
        ({"role": iam("role/*")}, "the prefix does not end in a delimiter"),
        ({"role": iam("role/team/*")}, "the prefix does not end in a delimiter"),
        ({"role": iam("role/AWSReservedSSO_Support_*")}, "Fix: write sso ="),  # which Support_ReadOnly begins with
        ({"role": iam("role/aws-reserved/sso.amazonaws.com/awsreservedsso_Support_*")}, "Fix: write sso ="),
        ({"role": iam("role/AWSReservedSSO_*")}, "Fix: write sso ="),
        ({"role": iam("role/a?c")}, "no known shape"),
        ({"role": iam("user/x")}, "is of the kind user"),
        ({"user": role("x")}, "is of the kind assumed-role"),
        ({"account": "11112222333"}, "is not twelve digits"),
        ({"account": "١١١١٢٢٢٢٣٣٣٣"}, "is not twelve digits"),
        ({"sso": {"account": ONE, "permission_set": "Support*"}}, "is not the name of one"),
        ({"root": iam("user/root")}, "is of the kind user"),
        ({"role": iam("role/a"), "user": iam("user/a")}, "has role and user as its anchor. Fix: write exactly one of"),
        ({}, "has none as its anchor"),
        ({"role": iam("role/a-*"), "session": "s-1", "session_set_by": "x"}, "named exactly"),
        ({"account": ONE, "session": "s-1", "session_set_by": "x"}, "session needs a role"),
        ({"role": iam("role/a"), "session": "a/b", "session_set_by": "x"}, "write 2 to 64"),
        ({"role": iam("role/a"), "vpc": "vpc-1"}, "is not a valid value. Fix: write it in the form vpc-"),
        ({"role": iam("role/a"), "org": []}, "an empty list"),
        ({"role": iam("role/a"), "service": "svc-1"}, "is not a valid value. Fix: write it in the form arn"),
        ({"anyone": True, "accept_risk": "x", "org": "o-a1b2c3d4e5"}, "org never holds for anyone"),
        (
            {"vpc": ["vpc-0b8276c8", "vpc-0b8276c9"], "accept_risk": "x"},
            "Fix: write one value",
        ),
    ],
)
def test_malformed_rule_is_refused_with_its_fix(table: dict[str, Any], message: str) -> None:
    """Traps A11, B7, B8."""
    assert message in faults({**table, "tenant": "blue"})


# ---- acknowledgements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"anyone": True, "tenant": "blue"}, "accept_risk"),
        ({"vpc": "vpc-0b8276c84697e7339", "tenant": "blue"}, "accept_risk"),
        ({"role": iam("role/a"), "session": "s-1", "tenant": "blue"}, "session_set_by"),
        ({"role": iam("role/a"), "tenant_from": "session"}, "session_set_by"),
        ({"federated_user": f"arn:aws:sts::{ONE}:federated-user/a", "tenant": "blue"}, "session_set_by"),
        (
            {"role": iam("role/a"), "tenant_from": "x509_san_uri", "template": "spiffe://x.org/{tenant}"},
            "x509_set_by",
        ),
    ],
)
def test_risk_without_acknowledgement_is_refused(table: dict[str, Any], key: str) -> None:
    """Traps A1, B10, B13, B16."""
    assert f"{key} = " in faults(table)
    assert f"{key} = " in faults({**table, key: "  "})
    assert rules({**table, key: "the platform team"}).rules.owners


def test_acknowledgement_without_risk_is_refused() -> None:
    for key in ("accept_risk", "session_set_by", "x509_set_by"):
        assert f"{key} acknowledges nothing here" in faults({"role": iam("role/a"), "tenant": "blue", key: "x"})


def test_deny_needs_no_acknowledgement() -> None:
    found = rules({"account": ONE, "tenant": "blue"}, {"role": iam("role/a"), "session": "i-0bad", "deny": True})
    assert decide(found, role("a", "i-0bad")).reason == "denied"
    assert decide(found, role("a", "i-0good")).tenant == "blue"


# ---- conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "having", "lacking"),
    [
        ({"vpc": "vpc-0b8276c84697e7339"}, {"source_vpc_arn": VPC}, {"source_vpc_arn": VPC.replace("339", "330")}),
        ({"vpc": ["vpc-0b8276c8", VPC]}, {"source_vpc_arn": VPC}, {}),
        ({"org": "o-a1b2c3d4e5"}, {"org_id": "o-a1b2c3d4e5"}, {"org_id": "o-a1b2c3d4e6"}),
        ({"org": ["o-a1b2c3d4e5", "o-a1b2c3d4e6"]}, {"org_id": "o-a1b2c3d4e6"}, {}),
    ],
)
def test_failed_condition_refuses_without_trying_a_broader_rule(
    condition: dict[str, Any], having: dict[str, Any], lacking: dict[str, Any]
) -> None:
    found = rules({"role": iam("role/a"), "tenant": "blue", **condition}, {"account": ONE, "tenants": "*"})
    assert decide(found, role("a"), **having).tenant == "blue"
    assert (decide(found, role("a"), "green", **lacking).reason, decide(found, role("b"), "green").tenant) == (
        "condition_failed",
        "green",
    )


def test_conditions_on_service_and_network() -> None:
    table = {"role": iam("role/a"), "tenant": "blue"}
    assert decide(rules({**table, "service": SERVICE, "network": NETWORK}), role("a")).tenant == "blue"
    assert decide(rules({**table, "service": SERVICE + "0"}), role("a")).reason == "condition_failed"
    v1 = Request(version=1, method="GET", path="/", caller=caller(role("a")))
    assert rules({**table, "service": SERVICE}).decide(v1).reason == "condition_failed"


def test_deny_with_a_condition_denies_where_it_holds() -> None:
    found = rules({"account": ONE, "tenant": "blue"}, {"account": ONE, "vpc": "vpc-0b8276c84697e7339", "deny": True})
    assert decide(found, role("a"), source_vpc_arn=VPC).reason == "denied"
    assert decide(found, role("a"), source_vpc_arn=VPC.replace("339", "330")).tenant == "blue"


def test_deny_that_does_not_apply_changes_nothing() -> None:
    found = rules(
        {"role": f"arn:aws:iam::{ONE}:role/a", "tenant": "blue"},
        {"role": f"arn:aws:iam::{ONE}:role/a", "vpc": "vpc-00000000000000000", "deny": True},
        {"account": ONE, "tenant": "green"},
    )
    assert decide(found, role("a"), source_vpc_arn=VPC).tenant == "blue"


def test_vpc_arn_matches_only_that_vpc() -> None:
    found = rules({"vpc": VPC, "tenant": "blue", "accept_risk": "x"})
    assert decide(found, None, source_vpc_arn=VPC).tenant == "blue"
    elsewhere = decide(found, None, source_vpc_arn=VPC.replace(ONE, TWO))
    assert (elsewhere.tenant, elsewhere.reason) == (None, "condition_failed")


def test_deny_applies_to_an_event_without_the_fact() -> None:
    """A V1 event names no service; nothing may be gained by coming through a V1 target group."""
    found = rules({"role": iam("role/a"), "tenant": "blue"}, {"role": iam("role/a"), "service": SERVICE, "deny": True})
    v1 = Request(version=1, method="GET", path="/", caller=caller(role("a")))
    assert found.decide(v1).reason == "denied"
    assert decide(found, role("a")).reason == "denied"
    assert found.decide(replace(v1, version=2, service_arn=SERVICE + "0")).tenant == "blue"


def test_root_and_federated_users_match_only_their_own_anchor() -> None:
    """Trap B12."""
    federated = f"arn:aws:sts::{ONE}:federated-user/x"
    broad = [{"account": ONE, "tenant": "blue"}, {"vpc": "vpc-0b8276c84697e7339", "tenant": "blue", "accept_risk": "x"}]
    for principal in (iam("root"), federated):
        assert decide(rules(*broad), principal, source_vpc_arn=VPC).reason == "no_rule"
    own = {"federated_user": federated, "tenant": "green", "session_set_by": "x"}
    assert decide(rules(*broad, own), federated, source_vpc_arn=VPC).tenant == "green"
    assert (
        decide(rules({"account": ONE, "deny": True}, {"root": iam("root"), "tenant": "blue"}), iam("root")).reason
        == "denied"
    )


def test_two_spellings_of_one_vpc_are_refused() -> None:
    """Trap D2."""
    tables = [{"vpc": text, "tenant": "blue", "accept_risk": "x"} for text in (VPC, "vpc-0b8276c84697e7339")]
    assert "is for the same callers" in faults(*tables)


def test_broader_deny_beats_a_more_specific_rule() -> None:
    found = rules({"role": iam("role/a"), "tenant": "blue"}, {"account": ONE, "deny": True})
    assert decide(found, role("a")).reason == "denied"


# ---- a tenant's name out of what the caller carries ------------------------------------------------------------------

BROKER = {"role": iam("role/broker"), "tenant_from": "session", "session_set_by": "the broker's code"}
WORKLOAD = {"role": iam("role/wl"), "tenant_from": "x509_san_uri", "x509_set_by": "our CA"}


@pytest.mark.parametrize(
    ("template", "session", "tenant"),
    [
        ("{tenant}", "blue", "blue"),
        ("t-{tenant}", "t-blue", "blue"),
        ("t-{tenant}-x", "t-blue-x", "blue"),
        ("t-{tenant}", "T-blue", None),
        ("t-{tenant}", "t-", None),
        ("t-{tenant}", "blue", None),
        ("t-{tenant}", "x-t-blue", None),
        ("t-{tenant}", "t-Blue", None),
        ("a{tenant}a", "aa", None),
        ("{tenant}", "unknown", None),
        ("{tenant}", "old", None),
    ],
)
def test_session_name_gives_the_tenant_in_its_pattern(template: str, session: str, tenant: str | None) -> None:
    found = rules({**BROKER, "template": template})
    assert decide(found, role("broker", session)).tenant == tenant
    assert decide(found, role("other", session)).tenant is None
    assert decide(found, role("broker", session, account=TWO)).tenant is None


def test_header_does_not_override_the_session() -> None:
    assert decide(rules(BROKER), role("broker", "blue"), "green").reason == "tenant_not_allowed"
    assert decide(rules(BROKER), role("broker", "blue"), "blue").tenant == "blue"


@pytest.mark.parametrize(
    ("uri", "tenant"),
    [
        ("spiffe://example.org/t/blue/api", "blue"),
        ("spiffe://example.org/t/green/api", "green"),
        ("spiffe://example.org/t/blue/../green/api", None),
        ("spiffe://example.org/t/blue/green/api", None),
        ("spiffe://example.org/t/blue%2fgreen/api", None),
        ("spiffe://example.org/t/bl%75e/api", None),
        ("spiffe://Example.org/t/blue/api", None),
        ("SPIFFE://example.org/t/blue/api", None),
        ("spiffe://example.org/t//api", None),
        ("spiffe://example.org//t/blue/api", None),
        ("spiffe://example.org/t/./api", None),
        ("spiffe://example.org/t/../api", None),
        ("spiffe://example.org/t/blue/api/", None),
        ("spiffe://example.org/t/blue/api\n", None),
        ("spiffe://example.org/t/blue/api?x", None),
        ("spiffe://example.org.evil.org/t/blue/api", None),
        ("spiffe://example.org/t/{tenant}/api", None),
        ("spiffe://example.org/t/" + "b" * 3000 + "/api", None),
        (None, None),
    ],
)
def test_spiffe_id_is_validated_before_a_segment_is_read(uri: str | None, tenant: str | None) -> None:
    """Traps B14, B15."""
    found = rules({**WORKLOAD, "template": "spiffe://example.org/t/{tenant}/api"})
    assert decide(found, role("wl"), x509=X509(san_uri=uri)).tenant == tenant
    assert decide(found, role("other"), x509=X509(san_uri=uri)).tenant is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({**BROKER, "template": "blue"}, "{tenant} once"),
        ({**BROKER, "template": "{tenant}{tenant}"}, "no other brace"),
        ({**BROKER, "template": "{tenant}{x}"}, "no other brace"),
        ({**WORKLOAD, "template": "spiffe://example.org/t-{tenant}"}, "whole segment"),
        ({**WORKLOAD, "template": "spiffe://example.org/{tenant}-t"}, "whole segment"),
        ({**WORKLOAD, "template": "spiffe://{tenant}/a"}, "whole segment"),
        ({**WORKLOAD, "template": "https://example.org/{tenant}"}, "SPIFFE id"),
        ({**WORKLOAD}, "SPIFFE id"),
        ({**WORKLOAD, "role": iam("role/wl-*"), "template": "spiffe://x.org/{tenant}"}, "named exactly"),
        ({"account": ONE, "tenant_from": "session", "session_set_by": "x"}, "only a role has sessions"),
        ({**BROKER, "session": "blue"}, "one session is one tenant"),
        ({"role": iam("role/a"), "tenant": "blue", "template": "x-{tenant}"}, "is only used with tenant_from"),
        (
            {**BROKER, "tenant": "blue"},
            "has tenant and tenant_from as its outcome",
        ),
    ],
)
def test_ambiguous_template_is_refused(table: dict[str, Any], message: str) -> None:
    assert message in faults(table)


# ---- the same rules, read in the most obvious way --------------------------------------------------------------------

NAMES = ("a", "a-b", "a-b-c", "AWSReservedSSO_Set_0123456789abcdef", "AWSReservedSSO_Set_x_0123456789abcdef")
TENANT_IDS = ("blue", "green", "old", "root")
LADDER = ("session", "role", "sso", "prefix", "exact", "account", "vpc", "anyone")

anchors = st.one_of(
    st.builds(lambda n, a: {"role": iam(f"role/{n}", a)}, st.sampled_from(NAMES), st.sampled_from([ONE, TWO])),
    st.builds(
        lambda n, s: {"role": iam(f"role/{n}"), "session": s, "session_set_by": "x"},
        st.sampled_from(NAMES),
        st.sampled_from(["s-1", "blue"]),
    ),
    st.builds(
        lambda p, a: {"role": iam(f"role/{p}*", a)},
        st.sampled_from(["a-", "a-b-"]),
        st.sampled_from([ONE, TWO]),
    ),
    st.builds(
        lambda s, a: {"sso": {"account": a, "permission_set": s}},
        st.sampled_from(["Set", "Set_x", "set"]),
        st.sampled_from([ONE, TWO]),
    ),
    st.builds(lambda a: {"account": a}, st.sampled_from([ONE, TWO, f"aws-cn:{ONE}"])),
    st.builds(lambda a: {"user": iam("user/a", a)}, st.sampled_from([ONE, TWO])),
    st.just({"root": iam("root")}),
    st.just({"sender": {"role_id": SENDER}}),
    st.just({"sender": {"role_id": SENDER, "session": "blue"}, "session_set_by": "x"}),
    st.builds(lambda arn: {"source": arn, "accept_risk": "x"}, st.sampled_from([QUEUE, OTHER_QUEUE])),
    st.just({"vpc": VPC, "accept_risk": "x"}),
    st.just({"anyone": True, "accept_risk": "x"}),
)
outcomes = st.one_of(
    st.just({"deny": True}),
    st.just({"tenants": "*"}),
    st.builds(lambda t: {"tenant": t}, st.sampled_from(TENANT_IDS)),
    st.builds(lambda t: {"tenants": sorted(t)}, st.sets(st.sampled_from(TENANT_IDS), min_size=1)),
)
conditions: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}), st.just({"org": "o-a1b2c3d4e5"}), st.just({"service": SERVICE + "0"})
)
principals = st.one_of(
    st.none(),
    st.builds(
        role,
        st.sampled_from(NAMES),
        st.sampled_from(["s-1", "blue"]),
        st.sampled_from([ONE, TWO]),
        st.sampled_from(["aws", "aws-cn"]),
    ),
    st.sampled_from([iam("user/a"), iam("user/A", TWO), iam("root"), iam("role/a"), iam("root", TWO)]),
)


def anchor_fits(table: dict[str, Any], who: Caller) -> tuple[int, int] | None:
    """How specific a rule is for a caller, the smaller the more; None if it is not for it."""
    if {"sender", "source"} & set(table):
        return None
    iam_ = who.iam
    if table.get("anyone"):
        return None if who.authenticated else (LADDER.index("anyone"), 0)
    named = iam_ is not None and iam_.kind in ("root", "federated-user")
    if named and not table.get("deny") and not {"root", "federated_user"} & set(table):
        return None
    if "vpc" in table:
        return (LADDER.index("vpc"), 0) if who.source_vpc_arn == table["vpc"] else None
    if iam_ is None:
        return None
    where = (iam_.partition, iam_.account)
    if "account" in table:
        partition, _, account = table["account"].rpartition(":")
        return (LADDER.index("account"), 0) if where == (partition or "aws", account) else None
    is_role = iam_.kind in ("role", "assumed-role")
    if "sso" in table:
        name, wanted = iam_.name, f"AWSReservedSSO_{table['sso']['permission_set']}_"
        fits = is_role and name[:-16].lower() == wanted.lower() and where == ("aws", table["sso"]["account"])
        return (LADDER.index("sso"), 0) if fits else None
    for kind in ("user", "root"):
        if kind in table:
            other = parse_arn(table[kind])
            same = (iam_.kind, iam_.name.lower(), *where) == (kind, other.name.lower(), other.partition, other.account)
            return (LADDER.index("exact"), 0) if same else None
    pattern = table["role"].rpartition("/")[2]
    if not is_role or where != tuple(table["role"].split(":")[1:5:3]):
        return None
    if pattern.endswith("*"):
        fits = iam_.name.lower().startswith(pattern[:-1].lower())
        return (LADDER.index("prefix"), -len(pattern)) if fits else None
    if iam_.name.lower() != pattern.lower():
        return None
    if "session" in table:
        return (LADDER.index("session"), 0) if who.session_name == table["session"] else None
    return (LADDER.index("role"), 0)


def naive(tables: list[dict[str, Any]], who: Caller, header: str | None) -> str | None:
    """The tenant, by looking at every rule."""
    holding = {
        index: ("org" not in table or who.org_id == table["org"] or (table.get("deny") and who.org_id is None))
        and "service" not in table
        for index, table in enumerate(tables)
    }
    fitting = {index: fit for index, table in enumerate(tables) if (fit := anchor_fits(table, who)) is not None}
    if any(tables[index].get("deny") and holding[index] for index in fitting):
        return None
    owners = sorted((fit, index) for index, fit in fitting.items() if not tables[index].get("deny"))
    if not owners or not holding[owners[0][1]]:
        return None
    table = tables[owners[0][1]]
    allowed = list(TENANT_IDS) if table.get("tenants") == "*" else table.get("tenants", [table.get("tenant")])
    chosen = header if header is not None else allowed[0] if len(allowed) == 1 else None
    return chosen if chosen in allowed and chosen != "old" else None


def naive_of_record(
    tables: list[dict[str, Any]], source: str, sender: tuple[str, str | None], claim: str | None
) -> str | None:
    """The tenant of a record, by looking at every rule. No rule here is for a sender in one queue only."""
    of_queue = [table for table in tables if table.get("source") == source]
    of_sender = [table for table in tables if table.get("sender") == {"role_id": sender[0]}]
    of_session = [table for table in tables if table.get("sender") == {"role_id": sender[0], "session": sender[1]}]
    if any(table.get("deny") for table in (*of_queue, *of_sender, *of_session)):
        return None
    owners = [*of_queue, *(of_session or of_sender)]
    allowed = set(TENANT_IDS) if owners else set()
    for table in owners:
        allowed &= {*TENANT_IDS} if table.get("tenants") == "*" else {*table.get("tenants", [table.get("tenant")])}
    chosen = claim if claim is not None else next(iter(allowed)) if len(allowed) == 1 else None
    return chosen if chosen in allowed and chosen != "old" else None


def unambiguous(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the rules that the map would refuse beside an earlier one."""
    kept: dict[str, dict[str, Any]] = {}
    for table in tables:
        parts = {
            key: table[key]
            for key in sorted(table)
            if key in ("role", "session", "sso", "account", "user", "root", "sender", "source")
        }
        parts |= {"vpc": table.get("vpc"), "anyone": table.get("anyone")}
        if table.get("deny"):
            parts |= {"deny": True, "org": table.get("org"), "service": table.get("service")}
        kept.setdefault(json.dumps(parts, sort_keys=True).lower(), table)
    return list(kept.values())


def _table(anchor: dict[str, Any], outcome: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    of_records = bool({"sender", "source"} & set(anchor))
    given_ = {**anchor, **outcome, **({} if of_records else condition)}
    if "source" in anchor and len(outcome.get("tenants", [])) < 2 and outcome.get("tenants") != "*":
        given_.pop("accept_risk")
    if outcome.get("deny"):
        given_ = {key: value for key, value in given_.items() if key not in ("accept_risk", "session_set_by")}
    if anchor.get("anyone"):
        given_.pop("org", None)
    return given_


maps = st.lists(st.builds(_table, anchors, outcomes, conditions), min_size=1, max_size=7).map(unambiguous)


@settings(max_examples=examples(250), deadline=None)
@given(
    maps,
    st.lists(
        st.tuples(
            principals,
            st.sampled_from([None, *TENANT_IDS, "unknown"]),
            st.sampled_from([None, "o-a1b2c3d4e5"]),
            st.sampled_from([None, VPC]),
        ),
        min_size=14,
        max_size=14,
    ),
    st.lists(
        st.tuples(
            st.sampled_from([QUEUE, OTHER_QUEUE, f"{QUEUE}.fifo"]),
            st.sampled_from([(SENDER, "blue"), (SENDER, "s-1"), (SENDER, None), (SENDER[:-1], "blue")]),
            st.sampled_from([None, *TENANT_IDS, "unknown"]),
        ),
        min_size=4,
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_index_decides_as_a_scan_of_all_rules(
    tables: list[dict[str, Any]],
    asked: list[tuple[str | None, str | None, str | None, str | None]],
    of_records: list[tuple[str, tuple[str, str | None], str | None]],
    dice: Any,
) -> None:
    """Each map with 14 callers and 4 records."""
    named = [{"id": f"r{number}", **table} for number, table in enumerate(tables)]
    found = rules(*named)
    shuffled = list(named)
    dice.shuffle(shuffled)
    again = rules(*shuffled)
    for principal, header, org, vpc in asked:
        fields = {"org_id": org if principal else None, "source_vpc_arn": vpc}
        decided = decide(found, principal, header, **fields)
        assert decided.tenant == naive(tables, caller(principal, **fields), header)
        other = decide(again, principal, header, **fields)
        assert (other.tenant, other.rule, other.reason) == (decided.tenant, decided.rule, decided.reason)
    for source, sender, claim in of_records:
        subject = Subject(requested_tenant=claim, source=source, sender=Sender(*sender))
        of_record = decide_subject(subject, found.rules)
        assert of_record.tenant == naive_of_record(tables, source, sender, claim)
        other = decide_subject(subject, again.rules)
        assert (other.tenant, other.rule, other.reason) == (of_record.tenant, of_record.rule, of_record.reason)


@pytest.mark.parametrize("field", [one.name for one in fields(Caller) if one.type == "str | None"])
def test_callers_with_long_names_are_not_cached(field: str) -> None:
    """Trap D9: the cache is bounded in bytes, and not only in entries."""
    before = dict(CALLER_KEYS)
    for number in range(20):
        long: dict[str, Any] = {field: f"{number:08000}"}
        assert caller_keys(Subject(replace(Caller(True, parse_arn(iam(f"role/r{number}"))), **long))).every
    assert before == CALLER_KEYS


def test_keys_are_those_that_the_anchors_give() -> None:
    """A field that an anchor reads, and that the cached keys lacked, would make a deny of that anchor apply to none."""
    arn = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1"
    full = Caller(True, parse_arn(iam("role/a-b")), "s", "o-a1b2c3d4e5", arn, X509(san_uri="spiffe://example.org/a"))
    for caller in (full, Caller(source_vpc_arn=arn)):
        subject = Subject(caller)
        given = [key for anchor in ANCHORS.values() for key in anchor.keys(subject)]
        assert list(keys_of(subject)) == given


@pytest.mark.parametrize("partition", ["aws-" + "a" * 17, "aws" + "-a" * 5, "aws" + "-a" * 4000])
def test_partition_that_is_too_long_is_refused(partition: str) -> None:
    """Trap D9: every part of a principal is bounded, since it is a part of cache keys."""
    with pytest.raises(BadPrincipal):
        parse_arn(f"arn:{partition}:iam::{ONE}:role/a")


def test_prefix_of_identity_center_roles_may_deny() -> None:
    """It gives nothing, and one permission set too many that is denied is no leak."""
    found = rules(
        {"id": "account", "account": ONE, "tenant": "blue"},
        {"id": "no", "role": iam("role/AWSReservedSSO_*"), "deny": True},
    )
    assert decide(found, role(SUPPORT)).reason == "denied"
    assert decide(found, role("a")).tenant == "blue"
