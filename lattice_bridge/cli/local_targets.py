"""The requests that can reach a function through each way in of the local stack, for the commands that are printed.

Rule: a target makes the event that the front would make, and refuses the callers that the front would refuse. What an
authorizer's own function or a resource policy decides is not known before a request, so such a target has a condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from lattice_bridge.config.settings import Settings
from lattice_bridge.formats import apigateway_v1, apigateway_v2
from lattice_bridge.local.aws.invoke_checks import LambdaError, parse_function_name
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.definition import Definition
from lattice_bridge.local.front.apigateway.jwt_authorizer import written
from lattice_bridge.local.front.exchange.caller import SignedCaller, iam_fields, iam_identity
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.front.function_url import missing_permission
from lattice_bridge.local.front.lattice.authorization import NotAuthorized, authorize
from lattice_bridge.local.front.lattice.events import event_v1, event_v2
from lattice_bridge.local.front.lattice.service import origin_of
from lattice_bridge.local.front.load_balancer import event_of, facts_of
from lattice_bridge.local.plan.function_url import FunctionUrl
from lattice_bridge.local.plan.http_api import (
    DEFAULT_ROUTE,
    DEFAULT_STAGE,
    HttpApi,
    HttpRoute,
    Integration,
    JwtAuthorizer,
    Stage,
)
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.listener_rules import TargetGroup, action_for
from lattice_bridge.local.plan.load_balancer import (
    Condition,
    Forward,
    LambdaTargets,
    Listener,
    LoadBalancer,
    rule_for,
)
from lattice_bridge.local.plan.load_balancer import Rule as BalancerRule
from lattice_bridge.local.plan.model import Plan, Service, Unserved, WayIn, way_in_for
from lattice_bridge.local.plan.parameters import Source, with_variables
from lattice_bridge.local.plan.rest_api import TENANT_HEADER, LambdaProxy, Method, RestApi, UserPools
from lattice_bridge.message import Request

Caller = tuple[Identity | None, Mapping[str, Any]]
"""The identity that signs, and the claims that an authorizer verified."""

_ADDRESS: Final = "127.0.0.1"
_VALUE: Final = "1"
"""The value of a path parameter."""


@dataclass(frozen=True, slots=True)
class Target:
    """A request that reaches a function.

    Attributes:
        way: receives it.
        method, path: of the request.
        function: name or ARN.
        bridge: the configuration of the function, if it is a bridge whose map is known.
        event: makes the event of a request by a caller.
        refusal: the reason why the way in refuses a caller; empty if it does not.
        scope: the service that requests are signed for.
        signed: whether requests must be signed; None if they may be.
        authorizer: verifies their token.
        scopes: of which the token needs one.
        tenant: where the tenant id of the invocation is read.
        api: the id with which a map's rules name it.
        host: the Host header that it needs, as in `shop.example.com:8443`; empty if it needs none of its own.
        headers: further ones that it needs.
        condition: on which it is allowed, for people, if that is decided by what is not known before it is sent;
            else empty.
    """

    way: WayIn
    method: str
    path: str
    function: str
    bridge: BridgeConfiguration | None
    event: Callable[[HttpRequest, Caller], Mapping[str, Any]]
    refusal: Callable[[HttpRequest, Identity | None], str] = lambda _request, _identity: ""
    scope: str = "execute-api"
    signed: bool | None = False
    authorizer: JwtAuthorizer | None = None
    scopes: tuple[str, ...] = ()
    tenant: Source | None = None
    api: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    condition: str = ""


def targets_of(way: WayIn, definition: Definition) -> Iterator[Target]:
    """The requests that reach a function through a way in: those to the isolated backends of a bridge first.

    A bridge whose map is not known, and an isolated function that would get no tenant id, are no targets.
    """
    bridges = {configuration.function.name: configuration for configuration in definition.configurations}
    kind = _KINDS.get(type(way))
    for target in kind(way, bridges) if kind else ():
        bridge, name = target.bridge, _function_name(target.function)
        if bridge is None and name in bridges:
            continue
        if bridge is not None and not (bridge.settings and _serves(bridge.settings, target.path)):
            continue
        if bridge is None and _lacks_tenant(target, name, definition.plan):
            continue
        if target.host and way_in_for(definition.plan.ways_in, target.host) is not way:
            continue
        yield target


def _lacks_tenant(target: Target, function: str, plan: Plan) -> bool:
    known = plan.functions.get(function)
    return known is not None and known.isolated and target.tenant is None and not isinstance(target.way, Service)


def _function_name(function: str) -> str:
    try:
        return parse_function_name(function).name
    except LambdaError:
        return function


def _serves(settings: Settings, path: str) -> bool:
    return any(backend.serves(path) for backend in settings.options.backends)


_Bridges = Mapping[str, BridgeConfiguration]


def _paths(bridges: _Bridges) -> list[str]:
    """The paths of the bridges' backends, the isolated ones first; `/` for a function that is not a bridge."""
    paths = ["/"]
    for configuration in bridges.values():
        backends = configuration.settings.options.backends if configuration.settings else ()
        paths[:0] = [backend.path for backend in sorted(backends, key=lambda backend: not backend.isolated)]
    return list(dict.fromkeys(paths))


