"""Near misses: the rules, tenants and conditions that a request almost fitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lattice_bridge import TenantMap
from lattice_bridge.message import Caller
from lattice_bridge.review.explain import explain
from lattice_bridge.review.map_tests import described_subject
from lattice_bridge.review.near_misses import MOST_SHOWN, NearMisses, is_one_edit, near_misses, shortened
from lattice_bridge.tenancy.anchors import Key
from lattice_bridge.tenancy.rules import Rule, Rules, Tenant
from lattice_bridge.tenancy.subject import Subject
from tests.support.builders import ACCOUNT, VPC, role

OTHER = "444455556666"
TENANTS = '[tenants]\nblue = {}\ngreen = {}\nred = { status = "suspended" }\n'
CORP = '[jwt.corp]\nissuer = "https://i.example"\naudience = ["orders"]\njwks_url = "https://i.example/keys"\n'


def rule(name: str, anchor: str, outcome: str = 'tenant = "blue"') -> str:
    return f'[[rule]]\nid = "{name}"\n{anchor}\n{outcome}\n'


def of_role(name: str, account: str = ACCOUNT, partition: str = "aws") -> str:
    return f'role = "arn:{partition}:iam::{account}:role/{name}"'


def missed(rules: str, unknown: tuple[str, ...] = (), **described: Any) -> NearMisses:
    found = TenantMap.from_toml(TENANTS + rules).rules
    return near_misses(explain(described_subject(**described), found), found, unknown)


def only(rules: str, unknown: tuple[str, ...] = (), **described: Any) -> tuple[str, str | None, str, str]:
    ((found,), left_out) = missed(rules, unknown, **described)
    assert left_out == 0
    return found.kind, found.rule, found.expected, found.actual


NIGHTLY = f'{of_role("job")}\nsession = "nightly"\nsession_set_by = "x"'


@pytest.mark.parametrize(
    ("anchor", "principal", "kind", "expected"),
    [
        (of_role("api", OTHER), role("api"), "account", f"role api of {OTHER}"),
        (of_role("api", partition="aws-cn"), role("api"), "partition", f"role api of aws-cn:{ACCOUNT}"),
        (of_role("blue-api"), role("bleu-api"), "spelling", f"role blue-api of {ACCOUNT}"),
        (of_role("blue-api"), role("blue-apis"), "spelling", f"role blue-api of {ACCOUNT}"),
        (of_role("dev-team-*"), role("dev-taem-1"), "spelling", f"role-prefix dev-team- of {ACCOUNT}"),
        (of_role("dev-*", OTHER), role("dev-1"), "account", f"role-prefix dev- of {OTHER}"),
        (NIGHTLY, role("job", session="hourly"), "session", f"session job, session nightly of {ACCOUNT}"),
        (NIGHTLY, role("job", session="nightly2"), "spelling", f"session job, session nightly of {ACCOUNT}"),
        (of_role("api"), f"arn:aws:iam::{ACCOUNT}:user/api", "principal", f"role api of {ACCOUNT}"),
        (f'account = "{ACCOUNT[:-1]}4"', role("api"), "spelling", f"account {ACCOUNT[:-1]}4"),
        (f'account = "{ACCOUNT}"', f"arn:aws:iam::{ACCOUNT}:root", "excluded", f"account {ACCOUNT}"),
    ],
)
def test_rule_that_differs_in_one_part_is_a_near_miss(anchor: str, principal: str, kind: str, expected: str) -> None:
    assert only(rule("near", anchor), principal=principal)[:3] == (kind, "near", expected)


@pytest.mark.parametrize(
    ("anchor", "principal"),
    [
        (of_role("blue-api", OTHER), role("bleu-api")),  # two parts differ
        (of_role("blue-api"), role("green-api")),
        (f'account = "{OTHER}"', role("api")),  # every other account's rule would be one
        (f'user = "arn:aws:iam::{OTHER}:user/ann"', role("ann")),
    ],
)
def test_rule_that_differs_in_more_is_none(anchor: str, principal: str) -> None:
    assert missed(rule("far", anchor), principal=principal) == ((), 0)


def test_request_that_a_broader_rule_took_has_the_more_specific_ones_as_near_misses() -> None:
    rules = rule("account", f'account = "{ACCOUNT}"') + rule("api", of_role("blue-api"), 'tenant = "green"')
    assert only(rules, principal=role("bleu-api"))[:2] == ("spelling", "api")
    assert missed(rules, principal=role("blue-api")) == ((), 0)


def test_denied_request_has_none() -> None:
    rules = rule("no", of_role("bleu-api"), "deny = true") + rule("api", of_role("blue-api"))
    assert missed(rules, principal=role("bleu-api")) == ((), 0)


CONDITION = f'{of_role("api")}\nvpc = ["vpc-0b8276c84697e7339", "vpc-1b8276c84697e7339"]\norg = "o-a1b2c3d4e5"'


def test_condition_that_failed_is_named_with_both_values() -> None:
    found = missed(rule("api", CONDITION), principal=role("api"), vpc=VPC).found
    assert [(miss.text, miss.expected, miss.actual) for miss in found] == [
        ("condition vpc does not hold", "vpc-0b8276c84697e7339 or vpc-1b8276c84697e7339", VPC),
        ("condition org does not hold", "o-a1b2c3d4e5", "absent"),
    ]
    logged = missed(rule("api", CONDITION), ("vpc", "org"), principal=role("api")).found
    assert [miss.actual for miss in logged] == ["not in the log line", "not in the log line"]


def test_session_that_is_not_known_may_be_that_of_a_rule() -> None:
    principal = f"arn:aws:iam::{ACCOUNT}:role/job"
    expected = f"session job, session nightly of {ACCOUNT}"
    assert only(rule("near", NIGHTLY), ("session",), principal=principal) == (
        "session",
        "near",
        expected,
        "not in the log line",
    )
    assert missed(rule("near", NIGHTLY), principal=principal) == ((), 0)


SESSION = 'tenant_from = "session"\ntemplate = "t-{tenant}"\nsession_set_by = "x"'
CLAIM = 'tenant_from = "claim"\nclaim = ["app", "tenant"]'
BOTH = 'tenants = ["blue", "green"]'


@pytest.mark.parametrize(
    ("rules", "described", "miss"),
    [
        (rule("api", of_role("api"), BOTH), {"header": "gren"}, ("tenant", "api", "green or blue", "gren")),
        (rule("api", of_role("api"), BOTH), {}, ("choice", "api", "blue or green", "no x-tenant-id")),
        (rule("api", of_role("api"), 'tenants = "*"'), {"header": "Blue"}, ("unknown", None, "blue", "Blue")),
        (rule("api", of_role("api"), 'tenants = "*"'), {"header": "x"}, ("unknown", None, "a registered tenant", "x")),
        (rule("api", of_role("api"), 'tenant = "red"'), {}, ("suspended", None, "active", "suspended")),
        (rule("api", of_role("api"), SESSION), {}, ("source", "api", "t-{tenant}", "i-0123")),
        (
            CORP + rule("users", 'jwt = "corp"', CLAIM),
            {"claims": {"corp": {}}},
            ("source", "users", "{tenant}", "absent"),
        ),
        (
            CORP + rule("users", 'jwt = "corp"', CLAIM),
            {"claims": {"corp": {"app": {"tenant": 7}}}},
            ("source", "users", "{tenant}", "7"),
        ),
        (
            CORP + rule("api", f'{of_role("api")}\njwt = "corp"'),
            {},
            ("condition", "api", "corp", "absent"),
        ),
    ],
)
def test_refusal_of_a_tenant_names_the_expected_and_the_actual_one(
    rules: str, described: dict[str, Any], miss: tuple[str, str, str, str]
) -> None:
    principal = None if "claims" in described else role("api")
    assert only(rules, principal=principal, **described) == miss


def test_rules_in_conflict_are_named_with_what_each_allows() -> None:
    rules = CORP + rule("api", of_role("api")) + rule("users", 'jwt = "corp"', CLAIM)
    found = missed(rules, principal=role("api"), claims={"corp": {"app": {"tenant": "green"}}}).found
    assert [(miss.rule, miss.expected, miss.actual) for miss in found] == [
        ("api", "blue", "green"),
        ("users", "green", "blue"),
    ]


def test_rule_for_callers_without_credential_is_none_for_a_token() -> None:
    rules = CORP + rule("open", "anyone = true\naccept_risk = 'x'")
    assert only(rules, claims={"corp": {}}) == ("excluded", "open", "no credential", "a token")


def test_values_and_lists_are_bounded() -> None:
    """Trap D9."""
    tenants = "".join(f"t{number} = {{}}\n" for number in range(100))
    listed = ", ".join(f'"t{number}"' for number in range(100))
    rules = Rules.build(
        "x-tenant-id",
        [],
        TenantMap.from_toml(
            f"[tenants]\n{tenants}" + rule("api", of_role("api"), f"tenants = [{listed}]")
        ).rules.owners.values(),
    )
    found = near_misses(explain(described_subject(principal=role("api")), rules), rules).found
    assert found[0].expected.endswith(" or 95 more")
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(shortened(deep)) < 300
    claims = {"corp": {"app": {"tenant": ["x" * 10_000]}}}
    assert len(missed(CORP + rule("u", 'jwt = "corp"', CLAIM), claims=claims).found[0].actual) < 300


class CountedRules(dict[Key, Rule]):
    """Counts how often it is read from beginning to end."""

    passes = 0

    def items(self) -> Any:
        self.passes += 1
        return super().items()


def sessions(number: int) -> Iterator[Rule]:
    for each in range(number):
        yield Rule(f"r{each}", ("session", "aws", ACCOUNT, "job", f"s{each}"), frozenset({"blue"}))


def test_large_map_is_read_once_and_few_rules_are_shown() -> None:
    """Trap D9: a role may have a rule for each of its sessions."""
    owners = CountedRules({one.key: one for one in sessions(20_000)})
    rules = Rules("x-tenant-id", {"blue": Tenant("blue")}, owners, {}, evidence=frozenset({"caller"}))
    subject = described_subject(principal=role("job", session="s12x"))
    found = near_misses(explain(subject, rules), rules)
    assert (owners.passes, len(found.found), found.left_out) == (1, MOST_SHOWN, 20_000 - MOST_SHOWN)
    assert {miss.kind for miss in found.found} == {"spelling"}  # the nearest come first


def test_caller_without_credential_is_no_near_miss_of_any_role() -> None:
    rules = Rules.build("x-tenant-id", [], sessions(10))
    assert near_misses(explain(Subject(Caller()), rules), rules) == ((), 0)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("", "a", True),
        ("ab", "ba", True),
        ("abc", "abd", True),
        ("abc", "ac", True),
        ("abc", "abc", False),
        ("abcd", "badc", False),
        ("abc", "a", False),
        ("abc", "cba", False),
    ],
)
def test_one_edit_is_one_letter_or_two_swapped(one: str, other: str, near: bool) -> None:
    assert (is_one_edit(one, other), is_one_edit(other, one)) == (near, near)
