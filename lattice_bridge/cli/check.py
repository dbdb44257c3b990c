"""`lattice-bridge check`: the faults, warnings and failed tests of a map, and the faults of a template beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import (
    GivenMap,
    base_option,
    chosen_map,
    located_line,
    map_argument,
    named_values,
    read_input_text,
    read_map,
)
from lattice_bridge.config.compiled import options_of
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Options
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.needs import needs_of
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import NO_NEEDS, MapNeeds
from lattice_bridge.deployment.cloudformation.text import MAX_BYTES as MAX_TEMPLATE_BYTES
from lattice_bridge.deployment.cloudformation.text import BadTemplate, places_of
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.review.check import findings_of
from lattice_bridge.review.coverage import Coverage, coverage_of
from lattice_bridge.review.finding import Finding, sarif

DEFAULT_REGION: Final = "us-east-1"
"""The value of `AWS::Region` if no option and no environment variable names a region. The names of other regions in the
template are then not compared with it."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file and its findings.

    Attributes:
        path: the path of the file.
        findings: in their order.
        readable: whether the file could be checked.
        coverage: the parts of a map; None for a template, and for a map that is not TOML.
    """

    path: Path
    findings: Sequence[Finding]
    readable: bool = True
    coverage: Coverage | None = None


@click.command(short_help="Find what is wrong with a map, and with a template.")
@map_argument
@base_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="The form of the output.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--template",
    "-t",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Check this SAM or CloudFormation template as well.",
)
@click.option(
    "--parameter",
    "-P",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A template parameter, or AWS::StackName, AWS::AccountId, AWS::Region. Repeatable.",
)
@click.option("--unsigned", is_flag=True, help="The template's service is meant to allow unsigned requests.")
def check(
    map_name: str | None,
    map_option: str | None,
    base: Path | None,
    form: str,
    *,
    strict: bool,
    template: Path | None,
    parameters: tuple[str, ...],
    unsigned: bool,
) -> None:
    """Check the map MAP (default bridge.toml; - for stdin; REVISION:PATH in git): errors that keep it from loading, its
    own [[test]] tables, and warnings about what is probably not intended. With --template, also compare a template with
    MAP: its functions, permissions, Lattice resources, APIs and authorizers. The command calls no AWS service. Exits
    with 0 if it finds nothing, 1 if it finds an error, 2 if a file cannot be checked."""
    given = read_map(chosen_map(map_name, map_option), base)
    file, text = Path(given.name), given.text
    checked = [_Checked(file, findings_of(text, given.folder), coverage=_coverage(given))]
    if template is not None:
        checked.append(_template(template, file, text, named_values(parameters), unsigned=unsigned))
    elif parameters or unsigned:
        raise click.UsageError("--parameter and --unsigned need --template. Fix: add --template FILE")
    if form == "json":
        found = [{"file": str(one.path), **asdict(finding)} for one in checked for finding in one.findings]
        show.say_json(found)
    elif form == "sarif":
        located = [(finding, one.path.as_posix()) for one in checked for finding in one.findings]
        show.say_json(sarif(located, checked[0].coverage))
    else:
        for one in checked:
            _print(one)
    if not all(one.readable for one in checked):
        sys.exit(2)
    bad = [finding for one in checked for finding in one.findings if strict or finding.level == "error"]
    sys.exit(1 if bad else 0)


def _coverage(given: GivenMap) -> Coverage | None:
    try:
        return coverage_of(given.document)
    except InvalidMap:
        return None


def _template(path: Path, config: Path, written: str, parameters: dict[str, str], *, unsigned: bool) -> _Checked:
    """Checks a template. If it cannot be checked, that is its one finding. `written` is the map's text."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    known = {"AWS::Region": region, **parameters} if region else parameters
    text = read_input_text(path, MAX_TEMPLATE_BYTES)
    try:
        options, needs = _beside(written)
        findings = template_findings(
            path,
            options,
            known,
            DEFAULT_REGION,
            unsigned=unsigned,
            text=text,
            config=config,
            needs=needs,
        )
    except BadTemplate as error:
        what = str(error).removeprefix(f"{path}: ")
        return _Checked(path, [Finding("error", None, what, line=error.line, column=error.column)], readable=False)
    places = places_of(text) if findings else {}
    return _Checked(path, [_placed(finding, places) for finding in findings])


def _beside(text: str) -> tuple[Options | None, MapNeeds]:
    """The options of a map's file, and what its map reads of a request, to compare a template with them. None and no
    needs for a file that does not load: its faults are findings already."""
    faults: list[Fault] = []
    try:
        document = parse_document(text)
        options = read_options(document.tables, faults) if document.compiled is None else options_of(document.compiled)
        needs = needs_of(document)
    except InvalidMap:
        return None, NO_NEEDS
    return (None if faults else options), needs


def _placed(finding: Finding, places: Mapping[str, tuple[int, int]]) -> Finding:
    """The finding at the place of its resource. If SAM made the resource, that is the place of its source, whose id is
    the beginning of its own."""
    sources = [name for name in places if (finding.subject or "").startswith(name)]
    line, column = places[max(sources, key=len)] if sources else (1, 1)
    return replace(finding, line=line, column=column)


def _print(checked: _Checked) -> None:
    errors = [finding for finding in checked.findings if finding.level == "error"]
    warnings = [finding for finding in checked.findings if finding.level != "error"]
    covered = "" if checked.coverage is None else f"{_in_words(checked.coverage)}: "
    summary = f"{checked.path}: {covered}{show.counted(len(errors), 'error')}, {show.counted(len(warnings), 'warning')}"
    if not show.is_terminal():
        for finding in (*errors, *warnings):
            show.say(located_line(checked.path, finding.line, finding.column, finding.level, finding.text))
        show.say(summary)
        return
    styles = {"error": "bold red", "warning": "bold yellow"}
    for found in (*errors, *warnings):
        place = f"{checked.path}:{found.line}:{found.column}"
        show.draw_finding(place, (found.level, styles[found.level]), found.text)
    show.draw((summary, styles["error"] if errors else styles["warning"] if warnings else "bold green"))


def _in_words(coverage: Coverage) -> str:
    """`5 rules, 1 tenant, no tests`, or without tests, and with `the tenants of a registry`."""
    tenants = "the tenants of a registry" if coverage.tenants is None else show.counted(coverage.tenants, "tenant")
    tests = "" if coverage.tests is None else f", {show.counted(coverage.tests, 'test')}"
    return f"{show.counted(coverage.rules, 'rule')}, {tenants}{tests}"
