"""The definition of a stack: the template's plan, the maps of its bridges, and the identities that may sign.

Rule: read as a whole. If a file of a changed definition does not load, the old definition stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.bridge.configuration import BridgeConfiguration, read_configurations
from lattice_bridge.local.front.identities import BadIdentities, Identity, stack_identities
from lattice_bridge.local.front.rule_identities import rule_identities
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.reader import read_plan


class DoesNotLoad(Exception):
    """A file of a changed definition cannot be used. The message names it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a stack serves.

    Attributes:
        plan: of the template.
        configurations: of the plan's bridges.
        identities: that may sign, by access key.
        files: the files that it was read from, whether they exist or not.
    """

    plan: Plan
    configurations: tuple[BridgeConfiguration, ...]
    identities: Mapping[str, Identity]
    files: tuple[Path, ...]


def read_definition(
    template: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    identities: Path | None = None,
    event_version: EventVersion | None = None,
) -> Definition:
    """Reads a definition. A map that does not load is part of it: its bridge answers every request with 503.

    Args:
        template: of SAM or CloudFormation.
        parameters: of the template.
        region: of the stack.
        identities: the file with identities; `identities.toml` beside the template, if there is one, if None.
        event_version: replaces every target group's own; None for what the template has.

    Raises:
        BadTemplate: the template cannot be served.
        BadIdentities: the file with identities cannot be used.
    """
    plan = read_plan(read_template(template, parameters, region), event_version=event_version)
    configurations = tuple(read_configurations(plan))
    beside = template.resolve().parent / "identities.toml"
    file = identities or (beside if beside.exists() else None)
    signers = stack_identities(file, rule_identities(configurations))
    maps = (file for configuration in configurations for file in configuration.files)
    return Definition(plan, configurations, signers, (template, file or beside, *dict.fromkeys(maps)))


def reread(read: Callable[[], Definition]) -> Definition:
    """Reads a definition again, after a file has changed.

    Raises:
        DoesNotLoad: the template, the identities, or a map.
    """
    try:
        found = read()
    except (BadTemplate, BadIdentities) as error:
        raise DoesNotLoad(str(error)) from error
    for configuration in found.configurations:
        if configuration.faults:
            raise DoesNotLoad(f"{configuration.address}: {'; '.join(configuration.faults)}")
    return found
