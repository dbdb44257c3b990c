"""A SAM template → the CloudFormation that AWS makes of it.

Rule: AWS's own translator does it on this machine, without account, credentials or network. Before, code is treated as
if it were in S3, a definition beside the template is read into it, and tenancy is taken out: the translator stops at
the first mistake in a function, and the checks list all of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import BadFile, read_regular_text
from lattice_bridge.deployment.cloudformation.parameters import hides
from lattice_bridge.deployment.cloudformation.text import (
    MAX_BYTES,
    BadTemplate,
    malformed,
    read_document,
    read_yaml,
)
from lattice_bridge.deployment.cloudformation.translation_cache import TranslationCache

DEFINITION: Final = "DefinitionUri of "
"""How the place of a definition that was not read begins; its resource follows."""
_NO_TRANSLATOR: Final = (
    "this SAM template is read as the CloudFormation that AWS makes of it, and the translator is not installed. "
    "Fix: pip install 'lattice-bridge[local,template]' (or aws-sam-translator)"
)
_PACKAGED: Final = "s3://packaged/code"
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
INLINE: Final = ("InlineCode", "ImageUri", "SchemaInline")
"""Properties of code that is not a local path."""
_MAX_VALUES: Final = 1_000_000
_RESOURCE: Final = re.compile(r"with id \[(\w+)\]")


class NotTranslated(Exception):
    """The translator refuses the template.

    Attributes:
        faults: (resource, message) pairs; the resource is None if the message names none.
    """

    def __init__(self, faults: list[tuple[str | None, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault for _, fault in faults))


class NoTranslator(BadTemplate):
    """The translator is not installed."""


def is_sam(document: Mapping[str, Any]) -> bool:
    """Whether a template is one that AWS translates."""
    return any(re.fullmatch(r"AWS::Serverless-\d{4}-\d\d-\d\d", name) for name in transforms_of(document))


def transforms_of(document: Mapping[str, Any]) -> list[str]:
    """The macros that AWS runs over a whole template."""
    found = document.get("Transform") or []
    every = found if isinstance(found, list) else [found]
    return [str(one.get("Name")) if isinstance(one, dict) else str(one) for one in every]


def with_globals(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A resource's properties as written. SAM: a function's own over `Globals.Function`. Maps are merged, and lists are
    added to the common ones, as the SAM specification describes ("Globals", "Overridable globals")."""
    own = document["Resources"][name].get("Properties") or {}
    if document["Resources"][name].get("Type") != "AWS::Serverless::Function":
        return dict(own)
    return _merge((document.get("Globals") or {}).get("Function") or {}, own)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, list) and isinstance(value, list):
            merged[key] = [*under, *value]
        elif isinstance(under, dict) and isinstance(value, dict) and not _is_call(value):
            merged[key] = _merge(under, value)
        else:
            merged[key] = value
    return merged


def _is_call(value: Mapping[str, Any]) -> bool:
    key = str(next(iter(value), ""))
    return len(value) == 1 and (key == "Ref" or key.startswith("Fn::"))


