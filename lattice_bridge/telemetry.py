"""One log line and one metric line for each request, and for each reload of the configuration; one log line for each
record, and one metric line for each reason in a batch.

Rule: an allow-list. No headers, bodies, tokens, queries, claims, attributes or message groups; of a refused caller its
key, and its token's subject only if bridge.toml asks for it. Every string is capped and ASCII-escaped, so that a caller
can neither forge a line nor fill the log. Metrics have no tenant dimension: it would grow without bound.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.identity.principal import Principal
from lattice_bridge.identity.token import Tokens
from lattice_bridge.message import Caller, Request
from lattice_bridge.runtime.process import process_secret
from lattice_bridge.tenancy.decide import Decision

NAMESPACE: Final = "LatticeBridge"
"""The default namespace of the metrics, see `namespace_of`."""
NAMESPACE_VARIABLE: Final = "LATTICE_BRIDGE_METRICS_NAMESPACE"
MAX_TEXT: Final = 512
MAX_FAULTS: Final = 100
"""Faults of a configuration in its log line. `lattice-bridge check` shows all of them."""

_LEVELS: Final = {"TRACE": 0, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
_METRICS: Final = {
    "Dimensions": [["Backend"], ["Backend", "Reason"]],
    "Metrics": [
        {"Name": "Requests", "Unit": "Count"},
        {"Name": "Refusals", "Unit": "Count"},
        {"Name": "Errors", "Unit": "Count"},
        {"Name": "ColdStarts", "Unit": "Count"},
        {"Name": "Latency", "Unit": "Milliseconds"},
        {"Name": "Overhead", "Unit": "Milliseconds"},
    ],
}
_RELOAD_METRICS: Final = {
    "Dimensions": [[]],
    "Metrics": [{"Name": "MapFailures", "Unit": "Count"}],
}
_NAMESPACE: Final = re.compile(r"(?!AWS/)[A-Za-z0-9._/#-]{1,255}")
"""CloudWatch silently drops the metrics of a namespace of another form, or of one that begins with AWS/."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
"""Lambda's request ids are UUIDs. They come from the network, so other strings are not logged."""

RecordStatus = Literal["done", "failed", "quarantined"]

_SOURCE_NAME: Final = re.compile(r"[A-Za-z0-9_./-]{1,256}")
_RECORD_DIMENSIONS: Final = [["Source"], ["Source", "Reason"]]
_RECORD_METRICS: Final = (
    {"Name": "Records", "Unit": "Count"},
    {"Name": "Failed", "Unit": "Count"},
    {"Name": "Quarantined", "Unit": "Count"},
)
_BATCH_METRICS: Final = ({"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Overhead", "Unit": "Milliseconds"})
"""Of the first line of a batch. CloudWatch rejects a line that lacks one of its metrics."""

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class _Steps:
    """The steps of one piece of work, and how long each took.

    Attributes:
        began: seconds of the clock.
        milliseconds: of each step, by name; not rounded.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = self._last = clock()
        self.milliseconds: dict[str, float] = {}
        self._current = ""

    def step(self, name: str) -> float:
        """Ends the current step, and begins another at the time that it returns, in seconds of the clock. `end` ends a
        step that raised, so it is counted."""
        now = self._clock()
        if self._current:
            self.milliseconds[self._current] = (now - self._last) * 1000
        self._current, self._last = name, now
        return now

    def end(self) -> float:
        """Ends the current step. Returns the milliseconds of all steps together, not rounded."""
        return (self.step("") - self.began) * 1000


class RequestLog(_Steps):
    """The facts about one request that its two lines contain, collected while it is processed.

    Attributes:
        request: None until the event is parsed.
        decision: None until the tenant is decided.
        backend: the path of the chosen backend.
        function: the backend's function, once it is about to be invoked.
        lambda_request_id: Lambda's id of the last invocation; empty if Lambda did not answer. Untrusted.
        refusal: the error that ended the request, or None.
        status: of the reply.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(clock)
        self.request: Request | None = None
        self.decision: Decision | None = None
        self.backend: str | None = None
        self.function: str | None = None
        self.lambda_request_id = ""
        self.refusal: BridgeError | None = None
        self.status = 0

    def set_lambda_request_id(self, request_id: str) -> None:
        """Takes Lambda's id of an invocation, as `Call.on_request_id` reports it."""
        self.lambda_request_id = request_id


