"""Reads the HTTP APIs of a resolved template.

Rule: properties mean what the CloudFormation reference of AWS::ApiGatewayV2 and API Gateway's extensions to OpenAPI
say. What AWS would refuse is an error, and a part that is not served is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.local.plan.http_api import (
    ANY,
    DEFAULT_ROUTE,
    DEFAULT_STAGE,
    LONGEST_TIMEOUT,
    Access,
    Change,
    Cors,
    DomainPath,
    HttpApi,
    HttpDomain,
    HttpRoute,
    Integration,
    JwtAuthorizer,
    Stage,
)
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import LeftOut, Unserved
from lattice_bridge.local.plan.parameters import BadSource, parse_source

_METHODS: Final = ("get", "head", "post", "put", "delete", "options", "patch")
_ANY_METHOD: Final = "x-amazon-apigateway-any-method"
_INTEGRATION: Final = "x-amazon-apigateway-integration"
_FUNCTION: Final = re.compile(
    r"(?:arn:[^:/]*:apigateway:[^:/]*:lambda:path/[0-9-]+/functions/)?([^/]+?)(?:/invocations)?"
)
_SOURCE: Final = re.compile(r"\$request\.(header|querystring)\.(.+)")
_RESERVED: Final = re.compile(
    r"access-control-.*|apigw-.*|authorization|connection|content-(?:encoding|length|location)|forwarded|keep-alive"
    r"|origin|proxy-authenticat(?:e|ion)|proxy-authorization|te|trailers?|transfer-encoding|upgrade|x-amzn?-.*"
    r"|x-forwarded-(?:for|host|proto)|via"
)
"""Headers that no parameter mapping may set: "Reserved headers" of http-api-parameter-mapping.html."""
_CHANGE: Final = re.compile(r"(append|overwrite|remove):(header|querystring)\.(.+)|(overwrite):(path|statuscode)")


def read_http_apis(template: Template, left_out: LeftOut) -> Iterator[HttpApi | HttpDomain]:
    """Reads the HTTP APIs, in the order of the template, and after them the custom domains of several APIs.

    Args:
        template: resolved; SAM is translated.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse a part that is served.
    """
    apis: list[HttpApi] = []
    for resource in template.of_type("AWS::ApiGatewayV2::Api"):
        if resource.properties.get("ProtocolType") == "WEBSOCKET":
            left_out.add("WebSocket APIs are not served", resource.id)
            continue
        with malformed(f"HTTP API {resource.id}"):
            apis.append(_Reader(resource, template, left_out).api())
    _name_strangers(template, left_out)
    for resource in template.of_type("AWS::ApiGatewayV2::DomainName"):
        if resource.properties.get("MutualTlsAuthentication"):
            left_out.add(
                "mutual TLS: the front speaks HTTP only, so no event contains a client certificate", resource.id
            )
    of_domain: dict[str, list[HttpApi]] = {}
    for api in apis:
        for domain in dict.fromkeys(path.domain for path in api.paths):
            of_domain.setdefault(domain, []).append(api)
    shared = {domain for domain, found in of_domain.items() if len(found) > 1}
    for api in apis:
        yield replace(api, names=tuple(name for name in api.names if name not in shared))
    for domain in sorted(shared):
        yield HttpDomain(domain, tuple(of_domain[domain]))


_WITHOUT_EFFECT: Final = frozenset({"AccessLogSettings", "DefaultRouteSettings", "RouteSettings"})
"""Properties of a stage."""
_PARTS: Final = ("ApiMapping", "Authorizer", "Deployment", "Integration", "Route", "Stage")


def _name_strangers(template: Template, left_out: LeftOut) -> None:
    """Names the parts of APIs that the template does not have, such as those of another stack."""
    known = {one.ref for one in template.of_type("AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi")}
    for resource in template.of_type(*(f"AWS::ApiGatewayV2::{part}" for part in _PARTS)):
        if str(resource.properties.get("ApiId")) not in known:
            left_out.add("a part of an API that the template does not have", resource.id)


class _Reader:
    """Reads one API.

    Args:
        resource: of the API.
        template: resolved.
        left_out: gets the parts that are not served.
    """

    def __init__(self, resource: Resource, template: Template, left_out: LeftOut) -> None:
        self._api = resource
        self._template = template
        self._left_out = left_out
        body = resource.properties.get("Body")
        self._body: Mapping[str, Any] = body if isinstance(body, dict) else {}

    def api(self) -> HttpApi:
        properties, identifier, region = self._api.properties, self._api.ref, self._template.region
        if "BodyS3Location" in properties:
            self._left_out.add("routes of an OpenAPI document in S3", self._api.id)
        cors = properties.get("CorsConfiguration") or self._body.get("x-amazon-apigateway-cors")
        paths = tuple(self._paths())
        domain = f"{identifier}.execute-api.{region}.amazonaws.com".lower()
        names = (self._api.id, identifier, domain, *(path.domain for path in paths))
        entries = [*self._quick_route(), *self._written(), *self._routes()]
        return HttpApi(
            id=identifier,
            name=self._api.id,
            names=tuple(dict.fromkeys(name.lower() for name in names)),
            domain=domain,
            account=self._template.account,
            region=region,
            entries=tuple(sorted({entry.key: entry for entry in entries}.values(), key=lambda entry: entry.precedence)),
            stages=tuple(self._stages()),
            cors=None if cors is None else read_cors(cors),
            paths=paths,
            closed=self._is_closed(),
        )

    def _is_closed(self) -> bool:
        """Whether only custom domains lead to the API."""
        endpoint = self._body.get("x-amazon-apigateway-endpoint-configuration") or {}
        written = self._api.properties.get("DisableExecuteApiEndpoint", endpoint.get("disableExecuteApiEndpoint"))
        return written in (True, "true")

    # ---- routes

    def _quick_route(self) -> Iterator[HttpRoute]:
        """The route that `Target` creates, with payload format 2.0."""
        target = self._api.properties.get("Target")
        if target is None:
            return
        key = str(self._api.properties.get("RouteKey", DEFAULT_ROUTE))
        is_url = str(target).startswith(("http://", "https://"))
        integration = self._integration({"type": "HTTP_PROXY" if is_url else "AWS_PROXY", "uri": target}, "2.0", key)
        yield HttpRoute(*_split_key(key, self._api.id), integration)

    def _written(self) -> Iterator[HttpRoute]:
        """The routes of the OpenAPI document."""
        paths = self._body.get("paths") or {}
        for path, operations in paths.items():
            for method, operation in operations.items():
                if method in _METHODS or method == _ANY_METHOD:
                    name = ANY if method == _ANY_METHOD else method.upper()
                    route = f"{name} {path}" if path != DEFAULT_ROUTE else DEFAULT_ROUTE
                    access, scopes = self._security(operation, route)
                    yield HttpRoute(name, str(path), self._operation(operation, route), access, scopes)

    def _operation(self, operation: Mapping[str, Any], route: str) -> Integration | str:
        found = operation.get(_INTEGRATION)
        if isinstance(found, dict) and isinstance(found.get("$ref"), str):
            shared = (self._body.get("components") or {}).get("x-amazon-apigateway-integrations") or {}
            found = shared.get(found["$ref"].rpartition("/")[2])
        if not isinstance(found, dict):
            return self._not_served("it has no integration", route)
        return self._integration(found, str(found.get("payloadFormatVersion", "1.0")), route)

    def _routes(self) -> Iterator[HttpRoute]:
        """The routes that are resources of their own."""
        integrations = {one.ref: one for one in self._own("AWS::ApiGatewayV2::Integration")}
        for resource in self._own("AWS::ApiGatewayV2::Route"):
            properties = resource.properties
            method, path = _split_key(str(properties["RouteKey"]), resource.id)
            target = str(properties.get("Target", "")).removeprefix("integrations/")
            integration: Integration | str
            if target in integrations:
                integration = self._resource_integration(integrations[target])
            else:
                integration = self._not_served(f"its Target {target} is no integration of this API", resource.id)
            kind = str(properties.get("AuthorizationType", "NONE"))
            access = self._access(kind, str(properties.get("AuthorizerId", "")), resource.id)
            yield HttpRoute(method, path, integration, access, _texts(properties.get("AuthorizationScopes")))

    def _resource_integration(self, resource: Resource) -> Integration | str:
        """An integration in the words of the OpenAPI extension."""
        properties = resource.properties
        responses = properties.get("ResponseParameters") or {}
        found = {
            "type": properties.get("IntegrationType"),
            "subtype": properties.get("IntegrationSubtype"),
            "uri": properties.get("IntegrationUri"),
            "timeoutInMillis": properties.get("TimeoutInMillis"),
            "requestParameters": properties.get("RequestParameters"),
            "responseParameters": {
                status: {one["Destination"]: one["Source"] for one in entry.get("ResponseParameters") or []}
                for status, entry in responses.items()
            },
        }
        return self._integration(found, str(properties.get("PayloadFormatVersion", "1.0")), resource.id)

    def _integration(self, found: Mapping[str, Any], version: str, place: str) -> Integration | str:
        kind = str(found.get("type", "")).upper()
        if kind != "AWS_PROXY" or found.get("subtype") or found.get("x-amazon-apigateway-integration-subtype"):
            what = "integrations of AWS services are" if kind == "AWS_PROXY" else f"{kind or 'these'} integrations are"
            return self._not_served(f"{what} not served", place)
        function = function_of(found.get("uri"))
        if function is None:
            return self._not_served("the URI of its integration names no Lambda function", place)
        if version not in ("1.0", "2.0"):
            raise BadTemplate(f"{place}: PayloadFormatVersion {version!r} is unknown. Fix: write '1.0' or '2.0'")
        timeout = number(found.get("timeoutInMillis") or LONGEST_TIMEOUT * 1000, place, "TimeoutInMillis") / 1000
        return Integration(
            function,
            "1.0" if version == "1.0" else "2.0",
            min(timeout, LONGEST_TIMEOUT),
            tuple(_changes(found.get("requestParameters") or {}, place)),
            {
                str(status): tuple(_changes(entry, place))
                for status, entry in (found.get("responseParameters") or {}).items()
            },
        )

    def _not_served(self, reason: str, place: str) -> str:
        self._left_out.add(f"a route of an HTTP API: {reason}", f"{self._api.id}: {place}")
        return reason

    # ---- authorizers

    def _security(self, operation: Mapping[str, Any], place: str) -> tuple[Access, tuple[str, ...]]:
        """The authorizer of an operation of the OpenAPI document, and the scopes."""
        kind = (operation.get("x-amazon-apigateway-auth") or {}).get("type")
        required = operation.get("security", self._body.get("security")) or []
        if kind is not None or not required:
            return self._access(str(kind or "NONE"), "", place), ()
        if len(required) > 1 or len(required[0]) != 1:
            raise BadTemplate(f"{place}: security has several authorizers. Fix: write one, as API Gateway requires")
        (name, scopes), *_ = required[0].items()
        schemes = (self._body.get("components") or {}).get("securitySchemes") or {}
        if name == "NONE" and name not in schemes:  # SAM writes it for routes without an authorizer
            return "NONE", ()
        scheme = schemes.get(name)
        if not isinstance(scheme, dict):
            raise BadTemplate(f"{place}: security names {name!r}, which is not in components.securitySchemes")
        if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
            return "AWS_IAM", ()
        found = scheme.get("x-amazon-apigateway-authorizer") or {}
        return self._authorizer(str(name), found, place), _texts(scopes)

    def _access(self, kind: str, authorizer: str, place: str) -> Access:
        """The authorizer of a route that is a resource of its own."""
        if kind == "NONE" or kind == "AWS_IAM":
            return "NONE" if kind == "NONE" else "AWS_IAM"
        for resource in self._own("AWS::ApiGatewayV2::Authorizer"):
            if resource.ref == authorizer:
                return self._authorizer(resource.id, resource.properties, place)
        if unresolved(authorizer):
            self._left_out.add(
                "a route of an HTTP API: its authorizer is not in the template", f"{self._api.id}: {place}"
            )
            return Unserved("an authorizer that is not in the template")
        raise BadTemplate(
            f"{place}: AuthorizationType {kind!r} with the AuthorizerId {authorizer!r}, which is no authorizer of "
            f"{self._api.id}. Fix: write NONE, AWS_IAM, or JWT or CUSTOM with a !Ref to an authorizer of this API"
        )

    def _authorizer(self, name: str, written: Mapping[str, Any], place: str) -> Access:
        found = {key[:1].lower() + key[1:]: value for key, value in written.items()}
        kind = str(found.get("type", found.get("authorizerType", ""))).lower()
        if kind == "jwt":
            return _jwt_authorizer(name, found)
        if kind == "request":
            return _lambda_authorizer(name, found)
        raise BadTemplate(f"{place}: the authorizer {name} is of type {kind!r}. Fix: write JWT or REQUEST")

    # ---- stages and domains

    def _stages(self) -> Iterator[Stage]:
        if self._api.properties.get("Target") is not None:
            yield Stage(DEFAULT_STAGE)
        for resource in self._own("AWS::ApiGatewayV2::Stage"):
            properties = resource.properties
            for name in sorted(_WITHOUT_EFFECT & properties.keys()):
                self._left_out.add(f"property {name} has no effect", resource.id)
            variables = {str(key): str(value) for key, value in (properties.get("StageVariables") or {}).items()}
            deployed = properties.get("AutoDeploy") is True or properties.get("DeploymentId") is not None
            yield Stage(str(properties["StageName"]), variables, deployed)

    def _paths(self) -> Iterator[DomainPath]:
        """The paths of custom domains that lead to this API, the longest first."""
        stages = {one.ref: str(one.properties["StageName"]) for one in self._own("AWS::ApiGatewayV2::Stage")}
        found = []
        for resource in self._own("AWS::ApiGatewayV2::ApiMapping"):
            properties = resource.properties
            stage, domain = str(properties["Stage"]), str(properties["DomainName"])
            if unresolved(domain):
                self._left_out.add("a custom domain whose name is not resolved", resource.id)
                continue
            key = str(properties.get("ApiMappingKey") or "").strip("/")
            found.append(DomainPath(domain.lower(), key, stages.get(stage, stage)))
        yield from sorted(found, key=lambda path: -len(path.key))

    def _own(self, kind: str) -> list[Resource]:
        """The resources of a type that belong to this API."""
        return [one for one in self._template.of_type(kind) if one.properties.get("ApiId") == self._api.ref]


def _jwt_authorizer(name: str, found: Mapping[str, Any]) -> JwtAuthorizer:
    configuration = {key.lower(): value for key, value in (found.get("jwtConfiguration") or {}).items()}
    issuer, audience = configuration.get("issuer"), _texts(configuration.get("audience"))
    if not isinstance(issuer, str) or not audience:
        raise BadTemplate(f"authorizer {name}: JwtConfiguration needs an Issuer and an Audience. Fix: write both")
    written = _texts(found.get("identitySource")) or ("$request.header.Authorization",)
    source = _SOURCE.fullmatch(written[0])
    if source is None or len(written) > 1:
        raise BadTemplate(
            f"authorizer {name}: IdentitySource {', '.join(written)}. "
            "Fix: write one place of the token, as in $request.header.Authorization"
        )
    kind, name_of = source.groups()
    return JwtAuthorizer(name, issuer, frozenset(audience), (kind, name_of.lower() if kind == "header" else name_of))


def _lambda_authorizer(name: str, found: Mapping[str, Any]) -> LambdaAuthorizer:
    function = function_of(found.get("authorizerUri"))
    if function is None:
        raise BadTemplate(f"authorizer {name}: its AuthorizerUri names no Lambda function. Fix: write the URI of one")
    version = str(found.get("authorizerPayloadFormatVersion", "1.0"))
    if version not in ("1.0", "2.0"):
        raise BadTemplate(f"authorizer {name}: AuthorizerPayloadFormatVersion {version!r}. Fix: write '1.0' or '2.0'")
    try:
        sources = tuple(parse_source(one) for one in _texts(found.get("identitySource")))
    except BadSource as error:
        raise BadTemplate(f"authorizer {name}: IdentitySource: {error}") from error
    ttl, simple = float(found.get("authorizerResultTtlInSeconds") or 0), found.get("enableSimpleResponses")
    if ttl and not sources:
        raise BadTemplate(
            f"authorizer {name}: AuthorizerResultTtlInSeconds {ttl:g} without an IdentitySource, which AWS refuses. "
            "Fix: write one, or 0 seconds"
        )
    return LambdaAuthorizer(
        name=name,
        function=function,
        sources=sources,
        ttl=ttl,
        payload="1.0" if version == "1.0" else "2.0",
        simple=simple in (True, "true"),
    )


def read_cors(written: Mapping[str, Any]) -> Cors:
    """Reads CORS, in the words of CloudFormation or of the OpenAPI extension."""
    found = {key[:1].lower() + key[1:]: value for key, value in written.items()}
    age = found.get("maxAge")
    return Cors(
        origins=_texts(found.get("allowOrigins")),
        methods=_texts(found.get("allowMethods")),
        headers=_texts(found.get("allowHeaders")),
        exposed=_texts(found.get("exposeHeaders")),
        max_age=None if age is None else int(age),
        credentials=found.get("allowCredentials") in (True, "true"),
    )


def function_of(uri: object) -> str | None:
    """The function that the URI of an integration or authorizer names: a name or an ARN. None if it names none.

    >>> function_of("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/orders/invocations")
    'orders'
    """
    found = _FUNCTION.fullmatch(uri) if isinstance(uri, str) else None
    return None if found is None or ":apigateway:" in found[1] else found[1]


def _split_key(key: str, place: str) -> tuple[str, str]:
    """The method and path of a route key."""
    if key == DEFAULT_ROUTE:
        return ANY, key
    method, space, path = key.partition(" ")
    if not space or not path.startswith("/"):
        raise BadTemplate(f"{place}.RouteKey: {key!r}. Fix: write $default, or a method and a path, as in GET /orders")
    return method.upper(), path


def _changes(written: Mapping[str, Any], place: str) -> Iterator[Change]:
    """Reads parameter mappings. A reserved header is refused, as AWS refuses it."""
    for key, value in written.items():
        found = _CHANGE.fullmatch(str(key))
        if found is None:
            raise BadTemplate(
                f"{place}: the parameter mapping {key!r} is unknown. Fix: write append:header.NAME, "
                "overwrite:querystring.NAME, remove:header.NAME, overwrite:path or overwrite:statuscode"
            )
        action, part, name = (found[1], found[2], found[3]) if found[1] else (found[4], found[5], "")
        if part == "header" and _RESERVED.fullmatch(name.lower()):
            tenant = name.lower() == "x-amz-tenant-id"
            fix = "use a REST API, which can set it, or a bridge" if tenant else "map another header"
            raise BadTemplate(f"{place}: the parameter mapping {key!r}: an HTTP API cannot set this header. Fix: {fix}")
        yield Change(action, part, name.lower() if part == "header" else name, str(value))


def _texts(found: object) -> tuple[str, ...]:
    """A list of strings, or one string."""
    if found is None:
        return ()
    listed: Iterable[object] = found if isinstance(found, list) else [found]
    return tuple(str(one) for one in listed)
