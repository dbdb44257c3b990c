"""The subject of an HTTP request, and the order in which its parts are refused."""

from __future__ import annotations

import pytest

from lattice_bridge.errors import BadRequest
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import Caller, Request
from lattice_bridge.tenancy.anchors import ANCHORS, ANYONE, caller_keys, keys_of
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import ANY_TENANT, Rule, Rules, Tenant
from lattice_bridge.tenancy.subject import Subject, subject_of
from tests.support.builders import request, role, tenant_map

SIGNED = ("authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/vpc-lattice-svcs/aws4_request")
TENANT = ("x-tenant-id", "blue")


def subject(one: Request) -> Subject:
    return subject_of(one, {}, "x-tenant-id", frozenset({"x-id-token"}))


def test_requested_tenant_is_the_header_as_sent() -> None:
    assert subject(request(role("api"), ("x-tenant-id", " blue,green "))).requested_tenant == " blue,green "
    assert subject(request(role("api"))).requested_tenant is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((TENANT, TENANT, ("x_tenant_id", "blue")), "reserved_spelling"),
        ((TENANT, ("x_id_token", "t")), "reserved_spelling"),
        ((TENANT, TENANT), "header_repeated"),
    ],
)
def test_reserved_spelling_is_refused_before_a_repeated_header(
    headers: tuple[tuple[str, str], ...], reason: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        subject(request(role("api"), *headers))
    assert caught.value.reason == reason


def test_signature_without_authenticated_caller_is_an_unverified_credential() -> None:
    assert subject(request(None, SIGNED)).has_unverified_credential
    assert not subject(request(role("api"), SIGNED)).has_unverified_credential
    assert not subject(request(None, ("authorization", "Bearer x"))).has_unverified_credential


def test_malformed_tenant_is_refused_before_deny_rules_and_those_before_credentials() -> None:
    deny = Rule("stop", ANYONE, None)
    rules = Rules.build("x-tenant-id", [Tenant("blue")], [deny, Rule("open", ANYONE, ANY_TENANT)])
    unverified = Subject(requested_tenant="a b", has_unverified_credential=True)
    assert (decide(unverified, rules).reason, decide(unverified, rules).rule) == ("tenant_malformed", None)
    denied = decide(Subject(requested_tenant="blue", has_unverified_credential=True), rules)
    assert (denied.reason, denied.rule) == ("denied", "stop")
    allowing = Rules.build("x-tenant-id", [Tenant("blue")], [Rule("open", ANYONE, ANY_TENANT)])
    assert decide(Subject(requested_tenant="blue", has_unverified_credential=True), allowing).reason == "no_credential"
    assert decide(Subject(requested_tenant="blue"), allowing).tenant == "blue"


def test_decision_by_subject_is_the_one_by_request() -> None:
    found, one = tenant_map(), request(role("support"), TENANT)
    assert decide(subject(one), found.rules) == found.decide(one)


def test_token_is_a_credential_and_has_its_own_key() -> None:
    assert tuple(keys_of(Subject(tokens={"corp": {}}))) == (("jwt", "corp"),)
    assert tuple(keys_of(Subject())) == (ANYONE,)


def test_exclusive_anchor_hides_broader_rules_but_not_their_denials() -> None:
    keys = caller_keys(Subject(Caller(authenticated=True, iam=parse_arn("arn:aws:iam::111122223333:root"))))
    assert keys.allowing == (("root", "aws", "111122223333", ""),)
    assert keys.every == (*keys.allowing, ("account", "aws", "111122223333"))


def test_every_anchor_is_found_by_the_first_part_of_its_key() -> None:
    assert all(name == anchor.name for name, anchor in ANCHORS.items())
