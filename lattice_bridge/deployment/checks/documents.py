"""A policy, as a map or as JSON text -> its statements, and what of it was not looked into.

Rule: what is not known of a policy is told, and nothing is said for certain of one that is known in part.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.cloudformation.values import MARKER, unresolved

_DECISIVE: Final = ("Effect", "Principal", "Condition")
"""Without one of these, a statement may say this or its contrary."""


@dataclass(frozen=True, slots=True)
class Document:
    """What stands in a policy.

    Attributes:
        statements: as written.
        unread: each part that was not looked into.
    """

    statements: tuple[dict[str, Any], ...] = ()
    unread: tuple[str, ...] = ()


def read_policy(written: object) -> Document:
    """The policy in a map, or in JSON text; an empty one where there is none."""
    if isinstance(written, str):
        with suppress(ValueError):  # told as what is neither
            written = json.loads(written)
    if written is None:
        return Document()
    if (unread := _unread(written)) is not None or not isinstance(written, dict):
        return Document(unread=(unread or "",))
    said = listed(written.get("Statement"))
    unknown = [_unread(one) for one in said]
    return Document(
        tuple(one for one, why in zip(said, unknown, strict=True) if why is None),
        tuple(why for why in unknown if why is not None),
    )


def _unread(part: object) -> str | None:
    """Why a document or a statement was not looked into; None if it can be."""
    if not isinstance(part, dict):
        found = MARKER.search(str(part))
        return found[0] if found else f"{str(part)[:60]!r}, which is neither a map nor JSON"
    calls = [str(key) for key in part if str(key).startswith("Fn::")]
    calls += [f"{key} is {part[key]}" for key in _DECISIVE if isinstance(part.get(key), str) and unresolved(part[key])]
    return calls[0] if calls else None


def not_looked_into(place: str, unread: str) -> TemplateFinding:
    """A warning for a part of a policy."""
    return finding(
        place,
        f"a policy was not looked into: {unread}",
        "the policy itself, in the template",
        "what only a deployed stack knows, or what is no JSON, cannot be checked here",
        "warning",
    )


def listed(value: object) -> list[Any]:
    """A value that may be one, several or none, as IAM writes it."""
    return [] if value is None else value if isinstance(value, list) else [value]
