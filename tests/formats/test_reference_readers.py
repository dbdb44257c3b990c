"""The reference readers read AWS's documented examples, and refuse every other format."""

from __future__ import annotations

import copy
from typing import Any, Final, get_args

import pytest

from lattice_bridge.formats.event import Payload
from tests.support.reference_readers import READERS, Read, load

HTTP_2: Final[dict[str, Any]] = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/my/path",
    "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
    "cookies": ["cookie1", "cookie2"],
    "headers": {"header1": "value1", "header2": "value1,value2"},
    "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "api-id",
        "authentication": {"clientCert": {"subjectDN": "www.example.com"}},
        "authorizer": {
            "jwt": {"claims": {"claim1": "value1"}, "scopes": ["scope1"]},
            "lambda": {"exampleKey1": "exampleValue1"},
        },
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "id",
        "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "IP", "userAgent": "agent"},
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "body": "Hello from Lambda",
    "pathParameters": {"parameter1": "value1"},
    "isBase64Encoded": False,
    "stageVariables": {"stageVariable1": "value1"},
}
REST_1: Final[dict[str, Any]] = {
    "resource": "/{proxy+}",
    "path": "/hello/world",
    "httpMethod": "POST",
    "headers": {"Accept": "*/*", "headerName": "headerValue", "X-Forwarded-For": "54.240.196.186, 54.182.214.83"},
    "multiValueHeaders": {
        "Accept": ["*/*"],
        "headerName": ["headerValue"],
        "X-Forwarded-For": ["54.240.196.186, 54.182.214.83"],
    },
    "queryStringParameters": {"name": "me", "multivalueName": "me"},
    "multiValueQueryStringParameters": {"name": ["me"], "multivalueName": ["you", "me"]},
    "pathParameters": {"proxy": "hello/world"},
    "stageVariables": {"stageVariableName": "stageVariableValue"},
    "requestContext": {
        "requestTime": "20/Feb/2018:22:48:57 +0000",
        "path": "/test/hello/world",
        "accountId": "123456789012",
        "protocol": "HTTP/1.1",
        "resourceId": "yx5mhem7ye",
        "stage": "test",
        "requestTimeEpoch": 1519166937665,
        "requestId": "3c3ecbaa-1690-11e8-ae31-8f39f1d24afd",
        "identity": {
            "cognitoIdentityPoolId": None,
            "accountId": "123456789012",
            "cognitoIdentityId": None,
            "caller": "AIDAJ........4HCKVJZG",
            "sourceIp": "51.240.196.104",
            "accessKey": "IAM_user_access_key",
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": "arn:aws:iam::123456789012:user/alice",
            "userAgent": "PostmanRuntime/7.1.1",
            "user": "AIDAJ........4HCKVJZG",
        },
        "resourcePath": "/{proxy+}",
        "httpMethod": "POST",
        "apiId": "qr2gd9cfmf",
    },
    "body": '{\r\n\t"a": 1\r\n}',
    "isBase64Encoded": False,
}
ALB: Final[dict[str, Any]] = {
    "requestContext": {
        "elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:region:123456789012:targetgroup/my-target-group/6d0ecf83"
        }
    },
    "httpMethod": "GET",
    "path": "/",
    "multiValueQueryStringParameters": {"myKey": ["val1", "val%2F2"]},
    "multiValueHeaders": {
        "accept": ["text/html,application/xhtml+xml"],
        "cookie": ["name1=value1", "name2=value2"],
        "x-amzn-trace-id": ["Root=1-5bdb40ca-556d8b0c50dc66f0511bf520"],
        "x-forwarded-for": ["72.21.198.66"],
        "x-forwarded-port": ["443"],
        "x-forwarded-proto": ["https"],
    },
    "isBase64Encoded": False,
    "body": "request_body",
}
LATTICE_1: Final[dict[str, Any]] = {
    "raw_path": "/testpath?order-id=1",
    "method": "GET",
    "headers": {"user-agent": "curl/7.64.1", "x-forwarded-for": "10.213.229.10", "accept": "*/*"},
    "query_string_parameters": {"order-id": "1"},
    "body": "eyJ0ZXN0IjogImV2ZW50In0=",
    "is_base64_encoded": True,
}
LATTICE_2: Final[dict[str, Any]] = {
    "version": "2.0",
    "path": "/echo?QS1=value1&QS1=value2&single=one",
    "method": "POST",
    "headers": {"content-type": ["application/json"], "header1": ["value1", "value2"]},
    "queryStringParameters": {"QS1": ["value1", "value2"], "single": ["one"]},
    "body": '{"hello":"world"}',
    "requestContext": {
        "serviceNetworkArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:servicenetwork/sn-0123456789abcdef0",
        "serviceArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-0123456789abcdef0",
        "targetGroupArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:targetgroup/tg-0123456789abcdef0",
        "identity": {
            "sourceVpcArn": "arn:aws:ec2:region:123456789012:vpc/vpc-0b8276c84697e7339",
            "type": "AWS_IAM",
            "principal": "arn:aws:sts::123456789012:assumed-role/example-role/057d00f8b51257ba3c853a0f248943cf",
            "sessionName": "057d00f8b51257ba3c853a0f248943cf",
            "x509SanDns": "example.com",
        },
        "region": "eu-west-1",
        "timeEpoch": "1790935900260914",
    },
    "requestId": "6ccfc913-b027-4fdc-be66-a07809329ee3",
}
DOCUMENTED: Final = {
    "apigateway-v2": HTTP_2,
    "apigateway-v1": REST_1,
    "alb": ALB,
    "lattice-v1": LATTICE_1,
    "lattice-v2": LATTICE_2,
}


