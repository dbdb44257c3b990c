"""The AWS endpoint without a stack: its own server, called with the usual clients."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lattice_bridge.local.aws import sts_api
from lattice_bridge.local.aws.access_keys import EXECUTION_ROLE_KEY
from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse
from tests.support.endpoint import BLUE, REGION, client, endpoint
from tests.support.stack import opened

JSON = ("content-type", "application/json")


async def echo(request: AwsRequest) -> AwsResponse:
    if request.path == "/refused":
        raise AwsError(400, "ValidationException", "no")
    return AwsResponse(200, [JSON], b'{"TableNames": ["%s"]}' % request.operation.encode())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An endpoint with STS and a table of its own."""
    services = {"lambda": AwsService(echo, 10), sts_api.SERVICE: sts_api.sts_api(), "dynamodb": AwsService(echo, 1000)}
    with endpoint(lambda _url: services) as found:
        yield found


def test_service_is_found_by_the_signature_and_the_operation_by_the_target(url: str) -> None:
    assert client(url, "dynamodb").list_tables()["TableNames"] == ["ListTables"]


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sqs", "list_queues", {}),  # JSON
        ("apigateway", "get_rest_apis", {}),  # REST with JSON
        ("cloudwatch", "list_metrics", {}),  # CBOR
        ("sns", "list_topics", {}),  # query
        ("s3", "list_buckets", {}),  # XML of its own
        ("s3", "put_object", {"Bucket": "bucket", "Key": "key", "Body": b"x" * 100_000}),
        ("route53", "list_hosted_zones", {}),  # REST with XML
    ],
)
def test_service_that_is_not_here_is_a_sentence_and_not_a_parse_error(
    url: str, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(url, service), operation)(**arguments)
    error = refused.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert "this local stack has only lambda and sts and dynamodb. Fix: to reach AWS, leave out" in error["Message"]


def test_ec2_has_a_form_of_its_own(url: str) -> None:
    """Without botocore's client, whose model takes a second to load."""
    scope = f"20260101/{REGION}/ec2/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential=local/{scope}, SignedHeaders=host, Signature={'0' * 64}"}
    answer = opened(f"{url}/?Action=DescribeVpcs&Version=2016-11-15", headers, None, "GET")
    assert (answer.status, answer.body.count(b"<Response><Errors><Error><Code>NotImplemented</Code>")) == (501, 1)


def test_function_that_calls_another_service_is_told_about_passthrough(url: str) -> None:
    key = EXECUTION_ROLE_KEY
    with pytest.raises(ClientError, match=r"sqs ListQueues: .* AWS_ENDPOINT_URL_… .* --passthrough"):
        client(url, "sqs", key.access_key, key.secret_key, str(key.token)).list_queues()


def test_request_that_could_only_be_presigned_names_its_service(url: str) -> None:
    presigned = client(url, "s3", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "key"}
    )
    answer = opened(presigned, None, None, "GET")
    assert (answer.status, b"<Error><Code>NotImplemented</Code><Message>s3: this" in answer.body) == (501, True)


def test_name_of_a_service_is_not_repeated_if_it_is_not_one(url: str) -> None:
    """Trap G1: neither a terminal nor a parser receives what a client wrote in place of a service."""
    scope = f"20260101/{REGION}/<b>/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential=local/{scope}, SignedHeaders=host, Signature={'0' * 64}"}
    answer = opened(f"{url}/", {**headers, "x-amz-target": "A.<b>"}, b"", "POST")
    assert (answer.status, b"<b>" in answer.body) == (403, False)


def test_signature_for_one_service_does_not_open_another(url: str) -> None:
    """The service in the signature is the one that answers, whatever the target says."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("POST", url, headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"}, data=b"Action=Other")
    SigV4Auth(Credentials("local", "local"), "sts", REGION).add_auth(request)
    answer = opened(url, dict(request.headers.items()), b"Action=Other", "POST")
    assert (answer.status, b"sts Other: this local stack" in answer.body) == (501, True)


@pytest.mark.parametrize(
    ("service", "operation"), [("dynamodb", "list_tables"), ("sts", "get_caller_identity")], ids=["json", "query"]
)
def test_unknown_key_is_refused_in_the_words_of_each_protocol(url: str, service: str, operation: str) -> None:
    with pytest.raises(
        ClientError, match=r"UnrecognizedClientException.*Fix: sign with this stack's AWS_ACCESS_KEY_ID=local"
    ):
        getattr(client(url, service, "AKIDEXAMPLE", "secret"), operation)()


def test_wrong_secret_is_refused_by_every_service(url: str) -> None:
    for service, operation in (("dynamodb", "list_tables"), ("sts", "get_caller_identity")):
        with pytest.raises(ClientError, match="InvalidSignatureException"):
            getattr(client(url, service, "local", "wrong"), operation)()


def test_error_of_a_service_has_the_form_of_its_protocol(url: str) -> None:
    with pytest.raises(ClientError, match=r"\(ValidationException\) .*: no"):
        client(f"{url}/refused", "dynamodb").list_tables()


def test_body_over_the_limit_is_read_to_its_end(url: str) -> None:
    assert client(url, "dynamodb").list_tables(ExclusiveStartTableName="t" * 200)["TableNames"]


def test_aws_cli_asks_who_it_is(url: str, tmp_path: Path) -> None:
    """Many tools begin with this call."""
    aws = str(Path(sys.executable).with_name("aws"))
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL": url}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_DEFAULT_REGION": REGION, **keys}
    command = [aws, "sts", "get-caller-identity", "--output", "text"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.split() == ["123456789012", "arn:aws:iam::123456789012:user/local", "AIDALOCAL000000000000"]


def test_identity_signs_only_for_services_that_start_no_function(url: str) -> None:
    """A client of Lattice that could invoke a function would choose any tenant."""
    keys = (BLUE.access_key, BLUE.secret_key)
    assert client(url, "sts", *keys).get_caller_identity()["UserId"] == BLUE.user_id
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client(url, "dynamodb", *keys).list_tables()


def test_function_is_a_role_for_sts(url: str) -> None:
    key = EXECUTION_ROLE_KEY
    found = client(url, "sts", key.access_key, key.secret_key, str(key.token)).get_caller_identity()
    assert (found["Account"], ":assumed-role/" in found["Arn"]) == ("123456789012", True)


def test_other_operation_of_sts_is_refused(url: str) -> None:
    with pytest.raises(
        ClientError, match=r"NotImplemented.*sts AssumeRole: this local stack has only GetCallerIdentity"
    ):
        client(url, "sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/other", RoleSessionName="name")


def test_curl_signs_for_the_endpoint(url: str) -> None:
    command = ["curl", "-s", "--aws-sigv4", f"aws:amz:{REGION}:sts", "--user", "local:local"]
    done = subprocess.run([*command, f"{url}/?Action=GetCallerIdentity&Version=2011-06-15"], capture_output=True)
    assert b"<Account>123456789012</Account>" in done.stdout
