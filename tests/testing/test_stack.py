"""LocalStack: requests, and the end of all its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import pytest

from lattice_bridge.local.front.exchange.identities import read_identities
from lattice_bridge.testing import LocalStack
from lattice_bridge.testing.stack import StackFailed, _signed, _Signing
from tests.support.front import stack_of
from tests.support.stack import FORWARDED_FUNCTION, alive, wait_until

SIGNED: Final = (
    FORWARDED_FUNCTION
    + """
  Service:
    Type: AWS::VpcLattice::Service
    Properties: {AuthType: AWS_IAM, CustomDomainName: h.example}
  Policy:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !Ref Service
      Policy: {Statement: [{Effect: Allow, Principal: {AWS: "111122223333"}, Action: "*", Resource: "*"}]}
"""
)
SIGNED_API: Final = """
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13}}
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: shop}}
  Stage: {Type: "AWS::ApiGatewayV2::Stage", Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true}}
  Behind:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt Fn.Arn
      PayloadFormatVersion: "2.0"
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: POST /orders
      Target: !Sub integrations/${Behind}
      AuthorizationType: AWS_IAM
"""
FUNCTION_URL: Final = """
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13}}
  Url: {Type: "AWS::Lambda::Url", Properties: {TargetFunctionArn: !GetAtt Fn.Arn, AuthType: AWS_IAM}}
  One:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref Fn, Action: "lambda:InvokeFunctionUrl", Principal: "111122223333"}
  Two:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref Fn, Action: "lambda:InvokeFunction", Principal: "111122223333"}
"""
HANDLER: Final = """
import json, subprocess, sys, time
def handler(event, context):
    path = event["path"] if "path" in event else event["raw_path"]
    print("hello", path)
    child = None
    if path == "/moved":
        return {"statusCode": 302, "headers": {"location": "/elsewhere"}, "body": ""}
    if path == "/hangs":
        time.sleep(60)
    if path == "/forks":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True).pid
    return {"statusCode": 200, "body": json.dumps({"event": event, "child": child})}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "template.yaml").write_text(SIGNED)
    (folder / "app.py").write_text(HANDLER)
    return folder / "template.yaml"


@pytest.fixture(scope="module")
def stack(template: Path) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_REGION", "eu-west-1")
        with LocalStack(template) as stack:
            yield stack


# ---- requests -------------------------------------------------------------------------------------------------------


def test_request_is_signed_by_an_identity(stack: LocalStack) -> None:
    answer = stack.request("POST", "/a%20b?x=1&x=%2F", body="é", identity="LOCALGREEN", session="me")
    event = answer.json()["event"]
    identity = event["requestContext"]["identity"]
    assert (answer.status, event["method"], event["path"]) == (200, "POST", "/a%20b?x=1&x=%2F")
    assert identity["principal"] == "arn:aws:sts::111122223333:assumed-role/green-api/me"


@pytest.mark.parametrize("service", ["execute-api", "lambda"])
def test_request_may_be_signed_for_an_api_or_a_function_url(
    service: Literal["execute-api", "lambda"], tmp_path: Path
) -> None:
    """The signature covers the body."""
    signing = _Signing(read_identities(None)["LOCALGREEN"], "me", service)
    url = FUNCTION_URL if service == "lambda" else SIGNED_API
    front = stack_of(url, tmp_path, now=lambda: datetime.now(UTC))
    for body, status in ((b"{}", 200), (b"[]", 403)):
        headers = _signed("http://front/orders?x=%20", "POST", [], b"{}", signing)
        assert front.send("POST", "/orders?x=%20", [(n.lower(), v) for n, v in headers], body).status == status
    arn = front.event["requestContext"]["authorizer"]["iam"]["userArn"]
    assert arn == "arn:aws:sts::111122223333:assumed-role/green-api/me"


