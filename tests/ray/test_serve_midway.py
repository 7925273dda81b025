"""What happens to an application in the middle of a swap is no fault of the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.twins.contract import SECOND
from tests.twins.ray import THEIRS, Applications, applications

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Applications]:
    """An application that serves the first version, and is to serve the second."""
    with applications(tmp_path) as made:
        assert isinstance(made, Applications)
        made.edit("all.yaml", "ray: {url", "ray: {cluster: any, url")
        assert made.apply().proofs
        made.ask_for(SECOND)
        yield made


def midway(twin: Applications, look: int, happens: Callable[[], object]) -> None:
    """Let something happen just before a look at the applications, counted from the write on."""
    serve = twin.cluster.serve
    puts, looks, show = len(serve.bodies), [0], serve.show

    def shown() -> object:
        looks[0] += len(serve.bodies) > puts
        if looks[0] == look:
            happens()
        return show()

    serve.show = shown  # type: ignore[method-assign]


def deleted(twin: Applications) -> None:
    """Somebody replaces all applications, and does not name ours."""
    twin.cluster.serve.declare([THEIRS])


def restarted(twin: Applications) -> None:
    """The head restarts without its state."""
    twin.cluster.world.restart()
    deleted(twin)


@pytest.mark.parametrize(
    ("look", "happens", "words"),
    [(2, deleted, "it is gone"), (3, restarted, "it was deleted during the swap")],
)
def test_an_application_that_vanishes_in_a_swap_rejects_no_version(
    twin: Applications, look: int, happens: Callable[[Applications], None], words: str
) -> None:
    midway(twin, look, lambda: happens(twin))
    (ended,) = twin.run().values()
    assert ended.failure is not None
    assert words in ended.failure.message
    assert "rejected" not in ended.failure.message
    assert twin.changes()["m"].code == "missing"
    assert twin.apply().failures == ()
    assert twin.serving() == SECOND
    assert twin.plan().converged
