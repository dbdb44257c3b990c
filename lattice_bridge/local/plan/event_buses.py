"""Event buses of EventBridge and their rules, as values.

Rule: values only. `readers.event_buses` makes them from a template.
"""

from __future__ import annotations

from dataclasses import dataclass

from lattice_bridge.local.plan.event_target import Target

DEFAULT_BUS = "default"
"""The name of the bus that every account has."""


@dataclass(frozen=True, slots=True)
class EventBus:
    """A bus of the template.

    Attributes:
        id: its logical id.
        name: that EventBridge has for it.
        arn: of the bus; that of a deployed one if local.toml has it.
        description: of the bus, or None.
    """

    id: str
    name: str
    arn: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class EventRule:
    """A rule of the template.

    Attributes:
        id: its logical id.
        name: that EventBridge has for it.
        bus: the name of its bus.
        pattern: JSON; None for a rule with a schedule only.
        schedule: as in `rate(5 minutes)`; None for a rule with a pattern only.
        enabled: whether it takes events.
        targets: that the stack can deliver to.
        description: of the rule, or None.
    """

    id: str
    name: str
    bus: str
    pattern: str | None
    schedule: str | None
    enabled: bool = True
    targets: tuple[Target, ...] = ()
    description: str | None = None
