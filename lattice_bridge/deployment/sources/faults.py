"""A fault of an event source, and the faults that queues, streams and buses have in common.

Rule: each record ends in the function, in the quarantine or in the place where its source keeps failures. What AWS
refuses, and what loses or repeats records for certain, is an error; what does so under load, or what only a person can
decide, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.words import nearest
from lattice_bridge.deployment.iam.access import Permitted, unexpected
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.sources.facts import (
    Bus,
    Line,
    Queue,
    SourceMapping,
    Stream,
    name_of_source,
    noun_of,
)
from lattice_bridge.events.record import BUS, CLAIMS, STREAMS, service_of

REPORT: Final = "ReportBatchItemFailures"
SEND: Final = "sqs:SendMessage"
WEEKS: Final = 1_209_600.0
"""Seconds; SQS's longest retention, two weeks."""
_WRITES: Final = {
    "sqs": (SEND,),
    "kinesis": ("kinesis:PutRecord", "kinesis:PutRecords"),
    "dynamodb": tuple(
        f"dynamodb:{one}"
        for one in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate")
    ),
    BUS: ("events:PutEvents",),
}
"""The service in a source's ARN → the actions that write records to it."""
_VERBS: Final = {"sqs": "send", "kinesis": "write", "dynamodb": "write", BUS: "send events"}


class Fault(NamedTuple):
    """A fault of a source or of a mapping; none of the texts ends in a full stop.

    Attributes:
        label: of the source, mapping, rule or function that has it.
        actual: what is.
        expected: what has to be, and the reason.
        fix: what to write.
    """

    level: Literal["error", "warning"]
    label: str
    actual: str
    expected: str
    fix: str


def is_polled(arn: str) -> bool:
    """Whether an ARN is that of a source from which an event source mapping sends records to the bridge."""
    return service_of(arn) in CLAIMS and service_of(arn) != BUS


# ---- mappings -------------------------------------------------------------------------------------------------------


def unconfigured_fault(mapping: SourceMapping, sources: Iterable[EventSource]) -> Fault:
    """The fault of a mapping that sends a source without an `[[event_source]]` to the bridge."""
    noun, name = noun_of(mapping.source), name_of_source(mapping.source)
    near = nearest(name, [name_of_source(one.arn) for one in sources])
    fix = f"write an [[event_source]] with the ARN of the {noun} in bridge.toml, or remove the mapping"
    return Fault(
        "error",
        mapping.label,
        f"it sends the {noun} {name} to the bridge, and bridge.toml has no [[event_source]] for it",
        f"The bridge reports every record of such a {noun} as failed (source_not_configured)",
        f"{fix}. bridge.toml has {near}" if near else fix,
    )


def unmapped_fault(source: EventSource, label: str) -> Fault:
    """The fault of an `[[event_source]]` that no mapping sends to the bridge."""
    noun = noun_of(source.arn)
    waits = "its messages wait until their retention ends" if noun == "queue" else "its records expire unread"
    return Fault(
        "error",
        label,
        f"no event source mapping sends the {noun} {name_of_source(source.arn)} to the bridge",
        f"bridge.toml has an [[event_source]] for it, and {waits}",
        f"write an event source mapping from the {noun} to the bridge, with {REPORT} and Enabled",
    )


def unreported_fault(label: str) -> Fault:
    """The fault of a mapping of a queue without partial batch responses (trap E13)."""
    return Fault(
        "error",
        label,
        f"its FunctionResponseTypes do not contain {REPORT}",
        "Without it Lambda ignores the bridge's answer: each record counts as done, also those that failed",
        f"write FunctionResponseTypes: [{REPORT}]",
    )


def undelivered_fault(label: str, source: EventSource) -> Fault:
    """The fault of an asynchronous event source whose function has no failure destination."""
    return Fault(
        "error",
        label,
        f'bridge.toml invokes "{source.function}" asynchronously for {name_of_source(source.arn)}, and failed '
        "records are not kept",
        "A record counts as done when Lambda has accepted it, and is dropped when it has failed three times",
        "write an EventInvokeConfig with OnFailure for the function",
    )


