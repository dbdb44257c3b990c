"""The sessions of the fakes' own clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lattice_bridge.testing import FakeLambda, LocalQueues
from lattice_bridge.testing.boto_session import boto_session

if TYPE_CHECKING:
    import pytest


def test_clients_need_no_profile_of_the_person_who_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-another-machine")
    boto_session.cache_clear()
    with FakeLambda() as fake, LocalQueues() as queues:
        fake.reply({})
        assert fake.client().invoke(FunctionName="orders")["StatusCode"] == 200
        assert queues.client.list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_clients_with_one_key_share_a_session() -> None:
    assert boto_session("a", "b", "eu-west-1") is boto_session("a", "b", "eu-west-1")
    assert boto_session("a", "b", "eu-west-1") is not boto_session("a", "c", "eu-west-1")
