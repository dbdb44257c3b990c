"""The corpus as Powertools' data classes and resolvers read it, beside `parse_event`.

Rule: facts about versions. A difference is not a mistake: Powertools hands an event on, and refuses nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, Final

from aws_lambda_powertools.event_handler import Response, VPCLatticeResolver, VPCLatticeV2Resolver
from aws_lambda_powertools.utilities.data_classes import VPCLatticeEvent, VPCLatticeEventV2
from aws_lambda_powertools.utilities.parser.models import VpcLatticeModel, VpcLatticeV2Model

from lattice_bridge import Request, parse_event
from lattice_bridge.testing import Case, all_events

Fact = tuple[str, Any, Any]
"""The field, our reading, Powertools' reading."""


def differences() -> list[tuple[str, str, str, list[str]]]:
    """`(what is asked, what we read, what Powertools reads, names of the cases)`."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for case in _cases():
        for asked, ours, theirs in _facts(case):
            if ours != theirs:
                found.setdefault((asked, *_shown(ours, theirs)), []).append(case.name)
    return [(*key, names) for key, names in sorted(found.items())]


def table() -> str:
    """The same in Markdown."""
    head = [
        f"aws-lambda-powertools {version('aws-lambda-powertools')}, {len(_cases())} events.",
        "",
        "| asked | `parse_event` | Powertools | in |",
        "| --- | --- | --- | --- |",
    ]
    rows = [f"| {asked} | {ours} | {theirs} | {_named(names)} |" for asked, ours, theirs, names in differences()]
    return "\n".join([*head, *rows])


def _cases() -> list[Case]:
    return [*all_events("v1/*"), *all_events("v2/*")]


def _named(names: list[str]) -> str:
    """All of them, or how many and which first."""
    return ", ".join(names) if len(names) <= _MANY else f"{len(names)}: {names[0]} …"


def _facts(case: Case) -> Iterator[Fact]:
    request, event = parse_event(case.event), case.event
    data: Any = VPCLatticeEvent(event) if request.version == 1 else VPCLatticeEventV2(event)
    yield "method", request.method, _read(lambda: data.http_method)
    yield "path", request.path, _read(lambda: data.path)
    yield "query", _lists(request.query_all), _read(lambda: _all_lists(data.resolved_query_string_parameters))
    yield "headers", _lists(request.headers), _read(lambda: _headers(data))
    yield "body", request.body, _read(lambda: _body(data))
    if request.version == 2:
        yield "principal", request.caller.principal, _read(lambda: data.request_context.identity.principal)
        yield "VPC", request.caller.source_vpc_arn, _read(lambda: data.request_context.identity.source_vpc_arn)
    model = VpcLatticeModel if request.version == 1 else VpcLatticeV2Model
    yield f"`{model.__name__}`", "accepts", _read(lambda: model.model_validate(event) and "accepts")
    yield "a resolver with a route for every path", 200, _read(lambda: _resolved(request, event))


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:
        return error


def _lists(pairs: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _all_lists(found: Any) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [value] for name, value in (found or {}).items()}


def _headers(data: Any) -> dict[str, list[str]]:
    """Without those of Lattice, which we read into the caller."""
    found = _all_lists(data.resolved_headers_field)
    return {name.lower(): value for name, value in found.items() if not name.lower().startswith("x-amzn-lattice-")}


def _body(data: Any) -> bytes:
    return base64.b64decode(data.body) if data.is_base64_encoded else (data.body or "").encode()


def _resolved(request: Request, event: dict[str, Any]) -> int:
    app: Any = VPCLatticeResolver() if request.version == 1 else VPCLatticeV2Resolver()
    app.route(".+", method=[request.method])(lambda: Response(200, "text/plain", "ok"))
    status: int = app.resolve(event, _Context())["statusCode"]
    return status


class _Context:
    """The parts of Lambda's context that the resolver uses."""

    aws_request_id = "r-1"


_MANY: Final = 6


def _shown(ours: Any, theirs: Any) -> tuple[str, str]:
    """Both in words; of two maps, what is in one only."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        apart = [name for name in [*ours, *theirs] if ours.get(name) != theirs.get(name)]
        ours, theirs = ({name: one[name] for name in apart if name in one} for one in (ours, theirs))
    return _word(ours), _word(theirs)


def _word(value: Any) -> str:
    if isinstance(value, Exception):
        return f"raises {type(value).__name__}"
    return f"`{value}`".replace("|", "\\|")
