"""The place where Lambda keeps the asynchronous events of a function that failed, as a template has it."""

from __future__ import annotations

from lattice_bridge.deployment.checks.stack import name_of, part_of, resources_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.deployment.sources.facts import FailurePlace


def on_failure(resource: Resource) -> tuple[str | None, bool]:
    """The destination in a `DestinationConfig`; None if there is none. And whether that is known."""
    written = resource.properties.get("DestinationConfig")
    if unresolved(written) and not isinstance(written, dict):
        return None, False
    found = part_of(resource, "DestinationConfig").get("OnFailure")
    if found is None:
        return None, True
    if isinstance(found, str):
        return None, not unresolved(found)
    place = part_of(resource, "DestinationConfig", "OnFailure").get("Destination")
    return None if place is None else as_text(place), True


def failure_place(function: Resource, qualifier: str | None, template: Template) -> FailurePlace:
    """Where events are kept on which a function failed under one name: its own dead-letter queue, or a destination."""
    label = f"{name_of(function)}:{qualifier}" if qualifier else name_of(function)
    written = function.properties.get("DeadLetterConfig")
    if written:
        target = written.get("TargetArn") if isinstance(written, dict) else None
        return FailurePlace(label, None if target is None else as_text(target), is_known=target is not None)
    for config in resources_of(function, template, "AWS::Lambda::EventInvokeConfig"):
        own = config.properties.get("Qualifier")
        if unresolved(own) or own == (qualifier or "$LATEST"):
            destination, is_known = on_failure(config)
            if destination is not None or not is_known:
                return FailurePlace(label, destination, is_known)
    return FailurePlace(label, None)
