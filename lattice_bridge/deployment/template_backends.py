"""The backends of bridge.toml beside the functions of the template: there, under that alias, and isolated as it says.

Rule: a function that is not in the template is somebody else's, and nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.template_found import TemplateFinding, found
from lattice_bridge.deployment.template_names import functions_of, named, refers_to, tenancy_of, unresolved
from lattice_bridge.local.template import Resource, Template

WRITE: Final = "TenancyConfig: {TenantIsolationMode: PER_TENANT}"
ONLY_ONCE: Final = "tenancy can only be chosen when a function is made, so a function without it has to be made anew"


def backends_as_said(template: Template, backends: Iterable[Backend]) -> Iterator[TemplateFinding]:
    """Where bridge.toml and the template's functions disagree."""
    functions = functions_of(template)
    for backend in backends:
        name = named(backend.function)
        if name is None or name.name not in functions:
            continue
        function = functions[name.name]
        yield from _tenancy(function, backend)
        aliases = _aliases_of(function, template)
        if _is_alias(name.qualifier) and name.qualifier not in aliases and not any(map(unresolved, aliases)):
            yield found(
                function.id,
                f'bridge.toml has "{backend.function}", and the function has '
                f"{'only the alias ' + ', '.join(sorted(aliases)) if aliases else 'no alias'}",
                f"AutoPublishAlias: {name.qualifier}, or an AWS::Lambda::Alias of that name",
                f"every request to {backend.path} would be a 500 (function_not_found)",
            )


def _tenancy(function: Resource, backend: Backend) -> Iterator[TemplateFinding]:
    if backend.isolated and not tenancy_of(function):
        yield found(
            function.id,
            f'bridge.toml has "{backend.function}" isolated, and the function has no TenancyConfig',
            f"{WRITE}, or isolated = false in bridge.toml",
            f"Lambda refuses a tenant id for it, so every request would be a 500 (tenancy_mismatch); {ONLY_ONCE}",
        )
    if not backend.isolated and tenancy_of(function):
        yield found(
            function.id,
            f'bridge.toml has "{backend.function}" with isolated = false, and the function has a TenancyConfig',
            "no `isolated = false` in bridge.toml, or no TenancyConfig",
            "Lambda refuses to run it without a tenant id, so every request would be a 500 (tenancy_mismatch)",
        )


def _aliases_of(function: Resource, template: Template) -> set[str]:
    aliases = template.of_type("AWS::Lambda::Alias")
    return {
        str(one.properties.get("Name")) for one in aliases if refers_to(one.properties.get("FunctionName"), function)
    }


def _is_alias(qualifier: str | None) -> bool:
    """Not a version: which numbers there are, only a deployed stack knows."""
    return qualifier is not None and qualifier != "$LATEST" and not qualifier.isdecimal()
