"""Reads a template's Application Load Balancers: listeners, rules, and target groups with a function.

Rule: properties mean what the CloudFormation reference of AWS::ElasticLoadBalancingV2 says. An unknown kind of
condition or action is an error. A known kind that is not served matches no request, or refuses its requests, and is
named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, Final, Literal

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY
from lattice_bridge.local.plan.load_balancer import (
    IDLE_SECONDS,
    Action,
    Condition,
    Field,
    Fixed,
    Forward,
    LambdaTargets,
    Listener,
    LoadBalancer,
    NotServed,
    Redirect,
    Rule,
)
from lattice_bridge.local.plan.model import LeftOut

_PREFIX: Final = "AWS::ElasticLoadBalancingV2::"
TYPES: Final = tuple(f"{_PREFIX}{name}" for name in ("LoadBalancer", "Listener", "ListenerRule", "TargetGroup"))
"""The resource types that are read here."""

_IDLE: Final = "idle_timeout.timeout_seconds"
_MULTI_VALUE: Final = "lambda.multi_value_headers.enabled"
_AUTHENTICATES: Final = ("authenticate-cognito", "authenticate-oidc", "jwt-validation")
_CONFIG: Final[Mapping[Field, str]] = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
"""Field of a condition → the property with its values."""


def read_load_balancers(template: Template, left_out: LeftOut) -> Iterator[LoadBalancer]:
    """Reads the load balancers that have a listener.

    Args:
        template: resolved.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: a part that is served is malformed.
    """
    groups: dict[str, LambdaTargets] = {}
    for resource in template.of_type(f"{_PREFIX}TargetGroup"):
        with malformed(f"target group {resource.id}"):
            groups[resource.arn] = _target_group(resource, left_out)
    for resource in template.of_type(f"{_PREFIX}LoadBalancer"):
        with malformed(f"load balancer {resource.id}"):
            balancer = _load_balancer(resource, template, groups, left_out)
        if balancer is not None:
            yield balancer


def _attributes(resource: Resource, name: str) -> Mapping[str, str]:
    return {str(entry["Key"]): str(entry.get("Value", "")) for entry in resource.properties.get(name) or []}


def _target_group(resource: Resource, left_out: LeftOut) -> LambdaTargets:
    properties = resource.properties
    kind, targets = properties.get("TargetType", "instance"), properties.get("Targets") or []
    if kind != "lambda":
        left_out.add(f"target groups of type {kind}: their requests get 503", resource.id)
        return LambdaTargets(resource.arn)
    if not isinstance(targets, list) or len(targets) > 1:
        raise BadTemplate(
            f"{resource.id}.Targets: {len(targets)} targets. Fix: a target group of type lambda has one function"
        )
    if not targets:
        left_out.add("a target group without a target: its requests get 503, as on AWS", resource.id)
    if str(properties.get("HealthCheckEnabled", "")).lower() == "true":
        left_out.add("health checks of target groups are not made", resource.id)
    multi_value = _attributes(resource, "TargetGroupAttributes").get(_MULTI_VALUE, "false").lower() == "true"
    return LambdaTargets(resource.arn, str(targets[0]["Id"]) if targets else None, multi_value)


def _load_balancer(
    resource: Resource, template: Template, groups: Mapping[str, LambdaTargets], left_out: LeftOut
) -> LoadBalancer | None:
    kind = resource.properties.get("Type", "application")
    if kind != "application":
        left_out.add(f"load balancers of type {kind}", resource.id)
        return None
    own = [
        one for one in template.of_type(f"{_PREFIX}Listener") if one.properties.get("LoadBalancerArn") == resource.arn
    ]
    if not own:
        left_out.add("load balancers without a listener", resource.id)
        return None
    attributes = _attributes(resource, "LoadBalancerAttributes")
    for name in sorted(attributes):
        if name != _IDLE:
            left_out.add(f"the load balancer's attribute {name} has no effect", resource.id)
    listeners = tuple(_listener(one, template, groups, left_out) for one in own)
    name = str(resource.properties.get("Name", resource.id))
    hosts = (resource.id, resource.attributes.get("DNSName", ""), name, *_exact_hosts(listeners))
    idle = number(attributes.get(_IDLE, IDLE_SECONDS), resource.id, _IDLE)
    return LoadBalancer(name, tuple(dict.fromkeys(host.lower() for host in hosts if host)), listeners, idle)


def _exact_hosts(listeners: tuple[Listener, ...]) -> Iterator[str]:
    """The hosts of rules without a wildcard: their clients send them, so the front has to admit them."""
    for condition in (each for listener in listeners for rule in listener.rules for each in rule.conditions):
        if condition.field == "host-header":
            yield from (value for value in condition.values if not {*"*?"} & {*value} and not unresolved(value))


def _listener(
    resource: Resource, template: Template, groups: Mapping[str, LambdaTargets], left_out: LeftOut
) -> Listener:
    with malformed(f"listener {resource.id}"):
        protocol: Literal["HTTP", "HTTPS"] = "HTTPS" if resource.properties.get("Protocol") == "HTTPS" else "HTTP"
        port = resource.properties.get("Port")
        if port is None or unresolved(port):
            port = 443 if protocol == "HTTPS" else 80
        default = _action(resource.properties["DefaultActions"], groups, resource.id, left_out)
    rules = [
        _rule(rule, groups, left_out)
        for rule in template.of_type(f"{_PREFIX}ListenerRule")
        if rule.properties.get("ListenerArn") == resource.arn
    ]
    ordered = sorted(rules, key=lambda rule: rule.priority)
    return Listener(int(number(port, resource.id, "Port")), protocol, (*ordered, Rule(DEFAULT_PRIORITY, (), default)))


def _rule(resource: Resource, groups: Mapping[str, LambdaTargets], left_out: LeftOut) -> Rule:
    with malformed(f"rule {resource.id}"):
        properties = resource.properties
        priority = int(number(properties["Priority"], resource.id, "Priority"))
        conditions = tuple(_condition(one, resource.id, left_out) for one in properties.get("Conditions") or [])
        if not conditions:
            raise BadTemplate(f"{resource.id}.Conditions: there are none. Fix: write at least one")
        if properties.get("Transforms"):
            left_out.add("Transforms of a rule: the host and the path stay as sent", resource.id)
        return Rule(priority, conditions, _action(properties["Actions"], groups, resource.id, left_out))


def _condition(written: Mapping[str, Any], place: str, left_out: LeftOut) -> Condition:
    kind = written.get("Field")
    field = next((name for name, config in _CONFIG.items() if kind == name or (not kind and config in written)), None)
    if field is None:
        raise BadTemplate(f"{place}.Conditions: Field {kind!r} is unknown. Fix: write one of {', '.join(_CONFIG)}")
    config = written.get(_CONFIG[field]) or {}
    if "RegexValues" in config or "RegexValues" in written:
        left_out.add("a condition with RegexValues is not evaluated: its rule matches no request", place)
        return Condition(None)
    values = config.get("Values", written.get("Values"))
    if not isinstance(values, list) or not values:
        raise BadTemplate(f"{place}.Conditions: {field} has no Values. Fix: write a list")
    if field == "query-string":
        keys = tuple(None if one.get("Key") is None else str(one["Key"]) for one in values)
        return Condition("query-string", tuple(str(one["Value"]) for one in values), keys=keys)
    if field == "source-ip":
        _check_blocks(values, place)
    name = str(config["HttpHeaderName"]).lower() if field == "http-header" else ""
    return Condition(field, tuple(map(str, values)), name)


def _check_blocks(values: list[object], place: str) -> None:
    for value in values:
        try:
            ip_network(str(value), strict=False)
        except ValueError:
            raise BadTemplate(f"{place}.Conditions: {value!r} is not a CIDR block. Fix: write 192.0.2.0/24") from None


def _action(
    written: list[Mapping[str, Any]], groups: Mapping[str, LambdaTargets], place: str, left_out: LeftOut
) -> Action:
    """The last action. One before it authenticates users, which nothing here does: its requests must not pass."""
    ordered = sorted(written, key=lambda action: int(action.get("Order", len(written))))
    for action in ordered:
        if action["Type"] in _AUTHENTICATES:
            left_out.add(f"the action {action['Type']} is not served: its requests get 501", place)
            return NotServed(str(action["Type"]))
    action = ordered[-1]
    match action["Type"]:
        case "forward":
            return Forward(tuple(_forward(action, groups, place, left_out)))
        case "fixed-response":
            config = action["FixedResponseConfig"]
            status = int(number(config["StatusCode"], place, "StatusCode"))
            if not 200 <= status <= 599:
                raise BadTemplate(f"{place}: StatusCode {status} is not an HTTP status. Fix: write 200 to 599")
            return Fixed(status, str(config.get("ContentType", "text/plain")), str(config.get("MessageBody", "")))
        case "redirect":
            return _redirect(action["RedirectConfig"], place)
    known = ("forward", "fixed-response", "redirect", *_AUTHENTICATES)
    raise BadTemplate(f"{place}: the action's Type {action['Type']!r} is unknown. Fix: write one of {', '.join(known)}")


def _forward(
    action: Mapping[str, Any], groups: Mapping[str, LambdaTargets], place: str, left_out: LeftOut
) -> Iterator[tuple[LambdaTargets, int]]:
    config = action.get("ForwardConfig") or {}
    targets = config.get("TargetGroups") or [{"TargetGroupArn": action["TargetGroupArn"]}]
    if str((config.get("TargetGroupStickinessConfig") or {}).get("Enabled", "")).lower() == "true":
        left_out.add("stickiness of target groups has no effect", place)
    for target in targets:
        arn, weight = str(target["TargetGroupArn"]), int(target.get("Weight", 1))
        if weight < 0:
            raise BadTemplate(f"{place}: Weight {weight} is negative. Fix: write 0 or more")
        if arn not in groups:
            left_out.add(f"forwards to {arn}, which is not served: 503", place)
        yield groups.get(arn, LambdaTargets(arn)), weight


def _redirect(config: Mapping[str, Any], place: str) -> Redirect:
    status = {"HTTP_301": 301, "HTTP_302": 302}.get(str(config["StatusCode"]))
    if status is None:
        raise BadTemplate(f"{place}: StatusCode {config['StatusCode']!r}. Fix: write HTTP_301 or HTTP_302")
    names = ("Protocol", "Host", "Port", "Path", "Query")
    return Redirect(status, **{name.lower(): str(config[name]) for name in names if name in config})
