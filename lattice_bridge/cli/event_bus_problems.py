"""The rules of event buses that cannot work: targets that take no event, and buses of bridge.toml without events.

Rule: a function, a queue and a bus are found by their ARNs, as EventBridge and the bridge find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lattice_bridge.cli.queue_problems import is_of, no_queue, queue_of
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.plan.event_buses import DEFAULT_BUS, EventRule
from lattice_bridge.local.plan.event_target import Target
from lattice_bridge.local.plan.model import Plan


def of_rules(plan: Plan, fault_of: Callable[[str], str | None]) -> Iterator[str]:
    """A line for each target that takes no event.

    Args:
        plan: of the template.
        fault_of: returns why the stack cannot invoke a function; None if it can.
    """
    for rule in plan.event_rules:
        for target in rule.targets:
            place = f"rule {rule.id}: target {target.id}"
            if fault := _target_fault(target, plan, fault_of):
                yield f"{place}: {fault}"
            if target.dead_letters is not None and queue_of(target.dead_letters, plan) is None:
                yield f"{place}: DeadLetterConfig: {no_queue(target.dead_letters, plan)}"


def _target_fault(target: Target, plan: Plan, fault_of: Callable[[str], str | None]) -> str | None:
    if target.service == "sqs":
        return no_queue(target.arn, plan) if queue_of(target.arn, plan) is None else None
    if (fault := fault_of(target.arn)) is not None:
        return fault
    function, _ = find_function(target.arn, plan.functions, plan.region)
    if not function.isolated:
        return None
    return (
        f"the function {function.name!r} has a TenancyConfig, and EventBridge sends no tenant id: Lambda refuses every "
        f"event. Fix: make a bridge the target, and write [[event_source]] with the ARN of the bus and "
        f'function = "{function.name}" into its bridge.toml'
    )


def of_buses(plan: Plan, configurations: Iterable[BridgeConfiguration]) -> Iterator[str]:
    """A line for each bus in bridge.toml from which no event reaches the bridge, or that is not there."""
    default = f"arn:aws:events:{plan.region}:"
    for configuration in configurations:
        bridge, settings = configuration.function, configuration.settings
        for source in settings.options.event_sources if settings else ():
            if source.arn.split(":")[2] != "events":
                continue
            place = f'bridge.toml: [[event_source]] arn = "{source.arn}"'
            name = source.arn.rpartition("/")[2]
            buses = {bus.arn: bus.name for bus in plan.event_buses}
            is_default = name == DEFAULT_BUS and source.arn.startswith(default)
            if source.arn not in buses and not is_default:
                near = next((bus for bus in plan.event_buses if bus.name == name), None)
                fix = f'write {near.id} = "{source.arn}" under [local.ids] in local.toml' if near else f"add {_BUS}"
                yield f"{place}: the template has no bus with this ARN. Fix: {fix}"
            elif not any(_reaches(rule, bridge.name, plan) for rule in plan.event_rules if rule.bus == name):
                yield f"{place}: no rule of the bus brings its events to {bridge.name}. Fix: add {_RULE}"


_BUS = "an AWS::Events::EventBus"
_RULE = "an AWS::Events::Rule to the template, with this function as a target"


def _reaches(rule: EventRule, bridge: str, plan: Plan) -> bool:
    return any(target.service == "lambda" and is_of(target.arn, bridge, plan) for target in rule.targets)
