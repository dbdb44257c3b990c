"""The parts that run now: the execution environments, the active maps, the queues and the streams.

Rule: reading changes nothing in the stack. No message is received, no counter moves, and each list has a limit. Only a
redrive changes something, as a person asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from lattice_bridge.config.positions import entries_of
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.sqs.stored import State, Stored
from lattice_bridge.local.aws.stream import Shard, Stream
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.environments.environment import Environment
from lattice_bridge.local.environments.processes import resident
from lattice_bridge.local.inspector import mask
from lattice_bridge.local.inspector.logs import Logs
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.local.web.printable import printable
from lattice_bridge.quarantine import ATTRIBUTE
from lattice_bridge.review.explain import key_in_words
from lattice_bridge.tenancy.rules import ANY_TENANT, Rule, Rules, TenantFrom

MAX_RULES: Final = 200
MAX_TENANTS: Final = 200
MAX_MESSAGES: Final = 50
"""Messages of one answer."""
MAX_BODY: Final = 4096
"""Bytes of a message that are shown."""

_WITHOUT_SOURCE: Final = "A message that was sent here directly came from no queue, so it ends the redrive."
_OF_NO_QUEUE: Final = "A copy stays if its record came from a stream, a table, a bus, or a queue that is gone."
_HIDDEN: Final = "Messages that are in flight or delayed stay."


# ---- environments ---------------------------------------------------------------------------------------------------


def environments(found: Iterable[Environment], logs: Logs, shown: str, now: float) -> list[dict[str, Any]]:
    """The execution environments.

    Args:
        found: of the pool.
        logs: their output.
        shown: the label of the environment whose output is shown: to mask that of all would keep the stack waiting.
        now: monotonic seconds.
    """
    return [_environment(one, logs, shown, now) for one in found]


def _environment(one: Environment, logs: Logs, shown: str, now: float) -> dict[str, Any]:
    tenant = None if one.tenant is None else mask.masked_line(one.tenant)  # a caller may have chosen it
    label = one.label if tenant == one.tenant else f"{one.function.name}/{tenant}#{one.slot}"
    return {
        "function": one.function.name,
        "tenant": tenant,
        "slot": one.slot,
        "state": one.state,
        "age": now - one.began,
        "idle": now - one.idle_since if one.state == "idle" and one.idle_since else None,
        "invocations": one.invocations,
        "memory": None if one.pid is None else resident(one.pid),
        "log": mask.masked_lines(logs.last(one)) if label == shown else [],
    }


def functions(found: Iterable[Function]) -> list[dict[str, Any]]:
    """The functions of the template."""
    return [{"name": one.name, "isolated": one.isolated, "runtime": one.runtime} for one in found]


# ---- maps -----------------------------------------------------------------------------------------------------------


def maps(
    configurations: Iterable[BridgeConfiguration], since: float, refused: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The active maps.

    Args:
        configurations: of the bridges.
        since: when they were loaded, in seconds since the epoch.
        refused: the faults of changed maps that were refused, by the names of their bridges: the older ones are active.
    """
    return [_map(one, since, refused.get(one.function.name, ())) for one in configurations]


def _map(configuration: BridgeConfiguration, since: float, refused: Sequence[str]) -> dict[str, Any]:
    tenant_map = configuration.settings.tenant_map if configuration.settings else None
    rules = tenant_map.rules if tenant_map else Rules.build("", (), ())
    lines = _lines(configuration)
    every = [*rules.owners.values(), *(rule for each in rules.denials.values() for rule in each)]
    every.sort(key=lambda rule: lines.get(rule.id, 0))
    tenants = list(islice(rules.tenants.values(), MAX_TENANTS))
    return {
        "function": configuration.function.name,
        "file": configuration.address if configuration.file is None else str(configuration.file),
        "sha256": tenant_map.sha256 if tenant_map else None,
        "loaded_at": since,
        "faults": [printable(fault) for fault in configuration.faults],
        "refused": [printable(fault) for fault in refused],
        "rules": [_rule(rule, lines.get(rule.id)) for rule in every[:MAX_RULES]],
        "tenants": [{"id": one.id, "state": "active" if one.active else "suspended"} for one in tenants],
        "left_out": max(0, len(every) - MAX_RULES) + len(rules.tenants) - len(tenants),
    }


