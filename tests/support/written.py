"""Sections of docs/ that are written by a run of the tests, and compared with it ever after.

Rule: between `<!-- NAME: written by … -->` and `<!-- /NAME -->` stands what came out, and nothing else.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

WRITE: Final = "LATTICE_BRIDGE_WRITE_DOCS"
"""Set by `make docs`: the section is written rather than compared."""


def assert_written(page: Path, name: str, content: str) -> None:
    """The section of the page is this content."""
    text = page.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {name}: written by [^>]+ -->\n).*(\n *<!-- /{name} -->)", re.DOTALL)
    written, found = marks.subn(lambda marked: f"{marked[1]}\n{content}\n{marked[2]}", text)
    assert found == 1, f"{page.name} has no section {name}"
    if os.environ.get(WRITE) == "1":
        page.write_text(written, encoding="utf-8")
        return
    assert text == written, f"docs/{page.name} is out of date: run `make docs`"