class RecordLog(_Steps):
    """The facts about one record that its line contains, collected while it is processed.

    Attributes:
        id: by which the source learns that the record failed; None for an event whose records have none.
        queue: the ARN in the record; None for such an event.
        receive_count: how often the source has delivered it, about; None if the record does not contain it.
        source: the ARN of its `[[event_source]]`; None if bridge.toml has none for it.
        decision: None until the tenant is decided.
        function: that is about to be invoked.
        lambda_request_id: Lambda's id of the last invocation; empty if Lambda did not answer. Untrusted.
        fault: the error that ended the record, or None.
        refused_sender: the unique id of the role or user that sent it, or the account of an event, if the fault is
            permanent. No session: it may be a person's name.
        is_stored: a copy is in the quarantine.
    """

    source: str | None = None
    decision: Decision | None = None
    function: str | None = None
    lambda_request_id: str = ""
    fault: BridgeError | None = None
    refused_sender: str | None = None
    is_stored: bool = False

    def __init__(
        self, id_: str | None, queue: str | None, receive_count: int | None, clock: Callable[[], float]
    ) -> None:
        self._clock = clock
        self.began = self._last = clock()
        self.milliseconds = {}
        self._current = ""
        self.id = id_
        self.queue = queue
        self.receive_count = receive_count

    @property
    def status(self) -> RecordStatus:
        """What becomes of the record: the source keeps it if it `failed`, and deletes it otherwise."""
        if self.fault is None:
            return "done"
        return "quarantined" if self.is_stored else "failed"

    def set_lambda_request_id(self, request_id: str) -> None:
        """Takes Lambda's id of an invocation, as `Call.on_request_id` reports it."""
        self.lambda_request_id = request_id


class LogContext(NamedTuple):
    """The other fields of a request's lines: those of its environment.

    Attributes:
        request_id: Lattice's id of the request, or Lambda's.
        cold: the first request of this execution environment.
        map_sha256: of the tenant map that decided.
        now: seconds since the epoch.
        caller: what the line of a refused request contains of its caller, see `caller_key`.
    """

    request_id: str
    cold: bool
    map_sha256: str | None
    now: float
    caller: Literal["key", "full"] = "key"


def to_stdout(text: str) -> None:
    """Writes to the stream from which Lambda takes log lines. Read for each line: the runtime replaces `sys.stdout`."""
    sys.stdout.write(text)


def namespace_of(environ: Mapping[str, str]) -> str:
    """The namespace of the metrics.

    Raises:
        InvalidMap: CloudWatch would drop the metrics, and no alarm would work.
    """
    namespace = environ.get(NAMESPACE_VARIABLE) or NAMESPACE
    if not _NAMESPACE.fullmatch(namespace):
        fault = (
            f"{NAMESPACE_VARIABLE}: {namespace[:MAX_TEXT]!r} is not a namespace that CloudWatch accepts. "
            "Fix: write 1 to 255 letters, digits and . _ / # -, not beginning with AWS/"
        )
        raise InvalidMap([fault])
    return namespace


def lines(log: RequestLog, context: LogContext, log_level: str = "INFO", namespace: str = NAMESPACE) -> str:
    """The log line and the metric line of a request, each with a newline. Below `log_level`, the metric line alone.

    They are what json.dumps makes of their members, for a third of the time. Only the milliseconds have another form,
    with three decimals each.
    """
    total = log.end()
    level = "ERROR" if log.status >= 500 else "WARN" if log.refusal else "INFO"
    request_id = encode_basestring_ascii(context.request_id[:MAX_TEXT])
    line = (
        _log_line(log, context, request_id, level, total) if _LEVELS.get(level, 0) >= _LEVELS.get(log_level, 0) else ""
    )
    return line + _metric_line(log, context, request_id, namespace, total)


