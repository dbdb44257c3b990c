"""The stack with `--passthrough`, for a person who has AWS credentials in a profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from lattice_bridge.cli.local import PASSED_THROUGH, local
from tests.support.stack import FAULTS, RunningStack, person_with_credentials, running

OWN = ("AKIAPERSON", "own-secret", "own-token")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("HOME", str(person_with_credentials(tmp_path_factory.mktemp("home"))))
        with running("--passthrough", template=FAULTS) as stack:
            yield stack


def invoked(stack: RunningStack, function: str, *key: str) -> Any:
    session = boto3.session.Session(*key, region_name="us-east-1")
    answer = session.client("lambda", endpoint_url=stack.lambda_url).invoke(FunctionName=function)
    return json.loads(answer["Payload"].read())


def test_function_has_the_persons_credentials_and_the_local_lambda_only(stack: RunningStack) -> None:
    environ = invoked(stack, "echo", "local", "local")["environ"]
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert tuple(environ[name] for name in names) == OWN
    assert environ["AWS_ENDPOINT_URL_LAMBDA"] == stack.lambda_url
    assert "AWS_ENDPOINT_URL" not in environ


def test_function_invokes_another_with_the_persons_credentials(stack: RunningStack) -> None:
    """An SDK has one access key for every service, so the endpoint verifies the person's signature too."""
    assert invoked(stack, "echo", "local", "local")  # the key is accepted once a function has it
    assert invoked(stack, "echo", *OWN)["event"] == {}


def test_persons_key_with_another_secret_or_token_is_refused(stack: RunningStack) -> None:
    invoked(stack, "echo", "local", "local")
    for secret, token in (("another", "own-token"), ("own-secret", "another")):
        with pytest.raises(ClientError, match=r"InvalidSignature|UnrecognizedClient"):
            invoked(stack, "echo", "AKIAPERSON", secret, token)


def test_terminal_warns_and_shows_no_credential(stack: RunningStack) -> None:
    lines = [json.dumps(line) for line in stack.lines if "environment" not in line]
    assert any(PASSED_THROUGH in line for line in lines)
    assert not any(part in line for line in lines for part in OWN)


def test_start_without_credentials_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    done = CliRunner().invoke(local, ["--template", str(FAULTS), "--passthrough"])
    assert done.exit_code == 2
    assert "AWS_ACCESS_KEY_ID is local, which is the local stack's key. Fix: sign in" in done.output
