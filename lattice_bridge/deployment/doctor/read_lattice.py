"""Target groups and services, as VPC Lattice tells.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lattice_bridge.deployment.doctor.facts import AuthPolicy, Door, Listener, Name, Service, TargetGroup, target_name
from lattice_bridge.deployment.doctor.findings import Read, Unread
from lattice_bridge.deployment.doctor.read import Answer, Aws, items_of, part_of, text_of
from lattice_bridge.deployment.iam.policy import BadPolicy, read_statements

_GROUP: Final = re.compile(r"arn:[a-z0-9-]+:vpc-lattice:[a-z0-9-]+:[0-9]{12}:targetgroup/tg-[0-9a-z]{17}")


def read_groups(aws: Aws, bridge: Name, doors: Iterable[Door]) -> tuple[tuple[Read[TargetGroup], ...], Read[None]]:
    """The target groups that send to the function, and whether all could be looked through.

    Where a group's targets cannot be read, it counts if the function's own policy names it. Another account's is not
    asked for: whatever it sends to, it is not this stack's.
    """
    listing = aws.read_as(_group_arns, "vpc-lattice", "list_target_groups", "*", targetGroupType="LAMBDA")
    named = dict.fromkeys(arn for arn in _named_in(doors) if arn.split(":")[4] == bridge.account)
    unseen: Read[None] = listing if isinstance(listing, Unread) else None
    found: dict[str, Read[tuple[str, ...]]] = {}
    arns = () if listing is None or isinstance(listing, Unread) else listing
    for arn in dict.fromkeys((*arns, *named)):
        targets = _targets(aws, arn)
        if isinstance(targets, Unread):
            if arn in named:
                found[arn] = targets
            elif unseen is None:
                unseen = targets
        elif any(target_name(target, bridge) for target in targets):
            found[arn] = targets
    groups = (_group(aws, arn, targets) for arn, targets in found.items())
    return tuple(group for group in groups if group is not None), unseen


def _group_arns(answer: Answer) -> tuple[str, ...]:
    return tuple(text_of(one, "arn") for one in items_of(answer, "items", is_required=False))


def _named_in(doors: Iterable[Door]) -> Iterator[str]:
    for door in doors:
        if not isinstance(door.statements, Unread):
            for statement in door.statements:
                sources = statement.values("aws:sourcearn") or ()
                yield from (source.text for source in sources if _GROUP.fullmatch(source.text))


def _targets(aws: Aws, arn: str) -> Read[tuple[str, ...]]:
    return aws.read_as(_target_ids, "vpc-lattice", "list_targets", arn, targetGroupIdentifier=arn) or ()


def _target_ids(answer: Answer) -> tuple[str, ...]:
    return tuple(text_of(found, "id") for found in items_of(answer, "items"))


def _group(aws: Aws, arn: str, targets: Read[tuple[str, ...]]) -> Read[TargetGroup] | None:
    def parse(answer: Answer) -> TargetGroup:
        version = part_of(answer, "config").get("lambdaEventStructureVersion")
        return TargetGroup(
            arn,
            str(answer.get("name", arn.rpartition("/")[2])),
            None if version is None else str(version),
            str(answer.get("status", "ACTIVE")),
            targets,
            tuple(map(str, items_of(answer, "serviceArns", is_required=False))),
        )

    return aws.read_as(parse, "vpc-lattice", "get_target_group", arn, targetGroupIdentifier=arn)


def read_services(aws: Aws, asked: str | None, groups: Iterable[Read[TargetGroup]]) -> dict[str, Read[Service | None]]:
    """The service that was asked for, and those that forward to the groups, by what they were asked for with."""
    arns = [arn for group in groups if isinstance(group, TargetGroup) for arn in group.services]
    if asked and not any(asked in (arn, arn.rpartition("/")[2]) for arn in arns):
        arns.append(asked)
    return {arn: read_service(aws, arn) for arn in dict.fromkeys(arns)}


def read_service(aws: Aws, identifier: str) -> Read[Service | None]:
    """A service by its ARN or id, with its auth policy and listeners; None if there is none."""

    def parse(answer: Answer) -> Service:
        arn = str(answer.get("arn", identifier))
        return Service(
            arn,
            str(answer.get("name", identifier)),
            str(answer.get("authType", "NONE")),
            _auth_policy(aws, identifier, arn),
            _listeners(aws, identifier, arn),
        )

    return aws.read_as(parse, "vpc-lattice", "get_service", identifier, serviceIdentifier=identifier)


def _auth_policy(aws: Aws, identifier: str, arn: str) -> Read[AuthPolicy | None]:
    """A service without one is answered with no policy, or with an empty one."""

    def parse(answer: Answer) -> Read[AuthPolicy | None]:
        if answer.get("policy") in (None, ""):
            return None
        try:
            return AuthPolicy(str(answer.get("state", "Active")), read_statements(answer["policy"]))
        except BadPolicy as error:
            return Unread("vpc-lattice:GetAuthPolicy", arn, str(error))

    return aws.read_as(parse, "vpc-lattice", "get_auth_policy", arn, resourceIdentifier=identifier)


def _listeners(aws: Aws, identifier: str, arn: str) -> Read[tuple[Listener, ...]]:
    return aws.read_as(_listeners_in, "vpc-lattice", "list_listeners", arn, serviceIdentifier=identifier) or ()


def _listeners_in(answer: Answer) -> tuple[Listener, ...]:
    return tuple(
        Listener(text_of(one, "arn"), text_of(one, "protocol"), int(one["port"])) for one in items_of(answer, "items")
    )
