"""pytest's door to lattice_bridge.testing: fixtures, a marker and options; docs/testing.md.

Rule: nothing of the package is imported before a test asks for it. pytest loads this file in every run of everybody who
has the package installed; that is why it stands beside the package, which it would otherwise import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lattice_bridge.testing import Case, FakeLambda, Issuer, LocalStack
    from lattice_bridge.testing.fixtures import BridgeFactory

MARKER = (
    "lattice_events(*patterns): run the test once for each event of the corpus whose name fits one of the patterns "
    '("v2/*"; none: all of them), as the argument lattice_case'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lattice-bridge", "lattice-bridge: events, functions and callers of VPC Lattice")
    group.addoption(
        "--lattice-events",
        metavar="DIR",
        help="Events of your own for the marker lattice_events, in place of the corpus.",
    )
    group.addoption(
        "--lattice-template",
        metavar="FILE",
        help="What the fixture local_stack serves, whatever lattice_bridge_template says.",
    )
    parser.addini("lattice_bridge_config", "What the fixture bridge reads.", default="bridge.toml")
    parser.addini("lattice_bridge_template", "What the fixture local_stack serves.", default="template.yaml")
    parser.addini("lattice_bridge_parameters", "NAME=VALUE: the template's parameters.", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("lattice_events")
    if marker is not None:
        from lattice_bridge.testing.fixtures import cases

        found = cases(marker, metafunc)
        metafunc.parametrize("lattice_case", found, ids=[case.name for case in found], indirect=True)


@pytest.fixture
def lattice_case(request: pytest.FixtureRequest) -> Case:
    """One event of those that the marker lattice_events names, with what it must be read as."""
    if not hasattr(request, "param"):
        pytest.fail('lattice_case comes with a marker: @pytest.mark.lattice_events("v2/*")', pytrace=False)
    case: Case = deepcopy(request.param)  # the next test may be given the same one
    return case


@pytest.fixture
def lattice_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind Lattice gets: `lattice_event(path="/orders?a=1", body=b"…")`."""
    from lattice_bridge.testing import lattice_event

    return lattice_event


@pytest.fixture
def fake_lambda() -> Iterator[FakeLambda]:
    """A Lambda on a loopback port that answers what the test says, and remembers what it was asked."""
    from lattice_bridge.testing import FakeLambda

    with FakeLambda() as fake:
        yield fake


@pytest.fixture
def bridge(request: pytest.FixtureRequest, fake_lambda: FakeLambda) -> BridgeFactory:
    """Makes the bridge of a bridge.toml, in front of `fake_lambda`: `bridge()(event)` is its reply."""
    from lattice_bridge.testing.fixtures import BridgeFactory

    return BridgeFactory(request.config, fake_lambda)


@pytest.fixture
def token_issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Issues tokens that the fixture bridge believes, given its table: `bridge(MAP + token_issuer.table())`."""
    from lattice_bridge.testing import Issuer

    with Issuer() as issuer:
        for name, value in issuer.environ.items():
            monkeypatch.setenv(name, value)
        yield issuer


@pytest.fixture(scope="session")
def local_stack(request: pytest.FixtureRequest) -> Iterator[LocalStack]:
    """The template on this machine: Lattice's front, Lambda, and a process for each function and tenant."""
    from lattice_bridge.testing.fixtures import stack_of

    with stack_of(request.config) as stack:
        yield stack
