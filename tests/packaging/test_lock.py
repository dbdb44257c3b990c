"""Versions and hashes of third-party wheels: only reviewed files are deployed."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import click
import pytest
from packaging.requirements import Requirement

from lattice_bridge.packaging.contents import canonical
from lattice_bridge.packaging.install import LAMBDA, MACHINES, RUNTIMES, install_reviewed
from tests.packaging.test_contents import needed
from tests.packaging.test_install import requirements, wheel
from tests.support.paths import ROOT
from tools.lock import locked, written

PINS: Final = {
    pin: set(re.findall("[0-9a-f]{64}", hashes))
    for pin, hashes in re.findall(
        r"^(\S+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", LAMBDA.read_text("utf-8"), re.MULTILINE
    )
}
"""The hashes of each `name==version`."""

# ---- the file -------------------------------------------------------------------------------------------------------


def test_committed_file_is_as_written_and_names_no_host() -> None:
    assert LAMBDA.read_text(encoding="utf-8") == written(PINS)


def test_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    known = {f"{canonical(name)}=={version}" for name, _, version in (line.partition("==") for line in lines)}
    assert PINS.keys() <= known


def test_what_is_packaged_is_all_that_the_bridge_needs() -> None:
    ours = [Requirement(text) for text in distribution("lattice-bridge").requires or () if "extra ==" not in text]
    assert {pin.partition("==")[0] for pin in PINS} == needed(ours)


def test_package_with_compiled_code_has_a_hash_for_each_machine() -> None:
    """One for all Pythons, or one for each of them."""
    of_machines = {pin: len(hashes) for pin, hashes in PINS.items() if len(hashes) > 1}
    assert set(of_machines.values()) <= {len(MACHINES), len(MACHINES) * len(RUNTIMES)}
    assert {pin.partition("==")[0] for pin in of_machines} == {"cffi", "cryptography", "pydantic-core"}


# ---- the tool -------------------------------------------------------------------------------------------------------


def test_what_the_tool_writes_is_what_the_packaging_reads(tmp_path: Path) -> None:
    """The hash of each package that is needed, also if it is needed by another one."""
    thing, other = wheel(tmp_path, "thing", "other_one>=0.5"), wheel(tmp_path, "other_one")
    found = locked(["thing"], requirements(tmp_path, "thing==1.0", "other.one==1.0"))
    assert found == {"thing==1.0": {thing}, "other-one==1.0": {other}}
    install_reviewed(requirements(tmp_path, *written(found).splitlines()), tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").glob("*.py")} == {"thing.py", "other_one.py"}


def test_missing_version_is_an_error(tmp_path: Path) -> None:
    wheel(tmp_path, "thing")
    with pytest.raises(click.ClickException, match=r"pip finds no versions that fit requirements\.txt"):
        locked(["thing"], requirements(tmp_path, "thing==2.0"))
