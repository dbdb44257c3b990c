"""A template's APIs: their operations, each with its integration, and their Lambda authorizers.

Rule: REST and HTTP APIs, as resources and as OpenAPI definitions, become the same values here. Nothing is judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.deployment.checks.stack import entries_of, items_of, mentions, part_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import marker, unresolved

Kind = Literal["REST", "HTTP", "WebSocket"]

DEFAULT_TTL: Final = 300
"""Seconds that API Gateway caches an authorizer's answer if a template does not say. For HTTP APIs, AWS does not
document a default, so the one of REST APIs is assumed."""

API_TYPES: Final[Mapping[str, Kind]] = {"AWS::ApiGateway::RestApi": "REST", "AWS::ApiGatewayV2::Api": "HTTP"}
"""Types of resources that may contain an OpenAPI definition → the kind of the API."""
_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_ANY_METHOD: Final = "x-amazon-apigateway-any-method"
_INTEGRATION: Final = "x-amazon-apigateway-integration"
_AUTH: Final = "x-amazon-apigateway-auth"
_AUTHORIZER: Final = "x-amazon-apigateway-authorizer"
_MAPS: Final = frozenset(
    {
        *(*_METHODS, _ANY_METHOD, _INTEGRATION, _AUTHORIZER, "paths", "requestParameters", "requestTemplates"),
        *("components", "securityDefinitions", "securitySchemes"),
    }
)
"""Keys of an OpenAPI definition whose values this module reads as maps."""
_HEADER: Final = re.compile(r"(?:method\.request|\$request)\.header\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer of an API.

    Attributes:
        resource: the resource that contains it.
        label: its name in findings.
        kind: of its API.
        api: the API, as `!Ref` of it is resolved.
        is_token: whether its type is TOKEN.
        uri: contains the function's ARN.
        sources: the identity sources, in one text; None if they are unresolved.
        ttl: seconds that answers are cached; None if they are unresolved.
        simple: whether the API expects a simple response; None if that is unresolved.
        is_private: whether requests to the API may come from a VPC; True if its endpoint is not known.
        keys: the names of the keys for the cache's time and the identity sources, as its template writes them.
    """

    resource: Resource
    label: str
    kind: Kind
    api: str
    is_token: bool
    uri: str
    sources: str | None
    ttl: int | None
    simple: bool | None
    is_private: bool
    keys: tuple[str, str]

    @property
    def headers(self) -> frozenset[str]:
        """The names of the headers among the identity sources, in lower case."""
        return frozenset(name.lower() for name in _HEADER.findall(self.sources or ""))

    def source_of(self, header: str) -> str:
        """The identity source for a header, as a template writes it."""
        return f"method.request.header.{header}" if self.kind == "REST" else f"$request.header.{header}"


@dataclass(frozen=True, slots=True)
class Operation:
    """A method or route of an API, with the function that it invokes.

    Attributes:
        resource: the resource that contains it.
        label: its name in findings.
        kind: of its API.
        api: the API, as `!Ref` of it is resolved.
        uri: contains the function's ARN.
        parameters: the parameter mapping of the integration, with keys in lower case.
        templates: the mapping templates of the integration, in one text.
        is_open: whether no authorizer is in front of it.
        is_proxy: whether API Gateway writes the event. Otherwise the client's body is the event, or a part of it.
    """

    resource: Resource
    label: str
    kind: Kind
    api: str
    uri: str
    parameters: Mapping[str, str]
    templates: str
    is_open: bool
    is_proxy: bool

    def invokes(self, function: Resource) -> bool:
        """Whether it invokes a function, under any of its names."""
        return mentions(self.uri, function)


# ---- authorizers ----------------------------------------------------------------------------------------------------