# ---- Lattice --------------------------------------------------------------------------------------------------------


def _of_service(service: Service, bridges: _Bridges) -> Iterator[Target]:
    for path in _paths(bridges):
        for group, _ in action_for(service.rules, "GET", path, []).forward:
            yield Target(
                way=service,
                method="GET",
                path=path,
                function=group.function,
                bridge=_known(group.function, bridges),
                event=partial(_lattice_event, service, group),
                refusal=partial(_lattice_refusal, service),
                scope="vpc-lattice-svcs",
                signed=None,
            )


def _known(function: str, bridges: _Bridges) -> BridgeConfiguration | None:
    found = bridges.get(_function_name(function))
    return found if found is not None and found.settings is not None else None


def _lattice_event(service: Service, group: TargetGroup, request: HttpRequest, caller: Caller) -> Mapping[str, Any]:
    identity, _ = caller
    signer = identity.signer(identity.session) if identity else None
    write = event_v1 if group.version == 1 else event_v2
    return write(request, origin_of(service, group, ""), signer)


def _lattice_refusal(service: Service, request: HttpRequest, identity: Identity | None) -> str:
    try:
        authorize(service, request, identity.signer(identity.session) if identity else None)
    except NotAuthorized as error:
        return str(error)
    return ""


# ---- API Gateway ----------------------------------------------------------------------------------------------------


def _of_http_api(api: HttpApi, bridges: _Bridges) -> Iterator[Target]:
    for stage in api.stages if not api.closed else ():
        for entry in api.entries if stage.deployed else ():
            access, integration = entry.access, entry.integration
            if not isinstance(integration, Integration) or isinstance(access, Unserved):
                continue
            function = with_variables(integration.function, stage.variables)
            condition, query, headers = _of_authorizer(access)
            for path in _route_paths(entry, stage, bridges):
                yield Target(
                    way=api,
                    method="GET" if entry.method in ("GET", "ANY") else entry.method,
                    path=path + query,
                    function=function,
                    bridge=_known(function, bridges),
                    event=partial(_http_api_event, api, integration),
                    signed=access == "AWS_IAM",
                    authorizer=access if isinstance(access, JwtAuthorizer) else None,
                    scopes=entry.scopes,
                    api=api.id,
                    headers=headers,
                    condition=condition,
                )


def _of_authorizer(access: object) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """The condition of a Lambda authorizer, and the query and headers that are its identity sources."""
    if not isinstance(access, LambdaAuthorizer):
        return "", "", ()
    query = "&".join(f"{quote(source.name)}=VALUE" for source in access.sources if source.place == "querystring")
    headers = tuple((source.name, "VALUE") for source in access.sources if source.place == "header")
    value = "VALUE" if query or headers else "it"
    condition = f"if the function of the authorizer {access.name} accepts {value}"
    return condition, f"?{query}" if query else "", headers


