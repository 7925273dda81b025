"""Why an operation has not succeeded: it failed, or a process has not started yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Failure(Exception):
    """Why an operation fails: a code of the service and what it says."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Unready(Exception):
    """A process is not ready yet: call `wait` without holding the world, and come again."""

    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__("not ready")
        self.wait = wait
