"""Lattice's side: target groups, services, auth policies, and who may invoke the bridge.

Rule: events reach the bridge from its own target group alone, on its alias, from callers that Lattice authenticated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lattice_bridge.deployment.template_found import TemplateFinding, found
from lattice_bridge.deployment.template_names import (
    bridges_of,
    lambda_groups,
    name_of,
    named,
    refers_to,
    targets_of,
    unresolved,
)
from lattice_bridge.deployment.template_policies import listed, statements_in
from lattice_bridge.local.template import Resource, Template

LATTICE: Final = "vpc-lattice.amazonaws.com"
_NOT_FOR_LAMBDA: Final = ("Port", "Protocol", "ProtocolVersion", "VpcIdentifier", "IpAddressType", "HealthCheck")
_FORGED: Final = "whoever else can invoke the bridge writes the caller's identity into the event itself"


def lattice(template: Template, *, unsigned: bool) -> Iterator[TemplateFinding]:
    """What is wrong with the template's Lattice resources.

    Args:
        template: translated and resolved.
        unsigned: a service is meant to let in callers that nobody authenticated.
    """
    bridges = bridges_of(template)
    for group in lambda_groups(template):
        yield from _config(group)
        for target in targets_of(group):
            for bridge in bridges:
                if refers_to(target, bridge):
                    yield from _of_the_bridge(group, target, bridge)
                    yield from _permission(group, target, bridge, template)
    for bridge in bridges:
        yield from _other_permissions(bridge, template)
    if not unsigned:
        yield from _authentication(template)


def _config(group: Resource) -> Iterator[TemplateFinding]:
    config = group.properties.get("Config") or {}
    for key in _NOT_FOR_LAMBDA:
        if key in config:
            yield found(
                group.id,
                f"Config has {key}",
                f"no {key}",
                "Lattice refuses to make a target group of type LAMBDA that has one",
            )


def _of_the_bridge(group: Resource, target: str, bridge: Resource) -> Iterator[TemplateFinding]:
    version = (group.properties.get("Config") or {}).get("LambdaEventStructureVersion")
    if version != "V2":
        yield found(
            group.id,
            f"LambdaEventStructureVersion is {version or 'not there, which is V1'}",
            "Config: {LambdaEventStructureVersion: V2}",
            "in V1 the caller's identity is a header, and repeated headers are one; a target group cannot change later",
        )
    name = named(target)
    if name is not None and name.qualifier in (None, "$LATEST"):
        yield found(
            group.id,
            f"the target is the function {bridge.id} itself",
            f"AutoPublishAlias: live, and Targets: [{{Id: !Ref {bridge.id}.Alias}}]",
            "without an alias every update is in force at once: no canary, and nothing to roll back to",
        )


def _permission(group: Resource, target: str, bridge: Resource, template: Template) -> Iterator[TemplateFinding]:
    """One of the permissions is for exactly this target, this principal and this source."""
    own = [one for one in template.of_type("AWS::Lambda::Permission") if one.properties.get("Principal") == LATTICE]
    own = [one for one in own if refers_to(one.properties.get("FunctionName"), bridge)]
    wanted = named(target)
    on_target = [one for one in own if named(one.properties.get("FunctionName")) == wanted]
    right = (
        f"an AWS::Lambda::Permission with Action lambda:InvokeFunction, Principal {LATTICE}, "
        f"SourceArn !GetAtt {group.id}.Arn, and FunctionName as the target"
    )
    if not own:
        yield found(group.id, f"Lattice may not invoke {wanted}", right, "every request would fail in Lattice itself")
        return
    if not on_target:
        yield found(
            own[0].id,
            f"FunctionName is {own[0].properties.get('FunctionName')}, and the target is {target}",
            right,
            "an alias has a policy of its own, and without one there every request would fail in Lattice itself",
        )
    for one in own:
        source = one.properties.get("SourceArn")
        if source is None:
            yield found(
                one.id, "no SourceArn", f"SourceArn: !GetAtt {group.id}.Arn", f"{_FORGED}: any target group could"
            )
        elif not unresolved(source) and source not in _group_arns(template):
            yield found(
                one.id,
                f"SourceArn is {source}, which is no target group of this template",
                f"SourceArn: !GetAtt {group.id}.Arn",
                f"{_FORGED}, and this one's events would be refused by Lambda",
            )


def _group_arns(template: Template) -> set[str]:
    return {group.arn for group in template.of_type("AWS::VpcLattice::TargetGroup")}


def _other_permissions(bridge: Resource, template: Template) -> Iterator[TemplateFinding]:
    for one in template.of_type("AWS::Lambda::Permission"):
        principal = one.properties.get("Principal")
        if refers_to(one.properties.get("FunctionName"), bridge) and principal != LATTICE:
            yield found(one.id, f"{principal} may invoke {name_of(bridge)}", f"Principal: {LATTICE} alone", _FORGED)
    for one in template.of_type("AWS::Lambda::Url"):
        if refers_to(one.properties.get("TargetFunctionArn"), bridge):
            yield found(one.id, f"{name_of(bridge)} has a function URL", "no FunctionUrlConfig", _FORGED)


def _authentication(template: Template) -> Iterator[TemplateFinding]:
    for service in template.of_type("AWS::VpcLattice::Service"):
        kind = service.properties.get("AuthType", "NONE")
        if kind != "AWS_IAM":
            yield found(
                service.id,
                f"AuthType is {kind}",
                "AuthType: AWS_IAM, or `check --unsigned` where that is meant",
                "Lattice would authenticate nobody, and every caller would be anonymous to the bridge",
            )
            continue
        policies = [one for one in template.of_type("AWS::VpcLattice::AuthPolicy") if _is_of(one, service)]
        if not policies:
            yield found(
                service.id,
                "no AWS::VpcLattice::AuthPolicy for it in this template",
                "one that allows vpc-lattice-svcs:Invoke to callers that are not anonymous",
                "Lattice refuses every request to a service with AWS_IAM and without a policy",
                "warning",
            )
        for policy in policies:
            if any(_admits_anybody(statement) for statement in statements_in(policy.properties.get("Policy"))):
                yield found(
                    policy.id,
                    "a statement allows everybody, without a condition on the principal",
                    "Condition: {StringNotEqualsIgnoreCase: {aws:PrincipalType: anonymous}}",
                    "Lattice lets unsigned requests through where a policy does not ask who it is",
                )


def _is_of(policy: Resource, service: Resource) -> bool:
    identifier = policy.properties.get("ResourceIdentifier")
    return identifier in (service.arn, service.arn.rpartition("/")[2])


def _admits_anybody(statement: dict[str, Any]) -> bool:
    principal = statement.get("Principal")
    everybody = "*" in (listed(principal.get("AWS")) if isinstance(principal, dict) else listed(principal))
    keys = {key.lower() for operator in (statement.get("Condition") or {}).values() for key in operator}
    known = any(key.startswith("aws:principal") for key in keys)
    return statement.get("Effect") == "Allow" and everybody and not known
