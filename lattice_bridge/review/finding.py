"""Findings about a configuration or a template, and the formats in which tools read them.

Rule: a finding names a rule, a tenant or a table, what follows from it, and the fix. Only an error fails a check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
        line, column: of what it is about, counted from 1 in characters.
    """

    level: Level
    subject: str | None
    text: str
    line: int = field(default=1, kw_only=True)
    column: int = field(default=1, kw_only=True)


def sarif(findings: Iterable[tuple[Finding, str]], coverage: Coverage | None = None) -> Mapping[str, Any]:
    """One run of the tool as SARIF 2.1.0, which code hosts accept.

    Args:
        findings: each with the path of its file.
        coverage: the parts of the map that were checked, which become a property of the run.
    """
    covered = {} if coverage is None else {"properties": {"covered": asdict(coverage)}}
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": {"name": "lattice-bridge check"}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, path) for finding, path in findings],
                **covered,
            }
        ],
    }


def _result(finding: Finding, path: str) -> dict[str, Any]:
    artifact = {"uri": quote(path, errors="surrogateescape")}
    region = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "level": finding.level,
        "message": {"text": finding.text},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }
