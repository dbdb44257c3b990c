"""A resolved template -> a plan.

Rule: what is not emulated is named. A part of a template that is silently ignored is how a stack works on a desk and
not in an account.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.functions import read_functions
from lattice_bridge.local.plan.lattice import read_services
from lattice_bridge.local.plan.left_out import LeftOut
from lattice_bridge.local.plan.plan import EventVersion, Plan


def plan(template: Template, *, event_version: EventVersion | None = None) -> Plan:
    """What there is to serve in a template.

    Args:
        template: resolved.
        event_version: replaces every target group's.

    Raises:
        BadTemplate: there is nothing to serve, or a part that is served is malformed.
    """
    left_out = LeftOut()
    for name, place in template.unresolved:
        left_out.add(f"{name} is not computed", place)
    functions = {function.name: function for function in read_functions(template, left_out)}
    services = tuple(read_services(template, event_version, left_out))
    evaluated = {policy.name for service in services for policy in service.policies}
    _name_other_resources(template, evaluated, left_out)
    if not functions:
        raise BadTemplate("no Python function with local code in the template: nothing to run")
    if not services:
        raise BadTemplate("no AWS::VpcLattice::Service with a listener in the template: nothing to send requests to")
    return Plan(template.folder.resolve(), template.region, functions, services, tuple(left_out))


_SERVED: Final = frozenset(
    {
        "AWS::Serverless::Function",
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Version",
        "AWS::VpcLattice::Service",
        "AWS::VpcLattice::ServiceNetwork",
        "AWS::VpcLattice::ServiceNetworkServiceAssociation",
        "AWS::VpcLattice::TargetGroup",
        "AWS::VpcLattice::Listener",
        "AWS::VpcLattice::Rule",
    }
)
_WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::VpcLattice::ServiceNetworkVpcAssociation": "every service is reachable",
    "AWS::Lambda::Permission": "Lattice may invoke every function",
    "AWS::VpcLattice::AuthPolicy": "not evaluated: its service or service network has AuthType NONE, or is not served",
}


def _name_other_resources(template: Template, evaluated: Set[str | None], left_out: LeftOut) -> None:
    """Every type that is not served, with what its absence means here.

    Args:
        template: resolved.
        evaluated: logical ids of auth policies.
        left_out: is told.
    """
    for resource in template.resources.values():
        if resource.type not in _SERVED and resource.id not in evaluated:
            meaning = _WITHOUT_MEANING_HERE.get(resource.type)
            left_out.add(f"{resource.type}: {meaning}" if meaning else resource.type, resource.id)
