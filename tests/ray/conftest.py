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
    """A head with eight logical CPUs, on this machine, opened by a token."""
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
