"""The quarantine: a queue that receives a copy of each record with a permanent fault, with the reason.

Rule: a record counts as done only if SQS has answered that the copy is stored. The copy has everything that a decision
reads of a record: of a message, body, attributes and group are unchanged; of another record, its body is the whole
record as JSON. A message that is sent back to its queue is decided again, by its new sender (trap E25). Our own
attribute allows nothing. It only refuses: it ends a loop (trap E28), and keeps a record that came from one source out
of another, whose rules could give it another tenant.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5, sha256
from typing import Any, Final, Protocol

from lattice_bridge.aws import AwsClient, code_of
from lattice_bridge.errors import BackendFailed, BridgeError, LoopDetected, Misconfigured, TimedOut
from lattice_bridge.events.batch import stored
from lattice_bridge.events.record import Record
from lattice_bridge.events.sqs import FIFO

ATTRIBUTE: Final = "lattice-bridge"
"""The name of our attribute: JSON with `source`, `id`, `group`, `reason`, `tenant` and `hops`."""

MAX_HOPS: Final = 4
"""How often a record may have been in a quarantine."""

STORE_TIME: Final = 1.5
"""Seconds that storing a copy takes at most. Without that time left, none is begun."""

_CONNECT_TIMEOUT: Final = 0.5
_MAX_ATTRIBUTES: Final = 10
_MAX_BYTES: Final = 1024 * 1024
"""SQS counts the body, and each attribute's name, type and value."""


class SqsClient(Protocol):
    """The used part of boto3's SQS client."""

    meta: Any

    def send_message(self, **arguments: Any) -> Mapping[str, Any]: ...


class Quarantine:
    """Stores copies of records. Thread-safe.

    Args:
        connect: makes the client of a region; boto3's if None. It is imported when the first record needs it.
    """

    def __init__(self, connect: Callable[[str], Callable[[], SqsClient]] | None = None) -> None:
        self._connect = connect or _boto3
        self._clients: dict[str, Callable[[], SqsClient]] = {}

    def store(self, arn: str, record: Record, reason: str, tenant: str | None, left: Callable[[], float]) -> None:
        """Sends the copy of a record, once.

        Args:
            arn: of the quarantine. The request goes to its region.
            record: to copy.
            reason: of its permanent fault.
            tenant: that was decided for it; None if none was.
            left: the seconds until the handler must answer.

        Raises:
            BridgeError: it is not known to be stored: `quarantine_full`, `quarantine_failed` or `no_time_left`.
        """
        region, account, name = arn.split(":")[3:6]
        try:
            message = copy_of(record, arn, reason, tenant)
            connect = self._clients.get(region) or self._clients.setdefault(region, self._connect(region))
            client = connect()  # may take long: the first one imports boto3
            if left() < STORE_TIME:
                raise TimedOut("no_time_left", f"less than {STORE_TIME} s are left to fill the quarantine")
            url = f"{client.meta.endpoint_url.rstrip('/')}/{account}/{name}"
            _check_stored(client.send_message(QueueUrl=url, **message), message["MessageBody"])
        except BridgeError:
            raise
        except Exception as error:
            raise BackendFailed("quarantine_failed", f"SQS did not store the copy: {code_of(error)}") from error


def _boto3(region: str) -> AwsClient:
    """A client that sends a request once: a record that is not stored is reported, and comes again."""
    read = STORE_TIME - _CONNECT_TIMEOUT
    return AwsClient("sqs", region, read, connect_timeout=_CONNECT_TIMEOUT, attempts=1)


