"""The event buses of a stack, their rules, and what happens to an event.

Rule: an event that PutEvents accepts goes to each target of each enabled rule of its bus whose pattern matches it. A
rule with a schedule sends an event of its own to its targets. The clock is a parameter: hours pass in a moment of a
test.
Source: the API reference of EventBridge, and what LocalStack's tests recorded on AWS. An event for a bus that does not
exist is accepted and lost, as there.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.events.eventbridge import write
from lattice_bridge.events.json_claim import is_too_deep
from lattice_bridge.local.aws.event_bridge.deliveries import Deliveries, Event, Observer
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused, invalid, no_bus, no_rule, refused
from lattice_bridge.local.aws.protocol import AwsError
from lattice_bridge.local.plan.event_buses import DEFAULT_BUS
from lattice_bridge.local.plan.event_pattern import BadPattern, EventPattern, parse_pattern
from lattice_bridge.local.plan.event_target import NotJson, Occasion, Target
from lattice_bridge.local.plan.schedule_expression import BadSchedule, Schedule, parse_schedule

ENABLED: Final = "ENABLED"
DISABLED: Final = "DISABLED"

_MOST_BUSES: Final = 100
_MOST_RULES: Final = 300
"""Of a bus, as on AWS."""
_MOST_TARGETS: Final = 5
"""Of a rule, as on AWS."""
_MOST_PATTERN: Final = 4096
_SERVICES: Final = ("lambda", "sqs")
_NO_RULE: Final = "Parameter(s) EventPattern or ScheduleExpression must be specified."


@dataclass(slots=True)
class Rule:
    """A rule.

    Attributes:
        name, bus, arn: of the rule; `bus` is the name of its bus.
        pattern_text, schedule_text: as written; None without one.
        state: `ENABLED` or `DISABLED`.
        description, role: as written.
        targets: by id.
        tags: of the rule.
        since: when it was made or enabled, for a rate.
        next: when its schedule is due; None without one.
    """

    name: str
    bus: str
    arn: str
    pattern_text: str | None
    schedule_text: str | None
    state: str
    description: str | None
    role: str | None
    since: float
    pattern: EventPattern | None = field(default=None, repr=False)
    schedule: Schedule | None = field(default=None, repr=False)
    targets: dict[str, Target] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    next: float | None = None

    @property
    def is_enabled(self) -> bool:
        return self.state != DISABLED


@dataclass(slots=True)
class Bus:
    """An event bus.

    Attributes:
        name, arn: of the bus.
        created, modified: seconds since the epoch.
        description: of the bus, or None.
        rules: by name.
        tags: of the bus.
    """

    name: str
    arn: str
    created: float
    modified: float
    description: str | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a client puts.

    Attributes:
        source, detail_type: of the event.
        detail: as JSON.
        bus: its name or ARN; None for the default bus.
        time: seconds since the epoch; None for now.
        resources: ARNs.
        trace_header: of X-Ray, or None.
    """

    source: str | None
    detail_type: str | None
    detail: str | None
    bus: str | None = None
    time: float | None = None
    resources: tuple[str, ...] = ()
    trace_header: str | None = None

    @property
    def size(self) -> int:
        """Bytes, as "Calculating PutEvents event entry size" in the guide counts them."""
        texts = (self.source, self.detail_type, self.detail, *self.resources)
        counted = sum(len(text.encode("utf-8", "replace")) for text in texts if text)
        return counted + (14 if self.time is not None else 0)