def _rule(rule: Rule, line: int | None) -> dict[str, Any]:
    return {
        "id": rule.id,
        "key": key_in_words(rule.key),
        "tenants": list(_tenants(rule)),
        "conditions": [f"{one.kind}: {', '.join(sorted(one.values))}" for one in rule.conditions],
        "line": line,
    }


def _tenants(rule: Rule) -> Iterator[str]:
    """The tenants that a rule gives, or where their names come from. None for one that denies."""
    outcome = rule.outcome
    if isinstance(outcome, TenantFrom):
        place = ".".join([outcome.source, *([outcome.issuer] if outcome.issuer else []), *outcome.claim])
        yield f"{outcome.pattern.before}{{tenant}}{outcome.pattern.after} in {place}"
    elif outcome is ANY_TENANT:
        yield ANY_TENANT.value
    elif outcome is not None:
        yield from sorted(outcome)


def _lines(configuration: BridgeConfiguration) -> dict[str, int]:
    """The line of each rule in the file, by its id."""
    text, written = configuration.document.text, configuration.written_rules
    if not text or not written:
        return {}
    places = entries_of(text, {(), ("rule",), *(("rule", index) for index in range(len(written)))})
    found = {}
    for index, rule in enumerate(written):
        if (place := places.get(("rule", index))) is not None:
            found[str(rule["id"])] = text.count("\n", 0, place.key) + 1
    return found


# ---- queues ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queues of a stack, as the page shows them.

    Attributes:
        queues: of the stack.
        quarantines: returns, by the ARN of each quarantine of an active map, the ARNs of the sources whose records go
            there.
    """

    queues: Queues
    quarantines: Callable[[], Mapping[str, frozenset[str]]]

    def listed(self) -> list[dict[str, Any]]:
        """All queues with their depths."""
        now, quarantines = self.queues.now(), self.quarantines()
        return [self._row(queue, now, queue.arn in quarantines) for queue in self.queues]

    def _row(self, queue: Queue, now: float, is_quarantine: bool) -> dict[str, Any]:
        counts, policy = queue.counts(), queue.attributes.redrive_policy
        oldest = queue.peek()
        return {
            "name": queue.name,
            "kind": "fifo" if queue.is_fifo else "standard",
            **counts._asdict(),
            "oldest": now - oldest[0].sent if oldest else None,
            "is_quarantine": is_quarantine,
            "is_dead_letters": bool(self.queues.sources_of(queue)),
            "dead_letters": policy.dead_letter_arn.rpartition(":")[2] if policy else None,
        }

    def messages(self, name: str, after: int) -> dict[str, Any]:
        """Messages of a queue in the order of their arrival.

        Args:
            name: of the queue.
            after: the number of the last message that the reader has.

        Raises:
            Refused: 404, there is no such queue.
        """
        queue = self._queue(name)
        found, has_notes = queue.peek(after, MAX_MESSAGES + 1), queue.arn in self.quarantines()
        messages = [_message(one, _note(one) if has_notes else {}) for one in found[:MAX_MESSAGES]]
        return {"messages": messages, "more": len(found) > MAX_MESSAGES}

    def redrive(self, name: str) -> dict[str, Any]:
        """Sends the visible messages of a dead-letter queue, or of a quarantine, back. Returns how many were moved, how
        many are left, and why.

        A message of a quarantine goes to the queue that the bridge's attribute names, if the map sends that queue's
        records here: any sender can write an attribute. One of a stream stays. As with AWS's own redrive, a message
        keeps its content, and is a new one.

        Raises:
            Refused: 404, there is no such queue; 409, it is neither of both, or a redrive of it is running.
        """
        queue = self._queue(name)
        if self.queues.sources_of(queue):
            moved, why = self._redriven(queue), _WITHOUT_SOURCE
        elif queue.arn in (quarantines := self.quarantines()):
            moved, why = self._sent_back(queue, quarantines[queue.arn]), _OF_NO_QUEUE
        else:
            what = "neither a dead-letter queue nor a quarantine"
            raise Refused(409, f"{quoted(name)}: {what}. Fix: choose a queue that is one")
        counts = queue.counts()
        reasons = [why] if counts.visible else []
        reasons += [_HIDDEN] if counts.in_flight or counts.delayed else []
        return {"moved": moved, "left": sum(counts), "why": " ".join(reasons) or None}

    def _redriven(self, queue: Queue) -> int:
        """Redrives a dead-letter queue as AWS does. Returns the number of moved messages."""
        try:
            task = self.queues.start_move(queue.arn, None, None)
        except SqsError as error:
            raise Refused(409, f"{quoted(queue.name)}: {error}") from error
        queue.counts()  # does what is due of the task: all of it
        return task.moved

    def _sent_back(self, quarantine: Queue, sources: frozenset[str]) -> int:
        """Sends copies back to their queues. Returns their number."""
        moved = 0
        for stored in quarantine.peek(limit=sum(quarantine.counts())):
            arn = str(_note(stored).get("source", ""))
            target = self.queues.by_arn(arn) if arn in sources else None
            if stored.state is not State.VISIBLE or target in (None, quarantine):
                continue
            if target.is_fifo == quarantine.is_fifo:
                quarantine.move_to(target, stored)
                moved += 1
        return moved

    def _queue(self, name: str) -> Queue:
        found = next((queue for queue in self.queues if queue.name == name), None)
        if found is None:
            known = ", ".join(queue.name for queue in islice(self.queues, 20)) or "no queue"
            raise Refused(404, f"{quoted(name)}: no queue of this stack has the name; there are {known}. Fix: use one")
        return found


def _message(stored: Stored, note: Mapping[str, Any]) -> dict[str, Any]:
    group = stored.outgoing.group
    return {
        "number": stored.number,
        "id": stored.id,
        "state": stored.state.value,
        "group": None if group is None else mask.masked_line(group),
        "sent": stored.sent,
        "receives": stored.receives,
        "body": mask.body(stored.outgoing.body.encode("utf-8", "replace"), MAX_BODY),
        "reason": {name: mask.masked_line(str(value)) for name, value in note.items() if value is not None} or None,
    }


_NOTE: Final = ("source", "id", "group", "reason", "tenant", "hops")


def _note(stored: Stored) -> Mapping[str, Any]:
    """The bridge's own attribute of a message; empty if it has none. Any sender can write one: only our members."""
    attribute = stored.outgoing.attributes.get(ATTRIBUTE)
    try:
        found = json.loads(attribute.value) if attribute is not None else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in _NOTE if isinstance(found.get(name), str | int)}


