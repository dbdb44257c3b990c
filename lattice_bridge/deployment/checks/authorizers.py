"""The map as a Lambda authorizer, and APIs in front of the bridge and of isolated functions.

Rule: API Gateway caches an authorizer's answer by its identity sources. If a header that the map reads is not one of
them, one tenant's request runs as another. A client's word never reaches an isolated function as its tenant id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.apis import (
    API_TYPES,
    Authorizer,
    Operation,
    authorizers_of,
    has_default_endpoint,
    operations_of,
)
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Stack,
    TemplateFinding,
    finding,
    mentions,
    name_of,
    variables_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource
from lattice_bridge.deployment.cloudformation.values import marker, unresolved

SIMPLE_VARIABLE: Final = "LATTICE_BRIDGE_SIMPLE_RESPONSES"
"""As in `authorize`, which the checks do not import: a test compares the two."""
TENANT: Final = "tenantId"
"""The field of the context that the authorizer sets, as in `formats.authorizer`."""
TENANT_HEADER: Final = "integration.request.header.x-amz-tenant-id"
WRITE_APIS: Final = 'write [apigateway] with apis = ["the API\'s id"] in bridge.toml'
_LAMBDA: Final = ":lambda:path/"
"""Part of the URI of an integration that invokes a function."""
_OVERRIDE: Final = "requestoverride.header"
"""Part of a mapping template, in lower case, that writes a header of the integration."""
_CONTEXT: Final = "context.authorizer."
CHOSEN_BY_CLIENTS: Final = (
    "method.request.",
    *("context.domainName", "context.domainPrefix", "context.httpMethod", "context.path", "context.requestOverride."),
    *("context.identity.sourceIp", "context.identity.userAgent"),
)
"""How the sources begin that a client writes. With a wildcard domain, it chooses the host name as well."""


def authorizer_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of the map as an authorizer: its type, its cache, its answers, and the list of APIs."""
    every = list(authorizers_of(stack.template))
    for function in stack.authorizers:
        uses = [one for one in every if mentions(one.uri, function)]
        for one in uses:
            yield from _type_and_cache(one, stack)
            yield from _answers(one, function)
        if not uses:
            actual = f"no authorizer of this template invokes {name_of(function)}"
            fix = "write an AWS::ApiGateway::Authorizer of type REQUEST, or check its identity sources yourself"
            yield warning(function.id, actual, NOT_KNOWN, fix)
        if stack.compared and not stack.options.apis:
            expected = "The authorizer refuses every event of an API that is not listed (not_enabled)"
            yield finding(function.id, "bridge.toml lists no API", expected, WRITE_APIS)


def _type_and_cache(one: Authorizer, stack: Stack) -> Iterator[TemplateFinding]:
    needs, (ttl, identity_sources) = stack.needs, one.keys
    no_cache = f"write {ttl}: 0 (with SAM's Auth: ReauthorizeEvery: 0)"
    if one.is_token:
        actual = f"the authorizer {one.label} is of type TOKEN"
        expected = "Its events contain one header, so the map cannot decide, and every request is refused"
        yield finding(one.resource.id, actual, expected, "write Type: REQUEST, and an IdentitySource for each header")
    elif one.ttl is None or one.sources is None:
        actual = f"the cache of the authorizer {one.label} is not known"
        yield warning(one.resource.id, actual, NOT_KNOWN, no_cache)
    elif one.ttl > 0 and (one.sources or one.kind == "REST"):
        missing = sorted(needs.headers - one.headers)
        if missing:
            what = f"the header{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
            actual = f"the authorizer {one.label} caches answers for {one.ttl} s, and its identity sources lack {what}"
            them = "them" if len(missing) > 1 else "it"
            expected = (
                f"bridge.toml reads {them}, and the cache does not compare {them}: "
                "a request would run as the tenant of an earlier one"
            )
            added = ", ".join(map(one.source_of, missing))
            yield finding(one.resource.id, actual, expected, f"{no_cache}, or add {added} to {identity_sources}")
        outside = [("the client's certificate", "the certificate", needs.certificates)]
        outside += [("the VPC of the request", "the VPC", needs.vpcs)] if one.is_private else []
        for what, short, rules in outside:
            if rules:
                actual = f"the authorizer {one.label} caches answers for {one.ttl} s, without {what}"
                expected = f"Rules read {short} ({', '.join(rules)}), and a cached answer would be used for another one"
                yield finding(one.resource.id, actual, expected, no_cache)
        if needs.admits_anyone:
            actual = f"the authorizer {one.label} caches answers for {one.ttl} s, and a rule has anyone"
            expected = (
                "One client can send a malformed request with a tenant's header, and its refusal is the answer to all "
                "clients without a token that send this header"
            )
            yield warning(one.resource.id, actual, expected, no_cache)


