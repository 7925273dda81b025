"""Threads that only read, and that nobody has to wait for."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

S = TypeVar("S")
T = TypeVar("T")


@contextlib.contextmanager
def reading(parallel: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool that Ctrl-C leaves at once: a service that does not answer is asked for minutes.

    What is left behind only reads, and ends with the process.
    """
    pool = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix=name)
    wait = True
    try:
        yield pool
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=not wait)


def each(
    pool: ThreadPoolExecutor, parallel: int, work: Callable[[S], T], items: Sequence[S]
) -> tuple[T, ...]:
    """What `work` makes of each item, in their order, `parallel` at a time.

    As `pool.map`, without a future for each of thousands: those wake the thread that waits for
    them one by one, and each time it takes the turn of one that works.
    """
    made: dict[int, T] = {}
    left = enumerate(items)

    def some() -> None:
        for number, item in left:  # which all share: each number goes to one of them
            made[number] = work(item)

    futures = [pool.submit(some) for _ in range(min(parallel, len(items)))]
    try:
        for future in futures:
            future.result()
    except BaseException:
        deque(left, maxlen=0)  # the others begin no more
        raise
    return tuple(made[number] for number in range(len(items)))
