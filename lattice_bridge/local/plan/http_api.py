"""An HTTP API of API Gateway: its routes, integrations, authorizers, stages, CORS and custom domains.

Rule: values, and the choice of the route for a request. `plan.readers.http_api` makes them from a template. A route
that is not served keeps its place: otherwise a less specific route would answer its requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Route, Unserved
from lattice_bridge.local.plan.parameters import with_variables

DEFAULT_ROUTE: Final = "$default"
DEFAULT_STAGE: Final = "$default"
"""The stage that is not part of the path."""
ANY: Final = "ANY"

LONGEST_TIMEOUT: Final = 30.0
"""Seconds that an integration may take."""

_VARIABLE: Final = re.compile(r"\{([^{}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Cors:
    """What an API or a function URL answers for CORS.

    Attributes:
        origins: the allowed origins; `*`, `https://*` and `http://*` are patterns.
        methods, headers: what a page may send.
        exposed: the response headers that a page may read.
        max_age: seconds for which a browser caches a preflight; None for the browser's own.
        credentials: whether pages may send cookies.
    """

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class JwtAuthorizer:
    """An authorizer that verifies tokens.

    Attributes:
        name: in the template.
        issuer: the only accepted `iss`.
        audience: one of these must be in `aud` or, if the token has no `aud`, in `client_id`; None for any, as for a
            user pool of a REST API.
        source: where the token is: a kind (`header` or `querystring`), and a name.
    """

    name: str
    issuer: str
    audience: frozenset[str] | None
    source: tuple[str, str] = ("header", "authorization")


Access: TypeAlias = Literal["NONE", "AWS_IAM"] | JwtAuthorizer | LambdaAuthorizer | Unserved
"""Who may send requests to a route. An authorizer that is not known refuses all of them."""


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter mapping.

    Attributes:
        action: what is done.
        part: of the request or response.
        name: of the header or query parameter; empty for the others.
        value: as written, as in `$request.path.id`.
    """

    action: str
    part: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Integration:
    """A Lambda function behind routes.

    Attributes:
        function: name or ARN, which may contain `${stageVariables.NAME}`.
        version: of the payload format.
        timeout: seconds.
        request: changes of the request, in order.
        response: changes of the response, by its status.
    """

    function: str
    version: Literal["1.0", "2.0"]
    timeout: float = LONGEST_TIMEOUT
    request: tuple[Change, ...] = ()
    response: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route.

    Attributes:
        method: `ANY` for every method that has no route of its own.
        path: as in `/orders/{id}`; `$default` for the default route.
        integration: the reason, if it is not served.
        access: who may send requests.
        scopes: the token must have one of them; none are required if it is empty.
    """

    method: str
    path: str
    integration: Integration | str
    access: Access = "NONE"
    scopes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The route key, as events contain it."""
        return DEFAULT_ROUTE if self.path == DEFAULT_ROUTE else f"{self.method} {self.path}"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path parameters of a request, as sent; None if the route does not match it.

        A greedy variable matches an empty rest too, so that `/orders/{proxy+}` serves `/orders/`.

        >>> HttpRoute("GET", "/orders/{id}", "").match("GET", "/orders/7")
        {'id': '7'}
        """
        if self.path == DEFAULT_ROUTE:
            return {}
        if self.method not in (method, ANY):
            return None
        found: dict[str, str] = {}
        written, sent = self.path.split("/"), path.split("/")
        for index, segment in enumerate(written):
            variable = _VARIABLE.fullmatch(segment)
            if index >= len(sent) or (variable is None and segment != sent[index]):
                return None
            if variable is None:
                continue
            if variable[2]:
                return found | {variable[1]: "/".join(sent[index:])}
            if not sent[index]:
                return None
            found[variable[1]] = sent[index]
        return found if len(written) == len(sent) else None

    @property
    def precedence(self) -> tuple[object, ...]:
        """Sorts routes: a full match before a greedy variable, and the default route last.

        http-api-develop-routes.html documents this order, and that `ANY` is for the methods without a route of their
        own.
        """
        kinds = [_VARIABLE.fullmatch(segment) for segment in self.path.split("/")]
        ranks = tuple(0 if kind is None else 2 if kind[2] else 1 for kind in kinds)
        return self.path == DEFAULT_ROUTE, 2 in ranks, ranks, self.method == ANY


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage.

    Attributes:
        name: the first segment of its paths; `$default` for the one without.
        variables: its stage variables.
        deployed: whether it has a deployment, or deploys automatically.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    deployed: bool = True


@dataclass(frozen=True, slots=True)
class DomainPath:
    """A path of a custom domain that leads to a stage.

    Attributes:
        domain: in lower case.
        key: the segments before the API's own path, without slashes around them; empty for the whole domain.
        stage: its name.
    """

    domain: str
    key: str
    stage: str


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API.

    Attributes:
        id: in events and in its domain.
        name: its logical id.
        names: its host names, in lower case: the logical id, the id, its domain, its custom domains.
        domain: `ID.execute-api.REGION.amazonaws.com`.
        account, region: of the stack.
        entries: its routes, in the order in which they are tried.
        stages: its stages, in the order of the template.
        cors: None if the functions answer for CORS.
        paths: the paths of custom domains that lead to it.
        closed: whether its own domain is disabled, so that only custom domains lead to it.
    """

    id: str
    name: str
    names: tuple[str, ...]
    domain: str
    account: str
    region: str
    entries: tuple[HttpRoute, ...]
    stages: tuple[Stage, ...]
    cors: Cors | None = None
    paths: tuple[DomainPath, ...] = ()
    closed: bool = False

    @property
    def kind(self) -> str:
        """The kind of way in, as messages name it."""
        return "HTTP API"

    @property
    def routes(self) -> tuple[Route, ...]:
        """One for each stage and route."""
        return tuple(_described(stage, entry) for stage in self.stages for entry in self.entries)

    @property
    def jwt_authorizers(self) -> Mapping[str, JwtAuthorizer]:
        """The JWT authorizers of its routes, by name."""
        return {entry.access.name: entry.access for entry in self.entries if isinstance(entry.access, JwtAuthorizer)}


