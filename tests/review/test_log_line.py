"""Log lines in every form in which they are exported, and the callers in them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import Caller
from lattice_bridge.review.log_line import caller_in, request_lines
from lattice_bridge.telemetry import caller_key
from tests.support.builders import ACCOUNT, role

FIELDS = {
    "level": "WARN",
    "message": "request",
    "requestId": "r-1",
    "status": 403,
    "path": '/"{x}"',
    "reason": "no_rule",
}
LINE = json.dumps(FIELDS, separators=(",", ":"))
METRIC = '{"_aws":{"Timestamp":1},"Requests":1,"requestId":"r-1"}'


def as_csv(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([["timestamp", "message"], cells])
    return text.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        f"{METRIC}\n{LINE}\n{METRIC}\n",
        f"2026-11-21T09:00:00.000Z {LINE}",  # an export to S3
        f"2026-11-21T09:00:00+00:00 2026/11/21/[$LATEST]0a {LINE}",  # aws logs tail
        f"[bridge]  {LINE}\n[orders#blue]  hello",  # local
        json.dumps({"time": 1.5, "environment": "bridge", "line": LINE}),  # local --json-logs
        json.dumps({"time": 1.5, "environment": "bridge", "log": FIELDS}),
        json.dumps({"events": [{"timestamp": 1, "message": f"{METRIC}\n"}, {"message": f"{LINE}\n"}]}, indent=2),
        json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": LINE}]}),
        json.dumps([{"@timestamp": "2026-11-21", "@message": FIELDS}]),
        json.dumps({"results": [[{"field": "@message", "value": LINE}]]}),
        as_csv("1795251600000", LINE),
        as_csv("1795251600000", json.dumps({"environment": "bridge", "line": LINE})),
    ],
)
def test_line_is_found_in_every_form(text: str) -> None:
    assert [line.fields for line in request_lines(text)] == [FIELDS]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "requestId",
        "{requestId",
        '{"requestId":"r-1"}',
        METRIC,
        '{"message":"map","requestId":"r-1"}',
        "[" * 100_000,
        '{"requestId":' + "[" * 100_000,
        json.dumps({"requestId": "[" * 10}),
    ],
)
def test_text_without_a_requests_line_has_none(text: str) -> None:
    """Trap G4."""
    assert list(request_lines(text)) == []


def test_json_within_json_is_followed_only_so_far() -> None:
    """Trap G4."""
    text = LINE
    for _ in range(12):
        text = json.dumps({"line": text, "requestId": ""})
        if len(text) > 100_000:
            break
    assert list(request_lines(text)) == []


# ---- what telemetry writes is read again ----------------------------------------------------------------------------


def written(principal: str | None, form: Any, **subjects: object) -> str:
    caller = Caller() if principal is None else Caller(authenticated=True, iam=parse_arn(principal))
    return caller_key(caller, {name: {"sub": subject} for name, subject in subjects.items()}, form)


@pytest.mark.parametrize(
    ("principal", "from_key", "from_full"),
    [
        (role("api"), f"arn:aws:iam::{ACCOUNT}:role/api", role("api")),
        (
            f"arn:aws-cn:iam::{ACCOUNT}:user/ann",
            f"arn:aws-cn:iam::{ACCOUNT}:user/ann",
            f"arn:aws-cn:iam::{ACCOUNT}:user/ann",
        ),
        (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/ann", None, f"arn:aws:sts::{ACCOUNT}:federated-user/ann"),
        (None, None, None),
    ],
)
def test_principal_is_read_as_it_was_written(
    principal: str | None, from_key: str | None, from_full: str | None
) -> None:
    for form, arn in (("key", from_key), ("full", from_full)):
        found = caller_in(written(principal, form, corp="ann smith@example.com/x"))
        assert found is not None
        assert (found.principal, found.is_whole) == (arn, arn is not None or principal is None)
        assert found.claims == {"corp": {} if form == "key" else {"sub": "ann smith@example.com/x"}}
        assert found.has_session is (arn == role("api"))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ann",
        f"{ACCOUNT}/",
        f"{ACCOUNT}/api {ACCOUNT}/api",
        f"{ACCOUNT}/api\n",
        f"{ACCOUNT}/api ",
        "\u0661" * 12 + "/api",
        f"{ACCOUNT}:group/x",
        "jwt:a b",
        "jwt:corp#xyz",
    ],
)
def test_key_of_another_form_is_none(key: str) -> None:
    """Trap D11: a line is text from a file."""
    assert caller_in(key) is None
