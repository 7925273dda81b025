"""`--report FILE` is written on every end, and fits the schema that is shipped."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from reconciler import errors
from reconciler.cli import applying, ending, stopping
from reconciler.cli import session as opened
from reconciler.emulator import Fault
from reconciler.emulator.messages import Response
from tests.cli.test_process import COMMAND, environment, started_jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.session import Seen, Session
    from reconciler.emulator.messages import Request
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/run.schema.json").read_text())


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


def test_a_success_is_reported(lab: Lab, command: Command, tmp_path: Path) -> None:
    ran = command("apply", "--yes", "--report", "out/report.json")
    written = read(tmp_path / "out/report.json")
    assert (ran.code, written["exit_code"], written["error"]) == (0, 0, "")
    assert len(written["report"]["proofs"]) == 4


def test_a_training_and_a_roll_back_are_reported_too(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    command("apply", "--yes", "-t", "breast-cancer")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    assert command("train", "--yes", "-t", "b*", "--report", "report.json").code == 0
    written = read(tmp_path / "report.json")
    assert (written["command"], written["exit_code"]) == ("train", 0)
    assert [c["action"] for c in written["report"]["plan"]["changes"]] == ["BIND"]
    command("apply", "--yes", "-t", "breast-cancer")
    assert command("rollback", "breast-cancer", "--yes", "--report", "report.json").code == 0
    written = read(tmp_path / "report.json")
    assert (written["command"], written["exit_code"]) == ("rollback", 0)
    (proof,) = written["report"]["proofs"]
    assert (proof["model"], proof["rolled_back"]) == ("2026-10", True)
    assert command("rollback", "nobody", "--yes", "--report", "report.json").code == 3
    assert "there is no binding nobody" in read(tmp_path / "report.json")["error"]


def test_failures_are_reported(lab: Lab, command: Command, tmp_path: Path) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: nowhere")
    ran = command("apply", "--yes", "--report", "report.json")
    written = read(tmp_path / "report.json")
    assert ran.code == written["exit_code"] == errors.PARTIAL
    assert [f["name"] for f in written["report"]["failures"]] == ["diabetes-young"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [('version: "2026-10"', "version: 4", errors.CONFIGURATION), ("x", "x", errors.REFUSED)],
)
def test_a_run_that_never_began_is_reported(
    lab: Lab, command: Command, tmp_path: Path, old: str, new: str, code: int
) -> None:
    lab.edit("breast-cancer.yaml", old, new)
    ran = command("apply", "--report", "report.json")
    written = read(tmp_path / "report.json")
    assert ran.code == written["exit_code"] == code
    told = written["report"] and written["report"]["failures"]
    assert (told and told[0]["exit_code"]) == (None if code == errors.CONFIGURATION else code)
    assert written["error"] in ran.err.replace("error: ", "")


def test_a_bug_is_reported(
    lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "apply_now", lambda *_: 1 / 0)
    ran = command("apply", "--yes", "--report", "report.json")
    written = read(tmp_path / "report.json")
    assert ran.code == written["exit_code"] == errors.BUG
    assert "ZeroDivisionError" in written["error"]
    assert "please report it" in ran.err


def test_a_signal_is_reported(lab: Lab, tmp_path: Path) -> None:
    object.__setattr__(lab.cloud.options, "speed", 1.0)
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--report", "report.json"],
        cwd=tmp_path,
        env=environment(lab),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while started_jobs(lab) < 4:
        assert process.poll() is None
        select.select([], [], [], 0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == errors.TERMINATED
    written = read(tmp_path / "report.json")
    assert written["exit_code"] == errors.TERMINATED
    assert written["report"]["stopped_by"] == signal.SIGTERM


def test_a_second_signal_is_reported_too(lab: Lab, tmp_path: Path) -> None:
    """The first one waits for a step that hangs; the second one does not."""
    asked, released = threading.Event(), threading.Event()
    serve = lab.cloud.handle

    def hangs(request: Request) -> Response:
        if request.method == "POST" and request.path.endswith("/jobs"):
            asked.set()
            released.wait(60)
        return serve(request)

    lab.cloud.handle = hangs  # type: ignore[method-assign]
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--report", "report.json"],
        cwd=tmp_path,
        env=environment(lab),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        while "stopping after the steps under way" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == errors.INTERRUPTED
    finally:
        released.set()
    written = read(tmp_path / "report.json")
    assert (written["exit_code"], written["error"]) == (errors.INTERRUPTED, "interrupted")
    assert {one["reached"] for one in written["report"]["unfinished"]} == {"not_begun"}
    assert len(written["report"]["unfinished"]) == 4


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_write_without_an_answer_at_the_second_signal_was_perhaps_done(
    lab: Lab, command: Command, tmp_path: Path, method: str
) -> None:
    command("train", "--yes")
    arguments = ["-t", "breast-cancer"]
    if method == "DELETE":
        services = lab.cloud.world.classic.values()
        service = next(s for s in services if s.name == "Diabetes Scoring")
        command("apply", "--yes")
        service.endpoints["young"].description = "[reconciler: local@mllocal/models]"
        (lab.services / "local" / "diabetes.yaml").unlink()
        arguments = ["--prune"]
    asked, released = threading.Event(), threading.Event()
    serve = lab.cloud.handle

    def hangs(request: Request) -> Response:
        answer = serve(request)
        if request.method == method:
            asked.set()
            released.wait(60)
        return answer

    lab.cloud.handle = hangs  # type: ignore[method-assign]
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--report", "report.json", *arguments],
        cwd=tmp_path,
        env=environment(lab),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        while "stopping after the steps under way" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == errors.INTERRUPTED
    finally:
        released.set()
    report = read(tmp_path / "report.json")["report"]
    (one,) = report["unfinished"]
    assert one["reached"] == "asked"
    assert report["done"] == [one["address"]]


def swapping(lab: Lab, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """An apply whose swap of breast-cancer was taken, and of which no answer says how it goes on:
    the other endpoints are in sync, or wait for a job slot that never comes."""
    asked, serve = threading.Event(), lab.cloud.handle

    def handle(request: Request) -> Response:
        if "operationsstatus" in request.path.lower():
            asked.set()
            return Response(200, {"Content-Type": "application/json"}, b'{"status":"Running"}')
        return serve(request)

    lab.cloud.handle = handle  # type: ignore[method-assign]
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--report", "report.json", *arguments],
        cwd=folder,
        env=environment(lab),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_swapping_names_what_was_changed_and_not_proved(
    lab: Lab, tmp_path: Path, number: signal.Signals
) -> None:
    process = swapping(lab, tmp_path)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"Stopped by {number.name}" in out
    assert "? breast-cancer   changed, not proved" in out
    assert "0 changed" not in out
    report = read(tmp_path / "report.json")["report"]
    reached = {one["name"]: one["reached"] for one in report["unfinished"]}
    assert reached["breast-cancer"] == "changed"
    address = "webServices/ml-local/breast-cancer-predictive"
    assert address in report["done"]
    assert {*report["done"]} == {
        *(p["address"] for p in report["proofs"]),
        *(one["address"] for one in report["unfinished"] if one["reached"] == "changed"),
    }


def test_a_rollback_that_was_stopped_does_not_say_how_to_keep_it(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes", "-t", "breast-cancer")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    command("apply", "--yes", "-t", "breast-cancer")
    serve = lab.cloud.handle

    def stopping(request: Request) -> Response:
        answer = serve(request)
        if request.method == "PATCH":
            os.kill(os.getpid(), signal.SIGTERM)
        return answer

    lab.cloud.handle = stopping  # type: ignore[method-assign]
    ran = command("rollback", "breast-cancer", "--yes")
    assert ran.code == errors.TERMINATED
    assert "? breast-cancer   changed, not proved" in ran.out
    assert "to keep it" not in ran.err


def test_a_hangup_that_nohup_holds_off_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopping.ending_signals() == [signal.SIGTERM, signal.SIGHUP]
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    assert stopping.ending_signals() == [signal.SIGTERM]


def test_a_bug_in_the_middle_of_a_run_hides_nothing_that_was_changed(
    lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.Session, "observe", seen_once(opened.Session.observe))
    ran = command("apply", "--yes", "--report", "report.json")
    written = read(tmp_path / "report.json")
    assert ran.code == written["exit_code"] == errors.BUG
    assert "ZeroDivisionError" in written["error"]
    assert len(written["report"]["done"]) == len(written["report"]["proofs"]) == 4
    assert "4 changed, 4 proved" in ran.err


def seen_once(observe: Callable[[Session], Seen]) -> Callable[[Session], Seen]:
    """A look at the world, which is a bug the second time."""
    looks: list[Session] = []

    def seen(session: Session) -> Seen:
        looks.append(session)
        return observe(session) if len(looks) == 1 else 1 / 0  # type: ignore[return-value]

    return seen


def test_a_run_that_cannot_have_the_lock_says_that_nothing_was_begun(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    lab.cloud.faults.script(Fault("blob.put", "status", times=1000, status=503))
    ran = command("apply", "--yes", "--report", "report.json")
    written = read(tmp_path / "report.json")
    assert ran.code == written["exit_code"] == errors.ERROR
    assert [one["reached"] for one in written["report"]["unfinished"]] == ["not_begun"] * 4


def test_a_signal_while_planning_is_reported(lab: Lab, tmp_path: Path) -> None:
    asked, released = threading.Event(), threading.Event()
    serve = lab.cloud.handle

    def hangs(request: Request) -> Response:
        asked.set()
        released.wait(30)
        return serve(request)

    lab.cloud.handle = hangs  # type: ignore[method-assign]
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes", "--report", "report.json"],
        cwd=tmp_path,
        env=environment(lab),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert asked.wait(30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == errors.TERMINATED
    finally:
        released.set()
    written = read(tmp_path / "report.json")
    assert (written["exit_code"], written["error"]) == (errors.TERMINATED, "terminated")


def test_a_report_that_cannot_be_written_is_known_before_anything_is_done(
    lab: Lab, command: Command
) -> None:
    ran = command("apply", "--yes", "--report", f"{os.devnull}/report.json")
    assert ran.code == errors.CONFIGURATION
    assert "cannot be written" in ran.err
    assert lab.cloud.log == []


@pytest.mark.parametrize(("old", "code"), [("young", errors.SUCCESS), ("nowhere", errors.PARTIAL)])
def test_a_report_that_fails_at_the_end_hides_neither_the_run_nor_its_code(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch, old: str, code: int
) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", f"endpoint: {old}")
    write = ending.write_file

    def full(path: Path, text: str) -> None:
        if '"report": null' not in text:
            raise errors.ConfigurationError(f"{path} cannot be written: No space left on device")
        write(path, text)

    monkeypatch.setattr(ending, "write_file", full)
    ran = command("apply", "--yes", "--report", "report.json")
    assert ran.code == (code or errors.CONFIGURATION)
    assert "No space left" in ran.err
    assert "proved" in ran.out


def test_a_secret_in_an_error_never_reaches_the_report(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    key = lab.environ["LOCAL_STORE_KEY"]
    body = json.dumps({"error": {"code": "X", "message": f"AccountKey={key}", "details": []}})
    lab.cloud.faults.script(Fault("arm.get", "status", times=100, status=400, body=body))
    command("apply", "--yes", "--report", "report.json")
    text = (tmp_path / "report.json").read_text()
    assert "AccountKey=***" in text
    assert key not in text
