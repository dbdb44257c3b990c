"""Lattice services: whom they let in, and how long they wait.

Rule: callers are those that Lattice authenticated, and Lattice waits for the bridge's answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.documents import not_looked_into, read_policy
from lattice_bridge.deployment.checks.found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.checks.stack import Stack, seconds_of
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.iam.auth_policy import admits_anonymous
from lattice_bridge.deployment.iam.policy import read_statement

_SERVICE: Final = "AWS::VpcLattice::Service"
_IDLE: Final = 60.0
"""Seconds after which Lattice ends a connection on which nothing is sent, by default."""


def service_findings(stack: Stack, *, unsigned: bool) -> Iterator[TemplateFinding]:
    """What is wrong with the template's services.

    Args:
        stack: of the template.
        unsigned: a service is meant to let in callers that nobody authenticated.
    """
    for service in stack.template.of_type(_SERVICE):
        if not unsigned:
            yield from _authentication(service, stack.template)
        yield from _idle(service, stack)


def _authentication(service: Resource, template: Template) -> Iterator[TemplateFinding]:
    kind = service.properties.get("AuthType", "NONE")
    if unresolved(kind):
        yield finding(service.id, f"AuthType is {kind}", "AuthType: AWS_IAM", UNKNOWN, "warning")
        return
    if kind != "AWS_IAM" and (network := _network(service, template)) is not None:
        yield finding(
            service.id,
            f"AuthType is {kind}, and {network.id} alone authenticates",
            "AuthType: AWS_IAM, and a policy of its own",
            "in any other network, every caller would be anonymous to the bridge",
            "warning",
        )
        yield from _admitted(network, template)
        return
    if kind != "AWS_IAM":
        yield finding(
            service.id,
            f"AuthType is {kind}",
            "AuthType: AWS_IAM, or `check --unsigned` where that is meant",
            "Lattice would authenticate nobody, and every caller would be anonymous to the bridge",
        )
        return
    if not _policies_of(service, template):
        yield finding(
            service.id,
            "no AWS::VpcLattice::AuthPolicy for it in this template",
            "one that allows vpc-lattice-svcs:Invoke to callers that are not anonymous",
            "Lattice refuses every request to a service with AWS_IAM and without a policy",
            "warning",
        )
    yield from _admitted(service, template)


def _admitted(owner: Resource, template: Template) -> Iterator[TemplateFinding]:
    """What is wrong with the policies of a service or a network."""
    for policy in _policies_of(owner, template):
        document = read_policy(policy.properties.get("Policy"))
        for unread in document.unread:
            yield not_looked_into(policy.id, unread)
        if admits_anonymous(
            tuple(map(read_statement, document.statements)), owner.arn if owner.type == _SERVICE else None
        ):
            yield finding(
                policy.id,
                f"it {'may admit' if document.unread else 'admits'} requests that nobody signed",
                "Condition: {StringNotEqualsIgnoreCase: {aws:PrincipalType: anonymous}}",
                "Lattice lets unsigned requests through where a policy does not ask who it is",
                "warning" if document.unread else "error",
            )


def _policies_of(owner: Resource, template: Template) -> list[Resource]:
    every = template.of_type("AWS::VpcLattice::AuthPolicy")
    return [one for one in every if _is(one.properties.get("ResourceIdentifier"), owner)]


def _network(service: Resource, template: Template) -> Resource | None:
    """A network of the template that it is in, and that authenticates its callers."""
    for one in template.of_type("AWS::VpcLattice::ServiceNetworkServiceAssociation"):
        for network in template.of_type("AWS::VpcLattice::ServiceNetwork"):
            joined = _is(one.properties.get("ServiceIdentifier"), service)
            joined = joined and _is(one.properties.get("ServiceNetworkIdentifier"), network)
            if joined and network.properties.get("AuthType") == "AWS_IAM" and _policies_of(network, template):
                return network
    return None


def _is(identifier: object, resource: Resource) -> bool:
    return identifier in (resource.arn, resource.arn.rpartition("/")[2])


def _idle(service: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    idle = seconds_of(service, "IdleTimeoutSeconds", _IDLE)
    for bridge in stack.bridges:
        seconds = seconds_of(bridge.function, "Timeout", 3.0)
        if idle is not None and seconds is not None and idle < seconds:
            yield finding(
                service.id,
                f"IdleTimeoutSeconds is {idle:g}, and the bridge {bridge.function.id} has a Timeout of {seconds:g}",
                f"IdleTimeoutSeconds: {seconds:g}, or a shorter Timeout",
                "Lattice would hang up before the bridge answers",
            )
