"""Included files and loops, as AWS expands them, with their limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.deployment.cloudformation.template import Template, read_template, read_translated
from lattice_bridge.deployment.cloudformation.text import BadTemplate

HEAD = """
Transform: AWS::LanguageExtensions
Parameters:
  Names: {Type: CommaDelimitedList, Default: "a, b"}
  Suffix: {Type: String, Default: x}
"""


def read(folder: Path, text: str) -> Template:
    path = folder / "template.yaml"
    path.write_text(HEAD + text)
    return read_template(path, {}, "us-east-1")


def properties(folder: Path, written: str) -> Any:
    return read(folder, f"Resources:\n  R: {{Type: T, Properties: {written}}}").resources["R"].properties


# ---- Fn::ForEach -----------------------------------------------------------------------------------------------------


def test_loop_makes_resources(tmp_path: Path) -> None:
    text = """
Conditions:
  Fn::ForEach::Conditions: [C, [a, b], {"Is${C}": !Equals [!Ref Suffix, "${C}"]}]
Resources:
  Fn::ForEach::Queues:
    - Name
    - [!Ref Names, c-d]
    - "Queue&{Name}":
        Type: AWS::SQS::Queue
        Properties: {QueueName: !Sub "${Name}-${Suffix}", Raw: !Ref Name, Region: !Ref AWS::Region}
  Gone: {Type: T, Condition: Isb}
"""
    found = read(tmp_path, text).resources
    assert {name: resource.properties["QueueName"] for name, resource in found.items()} == {
        "Queuea": "a-x",
        "Queueb": "b-x",
        "Queuecd": "c-d-x",
    }
    assert found["Queuecd"].properties["Raw"] == "c-d"


def test_loops_are_nested(tmp_path: Path) -> None:
    text = """
Resources:
  Fn::ForEach::Outer:
    - Side
    - [L, R]
    - Fn::ForEach::Inner:
        - N
        - ["1", "2"]
        - "${Side}${N}": {Type: T, Properties: {X: "${Side}/${N}"}}
"""
    found = read(tmp_path, text).resources
    assert [resource.properties["X"] for resource in found.values()] == ["L/1", "L/2", "R/1", "R/2"]
    assert list(found) == ["L1", "L2", "R1", "R2"]


def test_loop_makes_properties_beside_others(tmp_path: Path) -> None:
    written = "{Tags: {Fixed: 1, 'Fn::ForEach::T': [K, !Ref Names, {'Tag${K}': '${K}'}]}}"
    assert properties(tmp_path, written) == {"Tags": {"Fixed": 1, "Taga": "a", "Tagb": "b"}}


@pytest.mark.parametrize(
    ("loop", "fault"),
    [
        ("[K, [a]]", "R.Properties.Fn::ForEach::T: malformed. Fix: write [IDENTIFIER, COLLECTION, {KEY: VALUE}]"),
        ("[K, a, {'x${K}': 1}]", "the collection is not a list"),
        ("[K, [a, b], {x: 1}]", "x is made twice. Fix: put the identifier into the key"),
        ("[K, [a], {Fixed: 1}]", "Fixed is there already"),
    ],
)
def test_malformed_loop_is_refused(tmp_path: Path, loop: str, fault: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        properties(tmp_path, f"{{Fixed: 1, 'Fn::ForEach::T': {loop}}}")
    assert fault in str(caught.value)


def test_loops_that_make_too_much_are_refused(tmp_path: Path) -> None:
    """Trap D9: nested loops multiply, and a small template cannot fill the memory."""
    loop = "{'${A}-${B}-${C}-${D}': {Type: T}}"
    items = ", ".join(map(str, range(100)))
    for name in "DCBA":
        loop = f"{{'Fn::ForEach::{name}': [{name}, [{items}], {loop}]}}"
    with pytest.raises(BadTemplate, match="more than 1,000,000 values"):
        read(tmp_path, f"Resources: {loop}")


def test_loop_over_what_only_a_deployment_has_is_named(tmp_path: Path) -> None:
    text = "Resources:\n  R: {Type: T}\n  Fn::ForEach::Q: [N, [!ImportValue x], {'Q${N}': {Type: T}}]"
    found = read(tmp_path, text)
    assert list(found.resources) == ["R"]
    assert found.unresolved == (("Fn::ForEach::Q", "Resources"),)


def test_check_expands_loops(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(f"{HEAD}Resources:\n  Fn::ForEach::Q: [N, !Ref Names, {{'Q${{N}}': {{Type: T}}}}]")
    found = read_translated(path, {}, "us-east-1", deployed=True)
    assert (list(found.resources), found.unresolved) == (["Qa", "Qb"], ())


# ---- AWS::Include ----------------------------------------------------------------------------------------------------


def include(location: str) -> str:
    return f"{{Fn::Transform: {{Name: AWS::Include, Parameters: {{Location: {location}}}}}}}"


def test_included_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("A: !Ref Suffix\nB: 2\n")
    assert properties(tmp_path, f"{{Body: {include('part.yaml')}}}") == {"Body": {"A": "x", "B": 2}}


def test_included_file_is_merged_under_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("A: 1\nB: 2\n")
    written = include("part.yaml")[:-1] + ", B: 3}"
    assert properties(tmp_path, written) == {"A": 1, "B": 3}


def test_included_files_are_bounded(tmp_path: Path) -> None:
    """Trap D9: aliases make many values of a small file, once for each time that it is included."""
    (tmp_path / "part.yaml").write_text("A: 1")
    written = ", ".join(f"P{n}: {include('part.yaml')}" for n in range(25))
    found = properties(tmp_path, f"{{{written}}}")
    assert len([value for value in found.values() if value == {"A": 1}]) == 20


@pytest.mark.parametrize("location", ["../secret.yaml", "/etc/hostname", "link.yaml", "s3://bucket/part.yaml", "gone"])
def test_file_outside_of_the_folder_is_not_included(tmp_path: Path, location: str) -> None:
    """Trap G4: a template of a stranger reads nothing outside of its folder."""
    (tmp_path / "secret.yaml").write_text("Secret: s3cret\n")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "template.yaml").write_text(f"Resources: {{R: {{Type: T, Properties: {{Body: {include(location)}}}}}}}")
    found = read_template(folder / "template.yaml", {}, "us-east-1")
    assert "s3cret" not in str(found)
    assert any(what.startswith("AWS::Include") for what, _ in found.unresolved)
