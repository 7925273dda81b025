"""The environment of a repository's commands: no secret of this process but those it names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from reconciler.errors import remember_secret
from reconciler.secrecy import holds_secret

INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SSL_CERT_FILE"),
)


def environ_with(variables: Sequence[str]) -> dict[str, str]:
    """The usual environment variables and these, as far as they are set."""
    return {name: os.environ[name] for name in (*INHERITED, *variables) if name in os.environ}


def remember_secrets_of(variables: Sequence[str]) -> None:
    """Hide the values of variables that their names call secret: a command may print them."""
    for name in filter(holds_secret, variables):
        remember_secret(os.environ.get(name, ""))
