"""`lattice-bridge check`: a map's faults, warnings and own tests."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lattice_bridge.check import findings_of
from lattice_bridge.cli import show
from lattice_bridge.cli.files import read
from lattice_bridge.lint import Finding, sarif


@click.command(short_help="Find what is wrong with a map.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("bridge.toml"))
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def check(file: Path, form: str, *, strict: bool) -> None:
    """Check the map in FILE (default bridge.toml): errors that keep it from loading, its own [[test]] tables, and
    warnings about what is probably not meant. Exits with 0 if it is good, 1 if not."""
    text = read(file)
    findings = findings_of(text, file.parent)
    if form == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(findings, file.as_posix(), text), indent=2))
    else:
        _print(findings, file)
    bad = [finding for finding in findings if strict or finding.level == "error"]
    sys.exit(1 if bad else 0)


def _print(findings: list[Finding], file: Path) -> None:
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
