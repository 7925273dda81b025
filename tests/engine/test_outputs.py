"""Which of a finished job's outputs is the model: told by its file, not by the port's number."""

from __future__ import annotations

import pytest

from reconciler.engine.observe import _model
from reconciler.errors import UnreadableError
from reconciler.model import ModelRef
from reconciler.training import Job, JobState
from reconciler.wire.blob import BlobUrl

OURS = "models/churn/1/model.ilearner"


def finished(**outputs: str) -> Job:
    places = {port: BlobUrl("https://a.b/", path, "?sas") for port, path in outputs.items()}
    return Job(JobState.FINISHED, outputs=places)


@pytest.mark.parametrize("port", ["output1", "output2", ""])
def test_the_only_model_file_is_the_model_whatever_its_port(port: str) -> None:
    job = finished(output1="models/churn/1/evaluation.csv", output2=OURS)
    assert _model(job, port) == ModelRef(f"https://a.b/{OURS}")


def test_of_two_model_files_the_one_at_the_declared_port_is_the_model() -> None:
    """A transform is a file of this kind too (§3.4); without an override it lies elsewhere."""
    job = finished(output1="experimentoutput/7/7.ilearner", output2=OURS)
    assert _model(job, "output2") == ModelRef(f"https://a.b/{OURS}")


@pytest.mark.parametrize("outputs", [{}, {"output1": "a/1.ilearner", "output2": "a/2.ilearner"}])
def test_no_model_file_or_two_that_nothing_tells_apart_are_unreadable(
    outputs: dict[str, str],
) -> None:
    with pytest.raises(UnreadableError, match=r"of its outputs are \.ilearner files, not one"):
        _model(finished(**outputs), "output3")