@pytest.fixture(scope="module")
def configured_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Runs a stack with its own identities, a parameter and an option."""
    folder = tmp_path_factory.mktemp("configured")
    template = SIGNED.replace("AWS_IAM", "!Ref Auth")
    (folder / "t.yaml").write_text(f"Parameters:\n  Auth: {{Type: String, Default: AWS_IAM}}\n{template}")
    (folder / "app.py").write_text(HANDLER)
    text = '[[identity]]\naccess_key = "OWNKEY"\nsecret_key = "s"\nprincipal = "arn:aws:iam::111122223333:role/own"\n'
    (folder / "identities.toml").write_text(text)
    with LocalStack(folder / "t.yaml", {"Auth": "NONE"}, options=["--event-version", "V1"]) as stack:
        yield stack


def test_identity_beside_the_template_is_known(configured_stack: LocalStack) -> None:
    headers = configured_stack.get("/", identity="OWNKEY").json()["event"]["headers"]
    assert "Principal=arn:aws:sts::111122223333:assumed-role/own/local;" in headers["x-amzn-lattice-identity"]


def test_parameters_and_options_reach_the_stack(configured_stack: LocalStack) -> None:
    assert configured_stack.get("/a").json()["event"]["raw_path"] == "/a"


@pytest.mark.parametrize(("name", "nearest"), [("LOCALGREN", "LOCALGREEN, LOCALBLUE"), ("blue", "LOCALBLUE, LOCALGR")])
def test_unknown_identity_lists_those_there_are_nearest_first(stack: LocalStack, name: str, nearest: str) -> None:
    with pytest.raises(KeyError) as unknown:
        stack.get("/", identity=name)
    assert f"identity '{name}': no identity has this access key. Fix: write one of {nearest}" in str(unknown.value)
    assert stack.get("/").status == 403


def test_repeated_headers_are_sent(stack: LocalStack) -> None:
    given: list[dict[str, list[str]]] = [
        stack.get("/", headers, identity="LOCALBLUE").json()["event"]["headers"]
        for headers in ([("x-a", "1"), ("X-A", "2"), ("host", "h.example")], {"x-a": ["1", "2"], "Host": "h.example"})
    ]
    assert [(headers["x-a"], headers["host"]) for headers in given] == [(["1", "2"], ["h.example"])] * 2


def test_redirection_is_not_followed(stack: LocalStack) -> None:
    answer = stack.get("/moved", identity="LOCALBLUE")
    assert (answer.status, answer.headers["Location"], answer.text) == (302, "/elsewhere", "")


def test_proxy_is_not_used(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert stack.get("/").status == 403


def test_output_contains_printed_lines(stack: LocalStack) -> None:
    stack.get("/printed", identity="LOCALBLUE")
    assert stack.printed("/printed", "Function")
    assert "hello /printed" in stack.output()
    assert stack.output("Funct") == []


def test_printed_waits_and_returns_false(stack: LocalStack) -> None:
    assert not stack.printed("never", seconds=0.05)


def test_aws_variables_of_the_shell_do_not_reach_the_stack(stack: LocalStack) -> None:
    """The fixture sets AWS_REGION."""
    assert stack.get("/", identity="LOCALBLUE").json()["event"]["requestContext"]["region"] == "us-east-1"


# ---- failures -------------------------------------------------------------------------------------------------------


def test_failed_start_reports_the_cause(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}")
    with pytest.raises(StackFailed, match=r"did not start \(with exit code 2\)(.|\n)*nothing to serve"):
        LocalStack(tmp_path / "template.yaml").__enter__()


def test_request_to_an_ended_stack_reports_the_end(template: Path) -> None:
    with LocalStack(template) as stack:
        stack.process.popen.kill()
        stack.process.popen.wait()
        with pytest.raises(StackFailed, match="has ended, with exit code -9"):
            stack.get("/")


def test_unstarted_stack_is_an_error_with_a_fix(template: Path) -> None:
    with pytest.raises(RuntimeError, match="with LocalStack"):
        LocalStack(template).url  # noqa: B018 - asking is enough


# ---- processes ------------------------------------------------------------------------------------------------------


def processes_of(stack: int) -> list[int]:
    """Returns the pids of the stack's process and of its children."""
    found = Path(f"/proc/{stack}/task/{stack}/children").read_text().split()
    return [stack, *map(int, found)]


def test_no_process_is_left_after_the_block(template: Path) -> None:
    with LocalStack(template) as stack:
        stack.get("/", identity="LOCALBLUE")
        pids = processes_of(stack.process.popen.pid)
        assert len(pids) == 2
    assert [pid for pid in pids if alive(pid)] == []
    assert (stack.process.exit_code, stack.process.errors) == (0, "")


def test_stack_that_does_not_stop_is_killed_with_its_children(template: Path) -> None:
    with LocalStack(template) as stack:
        child = stack.get("/forks", identity="LOCALBLUE").json()["child"]
        pids = [child, *processes_of(stack.process.popen.pid)]
        stack.process.popen.send_signal(signal.SIGSTOP)
        stack.process.end(seconds=0.2)
        assert stack.process.exit_code == -9
    wait_until(lambda: not any(map(alive, pids)))


TEST: Final = """
import threading, time
def test_it(local_stack):
    threading.Thread(target=local_stack.get, args=("/hangs",), daemon=True).start()
    child = local_stack.get("/forks").json()["child"]
    stack = local_stack.process.popen.pid
    while len(children := open(f"/proc/{stack}/task/{stack}/children").read().split()) < 2:
        time.sleep(0.05)
    print("\\npids", child, stack, *children, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_process_is_left_after_pytest_ends(tmp_path: Path, number: signal.Signals) -> None:
    """It ends in a test, while one function hangs and another has a child in a session of its own."""
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "app.py").write_text(HANDLER)
    (tmp_path / "template.yaml").write_text(SIGNED.replace("AWS_IAM", "NONE"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "_lattice_bridge_pytestplugin",
    ]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # the others are half of the start
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heeds_interrupts,
    ) as run:
        try:
            assert run.stdout is not None
            line = next(line for line in run.stdout if line.startswith("pids "))
            pids = [int(pid) for pid in line.split()[1:]]
            assert len(pids) == 4
            assert all(alive(pid) for pid in pids)
            run.send_signal(number)
            said, _ = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == (2 if number == signal.SIGINT else -number), said
    wait_until(lambda: not any(map(alive, pids)))


def _heeds_interrupts() -> None:
    """Restores SIGINT, which a shell's background jobs and their children ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
