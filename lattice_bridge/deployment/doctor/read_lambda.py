"""Functions, their aliases and who may invoke them, as Lambda tells.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from lattice_bridge.deployment.doctor.facts import LATEST, Alias, Door, Function, Name
from lattice_bridge.deployment.doctor.findings import Read, Unread
from lattice_bridge.deployment.doctor.read import Answer, Aws, items_of, part_of, text_of
from lattice_bridge.deployment.iam.policy import BadPolicy, Statement, read_policy

_NAMED: Final = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]):)?"
    r"(?:(?P<account>[0-9]{12}):)?(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})"
    r"(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/.+")

MOST_VERSIONS: Final = 50
"""Of the versions that nothing names, whose policies are read: one call each."""


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
    return aws.read_as(_function, "lambda", "get_function_configuration", name.qualified, **_asked(name))


def _function(found: Answer) -> Function:
    logging = part_of(found, "LoggingConfig")
    variables = part_of(part_of(found, "Environment"), "Variables")
    return Function(
        runtime=_text_or_none(found, "Runtime"),
        handler=_text_or_none(found, "Handler"),
        role=_role(found),
        timeout=int(found.get("Timeout", 3)),
        log_format=str(logging.get("LogFormat") or "Text"),
        log_group=str(logging.get("LogGroup") or f"/aws/lambda/{found.get('FunctionName')}"),
        modified=_moment(found.get("LastModified")),
        isolated=part_of(found, "TenancyConfig").get("TenantIsolationMode") == "PER_TENANT",
        state=str(found.get("State") or "Active"),
        update=str(found.get("LastUpdateStatus") or "Successful"),
        variables={name: str(value) for name, value in variables.items() if name.startswith("LATTICE_BRIDGE_")},
    )


def _text_or_none(found: Answer, member: str) -> str | None:
    return None if found.get(member) is None else text_of(found, member)


def _role(found: Answer) -> str:
    role = text_of(found, "Role")
    if not _ROLE.fullmatch(role):
        raise ValueError(role)
    return role


def _moment(found: Any) -> datetime | None:
    """`2026-11-01T10:00:00.000+0000`, as Lambda alone writes it."""
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(str(found))
        return moment if moment.tzinfo else None
    return None


def read_aliases(aws: Aws, name: Name) -> Read[tuple[Alias, ...]]:
    """The function's aliases."""
    return aws.read_as(_aliases, "lambda", "list_aliases", name.arn, FunctionName=name.arn) or ()


def _aliases(answer: Answer) -> tuple[Alias, ...]:
    return tuple(map(_alias, items_of(answer, "Aliases", is_required=False)))


def _alias(found: Answer) -> Alias:
    shares = part_of(part_of(found, "RoutingConfig"), "AdditionalVersionWeights")
    return Alias(
        text_of(found, "Name"),
        str(found.get("FunctionVersion", LATEST)),
        tuple((str(version), float(share)) for version, share in shares.items()),
    )


def read_doors(
    aws: Aws, name: Name, aliases: Read[tuple[Alias, ...]], named: Iterable[str | None] = ()
) -> tuple[tuple[Door, ...], Read[int]]:
    """The resource policies of a function, and how many of its versions were left out.

    Of the function itself, of `named`, of each alias and the versions that it is for, and of the newest other versions,
    MOST_VERSIONS of them: whoever may invoke a version that nothing else uses runs it all the same.

    Args:
        named: more of its aliases and versions, which targets name, or people.
    """
    known = () if isinstance(aliases, Unread) else aliases
    wanted = [*named, *(alias.name for alias in known), *(one for alias in known for one in alias.versions)]
    qualifiers = dict.fromkeys(None if one == LATEST else one for one in (None, *wanted))
    versions = _versions(aws, name)
    rest = () if isinstance(versions, Unread) else [one for one in versions if one not in qualifiers]
    doors = (read_door(aws, Name(name.arn, one)) for one in (*qualifiers, *rest[:MOST_VERSIONS]))
    return tuple(doors), versions if isinstance(versions, Unread) else max(0, len(rest) - MOST_VERSIONS)


def _versions(aws: Aws, name: Name) -> Read[list[str]]:
    """The published ones, the newest first."""
    return aws.read_as(_numbers, "lambda", "list_versions_by_function", name.arn, FunctionName=name.arn) or []


def _numbers(answer: Answer) -> list[str]:
    numbers = (text_of(found, "Version") for found in items_of(answer, "Versions", is_required=False))
    return sorted((one for one in numbers if _NUMBER.fullmatch(one)), key=int, reverse=True)


def read_door(aws: Aws, name: Name) -> Door:
    """The resource policy of one of a function's names."""

    def parse(answer: Answer) -> Read[tuple[Statement, ...]]:
        try:
            return read_policy(answer.get("Policy"))
        except BadPolicy as error:
            return Unread("lambda:GetPolicy", name.qualified, str(error))

    return Door(name, aws.read_as(parse, "lambda", "get_policy", name.qualified, **_asked(name)) or ())


def read_urls(aws: Aws, name: Name) -> Read[tuple[str, ...]]:
    """The ARNs, with qualifiers, of its names that have a function URL."""
    return aws.read_as(_url_names, "lambda", "list_function_url_configs", name.arn, FunctionName=name.arn) or ()


def _url_names(answer: Answer) -> tuple[str, ...]:
    return tuple(text_of(found, "FunctionArn") for found in items_of(answer, "FunctionUrlConfigs"))


def read_sources(aws: Aws, names: Iterable[Name]) -> Read[tuple[tuple[str, str], ...]]:
    """UUID and source of the event source mappings of each of a function's names: they are listed by name."""
    sources: dict[str, str] = {}
    for asked in dict.fromkeys(name.qualified for name in names):
        found = aws.read_as(_sources, "lambda", "list_event_source_mappings", asked, FunctionName=asked)
        if isinstance(found, Unread):
            return found
        sources.update(found or {})
    return tuple(sources.items())


def _sources(answer: Answer) -> dict[str, str]:
    found = items_of(answer, "EventSourceMappings", is_required=False)
    return {text_of(one, "UUID"): str(one.get("EventSourceArn") or "a source of its own") for one in found}
