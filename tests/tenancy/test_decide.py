"""Decisions: every way to run as another tenant is refused. Read this file first when reviewing security."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Decision, Request, TenantMap, parse_event
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.anchors import ANYONE, role_key
from lattice_bridge.tenancy.rules import ANY_TENANT, Rule, Rules, Tenant
from tests.support.builders import ACCOUNT, OPEN, request, role, tenant_map, v1, v2

BLUE = role("blue-api")
SUPPORT = role("support")
EDGE = role("edge-proxy")
OTHER_ACCOUNT = "444455556666"

MakeEvent = Callable[..., dict[str, Any]]


def decision(event: object, *more: str) -> Decision:
    return tenant_map(*more).decide(parse_event(event))


def decide(one: Request, rules: Rules) -> Decision:
    return TenantMap(rules).decide(one)


def asked(principal: str | None, *tenants: str, name: str = "x-tenant-id") -> Decision:
    return tenant_map().decide(request(principal, *[(name, tenant) for tenant in tenants]))


# ---- who is allowed -------------------------------------------------------------------------------------------------


def test_role_with_one_tenant_needs_no_header() -> None:
    assert asked(BLUE) == Decision("blue", "blue-api", chosen_by="rule")


def test_header_chooses_among_the_tenants_of_the_rule() -> None:
    assert asked(SUPPORT, "green") == Decision("green", "support", chosen_by="header")


def test_role_with_every_tenant_chooses_any_registered_one() -> None:
    assert asked(EDGE, "green").tenant == "green"


def test_decided_tenant_is_the_registrys_own_string() -> None:
    the_map, wanted = tenant_map(), "".join(["gr", "een"])
    decided = the_map.decide(request(EDGE, ("x-tenant-id", wanted)))
    assert decided.tenant is the_map.rules.tenants["green"].id
    assert decided.tenant is not wanted


def test_allowed_decision_has_reason_and_status() -> None:
    decided = asked(BLUE)
    assert (decided.allowed, decided.reason, decided.status) == (True, "allowed", 200)


def test_decision_without_a_tenant_is_not_allowed() -> None:
    assert not Decision().allowed


# ---- the principal --------------------------------------------------------------------------------------------------


def test_caller_without_a_rule_is_refused() -> None:
    """Trap D1."""
    assert (asked(role("stranger")).reason, asked(role("stranger")).status) == ("no_rule", 403)


@pytest.mark.parametrize("tenant", [(), ("blue",)])
def test_same_role_name_in_another_account_is_refused(tenant: tuple[str, ...]) -> None:
    """Trap B4."""
    assert asked(role("blue-api", OTHER_ACCOUNT), *tenant).reason == "no_rule"


def test_decision_for_one_account_does_not_affect_another() -> None:
    """Traps B4 and D8: there is no cache whose key could lack the account."""
    the_map = tenant_map()
    decided = [the_map.decide(request(role("blue-api", account))).allowed for account in (ACCOUNT, OTHER_ACCOUNT) * 2]
    assert decided == [True, False, True, False]


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov", "aws-iso"])
def test_same_role_in_another_partition_is_refused(partition: str) -> None:
    """Trap B3."""
    assert asked(role("blue-api", partition=partition)).reason == "no_rule"


def test_both_spellings_of_a_session_are_one_caller() -> None:
    """Trap B2."""
    assert asked(f"arn:aws:iam::{ACCOUNT}:assumed-role/blue-api/i-0123") == asked(BLUE)


def test_rule_that_is_written_with_a_path_matches_by_name() -> None:
    """Trap B5."""
    rule = f'[[rule]]\nid = "pathed"\nrole = "arn:aws:iam::{ACCOUNT}:role/teams/blue/deployer"\ntenant = "blue"\n'
    assert tenant_map(rule).decide(request(role("deployer"))).tenant == "blue"


def test_role_names_match_in_any_case() -> None:
    """Trap B6."""
    assert asked(role("Blue-API")).tenant == "blue"


def test_tenants_do_not_match_in_another_case() -> None:
    """Trap B6."""
    assert asked(EDGE, "Blue").reason == "tenant_unknown"


@pytest.mark.parametrize("name", ["blue", "blue-ap", "blue-api2", "blue-api-x", "xblue-api"])
def test_similar_role_name_is_refused(name: str) -> None:
    assert asked(role(name)).reason == "no_rule"


def test_session_named_like_a_mapped_role_is_refused() -> None:
    """Trap B7: a caller who may assume `intern` chooses the session's name."""
    assert asked(role("intern", session="blue-api")).reason == "no_rule"


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:iam::{ACCOUNT}:user/blue-api",
        f"arn:aws:iam::{ACCOUNT}:user/role/blue-api",
        f"arn:aws:sts::{ACCOUNT}:federated-user/blue-api",
    ],
)
def test_other_principal_with_a_roles_name_is_refused(principal: str) -> None:
    """Trap B12."""
    assert asked(principal).reason == "no_rule"


