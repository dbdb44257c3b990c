"""The implementation of the pytest plugin's fixtures.

Rule: a path in a project's settings is relative to the project's root, and a path in an option to the folder in which
pytest was started.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from lattice_bridge.bridge import Bridge
from lattice_bridge.config.regular_file import BadFile, is_folder
from lattice_bridge.config.settings import Settings
from lattice_bridge.events.recognise import source_of
from lattice_bridge.lanes import Lanes
from lattice_bridge.quarantine import Quarantine
from lattice_bridge.router import Router
from lattice_bridge.testing.corpus import Case, UnknownEvent, all_events
from lattice_bridge.testing.fakes import REGION, FakeLambda
from lattice_bridge.testing.stack import LocalStack, StackFailed
from lattice_bridge.testing.stack_process import check_installed

_METRICS: Final = '{"_aws":'
_NOT_OF_BRIDGE: Final = ("refresh", "invoker", "event_sources")
"""Options of a configuration that Bridge has no argument for."""


def cases(marker: pytest.Mark, metafunc: pytest.Metafunc) -> list[Case]:
    """Returns the events that the marker of a test names.

    A faulty marker fails the collection: pytest would silently skip a test without parameters.
    """
    patterns, folder = marker.args or ("*",), metafunc.config.getoption("--lattice-events")
    if marker.kwargs or not all(isinstance(pattern, str) for pattern in patterns):
        pytest.fail(
            'lattice_events: not names or patterns. Fix: write @pytest.mark.lattice_events("v2/*")',
            pytrace=False,
        )
    if "lattice_case" not in metafunc.fixturenames:
        pytest.fail("lattice_events: the test has no argument lattice_case. Fix: add it", pytrace=False)
    root = None if folder is None else metafunc.config.invocation_params.dir / folder
    if root is not None and not is_folder(root):
        pytest.fail(f"--lattice-events: {root} is not a folder. Fix: name a folder of event files", pytrace=False)
    try:
        found = {case.name: case for pattern in patterns for case in all_events(pattern, root)}
    except (UnknownEvent, BadFile, ValueError) as error:
        raise pytest.fail.Exception(f"lattice_events: {error}", pytrace=False) from None
    return list(found.values())


class BridgeFactory:
    """The fixture `bridge`: makes handlers that invoke a FakeLambda.

    Args:
        pytest_config: names the project's own bridge.toml.
        fake: invoked by the handlers.
    """

    def __init__(self, pytest_config: pytest.Config, fake: FakeLambda) -> None:
        self._pytest_config = pytest_config
        self._fake = fake
        self._lanes = Lanes()

    def __call__(self, config: str | Path | None = None) -> Handler:
        """Makes a bridge.

        Args:
            config: the contents of a bridge.toml, recognised by a `=`, or its path relative to the project's root. None
                for the file of pytest's setting lattice_bridge_config, which is bridge.toml by default.

        Raises:
            InvalidMap: with every fault found.
            Unavailable: the file cannot be read.
        """
        root = self._pytest_config.rootpath
        if isinstance(config, str) and "=" in config:
            return Handler(Settings.from_text(config, folder=root, region=REGION), self._fake, self._lanes)
        path = _setting(self._pytest_config, "lattice_bridge_config") if config is None else root / config
        settings = Settings.load({"LATTICE_BRIDGE_CONFIG": str(path), "AWS_REGION": REGION})
        return Handler(settings, self._fake, self._lanes)


class Handler:
    """The handler of a bridge: events with records, lists of Pipes and events of buses go to its router. The
    context is optional, and the log is kept.

    Attributes:
        log: its log lines, decoded from JSON, one for each request or record. `reason` is the reason of a refusal
            (docs/reference.md), which the reply does not contain.
        quarantined: the copies of records that the router stored in quarantines, in their order: the arguments of SQS's
            SendMessage. No queue is needed.
        bridge: the bridge, with its `tenant_map`.
    """

    def __init__(self, settings: Settings, fake: FakeLambda, lanes: Lanes) -> None:
        self.log: list[dict[str, Any]] = []
        self.quarantined: list[dict[str, Any]] = []
        every = settings.options._asdict()
        options: dict[str, Any] = {name: value for name, value in every.items() if name not in _NOT_OF_BRIDGE}
        self.bridge = Bridge(settings.tenant_map, fake.invoke, write=self._write, **options)
        self._router = Router(
            settings.tenant_map,
            fake.invoke,
            sources=settings.options.event_sources,
            quarantine=Quarantine(lambda _region: lambda: _SqsClient(self.quarantined.append)),
            lanes=lanes,
            write=self._write,
        )

    def __call__(self, event: object, context: object = None) -> Any:
        """Returns the reply to an event; for records, the router's answer: see `Router.__call__`.

        Raises:
            BridgeError: the caller of the router reads no report, as a bus, and an event failed.
        """
        return self.bridge(event, context) if source_of(event) is None else self._router(event, context)

    def _write(self, text: str) -> None:
        lines = [line for line in text.splitlines() if not line.startswith(_METRICS)]
        print(*lines, sep="\n")  # noqa: T201 - pytest shows it with the test that fails
        self.log += map(json.loads, lines)


def check_extra_local(fixture: str) -> None:
    """Fails the test if a package of the extra `local` is missing, which the fixture needs."""
    try:
        check_installed()
    except StackFailed as error:
        raise pytest.fail.Exception(f"{fixture}: {error}", pytrace=False) from None


class _SqsClient:
    """The used part of boto3's SQS client. It keeps what is sent.

    Args:
        store: takes the arguments of each SendMessage.
    """

    def __init__(self, store: Callable[[dict[str, Any]], None]) -> None:
        self.meta = SimpleNamespace(endpoint_url=f"https://sqs.{REGION}.amazonaws.com")
        self._store = store

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        self._store(arguments)
        return {"MessageId": str(uuid.uuid4())}


@contextmanager
def stack_of(config: pytest.Config) -> Iterator[LocalStack]:
    """Runs the stack of the project's template."""
    option = config.getoption("--lattice-template")
    template = config.invocation_params.dir / option if option else _setting(config, "lattice_bridge_template")
    stack = LocalStack(template, _parameters(config))
    with ExitStack() as started:
        try:
            started.enter_context(stack)
        except StackFailed as error:
            raise pytest.fail.Exception(f"local_stack: {error}", pytrace=False) from None
        yield stack


def _parameters(config: pytest.Config) -> dict[str, str]:
    pairs = [text.partition("=") for text in config.getini("lattice_bridge_parameters")]
    for name, mark, _ in pairs:
        if not mark:
            pytest.fail(f"lattice_bridge_parameters: {name} has no value. Fix: write NAME=VALUE", pytrace=False)
    return {name: value for name, _, value in pairs}


def _setting(config: pytest.Config, name: str) -> Path:
    path: Path = config.rootpath / config.getini(name)
    if not path.is_file():
        pytest.fail(f"there is no {path}. Fix: name the file in pytest's setting {name}", pytrace=False)
    return path
