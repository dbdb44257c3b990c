"""IAM principals: an ARN is parsed to one value.

Rule: every spelling of one caller gives the same value, and two callers never give the same value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.errors import Forbidden
from lattice_bridge.http.headers import lower
from lattice_bridge.http.memory import Memory

Kind = Literal["assumed-role", "role", "user", "federated-user", "root"]

# Partitions are `aws`, `aws-cn`, `aws-us-gov`, `aws-iso`, `aws-iso-b`, `aws-eusc` …: more will come. `[0-9]`, not `\d`,
# which takes the digits of every script.
_ARN: Final = re.compile(r"arn:(aws(?:-[a-z]{1,16}){0,4}):(iam|sts)::([0-9]{12}):(.+)", re.DOTALL)
# IAM: role names are [\w+=,.@-]{1,64}, session names [\w+=,.@-]{2,64}, paths /…/ of printable ASCII.
_NAME: Final = r"[A-Za-z0-9_+=,.@-]{1,64}"
_PATH: Final = r"(?:[!-.0-~]+/)*"
_ASSUMED: Final = re.compile(rf"assumed-role/({_NAME})/({_NAME})")
_ROLE: Final = re.compile(rf"role/{_PATH}({_NAME})")
_USER: Final = re.compile(rf"user/{_PATH}({_NAME})")
_FEDERATED: Final = re.compile(rf"federated-user/({_NAME})")


class BadPrincipal(Forbidden):
    """Not an IAM or STS principal of a known shape."""

    def __init__(self, detail: str) -> None:
        super().__init__("identity_invalid", detail)


@dataclass(frozen=True, slots=True)
class Principal:
    """An IAM principal.

    Attributes:
        partition: `aws`, `aws-cn`, `aws-us-gov` …; part of the identity, since each partition numbers its accounts.
        account: twelve ASCII digits.
        kind: the kind of principal that `name` names.
        name: the role's, user's or federated user's name without its path; empty for `root`.
        session: the session's name, for an assumed role; otherwise None.
    """

    partition: str
    account: str
    kind: Kind
    name: str
    session: str | None = None

    def __str__(self) -> str:
        if self.kind == "assumed-role":
            return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.name}/{self.session}"
        if self.kind == "federated-user":
            return f"arn:{self.partition}:sts::{self.account}:federated-user/{self.name}"
        if self.kind == "root":
            return f"arn:{self.partition}:iam::{self.account}:root"
        return f"arn:{self.partition}:iam::{self.account}:{self.kind}/{self.name}"

    @property
    def role(self) -> tuple[str, str, str] | None:
        """`(partition, account, name)` of the role, by which a rule for it is found; None for other principals.

        The name is in lower case: IAM allows no two roles of an account whose names differ only by case.
        """
        if self.kind in ("assumed-role", "role"):
            return (self.partition, self.account, lower(self.name))
        return None


def parse_arn(text: str) -> Principal:
    """Parses the ARN of an IAM principal.

    Accepts what Lattice sends (`arn:aws:sts::…:assumed-role/ROLE/SESSION`) and what its documentation shows
    (`arn:aws:iam::…:assumed-role/…`); both give the same value. Drops the path of a role or user, which session ARNs
    never contain.

    >>> parse_arn("arn:aws:iam::111122223333:role/team/api").name
    'api'

    Raises:
        BadPrincipal: not an IAM or STS principal of a known shape.
    """
    found = PRINCIPALS.get(text)
    if found is None:
        found = _parse(text)
        PRINCIPALS.keep(text, found, len(text))
    return found


def _parse(text: str) -> Principal:
    whole = _ARN.fullmatch(text)
    if whole is None:
        raise BadPrincipal("the principal is not an IAM or STS ARN with a 12-digit account")
    partition, service, account, resource = whole.groups()
    if resource == "root" and service == "iam":
        return Principal(partition, account, "root", "")
    if match := _ASSUMED.fullmatch(resource):
        return Principal(partition, account, "assumed-role", match[1], match[2])
    if service == "iam" and (match := _ROLE.fullmatch(resource)):
        return Principal(partition, account, "role", match[1])
    if service == "iam" and (match := _USER.fullmatch(resource)):
        return Principal(partition, account, "user", match[1])
    if service == "sts" and (match := _FEDERATED.fullmatch(resource)):
        return Principal(partition, account, "federated-user", match[1])
    raise BadPrincipal(f"the principal's {service} resource has no known shape")


PRINCIPALS: Final = Memory[str, Principal](entries=1024, characters=512)
