"""A SAM template -> the CloudFormation that AWS would make of it.

Rule: by AWS's own translator, on this machine: no account, no credentials, no network. Tenancy is kept from it: it
stops at the first mistake of a function, and the rules here list them all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.package import package
from lattice_bridge.deployment.cloudformation.template import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.text import read_document

NO_TRANSLATOR: Final = (
    "a SAM template is checked as the CloudFormation that it becomes, and the translator is not installed: "
    "pip install 'lattice-bridge[template]' (or aws-sam-translator)"
)
_NAMED: Final = re.compile(r"with id \[(\w+)\]")


class NotTranslated(Exception):
    """The translator refuses the template.

    Attributes:
        faults: each with the resource that it is about, if it is about one.
    """

    def __init__(self, faults: list[tuple[str | None, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault for _, fault in faults))


def is_sam(document: Mapping[str, Any]) -> bool:
    """Whether a template is for AWS to translate."""
    return any(re.fullmatch(r"AWS::Serverless-\d{4}-\d\d-\d\d", name) for name in transforms_of(document))


def transforms_of(document: Mapping[str, Any]) -> list[str]:
    """The macros that are to run over a whole template."""
    found = document.get("Transform") or []
    return [
        str(one.get("Name")) if isinstance(one, dict) else str(one)
        for one in (found if isinstance(found, list) else [found])
    ]


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
    document = read_document(text, "the template")
    with malformed("the template"):
        package(document, Path())
    return translated(document, "the template", parameters, region)


def translated(document: dict[str, Any], place: str, parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """The CloudFormation of a SAM template that is read and packaged already, and is changed by this.

    Args:
        document: what stands in it.
        place: where it is from, for messages.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: what `AWS::Region` is, unless `parameters` has another.

    Raises:
        NotTranslated: the translator found faults.
        BadTemplate: of another shape, or the translator is not installed.
    """
    try:
        from samtranslator.model.exceptions import InvalidDocumentException
        from samtranslator.parser.parser import Parser
        from samtranslator.translator.translator import Translator
    except ImportError as error:
        raise BadTemplate(NO_TRANSLATOR) from error
    import boto3

    logging.getLogger("samtranslator").addHandler(logging.NullHandler())  # it warns of features of AWS's own
    with malformed(place):
        tenancy = _without_tenancy(document)
        where = boto3.session.Session(region_name=parameters.get("AWS::Region", region))
        declared = document.get("Parameters") or {}
        given = {name: value for name, value in parameters.items() if name in declared}
        try:
            found: dict[str, Any] = Translator({}, Parser(), boto_session=where).translate(document, given)
        except InvalidDocumentException as error:
            raise NotTranslated([_fault(cause) for cause in error.causes]) from error
        for name, config in tenancy.items():
            found["Resources"][name]["Properties"]["TenancyConfig"] = config
    return found


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
