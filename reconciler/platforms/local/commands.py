"""What the commands of a repository may know of this process: no secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SSL_CERT_FILE"),
)


def environ_with(variables: Sequence[str]) -> dict[str, str]:
    """The usual environment variables and these, as far as they are set."""
    return {name: os.environ[name] for name in (*INHERITED, *variables) if name in os.environ}
