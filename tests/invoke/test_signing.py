"""Signature Version 4 of an Invoke: botocore says what is right."""

from __future__ import annotations

import functools
from datetime import datetime
from hashlib import sha256
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSResponse, create_request_object, prepare_request_dict
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.serialize import create_serializer
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import Misconfigured
from lattice_bridge.http.client import Endpoint
from lattice_bridge.invoke.call import INVOCATION_TYPES, Call
from lattice_bridge.invoke.endpoint import endpoint_of
from lattice_bridge.invoke.request import InvokeHeads, path_of
from lattice_bridge.invoke.signing import Credentials
from tests.support.examples import examples

OWN = {"authorization", "host", "x-amz-date", "x-amz-invocation-type", "x-amz-security-token", "x-amz-tenant-id"}
"""The headers that decide who asks for what. The others are botocore's telling of itself."""

MODEL: Any = Session().get_service_model("lambda").operation_model("Invoke")
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1")
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)

functions = st.one_of(
    st.from_regex(rf"\A{MODEL.input_shape.members['FunctionName'].metadata['pattern']}\Z"),
    st.builds(
        "arn:aws:lambda:{}:{:012}:function:{}:{}".format,
        st.sampled_from(REGIONS),
        st.integers(0, 10**12 - 1),
        st.from_regex(r"\A[a-zA-Z0-9_-]{1,64}\Z"),
        st.sampled_from(["live", "$LATEST", "7", "$LATEST.PUBLISHED"]),
    ),
    st.text(min_size=1, max_size=64).filter(lambda name: name.isprintable()),  # whatever a path can be made to carry
).filter(lambda name: name not in (".", ".."))
tenants = st.none() | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,255}\Z")
calls = st.builds(
    Call,
    function=functions,
    tenant=tenants,
    payload=st.binary(max_size=200),
    invocation=st.sampled_from(["sync", "async"]),
    timeout=st.just(4.0),
    left=st.just(20.0),
)
credentials = st.builds(Credentials, VISIBLE, VISIBLE, st.none() | VISIBLE)
clocks = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(lambda when: when.strftime("%Y%m%dT%H%M%SZ"))  # noqa: DTZ001 - Hypothesis wants them so
endpoints = st.sampled_from(REGIONS).map(lambda region: endpoint_of(region, {})) | st.builds(
    Endpoint,
    secure=st.booleans(),
    host=st.sampled_from(["127.0.0.1", "::1", "lambda.internal.example"]),
    port=st.sampled_from([80, 443, 9001]),
    path=st.sampled_from(["", "/lambda", "/a/b.c~d"]),
)


def ours(call: Call, endpoint: Endpoint, region: str, who: Credentials, timestamp: str) -> tuple[str, dict[str, str]]:
    """The path and the headers in the bytes of a head."""
    head = InvokeHeads(endpoint, region).head(call, sha256(call.payload).hexdigest(), who, timestamp, None)
    first, *lines, end, empty = head.decode("ascii").split("\r\n")
    method, path, version = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    assert (method, version, end, empty, len(headers)) == ("POST", "HTTP/1.1", "", "", len(lines))
    assert headers.pop("content-length") == str(len(call.payload))
    assert headers.pop("user-agent").startswith("lattice-bridge/")
    return path, headers


def arguments(call: Call) -> dict[str, Any]:
    given = {
        "FunctionName": call.function,
        "InvocationType": INVOCATION_TYPES[call.invocation],
        "Payload": call.payload,
    }
    return given if call.tenant is None else {**given, "TenantId": call.tenant}


def origin(endpoint: Endpoint) -> str:
    return f"http{'s' if endpoint.secure else ''}://{endpoint.authority}"


def botocores(call: Call, endpoint: Endpoint, region: str, who: Credentials, timestamp: str) -> Any:
    """The request by botocore's serializer and signer, at a time that is given."""
    fields = create_serializer("rest-json").serialize_to_request(arguments(call), MODEL)
    prepare_request_dict(fields, endpoint_url=origin(endpoint) + endpoint.path, context={})
    request: Any = create_request_object(fields)
    request.context["timestamp"] = timestamp
    request.headers["X-Amz-Date"] = timestamp
    if who.token:
        request.headers["X-Amz-Security-Token"] = who.token
    auth = SigV4Auth(BotoCredentials(who.access_key, who.secret_key, who.token), "lambda", region)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    names = auth.signed_headers(auth.headers_to_sign(request))
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    return request.prepare()


def own_headers(prepared: Any) -> dict[str, str]:
    text = {name.lower(): v.decode() if isinstance(v, bytes) else v for name, v in prepared.headers.items()}
    return {name: value for name, value in text.items() if name in OWN}


@settings(max_examples=examples(200), deadline=None)
@given(calls, endpoints, st.sampled_from(REGIONS), credentials, clocks)
def test_path_and_signature_equal_botocores(
    call: Call, endpoint: Endpoint, region: str, who: Credentials, timestamp: str
) -> None:
    path, headers = ours(call, endpoint, region, who, timestamp)
    theirs = botocores(call, endpoint, region, who, timestamp)
    assert theirs.url == f"{origin(endpoint)}{path}"
    assert own_headers(theirs) == {name: value for name, value in headers.items() if name != "host"}
    assert f"//{headers['host']}/" in theirs.url


@functools.cache
def client(region: str, token: str | None) -> tuple[Any, list[Any]]:
    """A whole boto3 client, whose requests are caught when they are about to be sent."""
    sent: list[Any] = []

    def catch(request: Any, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, None)

    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, ignore_configured_endpoint_urls=True)
    made = boto3.session.Session("AKID", "secret", token, region).client("lambda", config=config)
    made.meta.events.register("before-send.lambda.Invoke", catch)
    made.meta.events.register("before-parse.lambda.Invoke", lambda response_dict, **_: response_dict.update(body=b""))
    return made, sent


@settings(max_examples=examples(60), deadline=None)
@given(calls, st.sampled_from(REGIONS), st.sampled_from([None, "token/+="]))
def test_path_and_signature_equal_a_boto3_clients(call: Call, region: str, token: str | None) -> None:
    made, sent = client(region, token)
    made.invoke(**arguments(call))
    theirs = sent.pop()
    timestamp = theirs.headers["X-Amz-Date"].decode()
    endpoint = endpoint_of(region, {})
    path, headers = ours(call, endpoint, region, Credentials("AKID", "secret", token), timestamp)
    assert theirs.url == f"{origin(endpoint)}{path}"
    assert own_headers(theirs) == {name: value for name, value in headers.items() if name != "host"}


@pytest.mark.parametrize("text", [repr(Credentials("AKID", "s3cret", "t0ken")), str(Credentials("AKID", "s3cret"))])
def test_repr_of_credentials_has_no_secret(text: str) -> None:
    """Trap D11."""
    assert "s3cret" not in text
    assert "t0ken" not in text


@pytest.mark.parametrize("function", ["", ".", ".."])
def test_function_name_that_changes_the_path_is_refused(function: str) -> None:
    with pytest.raises(Misconfigured, match="nothing was invoked"):
        path_of(function)