def authorizers_of(template: Template) -> Iterator[Authorizer]:
    """The Lambda authorizers of all APIs of a template."""
    for one in template.of_type("AWS::ApiGateway::Authorizer"):
        if one.properties.get("Type") in ("TOKEN", "REQUEST"):
            is_private = _is_private(str(one.properties.get("RestApiId")), template)
            yield _authorizer(one, one.id, "REST", one.properties, _CLOUDFORMATION, is_private=is_private)
    for one in template.of_type("AWS::ApiGatewayV2::Authorizer"):
        if one.properties.get("AuthorizerType") == "REQUEST":
            yield _authorizer(one, one.id, "HTTP", one.properties, _CLOUDFORMATION)
    for one, kind, body in _bodies(template):
        for name, scheme in _schemes(body):
            found = scheme.get(_AUTHORIZER)
            if isinstance(found, dict) and found.get("authorizerUri"):
                api = marker(one.id)
                is_private = kind == "REST" and _is_private(api, template)
                written = {**found, "api": api}
                yield _authorizer(one, f"{one.id}, {name}", kind, written, _OPENAPI, is_private=is_private)


_CLOUDFORMATION: Final = (
    *("RestApiId", "ApiId", "Type", "AuthorizerUri", "IdentitySource", "AuthorizerResultTtlInSeconds"),
    "EnableSimpleResponses",
)
_OPENAPI: Final = (
    *("api", "api", "type", "authorizerUri", "identitySource", "authorizerResultTtlInSeconds"),
    "enableSimpleResponses",
)


def _authorizer(
    one: Resource,
    label: str,
    kind: Kind,
    found: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    is_private: bool = False,
) -> Authorizer:
    rest, http, type_, uri, sources, ttl, simple = names
    return Authorizer(
        one,
        label,
        kind,
        str(found.get(rest, found.get(http))),
        str(found.get(type_)).upper() == "TOKEN",
        str(found.get(uri)),
        _known_text(found.get(sources)),
        _seconds(found.get(ttl, DEFAULT_TTL)),
        None if unresolved(found.get(simple)) else str(found.get(simple)).lower() == "true",
        is_private,
        (ttl, sources),
    )


def _is_private(api: str, template: Template) -> bool:
    """Whether a REST API may be private, and its events contain a VPC. An API outside of the template may be."""
    found = next((one for one in template.of_type("AWS::ApiGateway::RestApi") if marker(one.id) == api), None)
    if found is None:
        return True
    settings = (found.properties.get(name) for name in ("EndpointConfiguration", "Parameters"))
    return any(unresolved(one) or "PRIVATE" in str(one) for one in settings)


def has_default_endpoint(api: Resource) -> bool:
    """Whether clients can reach an API without a custom domain, and so without mutual TLS."""
    written = [("disableExecuteApiEndpoint", api.properties.get("DisableExecuteApiEndpoint"))]
    found = (*written, *entries_of(api.properties.get("Body")))
    disabled = any(key == "disableExecuteApiEndpoint" and str(one).lower() == "true" for key, one in found)
    return not disabled and "PRIVATE" not in str(api.properties.get("EndpointConfiguration"))


def _known_text(value: object) -> str | None:
    text = ", ".join(map(str, items_of(value)))
    return None if unresolved(text) else text


def _seconds(value: object) -> int | None:
    return None if unresolved(value) or not str(value).isdigit() else int(str(value))


# ---- operations -----------------------------------------------------------------------------------------------------


def operations_of(template: Template) -> Iterator[Operation]:
    """The operations of all APIs of a template that have an integration."""
    for one in template.of_type("AWS::ApiGateway::Method"):
        found = part_of(one, "Integration")
        mapping, templates = _mapping(found.get("RequestParameters")), str(found.get("RequestTemplates", ""))
        is_open = one.properties.get("AuthorizationType", "NONE") == "NONE"
        api = str(one.properties.get("RestApiId"))
        is_proxy = _is_proxy(found.get("Type"))
        yield Operation(one, one.id, "REST", api, str(found.get("Uri")), mapping, templates, is_open, is_proxy)
    apis = template.of_type("AWS::ApiGatewayV2::Api")
    sockets = {marker(one.id) for one in apis if one.properties.get("ProtocolType") == "WEBSOCKET"}
    for one in apis:
        if target := one.properties.get("Target"):  # quick create: a route for everything, without an authorizer
            yield Operation(one, f"{one.id}, $default", "HTTP", marker(one.id), str(target), {}, "", True, True)
    integrations = template.of_type("AWS::ApiGatewayV2::Integration")
    for route in template.of_type("AWS::ApiGatewayV2::Route"):
        target = str(route.properties.get("Target"))
        for one in integrations:
            if target in (f"integrations/{marker(one.id)}", f"integrations/{one.id}"):
                is_open = route.properties.get("AuthorizationType", "NONE") == "NONE"
                api, uri = str(route.properties.get("ApiId")), str(one.properties.get("IntegrationUri"))
                kind: Kind = "WebSocket" if api in sockets else "HTTP"
                is_proxy = _is_proxy(one.properties.get("IntegrationType"))
                yield Operation(route, route.id, kind, api, uri, {}, "", is_open, is_proxy)
    for defined, of_body, body in _bodies(template):
        yield from _operations_in(defined, of_body, body)


