"""Layers: their folders merged into one, and the layers that a function cannot use here.

Rule: a later layer overwrites a file of an earlier one, as when Lambda unpacks them into `/opt`. Nothing is copied: the
merged folder has links, so that a change of a layer's file is a change of the merged folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lattice_bridge.config.regular_file import MIB, BadFile, is_file, is_folder, read_regular_text
from lattice_bridge.config.words import quoted
from lattice_bridge.local.code.manifest import lists_packages
from lattice_bridge.local.code.node_packages import missing_packages
from lattice_bridge.local.plan.model import Function

_REQUIREMENTS: Final = ("requirements.txt", "python/requirements.txt")
_PACKAGE_JSON: Final = ("package.json", "nodejs/package.json")
_BUILD: Final = "Fix: run `sam build`, which builds a layer with a BuildMethod in its Metadata"
_MANAGED: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "python": (
        (":layer:AWSLambdaPowertoolsPython", "aws-lambda-powertools"),
        ("/aws/service/powertools/python/", "aws-lambda-powertools"),
        (":layer:AWSSDKPandas-Python", "awswrangler"),
    ),
    "nodejs": (
        (":layer:AWSLambdaPowertoolsTypeScript", "@aws-lambda-powertools/…"),
        ("/aws/service/powertools/typescript/", "@aws-lambda-powertools/…"),
    ),
}
"""Runner → a part of the ARN, or of the SSM parameter, of each layer of AWS's own, with the package in it."""


def merge(layers: Sequence[Path], folder: Path) -> None:
    """Merges the folders of layers into a new folder, with links. A layer that does not exist is left out.

    Args:
        layers: later ones overwrite files of earlier ones.
        folder: does not exist yet.
    """
    folder.mkdir(mode=0o755)
    found: dict[str, list[Path]] = {}
    for layer in layers:
        for entry in sorted(layer.iterdir()) if layer.is_dir() else ():
            found.setdefault(entry.name, []).append(entry)
    for name, entries in found.items():
        if len(entries) > 1 and all(entry.is_dir() and not entry.is_symlink() for entry in entries):
            merge(entries, folder / name)
        else:
            (folder / name).symlink_to(entries[-1])


def layer_fault(function: Function) -> str | None:
    """Returns the fault of the first layer that a function cannot use here; None if it can use all."""
    for layer in function.layers:
        if fault := _fault_of(layer):
            return f"the layer {str(layer)!r} {fault}"
    return next(filter(None, (_managed_fault(function, arn) for arn in function.remote_layers)), None)


def _fault_of(layer: Path) -> str | None:
    if is_file(layer):
        return None
    if not is_folder(layer):
        return "does not exist. Fix: build it, or correct its ContentUri"
    for name in _REQUIREMENTS:
        if lists_packages(layer / name) and not _has_distributions(layer / "python"):
            what = f"lists packages in {name}, and does not contain them"
            return f"{what}. {_BUILD}, or install them into its folder python"
    for name in _PACKAGE_JSON:
        file = layer / name
        if missing := missing_packages(file, [layer / "nodejs", *layer.glob("nodejs/node*")]):
            what = f"lists {quoted(missing[0])} in {name}, and does not contain it"
            return f"{what}. {_BUILD}, or run `npm install` in its folder nodejs"
    return None


def _has_distributions(folder: Path) -> bool:
    patterns = ("*.dist-info", "lib/*/site-packages/*.dist-info")
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _managed_fault(function: Function, arn: str) -> str | None:
    """The fault for a layer in AWS whose packages can be installed instead; None for another, or if they are listed."""
    name = arn.partition(":layer:")[2].partition(":")[0] or quoted(arn)
    package = next((found for part, found in _MANAGED.get(function.runner, ()) if part in arn), None)
    if package is None:
        return None
    listed = "requirements.txt" if function.runner == "python" else "package.json"
    if function.inline is not None:
        fix = f"move the code into a folder whose {listed} lists {package}"
    elif _mentions(function.code / listed, package):
        return None
    elif function.runner == "python":
        fix = f"write {package} into {str(function.code / listed)!r}"
    else:
        fix = f"run `npm install {package}` in {str(function.code)!r}"
    return f"the layer {name} is in AWS, and not loaded. Fix: for the local run, {fix}"


def _mentions(file: Path, package: str) -> bool:
    try:
        return package.removesuffix("/…") in read_regular_text(file, MIB).lower().replace("_", "-")
    except BadFile:
        return False
