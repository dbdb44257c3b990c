"""Entries as something to paste."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.inspector.copies import MAX_MASKED, Signing, copied, shell
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, Invoked, RecordIn
from lattice_bridge.local.web.admission import Refused
from tests.support.commands import read

FRONT = "http://127.0.0.1:8080"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
ARN = "arn:aws:iam::111122223333:role/blue-api"


def signing(access_key: str = "LOCALBLUEAPI", secret_key: str = "blueapi", **fields: Any) -> Signing:
    identity = Identity(access_key, secret_key, parse_arn(ARN), ARN, "local")
    return Signing(identity, fields.pop("service", "vpc-lattice-svcs"), "us-east-1", **fields)


def entry_of(request: HttpRequest, **fields: Any) -> Entry:
    content = Content(HttpIn(request), **fields)
    path = request.target.partition("?")[0]
    return Entry("lattice", "shop", path, "id", 1_800_000_000.5, 7, request.method, content=content)


def curl(request: HttpRequest, signed: Signing | None = None) -> list[str]:
    """The words of the command, as a shell reads them."""
    text = copied(entry_of(request), "curl", FRONT, signed)["text"]
    assert isinstance(text, str)
    return shlex.split(text)


def test_command_has_the_request_and_its_signer() -> None:
    headers = [("host", "shop"), ("accept", "*/*"), ("x-tenant-id", "blue"), ("user-agent", "curl/8"), ("te", "x")]
    headers += [("authorization", "AWS4-HMAC-SHA256 Credential=…"), ("x-amz-date", "20260101T000000Z")]
    request = HttpRequest("PUT", "/a[1]?b=c d", headers, b'{"n": 1}', spelled={"x-tenant-id": "X-Tenant-Id"})
    assert curl(request, signing(session="till-7")) == [
        *("curl", "--aws-sigv4", "aws:amz:us-east-1:vpc-lattice-svcs", "--user", "LOCALBLUEAPI:blueapi"),
        *("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H", "x-amz-security-token: session=till-7"),
        *("-X", "PUT", "-H", "host: shop", "-H", "X-Tenant-Id: blue"),
        *("--data-raw", '{"n": 1}', "-g", f"{FRONT}/a[1]?b=c d"),
    ]


@pytest.mark.parametrize(
    ("key", "secret", "user"),
    [
        ("LOCALBLUEAPI", "blueapi", "LOCALBLUEAPI:blueapi"),
        ("LOCALBLUEAPI", "written-by-a-person", "LOCALBLUEAPI:SECRET"),
        ("MYKEY", "mykey", "MYKEY:SECRET"),
    ],
)
def test_only_a_secret_that_the_map_gives_is_in_a_command(key: str, secret: str, user: str) -> None:
    """Trap G2."""
    words = curl(HttpRequest("GET", "/", [("host", "shop")]), signing(key, secret))
    assert words[words.index("--user") + 1] == user


@pytest.mark.parametrize("form", ["curl", "event", "fixture"])
def test_no_copy_has_a_credential(form: str) -> None:
    """Trap G2."""
    headers = [("host", "shop"), ("authorization", f"Bearer {TOKEN}"), ("x-api-key", "k3y-of-a-person"), ("x-a", TOKEN)]
    body = json.dumps({"password": "hunter2-hunter2", "note": f"see {TOKEN}"}).encode()
    event = json.dumps({"headers": dict(headers), "body": body.decode()}).encode()
    answer = json.dumps({"statusCode": 200, "headers": {"set-cookie": "a=s3cret-s3cret"}, "body": TOKEN}).encode()
    invoked = Invoked("Bridge", "id", event, 1.0, answer=answer)
    entry = entry_of(HttpRequest("POST", f"/a?token={TOKEN}", headers, body), invocations=[invoked])
    entry.path = f"/a/{TOKEN[:30]}.{TOKEN}"
    text = json.dumps(copied(entry, form, FRONT), ensure_ascii=False)
    assert "••••" in text
    assert TOKEN[:12].lower() not in text, "nor has the name of its file"
    for secret in (TOKEN, TOKEN[:30], "k3y-of-a-person", "hunter2", "s3cret"):
        assert secret not in text


HOSTILE = "$(touch owned) `touch owned` '; touch owned; ' \" \\ \x1b[2J \u202e @/etc/passwd"


def test_shell_reads_hostile_values_as_they_are(tmp_path: Path) -> None:
    """Trap G5: a request chooses its path, headers and body."""
    target = "/$(touch owned);touch%20owned?a='`touch owned`"
    request = HttpRequest("P$(touch owned)", target, [("host", "shop"), ("x-a", HOSTILE)], HOSTILE.encode())
    text = copied(entry_of(request), "curl", FRONT)["text"]
    assert text.replace("\n", "").isprintable()
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{text}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    words = done.stdout.decode().split("\0")
    assert words[:-1] == [
        *("-X", "P$(touch owned)", "-H", "host: shop", "-H", f"x-a: {HOSTILE}", "--data-raw", HOSTILE),
        f"{FRONT}{target}",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"@/etc/hostname", b"@/etc/hostname\xff", b"@\r\na\n"])
def test_body_that_begins_with_an_at_sign_names_no_file(body: bytes, tmp_path: Path) -> None:
    """Trap G5: with its other options, curl reads the file after it. It also sends each line break."""
    text = copied(entry_of(HttpRequest("POST", "/", [("host", "shop")], body)), "curl", "http://127.0.0.1:1")["text"]
    assert " --data-raw " in text
    sent = tmp_path / "words"
    script = f'curl() {{ printf %s "${{@: -2:1}}" > {sent}; }}\n{text}'
    subprocess.run(["bash", "-c", script], check=True)
    assert sent.read_bytes() == body


def test_binary_body_is_a_word_with_escapes() -> None:
    assert shell("a b") == "'a b'"
    text = copied(entry_of(HttpRequest("POST", "/", [("host", "shop")], b"\xff'\x80")), "curl", FRONT)["text"]
    assert r"$'\xff\x27\x80'" in text
    with pytest.raises(Refused, match="binary"):
        copied(entry_of(HttpRequest("POST", "/", [("host", "shop")], b"\xff\0")), "curl", FRONT)


@pytest.mark.parametrize(
    ("method", "target", "words"),
    [
        ("GET", "/a/../b", ["--path-as-is", f"{FRONT}/a/../b"]),
        ("GET", "/./a", ["--path-as-is", f"{FRONT}/./a"]),
        ("OPTIONS", "*", ["--request-target", "*", f"{FRONT}/"]),
        ("GET", "/a", ["host: shop", f"{FRONT}/a"]),
    ],
)
def test_command_sends_the_target_as_it_was(method: str, target: str, words: list[str]) -> None:
    assert curl(HttpRequest(method, target, [("host", "shop")]))[-len(words) :] == words


@pytest.mark.parametrize("form", ["curl", "event", "fixture"])
def test_large_content_is_not_copied(form: str) -> None:
    """Trap G7: it takes seconds to mask it."""
    large = b'{"a": "%s"}' % (b"b" * MAX_MASKED)
    event = b"{}" if form == "fixture" else large
    invoked = Invoked("Bridge", "id", event, 1.0, answer=large)
    entry = entry_of(HttpRequest("POST", "/", [("host", "shop")], large), invocations=[invoked])
    with pytest.raises(Refused, match="over 1 MiB") as refused:
        copied(entry, form, FRONT)
    assert refused.value.status == 409


@pytest.mark.parametrize("form", ["curl", "event", "fixture"])
def test_log_line_cannot_be_copied(form: str) -> None:
    with pytest.raises(Refused, match="a log line does not contain the request"):
        copied(Entry("lattice", "", "/", "id", 1.0, 3, content=Content(line={})), form, FRONT)


def test_event_is_one_that_explain_reads(tmp_path: Path) -> None:
    event = {"version": "2.0", "path": "/a", "method": "GET", "headers": {}, "requestContext": {}}
    found = copied(entry_of(HttpRequest("GET", "/a", []), event=json.dumps(event).encode()), "event", FRONT)
    assert found["name"] == "0007-get-a.json"
    assert json.loads(found["text"]) == event
    (tmp_path / "bridge.toml").write_text('[[backend]]\nfunction = "orders"\n[tenants]\nblue = {}\n', encoding="utf-8")
    printed = read("explain", "--json", "--map", str(tmp_path / "bridge.toml"), "-", stdin=found["text"])
    assert "reason" in json.loads(printed.output)


@pytest.mark.parametrize(
    ("answer", "error", "expected"),
    [
        (b'{"statusCode": 200}', None, {"reply": {"statusCode": 200}}),
        (b'{"errorType": "E", "errorMessage": "m"}', "Unhandled", {"error": {"errorType": "E", "errorMessage": "m"}}),
    ],
)
def test_fixture_has_the_two_files_of_a_recording(answer: bytes, error: str | None, expected: dict[str, Any]) -> None:
    invoked = Invoked("Bridge", "id", b'{"version": "2.0"}', 1.0, answer=answer, error=error)
    found = copied(entry_of(HttpRequest("GET", "/a", []), invocations=[invoked]), "fixture", FRONT)
    assert json.loads(found["text"]) == {"version": "2.0"}
    assert found["also"]["name"] == "0007-get-a.expected.json"
    assert json.loads(found["also"]["text"]) == {
        "about": "GET /a",
        "recorded": "2027-01-15T08:00:00.500+00:00",
        **expected,
    }


@pytest.mark.parametrize(
    ("form", "content", "status", "text"),
    [
        ("gist", Content(), 400, "as: 'gist' is no form of a copy. Fix: write one of curl, event, test, fixture"),
        ("event", None, 409, "entry 3: its content is no longer kept"),
        ("event", Content(HttpIn(HttpRequest("GET", "/", []))), 409, "refused before there was an event"),
        ("curl", Content(RecordIn(b"{}")), 409, "did not come over HTTP"),
        ("test", Content(), 409, "no map has decided"),
    ],
)
def test_copy_that_there_is_not_is_refused(form: str, content: Content | None, status: int, text: str) -> None:
    with pytest.raises(Refused, match=text) as refused:
        copied(Entry("queue", "orders", "id", "id", 1.0, 3, content=content), form, FRONT)
    assert refused.value.status == status
