"""Chooses the code and the packages of each function.

Rule: only the first source that a function has is used, as docs/reference.md lists them. So a package that is missing
on Lambda is missing here too:

1. a zip as CodeUri (code_zip.py): it contains the packages.
2. the output of `sam build` (build_output.py), if it is newer than the sources, and for this machine.
3. the code in its folder, with the cached packages (package_cache.py) that its requirements.txt, or else its
   pyproject.toml lists (manifest.py).

After these come the packages of Lambda's runtime, and for the bridge the installed lattice_bridge
(runtime_packages.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lattice_bridge.local.environments.build_output import unusable
from lattice_bridge.local.environments.manifest import BadManifest, Manifest, find_manifest, read_manifest
from lattice_bridge.local.environments.package_cache import BadCache, InstallFailed, PackageCache
from lattice_bridge.local.environments.runtime_packages import PACKAGE
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Dependencies, Function, Plan
from lattice_bridge.local.plan.sam_build import OUTPUT, BadBuild, built_folders


class BadDependencies(Exception):
    """A function's packages cannot be provided. The message names the function and the file, and has a fix."""


def choose(plan: Plan, say: Callable[[str], None], *, reload: bool) -> Plan:
    """Chooses where the code and packages of each function come from. Installs nothing.

    Args:
        plan: as the template has it.
        say: takes one sentence about each function that has an output of `sam build`.
        reload: code is to be restarted when it changes: then the output of `sam build`, which would not, is not used.
    """
    try:
        built = {} if reload else built_folders(plan.folder)
    except BadBuild as error:
        say(f"the output of `sam build` is not used: {error}")
        built = {}
    functions = {name: _chosen(function, plan.folder, built, say) for name, function in plan.functions.items()}
    return replace(plan, functions=functions)


def _chosen(function: Function, folder: Path, built: Mapping[str, Path], say: Callable[[str], None]) -> Function:
    if function.code.is_file():
        return replace(function, dependencies=Dependencies("zip"))
    output = built.get(function.logical_id)
    installed = function.handler == BRIDGE_HANDLER and _is_served_by_installed(function.code)
    if output is not None:
        reason = unusable(folder, function.code, output)
        if reason is None:
            say(f"{function.name}: runs from {OUTPUT / output.name}, the output of `sam build`")
            manifest = _manifest(function)
            return replace(function, code=output, dependencies=Dependencies("sam build", manifest))
        if not installed:  # the installed bridge is the same code, so there is nothing to fix
            say(f"{function.name}: the output of `sam build` is not used: {reason}")
    if installed:
        return replace(function, dependencies=Dependencies(bridge=True))
    return replace(function, dependencies=Dependencies(manifest=_manifest(function)))


def _manifest(function: Function) -> Path | None:
    """The list of a function's packages. The stack installs none for other runtimes than Python."""
    return find_manifest(function.code) if function.runner == "python" else None


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
