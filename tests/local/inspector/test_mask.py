"""The masking of credentials, and the form of bodies."""

from __future__ import annotations

import base64
import json
import re
import time

import pytest

from lattice_bridge.local.inspector.mask import SHOWN, body, masked_headers, masked_line, masked_target

SECRET = "hunter2hunter2"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJibHVlIn0.c2lnbmF0dXJl"
INNER = json.dumps({"password": SECRET, "amount": 1})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode("latin-1")).decode()


HIDDEN = {
    "member": json.dumps({"password": SECRET}),
    "member in a list in an object": json.dumps({"a": [{"b": {"client_secret": SECRET}}]}),
    "list under a secret name": json.dumps({"tokens": [SECRET, {"x": SECRET}]}),
    "number under a secret name": json.dumps({"pin": 88224466}),
    "escaped name": '{"pass\\u0077ord": "hunter2hunter2"}',
    "JSON within a string": json.dumps({"body": INNER}),
    "JSON within a string within a string": json.dumps({"body": json.dumps({"Message": INNER})}),
    "base64 of JSON": json.dumps({"data": base64.b64encode(INNER.encode()).decode()}),
    "DynamoDB's types": json.dumps({"NewImage": {"apiKey": {"S": SECRET}}}),
    "name and value": json.dumps([{"name": "password", "value": SECRET}]),
    "form": f"user=a&password={SECRET}&b=1",
    "JSON that was cut": json.dumps({"password": SECRET})[:-3],
    "JSON that was cut in a string": json.dumps({"body": INNER})[:-20],
    "repr of a dict": repr({"password": SECRET, "b": 1}),
    "token in a text": f"the caller sent {TOKEN} to us",
    "token under any name": json.dumps({"x": TOKEN}),
    "bearer": f"Authorization: Bearer {SECRET}",
    "basic": "Authorization: Basic YTpodW50ZXIyaHVudGVyMg==",
    "access key": "key AKIAQRSTUVWXYZ234567 was used",
    "signature": f"AWS4-HMAC-SHA256 Credential=A, Signature={'0f' * 32}",
    "presigned URL": f"https://bucket/x?X-Amz-Signature={'0f' * 32}&X-Amz-Security-Token={SECRET}",
    "binary form": f"\xff\xfepassword={SECRET}",
    "repr of lists": repr({"headers": {"cookie": [f"sid={SECRET}"], "x-api-key": [SECRET]}}),
    "JSON behind a level": f"INFO {json.dumps({'headers': {'x-api-key': [SECRET]}})}",
    "JSON in a string behind a level": f"INFO {json.dumps(json.dumps({'x-api-key': [SECRET]}))}",
    "list that was cut": json.dumps({"x-api-key": [SECRET] * 9})[:-20],
    "brackets in a string of a list": repr({"credentials": ["a]b", SECRET]}),
    "lines of JSON": f"{json.dumps({'a': 1})}\n{json.dumps({'credentials': {'a': SECRET}})}",
    "call under a secret name": f"{{'password': SecretStr('{SECRET}')}}",
    "pair": json.dumps([["authorization", SECRET]]),
    "pair with a list": json.dumps([["cookie", [SECRET]]]),
    "pair that was cut": json.dumps([["authorization", SECRET]])[:-1],
    "repr of pairs": repr([(b"authorization", SECRET.encode())]),
    "value and name": json.dumps([{"value": SECRET, "name": "password"}]),
    "repr of name and value": repr([{"name": "password", "value": SECRET}]),
    "base64 of indented JSON": json.dumps({"data": encoded(json.dumps({"a": 1, "password": SECRET}, indent=2))}),
    "base64 of bytes": json.dumps({"data": encoded(f"\xff\xfe\x00 password={SECRET}")}),
    "base64 alone": encoded(INNER),
    "lines of base64": base64.encodebytes(json.dumps({"a": "x" * 80, "password": SECRET}).encode()).decode(),
    "encoded name": f"user%5Bpassword%5D={SECRET}",
    "code of OAuth": f"state=1&code={SECRET}",
    "user of a URL": f"connect to https://user:{SECRET}@db/x",
    "name and colon": f"x-api-key: {SECRET}",
    "several values": f"Cookie: a=b; session={SECRET}",
    "scheme of one's own": f"Authorization: Own first {SECRET}",
    "setting": f"aws_secret_access_key = {SECRET}",
    "quoted variable": f'AWS_SECRET_ACCESS_KEY="{SECRET}"',
    "variable in single quotes": f"PASSWORD='{SECRET}'",
    "value with a comma": f"password=ab,{SECRET}",
    "XML": f"<a><password>{SECRET}</password></a>",
    "XML with a namespace": f'<a:Password b="1"><![CDATA[{SECRET}]]></a:Password>',
    "part of a form": f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--b--',
    "token behind a prefix": "v1_eyJhbGciOiJSUzI1NiJ9.hunter2hunter2.c2ln",
    "token with padding": "eyJhbGciOiJub25lIn0=.hunter2hunter2=.c",
}


BASE64 = re.compile(r"\b(?:[A-Za-z0-9+/]{4}){8,}={0,2}")


