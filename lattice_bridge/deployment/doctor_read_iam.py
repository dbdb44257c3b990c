"""Roles and their policies, as IAM tells; and when what the map is in was changed last.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lattice_bridge.deployment.doctor_aws import Answer, Aws
from lattice_bridge.deployment.doctor_config import NamedRole
from lattice_bridge.deployment.doctor_facts import Function, MapRole, Rights
from lattice_bridge.deployment.doctor_finding import Read, Unread
from lattice_bridge.deployment.doctor_policy import BadPolicy, Statement, read_policy
from lattice_bridge.place import CONFIG_VARIABLE


def read_rights(aws: Aws, role: str, account: str) -> Read[Rights | None]:
    """What a role may do, and who may assume it: its inline policies, the attached ones, its permissions boundary and
    its trust policy. None if there is no such role.

    Args:
        role: its ARN.
        account: of the credentials. IAM is asked by name alone, and would answer for this account's role of that name.
    """
    if f"::{account}:" not in role:
        return Unread("iam:GetRole", role, "of another account")
    name = role.rpartition("/")[2]
    answer = aws.read("iam", "get_role", role, RoleName=name)
    if answer is None or isinstance(answer, Unread):
        return answer
    boundary = (answer["Role"].get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    inline = aws.read("iam", "list_role_policies", role, RoleName=name)
    names = () if isinstance(inline, Unread) else tuple(map(str, (inline or {}).get("PolicyNames", ())))
    return Rights(
        inline if isinstance(inline, Unread) else _rights_in(aws, role, name, names),
        _managed(aws, boundary) if boundary else None,
        _document(answer["Role"], "AssumeRolePolicyDocument", Unread("iam:GetRole", role, "not a policy")),
        names,
    )


def _rights_in(aws: Aws, role: str, name: str, inline: Iterable[str]) -> Read[tuple[Statement, ...]]:
    attached = aws.read("iam", "list_attached_role_policies", role, RoleName=name)
    if isinstance(attached, Unread):
        return attached
    parts = [_inline(aws, role, name, policy) for policy in inline]
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
    document = answer.get(key) if isinstance(answer, dict) else None
    try:
        return otherwise if document is None else read_policy(document)
    except BadPolicy:
        return otherwise


def read_map_roles(aws: Aws, roles: Iterable[NamedRole]) -> tuple[MapRole, ...]:
    """When each of the roles and users was created."""
    return tuple(MapRole(role, _created(aws, role)) for role in roles)


def _created(aws: Aws, named: NamedRole) -> Read[datetime | None]:
    if named.kind == "user":
        answer = aws.read("iam", "get_user", named.arn, UserName=named.name)
    else:
        answer = aws.read("iam", "get_role", named.arn, RoleName=named.name)
    if answer is None or isinstance(answer, Unread):
        return answer
    created: datetime = answer["User" if named.kind == "user" else "Role"]["CreateDate"]
    return created


def read_map_written(aws: Aws, function: Read[Function]) -> tuple[Read[datetime | None], bool]:
    """When the map was changed last, and whether AWS says that there is none: the object in S3, the parameter of SSM,
    or the function that it is packed with. No date if AWS does not say."""
    if isinstance(function, Unread):
        return None, False  # said of the function
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        bucket, _, key = place.removeprefix("s3://").partition("/")
        on = f"arn:{function.role.split(':')[1]}:s3:::{bucket}"  # buckets are of the partition that the function is in
        answer = aws.read("s3", "list_objects_v2", on, Bucket=bucket, Prefix=key, MaxKeys=1)
        return _dated(answer, "Contents", "Key", key, "LastModified")
    if place.startswith("ssm:"):
        name = place.removeprefix("ssm:")
        asked = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        answer = aws.read("ssm", "describe_parameters", "*", ParameterFilters=asked)
        return _dated(answer, "Parameters", "Name", name, "LastModifiedDate")
    return function.modified, False


def _dated(
    answer: Answer | Unread | None, items: str, key: str, name: str, date: str
) -> tuple[Read[datetime | None], bool]:
    if isinstance(answer, Unread):
        return answer, False
    found = next((one for one in (answer or {}).get(items, ()) if one.get(key) == name), None)
    return (None, True) if found is None else (found[date], False)
