"""Streams and tables in front of the bridge: each mistake in a template has its own finding, a right template none."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import pytest

from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import MapNeeds, TemplateFinding
from tests.deployment.checks.test_queues import FOLDER, REGION, edited, options

CASES: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "streams_cases.toml").read_text(encoding="utf-8"))["case"]
ARNS: Final = {
    "kinesis": "arn:aws:kinesis:us-east-1:111122223333:stream/clicks",
    "dynamodb": "arn:aws:dynamodb:us-east-1:111122223333:table/orders",
}


def findings(case: dict[str, Any]) -> list[TemplateFinding]:
    return template_findings(
        FOLDER / "streams.yaml",
        options(case.get("map", []), "streams.toml"),
        {},
        REGION,
        text=edited("streams.yaml", case.get("edits", []), case.get("add", "")),
        needs=MapNeeds(trusted_sources=tuple((ARNS[one], rule) for one, rule in case.get("trusted", ()))),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_template_with_streams_has_exactly_these_findings(case: dict[str, Any]) -> None:
    found = findings(case)
    assert sorted([one.level, one.subject, one.actual] for one in found) == sorted(case["found"])
    for one in found:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."