def shown(text: str) -> str:
    return str(body(text.encode("latin-1") if text.startswith("\xff") else text.encode())["text"])


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_credential_is_masked(text: str) -> None:
    """Trap G2: a credential in any place that a page could show."""
    found = body(text.encode("latin-1") if text.startswith("\xff") else text.encode())
    plain = [str(found["text"]), masked_line(text)]
    plain += [base64.b64decode(word).decode("latin-1") for line in plain for word in BASE64.findall(line)]
    assert found["masked"] >= 1
    for line in plain:
        for secret in (SECRET, "88224466", "c2lnbmF0dXJl", "0f0f0f0f", "YTpodW50ZXIy", "AKIAQRSTUVWXYZ234567"):
            assert secret not in line


KEPT = [
    '{"tenant": "blue", "amount": 12.50, "n": 1e400, "big": 12345678901234567890}',
    '{"keys": ["a"], "partitionKey": "blue", "messageId": "m", "ok": true, "none": null}',
    '{"a": 1, "a": 2}',
    "a=1&b=2",
    "{'a': 'b'}",
    '{"url": "https://example.com/a?b=1"}',
    '{"s": "{not json}"}',
    '["a", "password", "b"]',
    '[{"value": "v", "name": "colour"}]',
    '{"d": "bm90aGluZyBvZiBpbnRlcmVzdA=="}',
    "GET https://example.com:8080/a: 200",
    "monkeyJ.com",
    "jwt:corp#0123456789abcdef",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:orders-AbCdEf",
    "<a>b</a>",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_credential_is_shown_as_it_came(text: str) -> None:
    found = body(text.encode())
    assert found["masked"] == 0
    assert "".join(str(found["text"]).split()) == "".join(text.split())
    assert masked_line(text) == text


def test_json_is_indented_and_keeps_its_order_and_its_numbers() -> None:
    found = body(b'{"b":[1.50,{}],"a":{"c":[]},"t":"\\u00e9"}')
    assert found["kind"] == "json"
    assert found["text"] == ('{\n  "b": [\n    1.50,\n    {}\n  ],\n  "a": {\n    "c": []\n  },\n  "t": "\\u00e9"\n}')


@pytest.mark.parametrize(
    "text", ["{", '{"a"}', '{"a": }', "[1,]", "[1 2]", "{} {}", '{"a": 01}', "[nul]", '"\\x"', "[" * 200]
)
def test_what_is_not_json_is_text(text: str) -> None:
    assert body(text.encode()) == {
        "kind": "text",
        "text": text,
        "bytes": len(text),
        "shown": len(text),
        "masked": 0,
    }


def test_body_without_bytes_is_empty() -> None:
    assert body(None) == body(b"") == {"kind": "empty", "text": "", "bytes": 0, "shown": 0, "masked": 0}


def test_binary_is_hex() -> None:
    found = body(bytes(range(250, 256)) + b"abc\x00" * 3)
    assert found["kind"] == "hex"
    assert found["text"].splitlines() == [
        "00000000  fa fb fc fd fe ff 61 62  63 00 61 62 63 00 61 62  ......abc.abc.ab",
        "00000010  63 00                                             c.",
    ]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"body": "x" * 6_000_000}).encode(),
        json.dumps([{"a": 1}] * 400_000).encode(),
        b"[" * 3_000_000,
        b"eyJ-" * 1_500_000,
        b"\\" * 3_000_000,
        b"\xff" * 6_000_000,
        b"x" * 6_000_000,
        b'{"a":' * 1_000_000,
    ],
)
def test_only_the_beginning_of_a_large_body_is_read(data: bytes) -> None:
    """Trap G2: a hostile body must not stop the stack. Each would take minutes if it were searched as a whole."""
    began = time.process_time()
    found = body(data)
    assert time.process_time() - began < 10
    assert found["bytes"] == len(data)
    assert found["shown"] <= SHOWN
    assert len(found["text"]) < 8 * SHOWN


def test_secret_that_the_limit_cuts_is_masked() -> None:
    for text in (f'{{"a": "{"x" * 90}", "password": "{SECRET * 20}"}}', f"a={'x' * 90}&password={SECRET * 20}"):
        for limit in range(80, 200, 7):
            assert SECRET not in body(text.encode(), limit)["text"]


def test_headers_that_contain_credentials_are_masked() -> None:
    found = masked_headers(
        [("authorization", "Bearer abc"), ("cookie", "a=b"), ("x-api-key", "k"), ("x-tenant-id", "blue"), ("x", TOKEN)]
    )
    assert [(name, is_masked) for name, _, is_masked in found] == [
        *[("authorization", True), ("cookie", True), ("x-api-key", True), ("x-tenant-id", False), ("x", True)],
    ]
    assert found[0][1] == "•••• 10 characters"
    assert found[3][1] == "blue"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/orders?a=1&b", "/orders?a=1&b"),
        ("/o?X-Amz-Signature=f00d&x=1", "/o?X-Amz-Signature=•••• 4 characters&x=1"),
        ("/o?access%5Ftoken=f00d", "/o?access%5Ftoken=•••• 4 characters"),
        (f"/o?q={TOKEN}", f"/o?q=•••• {len(TOKEN)} characters"),
        (f"/login/{TOKEN}", f"/login/•••• {len(TOKEN)} characters"),
    ],
)
def test_query_is_masked(target: str, expected: str) -> None:
    assert masked_target(target) == expected
