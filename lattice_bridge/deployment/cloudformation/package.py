"""A SAM template as `sam package` would leave it: nothing in it is a local path any more.

Rule: code stands as if it were in S3. A definition that is beside the template is read into it, so that the rules see
it; an application of the Serverless Application Repository becomes a nested stack, because the translator would ask AWS
for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import BadFile, read_regular_text
from lattice_bridge.deployment.cloudformation.template import MAX_BYTES, BadTemplate
from lattice_bridge.deployment.cloudformation.text import read_yaml

DEFINITION: Final = "DefinitionUri of "
"""What the place of a definition that was not read begins with; its resource follows."""
PACKAGED: Final = "s3://packaged/code"
_IMAGE: Final = "123456789012.dkr.ecr.us-east-1.amazonaws.com/packaged:1"
_CODE: Final[Mapping[str, str]] = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::GraphQLApi": "SchemaUri",
}
_DEFINITIONS: Final[Mapping[str, str]] = {
    "AWS::Serverless::StateMachine": "Definition",
    "AWS::Serverless::Api": "DefinitionBody",
    "AWS::Serverless::HttpApi": "DefinitionBody",
}
_INLINE: Final = ("InlineCode", "ImageUri", "SchemaInline")


def package(document: Mapping[str, Any], folder: Path) -> list[tuple[str, str]]:
    """Changes a template so that the translator takes it.

    Args:
        document: the template.
        folder: what its local paths are relative to. A definition outside of it is not read: whoever wrote the template
            is not always whoever checks it.

    Returns:
        The definitions that were not read: why, and of which resource.
    """
    unread: list[tuple[str, str]] = []
    common = (document.get("Globals") or {}).get("Function") or {}
    common.pop("CodeUri", None)
    for name, resource in document["Resources"].items():
        if isinstance(resource, dict):
            kind, properties = resource.get("Type", ""), resource.setdefault("Properties", {})
            if kind in _CODE:
                _code(properties, _CODE[kind], common)
            elif kind in _DEFINITIONS and isinstance(properties.get("DefinitionUri"), str):
                if (why := _definition(properties, _DEFINITIONS[kind], folder)) is not None:
                    unread.append((why, f"{DEFINITION}{name}"))
            elif kind == "AWS::Serverless::Application":
                resource["Type"], resource["Properties"] = "AWS::CloudFormation::Stack", {"TemplateURL": PACKAGED}
    return unread


def _code(properties: dict[str, Any], key: str, common: Mapping[str, Any]) -> None:
    if set(_INLINE) & set(properties):
        return
    if "Image" in (properties.get("PackageType"), common.get("PackageType")):
        properties.pop(key, None)
        properties["ImageUri"] = _IMAGE
    else:
        properties[key] = PACKAGED


def _definition(properties: dict[str, Any], key: str, folder: Path) -> str | None:
    """Puts the definition in a file beside the template into it. Returns why it was not read; None if it was."""
    path = properties["DefinitionUri"]
    if path.startswith("s3://"):
        return "what is in S3 is not read here"
    properties["DefinitionUri"] = PACKAGED
    try:
        found = read_yaml(read_regular_text(folder / path, MAX_BYTES, within=folder), path)
    except (BadFile, BadTemplate) as error:
        return str(error)
    if not isinstance(found, dict):
        return f"{path}: not an object"
    del properties["DefinitionUri"]
    properties[key] = found
    return None