@pytest.mark.parametrize("kind", ["NONE", "aws_iam", "AWS_IAM ", "", None])
def test_principal_of_another_type_than_aws_iam_is_ignored(kind: str | None) -> None:
    """Trap B1."""
    event = v2(BLUE)
    event["requestContext"]["identity"]["type"] = kind
    assert decision(event).reason == "no_credential"


# ---- no credential --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [v1(headers={"x-tenant-id": "blue"}), v2(headers={"x-tenant-id": "blue"})])
def test_anonymous_client_with_tenant_header_is_refused(event: object) -> None:
    """Trap A1."""
    assert (decision(event).reason, decision(event).status) == ("no_credential", 401)


@pytest.mark.parametrize("query", ["x-tenant-id=blue", "tenant=blue", "tenantId=blue"])
def test_tenant_in_the_query_is_ignored(query: str) -> None:
    """Trap A1: the Swift sample took it from there."""
    assert not decision(v2(path=f"/orders?{query}")).allowed


def test_anonymous_client_chooses_if_a_rule_accepts_the_risk() -> None:
    """Trap A1."""
    assert decision(v2(headers={"x-tenant-id": "blue"}), OPEN).tenant == "blue"


def test_caller_with_credential_and_no_rule_does_not_match_anyone() -> None:
    """Trap A1: `anyone` owns a request only when no credential is present."""
    assert decision(v2(role("stranger"), headers={"x-tenant-id": "blue"}), OPEN).reason == "no_rule"


def test_caller_with_a_rule_does_not_fall_through_to_anyone() -> None:
    assert decision(v2(BLUE, headers={"x-tenant-id": "green"}), OPEN).reason == "tenant_not_allowed"


def test_preflight_is_not_exempt() -> None:
    """Trap A14."""
    event = v2(method="OPTIONS", headers={"origin": "https://a.example", "access-control-request-method": "GET"})
    assert decision(event).reason == "no_credential"


@pytest.mark.parametrize("path", ["/health", "/healthz", "/ping", "/favicon.ico", "/.well-known/x"])
def test_health_check_is_not_exempt(path: str) -> None:
    """Trap A14."""
    assert decision(v2(path=path, headers={"x_tenant_id": "blue"})).reason == "reserved_spelling"


# ---- the header -----------------------------------------------------------------------------------------------------


def test_header_that_disagrees_with_the_principal_is_refused() -> None:
    """Trap A2."""
    assert (asked(BLUE, "green").reason, asked(BLUE, "green").status) == ("tenant_not_allowed", 403)


def test_header_outside_the_set_is_refused() -> None:
    assert asked(SUPPORT, "old").reason == "tenant_not_allowed"


def test_several_tenants_and_no_header_is_ambiguous() -> None:
    assert asked(SUPPORT).reason == "ambiguous"


def test_every_tenant_and_no_header_is_ambiguous() -> None:
    assert asked(EDGE).reason == "ambiguous"


@pytest.mark.parametrize("values", [("blue", "green"), ("blue", "blue")])
def test_repeated_tenant_header_is_refused(values: tuple[str, str]) -> None:
    """Trap A3."""
    decided = decision(v2(SUPPORT, headers={"x-tenant-id": list(values)}))
    assert (decided.reason, decided.status) == ("header_repeated", 400)


@pytest.mark.parametrize("value", ["blue,green", "blue, green", "blue,blue", "blue,", ",blue"])
def test_tenant_header_with_a_comma_is_refused(value: str) -> None:
    """Trap A4: it is what V1 makes of two headers."""
    decided = decision(v1(SUPPORT, headers={"x-tenant-id": value}))
    assert (decided.reason, decided.status) == ("tenant_malformed", 400)


