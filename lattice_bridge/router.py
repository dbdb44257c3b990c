"""The path of a batch of records: event, records, decisions, invocations, batch response.

Rule: this file contains the steps in order, and decides what becomes of a record that fails. A record that is neither
done nor quarantined is reported, so that its queue keeps it: no error here loses a record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

from lattice_bridge.config.options import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import (
    BadRequest,
    BridgeError,
    Forbidden,
    InvalidMap,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    internal_error,
)
from lattice_bridge.events import sqs
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import Record
from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT
from lattice_bridge.invoke.call import Call, Invoke
from lattice_bridge.invoke.retry import SHORTEST
from lattice_bridge.lanes import Lanes
from lattice_bridge.quarantine import Quarantine, check_return
from lattice_bridge.runtime.process import time_left
from lattice_bridge.telemetry import NAMESPACE, BatchLog, RecordLog, to_stdout
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject

SETTLE_TIME: Final = 0.0002
"""Seconds for each record of a batch, beside `MARGIN`, to report it if its time is up. A batch may have 10,000."""

_PERMANENT: Final = (BadRequest, Unauthenticated, Forbidden, TooLarge)
"""The permanent faults. All others are transient, also those of a wrong deployment: missing rights must not drain a
queue into its quarantine."""

NOT_CONFIGURED: Final = Misconfigured(
    "source_not_configured", "no [[event_source]] has the queue's ARN. Fix: write one, or delete the mapping"
)
_BEHIND: Final = Unavailable(
    "behind_failed", "an earlier record of its message group was reported; nothing was invoked"
)


class Router:
    """A Lambda handler between event source mappings of queues and tenant-isolated functions. Threads may share it.

    Each record is decided and invoked alone. The answer is a partial batch response, so the mapping must have
    `FunctionResponseTypes: [ReportBatchItemFailures]`: without it, Lambda deletes the records that are reported.

    Args:
        tenant_map: decides which tenant a record runs as.
        invoke: runs one invocation, see `invoke.Invoke`.
        sources: the queues that records may come from.
        quarantine: stores the copies of records with a permanent fault.
        lanes: the threads that work side by side.
        write: receives the log and metric lines.
        log_level: the lowest level of the log lines that are written, as in `AWS_LAMBDA_LOG_LEVEL`. Metric lines are
            always written.
        namespace: of the metrics.
        clock: monotonic seconds.

    Raises:
        InvalidMap: a FIFO queue is asynchronous: a 202 says that an event was accepted, not that it was processed.

    >>> from lattice_bridge import Router, TenantMap
    >>> queue = "arn:aws:sqs:eu-west-1:111122223333:orders"
    >>> tenant_map = TenantMap.from_toml(f'''
    ... [tenants]
    ... blue = {{}}
    ... [[event_source]]
    ... arn = "{queue}"
    ... function = "orders"
    ... [[rule]]
    ... id = "orders"
    ... source = "{queue}"
    ... tenant = "blue"
    ... ''')
    >>> router = Router(tenant_map, lambda call: b"null", sources=[EventSource(queue, "orders")], write=lambda _: None)
    >>> body, attributes = "{}", {"SenderId": "AIDAEXAMPLEEXAMPLE12"}
    >>> message = {"messageId": "1", "body": body, "attributes": attributes}
    >>> router({"Records": [{**message, "eventSource": "aws:sqs", "eventSourceARN": queue}]}, None)
    {'batchItemFailures': []}
    """

    def __init__(
        self,
        tenant_map: TenantMap,
        invoke: Invoke,
        *,
        sources: Iterable[EventSource],
        quarantine: Quarantine | None = None,
        lanes: Lanes | None = None,
        write: Callable[[str], object] = to_stdout,
        log_level: str = "INFO",
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.tenant_map = tenant_map
        self.invoke = invoke
        self.sources = {source.arn: source for source in sources}
        for source in self.sources.values():
            if source.invocation == "async" and source.arn.endswith(sqs.FIFO):
                raise InvalidMap([f'event_source "{source.arn}": async keeps no order. Fix: write invocation = "sync"'])
        self._quarantine = quarantine or Quarantine()
        self._lanes = lanes or Lanes()
        self._write = write
        self._log_level = log_level
        self._namespace = namespace
        self._clock = clock

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """Processes one batch, and returns the records that the queue must keep.

        Raises:
            BridgeError: the event cannot be reported record by record. Lambda then keeps the whole batch.
        """
        deadline = self._clock() + time_left(context)
        log = BatchLog(self._write, context, self.tenant_map.sha256, self._log_level, self._namespace, self._clock)
        records = split(event, log)
        deadline -= SETTLE_TIME * len(records)
        failed: set[str] = set()
        source = self.sources.get(records[0].source)  # a mapping sends the records of one queue
        work = partial(self._run, log=log, failed=failed, deadline=deadline)
        self._lanes.run(lanes_of(records), work, source.concurrency if source else 1)
        log.close()
        return settled(records, failed)

    def _run(self, lane: Iterable[Record], log: BatchLog, failed: set[str], deadline: float) -> None:
        """Processes the records of a lane in order. None is invoked after one that is reported (trap E9)."""
        is_blocked = False
        for record in lane:
            line = log.begin(record.id, record.source, record.receive_count)
            if is_blocked:
                line.fault = _BEHIND
            else:
                self._process(record, line, deadline)
            if line.status == "failed":
                is_blocked = True
                failed.add(record.id)
            log.end(line)

    def _process(self, record: Record, line: RecordLog, deadline: float) -> None:
        source = self.sources.get(record.source)
        if source is None:
            line.fault = NOT_CONFIGURED
            return
        line.source = source.arn
        try:
            self._serve(record, source, line, deadline)
        except Exception as error:
            line.fault = fault = _fault_of(error)
            if not is_permanent(fault):
                return
            line.refused_sender = record.sender.id if record.sender else None
            if source.quarantine is not None:
                self._set_aside(record, fault, source.quarantine, line, deadline)

    def _serve(self, record: Record, source: EventSource, line: RecordLog, deadline: float) -> None:
        _check_time(deadline - line.began)
        line.step("decide")
        tenant = self._tenant_of(record, source, line)
        line.step("encode")
        payload = payload_of(record, source)
        began = line.step("invoke")
        line.function = source.function
        answer = self.invoke(
            Call(
                function=source.function,
                tenant=tenant if source.isolated else None,
                payload=payload,
                invocation=source.invocation,
                timeout=source.timeout,
                left=_check_time(deadline - began),
                trace=record.trace,
                on_request_id=line.set_lambda_request_id,
            )
        )
        if source.invocation == "sync":
            sqs.check_answer(answer, record)

    def _tenant_of(self, record: Record, source: EventSource, line: RecordLog) -> str:
        subject = subject_of(record, source)
        line.decision = decision = decide(subject, self.tenant_map.rules, self.tenant_map.find)
        return decision.granted()

    def _set_aside(self, record: Record, fault: BridgeError, quarantine: str, line: RecordLog, deadline: float) -> None:
        """Stores a copy of a record with a permanent fault. If that fails, the record is reported (trap E7)."""
        line.step("quarantine")
        tenant = line.decision.tenant if line.decision else None
        try:
            self._quarantine.store(quarantine, record, fault.reason, tenant, lambda: deadline - self._clock())
            line.is_stored = True
        except Exception as error:
            line.fault = _fault_of(error)
            line.fault.detail = f"after {fault.reason}: {line.fault.detail}"


def refuse_records(
    event: object,
    context: object,
    refusal: BridgeError,
    write: Callable[[str], object] = to_stdout,
    namespace: str = NAMESPACE,
) -> dict[str, Any]:
    """The answer while no configuration is active: every record is reported. A 503 would count as a success, and the
    queue would delete them.

    Args:
        event: with records.
        context: Lambda's.
        refusal: the reason.
        write: receives the log and metric lines.
        namespace: of the metrics.

    Raises:
        BridgeError: the event is not a batch that can be reported record by record.
    """
    log = BatchLog(write, context, namespace=namespace)
    records = split(event, log)
    for record in records:
        line = log.begin(record.id, record.source, record.receive_count)
        line.fault = refusal
        log.end(line)
    log.close()
    return settled(records, {record.id for record in records})


# ---- event → records ------------------------------------------------------------------------------------------------


def split(event: Any, log: BatchLog) -> list[Record]:
    """The records of an event, in order; at least one.

    Raises:
        BridgeError: they are of another service than SQS, or one has no id. It is logged.
    """
    try:
        return records_in(event)
    except Exception as error:
        line = log.begin()
        line.fault = _fault_of(error)
        log.end(line)
        log.close()
        raise line.fault from None


def records_in(event: Any) -> list[Record]:
    """The records of an event, in order; at least one.

    Raises:
        BadRequest: they are of another service than SQS, or one has no id.
    """
    service = source_of(event)
    if service != sqs.SOURCE:
        found = ascii(service[:64]) if service else "none"
        raise BadRequest("source_unsupported", f"the records' eventSource is {found}, and must be '{sqs.SOURCE}'")
    if not isinstance(event, Mapping) or not isinstance(event.get("Records"), list):
        raise BadRequest("source_unsupported", "the event has no list `Records`, so it is of no event source mapping")
    return sqs.records_of(event)


def lanes_of(records: Iterable[Record]) -> Collection[list[Record]]:
    """The records by their message group, in order; a record without one is a lane of its own."""
    lanes: dict[object, list[Record]] = {}
    for number, record in enumerate(records):
        key = number if record.group is None else (record.source, record.group)
        lanes.setdefault(key, []).append(record)
    return lanes.values()


# ---- the steps of one record ----------------------------------------------------------------------------------------


def is_permanent(fault: BridgeError) -> bool:
    """Whether no retry can help a record with this fault."""
    return isinstance(fault, _PERMANENT)


def subject_of(record: Record, source: EventSource) -> Subject:
    """The subject of a record: evidence allows, the claim chooses. If the source has a `claim`, the record must have
    one, also if the evidence allows one tenant.

    Raises:
        BadRequest: the record cannot be used, or has no such claim.
        Misconfigured: it is a copy of another queue's record.
        LoopDetected: it was in a quarantine too often.
    """
    check_return(record)
    if record.fault is not None:
        raise record.fault
    requested = None if source.claim is None else sqs.claimed(record, source.claim)
    return Subject(requested_tenant=requested, source=record.source, sender=record.sender)


def payload_of(record: Record, source: EventSource) -> bytes:
    """The event that the function receives.

    Raises:
        TooLarge: Lambda takes less.
    """
    payload, limit = sqs.payload(record), ASYNC_LIMIT if source.invocation == "async" else SYNC_LIMIT
    if len(payload) > limit:
        raise TooLarge("request_too_large", f"the record is {len(payload)} bytes of JSON, over Lambda's {limit}")
    return payload


def _check_time(left: float) -> float:
    """The seconds that are left, if they are enough to begin an invocation (trap E14)."""
    if left < SHORTEST:
        raise TimedOut("no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time")
    return left


def _fault_of(error: Exception) -> BridgeError:
    return (error if isinstance(error, BridgeError) else internal_error(error)).without_frames()


def settled(records: Iterable[Record], failed: Collection[str]) -> dict[str, Any]:
    """The batch response: the ids of failed records, each once, in the order of the event."""
    return sqs.response(dict.fromkeys(record.id for record in records if record.id in failed))
