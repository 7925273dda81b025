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
        assert each(pool, 3, double, range(9)) == tuple(range(0, 18, 2))
        assert each(pool, 3, double, []) == ()
    assert most == 3


def test_a_failure_is_raised_and_ends_the_reading() -> None:
    begun: list[int] = []

    def fail_at_three(number: int) -> None:
        begun.append(number)
        if number == 3:
            raise ValueError("three")

    with reading(1, "test") as pool, pytest.raises(ValueError, match="three"):
        each(pool, 1, fail_at_three, range(1000))
    assert begun == [0, 1, 2, 3]
