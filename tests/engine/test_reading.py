"""Many things read at once: in their order, and no more of them after one has failed."""

from __future__ import annotations

import threading

import pytest

from reconciler.engine.reading import each, reading


def test_what_is_read_keeps_its_order_and_no_more_are_read_at_once_than_asked() -> None:
    guard, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(3)

    def double(number: int) -> int:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        together.wait(timeout=10)
        with guard:
            now -= 1
        return 2 * number

    with reading(8, "test") as pool:
        assert each(pool, 3, double, with_both, range(9)) == tuple((n, 2 * n) for n in range(9))
        assert each(pool, 3, double, with_both, []) == ()
    assert most == 3


def test_a_failure_is_raised_and_ends_the_reading() -> None:
    begun: list[int] = []

    def fail_at_three(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError("three")

    with reading(1, "test") as pool, pytest.raises(ValueError, match="three"):
        each(pool, 1, fail_at_three, with_both, range(1000))
    assert begun == [0, 1, 2, 3]


def test_until_a_list_has_come_others_are_begun_and_then_all_are_ended() -> None:
    begun: list[int] = []
    came = threading.Event()

    def begin(number: int) -> int:
        begun.append(number)
        if number == 60:
            came.set()
        return number

    def end(number: int, same: int) -> tuple[int, int, int]:
        assert came.wait(timeout=10)
        return number, same, len(begun)

    with reading(2, "test") as pool:
        found = each(pool, 2, begin, end, range(100), ready=came.is_set)
    assert [pair[:2] for pair in found] == [(number, number) for number in range(100)]
    assert found[0][2] >= 61  # not one was ended before
    assert found[0][2] < 100  # and those that waited are not left to the end


def test_what_is_ready_only_when_nothing_is_left_is_waited_for() -> None:
    with reading(2, "test") as pool:
        found = each(pool, 2, lambda n: -n, with_both, range(9), ready=lambda: False)
    assert found == tuple((n, -n) for n in range(9))


def test_a_failure_at_the_end_is_raised_and_ends_the_reading() -> None:
    ended: list[int] = []

    def fail_at_three(number: int, _: int) -> None:
        ended.append(number)
        if number == 3:
            raise ValueError("three")

    with reading(1, "test") as pool, pytest.raises(ValueError, match="three"):
        each(pool, 1, abs, fail_at_three, range(1000), ready=lambda: False)
    assert ended == [0, 1, 2, 3]


def with_both(number: int, begun: object) -> tuple[int, object]:
    """What an end was given."""
    return number, begun