@dataclass(frozen=True, slots=True)
class HttpDomain:
    """A custom domain whose paths lead to several APIs. That of one API is one of its names.

    Attributes:
        name: of the domain, in lower case.
        apis: with their paths.
    """

    name: str
    apis: tuple[HttpApi, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Its host name."""
        return (self.name,)

    @property
    def kind(self) -> str:
        """The kind of way in, as messages name it."""
        return "custom domain"

    @property
    def routes(self) -> tuple[Route, ...]:
        """None: the APIs list theirs."""
        return ()

    @property
    def jwt_authorizers(self) -> Mapping[str, JwtAuthorizer]:
        """None: the APIs list theirs."""
        return {}


def _described(stage: Stage, entry: HttpRoute) -> Route:
    prefix = "" if stage.name == DEFAULT_STAGE else f"/{stage.name}"
    method = "any" if entry.method == ANY else entry.method
    of_stage = f" of {prefix}" if prefix else ""
    requests = f"every other path{of_stage}" if entry.path == DEFAULT_ROUTE else f"{method} {prefix}{entry.path}"
    authorizer = ""
    if isinstance(entry.access, JwtAuthorizer):
        callers = f"token of {entry.access.name}"
    elif isinstance(entry.access, LambdaAuthorizer):
        callers, authorizer = entry.access.name, with_variables(entry.access.function, stage.variables)
    elif isinstance(entry.access, Unserved):
        callers = "none"
    else:
        callers = "anyone" if entry.access == "NONE" else "signed only"
    if isinstance(entry.integration, str):
        return Route(requests, answer="not served", callers=callers, authorizer=authorizer)
    function = with_variables(entry.integration.function, stage.variables)
    return Route(requests, (function,), event=entry.integration.version, callers=callers, authorizer=authorizer)
