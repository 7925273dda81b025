"""Work that begins now, and whose outcome is waited for where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Soon(Protocol):
    """Begins work in another thread; calling what comes back waits for the outcome.

    Work that was begun earlier is never behind work that was begun later, so it may wait for it.
    """

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]:
        """What returns, or raises, as `work` did; as often as it is called."""
        ...