@pytest.mark.parametrize("event", [v1, v2])
def test_tenant_header_in_two_cases_is_refused(event: MakeEvent) -> None:
    """Trap A5."""
    decided = decision(event(SUPPORT, headers={"X-Tenant-Id": "blue", "x-tenant-id": "blue"}))
    assert (decided.reason, decided.status) == ("header_repeated", 400)


@pytest.mark.parametrize(
    "name",
    [
        "x_tenant_id",
        "X-Tenant_Id",
        "X_TENANT-ID",
        "x_amz_tenant_id",
        "x-amzn_tenant-id",
        "x_amzn_lattice_identity",
        "X-Amzn-Lattice_Network",
        "x-amzn_lattice-anything",
        "x_lattice_bridge_hops",
    ],
)
@pytest.mark.parametrize("event", [v1, v2])
def test_reserved_header_in_another_spelling_is_refused(event: MakeEvent, name: str) -> None:
    """Trap A6: a server behind a proxy may read `_` as `-`."""
    decided = decision(event(BLUE, headers={name: "blue"}))
    assert (decided.reason, decided.status) == ("reserved_spelling", 400)


def test_other_header_with_underscore_is_accepted() -> None:
    """Trap A6."""
    assert decision(v2(BLUE, headers={"trace_id": "1", "x_tenant": "green"})).tenant == "blue"


def test_configured_tenant_header_in_another_spelling_is_refused() -> None:
    """Trap A6."""
    the_map = tenant_map('[header]\nname = "X-Org"\n')
    assert the_map.decide(request(SUPPORT, ("x-org", "green"))).tenant == "green"
    assert the_map.decide(request(SUPPORT, ("x_org", "green"))).reason == "reserved_spelling"


def test_other_tenant_header_than_the_configured_one_is_ignored() -> None:
    the_map = tenant_map('[header]\nname = "x-org"\n')
    assert the_map.decide(request(SUPPORT, ("x-tenant-id", "green"))).reason == "ambiguous"


def test_identity_header_of_a_v2_client_is_ignored() -> None:
    """Trap A7."""
    forged = {"x-amzn-lattice-identity": f"Principal={BLUE}; Type=AWS_IAM"}
    assert decision(v2(headers=forged)).reason == "no_credential"


def test_identity_and_tenant_header_forged_together_are_refused() -> None:
    """Trap A18."""
    forged = {"x_amzn_lattice_identity": f"Principal={BLUE}; Type=AWS_IAM", "X-Tenant_Id": "blue"}
    assert decision(v1(headers=forged)).status == 400


@pytest.mark.parametrize(
    "value",
    ["", " ", " blue", "blue ", "bl ue", "\tblue", "blue\t", "blue\n", "blue\r\n", "\nblue", "blue\x00", "bl\x0bue"],
)
def test_tenant_header_with_space_or_control_character_is_refused(value: str) -> None:
    """Trap A10."""
    assert asked(EDGE, value).reason == "tenant_malformed"


@pytest.mark.parametrize("value", ["blue\n", "blue\x00", "blue\r\nx-a: b"])
@pytest.mark.parametrize("event", [v1, v2])
def test_event_with_control_character_in_tenant_header_is_refused(event: MakeEvent, value: str) -> None:
    """Trap A10."""
    with pytest.raises(Exception, match="control character") as refused:
        parse_event(event(EDGE, headers={"x-tenant-id": value}))
    assert getattr(refused.value, "status", None) == 400


@pytest.mark.parametrize(
    "value", ["\uff42lue", "bl\u0446e", "blue\u0301", "blue\u200b", "\u212a", "blue\u0661", "blué"]
)
def test_tenant_header_beyond_ascii_is_refused(value: str) -> None:
    """Trap A11."""
    assert asked(EDGE, value).reason == "tenant_malformed"


def test_header_named_with_a_look_alike_is_refused() -> None:
    """Trap A11: the Kelvin sign lower-cases to k."""
    with pytest.raises(Exception, match="not an HTTP token"):
        parse_event(v2(EDGE, headers={"x-\u212aey": "1"}))


@pytest.mark.parametrize("value", ["bl%75e", "blue%20", "%62lue", "blue%00"])
def test_percent_encoded_tenant_is_refused(value: str) -> None:
    """Trap A12."""
    assert asked(EDGE, value).reason == "tenant_malformed"


