"""The caller of a Lattice event, in the two ways in which events name it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from lattice_bridge import Caller, parse_event
from lattice_bridge.errors import Forbidden
from lattice_bridge.formats import lattice_v1, lattice_v2
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509
from tests.support.builders import VPC, role, v1


def identity_headers(caller: Caller) -> dict[str, str]:
    """The headers of V1 as a backend receives them."""
    return lattice_v1.identity_headers(lattice_v1.without_ambiguous_fields(caller))


BLUE: Final = Caller(
    authenticated=True,
    iam=parse_arn(role("blue-api")),
    session_name="i-0123",
    org_id="o-abc",
    source_vpc_arn=VPC,
    x509=X509(issuer_ou="Ops, Inc.", san_uri="spiffe://example/blue"),
)


def test_identity_of_v2_has_every_known_field() -> None:
    assert lattice_v2.identity(BLUE) == {
        "sourceVpcArn": VPC,
        "type": "AWS_IAM",
        "principal": role("blue-api"),
        "principalOrgID": "o-abc",
        "sessionName": "i-0123",
        "x509IssuerOu": "Ops, Inc.",
        "x509SanUri": "spiffe://example/blue",
    }


def test_unsigned_caller_has_a_vpc_and_no_type() -> None:
    assert lattice_v2.identity(Caller(source_vpc_arn=VPC)) == {"sourceVpcArn": VPC}
    assert identity_headers(Caller(source_vpc_arn=VPC)) == {"x-amzn-lattice-network": f"SourceVpcArn={VPC}"}
    assert identity_headers(Caller()) == {}


@pytest.mark.parametrize("caller", [BLUE, Caller(source_vpc_arn=VPC), Caller(authenticated=True, iam=BLUE.iam)])
def test_headers_of_v1_are_read_back(caller: Caller) -> None:
    said = parse_event({**v1(), "headers": identity_headers(caller)}).caller
    assert lattice_v2.identity(said) == {**lattice_v2.identity(replace(caller, x509=None)), **_session(caller)}


def _session(caller: Caller) -> dict[str, str]:
    """An assumed role's session is in its ARN, and read from there when nothing else says it."""
    return {"sessionName": "i-0123"} if caller.iam else {}


@pytest.mark.parametrize(
    "forging",
    [
        "x; Principal=arn:aws:iam::999999999999:role/root",
        "x;Principal=arn:aws:iam::999999999999:role/root",
        "x, Principal=arn:aws:iam::999999999999:role/root",
        "x,Type=NONE",
        "x,\xa0Principal=arn:aws:iam::999999999999:role/root",
        "999999999999\\",
        "x\r\nx-tenant-id: green",
    ],
)
def test_certificate_cannot_forge_a_field_of_v1(forging: str) -> None:
    """Trap A16: a converted event must not contain a field that Lattice did not write."""
    caller = Caller(authenticated=True, iam=BLUE.iam, x509=X509(subject_cn=forging, san_dns="blue.example"))
    text = identity_headers(caller)["x-amzn-lattice-identity"]
    assert "999999999999" not in text
    assert "NONE" not in text
    assert "\n" not in text
    assert "X509SAN/DNS=blue.example" in text


def test_names_with_commas_and_equals_signs_are_written_in_v1() -> None:
    """IAM allows both in the names of roles and sessions."""
    principal = role("a,b=c", session="=,=")
    caller = Caller(authenticated=True, iam=parse_arn(principal), x509=X509(issuer_ou="O=Blue, Inc., L=Ulm"))
    text = identity_headers(caller)["x-amzn-lattice-identity"]
    assert f"Principal={principal}" in text
    assert "X509Issuer/OU=O=Blue, Inc., L=Ulm" in text


@pytest.mark.parametrize("session", ["a,Type=NONE", "a,Principal=x"])
def test_ambiguous_principal_is_refused_in_v1(session: str) -> None:
    """The caller chooses the session name, and could otherwise appear as unsigned."""
    caller = Caller(authenticated=True, iam=parse_arn(role("blue-api", session=session)), source_vpc_arn=VPC)
    with pytest.raises(Forbidden, match="identity_invalid"):
        identity_headers(caller)


@pytest.mark.parametrize("name", [" blue", "blue "])
def test_value_with_a_space_at_its_end_is_left_out_of_v1(name: str) -> None:
    """Readers of fields strip spaces, and would read another name."""
    caller = Caller(authenticated=True, iam=BLUE.iam, x509=X509(subject_cn=name))
    assert "blue " not in identity_headers(caller)["x-amzn-lattice-identity"].partition("X509")[2]
