"""The APIs of bridge.toml: the map as their Lambda authorizer, and what they send to isolated functions and the bridge.

Rule: as `check --template` judges a template, for APIs that other tools made or changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.doctor.facts import (
    Api,
    ApiAuthorizer,
    ApiMethod,
    Configuration,
    Deployment,
    Function,
    FunctionName,
    Unread,
    known,
)
from lattice_bridge.deployment.doctor.findings import Finding, unread_finding

HANDLER: Final = "lattice_bridge.authorizer.handler"
"""Of the map as a Lambda authorizer."""
SIMPLE_VARIABLE: Final = "LATTICE_BRIDGE_SIMPLE_RESPONSES"
"""As in `authorize`, which doctor does not import: a test compares the two."""
CHOSEN_BY_CLIENTS: Final = (
    "method.request.",
    *("context.domainName", "context.domainPrefix", "context.httpMethod", "context.path", "context.requestOverride."),
    *("context.identity.sourceIp", "context.identity.userAgent"),
)
"""How the sources begin that a client writes, as in `checks.authorizers`: a test compares the two."""
_HEADER: Final = re.compile(r"(?:method\.request|\$request)\.header\.([A-Za-z0-9_-]+)")
_RIGHT: Final = "an authorizer whose cache compares all that the map reads, and no tenant that a client writes"


def api_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges each API: at least one finding for each."""
    for api in deployment.apis:
        found = list(_faults(api, deployment.bridge.name, configuration))
        yield from found or [Finding("ok", f"API {api.id}", "its authorizers and mappings are right", _RIGHT)]


def _faults(api: Api, bridge: FunctionName, configuration: Configuration) -> Iterator[Finding]:
    subject = f"API {api.id}"
    if api.kind is None:
        actual = "no REST API and no HTTP API of this account and Region has this id"
        fix = f"remove it from [apigateway] apis in {configuration.file}, or give the Region of the API"
        yield Finding("warning", subject, actual, "exists", fix)
    if api.has_default_endpoint and configuration.certificates:
        actual = "clients can use its default endpoint, where they leave their certificates out"
        expected = f"its custom domain only: {', '.join(configuration.certificates)} of the map read the certificate"
        yield Finding("warning", subject, actual, expected, "set disableExecuteApiEndpoint of the API to true")
    for facts, what in ((api.authorizers, "authorizers"), (api.methods, "methods")):
        if isinstance(facts, Unread):
            yield unread_finding(f"{what} of {subject}", facts, _RIGHT)
    for authorizer in known(api.authorizers):
        if isinstance(authorizer.function, Unread):
            yield unread_finding(f"authorizer {authorizer.name} of {subject}", authorizer.function, _RIGHT)
        elif authorizer.function is not None and authorizer.function.handler == HANDLER:
            yield from _authorizer(authorizer, authorizer.function, api, configuration)
    is_secured = bool(known(api.authorizers)) or not all(method.is_open for method in known(api.methods))
    for method in known(api.methods):
        yield from _method(method, subject, bridge, is_secured=is_secured)


def _authorizer(one: ApiAuthorizer, function: Function, api: Api, configuration: Configuration) -> Iterator[Finding]:
    subject = f"authorizer {one.name} of API {api.id}"
    if one.is_token:
        expected = "type REQUEST: an event of type TOKEN contains one header, so the map refuses every request"
        yield Finding("error", subject, "its type is TOKEN", expected, "make it an authorizer of type REQUEST")
        return
    headers = {name.lower() for source in one.sources for name in _HEADER.findall(source)}
    missing = sorted(configuration.headers - headers)
    is_cached = one.ttl > 0 and (bool(one.sources) or api.kind == "REST")
    if is_cached and missing:
        actual = f"caches answers for {one.ttl} s, and its identity sources lack {' and '.join(missing)}"
        expected = "every header that the map reads is one: otherwise a request runs as the tenant of an earlier one"
        yield Finding("error", subject, actual, expected, "set its time to live to 0, or add the identity sources")
    outside = [("the client's certificate", "the certificate", configuration.certificates)]
    outside += [("the VPC of the request", "the VPC", configuration.vpcs)] if api.is_private else []
    for what, short, rules in outside if is_cached else ():
        if rules:
            actual = f"caches answers for {one.ttl} s, without {what}"
            expected = f"no cache: {', '.join(rules)} of the map read {short}"
            yield Finding("error", subject, actual, expected, "set its time to live to 0")
    answers_simple = function.variables.get(SIMPLE_VARIABLE, "").lower() in ("true", "1")
    if api.kind == "HTTP" and one.simple != answers_simple:
        actual = f"expects {_form(is_simple=one.simple)}, and the function returns {_form(is_simple=answers_simple)}"
        fix = f"set {SIMPLE_VARIABLE} of the function to {str(one.simple).lower()}"
        yield Finding("error", subject, actual, "the same form: otherwise every request gets a 500", fix)


def _form(*, is_simple: bool) -> str:
    return "a simple response" if is_simple else "a policy"


def _method(one: ApiMethod, subject: str, bridge: FunctionName, *, is_secured: bool) -> Iterator[Finding]:
    where = f"{one.label} of {subject}"
    if one.tenant is not None and one.tenant.startswith(CHOSEN_BY_CLIENTS):
        actual = f"sends {one.tenant} as the tenant: every client names its own, and reads the data of any other"
        fix = "map context.authorizer.tenantId, with the map as its authorizer"
        yield Finding("error" if is_secured else "warning", where, actual, "what an authorizer verified", fix)
    if one.type == "AWS" and f"{bridge.arn}:" in one.uri.replace("/invocations", ":"):
        actual = "invokes the bridge with an integration of type AWS: a client's body is the event, with its caller"
        yield Finding("error", where, actual, "AWS_PROXY", "change the type of the integration to AWS_PROXY")
