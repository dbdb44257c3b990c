"""Resources that mention an isolated function: whether they invoke it, and send a tenant id.

Rule: whatever mentions one is told, unless it is known not to invoke it, or to send a tenant id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.checks.found import TemplateFinding, finding
from lattice_bridge.deployment.checks.machines import MACHINE, tasks_of
from lattice_bridge.deployment.checks.names import entries, mentions, name_of
from lattice_bridge.deployment.cloudformation.template import Resource

NO_TENANT: Final = "whatever invokes an isolated function has to send a tenant id, and this does not"

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
    "AWS::Pipes::Pipe": "a pipe",
    "AWS::S3::Bucket": "notifications of a bucket",
    "AWS::SES::ReceiptRule": "a receipt rule",
    "AWS::SNS::Subscription": "an SNS subscription",
    "AWS::SNS::Topic": "an SNS topic",
    "AWS::Scheduler::Schedule": "a schedule",
    "AWS::SecretsManager::RotationSchedule": "a secret's rotation",
}
_HTTP_API: Final = "AWS::ApiGatewayV2::"
_TENANT: Final = "integration.request.header.x-amz-tenant-id"
_WITH_TENANT: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::ApiGateway::Method": ("a REST API", _TENANT),
    "AWS::ApiGateway::RestApi": ("a REST API", _TENANT),
    MACHINE: ("a state machine", "tenantid"),
}
"""What can send a tenant id, and the key in it that does."""

_HARMLESS: Final = (
    *("AWS::CloudWatch::", "AWS::CodeDeploy::", "AWS::IAM::", "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter"),
    *("AWS::Lambda::Alias", "AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::SSM::Parameter"),
)
_TOLD: Final = (
    *("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission", "AWS::Lambda::Url"),
    *("AWS::ApplicationAutoScaling::", "AWS::VpcLattice::TargetGroup"),
)
"""Told by rules of their own."""


def invoker_findings(function: Resource, resource: Resource) -> Iterator[TemplateFinding]:
    """What is wrong with a resource that mentions the ARN of an isolated function."""
    kind = resource.type
    own = "FunctionName" if kind == "AWS::Lambda::EventInvokeConfig" else None
    said = {key: value for key, value in resource.properties.items() if key != own}
    by_name = kind == MACHINE and bool(tasks_of(resource, function))
    if kind.startswith((*_HARMLESS, *_TOLD)) or not (by_name or mentions(said, function)):
        return
    if sends_tenant(resource, function):
        yield from _chosen(function, resource)
        return
    if kind.startswith(_HTTP_API):
        yield finding(
            function.id,
            f"it is behind an HTTP API ({resource.id})",
            "a [[backend]] in bridge.toml, or a REST API that maps the tenant to X-Amz-Tenant-Id",
            "HTTP APIs cannot send a tenant id",
        )
    elif kind in _WITH_TENANT:
        what, wanted = _WITH_TENANT[kind]
        yield finding(
            function.id,
            f"it is invoked by {what} ({resource.id}) without a tenant id",
            "a mapping to integration.request.header.X-Amz-Tenant-Id" if "header" in wanted else "TenantId beside it",
            NO_TENANT,
        )
    elif kind in _PUSHES or mentions(said.get("ServiceToken"), function):
        yield finding(
            function.id,
            f"it is the target of {_PUSHES.get(kind, 'a custom resource')} ({resource.id})",
            f"no target {name_of(function)}; a function without tenancy may take the event and invoke this one",
            NO_TENANT,
        )
    else:
        yield finding(
            function.id,
            f"{resource.id} mentions it, of type {kind}",
            "see that it sends a tenant id, or does not invoke it",
            "whatever invokes an isolated function has to send a tenant id, and of this it is not known",
            "warning",
        )


def _chosen(function: Resource, resource: Resource) -> Iterator[TemplateFinding]:
    """A REST API may send as the tenant what stands in the request."""
    for scope in _maps_with(resource.properties, function):
        for key, value in entries(scope):
            if key.lower() == _TENANT and str(value).startswith("method.request."):
                yield finding(
                    function.id,
                    f"a REST API ({resource.id}) sends {value} as the tenant",
                    "context.authorizer and the name of what your authorizer makes of the caller",
                    "whoever calls it chooses the tenant",
                    "warning",
                )


def sends_tenant(resource: Resource, function: Resource) -> bool:
    """Whether it is known to send a tenant id wherever it invokes the function."""
    _, wanted = _WITH_TENANT.get(resource.type, ("", ""))
    if resource.type == MACHINE:
        scopes = tasks_of(resource, function)
    else:
        scopes = list(_maps_with(resource.properties, function))
    return bool(wanted and scopes) and all(_sends(one, wanted) for one in scopes)


def _sends(scope: Mapping[str, Any], wanted: str) -> bool:
    """By a key, and not by a comment; of a definition that is a text and not understood, by what stands in it."""
    keys = [key.removesuffix(".$").lower() for key, _ in entries(scope)]
    return wanted in keys or wanted in str(scope.get("DefinitionString", "")).lower()


def _maps_with(value: Any, function: Resource) -> Iterator[Mapping[str, Any]]:
    """The innermost maps in which the function's ARN stands."""
    parts = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    if isinstance(value, Mapping) and any(isinstance(one, str) and mentions(one, function) for one in parts):
        yield value
    for part in parts:
        yield from _maps_with(part, function)
