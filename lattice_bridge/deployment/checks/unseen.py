"""What of a template was not looked into.

Rule: it is said, so that a clean answer is not taken for more than it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.deployment.checks.documents import not_looked_into
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.names import has_name
from lattice_bridge.deployment.checks.policies import unread_of
from lattice_bridge.deployment.checks.stack import Stack, variables_of
from lattice_bridge.deployment.cloudformation.sam import DEFINITION
from lattice_bridge.deployment.cloudformation.values import unresolved

_DEFINITIONS: Final = {
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location", "Definition"),
    "AWS::ApiGateway::RestApi": ("BodyS3Location", "Body"),
    "AWS::ApiGatewayV2::Api": ("BodyS3Location", "Body"),
}
"""Where a definition stands in S3, and where in the template."""


def unseen_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """A warning for each part that was not looked into, and each condition that could not be decided."""
    for what, place in dict.fromkeys(stack.template.unresolved):
        if place.startswith("Conditions.") and unresolved(what):
            wrong = f"the condition depends on {what}, and was taken for false"
            yield finding(place.partition(".")[2], wrong, "a parameter, given with --parameter", UNKNOWN, "warning")
        elif place in ("Resources", "Transform"):
            wrong = "this part was not looked into, nor what refers to it"
            yield finding(what, wrong, "what it expands to", "AWS alone expands it, when it deploys", "warning")
    for nested in stack.template.of_type("AWS::CloudFormation::Stack"):
        wrong = "the nested stack was not looked into"
        yield finding(
            nested.id, wrong, "`check --template` of its template as well", "it is a file of its own", "warning"
        )
    for unread in unread_of(stack.template):
        yield not_looked_into(unread.place, unread.text)
    for function in stack.functions:
        if not has_name(function):
            wrong = f"FunctionName is {function.properties['FunctionName']}"
            yield finding(function.id, wrong, "the name itself, or a parameter", UNKNOWN, "warning")
    if stack.isolated:
        yield from _definitions(stack)
    for bridge in stack.bridges:
        variable = variables_of(bridge.function).get(FUNCTION_VARIABLE)
        if unresolved(variable):
            wrong = f"{FUNCTION_VARIABLE} is {variable}"
            yield finding(bridge.function.id, wrong, "the function under [[backend]]", UNKNOWN, "warning")
    if not stack.compared:
        wrong = "the functions were not held against bridge.toml, which does not load"
        yield finding("Resources", wrong, "a bridge.toml that loads", "its backends are not known", "warning")


def _definitions(stack: Stack) -> Iterator[TemplateFinding]:
    unread = {place: why for why, place in stack.template.unresolved}
    for kind, (elsewhere, here) in _DEFINITIONS.items():
        for resource in stack.template.of_type(kind):
            body = resource.properties.get(here)
            if elsewhere in resource.properties or (isinstance(body, str) and unresolved(body)):
                yield finding(
                    resource.id,
                    "its definition was not looked into",
                    "a definition beside the template or in it, or see yourself how it invokes isolated functions",
                    unread.get(f"{DEFINITION}{resource.id}", "what is in S3 is not read here"),
                    "warning",
                )
