"""Whatever else may invoke a bridge or an isolated function: permissions, URLs, event sources, APIs, other resources.

Rule: only Lattice invokes the bridge, because an invoker writes the caller's identity into the event. Only the bridge
invokes an isolated function, because an invoker names the tenant. A resource that refers to an isolated function is a
finding unless it is known to send a tenant id, or not to invoke the function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.config.options import Options
from lattice_bridge.deployment.checks.buses import bus_of, permission_findings_of_bus
from lattice_bridge.deployment.checks.native_senders import Call, calls_of
from lattice_bridge.deployment.checks.stack import (
    NO_TENANT,
    NOT_KNOWN,
    ONLY_LATTICE,
    PIPE,
    Bridge,
    Stack,
    TemplateFinding,
    entries_of,
    finding,
    holds,
    lambda_groups,
    mentions,
    name_of,
    part_of,
    refers_to,
    resources_of,
    targets_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, marker, unresolved
from lattice_bridge.deployment.iam.access import LATTICE, account_of
from lattice_bridge.deployment.iam.policy import is_pattern, matches
from lattice_bridge.deployment.sources.buses import EVENTS
from lattice_bridge.events.record import BUS, service_of
from lattice_bridge.review.finding import Level

SINGLE_GROUP: Final = re.compile(r"arn:[^:]*:vpc-lattice:[^:]*:[^:]*:targetgroup/[^*?]+")
"""The ARN of one target group."""
WRITE_TENANCY: Final = "TenancyConfig: {TenantIsolationMode: PER_TENANT}"
ONLY_AT_CREATION: Final = "tenancy is chosen when a function is created, so a function without it has to be replaced"
_INVOKES: Final = ("lambda:invokefunction", "lambda:invokefunctionurl", "lambda:invokeasync")
_PERMISSION: Final = "AWS::Lambda::Permission"
_URL: Final = ("AWS::Lambda::Url", "TargetFunctionArn")
_REFERS: Final = ((_PERMISSION, "FunctionName"), ("AWS::Lambda::EventSourceMapping", "FunctionName"), _URL)

# ---- permissions, URLs and event source mappings --------------------------------------------------------------------


def permission_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the permissions on bridges, authorizers and isolated functions, and the references that are not
    known."""
    for bridge in stack.bridges:
        for one in resources_of(bridge.function, stack.template, _PERMISSION):
            if one.properties.get("Principal") == LATTICE:
                yield from _source(one, bridge.function, stack)
            elif invokes(one):
                yield from _other_front(one, bridge, stack)
        for one in resources_of(bridge.function, stack.template, *_URL):
            yield from _url(one, bridge.function, stack)
    for function in stack.authorizers:
        for one in resources_of(function, stack.template, _PERMISSION):
            if invokes(one):
                is_gateway = one.properties.get("Principal") == _GATEWAY
                fix = f"write Principal: {_GATEWAY}"
                yield from (
                    _gateway_source(one, function, stack, _ONLY_APIS)
                    if is_gateway
                    else [_stranger(one, function, stack.template, _ONLY_APIS, fix)]
                )
        for one in resources_of(function, stack.template, *_URL):
            yield finding(one.id, f"{name_of(function)} has a function URL", _ONLY_APIS, "remove FunctionUrlConfig")
    for function in stack.isolated:
        for one in resources_of(function, stack.template, _PERMISSION):
            if invokes(one) and not _is_excused(one, function, stack.template):
                yield _stranger(one, function, stack.template, NO_TENANT, "remove this permission")
    yield from _unknown_references(stack)


_GATEWAY: Final = "apigateway.amazonaws.com"
_BALANCER: Final = "elasticloadbalancing.amazonaws.com"
_ONLY_APIS: Final = (
    "Only its own APIs may ask the authorizer: any other caller learns which tenants a token is good for"
)
_ONLY_FRONTS: Final = (
    "Only the listed fronts may invoke the bridge: any other writes the caller's identity into the event"
)
_API: Final = re.compile(r"arn:[^:]*:execute-api:[^:]*:[^:]*:(?P<api>[^:/*?]+)/.*")
_BALANCER_GROUP: Final = re.compile(r"arn:[^:]*:elasticloadbalancing:[^:]*:[^:]*:targetgroup/[^*?]+")


