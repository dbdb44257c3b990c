"""The checks of a template beside bridge.toml, before AWS sees it.

Rule: the checks read the translated template. cfn-lint and CloudFormation accept what is found here; Lambda or Lattice
refuse it later, or nothing does. Each part that could not be checked is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.config.options import Options
from lattice_bridge.deployment.checks.apis import API_TYPES, is_whole
from lattice_bridge.deployment.checks.authorizers import authorizer_findings, operation_findings
from lattice_bridge.deployment.checks.backends import alarm_findings, backend_findings, bridge_findings
from lattice_bridge.deployment.checks.invokers import permission_findings, tenancy_findings
from lattice_bridge.deployment.checks.lattice import group_findings, service_findings
from lattice_bridge.deployment.checks.native_senders import calls_of, native_findings
from lattice_bridge.deployment.checks.pipes import pipe_findings
from lattice_bridge.deployment.checks.rights import right_findings, trust_findings, unread_findings
from lattice_bridge.deployment.checks.sources import source_findings
from lattice_bridge.deployment.checks.stack import (
    AUTHORIZER_HANDLER,
    NO_NEEDS,
    NOT_KNOWN,
    Bridge,
    MapNeeds,
    Stack,
    TemplateFinding,
    finding,
    has_name,
    stack_of,
    variables_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.sam import DEFINITION, NotTranslated
from lattice_bridge.deployment.cloudformation.template import Template, read_translated
from lattice_bridge.deployment.cloudformation.text import malformed
from lattice_bridge.deployment.cloudformation.values import unresolved

_DEFINITIONS: Final = {
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location", "Definition"),
    "AWS::ApiGateway::RestApi": ("BodyS3Location", "Body"),
    "AWS::ApiGatewayV2::Api": ("BodyS3Location", "Body"),
}
"""Type → the property with its definition in S3, and the one with its definition in the template."""


def template_findings(
    path: Path,
    options: Options | None,
    parameters: Mapping[str, str],
    region: str,
    *,
    unsigned: bool = False,
    text: str | None = None,
    config: Path | None = None,
    needs: MapNeeds = NO_NEEDS,
) -> list[TemplateFinding]:
    """The findings about the template in a file; an empty list means none.

    Args:
        path: SAM or CloudFormation, YAML or JSON.
        options: of bridge.toml, beside the map; None if it does not load.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        unsigned: whether a service is intended to admit unsigned requests.
        text: of the file, if it is read already.
        config: the file of the options, if they are from a file.
        needs: what the map reads of a request.

    Raises:
        BadTemplate: it cannot be read, or the translator is not installed.
    """
    try:
        template = read_translated(path, parameters, region, deployed=True, text=text)
    except NotTranslated as error:
        expected = "AWS's translator refuses the template, and so would a deployment"
        return [
            finding(resource or path.name, fault.rstrip("."), expected, "write what the translator asks for")
            for resource, fault in error.faults
        ]
    with malformed(str(path)):
        return list(findings_of(template, options, unsigned=unsigned, config=config, needs=needs))


def findings_of(
    template: Template,
    options: Options | None,
    *,
    unsigned: bool = False,
    config: Path | None = None,
    needs: MapNeeds = NO_NEEDS,
) -> Iterator[TemplateFinding]:
    """The findings about a template that is translated and resolved. Arguments as for `template_findings`."""
    for rule, description in template.failed:
        expected = "CloudFormation refuses a deployment if a rule's assertion does not hold"
        yield finding(rule, description.rstrip("."), expected, "give parameters that meet the rule")
    stack = stack_of(template, options, needs)
    yield from tenancy_findings(stack)
    yield from native_findings(stack)
    if stack.bridges or stack.authorizers:
        yield from backend_findings(stack)
        yield from group_findings(stack)
        yield from permission_findings(stack)
        yield from source_findings(stack)
        yield from pipe_findings(stack)
        yield from authorizer_findings(stack)
        yield from operation_findings(stack)
        yield from service_findings(stack, unsigned=unsigned)
        yield from right_findings(stack)
        yield from trust_findings(stack)
        if stack.compared:
            yield from alarm_findings(stack)
        for bridge in (*stack.bridges, *(Bridge(one, ()) for one in stack.authorizers)):
            yield from bridge_findings(bridge, config)
    else:
        yield _no_bridge(stack)
    yield from _not_checked(stack)


def _no_bridge(stack: Stack) -> TemplateFinding:
    """A fault, and a warning only if a service sends the tenant id instead of the bridge."""
    actual = "no bridge: no function with the handler lattice_bridge.main.handler, and none in a LAMBDA target group"
    expected = "A template is compared with bridge.toml through its bridge"
    fix = f"write Handler: lattice_bridge.main.handler for one function, or {AUTHORIZER_HANDLER}"
    is_native = any(call.tenant for one in stack.template.resources.values() for call in calls_of(one))
    return finding("Resources", actual, expected, fix, "warning" if is_native else "error")


def _not_checked(stack: Stack) -> Iterator[TemplateFinding]:
    """A warning for each part that was not checked, so that an answer without errors promises no more than it may."""
    for what, place in dict.fromkeys(stack.template.unresolved):
        if place.startswith("Conditions.") and unresolved(what):
            actual = f"the condition depends on {what}, and counts as false"
            yield warning(place.partition(".")[2], actual, NOT_KNOWN, "use a parameter, and give it with --parameter")
        elif place in ("Resources", "Transform"):
            actual = "this part was not checked, and neither was what refers to it"
            yield warning(what, actual, "Only AWS expands it, when it deploys", "write what it expands to")
    for nested in stack.template.of_type("AWS::CloudFormation::Stack"):
        expected = "Its template is a file of its own"
        yield warning(nested.id, "the nested stack was not checked", expected, "run `check --template` with that file")
    yield from unread_findings(stack.template)
    for function in stack.functions:
        if not has_name(function):
            actual = f"FunctionName is {function.properties['FunctionName']}"
            yield warning(function.id, actual, NOT_KNOWN, "write the name, or use a parameter")
    if stack.isolated:
        yield from _definitions(stack)
    for bridge in stack.bridges:
        if unresolved(variable := variables_of(bridge.function).get(FUNCTION_VARIABLE)):
            actual = f"{FUNCTION_VARIABLE} is {variable}"
            yield warning(bridge.function.id, actual, NOT_KNOWN, "name the function under [[backend]] in bridge.toml")
    if not stack.compared:
        actual = "the functions were not compared with bridge.toml, which does not load"
        yield warning("Resources", actual, "Only a bridge.toml that loads names the backends", "fix bridge.toml")


def _definitions(stack: Stack) -> Iterator[TemplateFinding]:
    """A warning for each definition of an API or state machine that was not checked."""
    unread = {place: reason for reason, place in stack.template.unresolved}
    for kind, (elsewhere, here) in _DEFINITIONS.items():
        for resource in stack.template.of_type(kind):
            body = resource.properties.get(here)
            if elsewhere in resource.properties or (isinstance(body, str) and unresolved(body)):
                reason = unread.get(f"{DEFINITION}{resource.id}", "a definition in S3 is not read here")
                actual = "its definition was not checked"
                fix = "put the definition beside the template or into it, or check how it invokes isolated functions"
                yield warning(resource.id, actual, f"It must not invoke without a tenant id: {reason}", fix)
            elif kind in API_TYPES and not is_whole(body):
                actual = "a part of its definition was not checked"
                fix = "write that part into the template, or check that it sends no client's value as the tenant"
                yield warning(resource.id, actual, "Only AWS fills it in, when it deploys", fix)
