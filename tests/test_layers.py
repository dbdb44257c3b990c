"""Who may import whom: the picture in design.md, held against the imports."""

from __future__ import annotations

import ast
from typing import Final, get_args

import pytest

from lattice_bridge.config.backend import Payload
from tests.support.paths import ROOT

PACKAGE: Final = ROOT / "lattice_bridge"

OURS: Final[dict[str, set[str]]] = {
    "__init__": {"bridge", "errors", "event", "message", "tenant", "tenant_map"},
    "version": set(),
    "assumptions": set(),
    "errors": set(),
    "shape": set(),
    "background": {"forks"},
    "forks": set(),
    "base64_text": set(),
    "aws_client": {"forks"},
    "code_hash": set(),
    "document": {"code_hash", "errors", "regular_file"},
    "printable": set(),
    "regular_file": set(),
    "compiled": {
        "code_hash",
        "document",
        "errors",
        "garbage",
        "options",
        "rules",
        "surroundings",
        "template",
        "version",
    },
    "source": {"aws_client", "document", "errors", "regular_file"},
    "place": {"document", "errors", "source"},
    "follow": {"background", "document", "errors", "forks", "source"},
    "registry": {"aws_client", "background", "errors", "forks", "message", "rules"},
    "garbage": {"forks"},
    "headers": set(),
    "arn": {"errors", "headers"},
    "message": {"base64_text", "arn", "errors", "headers"},
    "template": set(),
    "token": {"errors"},
    "keys": {"background", "errors", "forks", "regular_file"},
    "bearer": {"errors", "message", "token"},
    "issuer_table": {"headers", "shape", "surroundings", "token"},
    "lint": {"rule_table", "rules"},
    "map_test": {"arn", "lint", "message", "rules", "shape", "tenant"},
    "compare": {"errors", "event", "map_test", "message", "rules", "tenant"},
    "explain": {"bearer", "message", "rules", "tenant"},
    "rules": {"arn", "bearer", "headers", "message", "template", "token"},
    "rule_table": {"arn", "headers", "issuer_table", "message", "rules", "shape", "template"},
    "map_file": {
        "errors",
        "headers",
        "issuer_table",
        "keys",
        "map_test",
        "message",
        "rule_table",
        "rules",
        "shape",
        "surroundings",
    },
    "backend": {"errors"},
    "event": {"base64_text", "arn", "assumptions", "errors", "headers", "message"},
    "tenant": {"bearer", "errors", "headers", "message", "rules"},
    "tenant_map": {
        "bearer",
        "compiled",
        "document",
        "errors",
        "keys",
        "map_file",
        "message",
        "registry",
        "rules",
        "surroundings",
        "tenant",
    },
    "payload": {"assumptions", "backend", "base64_text", "dialects.forwarded", "dialects.lattice", "errors", "message"},
    "dialects": set(),
    "dialects.forwarded": {"assumptions", "backend", "errors", "headers", "message"},
    "dialects.maps": {"message"},
    "dialects.derived": {"dialects.forwarded", "errors", "headers", "message"},
    "dialects.lattice": {"dialects.forwarded"},
    "dialects.lattice_v1": {"dialects.derived", "dialects.forwarded", "dialects.maps"},
    "dialects.lattice_v2": {"dialects.derived", "dialects.forwarded", "dialects.maps"},
    "dialects.apigateway_v1": {"dialects.derived", "dialects.forwarded", "dialects.maps", "headers", "message"},
    "dialects.apigateway_v2": {"dialects.derived", "dialects.forwarded", "dialects.maps", "message"},
    "dialects.alb": {"dialects.derived", "dialects.forwarded", "dialects.maps", "headers", "message"},
    "reply": {"base64_text", "assumptions", "errors", "headers", "message"},
    "invoke": {"backend", "errors", "message"},
    "invoke_boto3": {"aws_client", "errors", "forks", "invoke"},
    "signing": set(),
    "endpoint": {"errors"},
    "credentials": {"errors", "forks", "signing"},
    "http_answer": set(),
    "connection": {"endpoint", "forks", "http_answer"},
    "invoke_direct": {"connection", "credentials", "endpoint", "errors", "http_answer", "invoke", "signing", "version"},
    "telemetry": {"errors", "message", "tenant"},
    "settings": {"backend", "compiled", "document", "errors", "options", "options_file", "place", "tenant_map"},
    "check": {"document", "errors", "lint", "map_file", "map_test", "options_file", "settings", "tenant_map"},
    "compiling": {"compiled", "document", "errors", "map_file", "options_file"},
    "options": {"assumptions", "backend", "reply"},
    "options_file": {"assumptions", "backend", "headers", "options", "shape"},
    "surroundings": {"token"},
    "bridge": {
        "assumptions",
        "backend",
        "errors",
        "event",
        "garbage",
        "invoke",
        "message",
        "payload",
        "reply",
        "telemetry",
        "tenant",
        "tenant_map",
    },
    "wiring": {
        "background",
        "bridge",
        "document",
        "errors",
        "event",
        "follow",
        "invoke",
        "invoke_boto3",
        "invoke_direct",
        "place",
        "reply",
        "settings",
        "telemetry",
    },
    "main": {"wiring"},
}
"""Module → the modules of ours that it may import. A new module is a new row; a new import is a decision."""

