"""The configuration of a bridge whose code is a zip."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from lattice_bridge.local.bridge.configuration import read_configuration
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function
from tests.support.builders import MAP


def test_bridge_in_a_zip_is_read_with_its_map(tmp_path: Path) -> None:
    bridge = Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path / "bridge.zip", {})
    with ZipFile(bridge.code, "w") as opened:
        opened.writestr("bridge.toml", f'[[backend]]\nfunction = "orders"\n{MAP}')
    found = read_configuration(bridge)
    assert (found.faults, found.file, found.function) == ((), bridge.code / "bridge.toml", bridge)
    assert found.settings is not None


def test_zip_that_cannot_be_unpacked_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "bridge.zip").write_bytes(b"no zip")
    (fault,) = read_configuration(Function("Bridge", "arn", BRIDGE_HANDLER, tmp_path / "bridge.zip", {})).faults
    assert fault.startswith(f"{tmp_path}/bridge.zip: cannot be unpacked: ")
