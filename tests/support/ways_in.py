"""The templates and maps of docs/ways-in.md, by the title of their section."""

from __future__ import annotations

import re
from typing import Final

from tests.support.paths import ROOT

TEXT: Final = (ROOT / "docs" / "ways-in.md").read_text(encoding="utf-8")
SECTIONS: Final = {
    title: body for title, _, body in (part.partition("\n") for part in TEXT.split("\n## ")) if "```yaml\n" in body
}
"""Title of a section with a template → its text."""


def block(section: str, language: str) -> str:
    """The one block of a section in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.DOTALL | re.MULTILINE)
    return str(found)
