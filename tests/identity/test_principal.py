"""One spelling of an IAM principal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn

A = "111122223333"


@pytest.mark.parametrize(
    ("text", "principal"),
    [
        (f"arn:aws:sts::{A}:assumed-role/api/s1", Principal("aws", A, "assumed-role", "api", "s1")),
        (f"arn:aws:iam::{A}:assumed-role/api/s1", Principal("aws", A, "assumed-role", "api", "s1")),
        (f"arn:aws:iam::{A}:role/api", Principal("aws", A, "role", "api")),
        (f"arn:aws:iam::{A}:role/a/b/api", Principal("aws", A, "role", "api")),
        (f"arn:aws:iam::{A}:user/a/b/ana@x.example", Principal("aws", A, "user", "ana@x.example")),
        (f"arn:aws:sts::{A}:federated-user/ana", Principal("aws", A, "federated-user", "ana")),
        (f"arn:aws:iam::{A}:root", Principal("aws", A, "root", "")),
        (f"arn:aws-cn:sts::{A}:assumed-role/api/s1", Principal("aws-cn", A, "assumed-role", "api", "s1")),
        (f"arn:aws-iso-b:iam::{A}:role/api", Principal("aws-iso-b", A, "role", "api")),
        (
            f"arn:aws:sts::{A}:assumed-role/a_+=,.@-/b_+=,.@-",
            Principal("aws", A, "assumed-role", "a_+=,.@-", "b_+=,.@-"),
        ),
    ],
)
def test_known_shape_is_read(text: str, principal: Principal) -> None:
    """Traps B2, B3, B5."""
    assert parse_arn(text) == principal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn",
        "*",
        "lambda.amazonaws.com",
        "AROAEXAMPLE:s1",
        f"arn:aws:iam::{A}:",
        f"arn:aws:iam::{A}:role/",
        f"arn:aws:iam::{A}:role",
        f"arn:aws:iam::{A}:role//api",
        f"arn:aws:iam::{A}:user/",
        f"arn:aws:iam::{A}:group/admins",
        f"arn:aws:iam::{A}:mfa/ana",
        f"arn:aws:iam::{A}:oidc-provider/idp.example",
        f"arn:aws:iam::{A}:federated-user/ana",
        f"arn:aws:sts::{A}:role/api",
        f"arn:aws:sts::{A}:user/ana",
        f"arn:aws:sts::{A}:root",
        f"arn:aws:sts::{A}:self",
        f"arn:aws:sts::{A}:assumed-role/api",
        f"arn:aws:sts::{A}:assumed-role/api/",
        f"arn:aws:sts::{A}:assumed-role//s1",
        f"arn:aws:sts::{A}:assumed-role/path/api/s1",
        f"arn:aws:sts::{A}:assumed-role/api/s1/s2",
        f"arn:aws:sts::{A}:assumed-role/api/s1\n",
        f"arn:aws:sts::{A}:assumed-role/api\n/s1",
        f" arn:aws:sts::{A}:assumed-role/api/s1",
        f"arn:aws:sts::{A}:assumed-role/api/s 1",
        f"arn:aws:sts::{A}:assumed-role/api/*",
        f"arn:aws:sts::{A}:assumed-role/{'a' * 65}/s1",
        f"arn:aws:iam:eu-west-1:{A}:role/api",
        "arn:aws:iam:::role/api",
        "arn:aws:iam::11112222333:role/api",
        "arn:aws:iam::1111222233334:role/api",
        "arn:aws:iam::*:role/api",
        f"arn:aws:ec2::{A}:role/api",
        f"arn:AWS:iam::{A}:role/api",
        f"ARN:aws:iam::{A}:role/api",
        f"arn:awsx:iam::{A}:role/api",
        f"arn:aws-:iam::{A}:role/api",
        f"arn::iam::{A}:role/api",
        "arn:aws:iam::11112222333\u0663:role/api",
        "arn:aws:iam::\uff11\uff11\uff11\uff11222233334:role/api",
        f"arn:aws:iam::{A}:role/\u212aey",
        f"arn:aws:iam::{A}:role/ap\u0456",
        f"arn:aws:iam::{A}:role/api\x00",
    ],
)
def test_any_other_shape_is_refused(text: str) -> None:
    """Traps A11, B12."""
    with pytest.raises(BadPrincipal) as error:
        parse_arn(text)
    assert (error.value.status, error.value.reason) == (403, "identity_invalid")
    assert A not in error.value.detail


def test_megabyte_of_slashes_is_refused_quickly() -> None:
    for text in ("/" * 1_000_000, "a/" * 500_000, "a" * 1_000_000):
        with pytest.raises(BadPrincipal):
            parse_arn(f"arn:aws:iam::{A}:role/{text}!\n")


def test_roles_name_is_folded_in_ascii_alone() -> None:
    """Trap B6."""
    assert Principal("aws", A, "role", "\u212aEY").role == ("aws", A, "\u212aey")


def test_sessions_name_is_not_folded() -> None:
    """Trap B6."""
    assert parse_arn(f"arn:aws:sts::{A}:assumed-role/api/S1") != parse_arn(f"arn:aws:sts::{A}:assumed-role/api/s1")


@pytest.mark.parametrize("kind", ["user/api", "root"])
def test_other_principals_have_no_role(kind: str) -> None:
    """Trap B12."""
    assert parse_arn(f"arn:aws:iam::{A}:{kind}").role is None


def test_session_and_role_have_one_key() -> None:
    """Traps B3, B4."""
    roles = {
        parse_arn(f"arn:{partition}:{shape}").role
        for partition in ("aws", "aws-cn")
        for account in (A, "444455556666")
        for shape in (f"sts::{account}:assumed-role/api/s1", f"iam::{account}:role/x/API")
    }
    assert len(roles) == 4


names = st.from_regex(r"[A-Za-z0-9_+=,.@-]{1,64}", fullmatch=True)
accounts = st.from_regex(r"[0-9]{12}", fullmatch=True)
partitions = st.sampled_from(["aws", "aws-cn", "aws-us-gov", "aws-iso-b"])
principals = st.one_of(
    st.builds(Principal, partitions, accounts, st.just("assumed-role"), names, names),
    st.builds(Principal, partitions, accounts, st.sampled_from(["role", "user", "federated-user"]), names),
    st.builds(Principal, partitions, accounts, st.just("root"), st.just("")),
)


@settings(deadline=None)
@given(principals)
def test_written_principal_parses_to_itself(principal: Principal) -> None:
    assert parse_arn(str(principal)) == principal


@settings(deadline=None)
@given(principals, principals)
def test_two_principals_are_never_written_alike(one: Principal, other: Principal) -> None:
    assert (str(one) == str(other)) == (one == other)