def write_lines(
    write: Callable[[str], object],
    log: RequestLog,
    context: LogContext,
    log_level: str = "INFO",
    namespace: str = NAMESPACE,
) -> None:
    """Writes the lines of a request. A log that cannot be written must not fail the request."""
    try:  # noqa: SIM105 - a context manager costs more than a test of the level, for each request
        write(lines(log, context, log_level, namespace))
    except Exception:  # noqa: S110 - see above
        pass


def reload_lines(
    before: str | None, after: str | None, refusal: BridgeError | None, now: float, namespace: str = NAMESPACE
) -> str:
    """The log line and the metric line of a reload that changed the configuration, or that failed.

    Args:
        before: sha256 of the configuration that was active; None if there was none.
        after: sha256 of the configuration that is active now; None if there is none.
        refusal: the reason why no newer one is active.
        now: seconds since the epoch.
        namespace: of the metric.
    """
    faults = list(refusal.messages if isinstance(refusal, InvalidMap) else [refusal.detail] if refusal else [])
    log = {
        "timestamp": _timestamp(now),
        "level": "ERROR" if refusal else "INFO",
        "message": "map" if after else "closed",
        "reason": refusal.reason if refusal else "ok",
        "faults": [fault[:MAX_TEXT] for fault in faults[:MAX_FAULTS]] or None,
        "map": after,
        "replaces": before if before != after else None,
    }
    metric = {"MapFailures": int(refusal is not None)}
    return f"{_to_line(log)}\n{_head(now, _reload_metrics(namespace))}{_to_line(metric)[1:]}\n"


@cache
def _request_metrics(namespace: str) -> str:
    return json.dumps({"Namespace": namespace, **_METRICS}, separators=(",", ":"))


@cache
def _record_metrics(namespace: str, is_first: bool) -> str:
    metrics = (*_RECORD_METRICS, *_BATCH_METRICS) if is_first else _RECORD_METRICS
    directive = {"Namespace": namespace, "Dimensions": _RECORD_DIMENSIONS, "Metrics": metrics}
    return json.dumps(directive, separators=(",", ":"))


@cache
def _reload_metrics(namespace: str) -> str:
    return json.dumps({"Namespace": namespace, **_RELOAD_METRICS}, separators=(",", ":"))


def _timestamp(now: float) -> str:
    """ISO 8601 with milliseconds. The part that changes once a second is made once a second: a batch has many lines."""
    second, milliseconds = divmod(int(now * 1000), 1000)
    return f"{_second(second)}.{milliseconds:03}+00:00"


@lru_cache(2)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _log_line(log: RequestLog, context: LogContext, request_id: str, level: str, total: float) -> str:
    request = log.request
    asked = "" if request is None else f"{_member('method', request.method)}{_member('path', request.path)}"
    outcome = _unserved_members(log, context) if log.refusal is not None or log.status >= 500 else _served_members(log)
    steps = ""
    for name, spent in log.milliseconds.items():
        steps += f'"{name}":{spent:.3f},'
    return (
        # With a timestamp, Lambda itself filters JSON lines by their level.
        f'{{"timestamp":"{_timestamp(context.now)}","level":"{level}","message":"request","requestId":{request_id},'
        f'{asked}"status":{log.status},{outcome}"milliseconds":{{{steps}"total":{total:.3f}}},'
        f'"cold":{"true" if context.cold else "false"}{_last("map", context.map_sha256)}}}\n'
    )


def _served_members(log: RequestLog) -> str:
    request, decision = log.request, log.decision
    tenant, rule = (None, None) if decision is None else (decision.tenant, decision.rule)
    api = None if request is None else request.api_id
    return f'"reason":"ok",{_member("api", api)}{_served(tenant, rule, log.backend)}'


