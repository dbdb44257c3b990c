"""The parts of a plan that cannot work: what the command `local` prints in red at its start, or refuses with --strict.

Rule: a problem is one that Lambda's own checks find, before any request or message needs the function. Each names the
rule of the listener, the mapping, or the table in bridge.toml that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from lattice_bridge.cli.destination_problems import of_destinations
from lattice_bridge.cli.event_bus_problems import of_buses, of_rules
from lattice_bridge.cli.queue_problems import of_mappings, of_sources
from lattice_bridge.cli.stream_problems import of_stream_mappings, of_stream_sources
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Backend
from lattice_bridge.config.words import nearest
from lattice_bridge.local.aws.dynamodb.errors import MISSING
from lattice_bridge.local.aws.dynamodb.tables import is_installed
from lattice_bridge.local.aws.invoke_checks import LambdaError, check_tenant, parse_function_name
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.code.code_faults import code_fault
from lattice_bridge.local.environments.runtimes import start_fault
from lattice_bridge.local.plan.model import Function, Plan, Route, WayIn

_MOST: Final = 3
"""Functions that a line names."""


def problems(
    plan: Plan, configurations: Iterable[BridgeConfiguration], has_tables: Callable[[], bool] = is_installed
) -> list[str]:
    """Returns a line for each routed function that cannot run, each backend or event source that cannot be used, each
    mapping or rule of a bus that cannot work, tables that are not served, each destination of asynchronous invocations
    that takes no record, each fault of a bridge.toml, and each other function that cannot run.

    Args:
        plan: of the template.
        configurations: of its bridges.
        has_tables: whether this machine can serve tables.
    """
    routed = [
        (f"{way.kind} {way.name}", route.requests, fault)
        for way in plan.ways_in
        for route in way.routes
        for fault in _route_faults(way, route, plan)
    ]
    found = [*_of_routes(routed, plan)]
    of_bridges = list(configurations)
    for configuration in of_bridges:
        found += _of_configuration(configuration, plan)
    for mappings, sources in ((of_mappings, of_sources), (of_stream_mappings, of_stream_sources)):
        found += mappings(plan, of_bridges, lambda function: _fault(function, plan))
        found += sources(plan, of_bridges)
    found += of_rules(plan, lambda function: _fault(function, plan))
    found += of_buses(plan, of_bridges)
    found += of_destinations(plan, lambda function: _fault(function, plan))
    if plan.tables and not has_tables():
        found.append(f"tables {_some([table.name for table in plan.tables], _MOST)}: {MISSING}")
    named = {fault for _, _, fault in routed}
    faults = [fault for fault in map(_function_fault, plan.functions.values()) if fault and fault not in named]
    found += _of_functions([fault for fault in faults if not any(fault in line for line in found)], plan)
    return list(dict.fromkeys(found))


def not_run(plan: Plan) -> list[str]:
    """Returns a line for each reason why functions of the template are not run."""
    names: dict[str, list[str]] = {}
    for name, reason in plan.not_run.items():
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(found)}: not run: {reason}" for reason, found in names.items()]


def shared_tenants(plan: Plan) -> list[str]:
    """Returns a line for each function whose tenants share a process that the stack has not started."""
    return [
        f"{function.name}: its tenants share the process at {function.url}, which receives the tenant id of each "
        "invocation. Nothing here keeps its tenants apart."
        for function in plan.functions.values()
        if function.isolated and function.url
    ]


def _of_routes(routed: Iterable[tuple[str, str, str]], plan: Plan) -> Iterator[str]:
    """A line for each way in and fault: an API may have one function, or one missing package, behind thirty routes."""
    found: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for way_in, requests, fault in routed:
        function, text = _split(fault, plan)
        routes, functions = found.setdefault((way_in, text), ([], []))
        routes.append(requests)
        functions.append(function)
    for (way_in, text), (routes, functions) in found.items():
        yield f"{way_in}: {_some(routes, 1)}: {_with_names(functions, text)}"


def _of_functions(faults: Iterable[str], plan: Plan) -> Iterator[str]:
    """A line for each fault that functions have in common."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        function, text = _split(fault, plan)
        found.setdefault(text, []).append(function)
    yield from (_with_names(functions, text) for text, functions in found.items())


def _split(fault: str, plan: Plan) -> tuple[str, str]:
    """The function that a fault begins with, and the rest; no function if it begins otherwise."""
    function, _, text = fault.partition(": ")
    return (function, text) if function in plan.functions else ("", fault)


