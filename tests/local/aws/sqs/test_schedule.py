from __future__ import annotations

from lattice_bridge.local.aws.sqs.schedule import Schedule


def test_due_numbers_come_in_the_order_of_their_times() -> None:
    schedule = Schedule()
    for number, time in ((1, 30.0), (2, 10.0), (3, 20.0)):
        schedule.set(number, time)
    assert (list(schedule.due(20.0)), schedule.next()) == ([2, 3], 30.0)


def test_replaced_time_counts_alone() -> None:
    schedule = Schedule()
    schedule.set(1, 10.0)
    schedule.set(1, 30.0)
    assert (list(schedule.due(29.0)), schedule.next()) == ([], 30.0)
    schedule.set(1, 5.0)
    assert (list(schedule.due(100.0)), schedule.next()) == ([1], None)


def test_removed_number_is_never_due() -> None:
    schedule = Schedule()
    schedule.set(1, 10.0)
    schedule.remove(1)
    schedule.remove(2)
    assert (list(schedule.due(100.0)), schedule.next(), len(schedule)) == ([], None, 0)


def test_times_that_are_changed_in_a_loop_fill_no_memory() -> None:
    schedule = Schedule()
    for time in range(10_000):
        schedule.set(1, float(time))
    assert (len(schedule._heap) < 200, list(schedule.due(10_000.0))) == (True, [1])
