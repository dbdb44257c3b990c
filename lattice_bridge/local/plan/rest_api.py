"""A REST API of API Gateway: its resources, methods, integrations, authorizers and stages.

Rule: values, and the choice of the method for a request. `plan.readers.rest_api` makes them from a template.
Sources: the API Gateway developer guide. Where LocalStack's tests recorded AWS, the recording decides: a resource
without the request's method does not end the search, and a slash at the end of a path does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.local.plan.http_api import JwtAuthorizer
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Route, Unserved
from lattice_bridge.local.plan.parameters import Source, with_variables

ANY: Final = "ANY"
TENANT_HEADER: Final = "x-amz-tenant-id"
"""Header of Lambda's Invoke that contains the tenant id."""
TIMEOUT: Final = 29.0
"""Seconds that an integration has, unless the template says less."""


@dataclass(frozen=True, slots=True)
class UserPools:
    """An authorizer of type COGNITO_USER_POOLS.

    Attributes:
        name: in the API.
        pools: the user pools. One of them must have issued the token.
    """

    name: str
    pools: tuple[JwtAuthorizer, ...]


@dataclass(frozen=True, slots=True)
class LambdaProxy:
    """An integration of type `aws_proxy` with a Lambda function.

    Attributes:
        function: name or ARN; it may contain `${stageVariables.NAME}`.
        headers: of the Invoke, by name in lower case, with where the value is read.
        timeout: seconds.
    """

    function: str
    headers: Mapping[str, Source] = field(default_factory=dict)
    timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True)
class Mock:
    """An integration of type `mock`, as for CORS.

    Attributes:
        status: of the response.
        headers: of the response.
        body: of the response.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


Integration: TypeAlias = LambdaProxy | Mock | Unserved
Authorization: TypeAlias = Literal["NONE", "AWS_IAM"] | LambdaAuthorizer | UserPools | Unserved


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a resource.

    Attributes:
        name: as in `GET`, or `ANY`.
        resource: its resource's path, as in `/orders/{id}`.
        resource_id: as in `requestContext.resourceId`.
        integration: what answers.
        authorization: who may call it.
        scopes: with user pools: an access token must have one of them; without any, an identity token is required.
        required: parameters without which a validator refuses a request.
        api_key: whether it requires an API key. The stack does not check the key.
    """

    name: str
    resource: str
    resource_id: str
    integration: Integration
    authorization: Authorization = "NONE"
    scopes: tuple[str, ...] = ()
    required: tuple[Source, ...] = ()
    api_key: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of an API.

    Attributes:
        name: the first segment of the path.
        variables: its stage variables.
        deployment_id: as in `requestContext.deploymentId`.
        generated: whether SAM adds this stage beside the one of the template.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    deployment_id: str = ""
    generated: bool = False


class DomainMapping(NamedTuple):
    """A base path of a custom domain name.

    Attributes:
        host: the domain name, in lower case.
        base_path: its first segments, without slashes around them; empty for the whole domain.
        stage: of the API; None if the next segment of the path names it.
    """

    host: str
    base_path: str
    stage: str | None


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What the template changes in the responses of API Gateway itself.

    Attributes:
        status: None for the usual one.
        headers: added ones.
        template: of a JSON body, with `$context.error.messageString`; empty for the usual body.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True)