def _with_names(functions: Iterable[str], text: str) -> str:
    names = _some(list(dict.fromkeys(filter(None, functions))), _MOST)
    return f"{names}: {text}" if names else text


def _some(texts: list[str], most: int) -> str:
    """The first texts, and the number of the others."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def _route_faults(way: WayIn, route: Route, plan: Plan) -> Iterator[str]:
    if route.authorizer and (fault := _fault(route.authorizer, plan)):
        yield f"the authorizer: {fault}"
    for function in route.functions:
        if fault := _fault(function, plan) or _direct_fault(way, route, function, plan):
            yield fault


def _direct_fault(way: WayIn, route: Route, text: str, plan: Plan) -> str | None:
    """Returns why Lambda would refuse every request of a route that invokes a function directly; None if it may not."""
    function, _ = find_function(text, plan.functions, plan.region)
    if function.isolated and not route.tenant:
        fix = (
            "map X-Amz-Tenant-Id in the integration's RequestParameters"
            if way.kind == "REST API"
            else "make a bridge the target, and this function a [[backend]] of its bridge.toml"
        )
        return f"the function {function.name!r} has a TenancyConfig, and gets no tenant id. Fix: {fix}"
    if route.always_a_tenant and not function.isolated:
        fix = "remove the mapping, or add a TenancyConfig"
        return f"the function {function.name!r} has no TenancyConfig, and gets a tenant id. Fix: {fix}"
    return None


def _of_configuration(configuration: BridgeConfiguration, plan: Plan) -> Iterator[str]:
    name, settings = configuration.function.name, configuration.settings
    if configuration.faults:
        yield f"{name} answers every request with 503, because its bridge.toml does not load:"
        yield from (f"  - {fault}" for fault in configuration.faults)
    # In S3 or SSM, only the bridge reads it, with its own credentials.
    for backend in settings.options.backends if settings else ():
        fault = _fault(backend.function, plan) or _tenancy_fault(backend, plan)
        if fault:
            yield f'bridge.toml: [[backend]] path = "{backend.path}": {fault}'
    for source in settings.options.event_sources if settings else ():
        fault = _fault(source.function, plan) or _tenancy_fault(source, plan)
        if fault:
            yield f'bridge.toml: [[event_source]] arn = "{source.arn}": {fault}'


def _fault(text: str, plan: Plan) -> str | None:
    """Returns why the stack cannot invoke a function; None if it can."""
    try:
        function, _ = find_function(text, plan.functions, plan.region)
    except LambdaError as error:
        return f"{error}" if error.status == 400 else _not_found(text, plan)
    return _function_fault(function)


def _function_fault(function: Function) -> str | None:
    """Why a function cannot run as it is: its code, or else its process."""
    if fault := code_fault(function):
        return fault
    fault = start_fault(function)
    return None if fault is None else f"{function.name}: {fault}"


def _not_found(text: str, plan: Plan) -> str:
    name = parse_function_name(text)
    if name.name in plan.not_run:
        return f"the function {name.name!r} cannot run here; its own line has the reason"
    function = plan.functions.get(name.name)
    if function is None:
        near = nearest(name.name, plan.functions)
        fix = f"did you mean {near!r}?" if near else f"it has {', '.join(map(repr, plan.functions))}"
        return f"the template has no function {name.name!r}; {fix}"
    if name.qualifier is not None and name.qualifier not in function.aliases:
        known = f"it has {', '.join(sorted(function.aliases))}" if function.aliases else "it has none"
        fix = f"Fix: write AutoPublishAlias: {name.qualifier} in the template, or a function without an alias"
        return f"the function {name.name!r} has no alias {name.qualifier!r}; {known}. {fix}"
    return f"{text!r} is in another account or Region, and the stack does not run it"


def _tenancy_fault(backend: Backend | EventSource, plan: Plan) -> str | None:
    function, _ = find_function(backend.function, plan.functions, plan.region)
    try:
        check_tenant(function.isolated, "tenant" if backend.isolated else None)
    except LambdaError:
        has = "has" if function.isolated else "does not have"
        value = "true" if function.isolated else "false"
        fix = f"write isolated = {value}, or change the template"
        return f"the function {function.name!r} {has} a TenancyConfig. Fix: {fix}"
    return None