def _check_stored(answer: Mapping[str, Any], body: str) -> None:
    """A success that names no message, or the MD5 of another body, is not one of SQS (trap E7)."""
    digest = md5(body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    if not answer.get("MessageId") or answer.get("MD5OfMessageBody", digest) != digest:
        raise BackendFailed("quarantine_failed", "the answer of SQS does not confirm the copy")


# ---- record → copy --------------------------------------------------------------------------------------------------


def copy_of(record: Record, arn: str, reason: str, tenant: str | None) -> dict[str, Any]:
    """The arguments of SendMessage, except the queue's URL.

    Raises:
        BackendFailed: `quarantine_full`: SQS would not take the copy. `quarantine_failed`: a part of the record is not
            what SQS writes, so that it cannot be copied.
    """
    body, written, group = stored(record)
    note = {"source": record.source, "id": record.name, "group": group, "reason": reason, "tenant": tenant}
    ours = json.dumps({**note, "hops": _hops_in(_note_of(record)) + 1}, separators=(",", ":"))
    attributes = dict(_attributes(written)) | {ATTRIBUTE: {"DataType": "String", "StringValue": ours}}
    if len(attributes) > _MAX_ATTRIBUTES:
        raise BackendFailed("quarantine_full", f"with our attribute, the copy has over {_MAX_ATTRIBUTES} attributes")
    if (size := _size(body) + sum(map(_size_of, attributes.items()))) > _MAX_BYTES:
        raise BackendFailed("quarantine_full", f"the copy has {size:,} bytes, and SQS takes {_MAX_BYTES:,}")
    message: dict[str, Any] = {"MessageBody": body, "MessageAttributes": attributes}
    if arn.endswith(FIFO):
        ids = {"MessageGroupId": group or record.name, "MessageDeduplicationId": _deduplication_id(record, body)}
        return {**message, **ids}
    return {**message, "MessageGroupId": group} if group else message


def _deduplication_id(record: Record, body: str) -> str:
    """The same for each delivery of a record, and for no other record: SQS would drop a copy with the id of another one
    and answer as if it were stored (trap E7). A sequence number is not enough: only in a shard, and only for one
    partition key, it is of one record, and several sources may share a quarantine."""
    parts = json.dumps([record.source, record.name, body])
    return sha256(parts.encode()).hexdigest()


def _attributes(written: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Attributes in the form of SendMessage."""
    for name, attribute in written.items():
        kind = attribute["dataType"]
        if kind.partition(".")[0] == "Binary":
            yield name, {"DataType": kind, "BinaryValue": base64.b64decode(attribute["binaryValue"], validate=True)}
        else:
            yield name, {"DataType": kind, "StringValue": attribute["stringValue"]}


def _size_of(attribute: tuple[str, Mapping[str, Any]]) -> int:
    name, value = attribute
    return _size(name) + sum(map(_size, value.values()))


def _size(part: str | bytes) -> int:
    return len(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)


# ---- a copy that comes back -----------------------------------------------------------------------------------------


def _note_of(record: Record) -> Mapping[str, Any]:
    """Our attribute of a record. Empty if it has none, or one that is not ours."""
    attributes = record.content.get("messageAttributes")
    if not isinstance(attributes, dict) or ATTRIBUTE not in attributes:  # nearly always
        return {}
    try:
        note = json.loads(attributes[ATTRIBUTE]["stringValue"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _hops_in(note: Mapping[str, Any]) -> int:
    hops = note.get("hops")
    return hops if isinstance(hops, int) and hops > 0 else 0


def check_return(record: Record) -> None:
    """Checks a record that may come from a quarantine: to which queue it returns, and how often it has.

    Neither error is a permanent fault, so no other copy is stored: it would name the wrong queue as its source.

    Raises:
        Misconfigured: `wrong_queue`: it came from another queue. An operator who sends it back chooses the queue, and
            so the tenant: by a rule for green's queue, a message of blue would run as green (trap E25).
        LoopDetected: `loop`: it has been in a quarantine more than `MAX_HOPS` times (trap E28).
    """
    note = _note_of(record)
    if not note:
        return
    if note.get("source", record.source) != record.source:
        raise Misconfigured("wrong_queue", "the record is a copy from the quarantine of another queue")
    if _hops_in(note) > MAX_HOPS:
        raise LoopDetected("loop", f"the record has been in a quarantine more than {MAX_HOPS} times")
