"""Schedule expressions: when a rule runs, and what AWS refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge.local.plan.schedule_expression import BadSchedule, parse_schedule


def times(text: str, begin: str = "2026-11-30T10:07:30", count: int = 3) -> list[str]:
    """The first times after another one, which is a Monday."""
    schedule, time = parse_schedule(text), datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp()
    found: list[str] = []
    while len(found) < count and (following := schedule.after(time, since=time if not found else 0.0)) is not None:
        assert following > time
        time = following
        found.append(datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S"))
    return found


def test_rate_counts_from_the_time_of_its_rule() -> None:
    rate = parse_schedule("rate(5 minutes)")
    assert [rate.after(time, 1000.0) for time in (1000.0, 1299.0, 1300.0, 9999.0)] == [1300, 1300, 1600, 10_000]
    assert [parse_schedule(text).after(0, 0) for text in ("rate(1 hour)", "rate(2 days)")] == [3600, 172_800]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cron(15 10 * * ? *)", ["2026-11-30 10:15:00", "2026-12-01 10:15:00", "2026-12-02 10:15:00"]),
        ("cron(0/15 * * * ? *)", ["2026-11-30 10:15:00", "2026-11-30 10:30:00", "2026-11-30 10:45:00"]),
        ("cron(*/20 23 ? * * *)", ["2026-11-30 23:00:00", "2026-11-30 23:20:00", "2026-11-30 23:40:00"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-11-30 18:00:00", "2026-12-01 18:00:00", "2026-12-02 18:00:00"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01 08:00:00", "2027-01-01 08:00:00", "2027-02-01 08:00:00"]),
        ("cron(0 0 L 1,2 ? *)", ["2027-01-31 00:00:00", "2027-02-28 00:00:00", "2028-01-31 00:00:00"]),
        ("cron(0 0 L-1 2 ? 2028)", ["2028-02-28 00:00:00"]),
        ("cron(0 0 15W 8 ? 2026-2028)", ["2027-08-16 00:00:00", "2028-08-15 00:00:00"]),
        ("cron(0 0 1W 5 ? 2027)", ["2027-05-03 00:00:00"]),
        ("cron(0 0 LW 1 ? 2027)", ["2027-01-29 00:00:00"]),
        ("cron(0 0 ? 12 6#3 *)", ["2026-12-18 00:00:00", "2027-12-17 00:00:00", "2028-12-15 00:00:00"]),
        ("cron(0 0 ? JAN 2L 2027)", ["2027-01-25 00:00:00"]),
        ("cron(0 9 ? * SAT-SUN 2026)", ["2026-12-05 09:00:00", "2026-12-06 09:00:00", "2026-12-12 09:00:00"]),
        ("cron(0 0 ? * TUE#5 *)", ["2026-12-29 00:00:00", "2027-03-30 00:00:00", "2027-06-29 00:00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        ("cron(0 0 30 2 ? *)", []),
        ("cron(0 0 1 1 ? 1999)", []),
    ],
)
def test_cron_runs_at_the_minutes_that_it_names(text: str, expected: list[str]) -> None:
    assert times(text) == expected


@given(st.integers(0, 59), st.integers(0, 23), st.integers(0, 10**9))
def test_daily_cron_runs_once_within_each_day(minute: int, hour: int, begin: int) -> None:
    schedule = parse_schedule(f"cron({minute} {hour} * * ? *)")
    found, time = [], float(begin)
    for _ in range(3):
        following = schedule.after(time, 0)
        assert following is not None
        time = following
        found.append(datetime.fromtimestamp(time, UTC))
    assert {(one.hour, one.minute, one.second) for one in found} == {(hour, minute, 0)}
    assert all(
        later - earlier == timedelta(days=1) for earlier, later in zip(found, islice(found, 1, None), strict=False)
    )
    assert found[0].timestamp() - begin <= 86_400


RATES = """
rate(10 seconds)|rate(10 years)|rate(1 minutes)|rate(1 hours)|rate(1 days)|rate(10 minute)|rate(10 hour)|rate(10 day)
rate()|rate(10)|rate(10 minutess)|rate(foo minutes)|rate(0 minutes)|rate(-10 minutes)|rate(10 MINUTES)
rate( 10 minutes )| rate(10 minutes)|every day||rate(5 minutes) 
"""  # noqa: W291 - the space at the end is one of the cases


@pytest.mark.parametrize("text", RATES.strip("\n").replace("\n", "|").split("|"))
def test_expression_that_aws_was_recorded_to_refuse_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule, match=r"is not a schedule\. Fix: write it as in rate\(1 minute\)"):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("0 10 * * ?", "cron has 5 fields. Fix"),
        ("0 10 * * * *", r"the days \* and \*\. Fix: write \? for exactly one"),
        ("0 10 ? * ? *", r"Fix: write \? for exactly one"),
        ("60 10 * * ? *", "the minutes of cron: '60' is not from 0 to 59"),
        ("0 24 * * ? *", "the hours of cron: '24' is not from 0 to 23"),
        ("0 10 32 * ? *", "the day of month of cron: '32' is not from 1 to 31"),
        ("0 10 0W * ? *", "the day of month of cron: '0' is not"),
        ("0 10 * FOO ? *", "the month of cron: 'FOO' is not from 1 to 12 or JAN, FEB"),
        ("0 10 ? * 8 *", "the day of week of cron: '8' is not from 1 to 7 or SUN"),
        ("0 10 ? * FOO#1 *", "the day of week of cron: 'FOO' is not"),
        ("0 10 ? * 2#6 *", "the day of week of cron: '2#6' is not"),
        ("0 10 * * ? 1969", "the year of cron: '1969' is not"),
        ("*/0 10 * * ? *", r"the minutes of cron: '\*/0' has no step"),
        ("*/x 10 * * ? *", "has no step"),
        ("1,,2 10 * * ? *", "the minutes of cron: '' is not"),
    ],
)
def test_cron_that_aws_refuses_is_refused(fields: str, words: str) -> None:
    with pytest.raises(BadSchedule, match=words):
        parse_schedule(f"cron({fields})")