def _route_paths(entry: HttpRoute, stage: Stage, bridges: _Bridges) -> Iterator[str]:
    """The paths of backends that a route serves, and one of the route's own."""
    prefix = "" if stage.name == DEFAULT_STAGE else f"/{stage.name}"
    for path in _paths(bridges):
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and entry.match("GET", rest) is not None and rest.startswith("/"):
            yield path
    yield prefix + ("/" if entry.path == DEFAULT_ROUTE else _filled(entry.path))


def _filled(path: str) -> str:
    """A path of a route: each parameter has a value."""
    return "/".join(_VALUE if segment.startswith("{") else segment for segment in path.split("/"))


def _http_api_event(api: HttpApi, integration: Integration, request: HttpRequest, caller: Caller) -> Mapping[str, Any]:
    identity, claims = caller
    signer = _signed(identity)
    if integration.version == "1.0":
        context = {"claims": {name: written(value) for name, value in claims.items()}} if claims else None
        return {"version": "1.0", **_event_v1(api.account, api.id, api.domain, request, signer, context)}
    authorizer: dict[str, Any] = {} if signer is None else {"iam": iam_fields(signer)}
    if claims:
        authorizer["jwt"] = {"claims": {name: written(value) for name, value in claims.items()}}
    gateway = apigateway_v2.Gateway(api.account, api.id, api.domain, _ADDRESS, authorizer)
    return apigateway_v2.write_received(_received(request), gateway)


def _of_url(url: FunctionUrl, bridges: _Bridges) -> Iterator[Target]:
    for path in _paths(bridges):
        yield Target(
            way=url,
            method="GET",
            path=path,
            function=url.function,
            bridge=_known(url.function, bridges),
            event=partial(_url_event, url),
            refusal=partial(_url_refusal, url),
            scope="lambda",
            signed=url.auth_type == "AWS_IAM",
        )


def _url_event(url: FunctionUrl, request: HttpRequest, caller: Caller) -> Mapping[str, Any]:
    signer = _signed(caller[0])
    authorizer = {} if signer is None else {"iam": iam_fields(signer)}
    gateway = apigateway_v2.Gateway(url.account, url.id, url.domain, _ADDRESS, authorizer)
    return apigateway_v2.write_received(_received(request), gateway)


def _url_refusal(url: FunctionUrl, _request: HttpRequest, identity: Identity | None) -> str:
    return missing_permission(_signed(identity), url) or ""


def _of_rest_api(api: RestApi, bridges: _Bridges) -> Iterator[Target]:
    """The methods of an API. A resource policy would have to be evaluated for each request."""
    for stage in api.stages.values():
        for method in api.methods if not stage.generated else ():
            access = method.authorization
            if not isinstance(method.integration, LambdaProxy) or isinstance(access, Unserved):
                continue
            condition, query, headers = _of_authorizer(access)
            if api.policy is not None:
                also = f", and {condition}" if condition else ""
                condition = f"if the API's resource policy allows it{also}"
            function = with_variables(method.integration.function, stage.variables)
            yield Target(
                way=api,
                method="GET" if method.name == "ANY" else method.name,
                path=f"/{stage.name}{_rest_path(method, bridges)}{query}",
                function=function,
                bridge=_known(function, bridges),
                event=partial(_rest_event, api),
                signed=access == "AWS_IAM",
                authorizer=access.pools[0] if isinstance(access, UserPools) else None,
                scopes=method.scopes,
                tenant=method.integration.headers.get(TENANT_HEADER),
                api=api.id,
                headers=headers,
                condition=condition,
            )


def _rest_path(method: Method, bridges: _Bridges) -> str:
    """A path of a method: of a backend, if it has a greedy parameter."""
    if method.resource.endswith("+}"):
        beginning = method.resource.rpartition("{")[0]
        backend = next((path for path in _paths(bridges) if path.startswith(beginning) and path != "/"), "")
        return backend or f"{beginning}{_VALUE}"
    return _filled(method.resource)


def _rest_event(api: RestApi, request: HttpRequest, caller: Caller) -> Mapping[str, Any]:
    without_stage = f"/{request.target.removeprefix('/').partition('/')[2]}"
    inner = HttpRequest(request.method, without_stage, request.headers)
    identity, claims = caller
    context = {"claims": {name: written(value) for name, value in claims.items()}} if claims else None
    return _event_v1(api.account, api.id, api.names[0], inner, _signed(identity), context)


