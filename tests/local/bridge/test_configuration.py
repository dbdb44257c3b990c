"""The configuration of a bridge whose code is a zip."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from lattice_bridge.local.bridge.configuration import bridges_of, read_configuration
from lattice_bridge.local.code.dependencies import choose
from lattice_bridge.local.code.import_advice import handler_fault
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, OWN_HANDLERS, Function, Plan
from tests.support.builders import MAP


def test_bridge_in_a_zip_is_read_with_its_map(tmp_path: Path) -> None:
    bridge = Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path / "bridge.zip", {})
    with ZipFile(bridge.code, "w") as opened:
        opened.writestr("bridge.toml", f'[[backend]]\nfunction = "orders"\n{MAP}')
    found = read_configuration(bridge)
    assert (found.faults, found.file, found.function) == ((), bridge.code / "bridge.toml", bridge)
    assert found.settings is not None


@pytest.mark.parametrize("handler", sorted(OWN_HANDLERS))
def test_authorizer_has_a_map_without_a_backend_and_the_bridge_has_not(handler: str, tmp_path: Path) -> None:
    function = Function("Guard", "arn", handler, tmp_path, {})
    (tmp_path / "bridge.toml").write_text(f'[apigateway]\napis = ["a1b2c3d4e5"]\n{MAP}', encoding="utf-8")
    found = read_configuration(function)
    is_bridge = handler == BRIDGE_HANDLER
    assert (bool(found.faults), found.settings is None) == (is_bridge, is_bridge)


@pytest.mark.parametrize("handler", sorted(OWN_HANDLERS))
def test_installed_package_serves_both_handlers(handler: str, tmp_path: Path) -> None:
    function = Function("Guard", "arn", handler, tmp_path, {})
    plan = Plan(folder=tmp_path, region="us-east-1", functions={"Guard": function}, services=(), left_out=())
    (chosen,) = choose(plan, print, reload=False).functions.values()
    assert chosen.dependencies.bridge
    assert handler_fault(function) is None
    assert bridges_of(plan) == [function]


def test_zip_that_cannot_be_unpacked_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "bridge.zip").write_bytes(b"no zip")
    (fault,) = read_configuration(Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path / "bridge.zip", {})).faults
    assert fault.startswith(f"{tmp_path}/bridge.zip: cannot be unpacked: ")
