"""The pytest plugin of lattice_bridge.testing: fixtures, a marker and options; see docs/testing.md.

Rule: no module of the package is imported before a test needs it. pytest loads this file in every run on a machine with
the package installed. It is therefore outside the package: importing it would import the package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lattice_bridge.testing import Case, FakeLambda, Issuer, LocalQueue, LocalStack
    from lattice_bridge.testing.fixtures import BridgeFactory

MARKER = (
    "lattice_events(*patterns): run the test once for each event of the corpus whose name matches one of the patterns "
    '("v2/*"; without patterns: for all events), as the argument lattice_case'
)

_STACK: pytest.StashKey[LocalStack] = pytest.StashKey()
"""In the stash of pytest's configuration: the stack of `local_stack`, after its start."""
_BEGAN: pytest.StashKey[float] = pytest.StashKey()
"""In the stash of a test: when its set-up began, in seconds since 1970."""
_MARKED: pytest.StashKey[bool] = pytest.StashKey()
"""In the stash of a run: whether a collected test has the marker lattice_events."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lattice-bridge", "lattice-bridge: events, functions and callers of VPC Lattice")
    group.addoption(
        "--lattice-events",
        metavar="DIR",
        help="Folder of your own events for the marker lattice_events. It replaces the corpus.",
    )
    group.addoption(
        "--lattice-template",
        metavar="FILE",
        help="Template that the fixture local_stack serves. It overrides lattice_bridge_template.",
    )
    parser.addini("lattice_bridge_config", "Configuration that the fixture bridge reads.", default="bridge.toml")
    parser.addini("lattice_bridge_template", "Template that the fixture local_stack serves.", default="template.yaml")
    parser.addini("lattice_bridge_parameters", "Parameters of the template, as NAME=VALUE.", type="linelist")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("lattice_events")
    if marker is not None:
        from lattice_bridge.testing.fixtures import cases

        metafunc.config.stash[_MARKED] = True
        found = cases(marker, metafunc)
        metafunc.parametrize("lattice_case", found, ids=[case.name for case in found], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGAN] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the stack's output since the test began to the report of a failed test that uses `local_stack`."""
    report = yield
    if report.failed and "local_stack" in getattr(item, "fixturenames", ()):
        stack = item.config.stash.get(_STACK, None)
        if stack is not None:
            output = stack.process.log_since(item.stash.get(_BEGAN, time.time()))
            report.sections.append(("local_stack: output since the test began", output or "(nothing)"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Warns if the events of --lattice-events were replayed by no test."""
    folder = config.getoption("--lattice-events")
    collected_here = not config.pluginmanager.hasplugin("dsession")  # with pytest-xdist, other processes collect
    if folder is not None and collected_here and not config.stash.get(_MARKED, False):
        terminalreporter.write_line(
            f"--lattice-events {folder}: no event was replayed, because no collected test has the marker. Fix: write a "
            "test with @pytest.mark.lattice_events and the argument lattice_case",
            yellow=True,
        )


# ---- fixtures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lattice_case(request: pytest.FixtureRequest) -> Case:
    """One event of the marker lattice_events, with its expected result."""
    if not hasattr(request, "param"):
        pytest.fail('lattice_case: the test has no marker. Fix: add @pytest.mark.lattice_events("v2/*")', pytrace=False)
    case: Case = deepcopy(request.param)  # another test may get the same event
    return case


@pytest.fixture
def lattice_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind Lattice receives: `lattice_event(path="/orders?a=1", body=b"…")`."""
    from lattice_bridge.testing import lattice_event

    return lattice_event


@pytest.fixture
def sqs_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind an SQS queue receives: `sqs_event('{"order": 7}', group="blue")`."""
    from lattice_bridge.testing import sqs_event

    return sqs_event


@pytest.fixture
def kinesis_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind a Kinesis stream receives: `kinesis_event("{}", partition_key="blue")`."""
    from lattice_bridge.testing import kinesis_event

    return kinesis_event


@pytest.fixture
def dynamodb_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind a table's stream receives, of records of `dynamodb_record`."""
    from lattice_bridge.testing import dynamodb_event

    return dynamodb_event


@pytest.fixture
def eventbridge_event() -> Callable[..., dict[str, Any]]:
    """Makes the event that a function behind an event bus receives: `eventbridge_event({"tenant": "blue"})`."""
    from lattice_bridge.testing import eventbridge_event

    return eventbridge_event


@pytest.fixture
def fake_lambda() -> Iterator[FakeLambda]:
    """A fake Lambda on a loopback port that answers as the test says, and records the calls.

    If the test has set no reply for a function that was invoked, it fails at its teardown.
    """
    from lattice_bridge.testing.fakes import FakeLambda, UnscriptedCalls

    try:
        with FakeLambda() as fake:
            yield fake
    except UnscriptedCalls as error:
        pytest.fail(f"fake_lambda: {error}", pytrace=False)


@pytest.fixture
def bridge(request: pytest.FixtureRequest, fake_lambda: FakeLambda) -> BridgeFactory:
    """Makes the bridge of a bridge.toml, in front of `fake_lambda`: `bridge()(event)` returns its reply, or its
    batch response for an event with records."""
    from lattice_bridge.testing.fixtures import BridgeFactory

    return BridgeFactory(request.config, fake_lambda)


@pytest.fixture
def local_queue() -> Iterator[Callable[..., LocalQueue]]:
    """Makes a queue of the local SQS: `local_queue("orders.fifo")`. No queue outlives its test."""
    from lattice_bridge.testing.fixtures import check_extra_local

    check_extra_local("local_queue")
    from lattice_bridge.testing import LocalQueues

    with LocalQueues() as queues:
        yield queues.create


@pytest.fixture
def token_issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Issues tokens that the fixture bridge accepts with the issuer's table: `bridge(MAP + token_issuer.table())`."""
    from lattice_bridge.testing import Issuer

    with Issuer() as issuer:
        for name, value in issuer.environ.items():
            monkeypatch.setenv(name, value)
        yield issuer


@pytest.fixture(scope="session")
def local_stack(request: pytest.FixtureRequest) -> Iterator[LocalStack]:
    """The local stack: Lattice's front, Lambda, and a process for each function and tenant of the template."""
    from lattice_bridge.testing.fixtures import stack_of

    with stack_of(request.config) as stack:
        request.config.stash[_STACK] = stack
        yield stack
