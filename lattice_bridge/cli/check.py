"""`lattice-bridge check`: a map's faults, warnings and own tests."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lattice_bridge.cli.files import read
from lattice_bridge.errors import InvalidMap
from lattice_bridge.lint import Finding, sarif
from lattice_bridge.settings import Settings
from lattice_bridge.tenant_map import ELSEWHERE, TenantMap


@click.command(short_help="Find what is wrong with a map.")
@click.argument("file", type=click.Path(path_type=Path), default=Path("bridge.toml"))
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def check(file: Path, form: str, *, strict: bool) -> None:
    """Check the map in FILE (default bridge.toml): errors that keep it from loading, its own [[test]] tables, and
    warnings about what is probably not meant. Exits with 0 if it is good, 1 if not."""
    text = read(file)
    findings = TenantMap.findings(text, file.parent)
    findings = [*_settings_findings(text, file.parent, findings), *findings]
    if form == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    elif form == "sarif":
        click.echo(json.dumps(sarif(findings, file.as_posix(), text), indent=2))
    else:
        _print(findings, file)
    bad = [finding for finding in findings if strict or finding.level == "error"]
    sys.exit(1 if bad else 0)


def _settings_findings(text: str, folder: Path, known: list[Finding]) -> list[Finding]:
    """What is wrong with the rest of the file, if there is any: a map may stand alone."""
    if not any(f"[{name}]" in text or f"{name} =" in text for name in ELSEWHERE):
        return []
    try:
        Settings.from_toml(text, folder=folder)
    except InvalidMap as error:
        said = {finding.text for finding in known}
        return [Finding("error", None, fault) for fault in error.faults if fault not in said]
    return []


def _print(findings: list[Finding], file: Path) -> None:
    for finding in findings:
        colour = "red" if finding.level == "error" else "yellow"
        click.echo(f"{click.style(finding.level, fg=colour)}: {finding.text}")
    errors = sum(finding.level == "error" for finding in findings)
    click.echo(f"{file}: {errors} errors, {len(findings) - errors} warnings")
