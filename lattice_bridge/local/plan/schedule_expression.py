"""Schedule expressions of EventBridge's rules: `rate(5 minutes)` and `cron(0 10 ? * MON-FRI *)`.

Rule: times are in UTC, to the minute for `cron`. A rate counts from the time when its rule was made or enabled.
Source: "Setting a schedule pattern for scheduled rules" in the EventBridge guide, and expressions that LocalStack's
tests recorded AWS to refuse.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final, Protocol

_RATE: Final = re.compile(r"rate\(([0-9]{1,9}) (minute|hour|day)(s?)\)")
_CRON: Final = re.compile(r"cron\(([^()]{1,250})\)")
_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_RANGES: Final = {
    "minutes": (0, 59),
    "hours": (0, 23),
    "day of month": (1, 31),
    "month": (1, 12),
    "day of week": (1, 7),
    "year": (1970, 2199),
}


class BadSchedule(ValueError):
    """An expression that AWS refuses. The message has a fix."""


class Schedule(Protocol):
    """When a rule runs."""

    def after(self, time: float, since: float) -> float | None:
        """The first time after another; None if there is none. In seconds since the epoch.

        Args:
            time: before it.
            since: when the rule was made or enabled.
        """


@dataclass(frozen=True, slots=True)
class Rate:
    """Runs every few seconds."""

    seconds: int

    def after(self, time: float, since: float) -> float:
        return since + self.seconds * (int(max(0.0, time - since) // self.seconds) + 1)


@dataclass(frozen=True, slots=True)
class Cron:
    """Runs at these minutes.

    Attributes:
        minutes, hours, months, years: in ascending order.
        day_of_month, day_of_week: as written; one of them is `?`.
    """

    minutes: Sequence[int]
    hours: Sequence[int]
    months: Sequence[int]
    years: Sequence[int]
    day_of_month: str
    day_of_week: str

    def after(self, time: float, since: float) -> float | None:  # noqa: ARG002 - a rate needs it
        start = datetime.fromtimestamp(time, UTC)
        for year, month in ((year, month) for year in self.years if year >= start.year for month in self.months):
            if (year, month) < (start.year, start.month):
                continue
            for day in self._days(year, month):
                for hour, minute in ((hour, minute) for hour in self.hours for minute in self.minutes):
                    found = datetime(year, month, day, hour, minute, tzinfo=UTC)
                    if found > start:
                        return found.timestamp()
        return None

    def _days(self, year: int, month: int) -> Iterator[int]:
        last = monthrange(year, month)[1]
        found = {
            day
            for part in (self.day_of_month if self.day_of_week == "?" else self.day_of_week).split(",")
            for day in (
                _days_of_month(part, year, month, last)
                if self.day_of_week == "?"
                else _days_of_week(part, year, month, last)
            )
        }
        return iter(sorted(day for day in found if 1 <= day <= last))


def parse_schedule(text: str) -> Schedule:
    """Parses an expression.

    Raises:
        BadSchedule: AWS would refuse it.
    """
    if rate := _RATE.fullmatch(text):
        count, unit, plural = int(rate[1]), rate[2], bool(rate[3])
        if count and plural is (count != 1):
            return Rate(count * _SECONDS[unit])
    elif cron := _CRON.fullmatch(text):
        return _cron(cron[1].split())
    raise BadSchedule(
        f"{text[:80]!r} is not a schedule. Fix: write it as in rate(1 minute), rate(5 minutes), "
        "or cron(0 10 ? * MON-FRI *)"
    )


# ---- cron -----------------------------------------------------------------------------------------------------------


def _cron(fields: Sequence[str]) -> Cron:
    if len(fields) != len(_RANGES):
        raise BadSchedule(
            f"cron has {len(fields)} fields. Fix: write minutes, hours, day of month, month, day of week, year, "
            "as in cron(0 10 ? * MON-FRI *)"
        )
    by_name = dict(zip(_RANGES, (field.upper() for field in fields), strict=True))
    days = (by_name["day of month"], by_name["day of week"])
    if (days[0] == "?") is (days[1] == "?"):
        raise BadSchedule(f"cron has the days {days[0]} and {days[1]}. Fix: write ? for exactly one of them")
    numbers = {
        name: _numbers(name, by_name[name], {month: at for at, month in enumerate(_MONTHS, 1)})
        for name in ("minutes", "hours", "month", "year")
    }
    found = Cron(numbers["minutes"], numbers["hours"], numbers["month"], numbers["year"], *days)
    for part in chain.from_iterable(field.split(",") for field in days if field != "?"):
        _check_day(part, "day of month" if days[1] == "?" else "day of week")
    return found


_NEAREST: Final = re.compile("(L|[0-9]{1,2})W")
_LAST_OF_MONTH: Final = re.compile("L(?:-([0-9]{1,2}))?")
_NUMBERED: Final = re.compile("([1-7]|[A-Z]{3})#([1-5])")
_LAST_WEEKDAY: Final = re.compile("([1-7]|[A-Z]{3})?L")


def _check_day(part: str, name: str) -> None:
    forms = (_NEAREST, _LAST_OF_MONTH) if name == "day of month" else (_NUMBERED, _LAST_WEEKDAY)
    for form in forms:
        if match := form.fullmatch(part):
            if name == "day of week" and match[1]:
                _number(name, match[1], _WEEKDAYS)
            elif name == "day of month" and (match[1] or "").isdigit():
                _number(name, match[1], {})
            return
    _numbers(name, part, _WEEKDAYS if name == "day of week" else {})


_WEEKDAYS: Final = {day: at for at, day in enumerate(_DAYS, 1)}


def _days_of_month(part: str, year: int, month: int, last: int) -> Iterator[int]:
    if match := _LAST_OF_MONTH.fullmatch(part):
        yield last - int(match[1] or 0)
    elif match := _NEAREST.fullmatch(part):
        day = last if match[1] == "L" else int(match[1])
        if day <= last:
            yield _nearest_weekday(year, month, day, last)
    else:
        yield from _numbers("day of month", part, {})


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    """The weekday nearest to a day, in the same month."""
    weekday = datetime(year, month, day, tzinfo=UTC).isoweekday()
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 7:
        return day + 1 if day < last else day - 2
    return day


def _days_of_week(part: str, year: int, month: int, last: int) -> Iterator[int]:
    first = datetime(year, month, 1, tzinfo=UTC).isoweekday() % 7 + 1  # 1 is Sunday
    if match := _NUMBERED.fullmatch(part):
        yield 1 + (_number("day of week", match[1], _WEEKDAYS) - first) % 7 + 7 * (int(match[2]) - 1)
    elif match := _LAST_WEEKDAY.fullmatch(part):
        wanted = _number("day of week", match[1] or "7", _WEEKDAYS)
        yield max(range(1 + (wanted - first) % 7, last + 1, 7))
    else:
        for weekday in _numbers("day of week", part, _WEEKDAYS):
            yield from range(1 + (weekday - first) % 7, last + 1, 7)


def _numbers(name: str, text: str, words: Mapping[str, int]) -> tuple[int, ...]:
    """The numbers of a field: `*`, numbers, ranges and steps, in a list."""
    low, high = _RANGES[name]
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        if span == "*":
            first, last = low, high
        else:
            first = _number(name, begin, words)
            last = _number(name, end, words) if dash else high if slash else first
        if slash and (not re.fullmatch("[0-9]{1,4}", step) or not int(step)):
            raise BadSchedule(f"the {name} of cron: {part!r} has no step. Fix: write it as in */5")
        wrapped = range(first, last + 1) if first <= last else (*range(first, high + 1), *range(low, last + 1))
        found.update(wrapped[:: int(step) if slash else 1])
    return tuple(sorted(found))


def _number(name: str, text: str, words: Mapping[str, int]) -> int:
    low, high = _RANGES[name]
    number = words.get(text, int(text) if re.fullmatch("[0-9]{1,4}", text) else -1)
    if not low <= number <= high:
        known = f"{low} to {high}" + (f" or {', '.join(words)}" if words else "")
        raise BadSchedule(f"the {name} of cron: {text[:20]!r} is not from {known}. Fix: write such a value")
    return number
