"""`--events` and `--metrics-file`: what machines hear of a run, held to schema and format."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler import errors
from reconciler.cli.events import Events
from reconciler.model import Action, Change, Model, Plan, Reason
from reconciler.platforms.contract import OperationState
from reconciler.render.openmetrics import metrics_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CANCER = ("-t", "breast-cancer")


def events(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        VALIDATOR.validate(line)
    return lines


def samples(path: Path) -> dict[tuple[str, ...], float]:
    """By name and the labels that matter, what a collector reads."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            labels = (sample.labels.get(name) for name in ("name", "state", "version", "declared"))
            found[(sample.name, *(label for label in labels if label))] = sample.value
    return found


def test_a_run_is_told_step_by_step(lab: Lab, command: Command, tmp_path: Path) -> None:
    assert command("apply", "--yes", *CANCER, "--events", "events.jsonl").code == 0
    told = events((tmp_path / "events.jsonl").read_text(encoding="utf-8"))
    assert [told[0]["event"], told[-1]["event"]] == ["begin", "end"]
    steps = [one["step"] for one in told if one["event"] == "step"]
    assert len(steps) == len(set(steps)) > 2
    (done,) = (one for one in told if one["event"] == "done")
    assert (done["name"], done["environment"]) == ("breast-cancer", "local")
    assert told[-1]["exit_code"] == 0
    assert len(told[-1]["report"]["proofs"]) == 1
    record = lab.world().ledger.record(lab.binding("breast-cancer").address)
    assert record is not None
    assert done["run"] in {event.run for event in record.history}


def test_events_on_stdout_are_alone_there(lab: Lab, command: Command) -> None:
    ran = command("apply", "--yes", *CANCER, "--events", "-")
    assert {one["event"] for one in events(ran.out)} == {"begin", "step", "done", "end"}


def test_a_failure_is_an_event_and_so_is_the_end_of_a_run_that_never_began(
    lab: Lab, command: Command
) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: nowhere")
    ran = command("apply", "--yes", "-t", "diabetes*", "--events", "-")
    told = events(ran.out)
    assert told[-1]["exit_code"] == ran.code != 0
    assert "diabetes-young" in [f["name"] for f in told[-1]["report"]["failures"]]
    lab.edit("diabetes.yaml", 'version: "2026-10"', "version: 4")
    told = events(command("apply", "--yes", "--events", "-").out)
    assert [one["event"] for one in told] == ["begin", "end"]
    assert told[-1]["report"] is None
    assert told[-1]["exit_code"] == errors.CONFIGURATION


def test_events_that_cannot_be_written_are_known_before_anything_begins(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    ran = command("apply", "--yes", "--events", "nowhere/events.jsonl")
    assert (ran.code, lab.cloud.log) == (errors.CONFIGURATION, [])
    assert "choose another path" in ran.err


def test_a_disk_that_fills_up_ends_no_run(lab: Lab, command: Command) -> None:
    ran = command("apply", "--yes", *CANCER, "--events", "/dev/full")
    assert ran.code == 0
    assert ran.err.count("events are lost") == 1


def test_a_collector_reads_what_is_pending_in_sync_and_drifted(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "reconciler.prom"
    asked = (*CANCER, "--metrics-file", str(path))
    assert command("status", *asked).code == 0
    assert samples(path)["reconciler_endpoints", "pending"] == 1
    assert command("apply", "--yes", *asked).code == 0
    now = samples(path)
    assert now["reconciler_endpoints", "in_sync"] == 1
    assert now["reconciler_endpoint_info", "breast-cancer", "in_sync", "2026-10", "2026-10"] == 1
    assert now[("reconciler_run_exit_code",)] == 0
    assert now[("reconciler_run_duration_seconds",)] > 0
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    assert command("apply", "--yes", *CANCER).code == 0
    world = lab.world()
    (binding,) = (b for b in lab.desired().bindings if b.name == "breast-cancer")
    old = world.ledger.ref(replace(binding.version, version="2026-10"))
    target = world.targets[binding.kind]
    operation = target.switch(binding, Model(old))
    while target.progress(operation).state is OperationState.RUNNING:
        world.clock.wait(0.05)
    assert command("drift", *asked, "--detailed-exitcode").code == errors.CHANGES
    assert samples(path)[("reconciler_drifted",)] == 1
    assert samples(path)[("reconciler_run_exit_code",)] == errors.CHANGES


def test_a_collector_hears_of_a_run_that_ended_before_its_plan(
    lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reconciler.prom"
    asked = ("apply", "--yes", *CANCER, "--metrics-file", str(path))
    assert command(*asked).code == 0
    for name in [name for name in os.environ if name.endswith(("_KEY", "_TOKEN", "_STORAGE"))]:
        monkeypatch.delenv(name)
    ran = command(*asked)
    assert ran.code == errors.CONFIGURATION, ran.err
    assert samples(path)[("reconciler_run_exit_code",)] == errors.CONFIGURATION
    assert ("reconciler_drifted",) not in samples(path)


def test_a_collector_counts_no_paused_or_undeclared_endpoint_as_in_sync(tmp_path: Path) -> None:
    seen = [("a", Reason.IN_SYNC), ("b", Reason.PAUSED), ("c", Reason.NOT_DECLARED)]
    changes = (Change(name, "K", name, Action.NOOP, code, "") for name, code in seen)
    plan = Plan("e", "cloud", tuple(changes))
    path = tmp_path / "reconciler.prom"
    path.write_text(metrics_text("e", plan, "status", 0, 1.0, 2.0))
    found = samples(path)
    assert [found["reconciler_endpoints", state] for state in ("in_sync", "paused")] == [1, 1]
    assert [key for key in found if "c" in key] == []


@pytest.mark.parametrize("name", ["status", "drift"])
def test_metrics_that_cannot_be_written_are_an_error(
    lab: Lab, command: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    ran = command(name, *CANCER, "--metrics-file", "file/metrics")
    assert ran.code == errors.CONFIGURATION
    assert "choose another path" in ran.err


def test_metrics_that_cannot_be_written_are_the_code_of_a_run_and_of_its_report(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    files = ("--metrics-file", "file/metrics", "--report", "report.json")
    ran = command("apply", "--yes", *CANCER, *files)
    report = json.loads((tmp_path / "report.json").read_text())
    assert ran.code == report["exit_code"] == errors.CONFIGURATION
    assert len(report["report"]["proofs"]) == 1


def test_a_signal_in_the_middle_of_an_event_does_not_wait_for_itself() -> None:
    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if '"step"' in text and '"end"' not in self.getvalue():
                told.tell("end", exit_code=143)
            return super().write(text)

    told = Events(stream := Stream(), "a stream")
    teller = threading.Thread(target=told.tell, args=("step",), daemon=True)
    teller.start()
    teller.join(10)
    assert not teller.is_alive()
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["end", "step"]
