"""An Application Load Balancer as a way in: finds the rule of a request, invokes the target's function, and responds.

Rule: as "Use Lambda functions as targets of an Application Load Balancer" and "Troubleshoot your Application Load
Balancers" of the user guide; each guess is a name in `formats.assumptions`. The event is written by `formats.alb`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from lattice_bridge.formats import alb
from lattice_bridge.formats.assumptions import (
    ALB_DEFAULT_CONTENT_TYPE,
    ALB_IDLE_TIMEOUT,
    ALB_TOO_LARGE,
    FRONT_DROPPED_HEADERS,
)
from lattice_bridge.http import headers as names
from lattice_bridge.http.query import split_query
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.lambda_service import new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import Answer, Exchange
from lattice_bridge.local.front.exchange.function_reply import BadReply, body_of, object_in, status_of
from lattice_bridge.local.front.exchange.http_message import (
    HttpRequest,
    HttpResponse,
    Pairs,
    connection_options,
    content_of,
    to_json,
)
from lattice_bridge.local.front.exchange.recorder import without_credentials
from lattice_bridge.local.plan.load_balancer import (
    Facts,
    Fixed,
    LambdaTargets,
    Listener,
    LoadBalancer,
    NotServed,
    Redirect,
    choose,
    rule_for,
)
from lattice_bridge.local.web.admission import Headers, Refused
from lattice_bridge.message import Request

BODY_LIMIT: Final = 1024 * 1024
"""Bytes of a request's body that a Lambda target takes."""

