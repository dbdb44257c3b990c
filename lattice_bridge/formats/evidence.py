"""The evidence of API Gateway and function URLs: IAM's caller, an authorizer's answer, a client certificate.

Rule: only what API Gateway writes after it verified something is read, and each value must have its documented type. A
value that is absent, null or empty is no evidence; values that contradict each other refuse the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.errors import Forbidden
from lattice_bridge.formats import event as parts
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import CLAIMS, Authorizer, Caller

MAX_FIELDS: Final = 256
"""Fields of an authorizer's answer, and of its claims. API Gateway documents no number; a token has some dozens."""

_VPC: Final = re.compile(r"vpc-[0-9a-f]{8,17}")
_MAX_SUBJECT: Final = 2048
_WITH_A_PRINCIPAL: Final = ("accountId", "principalOrgId", "accessKey", "caller", "callerId", "user", "userId")
"""Fields that API Gateway writes only beside a principal."""

_NO_ANSWER: Final = frozenset({"scopes", "integrationLatency"})
"""Fields beside an authorizer's answer that are no part of it."""


def read_object(value: object, field: str, faults: parts.Faults) -> Mapping[str, Any]:
    """An object of bounded size; an empty one if it is absent or null."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        faults.add("malformed_event", f"{field} is not an object")
        return {}
    if len(value) > MAX_FIELDS:
        faults.add("malformed_event", f"{field} has more than {MAX_FIELDS} fields")
        return {}
    return value


def read_identity(identity: Mapping[str, Any], field: str, faults: parts.Faults) -> dict[str, str]:
    """The fields of an IAM principal that have a value."""
    found: dict[str, str] = {}
    for name in ("userArn", *_WITH_A_PRINCIPAL, "vpcId"):
        value = identity.get(name)
        if value is not None and not isinstance(value, str):
            faults.add("malformed_event", f"{field}.{name} is not a string")
        elif value and parts.size_of(value) > parts.MAX_HEADER_BYTES:
            faults.add("malformed_event", f"{field}.{name} is over {parts.MAX_HEADER_BYTES} bytes")
        elif value:
            found[name] = value
    return found


def caller_of(identity: Mapping[str, str]) -> Caller:
    """The caller whose signature was verified, for what `read_identity` found.

    Raises:
        Forbidden: the fields contradict each other, or the principal has no known shape.
    """
    vpc = identity.get("vpcId", "")
    source = vpc if _VPC.fullmatch(vpc) else None
    arn = identity.get("userArn")
    if arn is None:
        if any(name in identity for name in _WITH_A_PRINCIPAL):
            raise Forbidden("identity_invalid", "the identity has fields of a principal and no userArn")
        return Caller(source_vpc_arn=source)
    principal = parse_arn(arn)
    if identity.get("accountId", principal.account) != principal.account:
        raise Forbidden("identity_invalid", "accountId and the account in userArn differ")
    return Caller(
        authenticated=True,
        iam=principal,
        session_name=principal.session,
        org_id=identity.get("principalOrgId"),
        source_vpc_arn=source,
    )


def read_authorizer(answer: Mapping[str, Any], field: str, faults: parts.Faults) -> Authorizer | None:
    """The answer of an authorizer, with `claims` beside what a Lambda authorizer returned; None if none answered."""
    claims = answer.get(CLAIMS)  # a Lambda authorizer of a REST API may return a string of this name
    claims = read_object(claims, f"{field}.{CLAIMS}", faults) if isinstance(claims, Mapping) else {}
    context = {
        name: value for name, value in answer.items() if name not in _NO_ANSWER and name != CLAIMS and value is not None
    }
    if not claims and all(value == "" for value in context.values()):
        return None
    return Authorizer(claims or None, context)


def read_subject(certificate: object, field: str, faults: parts.Faults) -> str | None:
    """The subject of the client's certificate, which API Gateway verified for mutual TLS."""
    found = read_object(certificate, field, faults).get("subjectDN")
    if found is None or found == "":
        return None
    if not isinstance(found, str) or len(found) > _MAX_SUBJECT or not found.isprintable():
        faults.add("malformed_event", f"{field}.subjectDN is not a name of {_MAX_SUBJECT} characters at most")
        return None
    return found
