"""One thing that is wrong with a template.

Rule: it names a resource, and says what is wrong, what to write instead, and why in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from lattice_bridge.lint import Finding, Level


@dataclass(frozen=True, slots=True)
class TemplateFinding(Finding):
    """A finding whose `subject` is a resource's logical id, and whose `text` is all of it.

    Attributes:
        wrong: what there is.
        instead: what to write.
        why: what would come of it.
    """

    wrong: str
    instead: str
    why: str


def found(resource: str, wrong: str, instead: str, why: str, level: Level = "error") -> TemplateFinding:
    """A finding; none of the three ends in a full stop."""
    return TemplateFinding(
        level, resource, f"{resource}: {wrong}. Instead: {instead}. Why: {why}.", wrong, instead, why
    )
