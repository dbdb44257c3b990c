"""Faults of the event bus in front of the bridge and of its rules, as `check --template` and `doctor` both state them.

Rule: an event does not name its bus, so each rule that invokes the bridge belongs to the bus of bridge.toml, or is a
schedule, whose events only AWS writes. It sends the event as EventBridge wrote it. Lambda keeps an event on which the
bridge fails.

Sources: the EventBridge user guide, "Input transformation" and "Using resource-based policies"; the pages
invocation-async-retain-records and invocation-async-error-handling of the Lambda guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.sources.facts import BusRule, Line, name_of_source
from lattice_bridge.deployment.sources.faults import Fault, shared_fault

EVENTS: Final = "events.amazonaws.com"
REWRITES: Final = ("Input", "InputPath", "InputTransformer")
"""The properties of a target that replace the event."""


def unconfigured_rule_fault(rule: BusRule) -> Fault:
    """The fault of a rule that sends events to a bridge without an event bus."""
    return Fault(
        "error",
        rule.label,
        "it sends events to the bridge, and bridge.toml has no [[event_source]] for an event bus",
        "The bridge refuses each of these events (source_not_configured), and Lambda tries it twice more",
        "write an [[event_source]] with the ARN of the bus in bridge.toml, or remove the target",
    )


def unruled_fault(source: EventSource, label: str) -> Fault:
    """The fault of an event bus without a rule that sends its events to the bridge."""
    return Fault(
        "error",
        label,
        f"no rule sends events of the event bus {name_of_source(source.arn)} to the bridge",
        "bridge.toml has an [[event_source]] for it, and none of its events is processed",
        "write a rule of the bus with the bridge as its target, or remove the [[event_source]]",
    )


def bus_faults(line: Line) -> Iterator[Fault]:
    """The faults of the rules that invoke the bridge, and of the place where Lambda keeps what fails."""
    for rule in line.rules:
        yield from _rule_faults(rule, line)
    for failures in line.failures:
        if failures.destination is None and failures.is_known:
            yield Fault(
                "error",
                line.bridge,
                f"it has no OnFailure destination, and receives events of {line.name} as {failures.function}",
                "Lambda drops an event on which the bridge has failed three times, as while the function is throttled",
                f"write an EventInvokeConfig with OnFailure for {failures.function}",
            )
        yield from shared_fault(line.bridge, line, failures.destination, "OnFailure destination")


def _rule_faults(rule: BusRule, line: Line) -> Iterator[Fault]:
    if rule.bus not in (None, line.source.arn) and not rule.is_schedule:
        yield Fault(
            "error",
            rule.label,
            f"it sends events of the bus {name_of_source(str(rule.bus))}, and bridge.toml has {line.name}",
            "An event does not name its bus, so the bridge decides it by the rules for another one",
            f"write the rule for the bus {line.name}, or let this one send to that bus or to a queue of the bridge",
        )
    if rule.rewrites is not None:
        yield Fault(
            "error",
            rule.label,
            f"{rule.rewrites} rewrites the event before the bridge",
            "The bridge trusts what EventBridge wrote about an event: its account, its source and its id",
            f"remove {rule.rewrites}, and let the function read what it needs",
        )
    if rule.enabled is False:
        yield Fault(
            "warning",
            rule.label,
            "it is disabled",
            "None of its events is sent, and EventBridge keeps none",
            "write State: ENABLED, or remove it",
        )
