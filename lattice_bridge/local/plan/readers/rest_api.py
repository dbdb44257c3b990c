"""Reads a template's REST APIs: those with an OpenAPI `Body`, and those of AWS::ApiGateway::Resource and ::Method.

Rule: properties mean what the CloudFormation reference of AWS::ApiGateway and the page of API Gateway's extensions to
OpenAPI say. A part that is not served is named, and requests to it are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import malformed
from lattice_bridge.deployment.iam.policy import BadPolicy, read_policy
from lattice_bridge.local.plan.http_api import JwtAuthorizer
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import LeftOut, Unserved
from lattice_bridge.local.plan.parameters import BadSource, Source, parse_source
from lattice_bridge.local.plan.rest_api import (
    ANY,
    TENANT_HEADER,
    TIMEOUT,
    Authorization,
    DomainMapping,
    GatewayResponse,
    Integration,
    LambdaProxy,
    Method,
    Mock,
    RestApi,
    Stage,
    UserPools,
)

SERVED: Final = frozenset(
    f"AWS::ApiGateway::{name}"
    for name in (
        *("RestApi", "Resource", "Method", "Deployment", "Stage", "Authorizer", "GatewayResponse", "DomainName"),
        *("BasePathMapping", "RequestValidator"),
    )
)
"""Types that this module reads."""

WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::ApiGateway::Account": "there is no log of API Gateway here",
    "AWS::ApiGateway::ApiKey": "API keys are not checked",
    "AWS::ApiGateway::Model": "request bodies are not compared with models",
    "AWS::ApiGateway::UsagePlan": "API keys are not checked, and requests are not throttled",
    "AWS::ApiGateway::UsagePlanKey": "API keys are not checked",
}

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_ANY_METHOD: Final = "x-amazon-apigateway-any-method"
_FUNCTION_URI: Final = re.compile(
    r"arn:[^:]+:apigateway:[^:]*:lambda:path//?[0-9-]+/functions/(?P<function>.+)/invocations"
)
_USER_POOL: Final = re.compile(r"arn:[^:]+:cognito-idp:(?P<region>[a-z0-9-]+):[0-9]*:userpool/(?P<pool>[A-Za-z0-9_-]+)")
_NO_SCHEME: Final = "NONE"
"""The scheme that SAM writes, and does not define, for a method without an authorizer."""
_INVOCATION_TYPE: Final = "x-amz-invocation-type"
_LITERAL: Final = re.compile(r"'(?P<text>[^']*)'")
_ERROR: Final = re.compile(r"\$(?:context\.error\.(?:messageString|message|responseType)|context\.requestId)")


def read_rest_apis(template: Template, left_out: LeftOut) -> Iterator[RestApi]:
    """Reads the REST APIs that have a stage and a method.

    Raises:
        BadTemplate: a part that is served is malformed.
    """
    for resource in template.of_type("AWS::ApiGateway::RestApi"):
        with malformed(f"REST API {resource.id}"):
            api = _Reader(resource, template, left_out).api()
        if api is not None:
            yield api


class _Reader:
    """Reads one API."""

    def __init__(self, resource: Resource, template: Template, left_out: LeftOut) -> None:
        self._resource = resource
        self._template = template
        self._left_out = left_out
        body = resource.properties.get("Body")
        self._body: Mapping[str, Any] = body if isinstance(body, dict) else {}
        self._components = self._body.get("components") or {}
        self._schemes = _map(self._body.get("securityDefinitions") or self._components.get("securitySchemes"))
        self._validators = dict(self._read_validators())
        self._authorizers = dict(self._read_authorizers())

    def api(self) -> RestApi | None:
        properties = self._resource.properties
        if "BodyS3Location" in properties:
            self._name("its definition in S3 is not read")
        if properties.get("MinimumCompressionSize") is not None:
            self._name("responses are not compressed")
        if _is_true(properties.get("DisableExecuteApiEndpoint")):
            self._name("DisableExecuteApiEndpoint has no effect")
        stages = {stage.name: stage for stage in sorted(self._stages(), key=lambda stage: stage.generated)}
        found = (*self._methods_of_body(), *self._methods_of_resources())
        methods = tuple(sorted(found, key=lambda method: (method.resource, method.name)))
        if not stages or not methods:
            self._name(f"a REST API without {'a stage' if methods else 'a method'} is not served")
            return None
        domains = tuple(self._domains())
        region, api_id = self._template.region, self._resource.ref
        own = (self._resource.id, api_id, f"{api_id}.execute-api.{region}.amazonaws.com")
        return RestApi(
            name=self._resource.id,
            id=api_id,
            region=region,
            account=self._template.account,
            names=tuple(dict.fromkeys((*map(str.lower, own), *(domain.host for domain in domains)))),
            stages=stages,
            methods=methods,
            domains=domains,
            binary_types=frozenset(self._binary_types()),
            policy=self._policy(),
            responses=dict(self._responses()),
        )

    def _name(self, sentence: str, place: str = "") -> None:
        self._left_out.add(sentence, place or self._resource.id)

    def _own(self, kind: str) -> list[Resource]:
        """The resources of a type that belong to this API."""
        return [
            one
            for one in self._template.of_type(f"AWS::ApiGateway::{kind}")
            if one.properties.get("RestApiId") == self._resource.ref
        ]

    # ---- stages, domains, binary types, the resource policy

    def _stages(self) -> Iterator[Stage]:
        written = self._own("Stage")
        for one in self._own("Deployment"):
            if name := one.properties.get("StageName"):
                variables = (one.properties.get("StageDescription") or {}).get("Variables")
                yield Stage(str(name), _texts(variables), one.ref, generated=bool(written) and name == "Stage")
        for one in written:
            properties = one.properties
            yield Stage(
                str(properties["StageName"]),
                _texts(properties.get("Variables")),
                str(properties.get("DeploymentId", "")),
            )
            for name in ("CacheClusterEnabled", "CanarySetting"):
                if properties.get(name):
                    self._name(f"{name} of a stage has no effect", one.id)

    def _domains(self) -> Iterator[DomainMapping]:
        for one in self._own("BasePathMapping"):
            properties = one.properties
            host, path = str(properties["DomainName"]).lower(), str(properties.get("BasePath") or "").strip("/")
            stage = properties.get("Stage")
            yield DomainMapping(host, "" if path == "(none)" else path, str(stage) if stage else None)

    def _binary_types(self) -> Iterator[str]:
        for text in [
            *(self._resource.properties.get("BinaryMediaTypes") or []),
            *(self._body.get("x-amazon-apigateway-binary-media-types") or []),
        ]:
            yield str(text).replace("~1", "/").strip().lower()

    def _policy(self) -> Any:
        document = self._resource.properties.get("Policy") or self._body.get("x-amazon-apigateway-policy")
        if not document:
            return None
        try:
            statements = read_policy(document)
        except BadPolicy as error:
            self._name(f"a resource policy that cannot be read ({error}): every request is refused")
            return ()
        prefix = f"arn:aws:execute-api:{self._template.region}:{self._template.account}:{self._resource.ref}/"
        self._name("callers' own IAM policies, which may have to allow execute-api:Invoke as well")
        return tuple(_with_whole_resources(statement, prefix) for statement in statements)

    def _responses(self) -> Iterator[tuple[str, GatewayResponse]]:
        written = (self._body.get("x-amazon-apigateway-gateway-responses") or {}).items()
        for kind, one in written:
            yield (
                kind,
                self._response(one.get("statusCode"), one.get("responseParameters"), one.get("responseTemplates")),
            )
        for resource in self._own("GatewayResponse"):
            of = resource.properties
            yield (
                str(of["ResponseType"]),
                self._response(of.get("StatusCode"), of.get("ResponseParameters"), of.get("ResponseTemplates")),
            )

    def _response(self, status: Any, parameters: Any, templates: Any) -> GatewayResponse:
        headers = [
            (name.removeprefix("gatewayresponse.header."), match["text"])
            for name, value in (parameters or {}).items()
            if name.startswith("gatewayresponse.header.") and (match := _LITERAL.fullmatch(str(value)))
        ]
        if len(headers) < len(parameters or {}):
            self._name("headers of gateway responses that are not static have no effect")
        template = str((templates or {}).get("application/json") or "")
        if "#" in template or "$" in _ERROR.sub("", template):
            self._name("templates of gateway responses that are not static have no effect")
            template = ""
        return GatewayResponse(int(status) if status else None, tuple(headers), template)

    # ---- authorizers and validators

    def _read_validators(self) -> Iterator[tuple[str, bool]]:
        for name, one in (self._body.get("x-amazon-apigateway-request-validators") or {}).items():
            yield str(name), one.get("validateRequestParameters") is True
            if one.get("validateRequestBody") is True:
                self._name("request bodies are not compared with models")
        for resource in self._own("RequestValidator"):
            yield resource.ref, _is_true(resource.properties.get("ValidateRequestParameters"))
            if _is_true(resource.properties.get("ValidateRequestBody")):
                self._name("request bodies are not compared with models", resource.id)

    def _read_authorizers(self) -> Iterator[tuple[str, Authorization]]:
        for name, scheme in self._schemes.items():
            if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
                yield str(name), "AWS_IAM"
            elif (one := scheme.get("x-amazon-apigateway-authorizer")) is not None:
                sources = one.get("identitySource") or f"method.request.header.{scheme.get('name', 'Authorization')}"
                yield str(name), self._authorizer(str(name), one, sources)
        for resource in self._own("Authorizer"):
            of = {name[:1].lower() + name[1:]: value for name, value in resource.properties.items()}
            yield resource.ref, self._authorizer(str(of.get("name", resource.id)), of, of.get("identitySource") or "")

    def _authorizer(self, name: str, of: Mapping[str, Any], sources: str) -> Authorization:
        kind = str(of.get("type", "")).lower()
        if kind == "cognito_user_pools":
            return self._user_pools(name, of, sources)
        match = _FUNCTION_URI.fullmatch(str(of.get("authorizerUri", "")))
        if kind not in ("token", "request") or match is None:
            what = (
                f"an authorizer of type {kind}" if match or kind not in ("token", "request") else "an authorizer whose"
            )
            self._name(f"{what} is not served: every request that needs it gets 401", name)
            return Unserved(f"the authorizer {name} of type {kind}")
        found = [part.strip() for part in sources.split(",") if part.strip()]
        try:
            parsed = tuple(map(parse_source, found))
        except BadSource as error:
            self._name(f"an identity source that is not served ({error}): every request that needs it gets 401", name)
            return Unserved(f"the authorizer {name} with the identity source {', '.join(found)}")
        written = of.get("authorizerResultTtlInSeconds")
        ttl = 300.0 if written is None else float(written)
        if ttl and not parsed:  # one result would be for every client (trap D8)
            self._name("results of an authorizer without an identity source are not cached: AWS refuses that", name)
        pattern = of.get("identityValidationExpression")
        return LambdaAuthorizer(
            name=name,
            function=match["function"],
            kind="token" if kind == "token" else "request",
            sources=parsed,
            pattern=str(pattern) if pattern and kind == "token" else None,
            ttl=ttl if parsed else 0.0,
        )

    def _user_pools(self, name: str, of: Mapping[str, Any], sources: str) -> Authorization:
        header = sources.rpartition(".")[2].lower() or "authorization"
        arns = [str(arn) for arn in of.get("providerARNs") or []]
        matches = [_USER_POOL.fullmatch(arn) for arn in arns]
        if not matches or not all(matches):
            what = f"the authorizer {name} with the user pool {', '.join(arns) or 'of no ARN'}"
            self._name(f"{what} is not served: every request that needs it gets 401", name)
            return Unserved(what)
        if of.get("identityValidationExpression"):
            self._name("IdentityValidationExpression of a user pool has no effect", name)
        issuers = [f"https://cognito-idp.{one['region']}.amazonaws.com/{one['pool']}" for one in matches if one]
        names = [name] if len(issuers) == 1 else [f"{name}.{number}" for number in range(1, len(issuers) + 1)]
        return UserPools(
            name,
            tuple(
                JwtAuthorizer(pool, issuer, None, ("header", header))
                for pool, issuer in zip(names, issuers, strict=True)
            ),
        )

    # ---- methods of an OpenAPI definition

    def _methods_of_body(self) -> Iterator[Method]:
        for path, item in (self._body.get("paths") or {}).items():
            if not isinstance(item, dict):
                continue
            for key in (*_METHODS, _ANY_METHOD):
                operation = item.get(key)
                if isinstance(operation, dict):
                    shared = [*(item.get("parameters") or []), *(operation.get("parameters") or [])]
                    yield self._method_of_body(str(path), ANY if key == _ANY_METHOD else key.upper(), operation, shared)

    def _method_of_body(self, path: str, name: str, operation: Mapping[str, Any], shared: list[Any]) -> Method:
        place = f"{self._resource.id} {name} {path}"
        declared = dict(self._declared_parameters(shared))
        written = operation.get("x-amazon-apigateway-integration")
        integration: Integration = Unserved("a method without an integration")
        if isinstance(written, dict):
            integration = self._integration(written, written.get("responses") or {}, declared, place)
        authorization, scopes, api_key = self._security(operation, place)
        validator = operation.get(
            "x-amazon-apigateway-request-validator", self._body.get("x-amazon-apigateway-request-validator")
        )
        return Method(
            name=name,
            resource=path,
            resource_id=_resource_id(path),
            integration=integration,
            authorization=authorization,
            scopes=scopes,
            required=_required(declared) if self._validators.get(str(validator)) else (),
            api_key=api_key,
        )

    def _security(self, operation: Mapping[str, Any], place: str) -> tuple[Authorization, tuple[str, ...], bool]:
        """Who may call a method, with which scopes, and whether it needs an API key. An undefined scheme admits
        no caller, except SAM's `NONE`."""
        found: list[tuple[Authorization, tuple[str, ...]]] = []
        api_key = False
        written = operation.get("security", self._body.get("security")) or []
        for name, scopes in (pair for one in written if isinstance(one, dict) for pair in one.items()):
            scheme = self._schemes.get(name)
            if name in self._authorizers:
                found.append((self._authorizers[name], tuple(map(str, scopes or ()))))
            elif scheme is None and name != _NO_SCHEME:
                what = f"the security scheme {name}, which is not defined"
                self._name(f"{what}: every request gets 401", place)
                found.append((Unserved(what), ()))
            elif scheme is not None and str(scheme.get("name", "")).lower() == "x-api-key":
                api_key = True
                self._name("API keys are not checked", place)
            elif scheme is not None:
                self._name(f"the security scheme {name} has no authorizer, and no effect, as on AWS", place)
        authorization, scopes_of_it = found[0] if found else ("NONE", ())
        return authorization, scopes_of_it, api_key

    def _declared_parameters(self, parameters: list[Any]) -> Iterator[tuple[str, bool]]:
        """The declared parameters by their expressions, and whether each is required."""
        for one in parameters:
            if isinstance(one, dict) and isinstance(reference := one.get("$ref"), str):
                shared = {**(self._body.get("parameters") or {}), **(self._components.get("parameters") or {})}
                one = shared.get(reference.rpartition("/")[2]) or {}
            place = {"header": "header", "query": "querystring", "path": "path"}.get(one.get("in", ""))
            if place:
                yield f"method.request.{place}.{one.get('name')}", one.get("required") is True

    # ---- methods of AWS::ApiGateway::Method

    def _methods_of_resources(self) -> Iterator[Method]:
        paths = {str(self._resource.attributes.get("RootResourceId", "")): "/"}
        waiting = self._own("Resource")
        while waiting:
            known = [one for one in waiting if str(one.properties.get("ParentId")) in paths]
            if not known:
                break
            for one in known:
                parent = paths[str(one.properties["ParentId"])]
                paths[one.ref] = f"{parent.rstrip('/')}/{one.properties['PathPart']}"
            waiting = [one for one in waiting if one not in known]
        for one in waiting:
            self._name("a resource whose parent is not known is not served", one.id)
        for one in self._own("Method"):
            path = paths.get(str(one.properties.get("ResourceId")))
            if path is None:
                self._name("a method whose resource is not known is not served", one.id)
            else:
                yield self._method(one, path)

    def _method(self, resource: Resource, path: str) -> Method:
        of = resource.properties
        declared = {
            str(name): str(value).lower() == "true" for name, value in _map(of.get("RequestParameters")).items()
        }
        written = {name[:1].lower() + name[1:]: value for name, value in _map(of.get("Integration")).items()}
        responses = {
            str(one.get("SelectionPattern") or "default"): {
                "statusCode": one.get("StatusCode"),
                "responseParameters": one.get("ResponseParameters"),
                "responseTemplates": one.get("ResponseTemplates"),
            }
            for one in written.get("integrationResponses") or []
        }
        if _is_true(of.get("ApiKeyRequired")):
            self._name("API keys are not checked", resource.id)
        return Method(
            name=str(of["HttpMethod"]).upper(),
            resource=path,
            resource_id=str(of.get("ResourceId", "")),
            integration=self._integration(written, responses, declared, resource.id),
            authorization=self._authorization(resource),
            scopes=tuple(map(str, of.get("AuthorizationScopes") or ())),
            required=_required(declared) if self._validators.get(str(of.get("RequestValidatorId"))) else (),
            api_key=_is_true(of.get("ApiKeyRequired")),
        )

    def _authorization(self, resource: Resource) -> Authorization:
        kind = str(resource.properties.get("AuthorizationType") or "NONE").upper()
        if kind == "NONE":
            return "NONE"
        if kind == "AWS_IAM":
            return "AWS_IAM"
        found = self._authorizers.get(str(resource.properties.get("AuthorizerId")))
        if found is None:
            self._name("an authorizer that the template does not have: every request gets 401", resource.id)
        return found or Unserved("an authorizer that the template does not have")

    # ---- integrations

    def _integration(
        self, of: Mapping[str, Any], responses: Mapping[str, Any], declared: Mapping[str, bool], place: str
    ) -> Integration:
        kind = str(of.get("type", "")).lower()
        if kind == "mock":
            return self._mock(of, responses, place)
        match = _FUNCTION_URI.fullmatch(str(of.get("uri", "")))
        if kind != "aws_proxy" or match is None:
            what = f"an integration of type {kind}" if kind != "aws_proxy" else "an integration with no Lambda function"
            self._name(f"{what} is not served: its requests get 501", place)
            return Unserved(what)
        if str(of.get("httpMethod") or of.get("integrationHttpMethod") or "POST").upper() != "POST":
            self._name("Lambda is invoked with POST only: on AWS, these requests get 500", place)
            return Unserved("an integration whose IntegrationHttpMethod is not POST")
        headers = dict(self._mapped_headers(_map(of.get("requestParameters")), declared, place))
        milliseconds = number(of.get("timeoutInMillis", TIMEOUT * 1000), place, "TimeoutInMillis")
        return LambdaProxy(match["function"], headers, milliseconds / 1000)

    def _mapped_headers(
        self, parameters: Mapping[str, Any], declared: Mapping[str, bool], place: str
    ) -> Iterator[tuple[str, Source]]:
        for target, expression in parameters.items():
            header = str(target).removeprefix("integration.request.header.").lower()
            if header not in (TENANT_HEADER, _INVOCATION_TYPE):
                self._name(f"the mapping of {target} has no effect: only the event reaches a function", place)
                continue
            try:
                source = parse_source(str(expression))
            except BadSource as error:
                self._name(f"a mapping of {target} that is not served ({error}): the header is not sent", place)
                continue
            written = str(expression).replace("multivalue", "")
            names = {name.lower() if ".header." in name else name for name in declared}
            spelled = written.lower() if source.place == "header" else written
            if source.place in ("header", "querystring") and spelled not in names:
                self._name(
                    f"a mapping reads {expression}, which the method's RequestParameters do not declare: "
                    "AWS refuses to deploy it",
                    place,
                )
            yield header, source

    def _mock(self, of: Mapping[str, Any], responses: Mapping[str, Any], place: str) -> Integration:
        """A mock whose templates are static, as SAM writes them for CORS."""
        templates = _map(of.get("requestTemplates"))
        request = str(templates.get("application/json") or next(iter(templates.values()), ""))
        status = _static_status(request)
        chosen = next(
            (one for pattern, one in responses.items() if _selects(pattern, status)), responses.get("default")
        )
        if status is None or not isinstance(chosen, dict):
            self._name("a mock integration whose templates are not static is not served: its requests get 501", place)
            return Unserved("a mock integration whose templates are not static")
        bodies = _map(chosen.get("responseTemplates"))
        body = str(bodies.get("application/json") or next(iter(bodies.values()), "") or "")
        headers = [
            (str(name).removeprefix("method.response.header.").lower(), match["text"])
            for name, value in _map(chosen.get("responseParameters")).items()
            if (match := _LITERAL.fullmatch(str(value)))
        ]
        if "#" in body or "$" in body:
            self._name("the body of a mock integration whose template is not static is empty", place)
            body = ""
        return Mock(int(chosen.get("statusCode") or status), tuple(headers), body)


