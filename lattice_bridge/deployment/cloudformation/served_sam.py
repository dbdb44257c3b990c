"""SAM for the local stack: whether a template needs AWS's translator, and what is served of the translation.

Rule: a function keeps the code, the metadata and the logical id that the template gives it. A part that the translator
refuses stays as it is written, and is named: the rest is still served.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.sam import (
    DEFINITION,
    INLINE,
    NoTranslator,
    NotTranslated,
    Translator,
    with_globals,
)
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed

_READ_AS_WRITTEN: Final = frozenset(
    {
        "AWS::Serverless::Application",
        "AWS::Serverless::Function",
        "AWS::Serverless::LayerVersion",
        "AWS::Serverless::SimpleTable",
    }
)
"""Types that become one resource of the same meaning, if no property generates more."""
_SERVED_EVENTS: Final = frozenset(
    {"Api", "CloudWatchEvent", "DynamoDB", "EventBridgeRule", "HttpApi", "Kinesis", "Schedule", "SQS"}
)
"""Types of a function's events that generate resources which are served."""
_IMPLICIT: Final = ("ServerlessRestApi", "ServerlessHttpApi", "ServerlessDeployment")
"""How the names begin of what SAM generates for the template as a whole."""
_OF_THE_TRANSLATION: Final = ("Role", "Tags")
"""Properties that the translator adds to a function."""
_MAX_ROUNDS: Final = 5
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9]+))?")


def generates(document: Mapping[str, Any]) -> bool:
    """Whether SAM generates resources of a template that are served, or to which the template refers.

    The other templates are read as they are: importing the translator takes longer than everything else at a start.
    """
    names = set()
    for name, resource in document["Resources"].items():
        kind = str(resource.get("Type", "")) if isinstance(resource, dict) else ""
        if not kind.startswith("AWS::Serverless::"):
            continue
        if kind not in _READ_AS_WRITTEN or "Connectors" in resource:
            return True
        if kind == "AWS::Serverless::Function" and _generates(with_globals(document, name)):
            return True
        names.add(str(name))
    begins = (*_IMPLICIT, *names)
    return any(
        (
            owner not in document["Resources"]
            and owner not in (document.get("Parameters") or {})
            and owner.startswith(begins)
        )
        or (owner in names and attribute == "Version")
        for owner, attribute in _references({key: document.get(key) for key in ("Resources", "Outputs")})
    )


def _generates(properties: Mapping[str, Any]) -> bool:
    events = properties.get("Events")
    every = events.values() if isinstance(events, dict) else ()
    kinds = {str(event.get("Type")) for event in every if isinstance(event, dict)}
    return bool(kinds & _SERVED_EVENTS) or "FunctionUrlConfig" in properties or _makes_destination(properties)


def _makes_destination(properties: Mapping[str, Any]) -> bool:
    """Whether SAM makes the queue or topic of a destination: it has a type, and no ARN."""
    config = properties.get("EventInvokeConfig")
    every = config.get("DestinationConfig") if isinstance(config, dict) else None
    destinations = every.values() if isinstance(every, dict) else ()
    return any(isinstance(one, dict) and "Type" in one and "Destination" not in one for one in destinations)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """The (name, attribute) pairs of each Ref, GetAtt and Sub in a value."""
    if isinstance(value, list):
        for entry in value:
            yield from _references(entry)
    if not isinstance(value, dict):
        return
    for key, entry in value.items():
        if key == "Ref" and isinstance(entry, str):
            yield entry.partition(".")[::2]
        elif key == "Fn::GetAtt":
            name, _, attribute = (".".join(map(str, entry)) if isinstance(entry, list) else str(entry)).partition(".")
            yield name, attribute
        elif key == "Fn::Sub":
            text = entry[0] if isinstance(entry, list) and entry else entry
            yield from ((found[1], found[2] or "") for found in _REFERENCE.finditer(str(text)))
        yield from _references(entry)


