"""Parameter mapping of HTTP APIs: changes of the request before the integration, and of its response.

Rule: as http-api-parameter-mapping.html describes it. The reserved headers, of which `x-amz-*` are some, were refused
when the template was read. A value that no header can carry is no value: with a line break, a client would write
headers of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lattice_bridge.http.headers import is_sendable
from lattice_bridge.http.query import escape, parse_form_query, split_query
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.plan.http_api import Change
from lattice_bridge.message import Request

_NAMES: Final = r"((?:request|response|context|stageVariables)(?:\.[A-Za-z0-9_$\[\]:-]+)+)"
_EXPRESSION: Final = re.compile(rf"\$\{{?{_NAMES}\}}?")
_STEP: Final = re.compile(r"([A-Za-z0-9_$:-]+)|\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Values:
    """What expressions read.

    Attributes:
        request: of the client.
        path: without the stage, decoded.
        parameters: of the path, decoded.
        context: `$context` variables, by name.
        variables: of the stage.
    """

    request: HttpRequest
    path: str
    parameters: Mapping[str, str]
    context: Mapping[str, str]
    variables: Mapping[str, str]

    def read(self, expression: str, response: HttpResponse | None = None) -> str | None:
        """The value of an expression without its `$`, as in `request.header.x-tag`. None if there is none."""
        root, _, path = expression.partition(".")
        if root == "context":
            return self.context.get(path)
        if root == "stageVariables":
            return self.variables.get(path)
        place, _, name = path.partition(".")
        if root == "response":
            return None if response is None else _in_response(place, name, response)
        if place == "header":
            return _joined(self.request.headers, name.lower())
        if place == "querystring":
            return _joined(parse_form_query(self.request.target.partition("?")[2]), name)
        if place == "path":
            return self.parameters.get(name) if name else self.path
        return _in_body(name, self.request.body) if place == "body" else None


def mapped_request(request: Request, changes: Sequence[Change], values: Values) -> Request:
    """The request with the changes, in order. A change without a value is left out."""
    for change in changes:
        value = _value(change, values, None)
        if change.part == "path" and value:
            request = replace(request, path=f"/{value.removeprefix('/')}")
        elif change.part == "header" and (value is not None or change.action == "remove"):
            kept = [pair for pair in request.headers if change.action == "append" or pair[0] != change.name]
            added = [] if change.action == "remove" or value is None else [(change.name, value)]
            request = replace(request, headers=(*kept, *added))
        elif change.part == "querystring" and (value is not None or change.action == "remove"):
            pairs = [
                pair for pair in split_query(request.raw_query) if change.action == "append" or pair[0] != change.name
            ]
            if change.action != "remove" and value is not None:
                pairs.append((escape(change.name, form=True), escape(value, form=True)))
            request = replace(request, raw_query="&".join(f"{name}={value}" for name, value in pairs))
    return request


def mapped_response(response: HttpResponse, changes: Sequence[Change], values: Values) -> HttpResponse:
    """The response with the changes for its status, in order."""
    found = response
    for change in changes:
        value = _value(change, values, response)
        if change.part == "statuscode" and value is not None and re.fullmatch("[2-5][0-9][0-9]", value):
            found = replace(found, status=int(value))
        elif change.part == "header" and (value is not None or change.action == "remove"):
            kept = [pair for pair in found.headers if change.action == "append" or pair[0] != change.name]
            added = [] if change.action == "remove" or value is None else [(change.name, value)]
            found = replace(found, headers=[*kept, *added])
    return found


def _value(change: Change, values: Values, response: HttpResponse | None) -> str | None:
    """The value of an expression, or a text with expressions in `${…}`. None if there is nothing that can be sent."""
    whole = _EXPRESSION.fullmatch(change.value)
    if whole is not None:
        found = values.read(whole[1], response)
    else:
        found = _EXPRESSION.sub(lambda match: values.read(match[1], response) or "", change.value)
    return None if change.part == "header" and found is not None and not is_sendable(found) else found


def _joined(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    found = [value for key, value in pairs if key == name]
    return ",".join(found) if found else None


def _in_response(place: str, name: str, response: HttpResponse) -> str | None:
    return _joined(response.headers, name.lower()) if place == "header" else _in_body(name, response.body)


def _in_body(path: str, body: bytes) -> str | None:
    """A value of a JSON body, by names and indexes."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name, index in _STEP.findall(path):
        if name and isinstance(found, dict):
            found = found.get(name)
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            return None
    return found if isinstance(found, str) else None if found is None else json.dumps(found)
