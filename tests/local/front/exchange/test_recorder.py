"""Recorded requests: without credentials, never overwritten, and readable by the tools that replay them."""

from __future__ import annotations

import json
import logging
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.front.exchange.recorder import BadRecording, Recorder, without_credentials
from lattice_bridge.local.front.lattice.events import event_v1, event_v2
from lattice_bridge.testing import all_events
from tests.local.front.lattice.test_events import ORIGIN, SIGNER

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
REQUEST = HttpRequest("GET", "/orders/17?state=open", [("accept", "*/*")])
EVENT = event_v2(REQUEST, ORIGIN, SIGNER)


def result(reply: Any) -> InvocationResult:
    return InvocationResult(json.dumps(reply).encode())


def recorded(folder: Path, reply: InvocationResult, request: HttpRequest = REQUEST) -> Any:
    """The expected result beside the event of one request, in a new folder."""
    Recorder(folder).write(EVENT, request, reply)
    (case,) = all_events(folder=folder)
    return case.expected


def test_event_and_reply_are_read_by_the_testing_kit(tmp_path: Path) -> None:
    reply = {"statusCode": 200, "body": "17", "headers": {"x-a": "b"}}
    assert recorded(tmp_path / "new" / "folder", result(reply))["reply"] == reply
    (case,) = all_events("0001-get-orders-17", tmp_path / "new" / "folder")
    assert case.event == EVENT
    assert case.expected["about"] == "GET /orders/17"
    text = (tmp_path / "new" / "folder" / "0001-get-orders-17.json").read_text()
    assert text.count("\n") == 1, "so that the file is also a file of events, one a line"


def test_no_other_user_can_read_a_recording(tmp_path: Path) -> None:
    """Bodies may be personal."""
    recorded(tmp_path / "new", result({}))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()} == {0o600}


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "0007-get-orders-17.json").write_text("mine")
    first, second = Recorder(tmp_path), Recorder(tmp_path)
    first.write(EVENT, REQUEST, result({}))
    second.write(EVENT, REQUEST, result({}))
    assert (tmp_path / "0007-get-orders-17.json").read_text() == "mine"
    names = {file.name for file in tmp_path.iterdir() if "expected" not in file.name}
    assert names == {f"{number}-get-orders-17.json" for number in ("0007", "0008", "0009")}


@pytest.mark.parametrize("target", ["/", "/../../etc/passwd", "/\x1b[2J", "/" + "x" * 5000, "/ü?a=b", "*"])
def test_name_is_made_of_letters_and_digits(tmp_path: Path, target: str) -> None:
    """Trap G3."""
    Recorder(tmp_path).write(EVENT, HttpRequest("GET", target, []), result({}))
    for file in tmp_path.iterdir():
        assert file.name.removesuffix(".json").removesuffix(".expected").replace("-", "").isalnum()
        assert len(file.name) < 70
        assert file.read_text().isascii()


@pytest.mark.parametrize("limits", [{"max_requests": 2}, {"max_bytes": 2500}])
def test_recording_ends_at_its_limit_with_one_warning(
    tmp_path: Path, limits: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, **limits)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            recorder.write(EVENT, REQUEST, result({}))
    assert len(list(tmp_path.glob("*.expected.json"))) == 2
    assert [record.message.partition(" ends")[0] for record in caplog.records] == [f"recording into {tmp_path}"]


def test_earlier_recordings_count(tmp_path: Path) -> None:
    Recorder(tmp_path, max_requests=1).write(EVENT, REQUEST, result({}))
    Recorder(tmp_path, max_requests=1).write(EVENT, REQUEST, result({}))
    assert len(list(tmp_path.iterdir())) == 2


def test_folder_that_goes_away_ends_the_recording(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    recorder.write(EVENT, REQUEST, result({}))
    assert "No such file or directory" in caplog.text


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadRecording, match=r"--record .*/file: File exists. Fix: name a folder"):
        Recorder(tmp_path / "file")