def translated_to_serve(
    document: Mapping[str, Any], translator: Translator
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The CloudFormation of a SAM template as the local stack serves it.

    Returns:
        The template, and the parts that were not translated as (reason, logical id) pairs.

    Raises:
        BadTemplate: of another shape, or the translator is not installed.
    """
    rest = copy.deepcopy(dict(document))
    with malformed(translator.place):
        for resource in rest["Resources"].values():
            _as_cloudformation(resource)
    aside: dict[str, Any] = {}
    notes: list[tuple[str, str]] = []
    try:
        for _ in range(_MAX_ROUNDS):
            try:
                found, unread = translator.translate(copy.deepcopy(rest))
            except NotTranslated as error:
                notes += _take_out(error.faults, rest, aside)
                continue
            _restore_code(document, found["Resources"])
            notes += [(f"{place}: {why}", place.removeprefix(DEFINITION)) for why, place in unread]
            return {**found, "Resources": found["Resources"] | aside}, notes
    except NoTranslator as error:
        raise NoTranslator(f"{translator.place}: {error}") from error
    except (BadTemplate, NotTranslated) as error:
        notes = [(_refusal(str(error)), "the template")]
    return dict(document), notes


def _refusal(fault: str) -> str:
    return f"AWS's translator of SAM refuses a part, so that the resources that it generates are missing: {fault}"


def _take_out(
    faults: Iterable[tuple[str | None, str]], rest: dict[str, Any], aside: dict[str, Any]
) -> list[tuple[str, str]]:
    """Takes each refused resource out of the template, or only the events of a function that has some.

    Args:
        faults: (id, message) pairs.
        rest: the template.
        aside: gets the resources that are taken out.

    Returns:
        (reason, logical id) pairs.

    Raises:
        NotTranslated: the faults name no resource of the template.
    """
    every = list(faults)
    refused = {owner: fault for name, fault in every if (owner := _owner(name, rest["Resources"])) is not None}
    if not refused:
        raise NotTranslated(every)
    for name in refused:
        resource = rest["Resources"][name]
        properties = resource.get("Properties") if isinstance(resource, dict) else None
        if isinstance(properties, dict) and properties.pop("Events", None) is not None:
            continue
        aside[name] = {**resource, "Properties": with_globals(rest, name)} if isinstance(properties, dict) else resource
        del rest["Resources"][name]
    return [(_refusal(fault), owner) for owner, fault in refused.items()]


def _owner(name: str | None, resources: Mapping[str, Any]) -> str | None:
    """The resource that a fault is in. The id of a function's event begins with the function's."""
    candidates = [str(one) for one in resources if name is not None and name.startswith(str(one))]
    return max(candidates, key=len, default=None)


def _as_cloudformation(resource: Any) -> None:
    """Makes a layer or a nested application one of CloudFormation: the translator would add a hash to the layer's
    logical id, and a local template has to stay one."""
    if not isinstance(resource, dict):
        return
    kind, properties = resource.get("Type"), dict(resource.get("Properties") or {})
    if kind == "AWS::Serverless::LayerVersion":
        properties.pop("RetentionPolicy", None)
        if "ContentUri" in properties:
            properties["Content"] = properties.pop("ContentUri")
        resource |= {"Type": "AWS::Lambda::LayerVersion", "Properties": properties}
    elif kind == "AWS::Serverless::Application" and isinstance(properties.get("Location"), str):
        properties["TemplateURL"] = properties.pop("Location")
        resource |= {"Type": "AWS::CloudFormation::Stack", "Properties": properties}


def _restore_code(source: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
    """Gives each translated function the code of the template, as in `Code: src/`."""
    for name, written in source["Resources"].items():
        if not isinstance(written, dict) or written.get("Type") != "AWS::Serverless::Function":
            continue
        if name not in resources or resources[name].get("Type") != "AWS::Lambda::Function":
            continue
        own, properties = with_globals(source, name), resources[name]["Properties"]
        for added in _OF_THE_TRANSLATION:
            if added not in own:
                properties.pop(added, None)
        if not set(INLINE) & set(own):
            properties.pop("Code", None)
            if "CodeUri" in own:
                properties["Code"] = own["CodeUri"]
