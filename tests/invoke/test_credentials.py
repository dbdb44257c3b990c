"""Credentials from environment variables and from botocore."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import Credentials as BotoCredentials
from botocore.credentials import RefreshableCredentials

from lattice_bridge.errors import Misconfigured
from lattice_bridge.invoke.credentials import BotocoreCredentials, from_environment
from lattice_bridge.invoke.signing import Credentials

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": "t0ken"}


def never() -> Credentials:
    raise AssertionError("the chain was asked")


def test_variables_are_read_each_time() -> None:
    environ = dict(KEYS)
    source = from_environment(environ, never)
    assert source() == Credentials("AKID", "s3cret", "t0ken")
    environ.update(AWS_ACCESS_KEY_ID="AKID2", AWS_SECRET_ACCESS_KEY="other")
    del environ["AWS_SESSION_TOKEN"]
    assert source() == Credentials("AKID2", "other", None)


@pytest.mark.parametrize("name", KEYS)
def test_unchanged_variables_give_the_same_object_and_any_change_another(name: str) -> None:
    """Trap D8."""
    environ = dict(KEYS)
    source = from_environment(environ, never)
    first = source()
    assert source() is first
    environ[name] = "changed"
    changed = source()
    assert (changed != first, source()) == (True, changed)
    environ[name] = KEYS[name]
    assert source() == first


def test_empty_session_token_is_none() -> None:
    """Signed, it would be another request than botocore's."""
    assert from_environment({**KEYS, "AWS_SESSION_TOKEN": ""}, never)().token is None


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": ""}])
def test_missing_access_key_uses_the_fallback(environ: dict[str, str]) -> None:
    assert from_environment(environ, lambda: Credentials("C", "c"))() == Credentials("C", "c")


def test_access_key_without_secret_is_refused() -> None:
    with pytest.raises(Misconfigured, match="AWS_SECRET_ACCESS_KEY is not") as error:
        from_environment({"AWS_ACCESS_KEY_ID": "AKID"}, never)()
    assert error.value.reason == "access_denied"


def test_botocore_credentials_are_returned() -> None:
    assert BotocoreCredentials(lambda: BotoCredentials("A", "s", "t"))() == Credentials("A", "s", "t")
    assert BotocoreCredentials(lambda: BotoCredentials("A", "s", ""))().token is None


def test_credentials_are_renewed_before_they_expire() -> None:
    renewed = 0

    def fetch() -> dict[str, str]:
        nonlocal renewed
        renewed += 1
        ends = datetime.now(UTC) + timedelta(hours=6 if renewed > 1 else 0, seconds=60)
        return {"access_key": f"A{renewed}", "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}

    chain = BotocoreCredentials(lambda: RefreshableCredentials.create_from_metadata(fetch(), fetch, "test"))
    assert [chain().access_key, chain().access_key] == ["A2", "A2"]


def test_no_credentials_are_refused_and_searched_again() -> None:
    found: list[Any] = [None, BotoCredentials("A", "s")]
    chain = BotocoreCredentials(lambda: found.pop(0))
    with pytest.raises(Misconfigured, match="none found"):
        chain()
    assert chain().access_key == "A"


def test_provider_failure_is_logged_by_type_alone() -> None:
    """Trap D11."""

    def fail() -> Any:
        raise RuntimeError("s3cret")

    with pytest.raises(Misconfigured) as error:
        BotocoreCredentials(fail)()
    assert "RuntimeError" in error.value.detail
    assert "s3cret" not in str(error.value)
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)


def test_threads_search_for_credentials_once() -> None:
    looked: list[int] = []
    ready = threading.Barrier(8)

    def look() -> Any:
        looked.append(1)
        time.sleep(0.05)  # as long as the others need to come along
        return BotoCredentials("A", "s")

    chain = BotocoreCredentials(look)

    def ask(_number: int) -> str:
        ready.wait(10)
        return chain().access_key

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"A"}
    assert len(looked) == 1


def test_default_provider_is_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert BotocoreCredentials()() == Credentials("AKID", "s3cret", "t0ken")
