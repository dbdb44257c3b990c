"""Functions, their aliases and who may invoke them, as Lambda tells.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Any, Final

from lattice_bridge.deployment.doctor_aws import Answer, Aws
from lattice_bridge.deployment.doctor_facts import Door, Function, Name
from lattice_bridge.deployment.doctor_finding import Read, Unread
from lattice_bridge.deployment.doctor_policy import BadPolicy, Statement, read_policy

_NAMED: Final = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]):)?"
    r"(?:(?P<account>[0-9]{12}):)?(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})"
    r"(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)


def name_of(text: str, partition: str, region: str, account: str) -> Name | None:
    """A function as people name it: a name, a partial ARN or an ARN, with an optional qualifier; None if it is none.

    Args:
        text: what they wrote.
        partition, region, account: where it is, if that does not say.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        return None
    place = f"{found['partition'] or partition}:lambda:{found['region'] or region}:{found['account'] or account}"
    return Name(f"arn:{place}:function:{found['name']}", found["qualifier"])


def _asked(name: Name) -> dict[str, str]:
    return {"FunctionName": name.arn, **({"Qualifier": name.qualifier} if name.qualifier else {})}


def read_function(aws: Aws, name: Name) -> Read[Function | None]:
    """Its configuration, under the name that was asked for; None if there is none."""
    answer = aws.read("lambda", "get_function_configuration", name.qualified, **_asked(name))
    return answer if answer is None or isinstance(answer, Unread) else _function(answer)


def _function(found: Answer) -> Function:
    logging = found.get("LoggingConfig") or {}
    variables = (found.get("Environment") or {}).get("Variables") or {}
    return Function(
        runtime=found.get("Runtime"),
        handler=found.get("Handler"),
        role=str(found.get("Role", "")),
        timeout=int(found.get("Timeout", 3)),
        log_format=str(logging.get("LogFormat") or "Text"),
        log_group=str(logging.get("LogGroup") or f"/aws/lambda/{found.get('FunctionName')}"),
        modified=_moment(found.get("LastModified")),
        isolated=(found.get("TenancyConfig") or {}).get("TenantIsolationMode") == "PER_TENANT",
        state=str(found.get("State") or "Active"),
        variables={name: value for name, value in variables.items() if name.startswith("LATTICE_BRIDGE_")},
    )


def _moment(found: Any) -> datetime | None:
    """`2026-11-01T10:00:00.000+0000`, as Lambda alone writes it."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(str(found))
        return moment if moment.tzinfo else None
    return None


def read_aliases(aws: Aws, name: Name) -> Read[tuple[str, ...]]:
    """The function's aliases."""
    answer = aws.read("lambda", "list_aliases", name.arn, FunctionName=name.arn)
    if isinstance(answer, Unread):
        return answer
    return tuple(str(found["Name"]) for found in (answer or {}).get("Aliases", ()))


def read_doors(aws: Aws, name: Name, aliases: Read[tuple[str, ...]]) -> tuple[Door, ...]:
    """The resource policies of the function itself, of each alias that is known, and of the name that was asked for."""
    known = () if isinstance(aliases, Unread) else aliases
    qualifiers = dict.fromkeys([None, *known, name.qualifier])
    return tuple(read_door(aws, Name(name.arn, qualifier)) for qualifier in qualifiers)


def read_door(aws: Aws, name: Name) -> Door:
    """The resource policy of one of a function's names."""
    answer = aws.read("lambda", "get_policy", name.qualified, **_asked(name))
    if answer is None:
        return Door(name, ())
    return Door(name, answer if isinstance(answer, Unread) else _statements(answer, name))


def _statements(answer: Answer, name: Name) -> Read[tuple[Statement, ...]]:
    try:
        return read_policy(answer.get("Policy"))
    except BadPolicy as error:
        return Unread("lambda:GetPolicy", name.qualified, str(error))


def read_urls(aws: Aws, name: Name) -> Read[tuple[str, ...]]:
    """The ARNs, with qualifiers, of its names that have a function URL."""
    answer = aws.read("lambda", "list_function_url_configs", name.arn, FunctionName=name.arn)
    if isinstance(answer, Unread):
        return answer
    return tuple(str(found["FunctionArn"]) for found in (answer or {}).get("FunctionUrlConfigs", ()))


def read_sources(aws: Aws, name: Name) -> Read[tuple[tuple[str, str], ...]]:
    """UUID and source of the event source mappings of the function, and of the name that was asked for."""
    sources: dict[str, str] = {}
    for asked in dict.fromkeys((name.arn, name.qualified)):
        answer = aws.read("lambda", "list_event_source_mappings", asked, FunctionName=asked)
        if isinstance(answer, Unread):
            return answer
        for found in (answer or {}).get("EventSourceMappings", ()):
            sources[str(found["UUID"])] = str(found.get("EventSourceArn") or "a source of its own")
    return tuple(sources.items())
