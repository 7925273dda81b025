"""Run a command and say what it cost, as JSON: run this by `python -I -S`.

A process of its own, and a small one, because Linux counts the memory of whoever forked a process
as that process's peak.
"""

import json
import os
import sys
import time


def main(out: str, err: str, *command: str) -> None:
    """Run the command; its stdout and stderr go to files."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, out, writing, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, writing, 0o600),
    ]
    began = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    ended = time.monotonic()
    cost = {
        "code": os.waitstatus_to_exitcode(status),
        "began_at": began,
        "ended_at": ended,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }
    print(json.dumps(cost))


main(*sys.argv[1:])
