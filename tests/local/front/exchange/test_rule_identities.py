"""Identities for the callers that the rules of a map name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.bridge.configuration import read_configuration
from lattice_bridge.local.front.exchange.identities import Identity, stack_identities
from lattice_bridge.local.front.exchange.rule_identities import rule_identities
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function

ACCOUNT: Final = "arn:aws:iam::111122223333"
MAP: Final = '[[backend]]\nfunction = "orders"\n[tenants]\nblue = {}\n'
DEPLOY: Final = 'session = "deploy"\nsession_set_by = "CI"\ntenant = "blue"'
AWS_KEY: Final = re.compile("A[A-Z]{3}[A-Z0-9]{16}")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html: every unique id of AWS begins with A."""


def identities(folder: Path, *rules: str) -> dict[str, Identity]:
    tables = "".join(f'[[rule]]\nid = "r{number}"\n{rule}\n' for number, rule in enumerate(rules))
    (folder / "bridge.toml").write_text(MAP + tables)
    configuration = read_configuration(Function("Bridge", "arn", BRIDGE_HANDLER, folder, {}))
    assert configuration.faults == ()
    return rule_identities([configuration])


def role(name: str, account: str = ACCOUNT, more: str = 'tenant = "blue"') -> str:
    return f'role = "{account}:role/{name}"\n{more}'


@pytest.mark.parametrize(
    ("rule", "access_key", "arn"),
    [
        (role("blue-api"), "LOCALBLUEAPI", f"{ACCOUNT}:role/blue-api"),
        (role("team/Blue.Api"), "LOCALBLUEAPI", f"{ACCOUNT}:role/team/Blue.Api"),
        (role("blue-dev-*"), "LOCALBLUEDEV1", f"{ACCOUNT}:role/blue-dev-1"),
        (role("ci", more=DEPLOY), "LOCALCIDEPLOY", f"{ACCOUNT}:role/ci"),
        (f'user = "{ACCOUNT}:user/a/ann"\ntenant = "blue"', "LOCALANN", f"{ACCOUNT}:user/a/ann"),
        (f'root = "{ACCOUNT}:root"\ntenant = "blue"', "LOCALROOT", f"{ACCOUNT}:root"),
        ('account = "111122223333"\ntenant = "blue"', "LOCALANYROLE", f"{ACCOUNT}:role/any-role"),
        (role("a", ACCOUNT.replace("aws", "aws-cn")), "LOCALA", "arn:aws-cn:iam::111122223333:role/a"),
        (role("___"), "LOCAL", f"{ACCOUNT}:role/___"),
        (
            'sso = { account = "111122223333", permission_set = "Support" }\ntenant = "blue"',
            "LOCALAWSRESERVEDSSOSUPPORT0000000000000000",
            f"{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Support_0000000000000000",
        ),
    ],
)  # fmt: skip
def test_rule_names_an_identity(rule: str, access_key: str, arn: str, tmp_path: Path) -> None:
    ((key, identity),) = identities(tmp_path, rule).items()
    assert (key, identity.access_key, identity.arn) == (access_key, access_key, arn)
    assert identity.secret_key == (access_key.removeprefix("LOCAL").lower() or "local")
    assert key.startswith("LOCAL")
    assert not AWS_KEY.fullmatch(key)


@pytest.mark.parametrize(
    "rule",
    [
        f'role = "{ACCOUNT}:role/a"\ndeny = true',
        'anyone = true\ntenants = "*"\naccept_risk = "a demonstration"',
        'vpc = "vpc-0b8276c84697e7339"\ntenant = "blue"\naccept_risk = "alone"',
        role(f"{'a' * 63}-*"),
    ],
    ids=["deny", "anyone", "vpc", "a prefix without a place for an example"],
)
def test_rule_without_a_principal_names_none(rule: str, tmp_path: Path) -> None:
    assert identities(tmp_path, rule, role("other")).keys() == {"LOCALOTHER"}


def test_callers_of_one_name_get_keys_of_their_own(tmp_path: Path) -> None:
    """Trap B4: the account, and then a number, tells them apart."""
    found = identities(
        tmp_path, role("api"), role("api", "arn:aws:iam::444455556666"), role("a-b"), role("ab"), role("only")
    )
    assert {key: identity.arn for key, identity in found.items()} == {
        "LOCALAPI111122223333": f"{ACCOUNT}:role/api",
        "LOCALAPI444455556666": "arn:aws:iam::444455556666:role/api",
        "LOCALAB111122223333N1": f"{ACCOUNT}:role/a-b",
        "LOCALAB111122223333N2": f"{ACCOUNT}:role/ab",
        "LOCALONLY": f"{ACCOUNT}:role/only",
    }


def test_identities_of_a_file_add_and_replace(tmp_path: Path) -> None:
    named = identities(tmp_path, role("blue-api"), role("blue"), role("green-api"))
    assert list(stack_identities(None, named)) == ["LOCALBLUEAPI", "LOCALBLUE", "LOCALGREENAPI", "LOCALGREEN"]
    assert stack_identities(None, named)["LOCALBLUE"].principal.name == "blue"
    file = tmp_path / "identities.toml"
    entry = '[[identity]]\naccess_key = "{}"\nsecret_key = "s"\nprincipal = "arn:aws:iam::111122223333:role/own"\n'
    file.write_text(entry.format("MINE") + entry.format("LOCALBLUEAPI"))
    found = stack_identities(file, named)
    assert list(found) == ["MINE", "LOCALBLUEAPI", "LOCALBLUE", "LOCALGREENAPI"]
    assert (found["LOCALBLUEAPI"].principal.name, found["LOCALBLUEAPI"].secret_key) == ("own", "s")
