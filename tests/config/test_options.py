"""The backend that serves a path."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Backend, Backends, Options
from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import NotFound
from lattice_bridge.formats.recognise import Enabled
from tests.support.builders import MAP
from tests.support.fronts import API, GROUP, TABLES


def backends(*paths: str) -> Backends:
    return Backends([Backend(path, f"f{path.replace('/', '-')}") for path in paths])


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/", "/"),
        ("/x", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a/x", "/a"),
        ("/a/b", "/a/b"),
        ("/a/b/c", "/a/b"),
        ("/ab", "/"),
        ("/a.b", "/"),
        ("/A", "/"),
        ("/a%2Fb", "/"),
        ("/%61", "/"),
        ("//a", "/"),
        ("/x/../a", "/"),
        ("/a/../b", "/a"),
    ],
)
def test_longest_prefix_of_whole_segments_serves(path: str, prefix: str) -> None:
    assert backends("/", "/a", "/a/b").serving(path).path == prefix


def test_order_in_the_file_does_not_matter() -> None:
    for order in itertools.permutations(["/", "/a", "/a/b"]):
        assert backends(*order).serving("/a/b/c").path == "/a/b"


@pytest.mark.parametrize("path", ["/", "/b", "/ab"])
def test_unserved_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as error:
        backends("/a").serving(path)
    assert (error.value.status, error.value.reason) == (404, "no_backend")


def test_default_backend_is_isolated() -> None:
    """The safe default: Lambda refuses a tenant id that a function does not want, and runs one that lacks it."""
    assert Backend("/", "f").isolated


def test_enabled_fronts_are_read_and_survive_compiling() -> None:
    """Trap F1: a compiled map enables exactly what its text does."""
    text = f'{MAP}{TABLES}[[backend]]\nfunction = "orders:live"\n'
    wanted = Enabled(frozenset(), frozenset({API}), frozenset({GROUP}), function_url=True)
    assert Settings.from_text(text).options.enabled == wanted
    compiled = compile_document(parse_document(text), Path())
    assert Settings.from_text(text, compiled=compiled).options.enabled == wanted


def test_map_that_was_compiled_before_enables_lattice_only() -> None:
    """Trap F1."""
    written = json.loads(json.dumps(Options().to_json()))
    older = {name: value for name, value in written.items() if name not in ("apis", "target_groups", "function_url")}
    assert Options.from_json(older).enabled == Enabled()
