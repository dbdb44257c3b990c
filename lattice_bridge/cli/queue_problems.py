"""The queues of a plan that cannot work: mappings that Lambda refuses, and queues that bridge.toml does not agree with.

Rule: a queue is found by its ARN, as Lambda and the bridge find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from lattice_bridge.config.words import nearest
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function, Plan
from lattice_bridge.local.plan.queues import EventSourceMapping, Queue

_RECOMMENDED: Final = 6
"""A queue's VisibilityTimeout, in timeouts of its function, as the Lambda guide recommends it."""


def of_mappings(
    plan: Plan, configurations: Iterable[BridgeConfiguration], fault_of: Callable[[str], str | None]
) -> Iterator[str]:
    """A line for each mapping that cannot work.

    Args:
        plan: of the template.
        configurations: of its bridges.
        fault_of: returns why the stack cannot invoke a function; None if it can.
    """
    by_bridge = {configuration.function.name: configuration for configuration in configurations}
    for mapping in plan.mappings:
        place = f"event source mapping {mapping.id}"
        queue = queue_of(mapping.queue, plan)
        if queue is None:
            yield f"{place}: {no_queue(mapping.queue, plan)}"
        if fault := fault_of(mapping.function):
            yield f"{place}: {fault}"
            continue
        function, _ = find_function(mapping.function, plan.functions, plan.region)
        if queue is not None and queue.visibility_timeout < function.timeout:
            yield f"{place}: {_too_short(queue, mapping, function)}"
        if function.isolated:
            yield f"{place}: {_no_router(mapping, function)}"
        elif function.handler == BRIDGE_HANDLER:
            yield from (f"{place}: {fault}" for fault in _of_bridge(mapping, function, by_bridge.get(function.name)))


def of_sources(plan: Plan, configurations: Iterable[BridgeConfiguration]) -> Iterator[str]:
    """A line for each queue in bridge.toml from which no message reaches the bridge, or that is not there."""
    for configuration in configurations:
        name, settings = configuration.function.name, configuration.settings
        for source in settings.options.event_sources if settings else ():
            if source.arn.split(":")[2] != "sqs":
                continue
            place = f'bridge.toml: [[event_source]] arn = "{source.arn}"'
            if queue_of(source.arn, plan) is None:
                yield f"{place}: {no_queue(source.arn, plan)}"
            elif source.arn not in {mapping.queue for mapping in plan.mappings if is_of(mapping.function, name, plan)}:
                yield f"{place}: no event source mapping brings its messages to {name}. Fix: add one to the template"
            if source.quarantine is not None and queue_of(source.quarantine, plan) is None:
                yield f"{place}: quarantine: {no_queue(source.quarantine, plan)}"


def queue_of(arn: str, plan: Plan) -> Queue | None:
    """The queue with an ARN; None if the plan does not have it."""
    return next((queue for queue in plan.queues if queue.arn == arn), None)


def is_of(function: str, name: str, plan: Plan) -> bool:
    """Whether a mapping's function is the one with a name."""
    try:
        return find_function(function, plan.functions, plan.region)[0].name == name
    except LambdaError:
        return False


def no_queue(arn: str, plan: Plan) -> str:
    """Describes an ARN of no queue. That of a deployed stack has another account, or another name."""
    names = {queue.name: queue for queue in plan.queues}
    name = arn.rpartition(":")[2]
    near = names.get(name) or names.get(nearest(name, names) or "")
    if near is None:
        known = f"it has {', '.join(queue.arn for queue in plan.queues)}" if plan.queues else "it has none"
        return f"the template has no queue {arn}; {known}. Fix: add an AWS::SQS::Queue"
    return (
        f"the template has no queue {arn}; {near.id} is {near.arn} here. "
        f'Fix: write {near.id} = "{arn}" under [local.ids] in local.toml, or the other ARN'
    )


def _too_short(queue: Queue, mapping: EventSourceMapping, function: Function) -> str:
    return (
        f"VisibilityTimeout of {queue.id} is {queue.visibility_timeout} s, and Timeout of {function.name} is "
        f"{function.timeout:g} s, so Lambda refuses the mapping. Fix: write VisibilityTimeout: "
        f"{int(_RECOMMENDED * function.timeout + mapping.window)} ({_RECOMMENDED} times the timeout, and the window)"
    )


def _no_router(mapping: EventSourceMapping, function: Function) -> str:
    return (
        f"the function {function.name!r} has a TenancyConfig, and a mapping sends no tenant id: Lambda refuses every "
        f'batch. Fix: map the queue to a bridge, and write [[event_source]] with arn = "{mapping.queue}" and '
        f'function = "{function.name}" into its bridge.toml'
    )


def _of_bridge(
    mapping: EventSourceMapping, bridge: Function, configuration: BridgeConfiguration | None
) -> Iterator[str]:
    if not mapping.reports_failures:
        yield (
            f"{bridge.name} reports records that failed, and Lambda deletes them. "
            "Fix: write FunctionResponseTypes: [ReportBatchItemFailures]"
        )
    settings = configuration.settings if configuration else None
    if settings is not None and mapping.queue not in {source.arn for source in settings.options.event_sources}:
        yield (
            f'bridge.toml of {bridge.name} has no [[event_source]] with arn = "{mapping.queue}", so every record is '
            "reported as failed. Fix: add one, or write the ARN that it has into [local.ids] of local.toml"
        )
