"""The errors with which the bridge refuses a request.

    BridgeError
    ├── BadRequest 400      the event cannot be read, or has two values where one is allowed
    ├── Unauthenticated 401 no credential, or one that does not verify
    ├── Forbidden 403       everything about the caller's identity; the caller gets one body for all of it
    │   └── BadPrincipal    not an ARN of a known shape (identity/principal.py)
    ├── NotFound 404        no backend serves the path
    ├── TooLarge 413        over Lambda's limit
    ├── Misconfigured 500   the operator has to act
    │   ├── InvalidMap      bridge.toml does not load; carries every fault found
    │   └── CredentialsExpired  the function was not started (invoke/call.py)
    ├── BackendFailed 502   the backend raised, died, or its answer is not a reply
    ├── Unavailable 503     throttled or out of reach; carries the seconds to wait
    │   └── DidNotRun       refused before the function was started: safe to send again (invoke/call.py)
    ├── TimedOut 504        the backend did not answer in time
    └── LoopDetected 508    the request passed through the bridge too often

Rule: the reason code is for logs and metrics, and one of `REASONS`. The detail is for logs only. Neither is ever sent
to the caller, who gets the status and its title.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Self

REASONS: dict[str, str] = {
    "not_lattice": "the event has no format that the bridge reads, or fields of two formats",
    "not_enabled": "the event is from an API, a load balancer or a function URL that bridge.toml does not list",
    "malformed_event": "a field of the event has the wrong type or cannot be decoded",
    "malformed_header": "a header name or value no HTTP client can have sent, one over 8 KiB, or over 100 lines",
    "header_repeated": "a header that may occur once occurred twice",
    "reserved_spelling": "a header that means the same as a reserved one once `_` is read as `-`",
    "tenant_malformed": "the tenant header is not a tenant id",
    "claim_missing": "the record does not contain the value that `claim` names",
    "claim_unreadable": "what `claim` names is not a string, or the body or data is not JSON with each member once",
    "aggregated": "the record is an aggregate of the Kinesis Producer Library, and `deaggregate` is not set",
    "aggregate_unreadable": "the record is such an aggregate, and is not of its format",
    "images_differ": "the attribute that `claim` names is not the same before and after the change of the item",
    "window_unsupported": "the event is of a tumbling window, whose state all tenants would share",
    "source_unsupported": "the event contains records of a service that the router does not read",
    "source_not_configured": "no `[[event_source]]` is for the record's source, or for what called the bridge with it",
    "no_credential": "no credential, and no rule for callers without one",
    "token_invalid": "a token is there and does not verify",
    "identity_invalid": "the identity that came with the request contradicts itself or has no known shape",
    "service_not_allowed": "the event is not from one of the services in `[lattice] services`",
    "no_rule": "no rule matches the caller",
    "denied": "a deny rule matches the caller",
    "condition_failed": "a further condition of the rule for the caller does not hold",
    "source_mismatch": "the session's name or certificate is absent, or not of the form that the rule asks for",
    "conflict": "the sources of identity agree on no tenant",
    "ambiguous": "several tenants are allowed and the header chose none",
    "tenant_not_allowed": "the header chose a tenant outside the caller's set",
    "tenant_unknown": "the tenant is not registered",
    "tenant_suspended": "the tenant is registered and suspended",
    "no_backend": "no backend's path is a prefix of the request's",
    "request_too_large": "the payload is larger than Lambda accepts: 6 MB, or 1 MB when asynchronous",
    "config_invalid": "bridge.toml did not load; nothing is served until it does",
    "config_unreachable": "the configuration is not where LATTICE_BRIDGE_CONFIG says, or cannot be read",
    "boto3_too_old": "the installed boto3 does not know TenantId",
    "tenant_id_rejected": "the last check before Lambda found a tenant id outside the grammar",
    "function_not_found": "Lambda does not know the backend's function or qualifier",
    "access_denied": "the bridge's role may not invoke the function, or its credentials are not valid",
    "tenancy_mismatch": "`isolated` in bridge.toml and the function's tenancy configuration differ",
    "invoke_rejected": "Lambda refused the invocation for another reason",
    "internal": "a bug in the bridge",
    "backend_raised": "the function returned an error",
    "backend_reported": "the function reported the record as failed",
    "backend_unreadable": "the function's answer is not JSON, or neither a reply nor the result of a batch",
    "reply_too_large": "the reply is larger than Lambda or the load balancer accepts: 6 MB, or 1 MB",
    "connection_lost": "the connection broke after the request was sent; whether the function ran is unknown",
    "keys_unavailable": "the keys of a token's issuer cannot be fetched, and no cached ones are young enough",
    "registry_unavailable": "the tenant registry cannot be read, and its last answer is too old",
    "throttled": "Lambda throttled the invocation",
    "unreachable": "no connection to Lambda could be made, or Lambda failed",
    "backend_timeout": "the function did not answer in time",
    "no_time_left": "too little of the bridge's own time was left to invoke the function, or to fill the quarantine",
    "behind_failed": "an earlier record of the same message group, partition key or item was reported as failed",
    "quarantine_full": "the copy for the quarantine is larger than SQS accepts: 10 attributes, or 1 MiB",
    "quarantine_failed": "SQS did not store the copy for the quarantine",
    "wrong_queue": "the record is a copy from the quarantine of another source",
    "loop": "the request passed through the bridge, or the record through a quarantine, more than four times",
}
"""Reason code → its meaning. A test compares this with the table in docs/reference.md."""


class BridgeError(Exception):
    """A request that is refused, or a configuration that cannot serve one.

    Attributes:
        status: the HTTP status that the caller gets.
        title: the sentence that the caller gets, the same for all errors of a class.
        reason: a key of `REASONS`.
        detail: the fault, its place, and the fix. For logs; may quote a name, never a secret or a body.
        retry_after: seconds for the `Retry-After` header, or None.

    >>> from lattice_bridge import BridgeError, parse_event
    >>> try:
    ...     parse_event({"version": "2.0"})
    ... except BridgeError as error:
    ...     error.status, error.reason
    (400, 'not_lattice')
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, reason: str, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    def without_frames(self) -> Self:
        """This error without traceback and causes, so that it can be stored.

        A traceback's frames refer to the event and the answer. If one of them also refers to the error, that is a
        cycle, which only the garbage collector frees, after some refusals and hundreds of megabytes.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def copied(self) -> Self:
        """The same error without traceback and causes, so that one that several events share can be raised: each raise
        adds frames to an error, and it would keep the events of all of them."""
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        return other


class BadRequest(BridgeError):
    status = 400
    title = "Bad Request"


class Unauthenticated(BridgeError):
    status = 401
    title = "Unauthorized"


class Forbidden(BridgeError):
    status = 403
    title = "Forbidden"


class NotFound(BridgeError):
    status = 404
    title = "Not Found"


class TooLarge(BridgeError):
    status = 413
    title = "Content Too Large"


class Misconfigured(BridgeError):
    status = 500
    title = "Internal Server Error"


class Fault(NamedTuple):
    """One fault of a configuration, and its place.

    Attributes:
        text: what is wrong, and the fix.
        path: the keys and indexes that lead to it from the top of the file; None if it is not about the file.
        at_key: it is about the name of the last key, not about its value.
        given: keys of the same table without which it would not be a fault. If one of them cannot be read, it is only
            a consequence, and is left out.
        line, column: counted from 1; None before the fault is located.
    """

    text: str
    path: tuple[str | int, ...] | None = ()
    at_key: bool = False
    given: tuple[str, ...] = ()
    line: int | None = None
    column: int | None = None

    def within(self, where: str, path: tuple[str | int, ...]) -> Self:
        """This fault, of the table at a path that messages call `where`."""
        return self._replace(text=f"{where}: {self.text}", path=path + (self.path or ()))


class InvalidMap(Misconfigured):
    """A configuration that does not load.

    Attributes:
        found: every fault found, with its place.
        faults: their texts, each with its table or rule and the fix.
        messages: their texts, each after its place: `bridge.toml:18:3: rule "blue-api": …`.
    """

    def __init__(self, faults: Iterable[Fault | str], name: str = "bridge.toml") -> None:
        self.found = tuple(one if isinstance(one, Fault) else Fault(one, None) for one in faults)
        self.faults = tuple(fault.text for fault in self.found)
        self.messages = tuple(
            fault.text if fault.line is None else f"{name}:{fault.line}:{fault.column}: {fault.text}"
            for fault in self.found
        )
        super().__init__("config_invalid", "; ".join(self.messages))

    def __str__(self) -> str:
        """The messages, one a line: a traceback shows them to the author of a test."""
        return "\n  ".join((f"{self.reason}:", *self.messages)) if len(self.messages) > 1 else super().__str__()


class BackendFailed(BridgeError):
    status = 502
    title = "Bad Gateway"


class Unavailable(BridgeError):
    status = 503
    title = "Service Unavailable"


class TimedOut(BridgeError):
    status = 504
    title = "Gateway Timeout"


class LoopDetected(BridgeError):
    status = 508
    title = "Loop Detected"


def refusal_for(error: Exception) -> BridgeError:
    """The error that ends a request or a record, without its frames: see `BridgeError.without_frames`. A bug's error is
    replaced by the refusal for a bug."""
    refusal = error if isinstance(error, BridgeError) else _internal_error(error)
    error.__traceback__ = None
    return refusal.without_frames()


def _internal_error(error: Exception) -> Misconfigured:
    """The refusal for a bug: its detail is the error's type and place, `KeyError at formats/reply.py:88 in decode`.

    The error's message may quote the request, so it is left out.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return Misconfigured("internal", type(error).__name__)
    code = frame.tb_frame.f_code
    file = "/".join(code.co_filename.split("/")[-2:])
    return Misconfigured("internal", f"{type(error).__name__} at {file}:{frame.tb_lineno} in {code.co_name}")
