"""The imports of each folder, compared with the plan in docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.code_hash import NOT_DEPLOYED
from tests.support.paths import ROOT
from tests.support.source import Source, source

PACKAGE: Final = ROOT / "lattice_bridge"

MAY_IMPORT: Final[dict[str, set[str]]] = {
    # files at the top: values and services that every folder uses
    "version": set(),
    "errors": set(),
    "runtime": {"errors"},
    "aws": {"runtime"},
    "message": {"errors", "http", "identity"},
    "telemetry": {"errors", "identity", "message", "runtime", "tenancy"},
    # the folders of the bridge
    "http": {"runtime"},
    "identity": {"errors", "http", "runtime"},
    "formats": {"errors", "http", "identity", "message"},
    "events": {"errors", "message"},
    "tenancy": {"aws", "errors", "http", "identity", "message", "runtime"},
    "invoke": {"aws", "errors", "http", "message", "runtime", "version"},
    "config": {
        *(
            "aws",
            "errors",
            "events",
            "formats",
            "http",
            "identity",
            "invoke",
            "message",
            "runtime",
            "tenancy",
            "version",
        ),
    },
    # the two ends of the bridge
    "bridge": {"config", "errors", "formats", "invoke", "message", "runtime", "telemetry"},
    "lanes": {"runtime"},
    "quarantine": {"aws", "errors", "events"},
    "router": {
        *("config", "errors", "events", "formats", "invoke", "lanes", "quarantine", "runtime", "telemetry", "tenancy"),
    },
    "environment": {"config", "errors", "runtime", "telemetry"},
    "bootstrap": {
        *("bridge", "config", "environment", "errors", "events", "formats", "invoke", "lanes", "quarantine", "router"),
        *("runtime", "telemetry"),
    },
    "main": {"bootstrap", "runtime"},
    # the authorizer, which is packaged with the bridge and imports none of its two ends
    "authorize": {"config", "environment", "errors", "formats", "runtime", "telemetry"},
    "authorizer": {"authorize", "runtime"},
    "__init__": {"bridge", "config", "errors", "formats", "message", "router", "tenancy"},
    # what is not deployed
    "review": {"bridge", "config", "errors", "events", "formats", "identity", "message", "router", "tenancy"},
    "packaging": {"config", "errors", "identity"},
    "deployment/cloudformation": {"config"},
    "deployment/iam": set(),
    "deployment/sources": {"config", "deployment/iam", "events"},
    "deployment/checks": {
        *(
            "config",
            "deployment/cloudformation",
            "deployment/iam",
            "deployment/sources",
            "events",
            "review",
            "telemetry",
            "tenancy",
        ),
    },
    "deployment/doctor": {
        *("aws", "config", "deployment/iam", "deployment/sources", "events", "http", "identity", "tenancy"),
    },
    "local/web": set(),
    "local/plan": {"deployment/iam", "events", "identity"},
    "local/plan/readers": {"config", "deployment/cloudformation", "deployment/iam", "events", "local/plan"},
    "local/environments": {"config", "http", "local/plan", "local/web"},
    "local/code": {"config", "local/environments", "local/plan", "local/plan/readers"},
    "local/bridge": {"config", "errors", "identity", "local/code", "local/plan", "runtime"},
    "local/aws": {
        *("deployment/cloudformation", "formats", "local/code", "local/environments", "local/plan", "local/web"),
    },
    "local/aws/kinesis": {"events", "local/aws", "local/web"},
    "local/aws/sqs": {"local/aws", "local/web"},
    "local/aws/dynamodb": {"events", "local/aws", "local/web"},
    "local/aws/event_bridge": {"events", "local/aws", "local/aws/sqs", "local/plan", "local/web"},
    "local/front/exchange": {
        *("config", "deployment/iam", "errors", "formats", "http", "identity", "message", "tenancy"),
        *("local/aws", "local/bridge", "local/environments", "local/plan", "local/web"),
    },
    "local/front/lattice": {
        *("formats", "http", "message"),
        *("local/aws", "local/environments", "local/front/exchange", "local/plan", "local/web"),
    },
    "local/front/apigateway": {
        *("deployment/iam", "errors", "formats", "http", "identity", "message"),
        *("local/aws", "local/environments", "local/front/exchange", "local/plan", "local/web"),
    },
    "local/front": {
        *("formats", "http", "identity", "message"),
        *("local/aws", "local/environments", "local/front/apigateway", "local/front/exchange", "local/front/lattice"),
        *("local/plan", "local/web"),
    },
    "local/sources": {
        *("events", "formats", "local/environments", "local/plan"),
        *("local/aws", "local/aws/dynamodb", "local/aws/event_bridge", "local/aws/kinesis", "local/aws/sqs"),
    },
    "local/inspector": {
        *("config", "errors", "events", "formats", "http", "identity", "message", "quarantine", "review", "tenancy"),
        *("local/aws", "local/aws/event_bridge", "local/aws/kinesis", "local/aws/sqs", "local/bridge"),
        *("local/environments", "local/front/exchange", "local/plan", "local/sources", "local/web", "version"),
    },
    "local": {
        *("config", "deployment/cloudformation", "errors", "local/bridge", "local/code"),
        *("local/aws", "local/aws/dynamodb", "local/aws/event_bridge", "local/aws/kinesis", "local/aws/sqs"),
        *("local/environments", "local/front", "local/front/exchange", "local/plan", "local/plan/readers"),
        *("local/inspector", "local/sources", "local/web"),
    },
    "testing/strategies": {
        *("config", "events", "formats", "http", "identity", "message"),
        *("local/aws/sqs", "local/front/exchange", "local/front/lattice"),
        "testing",  # what the Kinesis Producer Library puts
    },
    "testing": {
        *("bridge", "config", "errors", "events", "formats", "http", "identity", "invoke", "lanes", "message"),
        *("quarantine", "router"),
        *(
            "local",
            "local/aws",
            "local/aws/dynamodb",
            "local/aws/sqs",
            "local/environments",
            "local/front/exchange",
            "local/front/lattice",
            "local/sources",
            "local/web",
        ),
    },
    "project": set(),  # the files of a new project
    "cli": {
        *("config", "deployment/checks", "deployment/cloudformation", "deployment/doctor", "errors", "formats"),
        *("http", "identity", "local", "local/aws", "local/bridge", "local/code", "local/environments", "local/front"),
        *("local/front/apigateway", "local/front/exchange", "local/front/lattice", "local/plan", "local/plan/readers"),
        *("local/aws/dynamodb", "local/inspector", "local/web"),
        *("bridge", "events", "message", "packaging", "review", "router", "runtime", "tenancy", "testing", "version"),
    },
    "__main__": {"cli"},
}
"""Folder, or file at the top → the others that it may import."""

EXCEPTIONS: Final[dict[tuple[str, str], str]] = {}
"""(module, folder) → why it imports what its folder may not."""

IMPURE: Final = {
    *("asyncio", "boto3", "botocore", "datetime", "glob", "http", "logging", "multiprocessing", "os", "pathlib"),
    *("queue", "random", "secrets", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile"),
    *("threading", "time", "urllib.request", "uuid"),
}

CONVERTS: Final = {"time.gmtime"}
"""Of these, what only turns its argument into something else."""

PURE: Final = {"errors", "events", "formats", "http", "identity", "message", "tenancy"}
"""No network, clock, environment variable, file, log or random number."""

NOT_PURE: Final = {
    "http.client": "the sockets of the one HTTP client",
    "identity.key_set": "fetches key sets and caches them",
    "tenancy.registry": "reads a DynamoDB table and caches its tenants",
}
"""Module of a pure folder → what it does besides."""

ONLY_IN: Final = {
    "boto3": {"aws"},
    "botocore": {"aws", "invoke.boto3", "invoke.credentials"},
    "gc": {"environment", "runtime.process"},
    "os": {"authorizer", "config.regular_file", "config.stores", "main", "runtime.process"},
    "random": {"invoke.retry"},
    "socket": {"http.client"},
    "ssl": {"http.client", "identity.key_set", "invoke.direct"},
    "pydantic": {f"config.tables.{name}" for name in ("event_source", "jwt", "map", "options", "rule_table", "table")},
    "tomllib": {"config.document", "config.positions"},
}
"""Outside module → the only modules of the bridge that may import it."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package, without the package's name: `config.tables.rule`, `formats` for its `__init__`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