def documented(payload: str) -> Read:
    return READERS[payload](DOCUMENTED[payload], "x-tenant-id")


def test_every_payload_has_a_reader() -> None:
    """The round trips take their payloads from `READERS`: one without a reader would not be tested."""
    assert set(READERS) == set(DOCUMENTED) == set(get_args(Payload)) - {"lattice"}
    assert {payload: documented(payload).method for payload in READERS} == {
        payload: event.get("method") or event.get("httpMethod") or event["requestContext"]["http"]["method"]
        for payload, event in DOCUMENTED.items()
    }


def test_the_documented_http_2_event_is_read() -> None:
    read = documented("apigateway-v2")
    assert read.query == (("parameter1", "value1"), ("parameter1", "value2"), ("parameter2", "value"))
    assert read.headers == (("header1", "value1"), ("header2", "value1,value2"))
    assert (read.path, read.cookies, read.body) == ("/my/path", ("cookie1", "cookie2"), b"Hello from Lambda")
    assert (read.source_ip, read.request_id, read.milliseconds) == ("IP", "id", 1583348638390)
    assert (read.principal, read.tenant) == (None, None)


def test_the_documented_rest_event_is_read() -> None:
    read = documented("apigateway-v1")
    assert read.query == (("name", "me"), ("multivalueName", "you"), ("multivalueName", "me"))
    assert read.values("headername") == ["headerValue"]
    assert (read.path, read.principal) == ("/hello/world", "arn:aws:iam::123456789012:user/alice")
    assert (read.source_ip, read.milliseconds) == ("51.240.196.104", 1519166937665)


def test_the_documented_alb_event_is_read() -> None:
    read = documented("alb")
    assert (read.query, read.raw_query) == ((("myKey", "val1"), ("myKey", "val/2")), "myKey=val1&myKey=val%2F2")
    assert (read.cookies, read.body) == (("name1=value1", "name2=value2"), b"request_body")


def test_the_documented_lattice_events_are_read() -> None:
    one, two = documented("lattice-v1"), documented("lattice-v2")
    assert (one.path, one.raw_query, one.body) == ("/testpath", "order-id=1", b'{"test": "event"}')
    assert (two.path, two.values("header1")) == ("/echo", ["value1", "value2"])
    assert two.principal == "arn:aws:sts::123456789012:assumed-role/example-role/057d00f8b51257ba3c853a0f248943cf"


