"""Threads that only read, and that nobody has to wait for.

A plan of a thousand endpoints is a thousand small questions, and its time is the number of them
divided by the threads. Two things would spoil that. A thread that waits for a list which another
one reads does nothing meanwhile, so `each` begins other looks first and comes back for the ends.
And Ctrl-C must not wait for a service that is silent, which is possible for one reason only:
nothing here writes, so nothing can be left half done.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

B = TypeVar("B")
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
    pool: ThreadPoolExecutor,
    parallel: int,
    begin: Callable[[S], B],
    end: Callable[[S, B], T],
    items: Sequence[S],
    ready: Callable[[], bool] = lambda: True,
) -> tuple[T, ...]:
    """The results of `end` for each item and its result of `begin`, in the order of the items.

    `parallel` threads work. Until what the ends wait for is `ready` they begin others instead, and
    only when none is left do they wait. There is no future for each of thousands: those wake the
    thread that waits for them one by one, and each time it takes the turn of one that works.
    """
    made: dict[int, T] = {}
    left = enumerate(items)
    begun: deque[tuple[int, S, B]] = deque()

    def end_one() -> bool:
        try:
            number, item, what = begun.popleft()
        except IndexError:  # the others have ended them
            return False
        made[number] = end(item, what)
        return True

    def some() -> None:
        for number, item in left:  # which all share: each number goes to one of them
            begun.append((number, item, begin(item)))
            if ready():  # two, or those that had to wait would be left to the end
                end_one()
                end_one()
        while end_one():
            pass

    futures = [pool.submit(some) for _ in range(min(parallel, len(items)))]
    try:
        for future in futures:
            future.result()
    except BaseException:
        deque(left, maxlen=0)  # the others begin no more, and end none
        begun.clear()
        raise
    return tuple(made[number] for number in range(len(items)))
