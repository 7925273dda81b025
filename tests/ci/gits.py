"""git, as nobody in particular, and without anybody's settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, given: str | None = None, **environ: str) -> str:
    """What git says, run in a folder as nobody in particular."""
    who = ("-c", "user.name=mona", "-c", "user.email=mona@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, "-c", "init.defaultBranch=main", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