class RestApi:
    """A REST API, as it is deployed.

    Attributes:
        name: its logical id.
        id: the first label of its host name on AWS.
        region, account: of the stack.
        names: its host names, in lower case.
        stages: by name.
        methods: of all resources.
        domains: custom domain names that lead here.
        binary_types: media types whose bodies are binary.
        policy: the resource policy; None if it has none.
        responses: by type, as in `DEFAULT_4XX`.
    """

    name: str
    id: str
    region: str
    account: str
    names: tuple[str, ...]
    stages: Mapping[str, Stage]
    methods: tuple[Method, ...]
    domains: tuple[DomainMapping, ...] = ()
    binary_types: frozenset[str] = frozenset()
    policy: tuple[Statement, ...] | None = None
    responses: Mapping[str, GatewayResponse] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of way in, as messages name it."""
        return "REST API"

    @property
    def routes(self) -> tuple[Route, ...]:
        """One for each method, with the stage of the template."""
        stages = [stage.name for stage in self.stages.values() if not stage.generated] or [*self.stages]
        return tuple(
            _route(self, stage, method)
            for stage in stages
            for method in self.methods
            if not (method.name == "OPTIONS" and isinstance(method.integration, Mock))
        )

    @property
    def jwt_authorizers(self) -> Mapping[str, JwtAuthorizer]:
        """The user pools of its methods, by name."""
        found = (one.authorization for one in self.methods if isinstance(one.authorization, UserPools))
        return {pool.name: pool for authorizer in found for pool in authorizer.pools}


def _route(api: RestApi, stage: str, method: Method) -> Route:
    integration = method.integration
    authorizer = method.authorization.function if isinstance(method.authorization, LambdaAuthorizer) else ""
    authorizer = with_variables(authorizer, api.stages[stage].variables)
    requests = f"{'any' if method.name == ANY else method.name} /{stage}{method.resource}"
    if not isinstance(integration, LambdaProxy):
        answer = f"mock {integration.status}" if isinstance(integration, Mock) else f"not served: {integration.what}"
        return Route(requests, answer=answer, callers=_callers(api, method), authorizer=authorizer)
    source = integration.headers.get(TENANT_HEADER)
    function = with_variables(integration.function, api.stages[stage].variables)
    tenant = source.described if source else ""
    return Route(
        requests,
        (function,),
        event="1.0",
        callers=_callers(api, method),
        tenant=tenant,
        authorizer=authorizer,
        always_a_tenant=source is not None and source.place in ("literal", "stageVariables"),
    )


def _callers(api: RestApi, method: Method) -> str:
    if isinstance(method.authorization, LambdaAuthorizer):
        return method.authorization.name
    if isinstance(method.authorization, UserPools):
        return f"token of {method.authorization.name}"
    if isinstance(method.authorization, Unserved):
        return "none"
    if method.authorization == "AWS_IAM":
        return "signed only"
    return "anyone" if api.policy is None else "by policy"


# ---- the method for a request ---------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A method with the path parameters of a request, as sent: API Gateway does not decode them."""

    method: Method
    parameters: Mapping[str, str]


def find_method(api: RestApi, method: str, path: str) -> Found | None:
    """The most specific method for a request: a literal segment before a parameter, and a greedy parameter last.

    Args:
        api: with its methods.
        method: as sent.
        path: without the stage, as sent.
    """
    segments = _segments(path)
    candidates = [
        (_rank(one.resource, segments), one.name == ANY, one, parameters)
        for one in api.methods
        if one.name in (method, ANY) and (parameters := _parameters(one.resource, segments)) is not None
    ]
    if not candidates:
        return None
    _, _, found, parameters = min(candidates, key=lambda candidate: candidate[:2])
    return Found(found, parameters)


def _segments(path: str) -> list[str]:
    """The segments of a path. A slash at its end does not count; `//` is an empty segment, which no literal equals."""
    inner = path.removeprefix("/").removesuffix("/")
    return inner.split("/") if inner else []


def _parameters(resource: str, segments: list[str]) -> dict[str, str] | None:
    """The path parameters; None if the path is not one of the resource's. No parameter is empty."""
    parts, found = _segments(resource), dict[str, str]()
    for index, part in enumerate(parts):
        if part.startswith("{") and part.endswith("+}"):
            rest = "/".join(segments[index:])
            return {**found, part[1:-2]: rest} if rest and index == len(parts) - 1 else None
        if index >= len(segments):
            return None
        if part.startswith("{") and part.endswith("}"):
            if not segments[index]:
                return None
            found[part[1:-1]] = segments[index]
        elif part != segments[index]:
            return None
    return found if len(parts) == len(segments) else None


def _rank(resource: str, segments: list[str]) -> tuple[int, ...]:
    """Lower is more specific, segment by segment."""
    ranks = [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in _segments(resource)]
    return (*ranks, *[3] * (len(segments) - len(ranks)))


def near_methods(api: RestApi, path: str) -> Iterator[str]:
    """The methods for a message about a missing one: those of this path, or else all of the API."""
    segments = _segments(path)
    here = [one for one in api.methods if _parameters(one.resource, segments) is not None]
    yield from (f"{one.name} {one.resource}" for one in here or api.methods)