def quarantines_of(configurations: Iterable[BridgeConfiguration]) -> Mapping[str, frozenset[str]]:
    """The ARNs of the quarantines of maps, each with those of the sources whose records go there."""
    every = (one.settings.options.event_sources for one in configurations if one.settings)
    found: dict[str, set[str]] = {}
    for source in (one for sources in every for one in sources):
        if source.quarantine:
            found.setdefault(source.quarantine, set()).add(source.arn)
    return {quarantine: frozenset(sources) for quarantine, sources in found.items()}


# ---- streams --------------------------------------------------------------------------------------------------------


def streams(
    found: Iterable[Stream], positions: Callable[[str], Sequence[Mapping[str, int]]], now: float
) -> list[dict[str, Any]]:
    """The streams with their shards.

    Args:
        found: of Kinesis and of tables.
        positions: of a stream's ARN: for each of the mappings that read it, the number of the last record that is done,
            by shard.
        now: seconds since the epoch.
    """
    return [
        {
            "name": one.arn.split(":", 5)[5].removeprefix("stream/").removeprefix("table/").partition("/stream/")[0],
            "service": one.arn.split(":")[2],
            "shards": [_shard(shard, positions(one.arn), now) for shard in one.shards()],
        }
        for one in found
    ]


def _shard(shard: Shard, mappings: Sequence[Mapping[str, int]], now: float) -> dict[str, Any]:
    """A shard, with the records that the slowest mapping has not done yet: their number, and the age of the oldest in
    seconds. None for both if no mapping reads the stream."""
    found: dict[str, Any] = {"id": shard.id, "records": shard.count(), "behind": None, "oldest": None}
    if mappings:
        done = min(one.get(shard.id, 0) for one in mappings)
        waiting = shard.after(done, 1)
        found |= {"behind": shard.count(done), "oldest": max(0.0, now - waiting[0].arrived) if waiting else None}
    return found