# ---- credentials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ("x-amz-security-token", "session=me"),
        *(("cookie", "a=b"), ("proxy-authorization", "x"), ("x-api-key", "x"), ("x_csrf_token", "x")),
        *(("x-corp-id", TOKEN), ("x-corp-id", f"Bearer {TOKEN}"), ("x-forwarded-auth", "Basic eDp5")),
        *(("x-amzn-oidc-accesstoken", "x"), ("x-client-secret", "x"), ("x-list", f"a, {TOKEN}, b")),
        *(("x-corp-id", f"v1_{TOKEN}"), ("x-corp-id", "eyJhbGciOiJub25lIn0=.eyJzdWIiOiJtZSJ9=.")),
    ],
)
def test_header_with_a_credential_is_left_out(header: tuple[str, str]) -> None:
    """A recording is committed as a test case."""
    request = HttpRequest("GET", "/", [("accept", "*/*"), header, ("x-tenant-id", "blue")])
    assert without_credentials(request).headers == [("accept", "*/*"), ("x-tenant-id", "blue")]


@pytest.mark.parametrize(
    "parameter",
    [
        *("X-Amz-Signature=f00", "X-Amz-Credential=AKIA", "x-amz-security-token=x", "access_token=x", "api_key=x"),
        *("password=x", f"jwt={TOKEN}", "%61ccess_token=x", "access%5Ftoken=x"),
    ],
)
def test_query_parameter_with_a_credential_is_left_out(parameter: str) -> None:
    """Also under an encoded name."""
    assert without_credentials(HttpRequest("GET", f"/a?x=1&{parameter}&y", [])).target == "/a?x=1&y"
    assert without_credentials(HttpRequest("GET", f"/a?{parameter}", [])).target == "/a"


@pytest.mark.parametrize("part", ["eyJ-", "eyJ", "eyJabcdefgh.", "eyJabcdefgh.a", "a", "aws4-", " "])
def test_time_is_in_proportion_to_a_header(part: str) -> None:
    """A header has 256 KB. A pattern that began anew at each character would need minutes."""
    began = time.process_time()
    without_credentials(HttpRequest("GET", "/", [("x", part * (256_000 // len(part)))]))
    assert time.process_time() - began < 2


@pytest.mark.parametrize("target", ["/a", "/a?", "/a?b=%zz&&c", "/a?monkey=1&tokenise=2&key=3"])
def test_other_query_stays_as_sent(target: str) -> None:
    assert without_credentials(HttpRequest("GET", target, [])).target == target


@pytest.mark.parametrize("version", [1, 2])
def test_recorded_event_contains_no_credential_anywhere(tmp_path: Path, version: int) -> None:
    """Trap G12."""
    headers = [("authorization", "sEcret"), ("cookie", "sEcret"), ("x-any", f"Bearer {TOKEN}")]
    request = HttpRequest("GET", "/a?X-Amz-Signature=sEcret&b=1", headers)
    write = event_v1 if version == 1 else event_v2
    secret = {"Set-Cookie": "sEcret", "x-auth-token": ["sEcret"]}
    reply = {"statusCode": 200, "headers": secret, "multiValueHeaders": secret, "cookies": ["sEcret"]}
    Recorder(tmp_path).write(write(without_credentials(request), ORIGIN, SIGNER), request, result(reply))
    text = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "sEcret" not in text
    assert TOKEN not in text
    assert "blue-api" in text, "the caller's role stays: a decision needs it"


# ---- replies that are none ------------------------------------------------------------------------------------------


def test_error_of_the_function_is_recorded(tmp_path: Path) -> None:
    payload = b'{"errorType": "KeyError", "errorMessage": "id", "stackTrace": ["x"]}'
    found = recorded(tmp_path, InvocationResult(payload, error="Unhandled"))
    assert found["error"] == {"errorType": "KeyError", "errorMessage": "id"}


@pytest.mark.parametrize(
    ("payload", "key"),
    [(b"nonsense", "error"), (b'"text"', "reply"), (b'{"headers": 7}', "reply"), (b"[" * 9999, "error")],
)
def test_strange_answer_is_recorded(tmp_path: Path, payload: bytes, key: str) -> None:
    assert key in recorded(tmp_path, InvocationResult(payload))
