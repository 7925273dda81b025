"""What the batch execution service may answer (§4.3, §4.4, §4.5), and what we make of it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.training import JobState
from reconciler.training.bes import parse_job
from reconciler.training.evaluation import parse_evaluation

STATES = [
    (0, JobState.NOT_STARTED),
    ("NotStarted", JobState.NOT_STARTED),
    ("Not started", JobState.NOT_STARTED),
    (1, JobState.RUNNING),
    ("Running", JobState.RUNNING),
    (2, JobState.FAILED),
    ("2", JobState.FAILED),
    ("Failed", JobState.FAILED),
    (3, JobState.CANCELLED),
    ("Cancelled", JobState.CANCELLED),
    ("Canceled", JobState.CANCELLED),
]


@pytest.mark.parametrize(("code", "state"), STATES)
def test_states_come_as_numbers_or_words(code: object, state: JobState) -> None:
    assert parse_job({"StatusCode": code, "Results": None, "Details": None}).state is state


@pytest.mark.parametrize("code", [4, "4", "Finished"])
def test_a_finished_job_has_outputs_by_port(code: object) -> None:
    place = {"BaseLocation": "https://a/", "RelativeLocation": "c/m.ilearner", "SasBlobToken": "?s"}
    job = parse_job({"StatusCode": code, "Results": {"output2": place}, "Extra": 1})
    assert job.state is JobState.FINISHED
    assert job.outputs["output2"].relative == "c/m.ilearner"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Status Code": "Finished"},
        {"StatusCode": None},
        {"StatusCode": True},
        {"StatusCode": 5},
        {"StatusCode": "Exploded"},
        {"StatusCode": "Finished", "Results": None},
        {"StatusCode": "Finished", "Results": {"output1": None}},
        {"StatusCode": "Finished", "Results": {"output1": {"BaseLocation": 1}}},
    ],
)
def test_what_nobody_documented_is_unreadable(answer: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        parse_job(answer)


def test_details_are_the_message() -> None:
    assert parse_job({"StatusCode": "Failed", "Details": "no header"}).message == "no header"


def test_an_evaluation_is_a_header_and_a_value_line() -> None:
    content = b"\xef\xbb\xbfAUC, Accuracy,Name\r\n0.921,0.9,model\r\n0.1,0.2,other\r\n"
    assert parse_evaluation(content) == {"AUC": 0.921, "Accuracy": 0.9}


def test_a_metric_that_is_no_finite_number_is_left_out() -> None:
    assert parse_evaluation(b"AUC,F1\nNaN,0.5\n") == {"F1": 0.5}


@pytest.mark.parametrize(
    "content", [b"", b"AUC\n", b"AUC,F1\n0.5\n", b"AUC\nnan\n", b"\xff\xfe\n", b"<html>\n<p>\n"]
)
def test_an_evaluation_without_metrics_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_evaluation(content)
