"""One thing that is wrong with a template.

Rule: it names a resource, and says what is wrong, what to write instead, and why in one sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lattice_bridge.deployment.cloudformation.stand_ins import GENERATED
from lattice_bridge.deployment.cloudformation.values import MARKER
from lattice_bridge.review.finding import Finding, Level

_GENERATED: Final = re.compile(rf"(?:{MARKER.pattern}|[\w-]+)-(\w+)-{re.escape(GENERATED)}")

UNKNOWN: Final = "what only a deployed stack knows cannot be checked here"


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


def finding(resource: str, wrong: str, instead: str, why: str, level: Level = "error") -> TemplateFinding:
    """A finding; none of the three ends in a full stop.

    A function whose name CloudFormation chooses goes by its logical id.
    """
    wrong, instead, why = (_GENERATED.sub(r"\1", text) for text in (wrong, instead, why))
    text = f"{resource}: {wrong}. Instead: {instead}. Why: {why}."
    return TemplateFinding(level, resource, text, wrong, instead, why)