def _other_front(permission: Resource, bridge: Bridge, stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in a permission on the bridge for another principal than Lattice."""
    principal, options, function = permission.properties.get("Principal"), stack.options, bridge.function
    if principal == _GATEWAY and options.apis:
        yield from _gateway_source(permission, function, stack, _ONLY_FRONTS)
    elif principal == EVENTS and bus_of(bridge) is not None:
        yield from permission_findings_of_bus(permission, bridge, stack)
    elif principal == _BALANCER and options.target_groups:
        yield from _balancer_source(permission, stack)
    elif _is_for_url(permission) and options.function_url:
        if principal == "*":
            actual = f"every AWS principal may call the function URL of {name_of(function)}"
            fix = "write the account, or the role, of the callers"
            yield warning(permission.id, actual, "The map is then the only guard", fix)
    else:
        settings = {_GATEWAY: "[apigateway] apis", _BALANCER: "[alb] target_groups"}
        setting = {**settings, EVENTS: "an [[event_source]] for its event bus"}.get(str(principal))
        fix = "remove this permission" if _has_fronts(options) else f"write Principal: {LATTICE} alone"
        more = f", or write {setting} in bridge.toml" if setting else ""
        yield _stranger(permission, function, stack.template, _expected(options), f"{fix}{more}")


def _has_fronts(options: Options) -> bool:
    """Whether bridge.toml enables another front than Lattice."""
    has_bus = any(service_of(one.arn) == BUS for one in options.event_sources)
    return bool(options.apis or options.target_groups or options.function_url or has_bus)


def _expected(options: Options) -> str:
    return _ONLY_FRONTS if _has_fronts(options) else ONLY_LATTICE


def _gateway_source(permission: Resource, function: Resource, stack: Stack, expected: str) -> Iterator[TemplateFinding]:
    """Faults in the SourceArn of a permission for API Gateway: it has to name one API of bridge.toml."""
    source = permission.properties.get("SourceArn")
    fix = 'write SourceArn: !Sub "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"'
    found = _API.fullmatch(str(source))
    if source is None:
        actual = f"any API of any account may invoke {name_of(function)}: no SourceArn"
        yield finding(permission.id, actual, expected, fix)
    elif found is None and unresolved(source):
        yield warning(permission.id, f"SourceArn is {source}", NOT_KNOWN, fix)
    elif found is None:
        yield finding(permission.id, f"SourceArn is {source}, which is not one API", expected, fix)
    elif not unresolved(found["api"]) and stack.compared and found["api"] not in stack.options.apis:
        actual = f"SourceArn is the API {found['api']}, which [apigateway] apis of bridge.toml does not list"
        yield finding(permission.id, actual, expected, "remove this permission, or list the API")


def _balancer_source(permission: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the SourceArn of a permission for load balancers: it has to be one target group of bridge.toml."""
    source = permission.properties.get("SourceArn")
    fix = "write SourceArn: !Ref of the AWS::ElasticLoadBalancingV2::TargetGroup"
    if source is None:
        actual = "any load balancer of any account may invoke it: no SourceArn"
        yield finding(permission.id, actual, _ONLY_FRONTS, fix)
    elif unresolved(source):
        return
    elif _BALANCER_GROUP.fullmatch(str(source)) is None:
        yield finding(permission.id, f"SourceArn is {source}, which is not one target group", _ONLY_FRONTS, fix)
    elif str(source) not in stack.options.target_groups:
        actual = f"SourceArn is {source}, which [alb] target_groups of bridge.toml does not list"
        yield finding(permission.id, actual, _ONLY_FRONTS, "remove this permission, or list the target group")


def _url(url: Resource, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in a function URL of the bridge."""
    kind = url.properties.get("AuthType")
    if not stack.options.function_url:
        fix = "remove FunctionUrlConfig, or write [function_url] with enabled = true in bridge.toml"
        yield finding(url.id, f"{name_of(bridge)} has a function URL", _expected(stack.options), fix)
    elif unresolved(kind):
        yield warning(url.id, f"AuthType is {kind}", NOT_KNOWN, "write AuthType: AWS_IAM")
    elif kind != "AWS_IAM":
        actual = f"the function URL of {name_of(bridge)} has AuthType {kind}"
        expected = "Lambda authenticates no caller of it: anyone on the internet may call it, without a principal"
        level: Level = "warning" if stack.needs.admits_anyone else "error"
        yield finding(url.id, actual, expected, "write AuthType: AWS_IAM", level)


def invokes(permission: Resource) -> bool:
    """Whether a permission's action may be one that invokes."""
    pattern = str(permission.properties.get("Action"))
    return unresolved(pattern) or any(matches(pattern.lower(), action) for action in _INVOKES)


def _source(permission: Resource, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the SourceArn of a permission for Lattice: it has to be the bridge's target group."""
    written = permission.properties.get("SourceArn")
    source = str(written)
    groups = {one.arn: one for one in stack.groups}
    if written is None:
        yield finding(permission.id, "no SourceArn", ONLY_LATTICE, "write SourceArn: the target group's ARN")
    elif source in groups:
        held = targets_of(groups[source])
        if not holds(groups[source], bridge) and not any(map(unresolved, held)):
            actual = f"SourceArn is {source}, of {groups[source].id}, which does not hold {name_of(bridge)}"
            fix = "write SourceArn: the ARN of the target group that holds it"
            yield finding(permission.id, actual, ONLY_LATTICE, fix, "error" if held else "warning")
    elif unresolved(source) and not is_pattern(source):
        fix = "write !GetAtt of a target group in this template"
        yield warning(permission.id, f"SourceArn is {source}", NOT_KNOWN, fix)
    elif SINGLE_GROUP.fullmatch(source):
        actual = f"SourceArn is {source}, a target group outside this template"
        fix = "write !GetAtt of one in this template, or check that the group holds the bridge"
        yield warning(permission.id, actual, ONLY_LATTICE, fix)
    else:
        actual = f"SourceArn is {source}, which is no target group of this template"
        yield finding(permission.id, actual, ONLY_LATTICE, "write SourceArn: !GetAtt of the target group's Arn")


def _stranger(permission: Resource, function: Resource, template: Template, expected: str, fix: str) -> TemplateFinding:
    """A permission for another principal than Lattice. One of the same account is a warning."""
    principal = str(permission.properties.get("Principal"))
    is_own = unresolved(principal) or account_of(principal) == template.account
    actual = f"{principal} may invoke {name_of(function)}"
    return finding(permission.id, actual, expected, fix, "warning" if is_own else "error")


def _is_excused(permission: Resource, function: Resource, template: Template) -> bool:
    """Whether a permission needs no finding: it is for a REST API that sends the tenant, or for a URL, which is a
    finding of its own."""
    properties = permission.properties
    if properties.get("Principal") == _GATEWAY:
        return _is_for_sending_api(str(properties.get("SourceArn")), function, template)
    return _is_for_url(permission) and bool(resources_of(function, template, *_URL))


def _is_for_url(permission: Resource) -> bool:
    """Whether a permission allows calls of a function URL only."""
    properties = permission.properties
    return as_text(properties.get("InvokedViaFunctionUrl")).lower() == "true" or (
        "FunctionUrlAuthType" in properties and str(properties.get("Action")).lower() == "lambda:invokefunctionurl"
    )


def _is_for_sending_api(source: str, function: Resource, template: Template) -> bool:
    """Whether a permission's source is one REST API, all parts of which send the tenant to the function."""
    fields = source.split(":", 5)
    api = fields[5].partition("/")[0] if len(fields) == 6 and fields[2] == "execute-api" else ""
    if not api or "*" in api or "?" in api:
        return False
    parts = [one for one in template.of_type("AWS::ApiGateway::Method") if one.properties.get("RestApiId") == api]
    parts += [one for one in template.of_type("AWS::ApiGateway::RestApi") if api in (one.id, marker(one.id))]
    return any(_sends_tenant(one, function) for one in parts)


def _unknown_references(stack: Stack) -> Iterator[TemplateFinding]:
    """References to functions that are not known, or that may be to a bridge whose name is partly known."""
    named = [(one, key, str(one.properties.get(key))) for kind, key in _REFERS for one in stack.template.of_type(kind)]
    for one, key, text in named:
        if (bridge := stack.may_be_bridge(text)) is not None:
            actual = f"{key} is {text}, which may be the bridge, {bridge.function.id}"
            fix = f"write !Ref {bridge.function.id}, or the name of another function"
            yield warning(one.id, actual, ONLY_LATTICE, fix)
    targets = [(group, "the target", target) for group in stack.groups for target in targets_of(group)]
    for one, key, text in [*named, *targets]:
        if unresolved(text) and not stack.names_function(text):
            fix = "write !Ref or !GetAtt of a resource in this template"
            yield warning(one.id, f"{key} is {text}", NOT_KNOWN, fix)
    for one in stack.template.of_type(_PERMISSION):
        if unresolved(action := one.properties.get("Action")):
            yield warning(one.id, f"Action is {action}", NOT_KNOWN, "write Action: lambda:InvokeFunction")


# ---- isolated functions ---------------------------------------------------------------------------------------------


def tenancy_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in TenancyConfig, and what Lambda refuses for isolated functions."""
    for function in stack.functions:
        yield from _spelling(function)
    calls = {one.id: calls_of(one) for one in stack.template.resources.values()}
    for function in stack.isolated:
        if part_of(function, "SnapStart").get("ApplyOn", "None") != "None":
            expected = "Lambda makes no snapshots of isolated functions"
            yield finding(function.id, "SnapStart is on", expected, "remove SnapStart")
        for resource in stack.template.resources.values():
            yield from _direct_invoker(function, resource)
            yield from _other_invoker(function, resource, calls[resource.id])
        for group in lambda_groups(stack.template):
            if holds(group, function):
                actual = f"it is itself a target of Lattice ({group.id})"
                fix = "write the bridge's alias in Targets, and the function under [[backend]] in bridge.toml"
                yield finding(function.id, actual, NO_TENANT, fix)


def _spelling(function: Resource) -> Iterator[TemplateFinding]:
    config, write = function.properties.get("TenancyConfig"), f"write {WRITE_TENANCY}"
    for key in function.properties:
        if "tenan" in key.lower() and key != "TenancyConfig":
            expected = f"Lambda knows TenancyConfig only; {ONLY_AT_CREATION}"
            yield finding(function.id, f"{key} is no property of a function", expected, write)
    actual = f"TenancyConfig is {config}"
    if unresolved(config):
        yield warning(function.id, actual, NOT_KNOWN, write)
    elif config is not None and config != {"TenantIsolationMode": "PER_TENANT"}:
        yield finding(function.id, actual, "PER_TENANT is the only mode that Lambda knows", write)


def _direct_invoker(function: Resource, resource: Resource) -> Iterator[TemplateFinding]:
    """Findings about a resource that refers to an isolated function by its name."""
    kind, properties = resource.type, resource.properties
    if kind == "AWS::Lambda::Url" and refers_to(properties.get("TargetFunctionArn"), function):
        yield finding(function.id, f"it has a function URL ({resource.id})", NO_TENANT, "remove FunctionUrlConfig")
    provisioned = kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version") and properties.get(
        "ProvisionedConcurrencyConfig"
    )
    if (provisioned and refers_to(properties.get("FunctionName"), function)) or (
        kind == "AWS::ApplicationAutoScaling::ScalableTarget" and mentions(properties, function)
    ):
        actual = f"it has provisioned concurrency ({resource.id})"
        expected = "Lambda creates an environment for one tenant, so it cannot create one in advance"
        yield finding(function.id, actual, expected, "remove ProvisionedConcurrencyConfig and its scaling")
    if kind == "AWS::Lambda::EventSourceMapping" and refers_to(properties.get("FunctionName"), function):
        actual = f"it has an event source mapping ({resource.id})"
        fix = "map a queue to the bridge, and name this function under [[event_source]] in bridge.toml"
        yield finding(function.id, actual, NO_TENANT, fix)


# ---- resources that contain a function's ARN ------------------------------------------------------------------------

_HTTP_API: Final = "AWS::ApiGatewayV2::"
_PUSHES: Final[Mapping[str, str]] = {
    "AWS::ApiGateway::Authorizer": "a REST API's authorizer",
    "AWS::AppSync::DataSource": "an AppSync data source",
    "AWS::CloudFormation::Macro": "a macro",
    "AWS::CloudFront::Distribution": "a CloudFront distribution",
    "AWS::Cognito::UserPool": "a user pool",
    "AWS::Config::ConfigRule": "a Config rule",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "a load balancer",
    "AWS::Events::Rule": "an EventBridge rule",
    "AWS::IoT::TopicRule": "an IoT rule",
    "AWS::KinesisFirehose::DeliveryStream": "a delivery stream",
    "AWS::Lambda::EventInvokeConfig": "a destination of asynchronous events",
    "AWS::Logs::SubscriptionFilter": "a log subscription",
    PIPE: "a pipe",
    "AWS::S3::Bucket": "notifications of a bucket",
    "AWS::SES::ReceiptRule": "a receipt rule",
    "AWS::SNS::Subscription": "an SNS subscription",
    "AWS::SNS::Topic": "an SNS topic",
    "AWS::SecretsManager::RotationSchedule": "a secret's rotation",
}
"""Type that invokes functions without a tenant id → its name in findings."""
_TENANT_HEADER: Final = "integration.request.header.x-amz-tenant-id"
_REST_API: Final = ("AWS::ApiGateway::Method", "AWS::ApiGateway::RestApi")
_NO_INVOKERS: Final = (
    *("AWS::CloudWatch::", "AWS::CodeDeploy::", "AWS::IAM::", "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter"),
    *("AWS::Lambda::Alias", "AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::SSM::Parameter"),
)
"""Prefixes of types that do not invoke what they mention."""
_CHECKED_ABOVE: Final = (
    *("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "AWS::Lambda::Url"),
    *("AWS::ApplicationAutoScaling::", "AWS::VpcLattice::TargetGroup"),
)


def _other_invoker(function: Resource, resource: Resource, calls: list[Call]) -> Iterator[TemplateFinding]:
    """Findings about a resource that contains the ARN of an isolated function.

    Args:
        function: the isolated one.
        resource: any.
        calls: what `native_senders` judges of it.
    """
    kind = resource.type
    own = "FunctionName" if kind == "AWS::Lambda::EventInvokeConfig" else None
    properties = {key: value for key, value in resource.properties.items() if key != own}
    if kind.startswith((*_NO_INVOKERS, *_CHECKED_ABOVE)) or not mentions(properties, function):
        return
    if _sends_tenant(resource, function) or any(call.invokes(function) for call in calls):
        return  # `authorizers` and `native_senders` judge the value that it sends
    if kind.startswith(_HTTP_API):
        fix = "let the bridge receive its requests, or use a REST API that maps the tenant to X-Amz-Tenant-Id"
        actual = f"it is behind an HTTP API ({resource.id})"
        expected = "HTTP APIs cannot send a tenant id, so Lambda refuses every request"
        yield finding(function.id, actual, expected, fix)
    elif kind in _REST_API:
        actual = f"it is invoked by a REST API ({resource.id}) without a tenant id"
        fix = "map the tenant to integration.request.header.X-Amz-Tenant-Id"
        yield finding(function.id, actual, NO_TENANT, fix)
    elif kind in _PUSHES or mentions(properties.get("ServiceToken"), function):
        actual = f"it is the target of {_PUSHES.get(kind, 'a custom resource')} ({resource.id})"
        fix = f"let a function without tenancy receive the event and invoke {name_of(function)} with a tenant id"
        if kind == PIPE:
            fix = 'make the bridge the target of the pipe, and write pipe = "target" in its [[event_source]]'
        yield finding(function.id, actual, NO_TENANT, fix)
    else:
        expected = "Whatever invokes an isolated function has to send a tenant id, and this may not"
        fix = "check that it sends a tenant id, or that it does not invoke the function"
        yield warning(function.id, f"{resource.id} of type {kind} refers to it", expected, fix)


def _sends_tenant(resource: Resource, function: Resource) -> bool:
    """Whether a REST API certainly sends a tenant id wherever it invokes a function. A key sends it, not a comment."""
    if resource.type not in _REST_API:
        return False
    scopes = list(_maps_with(resource.properties, function))
    return bool(scopes) and all(_TENANT_HEADER in [key.lower() for key, _ in entries_of(scope)] for scope in scopes)


def _maps_with(value: Any, function: Resource) -> Iterator[Mapping[str, Any]]:
    """The innermost maps that contain the function's ARN."""
    parts = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    if isinstance(value, Mapping) and any(isinstance(one, str) and mentions(one, function) for one in parts):
        yield value
    for part in parts:
        yield from _maps_with(part, function)