@lru_cache(1024)
def _served(tenant: str | None, rule: str | None, backend: str | None) -> str:
    """The members that have the same values for many requests: bridge.toml's own, and a tenant's id, which is short.
    The API is not among them: with [function_url], an event names any, in any length (trap D9)."""
    return f"{_member('tenant', tenant)}{_member('rule', rule)}{_member('backend', backend)}"


def _unserved_members(log: RequestLog, context: LogContext) -> str:
    """The same members, those of the refusal, and the names that are needed to find the call in the function's log."""
    request, decision, refusal = log.request, log.decision, log.refusal
    is_callers = refusal is not None and log.status < 500
    decided = "" if decision is None else f"{_member('tenant', decision.tenant)}{_member('rule', decision.rule)}"
    reason, detail = (refusal.reason, refusal.detail) if refusal else ("ok", None)
    return (
        f"{_member('reason', reason)}{_member('detail', detail)}"
        f"{_member('api', request.api_id if request else None)}"
        f"{_member('callerKey', _refused_caller(log, context) if is_callers else None)}{decided}"
        f"{_member('backend', log.backend)}{_member('function', log.function)}"
        f"{_member('lambdaRequestId', _logged_id(log.lambda_request_id))}"
    )


def _logged_id(request_id: str) -> str | None:
    return request_id if _REQUEST_ID.fullmatch(request_id) else None


def _refused_caller(log: RequestLog, context: LogContext) -> str | None:
    """The key of the caller, as far as it is known: a token that does not verify has no subject."""
    if log.request is None:
        return None
    subject = log.decision.subject if log.decision else None
    found = caller_key(log.request.caller, subject.tokens if subject else {}, context.caller)
    return " ".join(part for part in (found, *_gateway_keys(log.request)) if part) or None


def _gateway_keys(request: Request) -> Iterator[str]:
    """The evidence of API Gateway beside a principal: that an authorizer of the API answered, and a hash of the subject
    of the certificate. Neither claims nor names are written."""
    if request.authorizer is not None:
        yield f"api:{request.api_id}"
    if request.client_cert is not None:
        yield f"cert#{_hash_of(request.client_cert)}"


def _metric_line(log: RequestLog, context: LogContext, request_id: str, namespace: str, total: float) -> str:
    """The metric line in CloudWatch's embedded metric format. `Backend` and `Reason` have few values: those in
    bridge.toml and in errors.py."""
    refusal = log.refusal
    kind = _counted(log.backend or "none", refusal.reason if refusal else "ok", log.status >= 500, refusal is not None)
    overhead = total - log.milliseconds.get("invoke", 0.0)
    return (
        f'{_head(context.now, _request_metrics(namespace))}{kind}"ColdStarts":{int(context.cold)},'
        f'"Latency":{total:.3f},"Overhead":{overhead:.3f},"requestId":{request_id}'
        f"{_last('tenant', log.decision.tenant if log.decision else None)}}}\n"
    )


@lru_cache(1024)
def _counted(backend: str, reason: str, is_error: bool, is_refused: bool) -> str:
    return (
        f'{_member("Backend", backend)}{_member("Reason", reason)}"Requests":1,'
        f'"Refusals":{int(is_refused and not is_error)},"Errors":{int(is_error)},'
    )


# ---- records --------------------------------------------------------------------------------------------------------

_RECORD_LEVELS: Final[Mapping[RecordStatus, str]] = {"done": "INFO", "quarantined": "WARN", "failed": "ERROR"}


class _Counts:
    """What became of the records with one source and one reason."""

    def __init__(self) -> None:
        self.records = self.failed = self.quarantined = 0


