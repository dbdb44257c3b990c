"""The parts of a plan that cannot work: what the command `local` prints in red at its start, or refuses with --strict.

Rule: a problem is one that Lambda's own checks find, before any request needs the function. Each names the rule of the
listener or the backend in bridge.toml that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lattice_bridge.config.options import Backend
from lattice_bridge.config.words import nearest
from lattice_bridge.local.aws.invoke_checks import LambdaError, check_tenant, parse_function_name
from lattice_bridge.local.aws.lambda_service import find_function
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.import_advice import handler_fault
from lattice_bridge.local.plan.model import Plan, Route


def problems(plan: Plan, configurations: Iterable[BridgeConfiguration]) -> list[str]:
    """Returns a line for each routed function that cannot run, each backend that cannot be invoked, and each fault of
    a bridge.toml.

    Args:
        plan: of the template.
        configurations: of its bridges.
    """
    found = [*_of_routes(plan)]
    for configuration in configurations:
        found += _of_configuration(configuration, plan)
    return list(dict.fromkeys(found))


def _of_routes(plan: Plan) -> Iterator[str]:
    for way in plan.ways_in:
        for route in way.routes:
            for function in route.functions:
                if fault := _fault(function, plan) or _untenanted(route, function, plan):
                    yield f"{way.kind} {way.name}: {route.requests}: {fault}"


def _untenanted(route: Route, text: str, plan: Plan) -> str | None:
    """Returns why Lambda refuses every request of a route: its function is isolated, and the route has no tenant id."""
    function, _ = find_function(text, plan.functions, plan.region)
    if not function.isolated or route.tenant:
        return None
    return (
        f"the function {function.name!r} has a TenancyConfig, and these requests have no tenant id. "
        "Fix: make a bridge the target, and this function a [[backend]] of its bridge.toml"
    )


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


def _fault(text: str, plan: Plan) -> str | None:
    """Returns why the stack cannot invoke a function; None if it can."""
    try:
        function, _ = find_function(text, plan.functions, plan.region)
    except LambdaError as error:
        return f"{error}" if error.status == 400 else _not_found(text, plan)
    return handler_fault(function)


def _not_found(text: str, plan: Plan) -> str:
    name = parse_function_name(text)
    if reason := plan.not_run.get(name.name):
        return f"the function {name.name!r} cannot run here: {reason}"
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


def _tenancy_fault(backend: Backend, plan: Plan) -> str | None:
    function, _ = find_function(backend.function, plan.functions, plan.region)
    try:
        check_tenant(function.isolated, "tenant" if backend.isolated else None)
    except LambdaError:
        has = "has" if function.isolated else "does not have"
        value = "true" if function.isolated else "false"
        fix = f"write isolated = {value}, or change the template"
        return f"the function {function.name!r} {has} a TenancyConfig. Fix: {fix}"
    return None
