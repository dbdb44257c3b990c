"""Reads a plan from a resolved template.

Rule: each part of the template that the stack does not emulate is named, with the reason. A part that is silently
ignored works on this machine and fails in an AWS account.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.functions import read_functions
from lattice_bridge.local.plan.lattice import read_services
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.load_balancer_reader import TYPES as LOAD_BALANCER_TYPES
from lattice_bridge.local.plan.load_balancer_reader import read_load_balancers
from lattice_bridge.local.plan.model import LeftOut, Plan

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
        *LOAD_BALANCER_TYPES,
    }
)
_WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::VpcLattice::ServiceNetworkVpcAssociation": "every service is reachable",
    "AWS::Lambda::Permission": "every way in may invoke every function",
    "AWS::VpcLattice::AuthPolicy": "not evaluated: its service or service network has AuthType NONE, or is not served",
}

_MAX_NAMED: Final = 3
"""Functions that an error names."""


def read_plan(template: Template, *, event_version: EventVersion | None = None) -> Plan:
    """Reads the functions and services that the stack serves.

    Args:
        template: resolved.
        event_version: replaces every target group's own; None for what the template has.

    Raises:
        BadTemplate: it contains nothing to serve, or a part that would be served is malformed.
    """
    left_out = LeftOut()
    for sentence, place in template.notes:
        left_out.add(sentence, place)
    for name, place in template.unresolved:
        left_out.add(f"{name} is not computed", place)
    not_run: dict[str, str] = {}
    functions = {function.name: function for function in read_functions(template, left_out, not_run)}
    services = tuple(read_services(template, event_version, left_out))
    load_balancers = tuple(read_load_balancers(template, left_out))
    evaluated = {policy.name for service in services for policy in service.policies}
    _name_other_resources(template, evaluated, left_out)
    if not functions and not services:
        raise BadTemplate(_nothing(not_run))
    return Plan(
        template.folder.resolve(), template.region, functions, services, tuple(left_out), not_run, load_balancers
    )


def _nothing(not_run: Mapping[str, str]) -> str:
    if not not_run:
        return "the template has nothing to serve. Fix: add an AWS::Serverless::Function with CodeUri"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(not_run.items())[:_MAX_NAMED])
    more = f"; and {len(not_run) - _MAX_NAMED} more" if len(not_run) > _MAX_NAMED else ""
    return f"no function of the template can run here ({reasons}{more}). Fix: give one of them local code"


def _name_other_resources(template: Template, evaluated: Set[str | None], left_out: LeftOut) -> None:
    """Names each resource type that is not served, with the consequence of its absence.

    Args:
        template: resolved.
        evaluated: logical ids of auth policies.
        left_out: gets the sentences.
    """
    for resource in template.resources.values():
        if resource.type not in _SERVED and resource.id not in evaluated:
            meaning = _WITHOUT_MEANING_HERE.get(resource.type)
            left_out.add(f"{resource.type}: {meaning}" if meaning else resource.type, resource.id)