PURE: Final = (
    "arn",
    "bearer",
    "assumptions",
    "backend",
    "base64_text",
    "dialects.alb",
    "dialects.apigateway_v1",
    "dialects.apigateway_v2",
    "dialects.derived",
    "dialects.forwarded",
    "dialects.lattice",
    "dialects.lattice_v1",
    "dialects.lattice_v2",
    "dialects.maps",
    "endpoint",
    "errors",
    "event",
    "headers",
    "http_answer",
    "message",
    "payload",
    "printable",
    "reply",
    "rules",
    "signing",
    "template",
    "tenant",
    "token",
)
"""No network, clock, environment variable, file, log or dice."""

IMPURE: Final = {
    *("asyncio", "boto3", "botocore", "datetime", "glob", "http", "logging", "multiprocessing", "os", "pathlib"),
    *("queue", "random", "secrets", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile"),
    *("threading", "time", "urllib.request", "uuid"),
}

CONVERTS: Final = {"time.gmtime"}
"""Of these, what only turns its argument into something else."""

ONLY_IN: Final = {
    "boto3": {"aws_client", "invoke_boto3"},
    "botocore": {"aws_client", "credentials", "invoke_boto3"},
    "os": {"forks", "main", "regular_file", "source"},
    "gc": {"garbage", "wiring"},
    "random": {"invoke"},
    "socket": {"connection", "keys"},
    "ssl": {"connection", "invoke_direct", "keys"},
    "pydantic": {"issuer_table", "map_file", "map_test", "options_file", "rule_table", "shape"},
    "tomllib": {"document"},
}
"""Outside module → the only modules of ours that may know it."""


def imports(module: str) -> set[str]:
    """Everything `module` imports, at any depth of indentation, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports from the package's root"
            source = str(node.module)
            inside = source in ("lattice_bridge", "lattice_bridge.dialects", "time")
            found |= {f"{source}.{alias.name}" for alias in node.names} if inside else {source}
    return found


def tree_of(module: str) -> ast.Module:
    path = PACKAGE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def ours(module: str) -> set[str]:
    return {_room(name) for name in imports(module) if _is_ours(name)}


def _room(name: str) -> str:
    """`dialects.maps` or `message`, for whatever is imported of it."""
    parts = name.removeprefix("lattice_bridge.").split(".")
    return ".".join(parts[:2]) if parts[0] == "dialects" else parts[0]


def outside(module: str) -> set[str]:
    return {name for name in imports(module) if not _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == "lattice_bridge"


def test_every_module_of_the_core_has_its_row() -> None:
    dialects = {f"dialects.{path.stem}" for path in PACKAGE.glob("dialects/[!_]*.py")}
    assert {path.stem for path in PACKAGE.glob("*.py")} | dialects | {"dialects"} == set(OURS)


def test_every_format_has_a_room_that_is_pure() -> None:
    """`payload` finds it by its name, which no import shows."""
    assert {f"dialects.{name.replace('-', '_')}" for name in get_args(Payload)} <= set(PURE)


def test_no_format_knows_another() -> None:
    formats = {f"dialects.{name.replace('-', '_')}" for name in get_args(Payload)}
    assert not {found for name in formats for found in OURS[name]} & formats


@pytest.mark.parametrize("module", OURS)
def test_a_module_imports_these_of_ours_and_no_others(module: str) -> None:
    assert ours(module) == OURS[module]


@pytest.mark.parametrize("module", OURS)
def test_the_core_knows_nothing_of_the_local_stack_or_the_commands(module: str) -> None:
    assert not ours(module) & {"local", "cli", "testing", "routers"}


POLICIES: Final = {f"lattice_bridge.deployment.{name}" for name in ("doctor_policy", "policy_condition")}
"""How policies are read. The local stack evaluates them; a reader of its own would be a second one."""


def test_the_local_stack_imports_of_what_judges_only_how_policies_are_read() -> None:
    found = {name for path in PACKAGE.glob("local/*.py") for name in imports(f"local.{path.stem}")}
    assert {name for name in found if name.startswith("lattice_bridge.deployment")} == POLICIES
    read = {name for module in POLICIES for name in imports(module.removeprefix("lattice_bridge."))}
    assert not {name for name in read if name.startswith("lattice_bridge.local")}


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_that_waits_fails_or_varies(module: str) -> None:
    reached = outside(module) - CONVERTS
    assert not {name for name in reached if name in IMPURE or name.split(".")[0] in IMPURE}


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_opens_and_prints_nothing(module: str) -> None:
    tree = tree_of(module)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", PURE)
def test_what_a_pure_module_imports_of_ours_is_pure(module: str) -> None:
    assert OURS[module] <= set(PURE)


@pytest.mark.parametrize(("name", "homes"), ONLY_IN.items())
def test_an_outside_module_is_known_in_its_own_rooms_alone(name: str, homes: set[str]) -> None:
    knowing = {module for module in OURS if any(found.split(".")[0] == name for found in outside(module))}
    assert knowing == homes


def test_the_imports_of_the_core_have_no_circle() -> None:
    placed: set[str] = set()
    while ready := {module for module, needs in OURS.items() if module not in placed and needs <= placed}:
        placed |= ready
    assert placed == set(OURS)


OPENS_A_FILE: Final = {
    "regular_file": "the one reader of files",
    "cli.compile": "writes the compiled map",
    "code_hash": "the package's own modules",
    "local.launcher": "writes /proc/self, and mount points in a folder of its own",
    "testing.corpus": "the package's own events, in its zip or in the repository",
    "testing.issuer": "the system's certificates, which OpenSSL names",
    "local.processes": "/proc, of processes that the stack has started",
}
"""Module → why it may open a file itself."""


def test_files_are_read_by_one_module() -> None:
    """Trap G4: a FIFO, a device or a file without end is refused everywhere, since only `regular_file` opens a file."""
    methods = {"open", "read_text", "read_bytes", "fdopen"}
    others = {"os.open", "Storage.open"}  # of a folder, for its lock; and no file at all
    opening = set()
    for path in PACKAGE.rglob("*.py"):
        called = [node.func for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
        names = {one.id for one in called if isinstance(one, ast.Name)} & {"open"}
        attributes = [one for one in called if isinstance(one, ast.Attribute) and ast.unparse(one) not in others]
        if names | {one.attr for one in attributes} & methods:
            opening.add(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    assert opening == set(OPENS_A_FILE)


def test_commands_print_in_one_module() -> None:
    """Trap G3: `show` makes every text printable, and JSON ASCII."""
    printing = set()
    for path in PACKAGE.glob("cli/*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
                printing.add(path.stem)
    assert printing == {"show", "__init__"}, "__init__ has one constant sentence, for want of click"
