from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge.local.aws.access_keys import AccessKey, AccessKeys
from lattice_bridge.local.endpoint_keys import endpoint_keys
from lattice_bridge.local.front.exchange.identities import read_identities


def test_identity_has_a_unique_id_that_stays_the_same() -> None:
    keys = endpoint_keys(read_identities(None), [])
    blue, green = keys["LOCALBLUE"], keys["LOCALGREEN"]
    assert blue.arn == "arn:aws:sts::111122223333:assumed-role/blue-api/local"
    unique, _, session = blue.user_id.partition(":")
    assert session == "local"
    assert (unique[:4], len(unique), unique.isalnum()) == ("AROA", 21, True)
    assert green.user_id != blue.user_id == endpoint_keys(read_identities(None), [])["LOCALBLUE"].user_id


@pytest.mark.parametrize(
    ("sender", "access_key", "user_id"),
    [
        ({"role_id": "AROAEXAMPLE123"}, "LOCALAROAEXAMPLE123", "AROAEXAMPLE123:local"),
        ({"role_id": "AROAEXAMPLE123", "session": "a.b"}, "LOCALAROAEXAMPLE123AB", "AROAEXAMPLE123:a.b"),
        ({"user_id": "AIDAEXAMPLE123"}, "LOCALAIDAEXAMPLE123", "AIDAEXAMPLE123"),
    ],
)
def test_sender_of_a_rule_has_a_key(sender: dict[str, str], access_key: str, user_id: str) -> None:
    (key,) = endpoint_keys({}, [{"id": "a", "sender": sender}, {"id": "b", "role": "x"}]).values()
    assert (key.access_key, key.secret_key, key.user_id) == (access_key, access_key[5:].lower(), user_id)


@pytest.mark.parametrize("sender", [None, "AROA", {}, {"role_id": 1}, {"role_id": "short"}, {"user_id": "a\nb"}])
def test_sender_that_the_map_refuses_has_no_key(sender: Any) -> None:
    assert endpoint_keys({}, [{"sender": sender}]) == {}


def test_identities_are_replaced_and_are_not_the_keys_of_functions() -> None:
    keys = AccessKeys()
    keys.set_identities({"A": AccessKey("A", "a")})
    keys.set_identities({"B": AccessKey("B", "b")})
    assert (set(keys.identities), set(keys.known)) == ({"B"}, {"local", "LOCALEXECUTIONROLE"})