# ---- values ---------------------------------------------------------------------------------------------------------


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _map(value).items()}


def _required(declared: Mapping[str, bool]) -> tuple[Source, ...]:
    found = (parse_source(name) for name, required in sorted(declared.items()) if required)
    return tuple(source for source in found if source.place != "path")  # a path parameter is never absent


def _selects(pattern: str, status: int | None) -> bool:
    if pattern == "default" or status is None:
        return False
    try:
        return re.fullmatch(pattern, str(status)) is not None
    except re.error:
        return False


def _static_status(template: str) -> int | None:
    try:
        found = json.loads(template)
    except ValueError:
        return None
    status = found.get("statusCode") if isinstance(found, dict) else None
    return status if type(status) is int and 100 <= status <= 599 else None


def _with_whole_resources(statement: Any, prefix: str) -> Any:
    """A statement whose resources are whole ARNs. AWS completes `execute-api:/STAGE/METHOD/PATH` so."""

    def whole(text: str) -> str:
        return prefix + text.removeprefix("execute-api:/") if text.startswith("execute-api:/") else text

    excluded = statement.not_resources
    return replace(
        statement,
        resources=tuple(map(whole, statement.resources)),
        not_resources=None if excluded is None else tuple(map(whole, excluded)),
    )


def _resource_id(path: str) -> str:
    """An id as API Gateway gives it: six lower-case letters and digits."""
    return hashlib.sha256(path.encode("utf-8", "backslashreplace")).hexdigest()[:6]