class BatchLog:
    """Writes the line of each record of a batch as the record ends, and the metric lines at the batch's end.

    Threads may share it: lines do not interleave.

    Args:
        write: takes the lines.
        context: Lambda's.
        map_sha256: of the tenant map that decides.
        log_level: the lowest level of the lines that are written.
        namespace: of the metrics.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        context: object,
        map_sha256: str | None = None,
        log_level: str = "INFO",
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._write = write
        self._request_id = str(getattr(context, "aws_request_id", None) or "unknown")
        # The members that all lines of the batch have.
        self._first_members = f'"message":"record",{_member("requestId", self._request_id)}'
        self._last_member = _last("map", map_sha256)
        self._least = _LEVELS.get(log_level, 0)
        self._namespace = namespace
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._own_milliseconds = 0.0
        # What many records have in common. These end with the batch, so its records bound them (trap D9).
        self._names: dict[str | None, str | None] = {}
        self._decided: dict[tuple[str | None, str | None], str] = {}

    def begin(self, id_: str | None = None, queue: str | None = None, receive_count: int | None = None) -> RecordLog:
        """Begins a record. Arguments as the attributes of `RecordLog`."""
        return RecordLog(id_, queue, receive_count, self._clock)

    def end(self, record: RecordLog) -> None:
        """Ends a record, and writes its line."""
        total, status, queue = record.end(), record.status, self._name_of(record.queue)
        level = _RECORD_LEVELS[status]
        line = self._line(record, level, status, queue, total) if _LEVELS[level] >= self._least else ""
        # The dimension of a queue that is not in bridge.toml is `none`: an event of a stranger makes no new metric.
        source = queue if record.source == record.queue else self._name_of(record.source)
        key = (source or "none", record.fault.reason if record.fault else "ok")
        with self._lock:
            counts = self._counts.get(key) or self._counts.setdefault(key, _Counts())
            counts.records += 1
            if status == "failed":
                counts.failed += 1
            elif status == "quarantined":
                counts.quarantined += 1
            self._own_milliseconds += total - record.milliseconds.get("invoke", 0.0)
            if line:
                _write_or_drop(self._write, line)

    def _line(self, record: RecordLog, level: str, status: str, queue: str | None, total: float) -> str:
        """The line of a record: what json.dumps makes of its members, for a third of the time. Only the milliseconds
        have another form, with three decimals each."""
        source = f'"source":"{queue}",' if queue else ""
        fault = '"reason":"ok",' if record.fault is None else _why(record, record.fault)
        decided = "" if record.decision is None else self._members_of(record.decision)
        received = "" if record.receive_count is None else f'"receiveCount":{record.receive_count},'
        steps = ""
        for name, spent in record.milliseconds.items():
            steps += f'"{name}":{spent:.3f},'
        return (
            f'{{"timestamp":"{_timestamp(time.time())}","level":"{level}",{self._first_members}{source}'
            f'{_member("id", record.id)}"status":"{status}",{fault}{decided}{received}'
            f'"milliseconds":{{{steps}"total":{total:.3f}}}{self._last_member}}}\n'
        )

    def _members_of(self, decision: Decision) -> str:
        key = (decision.tenant, decision.rule)
        if key not in self._decided:
            self._decided[key] = _member("tenant", decision.tenant) + _member("rule", decision.rule)
        return self._decided[key]

    def _name_of(self, arn: str | None) -> str | None:
        """The name of a queue. It is the same for all records of a batch."""
        if arn not in self._names:
            self._names[arn] = _queue_name(arn)
        return self._names[arn]

    def close(self) -> None:
        """Writes the metric lines: one for each source and reason. The first one also has the batch's latency, and how
        many milliseconds the router itself needed for a record on average."""
        now, total = time.time(), sum(counts.records for counts in self._counts.values())
        latency, own = (self._clock() - self._began) * 1000, self._own_milliseconds
        of_batch = f'"Latency":{round(latency, 3)},"Overhead":{round(own / total, 3)},' if total else ""
        written = ""
        for (source, reason), counts in self._counts.items():
            written += (
                f"{_head(now, _record_metrics(self._namespace, bool(of_batch)))}"
                f'{_member("Source", source)}{_member("Reason", reason)}"Records":{counts.records},'
                f'"Failed":{counts.failed},"Quarantined":{counts.quarantined},{of_batch}'
                f"{_member('requestId', self._request_id)[:-1]}}}\n"
            )
            of_batch = ""
        _write_or_drop(self._write, written)


def _write_or_drop(write: Callable[[str], object], text: str) -> None:
    """A log that cannot be written must not fail a record."""
    try:  # noqa: SIM105 - a context manager costs as much as the write, for each record
        write(text)
    except Exception:  # noqa: S110 - see above
        pass


def _why(record: RecordLog, fault: BridgeError) -> str:
    """The reason, and the members that only the line of a record with a fault has."""
    return (
        f"{_member('reason', fault.reason)}{_member('detail', fault.detail)}"
        f"{_member('callerKey', record.refused_sender)}"
        f"{_member('function', record.function)}{_member('lambdaRequestId', _logged_id(record.lambda_request_id))}"
    )


def _queue_name(arn: str | None) -> str | None:
    """The last part of a source's ARN, as in `orders` or `stream/clicks`; None if it is no name of AWS."""
    name = (arn or "").rpartition(":")[2]
    return name if _SOURCE_NAME.fullmatch(name) else None


