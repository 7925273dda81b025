"""A token that a cluster refuses in the middle of a run rejects no version; a good one goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ray.serve_standin import APPLICATIONS
from tests.ray.standin import TOKEN
from tests.twins.contract import FIRST, SECOND
from tests.twins.ray import Applications, applications

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Expiring(list[str]):
    """The requests of a cluster, which refuses the token from one of them on."""

    def __init__(self, twin: Applications, last: int) -> None:
        super().__init__()
        self._twin, self._last = twin, last

    def append(self, request: str) -> None:
        super().append(request)
        if len(self) > self._last:
            self._twin.cluster.world.token = "another"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Applications]:
    with applications(tmp_path) as made:
        assert isinstance(made, Applications)
        assert made.apply().failures == ()
        yield made


def test_no_version_is_rejected_wherever_the_token_expires(twin: Applications) -> None:
    world = twin.cluster.world
    world.requests = counted = Expiring(twin, 10_000)
    twin.ask_for(SECOND)
    assert [ended.failure for ended in twin.run().values()] == [None]
    put = counted.index(f"PUT {APPLICATIONS}")
    for number, last in enumerate((1, put - 1, put, put + 1, put + 2)):
        wanted = (FIRST, SECOND)[number % 2]
        twin.ask_for(wanted)
        world.requests = Expiring(twin, last)
        plan = twin.plan()
        ended = twin.converge(twin.world(), 8, plan).values()
        words = [change.why for change in plan.changes]
        words += [each.failure.message for each in ended if each.failure]
        assert "the token in RAY_TOKEN is not that of this cluster" in str(words), last
        assert "rejected" not in str(words)
        world.token, world.requests = TOKEN, []
        assert twin.apply().failures == (), (last, words)
        assert twin.serving() == wanted
        assert twin.plan().converged