class EventBuses:
    """The buses of a stack.

    Args:
        region, account: of the ARNs and of the events; those of a bus with the ARN of a deployed one have its account.
        deliveries: take the events for targets.
        observer: takes the events that reach no target.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        region: str,
        account: str,
        deliveries: Deliveries,
        observer: Observer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._region = region
        self._account = account
        self._deliveries = deliveries
        self._observer = observer
        self._now = clock
        self._buses: dict[str, Bus] = {}
        self._changed = asyncio.Event()
        self.create(DEFAULT_BUS)

    def __iter__(self) -> Iterator[Bus]:
        """The buses by name."""
        return iter([self._buses[name] for name in sorted(self._buses)])

    # ---- buses ------------------------------------------------------------------------------------------------------

    def create(self, name: str, description: str | None = None, arn: str | None = None) -> Bus:
        """Creates a bus.

        Args:
            name: of the bus.
            description: of the bus.
            arn: of a bus that has the ARN of a deployed one; None for one with the stack's region and account.

        Raises:
            AwsError: there is one with this name, or there are too many.
        """
        if name in self._buses:
            raise refused("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
        if "/" in name:
            raise invalid("Event bus name must not contain '/'.")
        if len(self._buses) >= _MOST_BUSES:
            raise _too_many()
        own = arn or f"arn:aws:events:{self._region}:{self._account}:event-bus/{name}"
        found = self._buses[name] = Bus(name, own, self._now(), self._now(), description)
        return found

    def find(self, name_or_arn: str | None) -> Bus | None:
        """The bus with a name or an ARN; the default bus for None."""
        text = name_or_arn or DEFAULT_BUS
        bus = self._buses.get(text.rpartition("/")[2])
        return bus if bus is not None and text in (bus.name, bus.arn) else None

    def get(self, name_or_arn: str | None) -> Bus:
        """The bus with a name or an ARN.

        Raises:
            AwsError: there is none.
        """
        bus = self.find(name_or_arn)
        if bus is None:
            raise no_bus((name_or_arn or "").rpartition("/")[2])
        return bus

    def delete(self, name: str) -> None:
        """Deletes a bus. It succeeds for one that does not exist.

        Raises:
            AwsError: the default bus, or it has rules.
        """
        if name == DEFAULT_BUS:
            raise invalid("Cannot delete event bus default.")
        bus = self.find(name)
        if bus is None:
            return
        if bus.rules:
            raise invalid(f"Event bus {name} cannot be deleted since it has rules.")
        del self._buses[bus.name]

    # ---- rules ------------------------------------------------------------------------------------------------------

    def put_rule(
        self,
        name: str,
        bus: str | None,
        *,
        pattern: str | None = None,
        schedule: str | None = None,
        state: str = ENABLED,
        description: str | None = None,
        role: str | None = None,
    ) -> Rule:
        """Makes a rule, or replaces everything of one but its targets.

        Raises:
            AwsError: the bus does not exist, or AWS would refuse the pattern or the schedule.
        """
        owner = self.get(bus)
        pattern, schedule = pattern or None, schedule or None
        if pattern is None and schedule is None:
            raise invalid(_NO_RULE)
        if schedule is not None and owner.name != DEFAULT_BUS:
            raise invalid("ScheduleExpression is supported only on the default event bus.")
        before = owner.rules.get(name)
        if before is None and len(owner.rules) >= _MOST_RULES:
            raise _too_many()
        where = name if owner.name == DEFAULT_BUS else f"{owner.name}/{name}"
        arn = f"{owner.arn.rpartition(':')[0]}:rule/{where}"
        rule = Rule(name, owner.name, arn, pattern, schedule, state, description, role, self._now())
        rule.pattern = None if pattern is None else _pattern(pattern)
        rule.schedule = None if schedule is None else _schedule(schedule)
        if before is not None:
            rule.targets, rule.tags = before.targets, before.tags
            if (before.schedule_text, before.state) == (schedule, state):
                rule.since = before.since
        owner.rules[name] = rule
        self._plan_next(rule)
        return rule

    def rule(self, name: str, bus: str | None) -> Rule:
        """Finds a rule.

        Raises:
            AwsError: it or its bus does not exist.
        """
        owner = self.get(bus)
        if name not in owner.rules:
            raise no_rule(name, owner.name)
        return owner.rules[name]

    def delete_rule(self, name: str, bus: str | None) -> None:
        """Deletes a rule. It succeeds for one that does not exist.

        Raises:
            AwsError: its bus does not exist, or it has targets.
        """
        owner = self.get(bus)
        rule = owner.rules.get(name)
        if rule is not None and rule.targets:
            raise invalid("Rule can't be deleted since it has targets.")
        owner.rules.pop(name, None)

    def set_state(self, rule: Rule, state: str) -> None:
        """Enables or disables a rule."""
        if rule.state != state:
            rule.state, rule.since = state, self._now()
            self._plan_next(rule)

    def put_targets(self, rule: Rule, targets: Iterable[Target]) -> None:
        """Adds targets, or replaces those with the same id.

        Raises:
            AwsError: too many, or one that this stack cannot deliver to.
        """
        wanted = {target.id: target for target in targets}
        if len({*rule.targets, *wanted}) > _MOST_TARGETS:
            raise _too_many()
        for target in wanted.values():
            if target.service not in _SERVICES:
                what = f"target {target.id}: this local stack delivers to lambda and sqs, not to {target.service}."
                raise invalid(f"{what} Fix: let a function or a queue take the event")
        rule.targets |= wanted

    def _plan_next(self, rule: Rule) -> None:
        rule.next = None
        if rule.schedule is not None and rule.is_enabled:
            rule.next = rule.schedule.after(self._now(), rule.since)
        self._changed.set()

    # ---- events -----------------------------------------------------------------------------------------------------

    def put(self, entry: Entry) -> str:
        """Accepts an event, and passes it to the targets of the rules that take it. Returns its id.

        Raises:
            EntryRefused: an entry that AWS refuses, or too many events wait for their delivery.
        """
        for name, text in (("Source", entry.source), ("DetailType", entry.detail_type), ("Detail", entry.detail)):
            if not text:
                what = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                raise EntryRefused("InvalidArgument", what)
        source, detail_type = str(entry.source), str(entry.detail_type)
        if source.startswith("aws."):
            raise EntryRefused("NotAuthorizedForSourceException", "Not authorized for the source.")
        detail = _detail(str(entry.detail))
        bus = self.find(entry.bus)
        written = self._written(bus, source, detail_type, detail, entry.time, entry.resources)
        event = _event((entry.bus or DEFAULT_BUS) if bus is None else bus.name, written, entry.trace_header)
        if bus is None:
            self._observer.event_lost(event, "there is no such bus")
        else:
            self._take(bus, event, written)
        return event.id

    def _written(
        self,
        bus: Bus | None,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        at: float | None,
        resources: Iterable[str],
    ) -> dict[str, Any]:
        return write(
            event_id=str(uuid.uuid4()),
            detail_type=detail_type,
            source=source,
            account=self._account
            if bus is None
            else bus.arn.split(":")[4],  # that of a deployed bus, if it has its ARN
            time=_time(self._now() if at is None else at),
            region=self._region,
            resources=tuple(resources),
            detail=detail,
        )

    def _take(self, bus: Bus, event: Event, written: Mapping[str, Any]) -> None:
        rules = [rule for rule in bus.rules.values() if rule.is_enabled and rule.pattern is not None]
        taking = [rule for rule in rules if rule.pattern is not None and rule.pattern.matches(written)]
        if not taking:
            self._observer.event_lost(event, "no rule takes it")
        for rule in taking:
            self._send(rule, event, written)

    def _send(self, rule: Rule, event: Event, written: Mapping[str, Any]) -> None:
        occasion = Occasion(rule.arn, rule.name, _time(self._now()))
        for target in rule.targets.values():
            body: str | ValueError
            try:
                body = _encodable(target.input_of(written, occasion))
            except NotJson as error:
                body = error
            self._deliveries.add(event, (rule.name, rule.arn), target, body)
        self._changed.set()

    async def run(self) -> None:
        """Runs schedules and deliveries, until cancelled."""
        while True:
            self._changed.clear()
            self._run_schedules()
            await self._deliveries.run_due()
            times = [each.next for bus in self for each in bus.rules.values() if each.next is not None]
            due = min((*times, *([] if self._deliveries.next is None else [self._deliveries.next])), default=math.inf)
            await self._wait(due)

    async def _wait(self, due: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due == math.inf else max(0.0, due - self._now())):
                await self._changed.wait()

    def _run_schedules(self) -> None:
        now = self._now()
        bus = self._buses[DEFAULT_BUS]
        for rule in bus.rules.values():
            if rule.next is None or rule.schedule is None or rule.next > now:
                continue
            at, rule.next = rule.next, rule.schedule.after(now, rule.since)  # a machine that slept runs it once
            written = self._written(bus, "aws.events", "Scheduled Event", {}, at, [rule.arn])
            with suppress(EntryRefused):  # a schedule has no sender that could be told
                self._send(rule, _event(DEFAULT_BUS, written, None), written)


def _event(bus: str, written: Mapping[str, Any], trace_header: str | None) -> Event:
    text = json.dumps(written, separators=(",", ":"), ensure_ascii=False)
    return Event(written["id"], bus, written["source"], written["detail-type"], _encodable(text), trace_header)


def _encodable(text: str) -> str:
    """The text without half characters (lone surrogates), which JSON may contain and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()