MODULES: Final = dict(modules())


def is_deployed(module: str) -> bool:
    top = module.split(".")[0]
    return top not in NOT_DEPLOYED and f"{top}.py" not in NOT_DEPLOYED


def folder_of(module: str) -> str:
    """The row of `MAY_IMPORT` that a module belongs to: the longest that names its folders, or the file itself."""
    parts = module.split(".")
    rows = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((row for row in rows if row in MAY_IMPORT), parts[0])


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module that a file imports, at any depth of indentation, as dotted names."""
    return frozenset(_imported(source(path)))


def _imported(found: Source) -> Iterator[str]:
    for node in found.imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, "write imports from the package's root"
            name = str(node.module)
            for alias in node.names:
                full = f"{name}.{alias.name}"
                is_module = full.removeprefix("lattice_bridge.") in MODULES or name == "time"
                yield full if is_module else name


def ours(module: str) -> set[str]:
    found = {name for name in imported(MODULES[module]) if name.split(".")[0] == "lattice_bridge"}
    return {name.removeprefix("lattice_bridge.") if name != "lattice_bridge" else "__init__" for name in found}


def outside(module: str) -> set[str]:
    return {name for name in imported(MODULES[module]) if name.split(".")[0] != "lattice_bridge"}


def test_every_folder_and_file_at_the_top_has_its_row() -> None:
    """A row that no module belongs to is left over."""
    assert {folder_of(module) for module in MODULES if module != "deployment"} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_what_its_folder_may(module: str) -> None:
    folder = folder_of(module)
    reached = {folder_of(name) for name in ours(module)} - {folder}
    excused = {target for source, target in EXCEPTIONS if source == module}
    assert reached - MAY_IMPORT.get(folder, set()) == excused


def test_folders_import_each_other_in_one_direction() -> None:
    placed: set[str] = set()
    while ready := {row for row, needs in MAY_IMPORT.items() if row not in placed and needs <= placed}:
        placed |= ready
    assert placed == set(MAY_IMPORT)


def test_every_row_is_as_short_as_it_can_be() -> None:
    reached: dict[str, set[str]] = {row: set() for row in MAY_IMPORT}
    for module in MODULES:
        reached.get(folder_of(module), set()).update(folder_of(name) for name in ours(module))
    unused = {row: needs - reached[row] for row, needs in MAY_IMPORT.items()}
    assert {row: needs for row, needs in unused.items() if needs} == {}


def test_what_is_deployed_imports_nothing_of_what_is_not() -> None:
    deployed = filter(is_deployed, MODULES)
    assert {module for module in deployed if not all(map(is_deployed, ours(module)))} == set()


PURE_MODULES: Final = [module for module in MODULES if module.split(".")[0] in PURE and module not in NOT_PURE]


@pytest.mark.parametrize("module", PURE_MODULES)
def test_pure_module_imports_nothing_that_waits_fails_or_varies(module: str) -> None:
    reached = outside(module) - CONVERTS
    assert not {name for name in reached if name in IMPURE or name.split(".")[0] in IMPURE}


@pytest.mark.parametrize("module", PURE_MODULES)
def test_pure_module_opens_and_prints_nothing(module: str) -> None:
    assert not source(MODULES[module]).calls & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", PURE_MODULES)
def test_pure_module_imports_only_pure_modules(module: str) -> None:
    assert {name for name in ours(module) if name.split(".")[0] not in PURE or name in NOT_PURE} == set()


@pytest.mark.parametrize(("name", "homes"), ONLY_IN.items())
def test_outside_module_is_imported_only_in_these(name: str, homes: set[str]) -> None:
    bridge = list(filter(is_deployed, MODULES))
    assert {module for module in bridge if any(found.split(".")[0] == name for found in outside(module))} == homes


OPENS_A_FILE: Final = {
    "config.regular_file": "the one reader of files",
    "cli": "the null device, in place of an output that the shell has closed",
    "cli.compile": "writes the compiled map",
    "cli.init": "the package's own project, and writes the new one",
    "config.code_hash": "the package's own modules",
    "packaging.contents": "the package's own modules",
    "packaging.install": "the package's own list of dependencies",
    "packaging.archive": "what pip or this package has just written",
    "local.code.code_zip": "entries of a zip that regular_file has read",
    "local.environments.runtime_packages": "metadata of installed packages, by importlib",
    "local.environments.launcher": "writes /proc/self, and mount points in a folder of its own",
    "local.bridge.signing_key": "the user's own keys, whose owner and rights it checks on the open file",
    "testing.corpus": "the package's own events, in its zip or in the repository",
    "testing.issuer": "the system's certificates, which OpenSSL names",
    "local.environments.processes": "/proc, of processes that the stack has started",
    "local.environments.peer_process": "/proc, of processes that the stack has started",
}
"""Module → why it may open a file itself."""


def test_files_are_read_by_one_module() -> None:
    """Trap G4: a FIFO, a device or a file without end is refused everywhere, since only `regular_file` opens a file."""
    opens = re.compile(r"open|.+\.(open|read_text|read_bytes|fdopen)")
    others = {"os.open"}  # of a folder, for its lock
    opening = {module for module, path in MODULES.items() if any(map(opens.fullmatch, source(path).calls - others))}
    assert opening == set(OPENS_A_FILE)


def test_commands_print_in_one_module() -> None:
    """Trap G3: `show` makes every text printable, and JSON ASCII."""
    prints = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
    printing = {path.stem for path in PACKAGE.glob("cli/*.py") if source(path).calls & prints}
    assert printing == {"show", "__init__"}, "__init__ has two constant sentences, for want of click and of space"


def test_no_function_is_longer_than_40_lines() -> None:
    """Without decorators: options of a command are a table."""
    functions = ((module, *found) for module, path in MODULES.items() for found in source(path).functions)
    assert [found for found in functions if found[-1] > 40] == []
