"""The places of credentials: formats and encodings that the tests of `mask` do not have, and what stays."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import html
import json
import time
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, cast
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.copies import FORMS
from lattice_bridge.local.inspector.credentials import is_credential
from lattice_bridge.local.inspector.entry import (
    Content,
    Entry,
    HttpIn,
    Invoked,
    InvokeIn,
    RecordIn,
    RecordOut,
    Role,
    Way,
)
from lattice_bridge.local.inspector.server import Inspector
from lattice_bridge.local.inspector.timeline import Timeline
from tests.support.incoming import Incoming

SECRET = "K9vQ7hunterX2Zx81wN4"
PASSWORD = json.dumps({"password": SECRET})
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMII{SECRET}\n-----END RSA PRIVATE KEY-----"


def b64(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


HIDDEN = {
    "private key": PEM,
    "private key of PGP": f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{SECRET}\n-----END",
    "private key in JSON": json.dumps({"pem": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n"}),
    "Node's raw headers": json.dumps({"rawHeaders": ["Host", "a", "X-Api-Key", SECRET, "Authorization", SECRET]}),
    "pairs with other names": json.dumps([{"k": "pin", "v": SECRET}, {"headerName": "token", "headerValue": SECRET}]),
    "list before its name": json.dumps([{"value": [SECRET], "name": "cookie"}]),
    "object before its name that was cut": json.dumps([{"name": "cookie", "value": {"a": [SECRET, 1]}}])[:-4],
    "DynamoDB's name and value": json.dumps({"M": {"name": {"S": "password"}, "value": {"S": SECRET}}}),
    "code of OAuth in an event": json.dumps({"queryStringParameters": {"code": SECRET}}),
    "code of OAuth in a list": json.dumps({"multiValueQueryStringParameters": {"code": [SECRET]}}),
    "token as a name": json.dumps({f"ghp_{'a1' * 18}{SECRET}": 1}),
    "base64 in a sentence": f"got {b64(PASSWORD)} from it",
    "base64 in a string with a sentence": json.dumps({"m": f" got {b64(PASSWORD)}"}),
    "base64 in a URL": f"data:application/json;base64,{b64(PASSWORD)}",
    "base64 in a path": f"/hook/{b64(PASSWORD)}/x",
    "base64 in a form": f"next=payload+{b64(PASSWORD)}+end",
    "base64 in lines within a part": f"--b\r\n\r\n{base64.encodebytes(b'x' * 60 + PASSWORD.encode()).decode()}--b--",
    "base64 of base64": b64(f"a {b64(PASSWORD)} b"),
    "gzip": json.dumps({"awslogs": {"data": b64(gzip.compress(PASSWORD.encode()))}}),
    "gzip in a sentence": f"body {b64(gzip.compress(PASSWORD.encode()))} end",
    "zlib": json.dumps({"data": b64(zlib.compress(PASSWORD.encode()))}),
    "hex": f"body {PASSWORD.encode().hex()} end",
    "JSON in a URL": f"body=%7B%22password%22%3A%22{SECRET}%22%7D",
    "URL in a URL": json.dumps({"location": f"https://a/?next=%2Fcb%3Ftoken%3D{SECRET}"}),
    "URL in a URL in a URL": "next=" + quote_plus("/a?b=" + quote_plus(f"/c?token={SECRET}")),
    "path behind its name": f"/reset-password/token/{SECRET}?a=1",
    "user of a URL without a password": f"https://{SECRET}@example.com/x",
    "password with a slash": f"postgres://u:pa/{SECRET}@h/db",
    "XML in XML": f"<password><value>{SECRET}</value></password>",
    "CDATA with a bracket": f"<password><![CDATA[a<{SECRET}]]></password>",
    "escaped XML": f"&lt;password&gt;{SECRET}&lt;/password&gt;",
    "escaped JSON": html.escape(PASSWORD),
    "attribute of XML": f'<add key="apiKey" value="{SECRET}"/>',
    "input of HTML": f'<input value="{SECRET}" name="csrf_token">',
    "part without quotation marks": f"--b\r\ncontent-disposition: form-data; NAME=password\r\n\r\n{SECRET}\r\n--b--",
    "part with hyphens": f'--b\r\na: form-data; name="password"\r\n\r\nab\n--{SECRET}\r\n--b--',
    "YAML's list": f"credentials:\n  - {SECRET}\nother: 1\n",
    "YAML's list at the same depth": f"a:\n  tokens:\n  - {SECRET}\n",
    "YAML's block": f"a:\n  password: |\n    b\n\n    {SECRET}\n",
    "TOML's long string": f'password = """{SECRET}"""',
    "Ruby": f'{{"password"=>"{SECRET}", :token=>"{SECRET}"}}',
    "arrow": f"password -> {SECRET}",
    "assignment of Go": f"password := {SECRET}",
    "name of two words": f"API Key: {SECRET}",
    "option": f"mysql --password {SECRET} -x",
    "user of curl": f"curl -u ann:{SECRET} http://x",
    "cookies of a setting": f"cookie=a=b; c={SECRET}",
    "session token of AWS": f"token was IQoJb3JpZ2luX2VjE{SECRET}",
    "token of GitHub": f"remote ghp_{SECRET}{'a' * 20} failed",
    "key of Stripe": f"charge with sk_live_{SECRET}",
    "token of Slack": f"xoxb-1234567890-{SECRET}",
    "hash": json.dumps({"passwordHash": SECRET, "xsrf": SECRET, "totp": SECRET, "creds": {"a": SECRET}}),
}


def encodings_of(secret: str) -> set[str]:
    """The secret as it could be in a response. Of base64, the part that is the same wherever it begins."""
    found = {secret, secret.encode().hex(), quote(secret, safe="")}
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        whole = b64("x" * before + secret).rstrip("=")[cut:-1]
        found |= {whole, whole.translate(str.maketrans("+/", "-_"))}
    return found


def leaks(shown: str) -> list[str]:
    return [one for one in encodings_of(SECRET) if one in shown]


def everything_of(text: str) -> str:
    """Everything that the page could show of a text: as a body, one or more lines, a header, a path, and in JSON."""
    parts = [
        *(mask.body(text.encode())["text"], mask.masked_line(text), mask.masked_target(f"/a?{text}")),
        *(mask.body(json.dumps({"a": [text]}).encode())["text"], *mask.masked_lines(text.split("\n"))),
        mask.masked_headers([("x-a", text)])[0][1],
    ]
    return "\n".join(parts)


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_credential_in_any_format_is_masked(text: str) -> None:
    """Trap G2: a credential in a format of its own, or encoded."""
    assert not leaks(everything_of(text))


@pytest.mark.parametrize(
    "data",
    [
        PASSWORD.encode("utf-16"),
        PASSWORD.encode("utf-16-be"),
        gzip.compress(PASSWORD.encode()),
        gzip.compress(f"{PASSWORD}{'x' * 2_000_000}".encode()),
        zlib.compress(PASSWORD.encode()),
        b"\x82\xa8password\xb4" + SECRET.encode(),
        b"\xff\xfe\x00" + f"x password={SECRET}".encode(),
        b"\x00" + PEM.encode(),
    ],
    ids=["UTF-16", "UTF-16 without a mark", "gzip", "large gzip", "zlib", "MessagePack", "form", "key"],
)
def test_credential_in_bytes_is_masked(data: bytes) -> None:
    """Trap G2: in the hex and in the characters beside it."""
    lines = mask.body(data)["text"].splitlines()
    shown = bytes.fromhex("".join(line[10:58] for line in lines))
    assert SECRET.encode() not in shown.replace(b"\0", b"")
    assert gzip.compress(PASSWORD.encode())[10:30] not in shown
    assert zlib.compress(PASSWORD.encode())[2:20] not in shown


def test_compressed_text_is_read_to_a_bounded_size() -> None:
    """Trap G2: many small bodies, each of which becomes a thousand times larger."""
    bomb = b64(gzip.compress(f"a: {'x' * 60_000}".encode()))
    began = time.process_time()
    mask.body(" ".join([bomb] * (mask.SHOWN // len(bomb))).encode())
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "lines",
    [
        PEM.split("\n"),
        json.dumps({"tokens": [SECRET, SECRET], "a": {"b": 1}}, indent=2).split("\n"),
        ["a:", "  password: >-", "    first", f"    {SECRET}", "  b: 1"],
        ["--b", 'disposition: form-data; name="pin"', "", SECRET, "--b--", "other"],
    ],
    ids=["key", "JSON", "YAML", "part"],
)
def test_credential_over_several_lines_is_masked_in_each(lines: list[str]) -> None:
    """Trap G2: a function that prints a key prints many lines, and only the first one names it."""
    found = mask.masked_lines(lines)
    assert len(found) == len(lines)
    assert not leaks("\n".join(found))
    assert (found[0], found[-1]) == (lines[0], lines[-1])


def test_end_of_a_key_is_masked_in_a_log_that_begins_within_it() -> None:
    """Trap G2: a log keeps its last lines, and the one that named the key was dropped."""
    lines = [*PEM.split("\n")[1:], "a", *PEM.split("\n")]
    found = mask.masked_lines(lines)
    assert not leaks("\n".join(found))
    assert "a" in found
    assert mask.masked_lines(["a", "b", "-----BEGIN CERTIFICATE-----"]) == ["a", "b", "-----BEGIN CERTIFICATE-----"]


def test_lines_without_a_credential_stay() -> None:
    lines = ["START RequestId: 1", "", '{"a": 1}', "tenant=blue", "[1,", "2]"]
    assert mask.masked_lines(lines) == lines
    assert mask.masked_lines([]) == []
    assert mask.masked_lines(["{", '"tokens": [', '{"a": "b", "toke\\u006e": "c"}', "]"])[2] == "•••• 29 characters"


KEPT = [
    *("3f2a9c1e-8b7d-4c1a-9f00-aabbccddeeff", "blue-corp_eu.1", "2ef3657d0b5b7c0a8f5f2d7c3e4a1b0c9d8e7f60"),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1",
    "arn:aws:sts::123456789012:assumed-role/orders-api/i-0123456789abcdef0",
    "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "/api/v1/tenants/blue/orders/3f2a9c1e-8b7d-4c1a-9f00-aabbccddeeff?page=2&name=a%20b",
    *("49590338271490256608559692538361571095921575989136588898", "20261130T120000Z", 'W/"0815-abcdef0123456789"'),
    *("SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXh0", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"),
    "Traceback (most recent call last):\n  File \"/var/task/token_store/verify.py\", line 3, in verify\nKeyError: 'x'",
    "at Object.<anonymous> (/var/task/node_modules/jsonwebtoken/verify.js:12:3)",
    "tenant=blue caller=role/orders status=403 reason=tenant_mismatch map=sha256:0f0f",
    "REPORT RequestId: 3f2a Duration: 3.2 ms Billed Duration: 4 ms Memory Size: 128 MB",
    *("git clone ssh://git@github.com/a/b.git", "http://example.com:8080/@mona", "user ann@example.com logged in"),
    *("the token expired", "Authorization header is missing", "password must have 8 characters", "<a>b</a> <br/>"),
    '["id", "name", "password"]',
    json.dumps({"author": "ann", "code": 42, "secretArn": "arn:x", "tokenType": "x", "sessionName": "i-1", "k": "v"}),
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    *("AROAIOSFODNN7EXAMPLE:i-0123", "AKIAIOSFODNN7EXAMPLE", "sort -u file", "cp --token-file a.txt b"),
]


@pytest.mark.parametrize("text", KEPT)
def test_what_people_look_for_stays(text: str) -> None:
    """Masks that hid ids, ARNs, hashes and traces would make the page useless."""
    assert mask.masked_line(text) == text
    assert mask.body(text.encode())["masked"] == 0


# ---- names ----------------------------------------------------------------------------------------------------------

SECRET_NAMES = """
Set-Cookie X-Amz-Security-Token aws_secret_access_key apiKey sessionId pwd sid pass user[password] password_confirmation
passwordConfirm SecretString PHPSESSID connect.sid session sessionKey jwt sig client_assertion SAMLResponse passcode
otp_code x-auth userPin smsOtp x-functions-key ocp-apim-subscription-key x-amz-server-side-encryption-customer-key
x-hub-signature-256
"""
PLAIN_NAMES = """
tenant partitionKey monkey shopping x-amz-date path messageId code compass aside author passenger
"""


@pytest.mark.parametrize("name", [*SECRET_NAMES.split(), "x" * 1000 + "password"])
def test_name_is_that_of_a_credential(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_name_is_not_that_of_a_credential(name: str) -> None:
    assert not is_credential(name)


# ---- the server -----------------------------------------------------------------------------------------------------


class Live:
    """A stack whose queue contains a text, and whose refusals quote it."""

    front = aws = "http://127.0.0.1:8080"
    header = None
    identities: ClassVar[list[dict[str, str]]] = []

    def example(self) -> None: ...

    def curl(self, _entry: Entry) -> None: ...


def entries_of(text: str) -> list[Entry]:
    """Entries of each kind, with a text in every place that a caller, a sender or a function chooses."""
    data, line = text.encode(), " ".join(text.split())

    def invoked(role: Role) -> Invoked:
        done: Any = {"answer": data, "error": text, "log": [text], "ms": 1.0, "took_ms": 2.0}
        return Invoked(text, "r", data, 1.0, tenant=text, role=role, **done)

    target = f"/a/{quote(text)}?{quote(text, safe='/=,;')}&x={quote_plus(text)}"
    headers = [("host", "h"), *([("x-a", line)] if line == text else []), ("x-api-key", SECRET)]
    request = HttpIn(HttpRequest("POST", target, headers, data))
    reply = HttpResponse(200, [("set-cookie", SECRET), *headers], data)
    logged = {"message": "request", "milliseconds": {"a": 1.0}, "detail": text}
    invocations = [invoked("target"), invoked("behind")]
    texts: Any = {"method": "POST", "caller": text, "tenant": text, "reason": text, "function": text}
    message = {
        "eventSource": "aws:sqs",
        "body": text,
        "attributes": {"MessageGroupId": line},
        "messageAttributes": {name: {"stringValue": one} for name, one in (("a", text), ("apiKey", SECRET))},
    }
    record = {"eventSource": "aws:kinesis", "kinesis": {"partitionKey": line, "data": b64(text)}}
    records: list[tuple[Way, RecordIn | InvokeIn]] = [
        ("queue", RecordIn(json.dumps(message).encode(), group=line, attributes={"x": text})),
        ("stream", RecordIn(json.dumps(record).encode(), group=line)),
        ("bus", RecordIn(json.dumps({"detail-type": "a", "detail": {"x": text}}).encode())),
        ("invoke", InvokeIn(text, data, text)),
    ]
    return [
        Entry("api", text, text, text, 1.0, content=Content(request, data, invocations, reply, text, logged), **texts),
        *(
            Entry(way, text, text, text, 1.0, content=Content(came_in, None, [invoked("target")], RecordOut("x", text)))
            for way, came_in in records
        ),
    ]


async def everything_sent(text: str) -> str:
    """The responses of the API to everything that a page reads."""
    timeline = Timeline()
    decision = {"documents": [{"caller": text, "detail": text}], "error": text}
    inspector = Inspector(timeline, lambda _entry: decision, "template.yaml", cast("Any", Live()))
    authorization = {"authorization": f"Bearer {inspector.token}"}
    found: list[bytes] = []

    async def ask(target: str) -> None:
        request = Incoming("GET", target, authorization)
        await inspector(request)
        _, _, body = request.response
        found.append(body if isinstance(body, bytes) else await anext(body))

    for entry in entries_of(text):
        number = timeline.add(entry)
        await ask(f"/api/entries/{number}")
        for form in FORMS:
            await ask(f"/api/entries/{number}/copy?as={form}")
    await ask("/api/stream")
    return b"\n".join(found).decode()


NOT_ALONE = {
    *("YAML's list", "YAML's list at the same depth", "YAML's block", "part with hyphens"),
    *("part without quotation marks", "DynamoDB's name and value"),
}
"""What is another text in one line, or behind a word."""


@pytest.mark.parametrize("name", sorted(HIDDEN.keys() - NOT_ALONE))
def test_credential_is_in_nothing_that_the_server_sends(name: str) -> None:
    """Trap G2: in no tab, copy, fixture, name of a file, refusal or message of the stream."""
    sent = asyncio.run(everything_sent(HIDDEN[name]))
    assert [sent[max(0, sent.index(one) - 80) :][:120] for one in leaks(sent)] == []


# ---- any place, any encoding ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["password", "apiKey", "X-Api-Key", "client_secret", "refreshToken", "aws_session_token"])
PLACED: list[Callable[[str, str], str]] = [
    lambda name, secret: json.dumps({name: secret}),
    lambda name, secret: json.dumps({name: {"S": secret}, "a": [1]}, indent=1),
    lambda name, secret: json.dumps([{"name": name, "value": secret}]),
    lambda name, secret: repr({name: [secret]}),
    lambda name, secret: f"{name}: {secret}",
    lambda name, secret: f"user=a&{name}={secret}&b=1",
    lambda name, secret: f"<a><{name}>{secret}</{name}></a>",
    lambda name, secret: f"ERROR failed {json.dumps({'headers': {name: secret}})} in f",
    lambda _name, secret: f"Authorization: Bearer {secret}",
    lambda _name, secret: f"amqp://user:{secret}@host/x",
    lambda _name, secret: f"t eyJhbGciOiJub25lIn0.{b64(secret).rstrip('=')}.{secret} x",
]
AROUND: list[Callable[[str], str]] = [
    lambda text: json.dumps({"body": text, "n": 1}),
    lambda text: json.dumps(["x", {"Message": text}], indent=2),
    lambda text: json.dumps({"isBase64Encoded": True, "body": b64(text)}),
    lambda text: json.dumps({"kinesis": {"data": b64(gzip.compress(text.encode(), mtime=0))}}),
    lambda text: f"2026-11-30T12:00:00Z INFO {text}",
    lambda text: f"payload {b64(text)} end",
    lambda text: f"next={quote_plus(text)}&a=1",
    lambda text: f"dump {binascii.hexlify(text.encode()).decode()} end",
]


@given(NAMES, st.sampled_from(PLACED), st.lists(st.sampled_from(AROUND), max_size=3))
def test_secret_in_any_place_is_nowhere_in_what_is_shown(
    name: str, placed: Callable[[str, str], str], around: list[Callable[[str], str]]
) -> None:
    """Trap G2: a secret is in none of its encodings in anything that the server makes of a text."""
    text = placed(name, SECRET)
    for wrap in around:
        text = wrap(text)
    shown = everything_of(text)
    assert not leaks(shown), text


# ---- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        *("eyJ-", "eyJ", "eyJabcdef.", "a.", "-", "://a:", "://", "a:", "password=[", "password: ", '"password":['),
        *("\\'a", "('password',", "<a ", "<password>", "&lt;password&gt;", "<input name=pin value='", "a ", '\\"'),
        *('name="password"\r\n\r\n', "name=", "--b\r\nname=pin\r\n\r\n", "[", "'", "A", "A\n", "A" * 60 + "\n", "%5B"),
        *("\\", "bearer ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "AKIA", "password='", "'password':'", "%25"),
        *("password:\n ", "password: |\n x\n", "/token/a1", "--password ", " -u a:", "7b22", "H4sI", "cGFzc3dvcmQ9/"),
        *('["password",', '"value":[a', '"value":"a",', '"value":"a","name":', '{"value":"a",', '{"value":{'),
        *("cookie=", "=>", "sk-", "SG.aaaaaaaaaaaaaaaa", "&quot;"),
    ],
)
@pytest.mark.parametrize("before", ["", "'password':["])
def test_time_is_in_proportion_to_the_text(part: str, before: str) -> None:
    """Trap G2: a header has 256 KB. A pattern that began anew at each character would need minutes."""
    began = time.process_time()
    mask.masked_line(before + part * (30_000 // len(part)))
    assert time.process_time() - began < 2
