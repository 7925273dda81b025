"""The town is built once; every property is asked shortly, and at length with `-m long`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bodies.Town]:
    """A lab in the middle of a change, and what its cloud said."""
    made = bodies.build(tmp_path_factory.mktemp("town"))
    yield made
    made.lab.close()


@pytest.fixture(params=[1, pytest.param(5, marks=pytest.mark.long)], ids=["short", "long"])
def times(request: pytest.FixtureRequest) -> int:
    """By how much the number of examples is multiplied."""
    return int(request.param)
