"""Findings about a configuration or a template, and the formats in which tools read them.

Rule: a finding names a rule, a tenant or a table, what follows from it, and the fix. Only an error fails a check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import quote

from lattice_bridge.review.coverage import Coverage

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or risk of a configuration or a template.

    Attributes:
        level: an `error` keeps a map from loading, or is a `[[test]]` that fails.
        subject: the id of a rule or tenant, or the name of a table or resource; None if there is none.
        text: what is wrong, and the fix.
    """

    level: Level
    subject: str | None
    text: str


def line_of(text: str, subject: str | None) -> int:
    """The line of a map's text that a finding is about, counted from 1: the first one with the subject's name.

    >>> line_of('[[rule]]\\nid = "api"\\n', "api")
    2
    """
    lines = text.splitlines()
    for needle in (f'id = "{subject}"', subject or ""):
        for number, line in enumerate(lines, 1):
            if needle and needle in line:
                return number
    return 1


def sarif(findings: Iterable[tuple[Finding, str, int]], coverage: Coverage | None = None) -> Mapping[str, Any]:
    """One run of the tool as SARIF 2.1.0, which code hosts accept.

    Args:
        findings: each with the path of its file, and the line in it, counted from 1.
        coverage: the parts of the map that were checked, which become a property of the run.
    """
    covered = {} if coverage is None else {"properties": {"covered": asdict(coverage)}}
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": {"name": "lattice-bridge check"}},
                "results": [_result(finding, path, line) for finding, path, line in findings],
                **covered,
            }
        ],
    }


def _result(finding: Finding, path: str, line: int) -> dict[str, Any]:
    location = {"artifactLocation": {"uri": quote(path, errors="surrogateescape")}, "region": {"startLine": line}}
    return {
        "level": finding.level,
        "message": {"text": finding.text},
        "locations": [{"physicalLocation": location}],
    }
