"""The mappings of streams in a plan that cannot work, and the streams that bridge.toml and the mappings do not share.

Rule: a stream is found by its ARN, and the stream of a table by the table's ARN, as the bridge finds them. A stream may
be made while the stack runs, so one that the template does not have is no problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lattice_bridge.cli.queue_problems import is_of, no_queue, queue_of
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function, Plan
from lattice_bridge.local.plan.stream_mappings import SERVICES, StreamMapping


def of_stream_mappings(
    plan: Plan, configurations: Iterable[BridgeConfiguration], fault_of: Callable[[str], str | None]
) -> Iterator[str]:
    """A line for each fault of a mapping: the stack does not run it, Lambda refuses it, or records are lost.

    Args:
        plan: of the template.
        configurations: of its bridges.
        fault_of: returns why the stack cannot invoke a function; None if it can.
    """
    by_bridge = {configuration.function.name: configuration for configuration in configurations}
    for mapping in plan.stream_mappings:
        place = f"event source mapping {mapping.id}"
        yield from (f"{place}: it does not run: {fault}" for fault in mapping.faults)
        if mapping.on_failure and not mapping.faults and queue_of(mapping.on_failure, plan) is None:
            yield f"{place}: DestinationConfig.OnFailure: {no_queue(mapping.on_failure, plan)}"
        if fault := fault_of(mapping.function):
            yield f"{place}: {fault}"
            continue
        function, _ = find_function(mapping.function, plan.functions, plan.region)
        if function.isolated:
            yield f"{place}: {_no_router(mapping, function)}"
        elif function.handler == BRIDGE_HANDLER:
            yield from (f"{place}: {fault}" for fault in _of_bridge(mapping, function, by_bridge.get(function.name)))


def of_stream_sources(plan: Plan, configurations: Iterable[BridgeConfiguration]) -> Iterator[str]:
    """A line for each stream or table in bridge.toml of which no mapping brings a record to the bridge."""
    for configuration in configurations:
        name, settings = configuration.function.name, configuration.settings
        mapped = {mapping.source for mapping in plan.stream_mappings if is_of(mapping.function, name, plan)}
        for source in settings.options.event_sources if settings else ():
            place = f'bridge.toml: [[event_source]] arn = "{source.arn}"'
            if source.arn.split(":")[2] not in SERVICES or source.pipe is not None:
                continue
            if source.arn not in mapped:
                yield f"{place}: no event source mapping brings its records to {name}. Fix: add one to the template"
            if source.quarantine is not None and queue_of(source.quarantine, plan) is None:
                yield f"{place}: quarantine: {no_queue(source.quarantine, plan)}"


def _no_router(mapping: StreamMapping, function: Function) -> str:
    return (
        f"the function {function.name!r} has a TenancyConfig, and a mapping sends no tenant id: Lambda refuses every "
        f'batch. Fix: map the stream to a bridge, and write [[event_source]] with arn = "{mapping.source}" and '
        f'function = "{function.name}" into its bridge.toml'
    )


def _of_bridge(mapping: StreamMapping, bridge: Function, configuration: BridgeConfiguration | None) -> Iterator[str]:
    if not mapping.reports_failures:
        yield (
            f"{bridge.name} reports records that failed, and Lambda takes them as done. "
            "Fix: write FunctionResponseTypes: [ReportBatchItemFailures]"
        )
    settings = configuration.settings if configuration else None
    if settings is not None and mapping.source not in {source.arn for source in settings.options.event_sources}:
        yield (
            f'bridge.toml of {bridge.name} has no [[event_source]] with arn = "{mapping.source}", so every batch '
            "fails. Fix: add one, or write the ARN that it has into [local.ids] of local.toml"
        )
