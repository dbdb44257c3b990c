"""Parameter mapping of HTTP APIs, called directly."""

from __future__ import annotations

from typing import Final

import pytest

from lattice_bridge.local.front.apigateway.parameter_mapping import Values, mapped_request, mapped_response
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.plan.http_api import Change
from lattice_bridge.message import Request

BREAK: Final = "a%0d%0aset-cookie:%20session=1"
VALUES: Final = Values(HttpRequest("GET", f"/?q={BREAK}&plain=a", []), "/", {}, {}, {})


@pytest.mark.parametrize("action", ["append", "overwrite"])
@pytest.mark.parametrize("source", ["$request.querystring.q", "x-${request.querystring.q}", "$response.body.name"])
def test_line_break_in_a_mapped_header_is_not_sent(action: str, source: str) -> None:
    """Trap A17: a client, or a function that repeats its words, would end the line and write another header."""
    response = HttpResponse(200, [("x-mapped", "b")], b'{"name": "a\\r\\nset-cookie: session=1"}')
    change = Change(action, "header", "x-mapped", source)
    assert mapped_response(response, [change], VALUES) == response
    if "response" not in source:
        request = Request(version=2, method="GET", path="/", headers=(("x-mapped", "b"),))
        assert mapped_request(request, [change], VALUES) == request


def test_other_value_is_mapped() -> None:
    change = Change("overwrite", "header", "x-mapped", "x-${request.querystring.plain}")
    assert mapped_response(HttpResponse(200), [change], VALUES).headers == [("x-mapped", "x-a")]
