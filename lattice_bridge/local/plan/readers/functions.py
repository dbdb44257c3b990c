"""Reads the functions of a resolved template: those that this machine can run, and the reasons for the others.

Rule: a property that has no effect here is named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text
from lattice_bridge.local.plan.model import Function, LeftOut
from lattice_bridge.local.plan.readers.code import Code, Layers, NotLocal, find_code
from lattice_bridge.local.plan.readers.event_invoke_configs import EventInvokeConfigs

_READ_PROPERTIES: Final = frozenset(
    {
        "FunctionName",
        "Handler",
        "CodeUri",
        "Code",
        "InlineCode",
        "ImageUri",
        "Layers",
        "Runtime",
        "Timeout",
        "MemorySize",
        "Environment",
        "TenancyConfig",
        "AutoPublishAlias",
        "LoggingConfig",
        "EventInvokeConfig",
        "DeadLetterConfig",
        "DeadLetterQueue",
        "Description",
        "PackageType",
    }
)


_KNOWN_RUNTIMES: Final = ("python", "nodejs", "provided")
"""The beginnings of the runtimes that the stack starts by itself."""


@dataclass(frozen=True, slots=True)
class Runners:
    """What runs functions in place of the stack's own runtime clients.

    Attributes:
        commands: by the beginning of a runtime; the longest one that matches is used.
        urls: by the logical id of a function that runs elsewhere.
    """

    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)

    def command(self, runtime: str) -> tuple[str, ...]:
        """The command for a runtime; empty if there is none."""
        prefixes = [prefix for prefix in self.commands if runtime.startswith(prefix)]
        return self.commands[max(prefixes, key=len)] if prefixes else ()


def read_functions(
    template: Template,
    runners: Runners,
    layers: Layers,
    configs: EventInvokeConfigs,
    left_out: LeftOut,
    not_run: dict[str, str],
) -> Iterator[Function]:
    """Reads the functions that this machine can run. `left_out` and `not_run` get the others.

    Raises:
        BadTemplate: a function is malformed, or two have the same name.
    """
    seen: set[str] = set()
    for resource in template.of_type("AWS::Serverless::Function", "AWS::Lambda::Function"):
        name = _name(resource)
        with malformed(f"function {resource.id}"):
            try:
                function = _function(resource, template, runners, layers, left_out)
            except NotLocal as error:
                not_run[name] = str(error)
                continue
            function = replace(function, invoke_configs=configs.of(name), dead_letters=configs.dead_letters(resource))
        if name in seen:
            raise BadTemplate(f"function {resource.id}: another function has the name {name}. Fix: rename one")
        seen.add(name)
        for left in sorted(set(resource.properties) - _READ_PROPERTIES):
            left_out.add(f"property {left} has no effect", name)
        here = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if function.runner == "python" and function.runtime != here:
            left_out.add(f"Runtime {function.runtime} runs on this machine's {here}", name)
        yield function


def _function(resource: Resource, template: Template, runners: Runners, layers: Layers, left_out: LeftOut) -> Function:
    """Reads one function.

    Raises:
        NotLocal: this machine cannot run it.
    """
    properties = resource.properties
    name, runtime = _name(resource), str(properties.get("Runtime", ""))
    url = runners.urls.get(resource.id, "")
    command = () if url else runners.command(runtime)
    code = Code(template.folder.resolve()) if url else _code(resource, template, command)
    local, remote = ((), ()) if url else layers.of(resource, left_out)
    logging = properties.get("LoggingConfig") or {}
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    return Function(
        name=name,
        arn=resource.arn,
        handler=str(properties.get("Handler", "bootstrap")),
        code=code.path,
        environment={str(key): as_text(value) for key, value in variables.items()},
        timeout=number(properties.get("Timeout", 3), resource.id, "Timeout"),
        memory=int(number(properties.get("MemorySize", 128), resource.id, "MemorySize")),
        isolated=_isolated(resource),
        aliases=_aliases(resource, name, template),
        log_format=str(logging.get("LogFormat", "Text")),
        log_level=logging.get("ApplicationLogLevel"),
        logical_id=resource.id,
        runtime=runtime,
        layers=local,
        command=command,
        inline=code.inline,
        remote_layers=remote,
        url=url,
    )


def _name(resource: Resource) -> str:
    return str(resource.properties.get("FunctionName", resource.id))


def _code(resource: Resource, template: Template, command: tuple[str, ...]) -> Code:
    """The code of a function that runs on this machine.

    Raises:
        NotLocal: it has none here, or nothing starts its runtime.
    """
    code = find_code(resource, template)
    runtime = str(resource.properties.get("Runtime", ""))
    if not command and not runtime.startswith(_KNOWN_RUNTIMES):
        if not runtime:
            raise NotLocal("it has no Runtime. Fix: write one, as in Runtime: python3.13")
        raise NotLocal(
            f'Runtime {runtime} has no command. Fix: write {runtime} = ["COMMAND", …] under [local.runtimes] in '
            f"local.toml, or start with --function {_name(resource)}=URL"
        )
    needs_handler = any("{handler}" in word for word in command) if command else not runtime.startswith("provided")
    if needs_handler and not isinstance(resource.properties.get("Handler"), str):
        raise NotLocal("it has no Handler. Fix: write one, as in Handler: app.handler")
    return code


def _isolated(resource: Resource) -> bool:
    """A misspelt mode is refused: the function would run without isolation here, and fail to deploy on AWS."""
    tenancy = resource.properties.get("TenancyConfig")
    if tenancy is None:
        return False
    mode = tenancy.get("TenantIsolationMode") if isinstance(tenancy, dict) else tenancy
    if mode != "PER_TENANT":
        raise BadTemplate(
            f"{resource.id}.TenancyConfig.TenantIsolationMode: {mode!r} is unknown. Fix: write PER_TENANT"
        )
    return True


def _aliases(resource: Resource, name: str, template: Template) -> frozenset[str]:
    """The aliases of a function, and the numbers of its versions. All of them have the code of the template."""
    found = {resource.properties.get("AutoPublishAlias")}
    for qualified in template.of_type("AWS::Lambda::Alias", "AWS::Lambda::Version"):
        function = str(qualified.properties.get("FunctionName", ""))
        if function == name or function.endswith(f":function:{name}"):
            is_alias = qualified.type == "AWS::Lambda::Alias"
            found.add(qualified.properties.get("Name") if is_alias else qualified.ref.rpartition(":")[2])
    return frozenset(str(alias) for alias in found if alias)
