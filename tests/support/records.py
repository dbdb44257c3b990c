"""Queues for tests of the router: events, a map, functions and a quarantine that do as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from lattice_bridge.config.settings import Settings
from lattice_bridge.events import sqs
from lattice_bridge.invoke.call import Call
from lattice_bridge.lanes import Lanes
from lattice_bridge.quarantine import Quarantine
from lattice_bridge.router import Router

REGION: Final = "eu-west-1"
ARN: Final = f"arn:aws:sqs:{REGION}:111122223333:orders"
FIFO: Final = f"{ARN}.fifo"
BLUE_ARN: Final = f"arn:aws:sqs:{REGION}:111122223333:blue-orders"
QUARANTINE: Final = f"arn:aws:sqs:{REGION}:111122223333:orders-quarantine"
SHOP: Final = "AROASHOPEXAMPLE12345"
BLUE_SHOP: Final = "AROABLUEEXAMPLE12345"

MAP: Final = f"""
[tenants]
blue = {{}}
green = {{}}
old = {{ status = "suspended" }}

[[rule]]
id = "shop"
sender = {{ role_id = "{SHOP}" }}
tenants = ["blue", "green", "old"]

[[rule]]
id = "blue-shop"
sender = {{ role_id = "{BLUE_SHOP}" }}
tenant = "blue"

[[rule]]
id = "blue-queue"
source = "{BLUE_ARN}"
tenant = "blue"
"""
"""A sender with three tenants, one with a single tenant, and a queue of one tenant."""

BY_ATTRIBUTE: Final = 'claim = { from = "attribute", name = "tenant" }'
BY_GROUP: Final = 'claim = { from = "message_group" }'
BY_BODY: Final = 'claim = { from = "body", path = ["meta", "tenant"] }'
STORED: Final = f'quarantine = "{QUARANTINE}"'
STORED_IN_ORDER: Final = f'quarantine = "{QUARANTINE}.fifo"'


def source(*lines: str, arn: str = ARN) -> str:
    """An `[[event_source]]` with its other lines."""
    return "\n".join(["[[event_source]]", f'arn = "{arn}"', 'function = "orders-worker:live"', *lines, ""])


def record(
    number: int = 1,
    tenant: str | None = None,
    *,
    arn: str = ARN,
    sender: str = f"{SHOP}:shop-1",
    group: str | None = None,
    body: str = "{}",
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    system: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A record as Lambda makes it. `tenant` is its attribute of this name; its id is `id_of(number)`."""
    more = {} if group is None else {"MessageGroupId": group}
    own = {} if tenant is None else {"tenant": text_attribute(tenant)}
    return sqs.write(
        message_id=id_of(number),
        receipt_handle="secret-handle",
        body=body,
        attributes={
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795251600000",
            "SenderId": sender,
            "ApproximateFirstReceiveTimestamp": "1795251600001",
            **more,
            **(system or {}),
        },
        message_attributes={**own, **(attributes or {})},
        md5_of_body="99914b932bd37a50b983c5e7c90ae93b",
        md5_of_message_attributes=None,
        arn=arn,
    )


def text_attribute(value: str) -> dict[str, Any]:
    return {"dataType": "String", "stringValue": value, "stringListValues": [], "binaryListValues": []}


def id_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def event(*records: Mapping[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def failed(answer: Mapping[str, Any]) -> list[int]:
    """The numbers of the records that a batch response reports."""
    assert list(answer) == ["batchItemFailures"]
    assert all(list(item) == ["itemIdentifier"] for item in answer["batchItemFailures"])
    return [int(item["itemIdentifier"][-12:]) for item in answer["batchItemFailures"]]


class Context:
    """What Lambda gives a handler. The clock is the one of the router."""

    aws_request_id = "lambda-1"

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return round(self._seconds * 1000)


Answer = bytes | Exception | Callable[[Call], bytes]


class Functions:
    """An `invoke` that answers each record as a test says, and remembers its calls in their order.

    Attributes:
        answers: by the record's number; the others get `default`.
    """

    def __init__(self, answers: Mapping[int, Answer] | None = None, default: Answer = b"null") -> None:
        self.answers = dict(answers or {})
        self.default = default
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> bytes:
        with self._lock:
            self.calls.append(call)
        answer = self.answers.get(number_of(call), self.default)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else answer(call)

    @property
    def ran(self) -> list[tuple[int, str | None]]:
        """The number and the tenant of each record that was invoked."""
        return [(number_of(call), call.tenant) for call in self.calls]


def number_of(call: Call) -> int:
    [one] = json.loads(call.payload)["Records"]
    return int(one["messageId"][-12:])


class Sqs:
    """A client of SQS that keeps what it is sent, or fails as a test says.

    Attributes:
        answer: of each call.
        refuses: ids of records whose copies it does not store.
    """

    def __init__(self, failure: Exception | None = None) -> None:
        self.meta = SimpleNamespace(endpoint_url=f"https://sqs.{REGION}.amazonaws.com")
        self.failure = failure
        self.answer: dict[str, Any] = {"MessageId": "copy"}
        self.refuses: set[str] = set()
        self.sent: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            self.sent.append(arguments)
        if self.failure is not None:
            raise self.failure
        return {} if note_in(arguments)["id"] in self.refuses else self.answer

    @property
    def notes(self) -> list[dict[str, Any]]:
        """Our attribute of each message."""
        return [note_in(sent) for sent in self.sent]


def note_in(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Our attribute of a message."""
    note: dict[str, Any] = json.loads(sent["MessageAttributes"]["lattice-bridge"]["StringValue"])
    return note


def with_sources(*sources: str) -> str:
    """The map with these sources, and with the queue that a rule names."""
    written = "".join(sources)
    return MAP + written + ("" if f'"{BLUE_ARN}"' in written else source(arn=BLUE_ARN))


@cache
def settings(text: str) -> Settings:
    return Settings.from_text(text)


LANES: Final = Lanes()
"""The threads of all routers of a process."""


class World:
    """A router, its functions, its quarantine, and what it wrote."""

    def __init__(
        self,
        *sources: str,
        functions: Functions | None = None,
        more: str = "",
        failure: Exception | None = None,
        **options: Any,
    ) -> None:
        loaded = settings(with_sources(*(sources or [source(BY_ATTRIBUTE)])) + more)
        self.functions = functions or Functions()
        self.sqs = Sqs(failure)
        self.regions: list[str] = []
        self.written: list[str] = []
        self.router = Router(
            loaded.tenant_map,
            self.functions,
            sources=loaded.options.event_sources,
            quarantine=Quarantine(self._connect),
            **{"lanes": LANES, "write": self.written.append, **options},
        )

    def _connect(self, region: str) -> Callable[[], Sqs]:
        self.regions.append(region)
        return lambda: self.sqs

    def __call__(self, *records: Mapping[str, Any], context: object = None) -> list[int]:
        """The numbers of the records that the router reports."""
        return failed(self.router(event(*records), context or Context()))

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines, in their order."""
        return [line for line in self._written() if "_aws" not in line]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [line for line in self._written() if "_aws" in line]

    def _written(self) -> Iterable[dict[str, Any]]:
        return [json.loads(line) for line in "".join(self.written).splitlines()]

    @property
    def reasons(self) -> dict[int, tuple[str, str]]:
        """The status and the reason of each record, by its number."""
        return {int(line["id"][-12:]): (line["status"], line["reason"]) for line in self.lines if "id" in line}
