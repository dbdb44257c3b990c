"""The event buses and rules of the template, in the stack's EventBridge.

Rule: a change of the template changes its own buses and rules only. What a client has made or changed stays, until the
template changes the same rule.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from lattice_bridge.local.aws.event_bridge.buses import DISABLED, ENABLED, EventBuses
from lattice_bridge.local.aws.protocol import AwsError
from lattice_bridge.local.plan.event_buses import EventBus, EventRule

_logger: Final = logging.getLogger(__name__)


class TemplateBuses:
    """Makes the buses and rules of the template, and changes them with it.

    Args:
        buses: of the stack.
    """

    def __init__(self, buses: EventBuses) -> None:
        self.buses = buses
        self._made: dict[tuple[str, str], EventRule] = {}
        self._names: set[str] = set()

    def present(self) -> list[str]:
        """The service of the buses, as in `AWS_ENDPOINT_URL_EVENTBRIDGE`, if the template has buses or rules."""
        return ["EVENTBRIDGE"] if self._made or self._names else []

    def replace(self, buses: Iterable[EventBus], rules: Iterable[EventRule]) -> None:
        """Makes the buses and rules that are new or have changed, and deletes those that are gone."""
        wanted = {(rule.bus, rule.name): rule for rule in rules}
        for key in self._made.keys() - wanted.keys():
            self._delete(self._made.pop(key))
        own = {bus.name: bus for bus in buses}
        for name in self._names - own.keys():
            with suppress(AwsError):  # it has rules that a client has made
                self.buses.delete(name)
        self._names = set(own)
        for bus in own.values():
            found = self.buses.find(bus.name) or self.buses.create(bus.name)
            found.description, found.arn = bus.description, bus.arn
        for key, rule in wanted.items():
            if self._made.get(key) != rule:
                self._make(rule)
                self._made[key] = rule

    def _make(self, rule: EventRule) -> None:
        try:
            made = self.buses.put_rule(
                rule.name,
                rule.bus,
                pattern=rule.pattern,
                schedule=rule.schedule,
                state=ENABLED if rule.enabled else DISABLED,
                description=rule.description,
            )
            made.targets.clear()
            self.buses.put_targets(made, rule.targets)
        except AwsError as error:
            _logger.warning("rule %s is not as in the template: %s", rule.name, error)

    def _delete(self, rule: EventRule) -> None:
        bus = self.buses.find(rule.bus)
        if bus is not None:
            bus.rules.pop(rule.name, None)
