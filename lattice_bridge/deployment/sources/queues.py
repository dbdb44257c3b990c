"""Faults of the queues in front of the bridge, as `check --template` and `doctor` both state them.

Rule: each message ends in the function, in the quarantine or in a dead-letter queue, and the bridge alone receives the
messages of its queue.

Sources: the pages services-sqs-errorhandling, with-sqs-filtering and with-sqs of the Lambda guide; the pages
sqs-dead-letter-queues and sqs-visibility-timeout of the SQS guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

from lattice_bridge.deployment.sources.facts import Line, Queue, SourceMapping
from lattice_bridge.deployment.sources.faults import WEEKS, Fault, mapping_faults, shared_fault
from lattice_bridge.events.sqs import FIFO

VISIBILITY: Final = 6
"""AWS's advice: the visibility timeout is this many times the function's timeout, beside the batching window."""
_FEW_RECEIVES: Final = 2
"""A message that is received so often may never have run: a throttle counts as a receive, too."""
_MOST_OF_FIFO: Final = 10
_MOST: Final = 10_000


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


def queue_faults(line: Line) -> Iterator[Fault]:
    """The faults of a queue, of its mappings, and of its dead-letter queue."""
    for mapping in line.mappings:
        yield from mapping_faults(mapping)
        yield from _batch_faults(mapping, line)
    if line.queue is not None:
        yield from _visibility_faults(line.queue, line)
        yield from _poison_faults(line.queue, line)
    for rival in line.rivals:
        yield Fault(
            "warning",
            rival,
            f"it receives messages of {line.name}, as the bridge does",
            "SQS gives each message to one of the two: the others never reach the bridge",
            "remove one of the two, or let a topic of SNS send each message to a queue for each of them",
        )


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
    yield from shared_fault(queue.label, line, queue.redrive.target, "dead-letter queue")
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
        actual = (
            f"MessageRetentionPeriod is {target.retention:g} s, and that of {queue.name}, whose messages it keeps, "
            f"{queue.retention:g} s"
        )
        # A FIFO queue counts anew (SQS guide, "Understanding message retention periods for dead-letter queues").
        counts = "" if queue.arn.endswith(FIFO) else ", and SQS counts from the time that it was sent"
        expected = f"A message there waits for a person, and is lost when its retention ends{counts}"
        yield Fault("warning", target.label, actual, expected, f"write MessageRetentionPeriod: {WEEKS:.0f}")
