"""Reads a plan from a resolved template.

Rule: each part of the template that the stack does not emulate is named, with the reason. A part that is silently
ignored works on this machine and fails in an AWS account.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan import rest_api_reader
from lattice_bridge.local.plan.function_url import read_function_urls
from lattice_bridge.local.plan.functions import read_functions
from lattice_bridge.local.plan.http_api_reader import read_http_apis
from lattice_bridge.local.plan.lattice import read_services
from lattice_bridge.local.plan.listener_rules import EventVersion
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
        *rest_api_reader.SERVED,
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::ApiMapping",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::DomainName",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::Lambda::Url",
    }
)
_RIGHTS: Final = "no right of a function is checked"
_WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::VpcLattice::ServiceNetworkVpcAssociation": "every service is reachable",
    "AWS::IAM::ManagedPolicy": _RIGHTS,
    "AWS::IAM::Policy": _RIGHTS,
    "AWS::IAM::Role": _RIGHTS,
    "AWS::Lambda::EventSourceMapping": "no event of a queue or stream invokes its function",
    "AWS::Lambda::Permission": "every way in may invoke every function",
    "AWS::Logs::LogGroup": "logs are printed",
    "AWS::VpcLattice::AuthPolicy": "not evaluated: its service or service network has AuthType NONE, or is not served",
    **rest_api_reader.WITHOUT_MEANING_HERE,
}

_MAX_NAMED: Final = 3
"""Functions or resources that an error names."""


def read_plan(template: Template, *, event_version: EventVersion | None = None) -> Plan:
    """Reads the functions and services that the stack serves.

    Args:
        template: resolved.
        event_version: replaces every target group's own; None for what the template has.

    Raises:
        BadTemplate: it contains nothing to serve, or a part that would be served is malformed.
    """
    left_out, warnings = LeftOut(), LeftOut()
    for sentence, place in template.notes:
        warnings.add(sentence, place)
    for name, place in template.unresolved:
        left_out.add(f"{name} is not computed", place)
    for name in template.absent:
        left_out.add("its condition is false", name)
    not_run: dict[str, str] = {}
    functions = {function.name: function for function in read_functions(template, left_out, not_run)}
    services = tuple(read_services(template, event_version, left_out))
    rest_apis = tuple(rest_api_reader.read_rest_apis(template, left_out))
    http_apis = tuple(read_http_apis(template, left_out))
    function_urls = tuple(read_function_urls(template, left_out))
    evaluated = {policy.name for service in services for policy in service.policies}
    evaluated |= {grant.name for url in function_urls for grant in url.grants}
    _name_other_resources(template, evaluated, left_out)
    if not functions and not services and not rest_apis and not http_apis:
        raise BadTemplate(_nothing(not_run, template))
    return Plan(
        template.folder.resolve(),
        template.region,
        functions,
        services,
        tuple(left_out),
        warnings=tuple(warnings),
        not_run=not_run,
        rest_apis=rest_apis,
        http_apis=http_apis,
        function_urls=function_urls,
    )


def _nothing(not_run: Mapping[str, str], template: Template) -> str:
    if not not_run and template.absent:
        names = ", ".join(template.absent[:_MAX_NAMED])
        return f"the template has nothing to serve: conditions leave out {names}. Fix: change them with --parameter"
    if not not_run:
        return "the template has nothing to serve. Fix: add an AWS::Serverless::Function with CodeUri"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(not_run.items())[:_MAX_NAMED])
    more = f"; and {len(not_run) - _MAX_NAMED} more" if len(not_run) > _MAX_NAMED else ""
    return f"no function of the template can run here ({reasons}{more}). Fix: give one of them local code"


def _name_other_resources(template: Template, evaluated: Set[str | None], left_out: LeftOut) -> None:
    """Names each resource type that is not served, with the consequence of its absence.

    Args:
        template: resolved.
        evaluated: logical ids of auth policies and permissions.
        left_out: gets the sentences.
    """
    for resource in template.resources.values():
        if resource.type not in _SERVED and resource.id not in evaluated:
            meaning = _WITHOUT_MEANING_HERE.get(resource.type)
            left_out.add(f"{resource.type}: {meaning}" if meaning else resource.type, resource.id)
