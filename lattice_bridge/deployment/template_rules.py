"""All that is wrong with a template beside bridge.toml, before AWS sees it.

Rule: over the translated template. cfn-lint and CloudFormation take what is found here; Lambda or Lattice refuse it
later, or nobody does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.template_backends import backends_as_said
from lattice_bridge.deployment.template_found import TemplateFinding, found
from lattice_bridge.deployment.template_lattice import lattice
from lattice_bridge.deployment.template_names import bridges_of
from lattice_bridge.deployment.template_policies import invocations
from lattice_bridge.deployment.template_read import read_translated
from lattice_bridge.deployment.template_sam import NotTranslated
from lattice_bridge.deployment.template_tenancy import tenancy
from lattice_bridge.local.template import Resource, Template, malformed
from lattice_bridge.options import Options
from lattice_bridge.place import FUNCTION_VARIABLE

SPARE: Final = 3.0
"""Seconds that the bridge needs beside its slowest backend: two to connect, and some to answer."""


def template_findings(
    path: Path, options: Options, parameters: dict[str, str], region: str, *, unsigned: bool = False
) -> list[TemplateFinding]:
    """What is wrong with the template in a file; an empty list is a clean one.

    Args:
        path: SAM or CloudFormation, YAML or JSON.
        options: what bridge.toml says beside the map.
        parameters: values for the template's parameters; the others have their defaults.
        region: what `AWS::Region` is.
        unsigned: a service is meant to let in callers that nobody authenticated.

    Raises:
        BadTemplate: it cannot be read, or not translated for want of the translator.
    """
    try:
        template = read_translated(path, parameters, region)
    except NotTranslated as error:
        why = "AWS's translator refuses it, and so would the deployment"
        return [
            found(resource or path.name, text.rstrip("."), "what it asks for", why) for resource, text in error.faults
        ]
    with malformed(str(path)):
        return list(rules(template, options, unsigned=unsigned))


def rules(template: Template, options: Options, *, unsigned: bool = False) -> Iterator[TemplateFinding]:
    """Every rule over a template that is translated and resolved."""
    bridges = bridges_of(template)
    if not bridges:
        yield found(
            "Resources",
            "no bridge: no function with the handler lattice_bridge.main.handler, and none in a LAMBDA target group",
            "Handler: lattice_bridge.main.handler on one function",
            "there is nothing that bridge.toml could be held against",
        )
        return
    for bridge in bridges:
        variables = (bridge.properties.get("Environment") or {}).get("Variables") or {}
        options = options.with_function(variables.get(FUNCTION_VARIABLE))
    yield from backends_as_said(template, options.backends)
    yield from tenancy(template, options.backends)
    yield from lattice(template, unsigned=unsigned)
    yield from invocations(template, options.backends)
    for bridge in bridges:
        yield from _log_level(bridge)
        yield from _time(bridge.id, float(bridge.properties.get("Timeout", 3)), options.backends)


def _log_level(bridge: Resource) -> Iterator[TemplateFinding]:
    level = (bridge.properties.get("LoggingConfig") or {}).get("ApplicationLogLevel", "INFO")
    if level in ("WARN", "ERROR", "FATAL"):
        yield found(
            bridge.id,
            f"ApplicationLogLevel is {level}",
            "no ApplicationLogLevel, or INFO",
            "Lambda takes a line without a level for INFO, and lines of metrics have none, so alarms would see nothing",
            "warning",
        )


def _time(bridge: str, seconds: float, backends: Iterable[Backend]) -> Iterator[TemplateFinding]:
    slowest = max((one.timeout for one in backends if one.invocation == "sync"), default=0.0)
    if slowest and seconds < slowest + SPARE:
        yield found(
            bridge,
            f"Timeout is {seconds:g} seconds, and the slowest backend in bridge.toml has {slowest:g}",
            f"Timeout: {slowest + SPARE:g}, or shorter timeouts in bridge.toml",
            "the bridge would be stopped before it can answer for a backend that is late",
        )
