"""One real Ray for all tests of a session that are marked `live`."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.ray.head import RealRay

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def real_ray() -> Iterator[RealRay]:
    """A head with eight logical CPUs, on this machine, opened by a token.

    RECONCILER_TEST_RAY="DASHBOARD-PORT TOKEN SERVE-PORT" takes one that `tests/ray/head.py` runs.
    """
    if running := os.environ.get("RECONCILER_TEST_RAY"):
        port, token, serve_port = running.split()
        ray = RealRay(token, serve_port=int(serve_port))
        ray.ports["dashboard"] = int(port)
        ray.folder.rmdir()
        yield ray
        return
    if find_spec("ray") is None:
        why = "Ray is not installed: pip install -e '.[ray]'"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    ray = RealRay(secrets.token_hex(16))
    try:
        ray.start()
        yield ray
    finally:
        ray.stop()
