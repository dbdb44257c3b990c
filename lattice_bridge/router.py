"""The path of a batch of records: event, records, decisions, invocations, batch response.

Rule: this file contains the steps in order, and decides what becomes of a record that fails. A record that is neither
done nor quarantined is reported, so that its source keeps it: no error here loses a record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import (
    BackendFailed,
    BadRequest,
    BridgeError,
    Forbidden,
    InvalidMap,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    refusal_for,
)
from lattice_bridge.events.aggregate import MOST_PARTS
from lattice_bridge.events.answer import check_answer, response
from lattice_bridge.events.batch import Batch, batch_of, claimed, payload
from lattice_bridge.events.json_claim import no_constant
from lattice_bridge.events.record import BUS, CLAIMS, STREAMS, Record, service_of
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT
from lattice_bridge.invoke.call import Call, Invoke
from lattice_bridge.invoke.retry import SHORTEST
from lattice_bridge.lanes import Lanes
from lattice_bridge.quarantine import Quarantine, check_return
from lattice_bridge.runtime.process import time_left
from lattice_bridge.telemetry import NAMESPACE, BatchLog, RecordLog, to_stdout
from lattice_bridge.tenancy.decide import Entitlements, decide
from lattice_bridge.tenancy.subject import Subject

SETTLE_TIME: Final = 0.0002
"""Seconds for each record of a batch, beside `MARGIN`, to report it if its time is up. A batch may have 10,000."""

_PERMANENT: Final = (BadRequest, Unauthenticated, Forbidden, TooLarge)
"""The permanent faults. All others are transient, also those of a wrong deployment: missing rights must not drain a
source into its quarantine."""

NOT_CONFIGURED: Final = Misconfigured(
    "source_not_configured", "no [[event_source]] has the source's ARN. Fix: write one, or delete the mapping"
)
_OTHER_CALLER: Final = Misconfigured(
    "source_not_configured",
    'an [[event_source]] without `pipe` is for an event source mapping. Fix: for a pipe, write pipe = "target" or '
    'pipe = "enrichment"',
)
NOT_ALONE: Final = Misconfigured(
    "source_unsupported", "an enrichment answers for one record. Fix: set the batch size of the pipe's source to 1"
)
NOT_NOW: Final = TimedOut(
    "no_time_left", f"with the aggregates before it, the batch has over {MOST_PARTS:,} records. It comes again"
)
_BEHIND: Final = Unavailable("behind_failed", "an earlier record of its group was reported; nothing was invoked")


class Router:
    """A Lambda handler between queues, streams and buses, and tenant-isolated functions. Threads may share it.

    Each record is decided and invoked alone. The answer to an event source mapping is a partial batch response, so the
    mapping must have `FunctionResponseTypes: [ReportBatchItemFailures]`: without it, Lambda deletes the records that
    are reported.

    Args:
        tenant_map: decides which tenant a record runs as.
        invoke: runs one invocation, see `invoke.Invoke`.
        sources: the queues, streams, tables and the bus that records may come from.
        quarantine: stores the copies of records with a permanent fault.
        lanes: the threads that work side by side.
        write: receives the log and metric lines.
        log_level: the lowest level of the log lines that are written, as in `AWS_LAMBDA_LOG_LEVEL`. Metric lines are
            always written.
        namespace: of the metrics.
        clock: monotonic seconds.

    Raises:
        InvalidMap: a FIFO queue or a stream is asynchronous: a 202 says that an event was accepted, not that it was
            processed. Or a claim is for records of another service, or there are two event buses.

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
            _check(source)
        if sum(service_of(arn) == BUS for arn in self.sources) > 1:
            what = "there are two event buses, and an event does not contain the name of its bus"
            raise InvalidMap([f"{what}. Fix: write one, and deploy another bridge for the other"])
        self._quarantine = quarantine or Quarantine()
        self._lanes = lanes or Lanes()
        self._write = write
        self._log_level = log_level
        self._namespace = namespace
        self._clock = clock

    def __call__(self, event: object, context: object) -> Any:
        """Processes one batch, or one event of a bus.

        Returns:
            For an event source mapping and a pipe's target, the partial batch response: the records that their source
            must keep. For a pipe's enrichment, what the function answered. For a bus, None.

        Raises:
            BridgeError: the event cannot be reported record by record, or its caller reads no report. Its source then
                keeps every record.
        """
        deadline = self._clock() + time_left(context)
        log = BatchLog(self._write, context, self.tenant_map.sha256, self._log_level, self._namespace, self._clock)
        batch = resolved(split(event, log), self.sources.values())
        deadline -= SETTLE_TIME * len(batch.records)
        source = self.sources.get(batch.records[0].source)  # a mapping sends the records of one source
        work = _Work(batch, log, deadline, self.sources)
        self._lanes.run(batch.lanes(), partial(self._run, work=work), source.concurrency if source else 1)
        for record in batch.rest:
            work.report(record, NOT_NOW)
        log.close()
        return work.settled(source)

    def _run(self, lane: Iterable[Record], work: _Work) -> None:
        """Processes the records of a lane in order. None is invoked after one that is reported (traps E9, E11)."""
        is_blocked = False
        for record in lane:
            line = work.begin(record)
            if is_blocked:
                line.fault = _BEHIND
            else:
                self._process(record, line, work)
            if line.fault is not None and not line.is_stored:
                is_blocked = True
                work.failed.setdefault(record.id, line.fault)
            work.log.end(line)

    def _process(self, record: Record, line: RecordLog, work: _Work) -> None:
        source = self.sources.get(record.source)
        if source is None:
            line.fault = NOT_CONFIGURED
            return
        try:
            self._serve(record, source, line, work)
        except Exception as error:
            line.fault = fault = refusal_for(error)
            if not is_permanent(fault):
                return
            line.refused_sender = _sender_of(record)
            if source.quarantine is not None:
                self._set_aside(record, fault, source.quarantine, line, work.deadline)

    def _serve(self, record: Record, source: EventSource, line: RecordLog, work: _Work) -> None:
        if source.pipe == "enrichment" and len(work.batch.records) != 1:
            raise NOT_ALONE
        _check_time(work.deadline - line.began)
        line.step("decide")
        subject = subject_of(record, source)
        line.decision = decide(subject, self.tenant_map.rules, self.tenant_map.find, work.entitlements)
        tenant = line.decision.granted()
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
                left=_check_time(work.deadline - began),
                trace=record.trace,
                on_request_id=line.set_lambda_request_id,
            )
        )
        if source.pipe == "enrichment":
            work.enriched = _data_of(answer)
        elif source.invocation == "sync" and record.caller != "bus":  # no bus reads the answer of its target
            check_answer(answer, record.id)

    def _set_aside(self, record: Record, fault: BridgeError, quarantine: str, line: RecordLog, deadline: float) -> None:
        """Stores a copy of a record with a permanent fault. If that fails, the record is reported (trap E7)."""
        line.step("quarantine")
        tenant = line.decision.tenant if line.decision else None
        try:
            self._quarantine.store(quarantine, record, fault.reason, tenant, lambda: deadline - self._clock())
            line.is_stored = True
        except Exception as error:
            line.fault = refusal_for(error)
            line.fault.detail = f"after {fault.reason}: {line.fault.detail}"


