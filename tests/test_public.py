"""Public names, docstrings and reason codes: other people depend on them."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import lattice_bridge
from lattice_bridge.config import tenant_map
from lattice_bridge.config.code_hash import NOT_DEPLOYED
from lattice_bridge.errors import REASONS, BridgeError

PACKAGE: Final = Path(lattice_bridge.__file__).parent
CORE: Final = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in NOT_DEPLOYED and path.name != "__init__.py"
}
"""Module of what is deployed → its file."""

PLAIN: Final = {"__call__", "__init__", "__str__", "__iter__"}
"""Methods whose meaning is Python's; a class says in its own docstring how it is made."""


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple((module, ast.parse(path.read_text(encoding="utf-8"))) for module, path in CORE.items())


def test_the_names_that_others_import() -> None:
    assert sorted(lattice_bridge.__all__) == [
        "Bridge",
        "BridgeError",
        "Caller",
        "Decision",
        "Request",
        "Response",
        "Router",
        "TenantMap",
        "parse_event",
    ]


@pytest.mark.parametrize("name", lattice_bridge.__all__)
def test_an_exported_name_is_there_and_explained(name: str) -> None:
    assert getattr(lattice_bridge, name).__doc__


def test_names_come_from_where_type_checkers_look_for_them() -> None:
    """The package imports them at their first use, and type checkers read its `import` statements."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    read = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lattice_bridge.")
        for alias in node.names
    }
    assert {name: getattr(lattice_bridge, name).__module__ for name in lattice_bridge.__all__} == read
    assert set(lattice_bridge.__all__) <= set(dir(lattice_bridge))


def test_name_that_a_test_replaced_in_its_module_is_the_modules_again() -> None:
    """If the package kept what it found first, each later test would have the replacement, which may allow all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tenant_map, "TenantMap", "replaced")
        assert lattice_bridge.TenantMap == "replaced"  # type: ignore[comparison-overlap] # it is, for now
    assert lattice_bridge.TenantMap is tenant_map.TenantMap


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lattice_bridge' has no attribute 'Brigde'"):
        _ = lattice_bridge.Brigde


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("module", ["main", "authorizer"])
def test_the_handler_has_its_name(module: str) -> None:
    assert callable(importlib.import_module(f"lattice_bridge.{module}").handler)


@pytest.mark.parametrize("module", [module for module in CORE if module != "version"])
def test_module_docstring_has_its_rule(module: str) -> None:
    tree = ast.parse(CORE[module].read_text(encoding="utf-8"))
    assert "Rule: " in (ast.get_docstring(tree) or "")


def _undocumented(body: list[ast.stmt], place: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        name = f"{place}.{node.name}"
        public = not node.name.startswith("_")
        if public and not ast.get_docstring(node) and not (_is_drawn(node) or ("." in place and _is_a_line(node))):
            yield name
        if isinstance(node, ast.ClassDef) and public:
            yield from _undocumented(node.body, name)


def _is_drawn(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """A cause in the tree that the docstring of `errors.py` draws."""
    return node.name in {kind.__name__ for kind in BridgeError.__subclasses__()}


def _is_a_line(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """A method whose name is the sentence, or Python's own."""
    return node.name in PLAIN or len(node.body) == 1


def test_every_public_function_and_class_of_the_core_has_a_docstring() -> None:
    assert [name for module, tree in trees() for name in _undocumented(tree.body, module)] == []


# ---- reason codes ---------------------------------------------------------------------------------------------------

KINDS: Final = {"BridgeError", "DidNotRun"} | {kind.__name__ for kind in BridgeError.__subclasses__()}


def _given(tree: ast.Module) -> Iterator[str]:
    """Texts given as a reason: to an error, to `faults.add`, beside a class in a table, to `super().__init__`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _takes_a_reason(node.func):
            yield from _texts(node.args[:1])
        elif isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Name) and len(node.elts) == 2:
            if node.elts[0].id in KINDS:
                yield from _texts(node.elts[1:])
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "reason" for t in node.targets):
            yield from _texts([node.value])


def _takes_a_reason(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in KINDS
    if not isinstance(called, ast.Attribute):
        return False
    if called.attr == "__init__":
        return isinstance(called.value, ast.Call)
    return called.attr == "add" and isinstance(called.value, ast.Name) and called.value.id == "faults"


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.IfExp):
            yield from _texts([node.body, node.orelse])


def test_every_reason_that_is_given_is_in_the_table() -> None:
    given = {reason for _, tree in trees() for reason in _given(tree)}
    assert given - set(REASONS) == set()


def test_every_reason_in_the_table_is_given_somewhere() -> None:
    given = {reason for _, tree in trees() for reason in _given(tree)}
    assert set(REASONS) - given == set()


def test_every_cause_has_a_status_and_a_title_that_says_no_more() -> None:
    for kind in BridgeError.__subclasses__():
        assert 400 <= kind.status <= 599
        assert kind.title.replace(" ", "").isalpha()


def test_every_status_has_one_title() -> None:
    """Trap D12."""
    kinds: list[type[BridgeError]] = [BridgeError, *BridgeError.__subclasses__()]
    assert len({(kind.status, kind.title) for kind in kinds}) == len({kind.status for kind in kinds})
