"""A sign that a process lives: a file that it holds by `flock`, which the kernel gives back.

Whatever ends the process, also SIGKILL, the kernel frees the file in the same moment; a process
that is paused keeps it. So whoever can have the file knows that its owner has died, without any
clock. That holds for processes of one kernel only: a network disk may keep its locks per machine,
and to a machine of that kind every foreign file looks free. A sign therefore begins with the id
that this machine drew when it started, and one with any other id says nothing here. A machine
without such an id (the file is Linux's) makes and judges no signs.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OURS = ".store"  # the folder below a store's root for its lock file, signs and temporary files
LOCK = f"{OURS}/lock"  # whoever writes to the folder holds it by `flock`
_SIGN = re.compile(r"([0-9a-f-]{36})/([0-9a-f]{32})")


class Signs:
    """The signs of life of processes that use the same folder."""

    root: Path

    @contextlib.contextmanager
    def alive(self) -> Iterator[str]:
        """A sign of this process while it is inside, "" on a machine that makes none."""
        if not (boot := _boot()):
            yield ""
            return
        path = self.root / OURS / uuid.uuid4().hex
        with contextlib.ExitStack() as stack:
            sign = ""
            with contextlib.suppress(OSError):  # the write that follows says what is wrong
                path.parent.mkdir(exist_ok=True)
                # No command that outlives this process inherits the file.
                file = stack.enter_context(path.open("xb"))
                stack.callback(_remove, path)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                sign = f"{boot}/{path.name}"
            yield sign

    def has_died(self, sign: str) -> bool:
        """Whether the process of a sign has ended for certain; False where nobody can tell."""
        parts = _SIGN.fullmatch(sign)
        if parts is None or parts[1] != _boot():
            return False
        try:
            with (self.root / OURS / parts[2]).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # it is held, or not there, or of another user
            return False
        return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the folder may be gone; what stays there goes in a day
        path.unlink()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
