"""docs/backends.md: what of it is written by the tests, and what of it they run.

Rule: the matrix is made of results alone; a version that changes, or a loss that is no more, changes the page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from tests.frameworks.cases import CASES, HANDLERS
from tests.frameworks.losses import Loss, Note
from tests.support.paths import ROOT

PAGE: Final = ROOT / "docs" / "backends.md"

NAMES: Final = {
    "mangum": "Mangum",
    "apig-wsgi": "apig-wsgi",
    "serverless-wsgi": "serverless-wsgi",
    "powertools": "Powertools",
}
PACKAGES: Final = (
    "Mangum",
    "FastAPI",
    "Starlette",
    "apig-wsgi",
    "serverless-wsgi",
    "Flask",
    "Werkzeug",
    "aws-lambda-powertools",
)

Results = Mapping[tuple[str, str, str], Loss | None]
"""(framework, payload, case) → its loss; None if the result is right."""


def matrix(results: Results) -> str:
    """Versions, a row a case, and the notes that its numbers point to."""
    numbers: dict[tuple[str, Note], int] = {}
    rows = [_row(case.name, [_cell(results, numbers, *handler, case.id) for handler in HANDLERS]) for case in CASES]
    head = [f"{NAMES[framework]}<br>`{payload}`" for framework, payload in HANDLERS]
    ran = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    right = sum(result is None for result in results.values())
    lines = [
        f"Run with {ran}: {right} of {len(results)} come out right.",
        "",
        _row("", head),
        _row("---", [":-:" for _ in head]),
        *rows,
        "",
        *(_note(number, framework, note) for (framework, note), number in numbers.items()),
    ]
    return "\n".join(lines)


def _cell(results: Results, numbers: dict[tuple[str, Note], int], framework: str, payload: str, case: str) -> str:
    if (framework, payload, case) not in results:
        return "–"
    loss = results[framework, payload, case]
    return "✓" if loss is None else f"**{numbers.setdefault((framework, loss.note), len(numbers) + 1)}**"


def _row(first: str, cells: list[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"


def _note(number: int, framework: str, note: Note) -> str:
    sources = ", ".join(
        f"`{source.replace(':', '.').removeprefix('aws_lambda_powertools.')}`" for source in note.sources
    )
    return f"{number}. {NAMES[framework]}: {note.text} ({sources})"


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def recipes() -> dict[str, tuple[str, str]]:
    """The Python and the TOML of each recipe, by its heading."""
    found = re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", section("Recipes"), re.DOTALL | re.MULTILINE)
    return {title: (_block(recipe, "python"), _block(recipe, "toml")) for title, recipe in found}


def _block(recipe: str, language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", recipe, re.DOTALL | re.MULTILINE)
    return str(block)


def expressions() -> dict[str, list[str]]:
    """The table of how the tenant reaches an app: its first column, and the code in the others."""
    rows = re.findall(r"^\| (\w.*?) \| `(.+)` \| `(.+)` \| `(.+)` \|$", section("Tenant and principal"), re.MULTILINE)
    return {name: cells for name, *cells in rows}