def _detail(text: str) -> Mapping[str, Any]:
    malformed = EntryRefused("MalformedDetail", "Detail is malformed.")
    if is_too_deep(text):  # as the bridge refuses a body
        raise malformed
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise malformed
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    """A number with a fraction or an exponent. 1e999 would become infinity, which JSON cannot express."""
    found = float(number)
    if not math.isfinite(found):
        raise ValueError(f"{number} is too large")
    return found


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise EntryRefused("InvalidArgument", "Parameter Time is not valid.") from None


def _pattern(text: str) -> EventPattern:
    if len(text) > _MOST_PATTERN:
        raise invalid(f"The event pattern is longer than {_MOST_PATTERN} characters. Fix: write fewer")
    try:
        return EventPattern(parse_pattern(text))
    except BadPattern as error:
        raise bad_pattern(error) from error


def bad_pattern(error: BadPattern) -> AwsError:
    """The error for a pattern. AWS names the line and the column, which this stack replaces by the place."""
    return refused(
        "InvalidEventPatternException", f"Event pattern is not valid. Reason: {error.reason} at {error.place}"
    )


def _schedule(text: str) -> Schedule:
    try:
        return parse_schedule(text)
    except BadSchedule as error:
        raise invalid(f"Parameter ScheduleExpression is not valid. {error}") from error


def _too_many() -> AwsError:
    return refused("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
