"""Faults of the queues in front of the bridge, as `check --template` and `doctor` both state them.

Rule: each message ends in the function, in the quarantine or in a dead-letter queue. What AWS refuses, and what loses
or repeats messages for certain, is an error; what does so under load, or what only a person can decide, is a warning.

Sources: the pages services-sqs-errorhandling, with-sqs-filtering and with-sqs of the Lambda guide; the pages
sqs-dead-letter-queues and sqs-visibility-timeout of the SQS guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final, Literal, NamedTuple

from lattice_bridge.config.options import EventSource
from lattice_bridge.config.words import nearest
from lattice_bridge.deployment.iam.access import Permitted, unexpected
from lattice_bridge.deployment.queues.facts import Line, Queue, SourceMapping
from lattice_bridge.events.sqs import FIFO

REPORT: Final = "ReportBatchItemFailures"
SEND: Final = "sqs:SendMessage"
POLL: Final = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What Lambda does with the bridge's role to receive messages."""
VISIBILITY: Final = 6
"""AWS's advice: the visibility timeout is this many times the function's timeout, beside the batching window."""
_FEW_RECEIVES: Final = 2
"""A message that is received so often may never have run: a throttle counts as a receive, too."""
_MOST_OF_FIFO: Final = 10
_MOST: Final = 10_000


class Fault(NamedTuple):
    """A fault of a queue or of a mapping; none of the texts ends in a full stop.

    Attributes:
        label: of the queue, mapping or function that has it.
        actual: what is.
        expected: what has to be, and the reason.
        fix: what to write.
    """

    level: Literal["error", "warning"]
    label: str
    actual: str
    expected: str
    fix: str


def is_queue(arn: str) -> bool:
    """Whether an ARN is that of a queue of SQS."""
    return arn.split(":")[2:3] == ["sqs"]


# ---- mappings -------------------------------------------------------------------------------------------------------


def unconfigured_fault(mapping: SourceMapping, sources: Sequence[EventSource]) -> Fault:
    """The fault of a mapping that sends a queue without an `[[event_source]]` to the bridge."""
    name = mapping.source.rpartition(":")[2]
    near = nearest(name, [one.arn.rpartition(":")[2] for one in sources])
    fix = "write an [[event_source]] with the ARN of the queue in bridge.toml, or remove the mapping"
    return Fault(
        "error",
        mapping.label,
        f"it sends the queue {name} to the bridge, and bridge.toml has no [[event_source]] for it",
        "The bridge reports every record of such a queue as failed (source_not_configured)",
        f"{fix}. bridge.toml has {near}" if near else fix,
    )


def unmapped_fault(source: EventSource, label: str) -> Fault:
    """The fault of an `[[event_source]]` whose queue no mapping sends to the bridge."""
    return Fault(
        "error",
        label,
        f"no event source mapping sends the queue {source.arn.rpartition(':')[2]} to the bridge",
        "bridge.toml has an [[event_source]] for it, and its messages wait until their retention ends",
        f"write an event source mapping from the queue to the bridge, with {REPORT} and Enabled",
    )


def unreported_fault(label: str) -> Fault:
    """The fault of a mapping without partial batch responses (trap E13)."""
    return Fault(
        "error",
        label,
        f"its FunctionResponseTypes do not contain {REPORT}",
        "Without it Lambda ignores the bridge's answer and deletes every record, also those that failed",
        f"write FunctionResponseTypes: [{REPORT}]",
    )


def undelivered_fault(label: str, source: EventSource) -> Fault:
    """The fault of an asynchronous event source whose function has no failure destination."""
    return Fault(
        "error",
        label,
        f'bridge.toml invokes "{source.function}" asynchronously for {source.arn.rpartition(":")[2]}, and failed '
        "records are not kept",
        "A record leaves its queue when Lambda has accepted it, and is dropped when it has failed three times",
        "write an EventInvokeConfig with OnFailure for the function",
    )


def _mapping_faults(mapping: SourceMapping, line: Line) -> Iterator[Fault]:
    if mapping.reports is False:
        yield unreported_fault(mapping.label)
    if mapping.filters:
        yield Fault(
            "warning",
            mapping.label,
            "it has FilterCriteria",
            "Lambda deletes the messages that they do not match: the bridge sees none of them, and stores no copy",
            "remove FilterCriteria, or check that every other message may be lost",
        )
    if mapping.enabled is False:
        expected = "No message is received, and each is lost when its retention ends"
        yield Fault("warning", mapping.label, "it is disabled", expected, "write Enabled: true, or remove it")
    yield from _batch_faults(mapping, line)


