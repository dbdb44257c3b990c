"""A template of either kind -> its resources as CloudFormation would make them.

Rule: what is judged is what AWS makes of a template, not what is written in it; and nothing is asked of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.package import package
from lattice_bridge.deployment.cloudformation.sam import is_sam, transforms_of, translated
from lattice_bridge.deployment.cloudformation.template import Template, malformed, resolve, text_of
from lattice_bridge.deployment.cloudformation.text import read_document

_NO_MACROS: Final = ("AWS::LanguageExtensions", "AWS::Serverless-2016-10-31")
"""What a transform does that is followed here, or shows where it is used."""


def read_translated(
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    deployed: bool = False,
    text: str | None = None,
) -> Template:
    """The template in a file, translated if it is SAM, with every reference resolved.

    Args:
        path: YAML or JSON; what it refers to is beside it.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: what `AWS::Region` is, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved, and has no stand-in.
        text: of the file, if it is read already.

    Raises:
        BadTemplate: it cannot be read, or not translated for want of the translator.
        NotTranslated: the translator refuses it.
    """
    document = read_document(text_of(path) if text is None else text, str(path))
    macros = [(name, "Transform") for name in transforms_of(document) if name not in _NO_MACROS]
    left = macros + _set_aside(document)
    expands = bool(left)
    if is_sam(document):
        with malformed(str(path)):
            left += package(document, path.parent)
        document = translated(document, str(path), parameters, region)
    template = resolve(document, path, parameters, region, deployed=deployed, expands=expands)
    return replace(template, unresolved=(*left, *template.unresolved))


def _set_aside(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Takes out of Resources what only AWS expands. Returns its functions, each with its place."""
    resources = document["Resources"]
    names = [name for name in resources if isinstance(name, str) and name.startswith("Fn::")]
    for name in names:
        del resources[name]
    return [(name, "Resources") for name in names]
