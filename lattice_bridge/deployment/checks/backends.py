"""The backends of bridge.toml beside the functions of the template: there, under that alias, isolated, and as patient
as it says.

Rule: a function that is not in the template is somebody else's, and nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.options import Backend
from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.checks.names import Named, is_function, is_generated, is_misnamed, named, refers_to
from lattice_bridge.deployment.checks.stack import Stack, alias_of, part_of, seconds_of, tenancy_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved

WRITE: Final = "TenancyConfig: {TenantIsolationMode: PER_TENANT}"
ONLY_ONCE: Final = "tenancy can only be chosen when a function is made, so a function without it has to be made anew"


def backend_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Where bridge.toml and the template's functions disagree."""
    for backend in stack.backends:
        name = named(backend.function)
        if name is None:
            continue
        for function in stack.functions:
            yield from _name(function, name, backend)
            if is_function(name, function, stack.template):
                yield from _tenancy(function, backend)
                yield from _alias(function, name, backend, stack.template)
                yield from _patience(function, backend)
                yield from _kept(function, name, backend, stack.template)


def _name(function: Resource, name: Named, backend: Backend) -> Iterator[TemplateFinding]:
    if is_misnamed(name, function):
        yield finding(
            function.id,
            f'bridge.toml has "{backend.function}", which is the logical id of a function without FunctionName',
            f"FunctionName: {name.name}",
            f"CloudFormation would choose another name, and every request to {backend.path} would be a 500 "
            "(function_not_found)",
        )
    elif is_generated(function) and f"-{function.id}-" in name.name:
        yield finding(
            function.id,
            f'bridge.toml has "{backend.function}", a name that CloudFormation chose',
            "a FunctionName of your own, here and in bridge.toml",
            "it changes whenever the function is made anew, and is not known before",
            "warning",
        )


def _tenancy(function: Resource, backend: Backend) -> Iterator[TemplateFinding]:
    if backend.isolated and not tenancy_of(function):
        yield finding(
            function.id,
            f'bridge.toml has "{backend.function}" isolated, and the function has no TenancyConfig',
            f"{WRITE}, or isolated = false in bridge.toml",
            f"Lambda refuses a tenant id for it, so every request would be a 500 (tenancy_mismatch); {ONLY_ONCE}",
        )
    if not backend.isolated and tenancy_of(function):
        yield finding(
            function.id,
            f'bridge.toml has "{backend.function}" with isolated = false, and the function has a TenancyConfig',
            "no `isolated = false` in bridge.toml, or no TenancyConfig",
            "Lambda refuses to run it without a tenant id, so every request would be a 500 (tenancy_mismatch)",
        )


def _alias(function: Resource, name: Named, backend: Backend, template: Template) -> Iterator[TemplateFinding]:
    aliases = {
        str(one.properties.get("Name"))
        for one in template.of_type("AWS::Lambda::Alias")
        if refers_to(one.properties.get("FunctionName"), function)
    }
    if _is_alias(name.qualifier) and name.qualifier not in aliases and not any(map(unresolved, aliases)):
        yield finding(
            function.id,
            f'bridge.toml has "{backend.function}", and the function has '
            f"{'only the alias ' + ', '.join(sorted(aliases)) if aliases else 'no alias'}",
            alias_of(function, str(name.qualifier)),
            f"every request to {backend.path} would be a 500 (function_not_found)",
        )


def _is_alias(qualifier: str | None) -> bool:
    """Not a version: which numbers there are, only a deployed stack knows."""
    return qualifier is not None and qualifier != "$LATEST" and not qualifier.isdecimal()


def _patience(function: Resource, backend: Backend) -> Iterator[TemplateFinding]:
    seconds = seconds_of(function, "Timeout", 3.0)
    if backend.invocation == "sync" and seconds is not None and seconds > backend.timeout:
        yield finding(
            function.id,
            f'Timeout is {seconds:g} seconds, and bridge.toml waits {backend.timeout:g} for "{backend.function}"',
            f"Timeout: {backend.timeout:g} at most, or a longer timeout in bridge.toml",
            "the bridge answers 504 while the function goes on, and its work is done or half done without anybody "
            "hearing of it",
            "warning",
        )


def _kept(function: Resource, name: Named, backend: Backend, template: Template) -> Iterator[TemplateFinding]:
    """What failed three times, of requests that nobody waits for."""
    configs = [
        one
        for one in template.of_type("AWS::Lambda::EventInvokeConfig")
        if refers_to(one.properties.get("FunctionName"), function)
        and (
            unresolved(one.properties.get("Qualifier"))
            or one.properties.get("Qualifier") == (name.qualifier or "$LATEST")
        )
    ]
    kept = any(_keeps(config) for config in configs)
    if backend.invocation == "async" and not kept and not function.properties.get("DeadLetterConfig"):
        yield finding(
            function.id,
            f'bridge.toml invokes "{backend.function}" asynchronously, and what fails is kept nowhere',
            f"an EventInvokeConfig with OnFailure, for {name.qualifier or '$LATEST'}",
            "the caller had its 202, and Lambda forgets a request that failed three times",
            "warning",
        )


def _keeps(config: Resource) -> bool:
    destinations = config.properties.get("DestinationConfig")
    return unresolved(destinations) or bool(part_of(config, "DestinationConfig").get("OnFailure"))
