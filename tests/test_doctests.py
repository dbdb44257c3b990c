"""The examples in docstrings, run as they are written."""

from __future__ import annotations

import doctest
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Final

import pytest

import lattice_bridge
from lattice_bridge import testing

PUBLIC: Final = (
    *("lattice_bridge", "lattice_bridge.bridge", "lattice_bridge.errors", "lattice_bridge.message"),
    *("lattice_bridge.config", "lattice_bridge.formats", "lattice_bridge.http", "lattice_bridge.identity"),
    *("lattice_bridge.tenancy", "lattice_bridge.testing"),
)
"""Modules and packages whose docstrings may have examples."""

NO_EXAMPLE: Final = {
    "Bridge": "needs an invoker and backends; docs/testing.md has the fixture `bridge`",
    "LocalStack": "starts processes for some seconds; docs/testing.md has the fixture `local_stack`",
}
"""Public name → why its docstring has no example."""


def modules() -> Iterator[str]:
    """The names of the public modules, with those inside the packages."""
    for name in PUBLIC:
        yield name
        path = getattr(import_module(name), "__path__", ()) if name != "lattice_bridge" else ()
        yield from (found.name for found in pkgutil.walk_packages(path, f"{name}."))


def examples_in(name: str) -> list[doctest.DocTest]:
    return doctest.DocTestFinder(exclude_empty=True).find(import_module(name), name)


@pytest.mark.parametrize("name", sorted(modules()))
def test_example_gives_what_it_shows(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    for example in examples_in(name):
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, name) for package in (lattice_bridge, testing) for name in package.__all__],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_public_name_has_an_example(package: object, name: str) -> None:
    public = getattr(package, name)
    tests = doctest.DocTestFinder().find(public, name)
    assert any(test.examples for test in tests) != (name in NO_EXAMPLE)
