"""Principals and callers, of all kinds and partitions.

Rule: all that the local front accepts as callers, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import strategies as st

from lattice_bridge.identity.principal import Principal, parse_arn
from lattice_bridge.local.front.exchange.http_message import Signer
from lattice_bridge.local.front.lattice import events as wire
from lattice_bridge.message import X509, Caller
from lattice_bridge.testing.strategies.ids import ALPHANUMERIC

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


_PARTITIONS: Final = ("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc")
_ACCOUNTS: Final = ("111122223333", "444455556666", "000000000000", "012345678901")
_RESOURCES: Final = (
    *("iam::{0}:role/{1}", "sts::{0}:assumed-role/{1}/{2}", "iam::{0}:user/{1}", "iam::{0}:root"),
    *("sts::{0}:federated-user/{1}", "iam::{0}:role/team/x/{1}", "iam::{0}:user/team/{1}"),
    *("iam::{0}:assumed-role/{1}/{2}", "iam::{0}:role/aws-reserved/sso.amazonaws.com/eu-west-1/{1}"),
)
_NAMES: Final = (
    *("blue-api", "edge-proxy", "support", "Blue-API", "a", "a_b.c@d+e", "a,b=c", "root", "-", "..", "a" * 64),
    *("AWSReservedSSO_Support_0123456789abcdef", "AWSServiceRoleForECS"),
)
_SESSIONS: Final = (
    *("i-0123456789abcdef0", "blue", "green", "ann@example.com", "a=b,c@d", "botocore-session-1763683200", ".."),
    *("1763683200123456789", "old", "t-blue", "s" * 64),
)
_WORDS: Final = st.text(ALPHANUMERIC + "_+.@-", min_size=2, max_size=64)


def principals() -> SearchStrategy[str]:
    """ARNs of roles, their sessions, users, roots and federated users, with paths and in both spellings of a session,
    of all partitions."""
    return PRINCIPALS


def _arn(resource: str, partition: str, account: str, name: str, session: str) -> str:
    return f"arn:{partition}:{resource.format(account, name, session)}"


_COMMON: Final = [
    _arn(resource, partition, account, name, "i-0123456789abcdef0")
    for partition in _PARTITIONS
    for account in _ACCOUNTS[:2]
    for name in ("blue-api", "support", "AWSReservedSSO_Support_0123456789abcdef")
    for resource in _RESOURCES
]
PRINCIPALS: Final[SearchStrategy[str]] = st.one_of(
    st.sampled_from(_COMMON),  # one choice instead of five: choices cost most of the time of an example
    st.sampled_from(_COMMON[:108]),
    st.builds(
        _arn,
        st.sampled_from(_RESOURCES),
        st.sampled_from(_PARTITIONS),
        st.sampled_from(_ACCOUNTS),
        st.sampled_from(_NAMES) | _WORDS,
        st.sampled_from(_SESSIONS) | _WORDS,
    ),
)

_X509_TEXTS: Final = (
    *("blue.example.com", "spiffe://example.org/t/blue", "spiffe://example.org/t/blue/api", "O=Example, Inc."),
    *("a,b=c,d=e", "é日", "CN=blue/OU=Tenants", "*.example.com"),
)
X509_TEXTS_OF_V2: Final = (
    *("a; Principal=arn:aws:iam::111122223333:root", "a;Type=NONE", "a, Type=AWS_IAM", "CN=blue;O=Example", "; b"),
    *(" blue ", "a; X509SAN/URI=spiffe://example.org/t/green", ";", ",", "a\\,b"),
)
"""Values that V1 writes into its header in an unknown way."""

_PLAIN: Final = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=";,=\\")


def _certificates() -> SearchStrategy[X509]:
    texts = (*_X509_TEXTS, *X509_TEXTS_OF_V2)
    whole = st.builds(
        lambda text: X509(*[text] * 5), st.text(_PLAIN, max_size=12).map(lambda text: text.strip() or None)
    )
    return st.sampled_from([*_each_in_each(texts), *_several(texts)]) | whole


def _each_in_each(texts: Sequence[str]) -> Iterator[X509]:
    return (X509(**{name: text}) for name in ("san_uri", *X509.__slots__) for text in texts)


def _several(texts: Sequence[str]) -> Iterator[X509]:
    return (X509(*(texts[(start + step) % len(texts)] for step in range(5))) for start in range(len(texts)))


def _signer(arn: str, named: tuple[str, str | None], x509: X509 | None) -> Signer:
    """A signer as in the front: a role signs as one of its sessions, and only a role's session has a certificate."""
    principal, (session, org) = parse_arn(arn), named
    if principal.role is None:
        return Signer(principal, None, org, None)
    known: Principal = replace(principal, kind="assumed-role", session=principal.session or session)
    return Signer(known, known.session, org, x509 if x509 != X509() else None)


def _signers(arns: SearchStrategy[str]) -> SearchStrategy[Signer]:
    orgs = (None, "o-a1b2c3d4e5", "o-" + "z9" * 16)
    named = st.sampled_from([*product(_SESSIONS, orgs)])
    return st.builds(_signer, arns, named, st.none() | _certificates())


def as_one(strategy: SearchStrategy[T]) -> SearchStrategy[T]:
    """The strategy as one branch of another `one_of`, which would otherwise take over each of its branches."""
    return strategy.map(lambda value: value)


def callers(signed: bool | None = None) -> SearchStrategy[Caller]:
    """Callers as the bridge reads them from events: `lattice_bridge.Caller`.

    Args:
        signed: whether Lattice authenticated the caller; None for both.
    """
    vpcs = st.sampled_from([*(origin.source_vpc_arn for origin in ORIGINS), None])
    return st.builds(caller, signed_or_not(signed, PRINCIPALS), vpcs)


def caller(signer: Signer | None, vpc: str | None) -> Caller:
    if signer is None:
        return Caller(source_vpc_arn=vpc)
    return Caller(True, signer.principal, signer.session, signer.org, vpc, signer.x509)


def signed_or_not(signed: bool | None, arns: SearchStrategy[str]) -> SearchStrategy[Signer | None]:
    if signed is False:
        return st.none()
    return _signers(arns) if signed else st.none() | _signers(arns)


def _origin(number: int, partition: str, region: str, account: str, time: int = 1_763_683_200_123_456) -> wire.Origin:
    lattice = f"arn:{partition}:vpc-lattice:{region}:{account}:"
    return wire.Origin(
        request_id=f"f2a9c1d0-7e53-4b1a-9c64-0d1e2f3a4b5{number:x}",
        epoch_microseconds=time,
        service_arn=f"{lattice}service/svc-0a1b2c3d4e5f6071{number:x}",
        service_network_arn=f"{lattice}servicenetwork/sn-0a1b2c3d4e5f6071{number:x}",
        target_group_arn=f"{lattice}targetgroup/tg-0a1b2c3d4e5f6071{number:x}",
        source_vpc_arn=f"arn:{partition}:ec2:{region}:{account}:vpc/vpc-0a1b2c3d4e5f6071{number:x}",
    )


ORIGINS: Final = (
    _origin(0, "aws", "eu-west-1", "111122223333"),
    _origin(1, "aws", "us-east-1", "444455556666", 1_735_689_599_999_999),
    _origin(2, "aws-cn", "cn-north-1", "111122223333", 1_763_683_200_000_000),
    _origin(3, "aws-us-gov", "us-gov-west-1", "012345678901", 9_999_999_999_999_999),
)