def test_base64_tenant_is_opaque() -> None:
    """Trap A12: Ymx1ZQ== says blue, and is not blue."""
    assert asked(EDGE, "Ymx1ZQ==").reason == "tenant_unknown"


@pytest.mark.parametrize(("length", "reason"), [(256, "tenant_unknown"), (257, "tenant_malformed")])
def test_tenant_header_is_256_characters_at_most(length: int, reason: str) -> None:
    """Trap A13."""
    assert asked(EDGE, "b" * length).reason == reason


@pytest.mark.parametrize(
    "value", ["-blue", ".", "..", "/blue", "../blue", "@blue", "=blue", "blue#", "blue?", "blue;a"]
)
def test_tenant_header_out_of_grammar_is_refused(value: str) -> None:
    assert asked(EDGE, value).reason == "tenant_malformed"


# ---- deny, registry, what is seen of it -----------------------------------------------------------------------------


def test_deny_rule_wins() -> None:
    assert asked(role("leaked")).reason == "denied"


def test_deny_rule_wins_over_rule_for_the_same_role() -> None:
    deny = f'[[rule]]\nid = "stop"\nrole = "arn:aws:iam::{ACCOUNT}:role/blue-api"\ndeny = true\n'
    assert tenant_map(deny).decide(request(BLUE)) != tenant_map().decide(request(BLUE))
    assert tenant_map(deny).decide(request(BLUE)).reason == "denied"


def test_deny_for_anyone_refuses_only_callers_without_credential() -> None:
    deny = '[[rule]]\nid = "stop"\nanyone = true\ndeny = true\n'
    assert tenant_map(deny).decide(request(None)).reason == "denied"
    assert tenant_map(deny).decide(request(BLUE)).tenant == "blue"


def test_malformed_header_is_refused_before_deny_rules() -> None:
    """Trap A14: sanitising runs first."""
    assert asked(role("leaked"), "blue", "blue").reason == "header_repeated"


def test_suspended_tenant_is_refused_when_the_rule_gives_it() -> None:
    """Trap D6."""
    assert asked(role("leaver")).reason == "tenant_suspended"


def test_suspended_tenant_is_refused_when_the_header_chooses_it() -> None:
    """Trap D6."""
    assert asked(EDGE, "old").reason == "tenant_suspended"


def test_unregistered_tenant_is_refused_if_every_tenant_is_allowed() -> None:
    assert asked(EDGE, "purple").reason == "tenant_unknown"


def test_rule_for_a_tenant_that_left_the_registry_allows_nothing() -> None:
    rules = Rules.build("x-tenant-id", [], [Rule("r", role_key("aws", ACCOUNT, "blue-api"), frozenset({"blue"}))])
    assert decide(request(BLUE), rules).reason == "tenant_unknown"


def test_every_403_has_one_title() -> None:
    """Trap D12."""
    refused = [asked(role("stranger")), asked(BLUE, "green"), asked(SUPPORT), asked(EDGE, "purple"), asked(EDGE, "old")]
    assert {(d.status, d.refusal.title, d.refusal.retry_after) for d in refused if d.refusal} == {
        (403, "Forbidden", None)
    }


def test_refusal_names_the_rule_that_refused() -> None:
    assert [asked(BLUE, "green").rule, asked(role("leaked")).rule, asked(role("stranger")).rule] == [
        "blue-api",
        "leaked",
        None,
    ]


# ---- properties -----------------------------------------------------------------------------------------------------

NAMES = ("blue-api", "Blue-Api", "support", "x", "leaked")
ACCOUNTS = (ACCOUNT, OTHER_ACCOUNT, "000000000000")
IDS = ("blue", "green", "old", "t-1")

registries = st.lists(st.sampled_from(IDS), unique=True).flatmap(
    lambda ids: st.tuples(*[st.builds(Tenant, st.just(one), st.booleans()) for one in ids])
)
keys = st.one_of(
    st.just(ANYONE),
    st.builds(
        role_key, st.sampled_from(["aws", "aws-cn"]), st.sampled_from(ACCOUNTS), st.sampled_from(["blue-api", "x"])
    ),
)
allowed = st.one_of(st.none(), st.just(ANY_TENANT), st.frozensets(st.sampled_from(IDS)))
rule_lists = st.lists(
    st.builds(Rule, st.uuids().map(str), keys, allowed, st.just(())),
    max_size=6,
    unique_by=lambda rule: (rule.key, rule.outcome is None),
)
requests = st.builds(
    request,
    st.one_of(
        st.none(),
        st.builds(
            role, st.sampled_from(NAMES), st.sampled_from(ACCOUNTS), partition=st.sampled_from(["aws", "aws-cn"])
        ),
    ),
    st.tuples(
        st.sampled_from(["x-tenant-id", "x_tenant_id", "accept"]),
        st.one_of(st.sampled_from(IDS), st.text(max_size=8)),
    ),
)


