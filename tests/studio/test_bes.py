"""What the batch execution service may answer (§4.3, §4.4, §4.5), and what we make of it."""

from __future__ import annotations

import json
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engine.evaluation import parse_evaluation, parse_metrics
from reconciler.errors import UnreadableError
from reconciler.http.response import Headers, Response
from reconciler.model import METRICS, MODEL
from reconciler.platforms.contract import Job, JobState, Order
from reconciler.platforms.studio.bes import BatchExecution, parse_job
from reconciler.platforms.studio.hosts import Hosts
from reconciler.stores.contract import Place
from tests.test_plan import RECIPE

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
def test_a_finished_job_has_outputs_by_role(code: object) -> None:
    place = {"BaseLocation": "https://a/", "RelativeLocation": "c/m.ilearner", "SasBlobToken": "?s"}
    job = parse_job({"StatusCode": code, "Results": {"output2": place}, "Extra": 1})
    assert job.state is JobState.FINISHED
    assert job.outputs[MODEL] == Place("https://a/c/m.ilearner", "?s")


OURS = "models/churn/1/model.ilearner"


def finished(**outputs: str) -> Job:
    results = {
        port: {"BaseLocation": "https://a.b/", "RelativeLocation": path, "SasBlobToken": "?s"}
        for port, path in outputs.items()
    }
    return parse_job({"StatusCode": 4, "Results": results})


def test_the_only_model_file_is_the_model_whatever_its_port() -> None:
    job = finished(output1="models/churn/1/evaluation.csv", output2="experimentoutput/7.ilearner")
    assert job.outputs[MODEL].uri == "https://a.b/experimentoutput/7.ilearner"
    assert job.outputs[METRICS].uri == "https://a.b/models/churn/1/evaluation.csv"


def test_of_two_model_files_the_one_at_our_name_is_the_model() -> None:
    """A transform is a file of this kind too (§3.4); without an override it lies elsewhere."""
    job = finished(output1="experimentoutput/7/7.ilearner", output2=OURS)
    assert job.outputs[MODEL].uri == f"https://a.b/{OURS}"


@pytest.mark.parametrize("outputs", [{}, {"output1": "a/1.ilearner", "output2": "a/2.ilearner"}])
def test_no_model_file_or_two_that_nothing_tells_apart_are_no_model(
    outputs: dict[str, str],
) -> None:
    job = finished(**outputs)
    assert MODEL not in job.outputs
    assert "of its outputs are .ilearner files, not one" in job.message


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


def test_metrics_are_json_or_the_evaluation_by_content() -> None:
    assert parse_metrics(b'\xef\xbb\xbf {"AUC": 0.9, "n": 3}') == {"AUC": 0.9, "n": 3.0}
    assert parse_metrics(b"AUC,F1\n0.9,0.5\n") == {"AUC": 0.9, "F1": 0.5}


@pytest.mark.parametrize(
    "content",
    [b"{", b"{}", b'{"AUC": NaN}', b'{"AUC": "0.9"}', b'{"AUC": true}', b'{"a": 1, "a": 2}'],
)
def test_json_without_finite_metrics_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnreadableError, match="its metric"):
        parse_metrics(content)


NO_IDS = [
    "../../../../subscriptions/x?y=1#z",
    "..",
    "a/b",
    "a?b",
    "a#b",
    "%2e%2e%2fx",
    "a b",
    "a\nb",
    "\u202ea",
    "",
    "a" * 129,
]


ORDER = Order("k" * 64, 1, RECIPE, {}, {}, 60.0)


class Handing:
    """A training service that hands out one id, and remembers what it was asked."""

    def __init__(self, job: object) -> None:
        self.body = json.dumps(job).encode()
        self.asked: list[str] = []

    def request(self, method: str, url: str, **_: object) -> Response:
        self.asked.append(f"{method} {url}")
        return Response(200, Headers({}), self.body)


@pytest.mark.parametrize("job", NO_IDS)
def test_what_is_no_id_of_a_job_never_becomes_a_part_of_a_path(job: str) -> None:
    """It is handed out by a service, and kept in a manifest that others may write."""
    http = Handing(job)
    service = SimpleNamespace(name="t", url="https://ussouthcentral.services.azureml.net/x")
    jobs = BatchExecution(http, Hosts(""), service, "a-key-of-a-test")  # type: ignore[arg-type]
    with pytest.raises(UnreadableError, match=r"not an id|no job id"):
        jobs.prepare(ORDER)
    http.asked.clear()
    for ask in (jobs.look, lambda one: jobs.start(one, ORDER), jobs.cancel):
        with pytest.raises(UnreadableError, match="which is not an id"):
            ask(job)
    assert http.asked == []


def test_an_evaluation_is_read_no_further_than_its_first_two_lines() -> None:
    """40 MB of lines took 2.3 GB."""
    content = b"AUC,Rows\n0.9,100\n" + b"1,2\n" * 10_000_000
    tracemalloc.start()
    assert parse_evaluation(content) == {"AUC": 0.9, "Rows": 100}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "content", [b"a," * 20_000_000, b'"' * 40_000_000, b"a\n" + b"1" * 40_000_000]
)
def test_an_evaluation_of_one_long_line_is_unreadable(content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UnreadableError):
        parse_evaluation(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
