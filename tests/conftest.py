"""The order of the tests, the settings of all properties, and fixtures that several folders use.

Rules: the garbage collector does not search what the collection made, 15,000 tests and their modules, again in each
test. Files that start processes run first, then those at the top of tests/, which read the whole repository: no
processor waits for a long file at the end.

A failed property is reported with the example that failed first. Shrinking takes up to five minutes, and a test
that takes two is ended without its example. To shrink: `pytest TEST --hypothesis-profile shrink --timeout 0`, which
begins with the example that failed.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import Phase, settings

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.support.aws_server import AwsServer

STARTS_PROCESSES: Final = ("local", "packaging", "testing", "cli")

settings.register_profile("shrink", report_multiple_bugs=False, deadline=None)  # no property measures time
settings.register_profile("tests", settings.get_profile("shrink"), phases=(Phase.explicit, Phase.reuse, Phase.generate))
settings.load_profile("tests")  # pytest loads the profile of its option later

gc.disable()  # until the collection is finished


def pytest_collection_finish() -> None:
    """Begins to collect garbage, except what lasts as long as the tests."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the folders in STARTS_PROCESSES first, and the other folders last; otherwise keeps the order."""
    tests = ROOT / "tests"

    def place(path: Path) -> int:
        first = path.relative_to(tests).parts[0]
        return 0 if first in STARTS_PROCESSES else 1 if first.endswith(".py") else 2

    places = {path: place(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    """moto's server, for all files of a process. A file uses the fixture `aws`."""
    from tests.support.aws_server import AwsServer  # boto3, which most files do not need

    with AwsServer() as server:
        yield server


@pytest.fixture(scope="module")
def aws(aws_server: AwsServer) -> AwsServer:
    """DynamoDB, S3, SSM and the rest of moto, empty when a file begins."""
    aws_server.reset()
    return aws_server


@pytest.fixture(scope="module")
def event_loop_of_main() -> Iterator[None]:
    """Mangum asks for the thread's loop, which pytest has none of, and since Python 3.12 a warning."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
