"""Work that begins now, and whose outcome is waited for where it is needed.

The danger of waiting inside a pool is that all of its threads wait for work which stands in line
behind them. `beside` cannot come to that: who wants an outcome first tries to take the work back,
and does it itself if no thread has begun it. So there is always somebody who works, however small
the pool.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import cache
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Soon(Protocol):
    """Begins work in another thread; calling what comes back waits for the outcome.

    Work that was begun earlier is never behind work that was begun later, so it may wait for it.
    """

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]:
        """A call that returns or raises as `work` did, as often as it is made."""


def beside(pool: Executor) -> Soon:
    """Work for a thread of the pool that is free; where none is, it is done when it is waited for.

    So the threads of a pool may ask for it too, however many there are.
    """

    def soon(work: Callable[[], T]) -> Callable[[], T]:
        begun = pool.submit(work)
        return cache(lambda: work() if begun.cancel() else begun.result())

    return soon


class Once(Generic[T]):
    """Work done once for all threads that want it: its answer, or what it raised."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._asked: dict[str, Future[T]] = {}

    def __call__(self, what: str, ask: Callable[[], T]) -> T:
        """The result of `ask`, which is called the first time that somebody wants it."""
        with self._guard:
            first = what not in self._asked
            answer = self._asked.setdefault(what, Future())
        if first:
            try:
                answer.set_result(ask())
            except BaseException as exc:
                answer.set_exception(exc)
        return answer.result()