_HOST: Final = re.compile(r"(?P<host>.*?)(?::(?P<port>[0-9]{0,5}))?")
_PLACEHOLDER: Final = re.compile(r"#\{(protocol|host|port|path|query)\}")
_PHRASES: Final = {413: ALB_TOO_LARGE, 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
"""The phrases of a load balancer that are not those of RFC 9110."""
_SERVER: Final = ("server", "awselb/2.0")


class BalancerRefused(Refused):
    """A request that a load balancer answers with a page of its own. The cause is for the terminal only."""

    @property
    def body(self) -> bytes:
        """The page."""
        return _page(self.status)

    @property
    def headers(self) -> Headers:
        """The headers that describe it."""
        return [_SERVER, ("content-type", "text/html")]


def refused(refusal: Refused) -> Refused:
    """A refusal of the front itself, with the page of a load balancer."""
    if isinstance(refusal, BalancerRefused):
        return refusal
    return BalancerRefused(refusal.status, str(refusal), refusal.cause, reason=refusal.reason)


def _page(status: int) -> bytes:
    title = f"{status} {_PHRASES.get(status) or HTTPStatus(status).phrase}"
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        "</body>",
        "</html>",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


async def serve(request: HttpRequest, balancer: LoadBalancer, exchange: Exchange) -> Answer:
    """Answers a request as a load balancer does.

    Raises:
        Refused: the request, or the answer of the function.
    """
    host, port = _host_and_port(request)
    listener = balancer.listener_for(port)
    rule = rule_for(listener, facts_of(request, host))
    action = rule.action
    if isinstance(action, Fixed):
        headers = [_SERVER, ("content-type", action.content_type)]
        fixed = f"a rule of the load balancer {balancer.name} invokes no function"
        return Answer(HttpResponse(action.status, headers, action.body.encode()), fixed)
    if isinstance(action, Redirect):
        return Answer(_redirected(action, request, host, listener), f"a rule of {balancer.name} redirects")
    if isinstance(action, NotServed):
        cause = f"Not Implemented: the action {action.type} of {balancer.name} authenticates users; this stack cannot"
        raise Refused(501, f"{cause}. Fix: forward without it in a template for this machine")
    group = choose(action.groups)
    if group is None or group.function is None:
        cause = f"no target group of the rule has a function. Fix: register one in {balancer.name}'s target group"
        raise BalancerRefused(503, "Service Unavailable", cause, reason="no_target")
    event = event_of(request, listener, group)
    result = await _invoke(exchange, group.function, event, balancer.idle_seconds)
    if exchange.recorder is not None:
        await exchange.record(event_of(without_credentials(request), listener, group), request, result)
    return Answer(_to_response(result, group, request.method))


def _host_and_port(request: HttpRequest) -> tuple[str, int | None]:
    match = _HOST.fullmatch(next(value for name, value in request.headers if name == "host"))
    assert match is not None  # the front has admitted it
    return match["host"].lower().removesuffix("."), int(match["port"]) if match["port"] else None


def facts_of(request: HttpRequest, host: str) -> Facts:
    """The facts of a request that conditions test. `NAME.localhost` is NAME: this machine resolves only the former.

    Args:
        request: as received.
        host: of its Host header, without the port.
    """
    path, _, query = request.target.partition("?")
    host = host.removesuffix(".localhost")
    return Facts(request.method, path, split_query(query), request.headers, host, request.client_address)


def _redirected(action: Redirect, request: HttpRequest, host_name: str, listener: Listener) -> HttpResponse:
    sent_path, _, sent_query = request.target.partition("?")
    values = {
        "protocol": listener.protocol.lower(),
        "host": host_name,
        "port": str(listener.port),
        "path": sent_path.removeprefix("/"),
        "query": sent_query,
    }
    parts = (action.protocol.lower(), action.host, action.port, action.path, action.query)
    protocol, host, port, path, query = (_PLACEHOLDER.sub(lambda match: values[match[1]], part) for part in parts)
    location = f"{protocol}://{host}:{port}{path}{f'?{query}' if query else ''}"
    headers = [_SERVER, ("content-type", "text/html"), ("location", location)]
    return HttpResponse(action.status, headers, _page(action.status))


# ---- HTTP → event ---------------------------------------------------------------------------------------------------


def event_of(request: HttpRequest, listener: Listener, group: LambdaTargets) -> dict[str, Any]:
    """The event of a request to a listener, for the function of a target group."""
    path, _, query = request.target.partition("?")
    received = Request(
        version=1,
        method=request.method,
        path=path,
        raw_query=query,
        headers=tuple(_headers(request, listener)),
        content=content_of(request),
        target_group_arn=group.arn,
        source="alb",
    )
    return alb.write(received, multi_value=group.multi_value)


def _headers(request: HttpRequest, listener: Listener) -> Pairs:
    """The headers that a load balancer passes on, with those that it sets. It adds the client to x-forwarded-for."""
    own = ("x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id")
    dropped = FRONT_DROPPED_HEADERS | (connection_options(request.headers) - {"host"})
    forwarded = [value for name, value in request.headers if name == "x-forwarded-for"]
    trace = next((value for name, value in request.headers if name == "x-amzn-trace-id"), "")
    return [
        *(pair for pair in request.headers if pair[0] not in own and pair[0] not in dropped),
        ("x-amzn-trace-id", _trace(trace)),
        ("x-forwarded-for", ", ".join([*forwarded, request.client_address])),
        ("x-forwarded-port", str(listener.port)),
        ("x-forwarded-proto", listener.protocol.lower()),
    ]


def _trace(sent: str) -> str:
    """`Root=` of the load balancer's own, or the client's fields with a `Self=` of its own."""
    own = new_trace_id().partition(";")[0].removeprefix("Root=")
    kept = [part for part in sent.split(";") if part and not part.startswith("Self=")]
    if not any(part.startswith("Root=") for part in kept):
        return ";".join([f"Root={own}", *kept])
    return ";".join([f"Self={own}", *kept])


# ---- reply → HTTP ---------------------------------------------------------------------------------------------------


async def _invoke(exchange: Exchange, function: str, event: Mapping[str, Any], seconds: float) -> InvocationResult:
    """Waits for the function, but not longer than the load balancer does. The function then runs on, as on Lambda."""
    running = asyncio.ensure_future(exchange.invoke(function, to_json(event)))
    try:
        return await asyncio.wait_for(asyncio.shield(running), seconds)
    except TimeoutError:
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # its result is not read
        cause = f"{function} did not answer within the load balancer's idle timeout of {seconds:g} seconds"
        fix = "make it faster, or raise the attribute idle_timeout.timeout_seconds"
        raise BalancerRefused(
            ALB_IDLE_TIMEOUT, "Gateway Timeout", f"{cause}. Fix: {fix}", reason="function_timeout"
        ) from None
    except LambdaError as error:
        reason = "function_throttled" if error.status == 429 else "invoke_refused"
        cause = f"Lambda refused to invoke {function}: {error.code}: {error}"
        if str(error) == MISSING:
            cause += " A load balancer sends no tenant id. Fix: make the bridge its target, and this function a backend"
        raise BalancerRefused(502, "Bad Gateway", cause, reason=reason) from error


def _to_response(result: InvocationResult, group: LambdaTargets, method: str) -> HttpResponse:
    if result.timed_out:
        cause = f"{group.function} timed out. Fix: make it faster, or raise its Timeout in the template"
        raise BalancerRefused(502, "Bad Gateway", cause, reason="function_timeout")
    if result.error is not None:
        cause = f"{group.function} failed: {result.description}"
        raise BalancerRefused(502, "Bad Gateway", cause, reason="function_failed")
    try:
        return _http_response(result.payload, method, multi_value=group.multi_value)
    except BadReply as error:
        cause = f"the response of {group.function} is not one that a load balancer accepts: {error}"
        raise BalancerRefused(502, "Bad Gateway", cause, reason="not_a_reply") from error


def _http_response(payload: bytes, method: str, *, multi_value: bool) -> HttpResponse:
    if len(payload) > alb.REPLY_LIMIT:
        raise BadReply(f"it is {len(payload)} bytes of JSON; a load balancer takes {alb.REPLY_LIMIT}")
    answer = object_in(payload)
    status = status_of(answer)
    headers = _reply_headers(answer, multi_value=multi_value)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", ALB_DEFAULT_CONTENT_TYPE))
    body = b"" if method == "HEAD" or status in (204, 304) else body_of(answer)
    return HttpResponse(status, [_SERVER, *headers], body)


def _reply_headers(answer: Mapping[str, Any], *, multi_value: bool) -> list[tuple[str, str]]:
    """The headers of the kind that the target group has. A load balancer does not read the other kind."""
    field = alb.MULTI_HEADERS if multi_value else alb.HEADERS
    found = answer.get(field)
    if found is not None and not isinstance(found, dict):
        raise BadReply(f"{field} is not an object")
    pairs: list[tuple[str, str]] = []
    for name, entry in (found or {}).items():
        values = entry if multi_value else [entry]
        if not isinstance(values, list):
            raise BadReply(f"{field}: {name[:64]!a} is not a list of strings")
        for value in values:
            if not isinstance(value, str) or not names.is_token(name) or not names.is_sendable(value):
                raise BadReply(f"{field}: {name[:64]!a} is not a name with a string")
            pairs.append((names.lower(name), value))
    return [pair for pair in pairs if pair[0] not in names.HOP_BY_HOP and pair[0] not in ("content-length", "server")]
