"""Roles and their policies, as IAM tells; and when what the map is in was changed last.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lattice_bridge.deployment.doctor_aws import Aws
from lattice_bridge.deployment.doctor_config import NamedRole
from lattice_bridge.deployment.doctor_facts import Function, MapRole, Rights
from lattice_bridge.deployment.doctor_finding import Read, Unread
from lattice_bridge.deployment.doctor_policy import BadPolicy, Statement, read_policy
from lattice_bridge.place import CONFIG_VARIABLE


def read_rights(aws: Aws, role: str, account: str) -> Read[Rights]:
    """What a role may do: its inline policies, the attached ones, and its permissions boundary.

    Args:
        role: its ARN.
        account: of the credentials. IAM is asked by name alone, and would answer for this account's role of that name.
    """
    if f"::{account}:" not in role:
        return Unread("iam:GetRole", role, "AnotherAccount")
    name = role.rpartition("/")[2]
    answer = aws.read("iam", "get_role", role, RoleName=name)
    if answer is None:
        return Unread("iam:GetRole", role, "NoSuchEntity")
    if isinstance(answer, Unread):
        return answer
    boundary = (answer["Role"].get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return Rights(_statements(aws, role, name), _managed(aws, boundary) if boundary else None)


def _statements(aws: Aws, role: str, name: str) -> Read[tuple[Statement, ...]]:
    inline = aws.read("iam", "list_role_policies", role, RoleName=name)
    attached = aws.read("iam", "list_attached_role_policies", role, RoleName=name)
    if isinstance(inline, Unread):
        return inline
    if isinstance(attached, Unread):
        return attached
    parts = [_inline(aws, role, name, str(policy)) for policy in (inline or {}).get("PolicyNames", ())]
    parts += [_managed(aws, str(policy["PolicyArn"])) for policy in (attached or {}).get("AttachedPolicies", ())]
    statements: list[Statement] = []
    for part in parts:
        if isinstance(part, Unread):
            return part
        statements += part
    return tuple(statements)


def _inline(aws: Aws, role: str, name: str, policy: str) -> Read[tuple[Statement, ...]]:
    answer = aws.read("iam", "get_role_policy", role, RoleName=name, PolicyName=policy)
    return _document(answer, "PolicyDocument", Unread("iam:GetRolePolicy", role, "not a policy"))


def _managed(aws: Aws, arn: str) -> Read[tuple[Statement, ...]]:
    answer = aws.read("iam", "get_policy", arn, PolicyArn=arn)
    if isinstance(answer, Unread):
        return answer
    version = str(((answer or {}).get("Policy") or {}).get("DefaultVersionId", ""))
    found = aws.read("iam", "get_policy_version", arn, PolicyArn=arn, VersionId=version)
    inner = found["PolicyVersion"] if isinstance(found, dict) else found
    return _document(inner, "Document", Unread("iam:GetPolicyVersion", arn, "not a policy"))


def _document(answer: object, key: str, otherwise: Unread) -> Read[tuple[Statement, ...]]:
    if isinstance(answer, Unread):
        return answer
    try:
        return read_policy(answer[key] if isinstance(answer, dict) else None)
    except BadPolicy:
        return otherwise


def read_map_roles(aws: Aws, roles: Iterable[NamedRole]) -> tuple[MapRole, ...]:
    """When each of the roles was created."""
    return tuple(MapRole(role, _created(aws, role)) for role in roles)


def _created(aws: Aws, role: NamedRole) -> Read[datetime | None]:
    answer = aws.read("iam", "get_role", role.arn, RoleName=role.name)
    if answer is None or isinstance(answer, Unread):
        return answer
    created: datetime = answer["Role"]["CreateDate"]
    return created


def read_map_written(aws: Aws, function: Read[Function]) -> Read[datetime | None]:
    """When the map was changed last: the object in S3, the parameter of SSM, or the function that it is packed with.
    None if AWS does not say."""
    if isinstance(function, Unread):
        return None  # said of the function
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        bucket, _, key = place.removeprefix("s3://").partition("/")
        answer = aws.read("s3", "list_objects_v2", f"arn:aws:s3:::{bucket}", Bucket=bucket, Prefix=key, MaxKeys=1)
        return answer if isinstance(answer, Unread) else _dated(answer, "Contents", "Key", key, "LastModified")
    if place.startswith("ssm:"):
        name = place.removeprefix("ssm:")
        asked = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        answer = aws.read("ssm", "describe_parameters", "*", ParameterFilters=asked)
        return answer if isinstance(answer, Unread) else _dated(answer, "Parameters", "Name", name, "LastModifiedDate")
    return function.modified


def _dated(answer: object, items: str, key: str, name: str, date: str) -> datetime | None:
    found = answer.get(items, ()) if isinstance(answer, dict) else ()
    return next((one[date] for one in found if one.get(key) == name), None)