def _event_v1(
    account: str,
    api: str,
    domain: str,
    request: HttpRequest,
    signer: SignedCaller | None,
    authorizer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    identity = {"sourceIp": _ADDRESS, **(iam_identity(signer) if signer else {})}
    path = request.target.partition("?")[0]
    origin = apigateway_v1.Origin("/{proxy+}", {}, account, api, domain, "", path, identity)
    return apigateway_v1.write(_received(request), authorizer, origin)


def _received(request: HttpRequest) -> Request:
    path, _, query = request.target.partition("?")
    return Request(2, request.method, path, query, tuple(request.headers))


def _signed(identity: Identity | None) -> SignedCaller | None:
    return None if identity is None else SignedCaller(identity.access_key, identity.signer(identity.session))


# ---- load balancers -------------------------------------------------------------------------------------------------


def _of_balancer(balancer: LoadBalancer, bridges: _Bridges) -> Iterator[Target]:
    """Requests that a rule forwards. A rule that another one precedes for its example gets no target."""
    for listener in balancer.listeners:
        for rule in listener.rules:
            for group in _groups(rule):
                for path in (*_paths(bridges), ""):
                    target = _balancer_target(balancer, listener, rule, group, path)
                    if target is not None:
                        yield replace(target, bridge=_known(target.function, bridges))


def _groups(rule: BalancerRule) -> list[LambdaTargets]:
    """The target groups that may get a request; none if one of them has no function."""
    groups = [group for group, weight in rule.action.groups if weight] if isinstance(rule.action, Forward) else []
    return groups if all(group.function for group in groups) else []


def _balancer_target(
    balancer: LoadBalancer, listener: Listener, rule: BalancerRule, group: LambdaTargets, path: str
) -> Target | None:
    """The request to a path, or to one that the rule names if that is empty; None if another rule decides it."""
    example = _Example()
    for condition in rule.conditions:
        example.meet(condition)
    target = f"{path or example.path}{'?' if example.query else ''}{'&'.join(example.query)}"
    forwarding = [each for each in balancer.listeners if any(map(_groups, each.rules))]
    port = "" if forwarding == [listener] else f":{listener.port}"
    host = f"{example.host or balancer.names[0]}{port}" if example.host or port else ""
    name = example.host or balancer.names[0]
    facts = facts_of(HttpRequest(example.method, target, [("host", name), *example.headers]), name)
    if rule_for(listener, facts) is not rule:
        return None
    return Target(
        way=balancer,
        method=example.method,
        path=target,
        function=group.function or "",
        bridge=None,
        event=lambda request, _caller: event_of(request, listener, group),
        host=host,
        headers=tuple(example.headers),
    )


@dataclass(slots=True)
class _Example:
    """A request that meets conditions: the first value of each, with a value for its wildcards."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    query: list[str] = field(default_factory=list)

    def meet(self, condition: Condition) -> None:
        """Makes the request meet one more condition. That of an address is left to the stack's own."""
        value = _without_wildcards(condition.values[0]) if condition.values else ""
        match condition.field:
            case "path-pattern":
                self.path = value if value.startswith("/") else f"/{value}"
            case "host-header":
                # This machine admits any name below localhost, and of others only those that the template names.
                self.host = value if value == condition.values[0] else f"{value}.localhost"
            case "http-header":
                self.headers.append((condition.name, value))
            case "http-request-method":
                self.method = "GET" if "GET" in condition.values else value
            case "query-string":
                key = condition.keys[0]
                self.query.append(f"{_VALUE if key is None else _without_wildcards(key)}={value}")


def _without_wildcards(pattern: str) -> str:
    """A text that a pattern matches: each wildcard has a value, and `\\*` is the character."""
    return re.sub(r"\\([*?])|[*?]", lambda match: match[1] or _VALUE, pattern)


_KINDS: Final[Mapping[type, Callable[[Any, _Bridges], Iterator[Target]]]] = {
    Service: _of_service,
    RestApi: _of_rest_api,
    HttpApi: _of_http_api,
    FunctionUrl: _of_url,
    LoadBalancer: _of_balancer,
}