def _check(source: EventSource) -> None:
    service = service_of(source.arn)
    if source.invocation == "async" and (service in STREAMS or (service == "sqs" and source.arn.endswith(FIFO))):
        raise InvalidMap([f'event_source "{source.arn}": async keeps no order. Fix: write invocation = "sync"'])
    if source.claim is not None and source.claim.kind not in CLAIMS.get(service, ()):
        fix = f"write one of {', '.join(CLAIMS.get(service, ())) or 'another ARN'}"
        raise InvalidMap([f'event_source "{source.arn}": no claim reads {source.claim.kind} here. Fix: {fix}'])


@dataclass(slots=True)
class _Work:
    """One batch while it is processed.

    Attributes:
        batch: its records.
        log: takes the line of each record.
        deadline: on the router's clock.
        sources: the ARNs of bridge.toml.
        failed: by id, the faults of records that their source must keep.
        enriched: the function's answer, for a pipe's enrichment. An empty list ends the event there.
        entitlements: what the evidence of its records gives, as far as it is found.
    """

    batch: Batch
    log: BatchLog
    deadline: float
    sources: Container[str] = ()
    failed: dict[str, BridgeError] = field(default_factory=dict)
    enriched: Any = field(default_factory=list)
    entitlements: Entitlements = field(default_factory=dict)

    def begin(self, record: Record) -> RecordLog:
        """Begins the line of a record."""
        line = self.log.begin(record.name, record.source, record.receive_count)
        line.source = record.source if record.source in self.sources else None
        return line

    def report(self, record: Record, fault: BridgeError) -> None:
        """Reports a record that is not processed."""
        line = self.begin(record)
        line.fault = fault
        self.failed.setdefault(record.id, fault)
        self.log.end(line)

    def settled(self, source: EventSource | None) -> Any:
        """The answer to the batch, see `Router.__call__`."""
        caller = self.batch.caller
        if caller == "mapping" or (caller == "pipe" and source is not None and source.pipe == "target"):
            return response(self.batch.to_report(self.failed))
        for fault in self.failed.values():
            raise fault.copied()
        return None if caller == "bus" else self.enriched


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
        event: with records, or of a bus.
        context: Lambda's.
        refusal: the reason.
        write: receives the log and metric lines.
        namespace: of the metrics.

    Raises:
        BridgeError: the event cannot be reported record by record.
    """
    log = BatchLog(write, context, namespace=namespace)
    batch = split(event, log)
    work = _Work(batch, log, 0)
    for record in batch.records:
        work.report(record, refusal)
    log.close()
    answer: dict[str, Any] = work.settled(None)
    return answer


# ---- event → records ------------------------------------------------------------------------------------------------


def split(event: Any, log: BatchLog) -> Batch:
    """The records of an event, in order.

    Raises:
        BridgeError: they are of a service that is not routed, or one has no id. It is logged.
    """
    try:
        return batch_of(event)
    except Exception as error:
        line = log.begin()
        line.fault = refusal_for(error)
        log.end(line)
        log.close()
        raise line.fault from None


def resolved(batch: Batch, sources: Iterable[EventSource]) -> Batch:
    """A batch as the event sources describe it: an event of a bus is of the one bus, and the aggregates of streams with
    `deaggregate` are split."""
    if batch.caller == "bus":
        return next((batch.from_bus(source.arn) for source in sources if service_of(source.arn) == BUS), batch)
    return batch.deaggregated({source.arn for source in sources if source.deaggregate})


# ---- the steps of one record ----------------------------------------------------------------------------------------


def is_permanent(fault: BridgeError) -> bool:
    """Whether no retry can help a record with this fault."""
    return isinstance(fault, _PERMANENT)


def subject_of(record: Record, source: EventSource) -> Subject:
    """The subject of a record: evidence allows, the claim chooses. If the source has a `claim`, the record must have
    one, also if the evidence allows one tenant.

    Raises:
        BadRequest: the record cannot be used, or has no such claim.
        Misconfigured: it is a copy of another source's record, or came by another way than the source is for.
        LoopDetected: it was in a quarantine too often.
    """
    if (source.pipe is not None) != (record.caller == "pipe"):
        raise _OTHER_CALLER
    check_return(record)
    if record.fault is not None:
        raise record.fault
    requested = None if source.claim is None else claimed(record, source.claim)
    return Subject(requested_tenant=requested, source=record.source, sender=record.sender, bus_event=record.bus_event)


def payload_of(record: Record, source: EventSource) -> bytes:
    """The event that the function receives.

    Raises:
        TooLarge: Lambda takes less.
    """
    found, limit = payload(record), ASYNC_LIMIT if source.invocation == "async" else SYNC_LIMIT
    if len(found) > limit:
        raise TooLarge("request_too_large", f"the record is {len(found)} bytes of JSON, over Lambda's {limit}")
    return found


def _data_of(answer: bytes) -> Any:
    """What a function made of an event on its way through a pipe.

    Raises:
        BackendFailed: `backend_unreadable`.
    """
    try:
        return json.loads(answer.decode(), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise BackendFailed("backend_unreadable", "the answer is not JSON") from error


def _sender_of(record: Record) -> str | None:
    """Who sent a record, as its source names the sender: a role's or user's id, or the account of an event."""
    if record.sender is not None:
        return record.sender.id
    return record.bus_event.account if record.bus_event else None


def _check_time(left: float) -> float:
    """The seconds that are left, if they are enough to begin an invocation (trap E14)."""
    if left < SHORTEST:
        raise TimedOut("no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time")
    return left
