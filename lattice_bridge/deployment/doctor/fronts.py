"""Fronts besides VPC Lattice: API Gateway, load balancers and the function URL, as far as bridge.toml enables them.

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

GATEWAY: Final = "apigateway.amazonaws.com"
BALANCER: Final = "elasticloadbalancing.amazonaws.com"
_SOURCE: Final = "aws:sourcearn"
_URL_AUTH: Final = "lambda:functionurlauthtype"
_INVOKE_URL: Final = "lambda:invokefunctionurl"
_VIA_URL: Final = "lambda:invokedviafunctionurl"
_API: Final = re.compile(r"arn:[^:]*:execute-api:(?P<region>[^:*?]+):(?P<account>[0-9]{12}):(?P<api>[a-z0-9]+)/.*")


def enabled_fronts(options: Options) -> frozenset[tuple[str, str]]:
    """The principals that bridge.toml enables, as (kind, name)."""
    found = {GATEWAY: options.apis, BALANCER: options.target_groups}
    return frozenset(("Service", name) for name, listed in found.items() if listed)


def expected_fronts(options: Options) -> Iterator[str]:
    """What may invoke the bridge besides Lattice, in words."""
    if options.apis:
        yield f"{GATEWAY} from the APIs {', '.join(sorted(options.apis))}"
    if options.target_groups:
        yield f"{BALANCER} from the target groups in [alb]"
    if options.function_url:
        yield "signed callers of the function URL"


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
        what = "API" if principals == [GATEWAY] else "load balancer"
        return f"{who} may invoke it from any {what} of any account: no aws:SourceArn"
    wrong = [one.text for one in sources if not _is_listed(one, principals, name, options)]
    return f"{who} may invoke it from {', '.join(wrong)}, which bridge.toml does not list" if wrong else None


def _is_listed(source: ConditionValue, principals: list[str], name: FunctionName, options: Options) -> bool:
    if principals == [BALANCER]:
        return not source.is_pattern and source.text in options.target_groups
    found = _API.fullmatch(source.text)
    if principals != [GATEWAY] or found is None:
        return False
    return (found["region"], found["account"]) == (name.region, name.account) and found["api"] in options.apis
