"""Roles and their policies, as IAM tells; and when what the map is in was changed last.

Rule: answers in, facts out; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.deployment.doctor.configuration import NamedRole
from lattice_bridge.deployment.doctor.facts import Function, MapRole, Rights
from lattice_bridge.deployment.doctor.findings import Read, Unread
from lattice_bridge.deployment.doctor.read import Answer, Aws, items_of, moment_of, part_of, text_of
from lattice_bridge.deployment.iam.policy import BadPolicy, Statement, read_policy


def read_rights(aws: Aws, role: str, account: str) -> Read[Rights | None]:
    """What a role may do, and who may assume it: its inline policies, the attached ones, its permissions boundary and
    its trust policy. None if there is no such role.

    Args:
        role: its ARN.
        account: of the credentials. IAM is asked by name alone, and would answer for this account's role of that name.
    """
    if f"::{account}:" not in role:
        return Unread("iam:GetRole", role, "of another account", elsewhere=True)
    name = role.rpartition("/")[2]
    found = aws.read_as(_boundary_and_trust, "iam", "get_role", role, RoleName=name)
    if found is None or isinstance(found, Unread):
        return found
    boundary, trust = found
    names = aws.read_as(_names, "iam", "list_role_policies", role, RoleName=name) or ()
    return Rights(
        names if isinstance(names, Unread) else _rights_in(aws, role, name, names),
        _managed(aws, boundary) if boundary else None,
        _statements(trust, Unread("iam:GetRole", role, "not a policy")),
        () if isinstance(names, Unread) else names,
    )


def _boundary_and_trust(answer: Answer) -> tuple[str | None, object]:
    role = answer["Role"]
    boundary = part_of(role, "PermissionsBoundary")
    return text_of(boundary, "PermissionsBoundaryArn") if boundary else None, role.get("AssumeRolePolicyDocument")


def _names(answer: Answer) -> tuple[str, ...]:
    return tuple(map(str, items_of(answer, "PolicyNames")))


def _rights_in(aws: Aws, role: str, name: str, inline: Iterable[str]) -> Read[tuple[Statement, ...]]:
    attached = aws.read_as(_attached, "iam", "list_attached_role_policies", role, RoleName=name) or ()
    if isinstance(attached, Unread):
        return attached
    parts = [_inline(aws, role, name, policy) for policy in inline]
    parts += [_managed(aws, arn) for arn in attached]
    statements: list[Statement] = []
    for part in parts:
        if isinstance(part, Unread):
            return part
        statements += part
    return tuple(statements)


def _attached(answer: Answer) -> tuple[str, ...]:
    return tuple(text_of(policy, "PolicyArn") for policy in items_of(answer, "AttachedPolicies", is_required=False))


def _inline(aws: Aws, role: str, name: str, policy: str) -> Read[tuple[Statement, ...]]:
    asked = {"RoleName": name, "PolicyName": policy}
    found = aws.read_as(lambda answer: answer["PolicyDocument"], "iam", "get_role_policy", role, **asked)
    return _statements(found, Unread("iam:GetRolePolicy", role, "not a policy"))


def _managed(aws: Aws, arn: str) -> Read[tuple[Statement, ...]]:
    version = aws.read_as(
        lambda answer: text_of(answer["Policy"], "DefaultVersionId"), "iam", "get_policy", arn, PolicyArn=arn
    )
    if version is None or isinstance(version, Unread):
        return version or Unread("iam:GetPolicy", arn, "not there")
    asked = {"PolicyArn": arn, "VersionId": version}
    found = aws.read_as(lambda answer: answer["PolicyVersion"]["Document"], "iam", "get_policy_version", arn, **asked)
    return _statements(found, Unread("iam:GetPolicyVersion", arn, "not a policy"))


def _statements(document: object, otherwise: Unread) -> Read[tuple[Statement, ...]]:
    if isinstance(document, Unread):
        return document
    try:
        return read_policy(document)
    except BadPolicy:
        return otherwise


def read_map_roles(aws: Aws, roles: Iterable[NamedRole]) -> tuple[MapRole, ...]:
    """When each of the roles and users was created."""
    return tuple(MapRole(role, _created(aws, role)) for role in roles)


def _created(aws: Aws, named: NamedRole) -> Read[datetime | None]:
    if named.kind == "user":
        return aws.read_as(
            lambda found: moment_of(found["User"], "CreateDate"), "iam", "get_user", named.arn, UserName=named.name
        )
    return aws.read_as(
        lambda found: moment_of(found["Role"], "CreateDate"), "iam", "get_role", named.arn, RoleName=named.name
    )


def read_map_written(aws: Aws, function: Read[Function]) -> tuple[Read[datetime | None], bool]:
    """When the map was changed last, and whether AWS says that there is none: the object in S3, the parameter of SSM,
    or the function that it is packed with. No date if AWS does not say."""
    if isinstance(function, Unread):
        return None, False  # said of the function
    place = function.variables.get(CONFIG_VARIABLE, "")
    if place.startswith("s3://"):
        bucket, _, key = place.removeprefix("s3://").partition("/")
        on = f"arn:{function.role.split(':')[1]}:s3:::{bucket}"  # buckets are of the partition that the function is in
        asked = {"Bucket": bucket, "Prefix": key, "MaxKeys": 1}
        parse = _dated("Contents", "Key", key, "LastModified")
        written = aws.read_as(parse, "s3", "list_objects_v2", on, **asked)
        return written, written is None
    if place.startswith("ssm:"):
        name = place.removeprefix("ssm:")
        filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        parse = _dated("Parameters", "Name", name, "LastModifiedDate")
        written = aws.read_as(parse, "ssm", "describe_parameters", "*", ParameterFilters=filters)
        return written, written is None
    return function.modified, False


def _dated(items: str, key: str, name: str, date: str) -> Callable[[Answer], datetime | None]:
    """Takes the date of the one of that name out of an answer."""

    def parse(answer: Answer) -> datetime | None:
        found = next((one for one in items_of(answer, items, is_required=False) if one.get(key) == name), None)
        return None if found is None else moment_of(found, date)

    return parse
