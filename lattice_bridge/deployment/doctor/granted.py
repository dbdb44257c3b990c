"""What an identity's policies come to for one action on one resource.

Rule: what is not known for sure, a condition or a policy variable, is said to be so, and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from lattice_bridge.deployment.doctor.facts import Rights
from lattice_bridge.deployment.doctor.findings import Unread
from lattice_bridge.deployment.iam.policy import Statement

Grant = Literal["allowed", "conditional", "denied", "absent"]
_BEST: Final[tuple[Grant, ...]] = ("allowed", "conditional", "absent", "denied")


def granted(statements: Iterable[Statement], action: str, resource: str) -> Grant:
    """What a role's policies come to for an action on a resource.

    `conditional`: allowed or denied under a condition only, or on a resource with a policy variable; neither is looked
    into.
    """
    about = [found for found in statements if found.names_action(action) and found.may_name_resource(resource)]
    sure = [found for found in about if not found.conditions and found.names_resource(resource)]
    denied = any(found.effect == "Deny" for found in about)
    if any(found.effect == "Deny" for found in sure):
        return "denied"
    if not any(found.effect == "Allow" for found in about):
        return "absent"
    return "conditional" if denied or not any(found.effect == "Allow" for found in sure) else "allowed"


def within_boundary(rights: Rights, action: str, resource: str) -> Grant:
    """What a role's policies and its permissions boundary come to, which both have to allow it. What could not be read
    is a condition that nobody knows."""
    parts = (rights.statements, *([] if rights.boundary is None else [rights.boundary]))
    grants = ("conditional" if isinstance(part, Unread) else granted(part, action, resource) for part in parts)
    return max(grants, key=_BEST.index)
