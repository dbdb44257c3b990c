"""Reads a plan from a resolved template.

Rule: each part of the template that the stack does not emulate is named, with the reason. A part that is silently
ignored works on this machine and fails in an AWS account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lattice_bridge.deployment.cloudformation.template import Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.listener_rules import EventVersion
from lattice_bridge.local.plan.model import LeftOut, Plan
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.plan.readers import (
    event_buses,
    event_invoke_configs,
    event_source_mappings,
    queues,
    streams,
    tables,
)
from lattice_bridge.local.plan.readers import rest_api as rest_api_reader
from lattice_bridge.local.plan.readers.code import LAYERS, Layers
from lattice_bridge.local.plan.readers.function_url import read_function_urls
from lattice_bridge.local.plan.readers.functions import Runners, read_functions
from lattice_bridge.local.plan.readers.http_api import read_http_apis
from lattice_bridge.local.plan.readers.lattice import read_services
from lattice_bridge.local.plan.readers.load_balancer import TYPES as LOAD_BALANCER_TYPES
from lattice_bridge.local.plan.readers.load_balancer import read_load_balancers
from lattice_bridge.local.plan.stream_mappings import StreamMapping

SERVED: Final = frozenset(
    {
        "AWS::Serverless::Function",
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Version",
        event_invoke_configs.TYPE,
        *LAYERS,
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
        *LOAD_BALANCER_TYPES,
        queues.TYPE,
        *tables.TYPES,
        event_source_mappings.TYPE,
        *event_buses.TYPES,
        streams.TYPE,
    }
)
"""Resource types that are read. A test compares these and the following with the table of docs/local.md."""

_RIGHTS: Final = "no right of a function is checked"
WITHOUT_MEANING_HERE: Final[Mapping[str, str]] = {
    "AWS::VpcLattice::ServiceNetworkVpcAssociation": "every service is reachable",
    "AWS::Events::EventBusPolicy": "every caller may put events on every bus",
    "AWS::IAM::ManagedPolicy": _RIGHTS,
    "AWS::IAM::Policy": _RIGHTS,
    "AWS::IAM::Role": _RIGHTS,
    "AWS::Lambda::Permission": "every way in may invoke every function",
    "AWS::Lambda::LayerVersionPermission": "the layer is used by this stack only",
    "AWS::Logs::LogGroup": "logs are printed",
    "AWS::SQS::QueuePolicy": "every caller may use every queue",
    "AWS::VpcLattice::AuthPolicy": "not evaluated: its service or service network has AuthType NONE, or is not served",
    **rest_api_reader.WITHOUT_MEANING_HERE,
}
"""Resource type → the consequence of its absence."""

_NO_RUNNERS: Final = Runners()
_MAX_NAMED: Final = 3
"""Functions or resources that an error names."""
_MAX_CHARACTERS: Final = 400
"""Of a function's reason in an error: the reason may quote a path of the template."""


def read_plan(template: Template, *, event_version: EventVersion | None = None, runners: Runners = _NO_RUNNERS) -> Plan:
    """Reads the functions and services that the stack serves.

    Args:
        template: resolved.
        event_version: replaces every target group's own; None for what the template has.
        runners: run functions in place of the stack's own runtime clients.

    Raises:
        BadTemplate: it contains nothing to serve, or a part that would be served is malformed.
    """
    left_out, not_run = _unknown_parts(template), dict[str, str]()
    layers, warnings = Layers(template, left_out), _assumptions(template)
    configs = event_invoke_configs.EventInvokeConfigs(template, warnings)
    functions = read_functions(template, runners, layers, configs, left_out, not_run)
    plan = Plan(
        template.folder.resolve(),
        template.region,
        {function.name: function for function in functions},
        tuple(read_services(template, event_version, left_out)),
        warnings=tuple(warnings),
        not_run=not_run,
        layers=layers.paths,
        rest_apis=tuple(rest_api_reader.read_rest_apis(template, left_out)),
        http_apis=tuple(read_http_apis(template, left_out)),
        function_urls=tuple(read_function_urls(template, left_out)),
        load_balancers=tuple(read_load_balancers(template, left_out)),
        queues=tuple(queues.read_queues(template, left_out)),
        tables=tuple(tables.read_tables(template, left_out)),
        streams=tuple(streams.read_streams(template, left_out)),
    )
    plan = _with_what_delivers(plan, template, left_out)
    stores = (*plan.queues, *plan.streams, *plan.tables, *plan.event_rules)
    if not plan.functions and not plan.ways_in and (not_run or not stores):
        raise BadTemplate(_nothing(not_run, template))
    _name_other_resources(template, plan, left_out)
    return replace(plan, left_out=tuple(left_out))


def _with_what_delivers(plan: Plan, template: Template, left_out: LeftOut) -> Plan:
    """A plan with the event source mappings, the event buses and their rules."""
    mappings = [*event_source_mappings.read_mappings(template, left_out)]
    buses = tuple(event_buses.read_buses(template, left_out))
    return replace(
        plan,
        mappings=tuple(one for one in mappings if isinstance(one, EventSourceMapping)),
        stream_mappings=tuple(one for one in mappings if isinstance(one, StreamMapping)),
        event_buses=buses,
        event_rules=tuple(event_buses.read_rules(template, buses, left_out)),
    )


def _assumptions(template: Template) -> LeftOut:
    found = LeftOut()
    for sentence, place in template.notes:
        found.add(sentence, place)
    return found


def _unknown_parts(template: Template) -> LeftOut:
    found = LeftOut()
    for name, place in template.unresolved:
        found.add(f"{name} is not computed", place)
    for name in template.absent:
        found.add("its condition is false", name)
    return found


def _nothing(not_run: Mapping[str, str], template: Template) -> str:
    if not not_run and template.absent:
        names = ", ".join(template.absent[:_MAX_NAMED])
        return f"the template has nothing to serve: conditions leave out {names}. Fix: change them with --parameter"
    if not not_run:
        return "the template has nothing to serve. Fix: add an AWS::Serverless::Function with CodeUri"
    reasons = "; ".join(f"{name}: {reason}"[:_MAX_CHARACTERS] for name, reason in sorted(not_run.items())[:_MAX_NAMED])
    more = f"; and {len(not_run) - _MAX_NAMED} more" if len(not_run) > _MAX_NAMED else ""
    return f"no function of the template can run here ({reasons}{more}). Fix: give one of them local code"


def _name_other_resources(template: Template, plan: Plan, left_out: LeftOut) -> None:
    """Names each resource type that is not served, with the consequence of its absence."""
    evaluated = {policy.name for service in plan.services for policy in service.policies}
    evaluated |= {grant.name for url in plan.function_urls for grant in url.grants}
    for resource in template.resources.values():
        if resource.type not in SERVED and resource.id not in evaluated:
            meaning = WITHOUT_MEANING_HERE.get(resource.type)
            left_out.add(f"{resource.type}: {meaning}" if meaning else resource.type, resource.id)