def definition_files(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """The local definitions that a template names: OpenAPI, and Step Functions."""
    found = []
    for resource in document["Resources"].values():
        if isinstance(resource, dict) and resource.get("Type") in _DEFINITIONS:
            path = (resource.get("Properties") or {}).get("DefinitionUri")
            if isinstance(path, str) and not path.startswith("s3://"):
                found.append(folder / path)
    return found


def translate(text: str, parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """The CloudFormation of a SAM template whose definitions are in it.

    Args:
        text: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults.
        region: the value of `AWS::Region`.

    Raises:
        NotTranslated: the translator found faults.
        BadTemplate: not YAML, or the translator is not installed.
    """
    document = read_document(text, "the template")
    return Translator(Path(), "the template", parameters, region).translate(document)[0]


@dataclass(frozen=True, slots=True)
class Translator:
    """AWS's translator, for the template of one file.

    Attributes:
        folder: what the template's local paths are relative to. A definition outside of it is not read, because the
            author of a template is not always the person who checks it.
        place: the file's name, for messages.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        cache: of translations; None to import AWS's translator each time, which takes long.
    """

    folder: Path
    place: str
    parameters: Mapping[str, str]
    region: str
    cache: TranslationCache | None = None

    def translate(self, document: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The CloudFormation of a SAM template, and the definitions that were not read, as (reason, place) pairs.

        Args:
            document: the template; changed by this.

        Raises:
            NotTranslated: the translator found faults.
            BadTemplate: of another shape, or the translator is not installed.
        """
        with malformed(self.place):
            unread = _package(document, self.folder)
            _refuse_huge(document)
            tenancy = _without_tenancy(document)
            found = self._output(document)
            for name, config in tenancy.items():
                found["Resources"][name]["Properties"]["TenancyConfig"] = config
        return found, unread

    def _output(self, document: dict[str, Any]) -> dict[str, Any]:
        """The translator's output, or the one that it had for the same input."""
        region = self.parameters.get("AWS::Region", self.region)
        declared = document.get("Parameters") or {}
        given = {name: value for name, value in self.parameters.items() if name in declared}
        try:
            inputs = (version("aws-sam-translator"), document, given, region)
        except PackageNotFoundError as error:
            raise NoTranslator(_NO_TRANSLATOR) from error
        hidden = any(hides(document, name) for name in declared)  # the output may contain its value
        key = None if self.cache is None or hidden else self.cache.key(*inputs)
        if self.cache is None or key is None:
            return _translator_output(document, given, region)
        outcome = self.cache.get(key) or {}
        if isinstance(faults := outcome.get("faults"), list):
            raise NotTranslated([(name, text) for name, text in faults])
        if isinstance(found := outcome.get("template"), dict) and isinstance(found.get("Resources"), dict):
            return found
        try:
            made = _translator_output(document, given, region)
        except NotTranslated as error:
            self.cache.put(key, {"faults": error.faults})
            raise
        self.cache.put(key, {"template": made})
        return made


def _translator_output(document: dict[str, Any], given: Mapping[str, str], region: str) -> dict[str, Any]:
    try:
        from samtranslator.model.exceptions import InvalidDocumentException
        from samtranslator.parser.parser import Parser
        from samtranslator.translator import translator
    except ImportError as error:
        raise NoTranslator(_NO_TRANSLATOR) from error

    logging.getLogger("samtranslator").addHandler(logging.NullHandler())  # it warns of features of AWS's own
    try:
        found: dict[str, Any] = translator.Translator({}, Parser(), boto_session=_session(region)).translate(
            document, given, passthrough_metadata=True
        )
    except InvalidDocumentException as error:
        raise NotTranslated([_fault(cause) for cause in error.causes]) from error
    return found


@cache
def _session(region: str) -> Any:
    """A session for its region, which is all that the translator reads of it."""
    import boto3

    return boto3.session.Session(region_name=region)


def _refuse_huge(document: Mapping[str, Any]) -> None:
    """Refuses a template that is huge with its definitions, each of which may have as many values as a template.

    Raises:
        BadTemplate: it has too many values, with every alias expanded.
    """
    left, values = _MAX_VALUES, [iter(document.values())]
    while values:
        for value in values.pop():
            left -= 1
            if isinstance(value, dict | list):
                values.append(iter(value.values() if isinstance(value, dict) else value))
        if left < 0:
            raise BadTemplate(f"with its definitions, the template has more than {_MAX_VALUES:,} values")


def _without_tenancy(document: Mapping[str, Any]) -> dict[str, Any]:
    """Takes TenancyConfig out of the template. Returns each function's, by logical id."""
    found = {}
    common = ((document.get("Globals") or {}).get("Function") or {}).pop("TenancyConfig", None)
    for name, resource in document["Resources"].items():
        if isinstance(resource, dict) and resource.get("Type") == "AWS::Serverless::Function":
            config = resource["Properties"].pop("TenancyConfig", common)
            if config is not None:
                found[name] = config
    return found


def _fault(cause: Any) -> tuple[str | None, str]:
    text = str(getattr(cause, "message", cause))
    resource = _RESOURCE.search(text)
    return (resource[1] if resource else None, text)


# ---- as `sam package` leaves a template -----------------------------------------------------------------------------


def _package(document: Mapping[str, Any], folder: Path) -> list[tuple[str, str]]:
    """Replaces local paths, so that the translator accepts the template. Returns the definitions that were not read.

    An application of the Serverless Application Repository becomes a nested stack: the translator would ask AWS for it.
    """
    unread: list[tuple[str, str]] = []
    common = (document.get("Globals") or {}).get("Function") or {}
    common.pop("CodeUri", None)
    for name, resource in document["Resources"].items():
        if not isinstance(resource, dict):
            continue
        kind, properties = resource.get("Type", ""), resource.setdefault("Properties", {})
        if kind in _CODE:
            _package_code(properties, _CODE[kind], common)
        elif kind in _DEFINITIONS and isinstance(properties.get("DefinitionUri"), str):
            if (why := _read_definition(properties, _DEFINITIONS[kind], folder)) is not None:
                unread.append((why, f"{DEFINITION}{name}"))
        elif kind == "AWS::Serverless::Application":
            resource["Type"], resource["Properties"] = "AWS::CloudFormation::Stack", {"TemplateURL": _PACKAGED}
    return unread


def _package_code(properties: dict[str, Any], key: str, common: Mapping[str, Any]) -> None:
    if set(INLINE) & set(properties):
        return
    if "Image" in (properties.get("PackageType"), common.get("PackageType")):
        properties.pop(key, None)
        properties["ImageUri"] = _IMAGE
    else:
        properties[key] = _PACKAGED


def _read_definition(properties: dict[str, Any], key: str, folder: Path) -> str | None:
    """Puts the definition in a file beside the template into it. Returns why it was not read; None if it was."""
    path = properties["DefinitionUri"]
    if path.startswith("s3://"):
        return "a definition in S3 is not read here"
    properties["DefinitionUri"] = _PACKAGED
    try:
        found = read_yaml(read_regular_text(folder / path, MAX_BYTES, within=folder), path)
    except (BadFile, BadTemplate) as error:
        return str(error)
    if not isinstance(found, dict):
        return f"{path}: not an object"
    del properties["DefinitionUri"]
    properties[key] = found
    return None