def _batch_faults(mapping: SourceMapping, line: Line) -> Iterator[Fault]:
    """Batches that AWS refuses, and those that cannot end in time."""
    size, window, source = mapping.batch_size, mapping.window, line.source
    is_fifo = source.arn.endswith(FIFO)
    most = _MOST_OF_FIFO if is_fifo else _MOST
    if size is not None and not 1 <= size <= most:
        kind = "FIFO" if is_fifo else "standard"
        expected = f"Lambda accepts 1 to {most} for a {kind} queue"
        yield Fault("error", mapping.label, f"BatchSize is {size}", expected, f"write BatchSize: {most} at most")
    elif size is not None and size > _MOST_OF_FIFO and window is not None and window < 1:
        expected = f"Lambda refuses more than {_MOST_OF_FIFO} records without a batching window"
        fix = "write MaximumBatchingWindowInSeconds: 1, or a smaller BatchSize"
        yield Fault("error", mapping.label, f"BatchSize is {size} and there is no batching window", expected, fix)
    if is_fifo and window:
        actual = f"MaximumBatchingWindowInSeconds is {window:g}"
        fix = "remove MaximumBatchingWindowInSeconds"
        yield Fault("error", mapping.label, actual, "Lambda refuses a batching window for a FIFO queue", fix)
    if size is None or line.timeout is None or source.invocation == "async":
        return
    rounds = size if is_fifo else ceil(size / source.concurrency)
    seconds = rounds * source.timeout
    if rounds > 1 and seconds > line.timeout:
        how = " of one group, one after the other," if is_fifo else f", {source.concurrency} at a time,"
        actual = f"{size} records{how} may take {seconds:g} s, and the bridge has {line.timeout:g} s"
        expected = "The bridge reports what it had no time for, and each such return counts as a receive"
        most_that_fit = max(1, int(line.timeout // source.timeout) * (1 if is_fifo else source.concurrency))
        fix = f"write BatchSize: {most_that_fit}, or a shorter timeout under [[event_source]]"
        yield Fault("warning", mapping.label, actual, expected, fix)


# ---- names ----------------------------------------------------------------------------------------------------------


def kind_fault(label: str, name: str, *, is_fifo: bool) -> Fault | None:
    """The fault of a queue whose name does not fit its kind; None if it fits."""
    if is_fifo is name.endswith(FIFO):
        return None
    expected = f"SQS refuses it: the name of a FIFO queue ends in {FIFO}, and no other name does"
    if is_fifo:
        return Fault(
            "error", label, f"FifoQueue is true, and QueueName is {name}", expected, f"write QueueName: {name}{FIFO}"
        )
    return Fault("error", label, f"QueueName is {name}, and FifoQueue is not true", expected, "write FifoQueue: true")


# ---- the queue ------------------------------------------------------------------------------------------------------


def line_faults(line: Line) -> Iterator[Fault]:
    """The faults of a queue, of its mappings, of its dead-letter queue and of its quarantine."""
    for mapping in line.mappings:
        yield from _mapping_faults(mapping, line)
    if line.queue is not None:
        yield from _visibility_faults(line.queue, line)
        yield from _poison_faults(line.queue, line)
    yield from _quarantine_faults(line)


def _visibility_faults(queue: Queue, line: Line) -> Iterator[Fault]:
    if queue.visibility is None or line.timeout is None:
        return
    window = max((one.window or 0.0 for one in line.mappings), default=0.0)
    wanted = VISIBILITY * line.timeout + window
    actual = f"VisibilityTimeout is {queue.visibility:g} s, and {line.bridge} has a Timeout of {line.timeout:g} s"
    fix = f"write VisibilityTimeout: {wanted:g}"
    if queue.visibility < line.timeout:
        yield Fault("error", queue.label, actual, "Lambda refuses a mapping from such a queue", fix)
    elif queue.visibility < wanted:
        beside = f", and the batching window of {window:g} s" if window else ""
        expected = (
            f"AWS advises {VISIBILITY} times the timeout{beside}: otherwise a message is received again while Lambda "
            "still tries to run the bridge for it, as after a throttle"
        )
        yield Fault("warning", queue.label, actual, expected, fix)


def _poison_faults(queue: Queue, line: Line) -> Iterator[Fault]:
    """Faults by which a message that always fails comes back for ever, or is lost too early."""
    if not queue.is_redrive_known:
        return
    if queue.redrive is None:
        fix = "write a RedrivePolicy with a dead-letter queue and maxReceiveCount: 5"
        if line.source.quarantine is None:
            actual = "it has no RedrivePolicy, and its [[event_source]] no quarantine"
            expected = "A message that always fails comes back until its retention ends, and is then lost"
            yield Fault("error", queue.label, actual, expected, f"{fix}, and a quarantine in bridge.toml")
        else:
            expected = (
                "The quarantine gets permanent faults only: a message on which the function fails comes back until its "
                "retention ends, and is then lost"
            )
            yield Fault("warning", queue.label, "it has no RedrivePolicy", expected, fix)
        return
    receives = queue.redrive.receives
    if receives is not None and receives <= _FEW_RECEIVES:
        expected = (
            "A throttle and an end of time count as a receive, so a message may reach the dead-letter queue without "
            "having run"
        )
        yield Fault("warning", queue.label, f"maxReceiveCount is {receives}", expected, "write maxReceiveCount: 5")
    yield from _dead_letter_faults(queue, line)


def _dead_letter_faults(queue: Queue, line: Line) -> Iterator[Fault]:
    target = line.dead_letters
    if target is None:
        return
    if target.arn.endswith(FIFO) is not queue.arn.endswith(FIFO):
        kind = "a FIFO queue" if queue.arn.endswith(FIFO) else "a standard queue"
        actual = f"its dead-letter queue is {target.name}"
        expected = f"SQS refuses it: the dead-letter queue of {kind} is {kind}"
        yield Fault("error", queue.label, actual, expected, f"name {kind} in RedrivePolicy")
    if target.retention is not None and queue.retention is not None and target.retention < queue.retention:
        # A FIFO queue counts anew (SQS guide, "Understanding message retention periods for dead-letter queues").
        counts = "" if queue.arn.endswith(FIFO) else ", and SQS counts from the time that it was sent"
        yield _short(target, queue, f"{_WAITS}{counts}")


_WAITS: Final = "A message there waits for a person, and is lost when its retention ends"


def _short(kept: Queue, queue: Queue, expected: str) -> Fault:
    actual = (
        f"MessageRetentionPeriod is {kept.retention:g} s, and that of {queue.name}, whose messages it keeps, "
        f"{queue.retention:g} s"
    )
    return Fault("warning", kept.label, actual, expected, "write MessageRetentionPeriod: 1209600")


def _quarantine_faults(line: Line) -> Iterator[Fault]:
    quarantine, queue = line.quarantine, line.queue
    if line.loops is not None:
        name = str(line.source.quarantine).rpartition(":")[2]
        yield Fault(
            "error",
            line.loops,
            f"it sends the quarantine {name} of {line.name} to the bridge",
            "The bridge refuses each message again and stores it again",
            "remove the mapping: redrive messages to their own queue when their cause is gone",
        )
    if quarantine is None or queue is None or quarantine.retention is None or queue.retention is None:
        return
    if quarantine.retention < queue.retention:
        yield _short(quarantine, queue, _WAITS)


# ---- who may send ---------------------------------------------------------------------------------------------------


def sender_faults(queue: Queue, accounts: Iterable[str], rules: Sequence[str]) -> Iterator[Fault]:
    """Faults in a queue policy whose senders the map trusts.

    Args:
        queue: a configured queue.
        accounts: its operator's own: principals of them may send.
        rules: ids of the rules that allow by the queue alone, without naming a sender.
    """
    if not rules:
        return
    permitted = Permitted(frozenset(), frozenset(accounts), SEND.lower())
    for statement in queue.policy:
        if not statement.names_action(SEND):
            continue
        for principal, level in unexpected(statement, permitted):
            if level == "warning":
                continue  # of the operator's own account
            who = "everyone" if principal == "*" else principal
            condition = " under a condition, which is not evaluated" if statement.conditions else ""
            yield Fault(
                "warning" if statement.conditions else "error",
                queue.label,
                f"{who} may send to it{condition}, and the rule {', '.join(rules)} of bridge.toml names no sender",
                "A rule with `source` gives a tenant to each message of the queue, of every sender",
                "allow SendMessage to your own roles only, or write rules with `sender` in place of `source`",
            )


# ---- rights ---------------------------------------------------------------------------------------------------------


def rights_of(line: Line) -> list[tuple[str, str]]:
    """The actions that the bridge's role takes on the queues and their keys, as (action, ARN) pairs.

    A pipe receives the records with a role of its own.
    """
    rights = []
    if line.source.pipe is None:
        rights += [(action, line.source.arn if line.queue is None else line.queue.arn) for action in POLL]
        if line.queue is not None and line.queue.key is not None:
            rights.append(("kms:Decrypt", line.queue.key))
    if line.source.quarantine is not None:
        rights.append((SEND, line.source.quarantine if line.quarantine is None else line.quarantine.arn))
        if line.quarantine is not None and line.quarantine.key is not None:
            # SendMessage on an encrypted queue needs both (SQS guide, sqs-key-management).
            rights += [(action, line.quarantine.key) for action in ("kms:GenerateDataKey", "kms:Decrypt")]
    return list(dict.fromkeys(rights))
