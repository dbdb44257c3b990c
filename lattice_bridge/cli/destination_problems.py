"""The destinations of asynchronous invocations that take no record, and the configurations that apply to nothing.

Rule: a destination is found by its ARN, as Lambda finds it. Lambda notices most of these faults only when it sends a
record, and then the event is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lattice_bridge.cli.queue_problems import no_queue, queue_of
from lattice_bridge.local.aws.async_invokes import LATEST
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.plan.model import Function, Plan


def of_destinations(plan: Plan, fault_of: Callable[[str], str | None]) -> Iterator[str]:
    """A line for each destination, dead-letter queue or qualifier that cannot work.

    Args:
        plan: of the template.
        fault_of: returns why the stack cannot invoke a function; None if it can.
    """
    for function in plan.functions.values():
        for qualifier, config in function.invoke_configs.items():
            if qualifier not in (LATEST, *function.aliases):
                yield f"{config.id}: {_no_qualifier(function, qualifier)}"
            for name, arn in (("OnSuccess", config.on_success), ("OnFailure", config.on_failure)):
                if fault := _fault(arn, plan, fault_of):
                    yield f"{config.id}.{name}: {fault}"
        if fault := _fault(function.dead_letters, plan, fault_of):
            yield f"{function.logical_id}: dead-letter queue: {fault}"


def _fault(arn: str, plan: Plan, fault_of: Callable[[str], str | None]) -> str | None:
    """Why a destination takes no record; None if it does, or if it is an event bus."""
    if ":sqs:" in arn:
        queue = queue_of(arn, plan)
        if queue is None:
            return no_queue(arn, plan)
        if queue.is_fifo:
            return f"{queue.id} is FIFO, and Lambda sends to standard queues only. Fix: write the ARN of another queue"
    if ":lambda:" not in arn:
        return None
    if fault := fault_of(arn):
        return fault
    function, _ = find_function(arn, plan.functions, plan.region)
    if not function.isolated:
        return None
    return (
        f"the function {function.name!r} has a TenancyConfig, and a destination sends no tenant id: Lambda refuses "
        "every record. Fix: write the ARN of a queue, or of a function without a TenancyConfig"
    )


def _no_qualifier(function: Function, qualifier: str) -> str:
    known = ", ".join((LATEST, *sorted(function.aliases)))
    return (
        f"the function {function.name!r} has no alias or version {qualifier!r}, so the configuration applies to "
        f"nothing. Fix: write one of {known} as Qualifier"
    )
