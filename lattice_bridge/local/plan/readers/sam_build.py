"""The output of `sam build`: the folder of each function and layer.

Rule: only the output's own template says which folder is whose. Functions with the same code share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.deployment.cloudformation.nested import STACKS
from lattice_bridge.deployment.cloudformation.text import BadTemplate, read_document, read_text

OUTPUT: Final = Path(".aws-sam", "build")
"""The default of `sam build`, beside the template."""

_CODE: Final = ("CodeUri", "Code", "ContentUri", "Content")
_MAX_DEPTH: Final = 4
"""Levels of nested stacks, as for templates."""


class BadBuild(Exception):
    """The output of `sam build` cannot be read."""


def built_folders(folder: Path) -> Mapping[str, Path]:
    """The folder of each function and layer in the output beside a template, by logical id; empty without output. The
    ids of a nested stack have its own in front, as in a plan.

    Raises:
        BadBuild: a template of the output cannot be read.
    """
    template = folder / OUTPUT / "template.yaml"
    return _folders(template, template.parent.resolve(), "", 0) if template.is_file() else {}


def _folders(template: Path, output: Path, prefix: str, depth: int) -> dict[str, Path]:
    try:
        resources = read_document(read_text(template), str(template))["Resources"]
    except BadTemplate as error:
        raise BadBuild(str(error)) from error
    found = {}
    for name, body in resources.items():
        properties = body.get("Properties") if isinstance(body, dict) else None
        if not isinstance(properties, dict):
            continue
        nested = _path(template.parent, properties.get(STACKS.get(str(body.get("Type")), "")))
        if nested is not None and nested.is_file() and nested.is_relative_to(output) and depth < _MAX_DEPTH:
            found.update(_folders(nested, output, f"{prefix}{name}-", depth + 1))
        code = _path(template.parent, next(filter(None, (properties.get(key) for key in _CODE)), None))
        if code is not None and code.is_dir():
            found[f"{prefix}{name}"] = code
    return found


def _path(folder: Path, written: object) -> Path | None:
    """A local path that a template in a folder names; None for another value."""
    if not isinstance(written, str) or "://" in written or "\0" in written:
        return None
    return (folder / written).resolve()
