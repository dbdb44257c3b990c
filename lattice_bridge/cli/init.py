"""`lattice-bridge init`: writes a new project, with a bridge, its map, one isolated function and tests.

Rule: the command overwrites nothing, and follows no link inside the folder. It writes every file, or none.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.local.front.exchange.identities import read_identities

FRAMEWORKS: Final = ("none", "fastapi", "flask", "powertools")

_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "bridge.toml": ("bridge.toml", "the tenants, and the callers of each"),
    "template.yaml": ("template.yaml", "the bridge, the function, and VPC Lattice"),
    "src/orders/app.py": ("{framework}/app.py", "the function"),
    "src/orders/requirements.txt": ("{framework}/requirements.txt", "the packages that it needs"),
    "tests/test_orders.py": ("tests/test_orders.py", "tests of the map and the whole stack"),
    "pytest.ini": ("pytest.ini", "the root of the tests"),
    "Makefile": ("Makefile", "packages the bridge for `sam build`"),
    ".gitignore": ("gitignore", "keeps secrets out of git"),
}
"""File of the new project → file in the package's folder `project`, and what it is. That folder contains a project for
V2 events, without the function, and a function for each framework."""

_V1: Final[Mapping[str, tuple[str, str]]] = {
    "template.yaml": ("LambdaEventStructureVersion: V2", "LambdaEventStructureVersion: V1"),
    "tests/test_orders.py": ("version=2", "version=1"),
}
"""File → its text for V2 events, and the text that replaces it for V1 events."""

_POWERTOOLS: Final[Mapping[str, tuple[str, str]]] = {
    "bridge.toml": ('payload = "apigateway-v2"', 'payload = "apigateway-v1"'),
}
"""Of this format Powertools loses least: see docs/backends.md."""


class _NamedFolder(click.Path):
    """A path that is not empty. As a path, an empty text is the current folder: `init "$NAME"` would write there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the folder's name is empty. Fix: write a name, or none for the current folder", param, ctx)
        return super().convert(value, param, ctx)


@click.command(short_help="Write a new project of your own.")
@click.argument("folder", metavar="[DIR]", type=_NamedFolder(path_type=Path), default=Path())
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    default="none",
    show_default=True,
    help="The function's web framework.",
)
@click.option(
    "--event-version",
    type=click.Choice(["V1", "V2"]),
    default="V2",
    show_default=True,
    help="The event version of the target group. It cannot be changed after a deployment.",
)
@show.JSON
def init(folder: Path, framework: str, event_version: str, *, as_json: bool) -> None:
    """Write a project into DIR (default: the current folder): bridge.toml with two tenants, a small template.yaml, one
    isolated function with tests, and what `sam build` needs. The project runs and its tests pass as they are. If one of
    the files exists, nothing is written. Exits with 0 if the project was written, 1 if a file exists, 2 if DIR cannot
    be written to."""
    files = project_files(framework, event_version)
    try:
        taken = list(_taken(folder, files))
        if not taken:
            write_project(folder, files)
    except OSError as error:
        raise click.UsageError(f"{folder}: {error.strerror}. Fix: name a folder that you can write to") from error
    if taken:
        for path in taken:
            show.say_error(f"error: {path}")
        show.say_error(f"{folder}: nothing was written. Fix: name a new folder, as in lattice-bridge init my-service")
        sys.exit(1)
    if as_json:
        show.say_json({"folder": str(folder), "files": list(files), "next": _next(folder)})
    else:
        _print(folder, files)


def project_files(framework: str, event_version: str) -> dict[str, str]:
    """The text of each file of a new project, by its path in the project."""
    project = resources.files("lattice_bridge") / "project"
    files = {}
    for name, (source, _) in _FILES.items():
        stored = project / source.format(framework=framework)
        if stored.is_file():  # without a framework, the function requires nothing
            files[name] = stored.read_text(encoding="utf-8")
    changes = {**(_V1 if event_version == "V1" else {}), **(_POWERTOOLS if framework == "powertools" else {})}
    for name, (old, new) in changes.items():
        files[name] = files[name].replace(old, new)
    return files


# ---- writing --------------------------------------------------------------------------------------------------------


def _taken(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """The faults that keep the project from being written, in the order of the files."""
    within = {str(parent): None for name in files for parent in reversed(Path(name).parents[:-1])}
    for name in within:
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            yield f"{path}: is not a folder, or a link to one"
    for name in files:
        path = folder / name
        if path.is_symlink() or path.exists():
            yield f"{path}: exists already"


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files and their folders. If one cannot be written, removes those that this call has made."""
    made: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            for parent in reversed(path.parents):
                if not parent.exists():
                    parent.mkdir()
                    made.append(parent)
            with path.open("x", encoding="utf-8", newline="\n") as file:  # x: never a file that exists by now
                made.append(path)
                file.write(text)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _print(folder: Path, files: Mapping[str, str]) -> None:
    facts = [(str(folder / name), _FILES[name][1]) for name in files]
    if show.is_terminal():
        show.draw(show.picture(facts))
    else:
        for fact in facts:
            show.say(*fact)
    test, serve, ask = _next(folder)
    show.say("")
    show.say("Next:")
    show.say(f"  {test}")
    show.say(f"  {serve}  # until Ctrl-C. In another terminal, a request of the tenant blue:")
    show.say(f"  {ask}")


def _next(folder: Path) -> list[str]:
    """The three commands that come next, for a shell."""
    signer = next(iter(read_identities(None).values()))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"  # as `local` has
    enter = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    return [
        f"{enter}python -m pytest",
        "lattice-bridge local",
        f"curl --aws-sigv4 {shlex.quote(f'aws:amz:{region}:vpc-lattice-svcs')} "
        f"--user {signer.access_key}:{signer.secret_key} "
        "-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' http://localhost:8080/orders",
    ]