def _answers(one: Authorizer, function: Resource) -> Iterator[TemplateFinding]:
    """A fault if the function and the API do not agree on simple responses. No event contains the API's setting."""
    if one.kind != "HTTP":
        return
    variable = variables_of(function).get(SIMPLE_VARIABLE)
    if one.simple is None or unresolved(variable):
        fix = "write both values in the template"
        yield warning(one.resource.id, f"EnableSimpleResponses of {one.label} is not known", NOT_KNOWN, fix)
        return
    answers_simple = str(variable).lower() in ("true", "1")
    if one.simple != answers_simple:
        actual = f"EnableSimpleResponses of {one.label} is {one.simple}, and {SIMPLE_VARIABLE} is {variable}"
        expected = "API Gateway answers 500 to every request if an authorizer's answer has the other form"
        fix = f'write {SIMPLE_VARIABLE}: "{str(one.simple).lower()}" in the variables of {function.id}'
        yield finding(one.resource.id, actual.replace("None", "not set"), expected, fix)


# ---- in front of isolated functions ---------------------------------------------------------------------------------


def operation_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the operations in front of isolated functions, and of the bridge."""
    every = list(operations_of(stack.template))
    secured = {one.api for one in every if not one.is_open} | {one.api for one in authorizers_of(stack.template)}
    own = {
        one.api
        for one in authorizers_of(stack.template)
        for function in stack.authorizers
        if mentions(one.uri, function)
    }
    for one in every:
        if one.kind == "REST":
            for subject in _subjects(one, stack):
                yield from _tenant(one, subject, is_secured=one.api in secured, is_own=one.api in own)
    for bridge in (one.function for one in stack.bridges):
        before = [one for one in every if one.invokes(bridge)]
        own |= {one.api for one in before}
        yield from _before_bridge(before, bridge, stack)
    for api in stack.template.of_type(*API_TYPES) if stack.needs.certificates else ():
        if marker(api.id) in own and has_default_endpoint(api):
            yield _default_endpoint(api, stack.needs.certificates)


def _default_endpoint(api: Resource, rules: tuple[str, ...]) -> TemplateFinding:
    actual = f"clients can use its default endpoint, and rules read their certificates ({', '.join(rules)})"
    expected = (
        "Mutual TLS is for custom domains only: a client leaves its certificate out there, so that no rule denies it, "
        "and a token alone decides"
    )
    return warning(api.id, actual, expected, "write DisableExecuteApiEndpoint: true")


def _subjects(one: Operation, stack: Stack) -> list[str]:
    """The ids of the isolated functions that a REST API's operation invokes. If its function is not in the template, or
    a stage variable names it, it may be isolated: then the id of what contains the operation."""
    found = [function.id for function in stack.isolated if one.invokes(function)]
    is_known = any(one.invokes(function) for function in stack.functions)
    return found or ([] if is_known or _LAMBDA not in one.uri else [one.resource.id])


def _tenant(one: Operation, subject: str, *, is_secured: bool, is_own: bool) -> Iterator[TemplateFinding]:
    """Faults in the value that an operation sends as the tenant."""
    if not one.is_proxy and _OVERRIDE in one.templates.lower():
        actual = f"a mapping template of a REST API ({one.label}) writes headers of the integration"
        expected = "Templates are not checked: if one writes the tenant from the request, every client names its own"
        fix = f"map the tenant in RequestParameters: {TENANT_HEADER}, and remove the template"
        yield warning(subject, actual, expected, fix)
    value = one.parameters.get(TENANT_HEADER)
    if value is None:
        return
    if value.startswith(CHOSEN_BY_CLIENTS):
        actual = f"a REST API ({one.label}) sends {value} as the tenant"
        expected = "Every client names its own tenant: it reads the data of any other"
        fix = f"write {_CONTEXT}{TENANT}, with the map as the API's authorizer"
        if not is_own:
            fix = f"{fix}; or {_CONTEXT}NAME, if your own authorizer sets NAME from what it verified"
        yield finding(subject, actual, expected, fix, "error" if is_secured else "warning")
    elif unresolved(value):
        actual = f"a REST API ({one.label}) sends {value} as the tenant"
        yield warning(subject, actual, NOT_KNOWN, f"write {_CONTEXT}{TENANT}, or use a parameter")
    elif one.is_open and not value.startswith("context."):
        actual = f"a REST API ({one.label}) sends {value} as the tenant, and has no authorizer there"
        expected = "Every client that reaches the API runs as this tenant, without a credential"
        yield warning(subject, actual, expected, "write an AuthorizationType, as in AWS_IAM or CUSTOM")
    elif value.startswith(_CONTEXT) and one.is_open:
        actual = f"a REST API ({one.label}) sends {value} as the tenant, and has no authorizer there"
        expected = "The value is then empty, and Lambda refuses every request"
        yield finding(subject, actual, expected, "write AuthorizationType: CUSTOM and an AuthorizerId")
    elif value.startswith(_CONTEXT) and is_own and value != f"{_CONTEXT}{TENANT}":
        actual = f"a REST API ({one.label}) sends {value} as the tenant"
        expected = f"The map as an authorizer sets {TENANT} alone, so Lambda refuses every request"
        yield finding(subject, actual, expected, f"write {_CONTEXT}{TENANT}")


# ---- in front of the bridge -----------------------------------------------------------------------------------------


def _before_bridge(every: list[Operation], bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    for one in every:
        yield from _form(one, bridge)
    operations = [one for one in every if one.kind != "WebSocket"]
    if operations and stack.compared and not stack.options.apis:
        actual = f"it sends requests to {name_of(bridge)}, and bridge.toml lists no API"
        expected = "The bridge answers 400 to every event of an API that is not listed (not_enabled)"
        for resource in dict.fromkeys(one.resource.id for one in operations):
            yield finding(resource, actual, expected, WRITE_APIS)
    for one in operations if stack.needs.from_authorizer else ():
        if one.is_open:
            rules = ", ".join(stack.needs.from_authorizer)
            actual = f"{one.label} has no authorizer, and {rules} of bridge.toml read its result"
            expected = "Without an authorizer, nothing verified says which tenant the client may be"
            fix = "write an authorizer for it"
            yield warning(one.resource.id, actual, expected, fix)


def _form(one: Operation, bridge: Resource) -> Iterator[TemplateFinding]:
    """Faults in what the bridge receives as its event."""
    what = f"a {one.kind} API ({one.label}) sends requests to {name_of(bridge)}"
    if not one.is_proxy:
        actual = f"{what} with an integration of type AWS"
        expected = "A client's body is then the event: it writes the caller, the authorizer's answer and the API itself"
        yield finding(one.resource.id, actual, expected, "write AWS_PROXY as the type of the integration")
    elif one.kind == "WebSocket":
        expected = "The bridge serves HTTP requests, and refuses every event of a WebSocket API"
        fix = "write another function for it, or an HTTP or REST API in its place"
        yield finding(one.resource.id, what, expected, fix)
