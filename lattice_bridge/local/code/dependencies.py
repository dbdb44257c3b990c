"""Chooses the code and the packages of each function, and the folders of its layers.

Rule: only the first source that a function has is used, as docs/local.md lists them. So a package that is missing on
Lambda is missing here too:

1. code in the template, or a zip as CodeUri (code_folders.py): it contains the packages.
2. the output of `sam build` (build_output.py), if it is newer than the sources, and for this machine.
3. the code in its folder. For Python, with the cached packages (package_cache.py) that its requirements.txt, or else
   its pyproject.toml lists (manifest.py). Of another language, nothing is installed.

After these come the packages of Lambda's runtime, and for the bridge the installed lattice_bridge
(runtime_packages.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lattice_bridge.local.code.build_output import unusable
from lattice_bridge.local.code.code_faults import code_fault, has_program
from lattice_bridge.local.code.code_folders import with_command
from lattice_bridge.local.code.layers import layer_fault
from lattice_bridge.local.code.manifest import BadManifest, Manifest, find_manifest, read_manifest
from lattice_bridge.local.code.package_cache import BadCache, InstallFailed, PackageCache
from lattice_bridge.local.environments.runtime_packages import PACKAGE
from lattice_bridge.local.plan.model import OWN_HANDLERS, Dependencies, Function, Plan, Runner
from lattice_bridge.local.plan.readers.sam_build import OUTPUT, BadBuild, built_folders


class BadDependencies(Exception):
    """A function's packages cannot be provided. The message names the function and the file, and has a fix."""


def choose(plan: Plan, say: Callable[[str], None], *, reload: bool) -> Plan:
    """Chooses where the code, the packages and the layers of each function come from. Installs nothing.

    Args:
        plan: as the template has it.
        say: takes one sentence about each function and layer that has an output of `sam build`.
        reload: code is to be restarted when it changes: then the output of `sam build`, which would not, is used only
            for sources that cannot run without a build.
    """
    try:
        built = built_folders(plan.folder)
    except BadBuild as error:
        say(f"the output of `sam build` is not used: {error}")
        built = {}
    choice = _Choice(plan.folder, built, say, reload=reload)
    layers = {path: choice.layer(name, path, plan) for name, path in plan.layers.items()}
    functions = {name: choice.function(function, layers) for name, function in plan.functions.items()}
    return replace(plan, functions=functions)


class _Choice:
    """Chooses the code of one plan's functions. The arguments are those of `choose`."""

    def __init__(self, folder: Path, built: Mapping[str, Path], say: Callable[[str], None], *, reload: bool) -> None:
        self._folder = folder
        self._built = built
        self._say = say
        self._reload = reload

    def layer(self, name: str, path: Path, plan: Plan) -> Path:
        """The folder or zip of a layer."""
        users = [function for function in plan.functions.values() if path in function.layers]
        output = self._built.get(name)
        if not users or output is None or path.is_file():
            return path
        runs = layer_fault(replace(users[0], layers=(path,), remote_layers=())) is None
        return self._output(f"layer {name}", path, output, users[0].runner, runs=runs) or path

    def function(self, function: Function, layers: Mapping[Path, Path]) -> Function:
        """A function with its code, packages and layers."""
        if function.runner == "url" or function.inline is not None:
            return function
        found = self._with_code(replace(function, layers=tuple(layers.get(path, path) for path in function.layers)))
        return found if found.code.is_file() else with_command(found)

    def _with_code(self, function: Function) -> Function:
        if function.code.is_file():
            return replace(function, dependencies=Dependencies("zip"))
        is_bridge = function.handler in OWN_HANDLERS and _is_served_by_installed(function.code)
        manifest = find_manifest(function.code) if function.runner == "python" else None
        output = self._built.get(function.logical_id)
        if output is not None:
            runs = is_bridge or (code_fault(function) is None and has_program(function))
            found = self._output(function.name, function.code, output, function.runner, runs=runs, quiet=is_bridge)
            if found is not None:
                return replace(function, code=found, dependencies=Dependencies("sam build", manifest))
        return replace(
            function, dependencies=Dependencies(bridge=True) if is_bridge else Dependencies(manifest=manifest)
        )

    def _output(
        self,
        name: str,
        source: Path,
        output: Path,
        runner: Runner,
        *,
        runs: bool,
        quiet: bool = False,
    ) -> Path | None:
        """The output of `sam build` for a source; None if it is not used.

        Args:
            name: of the function or layer, for people.
            source: in the template.
            output: of `sam build`.
            runner: as for `unusable`.
            runs: whether the source can run without a build.
            quiet: the reason for None is not said: the installed bridge is the same code, so there is nothing to fix.
        """
        if self._reload and runs:
            return None
        reason = unusable(self._folder, source, output, runner)
        if reason is not None:
            if not quiet:
                self._say(f"{name}: the output of `sam build` is not used: {reason}")
            return None
        again = ". After a change, run `sam build` again" if self._reload else ""
        self._say(f"{name}: runs from {OUTPUT / output.name}, the output of `sam build`{again}")
        return output


def _is_served_by_installed(code: Path) -> bool:
    """Whether the installed bridge serves a function: its code has no bridge, or is the checkout that is installed."""
    own = code / PACKAGE.name
    return not own.is_dir() or own.resolve() == PACKAGE


def provide(plan: Plan, cache: PackageCache, say: Callable[[str], None], *, install: bool) -> Plan:
    """Provides the packages that functions list, from the cache.

    Args:
        plan: as `choose` returns it.
        cache: of environments.
        say: takes one sentence for each environment that is missing if `install` is not set.
        install: whether missing environments are installed.

    Raises:
        BadDependencies: a list cannot be read, or its packages cannot be installed.
    """
    users: dict[Path, list[str]] = {}
    for function in plan.functions.values():
        if function.dependencies.manifest is not None and not function.dependencies.built:
            users.setdefault(function.dependencies.manifest, []).append(function.name)
    provided: dict[Path, Dependencies] = {}
    for path, names in users.items():
        provided[path] = _provided(path, ", ".join(names), cache, say, install=install)
    functions = {
        name: function
        if function.dependencies.built or function.dependencies.manifest is None
        else replace(function, dependencies=provided[function.dependencies.manifest])
        for name, function in plan.functions.items()
    }
    return replace(plan, functions=functions)


def _provided(
    path: Path, functions: str, cache: PackageCache, say: Callable[[str], None], *, install: bool
) -> Dependencies:
    try:
        manifest = read_manifest(path)
        folder = _environment(manifest, functions, cache, install=install)
    except (BadManifest, BadCache) as error:
        raise BadDependencies(f"{functions}: {error}") from error
    except InstallFailed as error:
        raise BadDependencies(
            f"{functions}: the packages of {path} cannot be installed:\n{error}\n"
            "Fix: correct the file, or start with --no-install"
        ) from error
    if folder is None and manifest.requirements:
        say(f"{functions}: the packages of {path} are not installed (--no-install)")
    return Dependencies(manifest=path, folders=() if folder is None else (folder,), bridge=manifest.bridge)


def _environment(manifest: Manifest, functions: str, cache: PackageCache, *, install: bool) -> Path | None:
    if not manifest.requirements:
        return None
    return cache.make(manifest, functions) if install else cache.find(manifest)
