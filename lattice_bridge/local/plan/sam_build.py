"""The output of `sam build`: the folder of each function and layer.

Rule: only the output's own template says which folder is whose. Functions with the same code share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.deployment.cloudformation.text import BadTemplate, read_document, read_text

OUTPUT: Final = Path(".aws-sam", "build")
"""The default of `sam build`, beside the template."""

_CODE: Final = ("CodeUri", "Code", "ContentUri", "Content")


class BadBuild(Exception):
    """The output of `sam build` cannot be read."""


def built_folders(folder: Path) -> Mapping[str, Path]:
    """The folder of each function and layer in the output beside a template, by logical id; empty without output.

    Raises:
        BadBuild: the output's template cannot be read.
    """
    template = folder / OUTPUT / "template.yaml"
    if not template.is_file():
        return {}
    try:
        resources = read_document(read_text(template), str(template))["Resources"]
    except BadTemplate as error:
        raise BadBuild(str(error)) from error
    found = {}
    for name, body in resources.items():
        properties = body.get("Properties") if isinstance(body, dict) else None
        found_code = (properties.get(key) for key in _CODE) if isinstance(properties, dict) else ()
        code = next(filter(None, found_code), None)
        if isinstance(code, str) and (path := (folder / OUTPUT / code).resolve()).is_dir():
            found[str(name)] = path
    return found