@settings(deadline=None)
@given(requests, registries, rule_lists, st.randoms(use_true_random=False))
def test_order_of_rules_and_tenants_changes_no_decision(
    one: Request, tenants: Sequence[Tenant], rules: list[Rule], dice: random.Random
) -> None:
    shuffled, registry = list(rules), list(tenants)
    dice.shuffle(shuffled)
    dice.shuffle(registry)
    there = decide(one, Rules.build("x-tenant-id", tenants, rules))
    back = decide(one, Rules.build("x-tenant-id", registry, shuffled))
    assert (there.tenant, there.rule, there.reason) == (back.tenant, back.rule, back.reason)


@settings(deadline=None)
@given(requests, registries, rule_lists)
def test_decided_tenant_is_registered_active_and_in_the_grammar(
    one: Request, tenants: Sequence[Tenant], rules: list[Rule]
) -> None:
    decided = decide(one, Rules.build("x-tenant-id", tenants, rules))
    if decided.allowed:
        assert Tenant(str(decided.tenant), active=True) in tenants
        assert is_tenant_id(decided.tenant)


@settings(deadline=None)
@given(st.sampled_from(NAMES), registries, rule_lists, st.sampled_from(IDS))
def test_caller_of_an_unnamed_account_is_refused(
    name: str, tenants: Sequence[Tenant], rules: list[Rule], wanted: str
) -> None:
    """Trap B4."""
    stranger = request(role(name, "999988887777"), ("x-tenant-id", wanted))
    assert not decide(stranger, Rules.build("x-tenant-id", tenants, rules)).allowed


@settings(deadline=None)
@given(requests, registries, rule_lists, keys)
def test_another_deny_rule_never_allows_anything(
    one: Request, tenants: Sequence[Tenant], rules: list[Rule], key: tuple[str, ...]
) -> None:
    before = decide(one, Rules.build("x-tenant-id", tenants, rules))
    after = decide(one, Rules.build("x-tenant-id", tenants, [*rules, Rule("more", key, None)]))
    assert after.tenant in (None, before.tenant)


@settings(deadline=None)
@given(requests, registries, rule_lists)
def test_request_without_credential_is_only_allowed_by_anyone(
    one: Request, tenants: Sequence[Tenant], rules: list[Rule]
) -> None:
    """Trap A1."""
    decided = decide(one, Rules.build("x-tenant-id", tenants, [rule for rule in rules if rule.key != ANYONE]))
    assert one.caller.authenticated or not decided.allowed


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_tenant_id_is_printable_ascii_without_spaces(text: str) -> None:
    """Traps A10, A11, A13."""
    if is_tenant_id(text):
        assert text.isascii()
        assert 1 <= len(text) <= 256
        assert text.split() == [text]
        assert text.isprintable()


@pytest.mark.parametrize(
    "name", ["x.tenant.id", "x_tenant-id", "x~tenant~id", "x-amz.tenant-id", "x.amzn.lattice.identity"]
)
def test_header_that_php_or_wsgi_reads_as_tenant_header_is_refused(name: str) -> None:
    """Trap A6."""
    decision = tenant_map().decide(request(role("blue-api"), (name, "green")))
    assert (decision.status, decision.reason) == (400, "reserved_spelling")


def test_signed_but_unauthenticated_request_does_not_match_anyone() -> None:
    """Design: `anyone` owns a request only when no credential is present."""
    signed = (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/vpc-lattice-svcs/aws4_request",
    )
    decision = tenant_map(OPEN).decide(request(None, signed, ("x-tenant-id", "green")))
    assert (decision.status, decision.reason) == (401, "no_credential")


def test_bearer_token_without_issuers_in_the_map_is_ignored() -> None:
    decision = tenant_map(OPEN).decide(request(None, ("authorization", "Bearer x"), ("x-tenant-id", "green")))
    assert decision.tenant == "green"
