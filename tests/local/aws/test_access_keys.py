from __future__ import annotations

from typing import Any

import pytest
from botocore.credentials import Credentials

from lattice_bridge.local.aws.access_keys import AccessKey, AccessKeys, NoCredentials, OwnCredentials

URL = "http://127.0.0.1:9001"
NO_FILES = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
OWN = AccessKey("AKIAOWN", "own secret", "own token")


def test_functions_have_the_stacks_key_and_one_endpoint_for_every_service() -> None:
    """Trap G1: without --passthrough, no request of a function reaches an account, and none has a person's key."""
    assert AccessKeys().variables(URL) == {
        "AWS_ACCESS_KEY_ID": "LOCALEXECUTIONROLE",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_ENDPOINT_URL": URL,
        "AWS_ENDPOINT_URL_LAMBDA": URL,
        **NO_FILES,
    }


def test_passed_through_credentials_come_with_the_endpoint_of_lambda_only() -> None:
    assert AccessKeys(lambda: OWN).variables(URL) == {
        "AWS_ACCESS_KEY_ID": "AKIAOWN",
        "AWS_SECRET_ACCESS_KEY": "own secret",
        "AWS_SESSION_TOKEN": "own token",
        "AWS_ENDPOINT_URL_LAMBDA": URL,
        **NO_FILES,
    }


def test_passed_through_credentials_come_with_the_endpoint_of_the_stack_s_queues_and_streams() -> None:
    """The URLs of these queues, which functions have, are of the endpoint."""
    found = AccessKeys(lambda: OWN).variables(URL, ["SQS", "KINESIS"])
    assert found["AWS_ENDPOINT_URL_SQS"] == found["AWS_ENDPOINT_URL_KINESIS"] == URL
    assert "AWS_ENDPOINT_URL" not in found


def test_passed_through_credentials_are_accepted_by_the_endpoint_after_they_were_given_out() -> None:
    keys = AccessKeys(lambda: OWN)
    assert set(keys.known) == {"local", "LOCALEXECUTIONROLE"}
    keys.variables(URL)
    assert keys.known["AKIAOWN"] is OWN


def test_stacks_own_key_cannot_be_replaced() -> None:
    keys = AccessKeys(lambda: AccessKey("local", "another"))
    keys.variables(URL)
    assert keys.known["local"].secret_key == "local"


def test_credentials_are_not_in_a_representation() -> None:
    assert "own" not in repr(OWN).replace("AKIAOWN", "")


def test_own_credentials_are_those_of_botocore() -> None:
    assert OwnCredentials(lambda: Credentials("AKIAOWN", "own secret", "own token"))() == OWN
    assert OwnCredentials(lambda: Credentials("AKIAOWN", "own secret"))().token is None


def _fails() -> Any:
    raise OSError("a command with a secret")


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: None, "you have no AWS credentials"),
        (_fails, "cannot be read: OSError"),
        (lambda: Credentials("local", "local"), "AWS_ACCESS_KEY_ID is local, which is the local stack's key"),
    ],
    ids=["none", "failed", "the stack's"],
)
def test_missing_credentials_are_refused_with_the_fix(find: Any, message: str) -> None:
    with pytest.raises(NoCredentials, match=message) as refused:
        OwnCredentials(find)()
    assert "Fix: sign in" in str(refused.value)
    assert "secret" not in str(refused.value)
