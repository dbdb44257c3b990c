"""AWS, read and never written.

Rule: no operation is called that does not stand in `READS`. A call that is denied or fails is an `Unread`, as is an
answer that is not what AWS documents, and what is not there is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from lattice_bridge.aws import code_of
from lattice_bridge.deployment.doctor.findings import Read, Unread

READS: Final[Mapping[tuple[str, str], str]] = {
    ("lambda", "get_function_configuration"): "lambda:GetFunctionConfiguration",
    ("lambda", "get_policy"): "lambda:GetPolicy",
    ("lambda", "list_aliases"): "lambda:ListAliases",
    ("lambda", "list_event_source_mappings"): "lambda:ListEventSourceMappings",
    ("lambda", "list_function_url_configs"): "lambda:ListFunctionUrlConfigs",
    ("lambda", "list_versions_by_function"): "lambda:ListVersionsByFunction",
    ("vpc-lattice", "get_auth_policy"): "vpc-lattice:GetAuthPolicy",
    ("vpc-lattice", "get_service"): "vpc-lattice:GetService",
    ("vpc-lattice", "get_target_group"): "vpc-lattice:GetTargetGroup",
    ("vpc-lattice", "list_listeners"): "vpc-lattice:ListListeners",
    ("vpc-lattice", "list_target_groups"): "vpc-lattice:ListTargetGroups",
    ("vpc-lattice", "list_targets"): "vpc-lattice:ListTargets",
    ("iam", "get_policy"): "iam:GetPolicy",
    ("iam", "get_policy_version"): "iam:GetPolicyVersion",
    ("iam", "get_role"): "iam:GetRole",
    ("iam", "get_role_policy"): "iam:GetRolePolicy",
    ("iam", "get_user"): "iam:GetUser",
    ("iam", "list_attached_role_policies"): "iam:ListAttachedRolePolicies",
    ("iam", "list_role_policies"): "iam:ListRolePolicies",
    ("s3", "list_objects_v2"): "s3:ListBucket",
    ("ssm", "describe_parameters"): "ssm:DescribeParameters",
    ("sts", "get_caller_identity"): "sts:GetCallerIdentity",
}
"""(service, method of its client) → the permission that the call needs."""

PAGED: Final = frozenset(
    {
        *("list_aliases", "list_event_source_mappings", "list_function_url_configs"),
        "list_versions_by_function",
        *("list_listeners", "list_target_groups", "list_targets"),
        *("list_attached_role_policies", "list_role_policies", "describe_parameters"),
    }
)

ABSENT: Final = frozenset({"ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket"})

MOST_PAGES: Final = 200
"""Of one answer: twenty thousand target groups, ten thousand versions. Whoever answers could go on for ever."""

_UNEXPECTED: Final = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What taking an answer apart ends in, if it is another than AWS documents."""

Answer = Mapping[str, Any]
T = TypeVar("T")


class TooManyPages(Exception):
    """More than MOST_PAGES."""


class Aws:
    """Reads of one account and region. What was asked once is not asked again.

    Args:
        connect: boto3's client for a service, by its name.
    """

    def __init__(self, connect: Callable[[str], Any]) -> None:
        self._connect = connect
        self._clients: dict[str, Any] = {}
        self._answers: dict[str, Answer | Unread | None] = {}

    def read(self, service: str, method: str, resource: str, **arguments: Any) -> Answer | Unread | None:
        """The answer, all pages of it; None if there is no such thing.

        Args:
            service: as boto3 calls it.
            method: of its client; one of `READS`.
            resource: what is asked for, as a policy would name it.
            arguments: the method's.
        """
        permission = READS[service, method]
        asked = repr((service, method, sorted(arguments.items())))
        if asked not in self._answers:
            self._answers[asked] = self._read(service, method, arguments, permission, resource)
        return self._answers[asked]

    def read_as(
        self, parse: Callable[[Answer], T], service: str, method: str, resource: str, **arguments: Any
    ) -> Read[T | None]:
        """What `parse` makes of the answer; `Unread` if it can make nothing of it."""
        answer = self.read(service, method, resource, **arguments)
        if answer is None or isinstance(answer, Unread):
            return answer
        try:
            return parse(answer)
        except _UNEXPECTED:
            return Unread(READS[service, method], resource, "unexpected answer")

    def _read(
        self, service: str, method: str, arguments: Mapping[str, Any], permission: str, resource: str
    ) -> Answer | Unread | None:
        found: Answer
        try:
            client = self._client(service)
            if method in PAGED:
                found = _whole(client.get_paginator(method).paginate(**arguments))
            else:
                found = getattr(client, method)(**arguments)
        except Exception as error:  # botocore's errors have no common base, and a line is left whatever it was
            code = code_of(error)
            return None if code in ABSENT else Unread(permission, resource, code)
        return found

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._connect(service)
        return self._clients[service]


def _whole(pages: Iterable[Answer]) -> Answer:
    """The lists of all pages, each in one; of what is none, the last page's."""
    whole: dict[str, Any] = {}
    for number, page in enumerate(pages):
        if number == MOST_PAGES:
            raise TooManyPages
        for member, found in page.items():
            if isinstance(found, list):
                whole.setdefault(member, []).extend(found)
            else:
                whole[member] = found
    return whole


# ---- parts of an answer: a KeyError, TypeError or ValueError if they are others --------------------------------------


def items_of(answer: Answer, member: str, *, is_required: bool = True) -> list[Any]:
    """A list. Not required: one that botocore's model of the answer does not require either, and so may be left out."""
    found = answer[member] if is_required else answer.get(member, [])
    if not isinstance(found, list):
        raise TypeError(member)
    return found


def part_of(answer: Answer, member: str) -> Answer:
    """An object, which may be left out or null."""
    found = answer.get(member)
    if found is not None and not isinstance(found, Mapping):
        raise TypeError(member)
    return found or {}


def text_of(answer: Answer, member: str) -> str:
    """A text that has to be there."""
    found = answer[member]
    if not isinstance(found, str):
        raise TypeError(member)
    return found


def moment_of(answer: Answer, member: str) -> datetime:
    """A date of a known zone, as botocore makes it."""
    found = answer[member]
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise TypeError(member)
    return found
