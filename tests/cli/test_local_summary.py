"""The summary that `lattice-bridge local` prints at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.cli.local_summary import tables
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.reader import read_plan
from tests.cli.test_local_commands import ALLOWED, BRIDGE


@pytest.mark.parametrize(
    ("policy", "callers"),
    [(ALLOWED, "anyone"), ('Principal: {AWS: "arn:aws:iam::111122223333:role/blue-api"}, Action: "*"', "policy")],
)
def test_callers_that_a_service_admits_are_listed(policy: str, callers: str, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BRIDGE.replace(ALLOWED, policy), encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    assert [line.split()[-1] for line in tables(found) if "default" in line] == [callers]
