"""All that is wrong with a template beside bridge.toml, before AWS sees it.

Rule: over the translated template. cfn-lint and CloudFormation take what is found here; Lambda or Lattice refuse it
later, or nobody does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.checks.alarms import alarms_as_said
from lattice_bridge.deployment.checks.backends import backend_findings
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.groups import group_findings
from lattice_bridge.deployment.checks.permissions import permission_findings
from lattice_bridge.deployment.checks.rights import right_findings
from lattice_bridge.deployment.checks.services import service_findings
from lattice_bridge.deployment.checks.stack import Bridge, part_of, seconds_of, stack_of, variables_of
from lattice_bridge.deployment.checks.tenancy import tenancy_findings
from lattice_bridge.deployment.checks.trust import trust_findings
from lattice_bridge.deployment.checks.unseen import unseen_findings
from lattice_bridge.deployment.cloudformation.sam import NotTranslated
from lattice_bridge.deployment.cloudformation.template import Resource, Template, read_translated
from lattice_bridge.deployment.cloudformation.text import malformed
from lattice_bridge.deployment.cloudformation.values import unresolved

SPARE: Final = 3.0
"""Seconds that the bridge needs beside its slowest backend: two to connect, and some to answer."""


def template_findings(
    path: Path,
    options: Options | None,
    parameters: Mapping[str, str],
    region: str,
    *,
    unsigned: bool = False,
    text: str | None = None,
    config: Path | None = None,
    certified: Iterable[str] = (),
) -> list[TemplateFinding]:
    """What is wrong with the template in a file; an empty list is a clean one.

    Args:
        path: SAM or CloudFormation, YAML or JSON.
        options: what bridge.toml says beside the map; None if it does not load.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: what `AWS::Region` is, unless `parameters` has another.
        unsigned: a service is meant to let in callers that nobody authenticated.
        text: of the file, if it is read already.
        config: where the options are from, if that is a file.
        certified: ids of the rules that read the caller's certificate.

    Raises:
        BadTemplate: it cannot be read, or not translated for want of the translator.
    """
    try:
        template = read_translated(path, parameters, region, deployed=True, text=text)
    except NotTranslated as error:
        why = "AWS's translator refuses it, and so would the deployment"
        return [
            finding(resource or path.name, fault.rstrip("."), "what it asks for", why)
            for resource, fault in error.faults
        ]
    with malformed(str(path)):
        return list(findings_of(template, options, unsigned=unsigned, config=config, certified=certified))


def findings_of(
    template: Template,
    options: Options | None,
    *,
    unsigned: bool = False,
    config: Path | None = None,
    certified: Iterable[str] = (),
) -> Iterator[TemplateFinding]:
    """Every rule over a template that is translated and resolved."""
    for rule, said in template.failed:
        yield finding(
            rule, said.rstrip("."), "parameters that the rule admits", "CloudFormation would refuse the deployment"
        )
    stack = stack_of(template, options, certified)
    if not stack.bridges:
        yield finding(
            "Resources",
            "no bridge: no function with the handler lattice_bridge.main.handler, and none in a LAMBDA target group",
            "Handler: lattice_bridge.main.handler on one function",
            "there is nothing that bridge.toml could be held against",
        )
        yield from unseen_findings(stack)
        return
    yield from backend_findings(stack)
    yield from tenancy_findings(stack)
    yield from group_findings(stack)
    yield from permission_findings(stack)
    yield from service_findings(stack, unsigned=unsigned)
    yield from right_findings(stack)
    yield from trust_findings(stack)
    if stack.compared:
        yield from alarms_as_said(template, stack.backends)
    for bridge in stack.bridges:
        yield from _configuration(bridge.function, config)
        yield from _log_level(bridge.function)
        yield from _time(bridge)
    yield from unseen_findings(stack)


def _configuration(bridge: Resource, checked: Path | None) -> Iterator[TemplateFinding]:
    """Where it is in S3 or SSM, what was checked here may be what is there."""
    place = str(variables_of(bridge).get(CONFIG_VARIABLE) or "bridge.toml")
    elsewhere = place.startswith(("s3:", "ssm:")) or unresolved(place)
    if checked is not None and not elsewhere and Path(place).name != checked.name:
        yield finding(
            bridge.id,
            f"{CONFIG_VARIABLE} is {place}, and {checked.name} was checked",
            f"`check {place}`, or the parameters with which {checked.name} is read",
            "the bridge reads another file than the one that its template was held against",
            "warning",
        )


def _log_level(bridge: Resource) -> Iterator[TemplateFinding]:
    level = part_of(bridge, "LoggingConfig").get("ApplicationLogLevel", "INFO")
    if level in ("WARN", "ERROR", "FATAL"):
        yield finding(
            bridge.id,
            f"ApplicationLogLevel is {level}",
            "no ApplicationLogLevel, or INFO",
            "Lambda takes a line without a level for INFO, and lines of metrics have none, so alarms would see nothing",
            "warning",
        )


def _time(bridge: Bridge) -> Iterator[TemplateFinding]:
    function, seconds = bridge.function, seconds_of(bridge.function, "Timeout", 3.0)
    slowest = max((one.timeout for one in bridge.backends if one.invocation == "sync"), default=0.0)
    if seconds is None:
        yield finding(
            function.id,
            f"Timeout is {function.properties['Timeout']}",
            f"Timeout: {slowest + SPARE:g}, or more",
            UNKNOWN,
            "warning",
        )
    elif slowest and seconds < slowest + SPARE:
        yield finding(
            function.id,
            f"Timeout is {seconds:g} seconds, and the slowest backend in bridge.toml has {slowest:g}",
            f"Timeout: {slowest + SPARE:g}, or shorter timeouts in bridge.toml",
            "the bridge would be stopped before it can answer for a backend that is late",
        )
