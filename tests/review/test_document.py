"""Explanations as JSON documents: what the inspector's page has beside the output of `explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge import TenantMap
from lattice_bridge.formats.recognise import Enabled
from lattice_bridge.review.document import UNKNOWN, Explainer
from lattice_bridge.review.line_document import of_line_alone
from lattice_bridge.review.log_line import LogLine
from lattice_bridge.review.records import Sources
from lattice_bridge.tenancy.rules import Tenant
from tests.support.builders import ACCOUNT, MAP, VPC, role, v2

RULES = f"""
[[rule]]
id = "job"
role = "arn:aws:iam::{ACCOUNT}:role/job"
vpc = "{VPC}"
tenant = "blue"

[[rule]]
id = "no-job"
role = "arn:aws:iam::{ACCOUNT}:role/no-job"
vpc = "{VPC}"
deny = true
"""
EXPLAINER = Explainer(TenantMap.from_toml(MAP + RULES), Enabled(), Sources(()), with_conditions=True)


def test_conditions_are_left_out_unless_they_are_asked_for() -> None:
    document = replace(EXPLAINER, with_conditions=False).of_event(v2(role("job")))
    assert list(document) == list(UNKNOWN)


@pytest.mark.parametrize(("name", "holds"), [("job", True), ("no-job", True), ("blue-api", None)])
def test_conditions_are_those_of_the_rule_that_decided(name: str, holds: bool | None) -> None:
    found = EXPLAINER.of_event(v2(role(name)))["conditions"]
    condition = {"rule": name, "name": "vpc", "expected": VPC, "actual": VPC, "holds": holds}
    assert found == ([] if holds is None else [condition])


def test_tenants_can_be_looked_up_elsewhere() -> None:
    found = replace(EXPLAINER, find=lambda name: Tenant(name, active=False)).of_event(v2(role("blue-api")))
    assert (found["allowed"], found["reason"]) == (False, "tenant_suspended")


def test_rule_is_found_by_its_id_and_a_denying_one_is_not() -> None:
    assert EXPLAINER.of_rule("support")["sources"] == [
        {"key": f"role support of {ACCOUNT}", "rule": "support", "allows": "blue, green"}
    ]
    assert EXPLAINER.of_rule("no-job") == EXPLAINER.of_rule("none") == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reason": "ok", "status": 200, "tenant": "blue", "rule": "job"}, (True, "allowed", "blue", "job")),
        ({"reason": "no_rule", "status": 403}, (False, "no_rule", None, None)),
        ({"reason": "throttled", "status": 503, "tenant": "blue", "rule": "job"}, (False, "throttled", "blue", "job")),
    ],
)
def test_line_alone_has_its_own_facts(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    line = LogLine({"message": "request", "requestId": "r-1", **fields})
    found = of_line_alone(line, EXPLAINER)
    assert (found["allowed"], found["reason"], found["tenant"], found["owner"]) == expected
    assert bool(found["sources"]) is (expected[3] is not None)
    assert of_line_alone(line)["log"]["same_map"] is None
