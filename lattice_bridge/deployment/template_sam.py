"""A SAM template -> the CloudFormation that AWS would make of it.

Rule: by AWS's own translator, on this machine: no account, no credentials, no network. Tenancy is kept from it: it
stops at the first mistake of a function, and the rules here list them all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.local.template import BadTemplate, malformed

NO_TRANSLATOR: Final = (
    "a SAM template is checked as the CloudFormation that it becomes, and the translator is not installed: "
    "pip install 'lattice-bridge[template]' (or aws-sam-translator)"
)

_CODE: Final[Mapping[str, str]] = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
}
_PACKAGED: Final = "s3://packaged/code"
_NAMED: Final = re.compile(r"with id \[(\w+)\]")


class NotTranslated(Exception):
    """The translator refuses the template.

    Attributes:
        faults: each with the resource that it is about, if it is about one.
    """

    def __init__(self, faults: list[tuple[str | None, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault for _, fault in faults))


def is_sam(text: str) -> bool:
    """Whether a template is for AWS to translate."""
    return re.search(r"AWS::Serverless-\d{4}-\d\d-\d\d", text) is not None


def translate(text: str, parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """The CloudFormation of a SAM template. Where code is local, it stands as packaged.

    Args:
        text: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults.
        region: what `AWS::Region` is.

    Raises:
        NotTranslated: the translator found faults.
        BadTemplate: not YAML, or the translator is not installed.
    """
    try:
        from samtranslator.model.exceptions import InvalidDocumentException
        from samtranslator.parser.parser import Parser
        from samtranslator.translator.translator import Translator
        from samtranslator.yaml_helper import yaml_parse
    except ImportError as error:
        raise BadTemplate(NO_TRANSLATOR) from error
    import boto3
    import yaml

    try:
        document = yaml_parse(text)
    except (yaml.YAMLError, ValueError) as error:
        raise BadTemplate(f"not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise BadTemplate("no Resources; is this a CloudFormation or SAM template?")
    logging.getLogger("samtranslator").addHandler(logging.NullHandler())  # it warns of features of AWS's own
    with malformed("the template"):
        _package(document)
        tenancy = _without_tenancy(document)
        translator = Translator({}, Parser(), boto_session=boto3.session.Session(region_name=region))
        try:
            translated: dict[str, Any] = translator.translate(document, dict(parameters))
        except InvalidDocumentException as error:
            raise NotTranslated([_fault(cause) for cause in error.causes]) from error
        for name, config in tenancy.items():
            translated["Resources"][name]["Properties"]["TenancyConfig"] = config
    return translated


def _package(document: Mapping[str, Any]) -> None:
    """As `sam package` would: the translator takes only code that is in S3."""
    function = (document.get("Globals") or {}).get("Function") or {}
    function.pop("CodeUri", None)
    for resource in document["Resources"].values():
        key = _CODE.get(resource.get("Type", "")) if isinstance(resource, dict) else None
        if key is None:
            continue
        properties = resource.setdefault("Properties", {})
        if not {"InlineCode", "ImageUri"} & set(properties):
            properties[key] = _PACKAGED


def _without_tenancy(document: Mapping[str, Any]) -> dict[str, Any]:
    """Takes it out of the template. Returns what each function has, by its logical id."""
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
    named = _NAMED.search(text)
    return (named[1] if named else None, text)
