"""What a job that ended, or that nobody knows any more, makes of its version."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from reconciler.engine.observe import _by_job, _rows, access_s
from reconciler.engine.world import timestamp
from reconciler.errors import UnreadableError
from reconciler.ledger import Attempt
from reconciler.model import Artifact, ArtifactState, Rule, RuleKind
from reconciler.platforms.contract import Job, JobState
from reconciler.stores.contract import Place
from tests.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.engine.world import World
    from reconciler.model import Binding

OURS = "models/churn/1/model.ilearner"


def finished(**outputs: str) -> Job:
    places = {port: Place(f"https://a.b/{path}", "?sas") for port, path in outputs.items()}
    return Job(JobState.FINISHED, outputs=places)


@pytest.fixture
def scene(tmp_path: Path) -> tuple[World, Binding, Artifact]:
    """A world, a binding, and the artifact that its job is to make."""
    lab = Lab(tmp_path)
    world = lab.world()
    binding = next(b for b in lab.desired().bindings if b.name == "breast-cancer")
    ref = world.ledger.ref(binding.version)
    return world, binding, Artifact(ArtifactState.ABSENT, ref, job="job-1")


def test_a_model_that_is_not_where_it_was_to_be_written_is_none_of_ours(
    scene: tuple[World, Binding, Artifact],
) -> None:
    world, binding, base = scene
    seen = _by_job(world, binding, base, finished(model="models/m.ilearner"), Attempt("1", ""))
    assert seen.state is ArtifactState.ABSENT
    assert "the model was written to https://a.b/models/m.ilearner, not to" in seen.failure


def test_a_job_that_the_service_forgot_has_failed_only_after_its_access_has_ended(
    scene: tuple[World, Binding, Artifact],
) -> None:
    world, binding, base = scene
    now, forgotten = world.clock.now(), Job(JobState.FORGOTTEN, "not found")
    with pytest.raises(UnreadableError, match="the training engine does not know it"):
        _by_job(world, binding, base, forgotten, Attempt("1", timestamp(now - 60)))
    long_ago = timestamp(now - access_s(binding) - 60)
    seen = _by_job(world, binding, base, forgotten, Attempt("1", long_ago))
    assert "is not known to the training engine any more" in seen.failure


def test_rows_of_data_that_changed_since_the_training_count_for_nothing(
    scene: tuple[World, Binding, Artifact],
) -> None:
    world, binding, _ = scene
    asking = replace(binding, accept=(Rule("AUC", RuleKind.MIN_ROWS, Decimal(1)),))
    (path,) = [path for _, path in binding.recipe.inputs]
    blob = world.data.get(path)
    assert blob is not None
    assert _rows(world, asking, Attempt("1", "", {path: blob.properties.fingerprint})) is not None
    assert _rows(world, asking, Attempt("1", "", {path: "md5:another"})) is None
