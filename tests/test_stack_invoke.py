"""The Lambda API, by the clients that people have: boto3, the AWS CLI, and plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.stack import FAULTS, RunningStack, running

ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"
PLATFORM = {
    "PATH",
    "LANG",
    "LC_CTYPE",
    "TZ",
    "LATTICE_BRIDGE_STACK",
    "PYTHONUNBUFFERED",
    "_HANDLER",
    "LAMBDA_TASK_ROOT",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running(template=FAULTS) as stack:
        yield stack


@pytest.fixture
def client(stack: RunningStack) -> Any:
    session = boto3.session.Session("local", "local", region_name="us-east-1")
    return session.client("lambda", endpoint_url=stack.lambda_url)


def test_the_aws_cli_invokes_a_function_as_a_tenant(stack: RunningStack, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    aws = Path(sys.executable).with_name("aws")
    command = [str(aws), "lambda", "invoke", "--endpoint-url", stack.lambda_url, "--region", "us-east-1"]
    arguments = ["--function-name", "isolated", "--tenant-id", "blue", "--log-type", "Tail", "--payload", '{"n": 1}']
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    done = subprocess.run([*command, *arguments, str(answer)], capture_output=True, text=True, env=environ, check=True)
    printed = json.loads(done.stdout)
    assert (printed["StatusCode"], printed["ExecutedVersion"]) == (200, "$LATEST")
    assert "echo was here" in base64.b64decode(printed["LogResult"]).decode()
    assert json.loads(answer.read_text())["tenant"] == "blue"
    assert json.loads(answer.read_text())["event"] == {"n": 1}


def test_boto3_invokes_and_reads_the_answer(client: Any) -> None:
    response = client.invoke(FunctionName="isolated", TenantId="blue", Payload=b'{"n": 1}', LogType="Tail")
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    answer = json.loads(response["Payload"].read())
    assert (answer["tenant"], answer["event"]) == ("blue", {"n": 1})
    assert b"echo was here" in base64.b64decode(response["LogResult"])


def test_boto3_sees_a_function_error_as_lambda_reports_it(client: Any) -> None:
    response = client.invoke(FunctionName="raises")
    assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
    error = json.loads(response["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("RuntimeError", "a secret of the function")


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ({"FunctionName": "isolated"}, "InvalidParameterValueException", 400),
        ({"FunctionName": "echo", "TenantId": "blue"}, "InvalidParameterValueException", 400),
        ({"FunctionName": "isolated", "TenantId": "bl#ue"}, "ValidationException", 400),
        ({"FunctionName": "isolated", "TenantId": "b" * 257}, "ValidationException", 400),
        ({"FunctionName": "nobody"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "echo:nobody"}, "ResourceNotFoundException", 404),
        ({"FunctionName": ARN.replace("us-east-1", "eu-west-1")}, "ResourceNotFoundException", 404),
        ({"FunctionName": "echo:live", "Qualifier": "$LATEST"}, "InvalidParameterValueException", 400),
        ({"FunctionName": "echo", "Payload": b"{not json"}, "InvalidRequestContentException", 400),
        ({"FunctionName": "echo", "Payload": b'"%s"' % (b"x" * 6 * 2**20)}, "RequestTooLargeException", 413),
        (
            {"FunctionName": "echo", "InvocationType": "Event", "Payload": b'"%s"' % (b"x" * 2**20)},
            "RequestTooLargeException",
            413,
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_boto3_gets_the_error_that_lambda_would_give(
    client: Any, arguments: dict[str, Any], code: str, status: int
) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    "name", ["echo", "echo:live", "echo:$LATEST", ARN, f"{ARN}:live", "123456789012:function:echo", "function:echo"]
)
def test_a_function_is_found_by_every_form_of_its_name(client: Any, stack: RunningStack, name: str) -> None:
    qualifier = "" if name.rpartition(":")[2] == "echo" else f":{name.rpartition(':')[2]}"
    assert stack.invoke(quote(name, safe="")).json()["arn"] == ARN + qualifier
    if not name.startswith("function:"):  # boto3 itself does not take this one
        assert json.loads(client.invoke(FunctionName=name)["Payload"].read())["arn"] == ARN + qualifier


def test_a_qualifier_may_stand_in_the_query(client: Any) -> None:
    answer = client.invoke(FunctionName="echo", Qualifier="live")
    assert json.loads(answer["Payload"].read())["arn"] == f"{ARN}:live"


def test_a_dry_run_checks_and_runs_nothing(client: Any, stack: RunningStack) -> None:
    assert client.invoke(FunctionName="slow", InvocationType="DryRun")["StatusCode"] == 204
    assert stack.output_of("slow") == []


def test_an_unknown_invocation_type_is_refused(stack: RunningStack) -> None:
    answer = stack.invoke("echo", X_Amz_Invocation_Type="Later")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")


def test_an_empty_payload_is_an_empty_object(client: Any) -> None:
    assert json.loads(client.invoke(FunctionName="echo")["Payload"].read())["event"] == {}


def test_the_client_context_reaches_the_function(client: Any) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = client.invoke(FunctionName="echo", ClientContext=context)
    assert json.loads(answer["Payload"].read())["client_context"] == {"k": "v"}


def test_the_trace_header_reaches_the_function(stack: RunningStack) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1"
    assert stack.invoke("echo", X_Amzn_Trace_Id=quote(trace)).json()["environ"]["_X_AMZN_TRACE_ID"] == trace
    assert stack.invoke("echo").json()["environ"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")


def test_an_environment_has_what_lambda_gives_and_nothing_of_the_shell_that_started_it(stack: RunningStack) -> None:
    answer = stack.invoke("echo").json()
    environ = answer["environ"]
    assert answer["cwd"] == answer["path0"] == environ["LAMBDA_TASK_ROOT"] == str(FAULTS.parent)
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert environ["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert environ["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"
    assert environ["AWS_ENDPOINT_URL_LAMBDA"] == stack.lambda_url
    assert environ["FROM_GLOBALS"] == "yes"
    assert 19_000 < answer["remaining"] <= 20_000
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in environ
    unexpected = [n for n in environ if not n.startswith(("AWS_", "_X_AMZN")) and n not in PLATFORM | {"FROM_GLOBALS"}]
    assert unexpected == []


def test_two_tenant_headers_are_refused(stack: RunningStack) -> None:
    """A client library that adds its own beside ours must not decide which one counts."""
    url = f"{stack.lambda_url}/2015-03-31/functions/isolated/invocations"
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}", url]
    headers = ["-H", "x-amz-tenant-id: blue", "-H", "x-amz-tenant-id: green"]
    assert subprocess.run([*command, *headers], capture_output=True, text=True, check=True).stdout == "400"


def test_what_the_api_does_not_have_is_a_404_that_says_so(stack: RunningStack) -> None:
    command = ["curl", "-s", f"{stack.lambda_url}/2015-03-31/functions"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert "Invoke only" in answer["Message"]
