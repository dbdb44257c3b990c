"""The definition of a stack: the template's plan with local.toml, the maps of its bridges, and the identities that may
sign.

Rule: read as a whole. If a file of a changed definition does not load, the old definition stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from lattice_bridge.config.regular_file import exists, real_path
from lattice_bridge.config.words import shown, suggestion
from lattice_bridge.deployment.cloudformation.template import Template, read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.translation_cache import TranslationCache
from lattice_bridge.deployment.cloudformation.values import FUNCTIONS
from lattice_bridge.local.aws.access_keys import AccessKey
from lattice_bridge.local.bridge.configuration import BridgeConfiguration, read_configurations
from lattice_bridge.local.code.dependencies import BadDependencies
from lattice_bridge.local.code.manifest import MANIFESTS
from lattice_bridge.local.endpoint_keys import endpoint_keys
from lattice_bridge.local.front.exchange.identities import BadIdentities, Identity, stack_identities
from lattice_bridge.local.front.exchange.rule_identities import rule_identities
from lattice_bridge.local.local_file import NAME as LOCAL_FILE
from lattice_bridge.local.local_file import BadLocalFile, LocalFile, read_local_file
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.model import OWN_HANDLERS, Function, Plan
from lattice_bridge.local.plan.readers.functions import Runners
from lattice_bridge.local.plan.readers.sam_build import OUTPUT
from lattice_bridge.local.plan.readers.template import read_plan


class DoesNotLoad(Exception):
    """A file of a changed definition cannot be used. The message names it.

    Attributes:
        consequence: what is active now.
        files: of the changed definition, as far as they are known: one of them has to change.
    """

    consequence = "the old one stays active"

    def __init__(self, text: str, files: Iterable[Path] = ()) -> None:
        super().__init__(text)
        self.files = tuple(files)


class MapDoesNotLoad(DoesNotLoad):
    """A map cannot be used. The stack keeps its copy for the identities; a bridge reads the file itself.

    Attributes:
        faults: of the maps that cannot be used, by the names of their bridges.
    """

    consequence = "a bridge that starts from now on answers every request with 503, as on Lambda"

    def __init__(self, faults: Mapping[str, tuple[str, ...]], files: Iterable[Path]) -> None:
        super().__init__("\n".join(dict.fromkeys(chain.from_iterable(faults.values()))), files)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Definition:
    """What a stack serves.

    Attributes:
        plan: of the template.
        configurations: of the plan's bridges.
        identities: that may sign, by access key.
        sources: the template and the files that it includes, local.toml, the identities and the maps that it was read
            from, whether they exist or not.
        parameters: of the template, as they were given.
    """

    plan: Plan
    configurations: tuple[BridgeConfiguration, ...]
    identities: Mapping[str, Identity]
    sources: tuple[Path, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose change makes another definition: the sources, zips, and lists of packages."""
        found = (file for function in self.plan.functions.values() for file in _files_of(function, self.plan))
        return tuple(dict.fromkeys((*self.sources, *found)))

    @property
    def endpoint_keys(self) -> Mapping[str, AccessKey]:
        """The keys with which the identities, and the senders of the maps' rules, sign for the AWS endpoint."""
        loaded = (each for each in self.configurations if each.settings is not None)
        rules = (rule for configuration in loaded for rule in configuration.written_rules)
        return endpoint_keys(self.identities, rules)


def _files_of(function: Function, plan: Plan) -> Iterator[Path]:
    yield from (layer for layer in function.layers if layer.is_file())
    if function.runner == "url" or function.inline is not None:
        return
    if function.code.is_file():
        yield function.code
    elif function.dependencies.built or function.runner != "python":  # it may have to be built
        yield plan.folder / OUTPUT / "template.yaml"
    elif function.handler not in OWN_HANDLERS:  # the installed package serves it, or its own code
        yield from (function.code / name for name in MANIFESTS)


def read_definition(
    template: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    identities: Path | None = None,
    event_version: EventVersion | None = None,
    urls: Mapping[str, str] = MappingProxyType({}),
    translations: TranslationCache | None = None,
) -> Definition:
    """Reads a definition. A map that does not load is part of it: its bridge answers every request with 503.

    Args:
        template: of SAM or CloudFormation.
        parameters: of the template.
        region: of the stack.
        identities: the file with identities; `identities.toml` beside the template, if there is one, if None.
        event_version: replaces every target group's own; None for what the template has.
        urls: of functions that run elsewhere, by name or logical id; before those of local.toml.
        translations: of SAM templates; None to translate each time.

    Raises:
        BadTemplate: the template cannot be served.
        BadLocalFile: local.toml beside the template cannot be used, or a function of `urls` does not exist.
        BadIdentities: the file with identities cannot be used.
    """
    folder = real_path(template).parent
    local_path = folder / LOCAL_FILE
    local = read_local_file(local_path)
    resolved = read_template(template, parameters, region, ids=local.ids, cache=translations)
    runners = Runners(local.runtimes, _urls(resolved, local, urls))
    plan = read_plan(resolved, event_version=event_version, runners=runners)
    configurations = tuple(read_configurations(plan))
    beside = folder / "identities.toml"
    file = identities or (beside if exists(beside) else None)
    signers = stack_identities(file, rule_identities(configurations))
    maps = (file for configuration in configurations for file in configuration.files)
    sources = (template, *resolved.files, local_path, file or beside, *dict.fromkeys(maps))
    return Definition(plan, configurations, signers, sources, parameters)


def _urls(template: Template, local: LocalFile, given: Mapping[str, str]) -> dict[str, str]:
    """The URLs of functions that run elsewhere, by logical id: those of the file, and before them the given ones.

    Raises:
        BadLocalFile: a name of the file, or a given one, is not in the template.
    """
    functions = template.of_type(*FUNCTIONS)
    ids = {str(resource.properties.get("FunctionName", resource.id)): resource.id for resource in functions}
    local.check_names(template.resources.keys(), ids.keys())
    for name in given:
        if name not in ids and name not in ids.values():
            raise BadLocalFile(f"--function {shown(name)}: the template has no such function{suggestion(name, ids)}")
    return {ids.get(name, name): url for urls in (local.functions, given) for name, url in urls.items()}


def reread(read: Callable[[], Definition], prepare: Callable[[Definition], Definition]) -> Definition:
    """Reads a definition again, after a file has changed.

    Args:
        read: as `read_definition`.
        prepare: provides the packages of the functions.

    Raises:
        DoesNotLoad: the template, local.toml, the identities, a map, or the packages of a function.
    """
    files: tuple[Path, ...] = ()
    try:
        found = read()
        files = found.files
        if faults := {one.function.name: one.faults for one in found.configurations if one.faults}:
            raise MapDoesNotLoad(faults, files)
        return prepare(found)
    except (BadTemplate, BadLocalFile, BadIdentities, BadDependencies, OSError) as error:
        raise DoesNotLoad(str(error), files) from error
