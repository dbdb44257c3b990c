"""Fronts besides VPC Lattice: API Gateway, load balancers, the function URL and event buses, as bridge.toml has them.

Rule: a front may invoke the bridge only from what bridge.toml lists. A statement without such a source admits the APIs
and load balancers of every account, whose owners write the caller's identity into the event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.options import Options
from lattice_bridge.deployment.doctor.facts import FunctionName
from lattice_bridge.deployment.iam.policy import ConditionValue, Statement
from lattice_bridge.deployment.sources.buses import EVENTS
from lattice_bridge.deployment.sources.facts import name_of_source
from lattice_bridge.events.record import BUS, service_of

GATEWAY: Final = "apigateway.amazonaws.com"
BALANCER: Final = "elasticloadbalancing.amazonaws.com"
_SOURCE: Final = "aws:sourcearn"
_URL_AUTH: Final = "lambda:functionurlauthtype"
_INVOKE_URL: Final = "lambda:invokefunctionurl"
_VIA_URL: Final = "lambda:invokedviafunctionurl"
_API: Final = re.compile(r"arn:[^:]*:execute-api:(?P<region>[^:*?]+):(?P<account>[0-9]{12}):(?P<api>[a-z0-9]+)/.*")


def enabled_fronts(options: Options) -> frozenset[tuple[str, str]]:
    """The principals that bridge.toml enables, as (kind, name)."""
    found = {GATEWAY: options.apis, BALANCER: options.target_groups, EVENTS: _buses(options)}
    return frozenset(("Service", name) for name, listed in found.items() if listed)


def expected_fronts(options: Options) -> Iterator[str]:
    """What may invoke the bridge besides Lattice, in words."""
    if options.apis:
        yield f"{GATEWAY} from the APIs {', '.join(sorted(options.apis))}"
    if options.target_groups:
        yield f"{BALANCER} from the target groups in [alb]"
    if options.function_url:
        yield "signed callers of the function URL"
    for bus in _buses(options):
        yield f"{EVENTS} from rules of the event bus {name_of_source(bus)}"


def _buses(options: Options) -> list[str]:
    """The ARN of the event bus that bridge.toml has, if it has one."""
    return [one.arn for one in options.event_sources if service_of(one.arn) == BUS]


def needs_no_lattice(options: Options) -> bool:
    """Whether bridge.toml has other ways in than Lattice: a front, or nothing but queues."""
    return any(expected_fronts(options)) or (bool(options.event_sources) and not options.backends)


def is_only_for_url(statement: Statement) -> bool:
    """Whether a statement allows calls of a function URL that authenticates, and nothing else."""
    auth = statement.values(_URL_AUTH)
    by_action = bool(statement.actions) and all(one.lower() == _INVOKE_URL for one in statement.actions)
    by_condition = any(
        (operator, key) == ("bool", _VIA_URL) and [one.lower() for one in values] == ["true"]
        for operator, key, values in statement.conditions
    )
    is_signed = auth is None or [one.text for one in auth] == ["AWS_IAM"]
    return statement.not_actions is None and (by_action or by_condition) and is_signed


def front_problem(statement: Statement, name: FunctionName, options: Options) -> str | None:
    """What a statement for a front allows too much; None if its source is listed in bridge.toml."""
    principals = [one for _kind, one in statement.principals]
    sources = statement.values(_SOURCE)
    who = " and ".join(principals)
    if sources is None:
        what = {GATEWAY: "API", EVENTS: "rule"}.get(who, "load balancer")
        return f"{who} may invoke it from any {what} of any account: no aws:SourceArn"
    wrong = [one.text for one in sources if not _is_listed(one, principals, name, options)]
    if principals == [EVENTS] and wrong:
        return f"{who} may invoke it from {', '.join(wrong)}, which is not one rule of the bus in bridge.toml"
    return f"{who} may invoke it from {', '.join(wrong)}, which bridge.toml does not list" if wrong else None


def _is_listed(source: ConditionValue, principals: list[str], name: FunctionName, options: Options) -> bool:
    if principals == [BALANCER]:
        return not source.is_pattern and source.text in options.target_groups
    if principals == [EVENTS]:
        return not source.is_pattern and _is_of_bus(source.text, options)
    found = _API.fullmatch(source.text)
    if principals != [GATEWAY] or found is None:
        return False
    return (found["region"], found["account"]) == (name.region, name.account) and found["api"] in options.apis


def _is_of_bus(rule: str, options: Options) -> bool:
    """Whether an ARN is that of a rule of the bus in bridge.toml, or of the default bus, to which schedules belong."""
    for bus in _buses(options):
        home, _, name = bus.partition(":event-bus/")
        path = rule.removeprefix(f"{home}:rule/")
        if path != rule and path.rpartition("/")[0] in ("", name):
            return True
    return False
