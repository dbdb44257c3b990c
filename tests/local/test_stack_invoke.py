"""The Lambda API with its usual clients: boto3, the AWS CLI, and plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from lattice_bridge.invoke.call import Call
from lattice_bridge.invoke.direct import direct_invoker
from lattice_bridge.testing import FakeLambda
from tests.support.stack import FAULTS, PERSON, RunningStack, opened, person_with_credentials, running, signed

ARN = "arn:aws:lambda:us-east-1:123456789012:function:echo"
PLATFORM = {
    "PATH",
    "LANG",
    "LC_CTYPE",
    "TZ",
    "LATTICE_BRIDGE_STACK",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "_HANDLER",
    "LAMBDA_TASK_ROOT",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Of a person who has AWS credentials."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("HOME", str(person_with_credentials(home)))
        with running(template=FAULTS) as stack:
            yield stack


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Any:
    session = boto3.session.Session("local", "local", region_name="us-east-1")
    return session.client("lambda", endpoint_url=stack.lambda_url)


def test_aws_cli_invokes_as_a_tenant(stack: RunningStack, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    aws = Path(sys.executable).with_name("aws")
    command = [str(aws), "lambda", "invoke", "--endpoint-url", stack.lambda_url, "--region", "us-east-1"]
    arguments = ["--function-name", "isolated", "--tenant-id", "blue", "--log-type", "Tail", "--payload", '{"n": 1}']
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "left over from another command",
    }
    done = subprocess.run([*command, *arguments, str(answer)], capture_output=True, text=True, env=environ, check=True)
    printed = json.loads(done.stdout)
    assert (printed["StatusCode"], printed["ExecutedVersion"]) == (200, "$LATEST")
    assert "echo was here" in base64.b64decode(printed["LogResult"]).decode()
    assert json.loads(answer.read_text())["tenant"] == "blue"
    assert json.loads(answer.read_text())["event"] == {"n": 1}


def test_boto3_invokes_and_reads_the_response(client: Any) -> None:
    response = client.invoke(FunctionName="isolated", TenantId="blue", Payload=b'{"n": 1}', LogType="Tail")
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    answer = json.loads(response["Payload"].read())
    assert (answer["tenant"], answer["event"]) == ("blue", {"n": 1})
    assert b"echo was here" in base64.b64decode(response["LogResult"])


def test_request_id_is_the_functions_own(client: Any) -> None:
    response = client.invoke(FunctionName="isolated", TenantId="blue")
    own = json.loads(response["Payload"].read())["request_id"]
    assert (response["ResponseMetadata"]["RequestId"], str(UUID(own))) == (own, own)


def test_refused_invoke_has_a_request_id(client: Any) -> None:
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="isolated")
    assert UUID(refused.value.response["ResponseMetadata"]["RequestId"])


def test_function_error_has_lambdas_form(client: Any) -> None:
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
        ({"FunctionName": "unknown"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "echo:unknown"}, "ResourceNotFoundException", 404),
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
def test_refused_invocation_has_lambdas_error(client: Any, arguments: dict[str, Any], code: str, status: int) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"FunctionName": "isolated"},
            "The invoked function is enabled with tenancy configuration. "
            "Add a valid tenant ID in your request and try again.",
        ),
        (
            {"FunctionName": "echo", "TenantId": "blue"},
            "The invoked function is not enabled with tenancy configuration. "
            "Remove the tenant ID from your request and try again.",
        ),
    ],
    ids=["missing", "unwanted"],
)
def test_tenancy_error_has_the_message_of_aws(client: Any, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke(**arguments)
    assert caught.value.response["Error"]["Message"] == message
    with FakeLambda(isolated={"isolated"}) as fake, pytest.raises(ClientError) as caught:
        fake.client().invoke(**arguments)
    assert caught.value.response["Error"]["Message"] == message


@pytest.mark.parametrize(
    "name", ["echo", "echo:live", "echo:$LATEST", ARN, f"{ARN}:live", "123456789012:function:echo", "function:echo"]
)
def test_function_is_found_by_every_form_of_its_name(client: Any, stack: RunningStack, name: str) -> None:
    qualifier = "" if name.rpartition(":")[2] == "echo" else f":{name.rpartition(':')[2]}"
    assert stack.invoke(quote(name, safe="")).json()["arn"] == ARN + qualifier
    if not name.startswith("function:"):  # boto3 itself does not take this one
        assert json.loads(client.invoke(FunctionName=name)["Payload"].read())["arn"] == ARN + qualifier


def test_qualifier_may_be_in_the_query(client: Any) -> None:
    answer = client.invoke(FunctionName="echo", Qualifier="live")
    assert json.loads(answer["Payload"].read())["arn"] == f"{ARN}:live"


def test_dry_run_runs_no_function(client: Any, stack: RunningStack) -> None:
    assert client.invoke(FunctionName="slow", InvocationType="DryRun")["StatusCode"] == 204
    assert stack.output_of("slow") == []


def test_unknown_invocation_type_is_refused(stack: RunningStack) -> None:
    answer = stack.invoke("echo", X_Amz_Invocation_Type="Later")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")


def test_empty_payload_is_an_empty_object(client: Any) -> None:
    assert json.loads(client.invoke(FunctionName="echo")["Payload"].read())["event"] == {}


def test_client_context_reaches_the_function(client: Any) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    answer = client.invoke(FunctionName="echo", ClientContext=context)
    assert json.loads(answer["Payload"].read())["client_context"] == {"k": "v"}


def test_trace_header_reaches_the_function(stack: RunningStack) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1"
    assert stack.invoke("echo", X_Amzn_Trace_Id=quote(trace)).json()["environ"]["_X_AMZN_TRACE_ID"] == trace
    assert stack.invoke("echo").json()["environ"]["_X_AMZN_TRACE_ID"].startswith("Root=1-")


def test_environment_has_lambdas_variables_and_none_of_the_shell(stack: RunningStack) -> None:
    answer = stack.invoke("echo").json()
    environ = answer["environ"]
    assert answer["cwd"] == answer["path0"] == environ["LAMBDA_TASK_ROOT"] == str(FAULTS.parent)
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert environ["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert environ["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"
    assert environ["AWS_ENDPOINT_URL"] == environ["AWS_ENDPOINT_URL_LAMBDA"] == stack.lambda_url
    assert environ["AWS_ACCESS_KEY_ID"] == "LOCALEXECUTIONROLE"
    assert environ["FROM_GLOBALS"] == "yes"
    assert 19_000 < answer["remaining"] <= 20_000
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in environ
    unexpected = [n for n in environ if not n.startswith(("AWS_", "_X_AMZN")) and n not in PLATFORM | {"FROM_GLOBALS"}]
    assert unexpected == []


def test_repeated_tenant_header_is_refused(stack: RunningStack) -> None:
    """A client library that adds a second header must not choose the tenant."""
    url = f"{stack.lambda_url}/2015-03-31/functions/isolated/invocations"
    # Not signed; signed as the one header that they are.
    for given, says in (({}, "must be signed"), ({"x-amz-tenant-id": "blue,green"}, "more than once")):
        headers = signed(url, given, b"{}")
        lines = [f"{name}: {value}" for name, value in headers.items() if name != "x-amz-tenant-id"]
        both = ["x-amz-tenant-id: blue", "x-amz-tenant-id: green", *lines]
        command = ["curl", "-s", "-d", "{}", url, *(word for line in both for word in ("-H", line))]
        answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert says in json.dumps(answer)


# ---- operations that read functions ---------------------------------------------------------------------------------


def test_configuration_of_a_function_says_whether_it_is_isolated(client: Any) -> None:
    found = client.get_function_configuration(FunctionName="isolated")
    assert found["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    assert (found["FunctionArn"], found["Timeout"]) == (ARN.replace("echo", "isolated"), 20)
    assert "TenancyConfig" not in client.get_function_configuration(FunctionName="echo")


def test_function_is_read_with_its_variables_and_its_alias(client: Any) -> None:
    found = client.get_function(FunctionName="echo", Qualifier="live")["Configuration"]
    assert (found["FunctionArn"], found["Version"], found["State"]) == (f"{ARN}:live", "$LATEST", "Active")
    assert found["Environment"] == {"Variables": {"FROM_GLOBALS": "yes"}}
    assert (found["LoggingConfig"]["LogFormat"], found["LoggingConfig"]["ApplicationLogLevel"]) == ("JSON", "DEBUG")
    client.get_waiter("function_active_v2").wait(FunctionName="echo", WaiterConfig={"Delay": 0, "MaxAttempts": 1})


def test_functions_are_listed_in_pages(client: Any) -> None:
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 5}))
    names = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert len(pages) > 1
    assert len(pages[0]["Functions"]) == 5
    assert names == sorted({*names})
    assert {"echo", "isolated", "slow"} < {*names}


def test_unknown_function_is_not_found(client: Any) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="unknown")


def test_response_stream_is_refused_with_the_alternative(client: Any) -> None:
    with pytest.raises(
        ClientError, match=r"\(NotImplemented\).* this local stack streams no response. Fix: send Invoke"
    ):
        client.invoke_with_response_stream(FunctionName="echo")


def test_configuration_of_events_is_that_of_the_template(client: Any) -> None:
    with pytest.raises(ClientError, match=r"\(NotImplemented\).* Fix: write AWS::Lambda::EventInvokeConfig"):
        client.put_function_event_invoke_config(FunctionName="echo", MaximumRetryAttempts=0)


def test_unknown_operation_names_those_there_are(client: Any) -> None:
    with pytest.raises(ClientError, match=r"\(UnknownOperationException\).* this local stack has Invoke, GetFunction"):
        client.delete_function(FunctionName="echo")


# ---- signatures -----------------------------------------------------------------------------------------------------


def post(stack: RunningStack, headers: dict[str, str], body: bytes = b"{}") -> tuple[int, str, str]:
    url = f"{stack.lambda_url}/2015-03-31/functions/echo/invocations"
    answer = opened(url, headers, body, "POST")
    return answer.status, answer.headers.get("x-amzn-errortype", ""), answer.body.decode()


def sign(stack: RunningStack, who: Credentials = PERSON, region: str = "us-east-1") -> dict[str, str]:
    return signed(f"{stack.lambda_url}/2015-03-31/functions/echo/invocations", {}, b"{}", who, region)


@pytest.mark.parametrize("who", [PERSON, Credentials("LOCALEXECUTIONROLE", "local", "local")])
def test_both_local_keys_may_invoke(stack: RunningStack, who: Credentials) -> None:
    assert post(stack, sign(stack, who))[0] == 200


def test_unsigned_request_is_refused_with_the_local_key(stack: RunningStack) -> None:
    status, code, body = post(stack, {})
    assert (status, code) == (403, "MissingAuthenticationTokenException")
    assert "AWS_ACCESS_KEY_ID=local" in body


@pytest.mark.parametrize(
    "who",
    [
        Credentials("AKIDEXAMPLE", "local"),
        Credentials("LOCALBLUE", "blue"),  # may sign to the front, as a client of Lattice
        Credentials("LOCALEXECUTIONROLE", "local"),
        Credentials("LOCALEXECUTIONROLE", "local", "another"),
    ],
    ids=["unknown", "a client's", "no token", "another token"],
)
def test_unknown_key_is_refused(stack: RunningStack, who: Credentials) -> None:
    status, code, body = post(stack, sign(stack, who))
    assert (status, code) == (403, "UnrecognizedClientException")
    assert "AWS_ACCESS_KEY_ID=local" in body


def test_wrong_signature_is_refused(stack: RunningStack) -> None:
    good = sign(stack)
    for headers, body in (
        (sign(stack, Credentials("local", "wrong")), b"{}"),
        (sign(stack, region="eu-west-1"), b"{}"),
        (good, b'{"n": 1}'),
        ({**good, "X-Amz-Date": "20200101T000000Z"}, b"{}"),
    ):
        assert post(stack, headers, body)[:2] == (403, "InvalidSignatureException")


def test_tenant_added_after_signing_is_refused(stack: RunningStack) -> None:
    """AWS requires a signature of every x-amz-* header."""
    url = f"{stack.lambda_url}/2015-03-31/functions/echo/invocations"
    headers = {**signed(url, {}, b"{}"), "x-amz-tenant-id": "green"}
    assert post(stack, headers)[:2] == (403, "InvalidSignatureException")


def test_tenant_changed_after_signing_is_refused(stack: RunningStack) -> None:
    url = f"{stack.lambda_url}/2015-03-31/functions/echo/invocations"
    headers = signed(url, {"x-amz-tenant-id": "blue"}, b"{}")
    assert post(stack, {**headers, "x-amz-tenant-id": "green"})[:2] == (403, "InvalidSignatureException")


def test_bridge_signature_is_accepted(stack: RunningStack) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
    with closing(direct_invoker({**environ, "AWS_ENDPOINT_URL_LAMBDA": stack.lambda_url})) as invoker:
        answer = json.loads(invoker(Call(f"{ARN}:live", None, b'{"n": 1}', "sync", 10, 10)))
        assert (answer["arn"], answer["event"]) == (f"{ARN}:live", {"n": 1})
        answer = json.loads(invoker(Call("isolated", "blue/=+@", b"{}", "sync", 10, 10)))
        assert answer["tenant"] == "blue/=+@"