def mapping_faults(mapping: SourceMapping) -> Iterator[Fault]:
    """The faults that a mapping of a queue and one of a stream have in common."""
    is_stream = service_of(mapping.source) in STREAMS
    if mapping.reports is False:
        yield unreported_fault(mapping.label)
    if mapping.filters:
        does, what = ("goes past", "records") if is_stream else ("deletes", "messages")
        yield Fault(
            "warning",
            mapping.label,
            "it has FilterCriteria",
            f"Lambda {does} the {what} that they do not match: the bridge sees none of them, and stores no copy",
            f"remove FilterCriteria, or check that every other {what.removesuffix('s')} may be lost",
        )
    if mapping.enabled is False:
        expected = "No message is received, and each is lost when its retention ends"
        if is_stream:
            expected = "No record is read, and each is lost when it expires"
        yield Fault("warning", mapping.label, "it is disabled", expected, "write Enabled: true, or remove it")


# ---- the quarantine -------------------------------------------------------------------------------------------------


def quarantine_faults(line: Line) -> Iterator[Fault]:
    """The faults of the queue that gets records with a permanent fault."""
    if line.loops is not None:
        name = name_of_source(str(line.source.quarantine))
        yield Fault(
            "error",
            line.loops,
            f"it sends the quarantine {name} of {line.name} to the bridge",
            "The bridge refuses each message again and stores it again",
            "remove the mapping: send messages back to their own source when their cause is gone",
        )
    kept = line.quarantine
    if kept is not None and kept.retention is not None and kept.retention < WEEKS:
        yield Fault(
            "warning",
            kept.label,
            f"it is a quarantine, and MessageRetentionPeriod is {kept.retention:g} s",
            "A copy there waits for a person, and is lost when its retention ends",
            f"write MessageRetentionPeriod: {WEEKS:.0f}",
        )


def shared_fault(label: str, line: Line, destination: str | None, what: str) -> Iterator[Fault]:
    """A fault if another place for failures is the quarantine: what it gets is no copy of the bridge's.

    Args:
        label: of what names the place.
        line: with the quarantine.
        destination: ARN of the place.
        what: the place, as in "dead-letter queue".
    """
    quarantine = line.source.quarantine
    if destination is None or quarantine is None:
        return
    if destination == (quarantine if line.quarantine is None else line.quarantine.arn):
        yield Fault(
            "warning",
            label,
            f"its {what} is also the quarantine of {line.name}",
            "Only the copies of the bridge have the reason and the source with them, so the others cannot be told "
            "apart or sent back like them",
            f"write another queue as the {what}",
        )


# ---- who may write --------------------------------------------------------------------------------------------------


def writer_faults(origin: Queue | Stream | Bus, accounts: Iterable[str], rules: Sequence[str]) -> Iterator[Fault]:
    """Faults in the policy of a source whose writers the map trusts.

    Args:
        origin: a configured source with its policy.
        accounts: its operator's own: principals of them may write.
        rules: ids of the rules that allow by the source alone, without naming a sender or an account.
    """
    if not rules:
        return
    service = service_of(origin.arn)
    permitted = Permitted(frozenset(), frozenset(accounts), _WRITES[service][0].lower())
    for statement in origin.policy:
        if not any(map(statement.names_action, _WRITES[service])):
            continue
        for principal, level in unexpected(statement, permitted):
            if level == "error":  # otherwise of the operator's own account
                yield _writer_fault(origin, service, principal, statement, rules)


def _writer_fault(
    origin: Queue | Stream | Bus, service: str, principal: str, statement: Statement, rules: Sequence[str]
) -> Fault:
    who = "everyone" if principal == "*" else principal
    condition = " under a condition, which is not evaluated" if statement.conditions else ""
    ids, noun, action = ", ".join(rules), noun_of(origin.arn), _WRITES[service][0].partition(":")[2]
    lacks = {"sqs": "names no sender", BUS: "names no account"}.get(service, "allows by the source alone")
    fix = f"allow {action} to your own roles only"
    better = {"sqs": "sender", BUS: "event_account"}.get(service)
    return Fault(
        "warning" if statement.conditions or service == BUS else "error",
        origin.label,
        f"{who} may {_VERBS[service]} to it{condition}, and the rule {ids} of bridge.toml {lacks}",
        f"A rule with `source` gives a tenant to each {_RECORDS[service]} of the {noun}, of every {_WRITERS[service]}",
        f"{fix}, or write rules with `{better}` in place of `source`" if better else fix,
    )


_RECORDS: Final = {"sqs": "message", "kinesis": "record", "dynamodb": "change", BUS: "event"}
_WRITERS: Final = {"sqs": "sender", "kinesis": "producer", "dynamodb": "writer", BUS: "publisher"}
