"""`lattice-bridge check`: a map's faults, warnings and own tests; and a template's, beside it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from lattice_bridge.check import findings_of
from lattice_bridge.cli import show
from lattice_bridge.cli.files import read
from lattice_bridge.compiled import options_of
from lattice_bridge.deployment.template_rules import template_findings
from lattice_bridge.document import parse_document
from lattice_bridge.errors import InvalidMap
from lattice_bridge.lint import Finding, sarif
from lattice_bridge.local.template import BadTemplate
from lattice_bridge.options import Options
from lattice_bridge.options_file import read_options


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file, and what was found in it."""

    path: Path
    text: str
    findings: Sequence[Finding]


@click.command(short_help="Find what is wrong with a map, and with a template.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("bridge.toml"))
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option(
    "--template", "-t", type=click.Path(path_type=Path), help="Check this SAM or CloudFormation template as well."
)
@click.option("--parameter", "-P", "parameters", multiple=True, metavar="NAME=VALUE", help="A template parameter.")
@click.option("--unsigned", is_flag=True, help="The template's service is meant to let in unsigned requests.")
def check(
    file: Path, form: str, *, strict: bool, template: Path | None, parameters: tuple[str, ...], unsigned: bool
) -> None:
    """Check the map in FILE (default bridge.toml): errors that keep it from loading, its own [[test]] tables, and
    warnings about what is probably not meant. With --template, also the functions, rights and Lattice resources of a
    template, as AWS would make them, held against FILE. Exits with 0 if all is good, 1 if not."""
    text = read(file)
    checked = [_Checked(file, text, findings_of(text, file.parent))]
    if template is not None:
        checked.append(_template(template, _options(text), _pairs(parameters), unsigned=unsigned))
    elif parameters or unsigned:
        raise click.UsageError("--parameter and --unsigned go with --template")
    if form == "json":
        click.echo(json.dumps([asdict(finding) for one in checked for finding in one.findings], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(_sarif(checked), indent=2))
    else:
        for one in checked:
            _print(one.findings, one.path)
    bad = [finding for one in checked for finding in one.findings if strict or finding.level == "error"]
    sys.exit(1 if bad else 0)


def _template(path: Path, options: Options, parameters: dict[str, str], *, unsigned: bool) -> _Checked:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    text = read(path)
    try:
        return _Checked(path, text, template_findings(path, options, parameters, region, unsigned=unsigned))
    except BadTemplate as error:
        raise click.UsageError(str(error)) from error


def _options(text: str) -> Options:
    """What the map's file says beside the map; nothing of one that does not load, which is told as its own fault."""
    try:
        document = parse_document(text)
    except InvalidMap:
        return Options()
    return read_options(document.tables, []) if document.compiled is None else options_of(document.compiled)


def _pairs(parameters: Iterable[str]) -> dict[str, str]:
    pairs = [parameter.partition("=") for parameter in parameters]
    for name, mark, _ in pairs:
        if not mark:
            raise click.UsageError(f"--parameter {name}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _sarif(checked: Sequence[_Checked]) -> dict[str, Any]:
    """A run for each file."""
    documents = [dict(sarif(list(one.findings), one.path.as_posix(), one.text)) for one in checked]
    for one, document in zip(checked[1:], documents[1:], strict=True):
        for finding, result in zip(one.findings, document["runs"][0]["results"], strict=True):
            region = result["locations"][0]["physicalLocation"]["region"]
            region["startLine"] = _line_of(one.text, finding.subject or "")
    return {**documents[0], "runs": [run for document in documents for run in document["runs"]]}


def _line_of(text: str, resource: str) -> int:
    """Where a resource begins; of one that SAM made, the resource it was made of, whose id its own begins with."""
    keys = re.finditer(r"^\s+\"?(\w+)\"?:", text, re.MULTILINE)
    made_of = [key for key in keys if resource.startswith(key[1])]
    best = max(made_of, key=lambda key: len(key[1]), default=None)
    return text.count("\n", 0, best.start(1)) + 1 if best else 1


def _print(findings: Sequence[Finding], file: Path) -> None:
    errors = [finding for finding in findings if finding.level == "error"]
    warnings = [finding for finding in findings if finding.level != "error"]
    summary = f"{file}: {_counted(len(errors), 'error')}, {_counted(len(warnings), 'warning')}"
    if not show.is_terminal():
        for finding in (*errors, *warnings):
            click.echo(f"{finding.level}: {show.safe(finding.text)}")
        click.echo(show.safe(summary))
        return
    styles = {"error": "bold red", "warning": "bold yellow"}
    show.draw(show.picture(((found.level, styles[found.level]), found.text) for found in (*errors, *warnings)))
    show.draw((summary, styles["error"] if errors else styles["warning"] if warnings else "bold green"))


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
