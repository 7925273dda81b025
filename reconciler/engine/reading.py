"""Threads that only read, and that nobody has to wait for."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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