# ---- the caller of a refused request --------------------------------------------------------------------------------


def caller_key(caller: Caller, tokens: Tokens, form: Literal["key", "full"] = "key") -> str:
    """The caller in one string without line ends: the principal and each token, with a space between them.

    A principal is `ACCOUNT/ROLE`, or the end of its ARN without the name that a session or federated user chose. The
    account has its partition in front, `aws-cn:444455556666`, unless that is `aws`. A token is `jwt:ISSUER#HASH`. With
    `full`, they are the ARN and `jwt:ISSUER/SUBJECT`, percent-encoded. `review/log_line.py` reads it.

    Args:
        caller: as the platform names it; without a principal, only the tokens are written.
        tokens: verified claims by the issuer's name.
        form: `key`, which names no person, or `full`.

    >>> from lattice_bridge.identity.principal import parse_arn
    >>> caller_key(Caller(True, parse_arn("arn:aws:sts::111122223333:assumed-role/blue-api/ann@example.com")), {})
    '111122223333/blue-api'
    """
    parts = [] if caller.iam is None else [str(caller.iam) if form == "full" else _principal_key(caller.iam)]
    for issuer, claims in tokens.items():
        subject = claims.get("sub")
        if not isinstance(subject, str):
            parts.append(f"jwt:{issuer}")
        elif form == "full":
            parts.append(f"jwt:{issuer}/{quote(subject[:MAX_TEXT], safe='@:/|+=,;', errors='surrogatepass')}")
        else:
            parts.append(f"jwt:{issuer}#{_hash_of(subject)}")
    return " ".join(parts)


def _principal_key(iam: Principal) -> str:
    account = iam.account if iam.partition == "aws" else f"{iam.partition}:{iam.account}"
    if iam.role is not None:
        return f"{account}/{iam.name}"
    return f"{account}:user/{iam.name}" if iam.kind == "user" else f"{account}:{iam.kind}"


def _hash_of(subject: str) -> str:
    """A hash with a key that exists only in this process. Without a key, a list of e-mail addresses would be enough to
    find the address behind a hash."""
    data = subject.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=8, key=process_secret()).hexdigest()


# ---- encoding -------------------------------------------------------------------------------------------------------


def _head(now: float, metrics: str) -> str:
    """The beginning of a metric line. Its constant part is encoded once."""
    return f'{{"_aws":{{"Timestamp":{int(now * 1000)},"CloudWatchMetrics":[{metrics}]}},'


def _member(name: str, value: str | None) -> str:
    """A member of a line and the comma after it. Empty for None."""
    return "" if value is None else f'"{name}":{encode_basestring_ascii(value[:MAX_TEXT])},'


@lru_cache(1024)
def _last(name: str, value: str | None) -> str:
    """The last member of a line and the comma before it: a tenant or the map. Empty for None."""
    return "" if value is None else f',"{name}":{encode_basestring_ascii(value[:MAX_TEXT])}'


def _to_line(fields: dict[str, Any]) -> str:
    """One line of ASCII, without fields that are None. Strings are capped; nested ones are the bridge's own."""
    capped = {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
    return _ENCODER.encode(capped)
