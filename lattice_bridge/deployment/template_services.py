"""Lattice services: whom they let in, and how long they wait.

Rule: callers are those that Lattice authenticated, and Lattice waits for the bridge's answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.auth_policy import admits_anonymous
from lattice_bridge.deployment.template_found import UNKNOWN, TemplateFinding, finding
from lattice_bridge.deployment.template_policies import statements_in
from lattice_bridge.deployment.template_stack import Stack, seconds_of
from lattice_bridge.local.template import Resource, Template
from lattice_bridge.local.template_values import unresolved

_IDLE: Final = 60.0
"""Seconds after which Lattice ends a connection on which nothing is sent, by default."""


def service_findings(stack: Stack, *, unsigned: bool) -> Iterator[TemplateFinding]:
    """What is wrong with the template's services.

    Args:
        stack: of the template.
        unsigned: a service is meant to let in callers that nobody authenticated.
    """
    for service in stack.template.of_type("AWS::VpcLattice::Service"):
        if not unsigned:
            yield from _authentication(service, stack.template)
        yield from _idle(service, stack)


def _authentication(service: Resource, template: Template) -> Iterator[TemplateFinding]:
    kind = service.properties.get("AuthType", "NONE")
    if unresolved(kind):
        yield finding(service.id, f"AuthType is {kind}", "AuthType: AWS_IAM", UNKNOWN, "warning")
        return
    if kind != "AWS_IAM":
        yield finding(
            service.id,
            f"AuthType is {kind}",
            "AuthType: AWS_IAM, or `check --unsigned` where that is meant",
            "Lattice would authenticate nobody, and every caller would be anonymous to the bridge",
        )
        return
    policies = [one for one in template.of_type("AWS::VpcLattice::AuthPolicy") if _is_of(one, service)]
    if not policies:
        yield finding(
            service.id,
            "no AWS::VpcLattice::AuthPolicy for it in this template",
            "one that allows vpc-lattice-svcs:Invoke to callers that are not anonymous",
            "Lattice refuses every request to a service with AWS_IAM and without a policy",
            "warning",
        )
    for policy in policies:
        document = policy.properties.get("Policy")
        if isinstance(document, str) and unresolved(document):
            yield finding(policy.id, f"Policy is {document}", "the policy itself", UNKNOWN, "warning")
        elif admits_anonymous(statements_in(document), service.arn):
            yield finding(
                policy.id,
                "it admits requests that nobody signed",
                "Condition: {StringNotEqualsIgnoreCase: {aws:PrincipalType: anonymous}}",
                "Lattice lets unsigned requests through where a policy does not ask who it is",
            )


def _is_of(policy: Resource, service: Resource) -> bool:
    identifier = policy.properties.get("ResourceIdentifier")
    return identifier in (service.arn, service.arn.rpartition("/")[2])


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