def _operations_in(one: Resource, kind: Kind, body: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in _maps(body.get("paths")):
        for method, operation in _maps(methods):
            found = _integration_of(operation, body)
            if (method.lower() in _METHODS or method == _ANY_METHOD) and isinstance(found, dict):
                verb = "ANY" if method == _ANY_METHOD else method.upper()
                mapping, templates = _mapping(found.get("requestParameters")), str(found.get("requestTemplates", ""))
                label = f"{one.id}, {verb} {path}"
                uri, is_proxy = str(found.get("uri")), _is_proxy(found.get("type"))
                is_open = not _is_secured(operation, body)
                yield Operation(one, label, kind, marker(one.id), uri, mapping, templates, is_open, is_proxy)


def _integration_of(operation: Mapping[str, Any], body: Mapping[str, Any]) -> object:
    """The integration of an operation. An HTTP API's may refer to one that several operations share."""
    found, components = operation.get(_INTEGRATION), body.get("components")
    name = str(found.get("$ref")).rpartition("/")[2] if isinstance(found, dict) and "$ref" in found else None
    shared = components.get(f"{_INTEGRATION}s") if isinstance(components, dict) else None
    return found if name is None or not isinstance(shared, dict) else shared.get(name)


def _is_secured(operation: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether an authorizer, or IAM, is in front of an operation. A scheme without either, such as an API key, and the
    scheme NONE, which SAM names and does not define, verify nothing."""
    own = operation.get(_AUTH)
    if isinstance(own, dict) and "type" in own:
        return str(own["type"]).upper() != "NONE"
    required = operation.get("security", body.get("security"))
    if isinstance(required, str):  # unresolved
        return True
    schemes, names = dict(_schemes(body)), [name for one in items_of(required) if isinstance(one, dict) for name in one]
    found = [schemes.get(name, {_AUTHORIZER: name} if name != "NONE" else {}) for name in names]
    return any(_AUTHORIZER in one or one.get("x-amazon-apigateway-authtype") == "awsSigv4" for one in found)


def _is_proxy(written: object) -> bool:
    """Whether the type of an integration is not `AWS`. A type that is not known counts as a proxy."""
    return str(written).upper() != "AWS"


def _mapping(value: object) -> dict[str, str]:
    return {str(key).lower(): str(entry) for key, entry in value.items()} if isinstance(value, dict) else {}


# ---- OpenAPI definitions --------------------------------------------------------------------------------------------


def is_whole(body: object) -> bool:
    """Whether the template contains every part of a definition that names operations and authorizers. The rest of one
    may be in S3 (`AWS::Include`), or be known to a deployed stack only."""
    entries = list(entries_of(body))
    maps = [entry for key, entry in entries if key in _MAPS or key.startswith("/")]
    is_included = any(key == "Fn::Transform" for key, _ in entries)
    return not is_included and not any(isinstance(entry, str) and unresolved(entry) for entry in maps)


def _bodies(template: Template) -> Iterator[tuple[Resource, Kind, Mapping[str, Any]]]:
    for type_, kind in API_TYPES.items():
        for one in template.of_type(type_):
            body = one.properties.get("Body")
            if isinstance(body, str):
                with suppress(ValueError, RecursionError):
                    body = json.loads(body)
            if isinstance(body, dict):
                yield one, kind, body


def _schemes(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The security schemes of OpenAPI 2 and 3."""
    yield from _maps(body.get("securityDefinitions"))
    components = body.get("components")
    yield from _maps(components.get("securitySchemes") if isinstance(components, dict) else None)


def _maps(value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, dict):
        yield from ((str(key), entry) for key, entry in value.items() if isinstance(entry, dict))