WRONG: Final[list[tuple[str, str, Any]]] = [
    ("apigateway-v2", "version", "1.0"),
    ("apigateway-v2", "multiValueHeaders", {}),
    ("apigateway-v2", "path", "/my/path"),
    ("apigateway-v2", "rawPath", "/my/other"),
    ("apigateway-v2", "rawQueryString", None),
    ("apigateway-v2", "rawQueryString", "parameter1=value1"),
    ("apigateway-v2", "headers.header1", ["value1"]),
    ("apigateway-v2", "headers.Header3", "x"),
    ("apigateway-v2", "headers.cookie", "cookie1; cookie2"),
    ("apigateway-v2", "headers.x-tenant-id", "green"),
    ("apigateway-v2", "cookies", "cookie1; cookie2"),
    ("apigateway-v2", "cookies", ["cookie1; cookie2"]),
    ("apigateway-v2", "cookies", []),
    ("apigateway-v2", "queryStringParameters.parameter1", ["value1", "value2"]),
    ("apigateway-v2", "queryStringParameters.parameter1", "value2"),
    ("apigateway-v2", "isBase64Encoded", None),
    ("apigateway-v2", "isBase64Encoded", "false"),
    ("apigateway-v2", "body", None),
    ("apigateway-v2", "requestContext.timeEpoch", "1583348638390"),
    ("apigateway-v2", "requestContext.timeEpoch", 1583348638.39),
    ("apigateway-v2", "requestContext.timeEpoch", 1583348638),
    ("apigateway-v2", "requestContext.elb", {}),
    ("apigateway-v2", "requestContext.stage", "prod"),
    ("apigateway-v2", "requestContext.identity", {}),
    ("apigateway-v2", "requestContext.authorizer.tenantId", "blue"),
    ("apigateway-v2", "requestContext.authorizer.lambda.tenantId", "blue"),
    ("apigateway-v2", "requestContext.authorizer.iam", {"principal": "x"}),
    ("apigateway-v2", "requestContext.http.path", "/other"),
    ("apigateway-v1", "version", "1.0"),
    ("apigateway-v1", "queryStringParameters", {}),
    ("apigateway-v1", "queryStringParameters.multivalueName", "you"),
    ("apigateway-v1", "queryStringParameters.multivalueName", ["you", "me"]),
    ("apigateway-v1", "multiValueQueryStringParameters", {}),
    ("apigateway-v1", "multiValueQueryStringParameters.name", "me"),
    ("apigateway-v1", "multiValueQueryStringParameters.name", []),
    ("apigateway-v1", "multiValueHeaders", None),
    ("apigateway-v1", "multiValueHeaders.accept", ["*/*"]),
    ("apigateway-v1", "headers.Accept", "text/plain"),
    ("apigateway-v1", "pathParameters.proxy", "hello"),
    ("apigateway-v1", "requestContext.requestTimeEpoch", "1519166937665"),
    ("apigateway-v1", "requestContext.requestTime", "2018-02-20T22:48:57Z"),
    ("apigateway-v1", "requestContext.path", "/other"),
    ("apigateway-v1", "requestContext.authorizer", {"tenantId": "green"}),
    ("apigateway-v1", "requestContext.authorizer", {"principalId": "another"}),
    ("apigateway-v1", "requestContext.authorizer", {"x": []}),
    ("apigateway-v1", "requestContext.identity.userArn", 1),
    ("apigateway-v1", "requestContext.http", {}),
    ("alb", "version", "2.0"),
    ("alb", "headers", {}),
    ("alb", "queryStringParameters", {}),
    ("alb", "multiValueHeaders.accept", "*/*"),
    ("alb", "multiValueHeaders.x-forwarded-port", []),
    ("alb", "multiValueQueryStringParameters", None),
    ("alb", "multiValueQueryStringParameters.a", ["b&c"]),
    ("alb", "multiValueQueryStringParameters.a=b", ["c"]),
    ("alb", "body", None),
    ("alb", "requestContext.requestId", "x"),
    ("alb", "requestContext.elb", {}),
    ("lattice-v1", "requestContext", {}),
    ("lattice-v1", "headers.accept", ["*/*"]),
    ("lattice-v1", "query_string_parameters", None),
    ("lattice-v1", "query_string_parameters.order-id", "2"),
    ("lattice-v1", "body", None),
    ("lattice-v1", "is_base64_encoded", None),
    ("lattice-v1", "headers.x-amzn-lattice-identity", "Principal=a; Type=AWS_IAM; Principal=b"),
    ("lattice-v1", "headers.x-amzn-lattice-identity", "Principal=a; X509SAN/URI=x,principal=b; Type=AWS_IAM"),
    ("lattice-v2", "version", 2),
    ("lattice-v2", "headers.header1", "value1"),
    ("lattice-v2", "queryStringParameters.single", "one"),
    ("lattice-v2", "queryStringParameters", {}),
    ("lattice-v2", "cookies", []),
    ("lattice-v2", "requestContext.timeEpoch", 1790935900260914),
    ("lattice-v2", "requestContext.timeEpoch", "1790935900260"),
    ("lattice-v2", "requestContext.serviceArn", None),
    ("lattice-v2", "requestContext.identity.principalOrgId", "o-1"),
    ("lattice-v2", "requestContext.identity.type", "NONE"),
    ("lattice-v2", "requestContext.identity.sessionName", None),
]


@pytest.mark.parametrize(("payload", "place", "value"), WRONG)
def test_a_reader_refuses_what_its_format_does_not_have(payload: str, place: str, value: Any) -> None:
    event = copy.deepcopy(DOCUMENTED[payload])
    *way, last = place.split(".")
    inside = event
    for key in way:
        inside = inside[key]
    inside[last] = value
    with pytest.raises(AssertionError):
        READERS[payload](event, "x-tenant-id")


@pytest.mark.parametrize("payload", READERS)
def test_a_reader_refuses_every_other_format(payload: str) -> None:
    for other in set(READERS) - {payload}:
        with pytest.raises(AssertionError):
            READERS[payload](DOCUMENTED[other], "x-tenant-id")


@pytest.mark.parametrize("text", [b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'{"a":NaN}'])
def test_json_that_parsers_differ_on_is_refused(text: bytes) -> None:
    with pytest.raises(AssertionError):
        load(text)
