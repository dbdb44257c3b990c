"""Parts of a function's reply that every way in reads alike: JSON, the object, the body. The rest differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lattice_bridge.formats import reply
from lattice_bridge.http.base64 import Base64


class BadReply(Exception):
    """The function's answer is not a reply that the way in accepts. The message says what is wrong with it."""


def parsed(payload: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        BadReply: it is not JSON.
    """
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadReply("it is not JSON") from error


def object_in(payload: bytes) -> Mapping[str, Any]:
    """The object in an answer.

    Raises:
        BadReply: it is not JSON, or not an object.
    """
    return object_of(parsed(payload))


def object_of(answer: object) -> Mapping[str, Any]:
    """An answer that has to be an object.

    Raises:
        BadReply: it is not one.
    """
    if not isinstance(answer, dict):
        raise BadReply(f"it is {_kind(answer)}. Fix: return an object with statusCode")
    return answer


def status_of(answer: Mapping[str, Any]) -> int:
    """The status of a reply to Lattice or a load balancer. API Gateway also reads a string.

    Raises:
        BadReply: it is not a number from 200 to 599.
    """
    status = answer.get(reply.STATUS)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadReply("statusCode is not a number from 200 to 599. Fix: return one")
    return status


def body_of(answer: Mapping[str, Any], *, decode: bool = True) -> bytes:
    """The bytes of a reply's body.

    Args:
        answer: the reply.
        decode: whether a body that is marked as base64 is decoded.

    Raises:
        BadReply: it is not a string, or not the base64 that it is marked as.
    """
    body = answer.get(reply.BODY)
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadReply(f"body is {_kind(body)}. Fix: return a string, as json.dumps makes one")
    if decode and answer.get(reply.IS_BASE64) is True:
        found = Base64.checked(body)  # not binascii: in 3.11 its strict mode accepts "++++===="
        if found is None:
            raise BadReply("body is marked as base64 and is not base64. Fix: encode it, or remove the mark")
        return found.decoded()
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise BadReply("body contains a lone surrogate, which is no character. Fix: return text") from error


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
