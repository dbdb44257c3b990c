"""Reports to a capture of the inspector what a stack would."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, ReceivedRequest
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.capture import Capture
from lattice_bridge.local.inspector.entry import Content, Entry
from lattice_bridge.local.inspector.observer import StackObserver
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Function, Service
from lattice_bridge.local.sources.delivery import Batch, Delivered
from lattice_bridge.local.web.admission import Refused
from tests.support.async_world import DONE, ORDERS

AUTHORIZER: Final = replace(ORDERS, name="authorizer", handler="lattice_bridge.authorizer.handler")
BRIDGE: Final = replace(ORDERS, name="bridge", handler=BRIDGE_HANDLER)
SHOP: Final = Service("shop", "arn:aws:vpc-lattice:::service/svc", "arn:…:servicenetwork/sn", ("shop",), ())
CLIENT: Final = ("127.0.0.1", 50123)
ROOT: Final = "Root=1-a"
LINE: Final[dict[str, Any]] = {
    "message": "request",
    "requestId": "r1",
    "status": 200,
    "reason": "ok",
    "tenant": "blue",
    "rule": "blue-api",
    "milliseconds": {"decide": 0.5, "invoke": 5.0, "total": 6.0},
}
RECORD: Final[dict[str, Any]] = {
    "message": "record",
    "requestId": "b1",
    "id": "m1",
    "status": "done",
    "reason": "ok",
    "tenant": "blue",
    "milliseconds": {"total": 6.0},
}


class Stack:
    """Reports to a capture what a stack would."""

    def __init__(self, capture: Capture | None = None) -> None:
        self.configuration = BridgeConfiguration(BRIDGE, "bridge.toml")
        self.capture = capture or Capture(Timeline(), lambda: [self.configuration])
        self.timeline = self.capture.timeline
        self.reports: StackObserver = self.capture

    @property
    def entries(self) -> list[Entry]:
        return [one for n in range(1, 100) if (one := self.timeline.get(n)) is not None]

    def receives(self, way_in: Service | None = SHOP, id_: str = "r1", body: bytes = b"{}") -> None:
        request = HttpRequest("POST", "/orders?token=secret", [("host", "shop")], body)
        self.reports.received(ReceivedRequest(id_, way_in, request, "1.1", CLIENT, 1000.0))

    def answers(self, status: int = 200, refusal: Refused | None = None, fixed: str | None = None) -> Entry:
        response = HttpResponse(status, (), b"answer")
        answered = AnsweredRequest("r1", "POST", "/orders", status, 12.5, refusal, fixed, "", response)
        self.reports.answered(answered)
        return self.entries[0]

    def begins(self, function: Function, id_: str, root: str | None = ROOT, **more: Any) -> InvokeRequest:
        trace = None if root is None else f"{root};Parent=b;Sampled=0"
        request = InvokeRequest(function.name, more.pop("payload", b'{"e": 1}'), trace_id=trace, request_id=id_, **more)
        self.reports.invocation_began(function, request)
        return request

    def prints(self, label: str, *lines: object) -> None:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line, separators=(",", ":"))
            self.reports.function_output(label, text)

    def serves(self, line: dict[str, Any] = LINE) -> None:
        """The bridge takes the request, and invokes `orders` as blue, whose environment is new."""
        self.reports.invoking("r1", "arn:aws:lambda:us-east-1:123456789012:function:bridge:live", f"{ROOT};Parent=a")
        outer = self.begins(BRIDGE, "i1", payload=b'{"event": 1}')
        inner = self.begins(ORDERS, "i2", tenant="blue")
        self.prints("orders/blue#1", "counted")
        ended = replace(DONE, environment="orders/blue#1", init_milliseconds=250.0, milliseconds=3.0)
        self.reports.invocation_ended(inner, ended)
        self.prints("bridge#1", "a line", line)
        self.reports.invocation_ended(outer, replace(DONE, environment="bridge#1", milliseconds=9.0))


def content(entry: Entry) -> Content:
    assert entry.content is not None
    return entry.content


def batch(*ids: str, traces: tuple[str, ...] = (ROOT,), request_id: str = "b1") -> Batch:
    messages = (Delivered(id_, "g", 2, json.dumps({"messageId": id_}).encode(), "AROAX") for id_ in ids)
    return Batch("orders.fifo", "bridge", request_id, tuple(messages), traces, 30, ("dead", 3))
