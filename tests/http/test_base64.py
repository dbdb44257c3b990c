"""Base64 that is passed on: what is let through is what decodes."""

from __future__ import annotations

import base64
import binascii
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lattice_bridge import parse_event
from lattice_bridge.errors import BadRequest
from lattice_bridge.formats.payload import encode
from lattice_bridge.formats.reply import decode, render
from lattice_bridge.http.base64 import Base64
from tests.support.builders import v1, v2

GRAMMAR = re.compile("([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
LARGE = base64.b64encode(bytes(range(256)) * 1000).decode()


def decodes(text: str) -> bool:
    try:
        binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeError):
        return False
    return True


@given(st.text('AZaz09+/=-_ \n"\\\x00é', max_size=12) | st.text(max_size=8))
@example("=")
@example("====")
@example("A===")
@example("AA=A")
@example("AAAA====")
@example("QQ==QQ==")
@example("AAA\n")
def test_what_passes_is_what_decodes(text: str) -> None:
    """By the grammar of RFC 4648: Python's own strict reading takes `AAAA====`."""
    passes = Base64.checked(text) is not None
    assert passes == (GRAMMAR.fullmatch(text) is not None)
    assert decodes(text) or not passes or text == ""


@given(st.binary(max_size=300))
def test_what_bytes_became_becomes_them_again(data: bytes) -> None:
    found = Base64.checked(base64.b64encode(data).decode())
    assert found is not None
    assert found.decoded() == data
    assert b"".join(found.pieces()).decode() == found.text


@pytest.mark.parametrize("place", [0, 1, 65_535, 65_536, 65_537, len(LARGE) - 5, len(LARGE) - 1])
@pytest.mark.parametrize("bad", ['"', "\\", "\n", "-", "é", "\ud800"])
def test_wrong_character_is_found_at_every_position(place: int, bad: str) -> None:
    """Trap A9: what is put into JSON as it is has to be what it says."""
    text = LARGE[:place] + bad + LARGE[place + 1 :]
    assert Base64.checked(text) is None
    for event in (v2(body=text, isBase64Encoded=True), v1(body=text, is_base64_encoded=True)):
        with pytest.raises(BadRequest, match="base64"):
            parse_event(event)


@pytest.mark.parametrize("event", [v2(body=LARGE, isBase64Encoded=True), v1(body=LARGE, is_base64_encoded=True)])
def test_a_backend_gets_base64_as_it_came(event: dict[str, object]) -> None:
    request = parse_event(event)
    received = json.loads(encode(request, tenant="blue", tenant_header="x-tenant-id", request_id="r"))
    assert received["body"] == LARGE
    assert {**received, "headers": event["headers"]} == event
    assert base64.b64decode(received["body"]) == request.body


def test_a_base64_answer_goes_on_as_it_came() -> None:
    answer = {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": LARGE, "isBase64Encoded": True}
    reply = render(decode(json.dumps(answer).encode()), "GET")
    assert (reply["body"], reply["isBase64Encoded"]) == (LARGE, True)


def test_base64_answer_without_content_type_is_decoded() -> None:
    text = base64.b64encode(b"hello").decode()
    reply = render(decode(json.dumps({"statusCode": 200, "body": text, "isBase64Encoded": True}).encode()), "GET")
    assert (reply["body"], reply["isBase64Encoded"]) == ("hello", False)
