"""`notify`: a webhook hears what went wrong or right again, and never fails a run."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.cli import notify
from reconciler.model import (
    Action,
    Cause,
    Change,
    Drift,
    Failure,
    FieldDiff,
    Health,
    HealthCode,
    Held,
    Plan,
    Proof,
    Reached,
    Reason,
    Report,
    Unfinished,
)
from tests.cli.test_process import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

PATH = "/services/T0123/B4567/a-word-that-opens-it"


class Hook:
    """A webhook that keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        hook, self.status, self.heard = self, 200, list[Any]()
        self.hanging = threading.Event()
        self.hanging.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                hook.heard.append((self.path, json.loads(self.rfile.read(length))))
                hook.hanging.wait(60)
                self.send_response(hook.status)
                self.send_header("Location", "https://elsewhere.example/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    made = Hook()
    monkeypatch.setenv("ALERTS_URL", made.origin + PATH)
    monkeypatch.setenv("RECONCILER_ORIGINS", made.origin)
    wants(lab, "{url: env:ALERTS_URL}")
    yield made
    made.close()


def wants(lab: Lab, block: str) -> None:
    file = lab.services / "local" / "environment.yaml"
    kept = [line for line in file.read_text().splitlines() if "notify:" not in line]
    at = kept.index("spec:") + 1
    file.write_text("\n".join([*kept[:at], f"  notify: {block}", *kept[at:]]) + "\n")


def fail(lab: Lab, command: Command) -> Ran:
    """An apply whose only endpoint is not there."""
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: nowhere")
    return command("apply", "--yes", "-t", "diabetes-young")


def test_a_failure_is_posted_and_a_success_is_not(lab: Lab, command: Command, hook: Hook) -> None:
    assert command("apply", "--yes", "-t", "breast-cancer").code == 0
    assert hook.heard == []
    assert fail(lab, command).code != 0
    ((path, body),) = hook.heard
    assert path == PATH
    assert (body["schema"], body["environment"], body["command"]) == (
        *("reconciler/notice/v1", "local", "apply"),
    )
    ((what, name),) = {(event["what"], event["name"]) for event in body["events"]}
    assert (what, name) == ("failed", "diabetes-young")


def test_a_run_tells_of_roll_backs_failures_spared_endpoints_and_what_is_well_again() -> None:
    drift = Drift((FieldDiff("model", "2", "1"),), "2026-11-20T10:00:00Z")
    drifted = Change("b", "Kind", "at/b", Action.BIND, Reason.VERSION_CHANGED, "why", drift=drift)
    retried = replace(drifted, name="r", address="at/r", drift=None, cause=Cause.FAILED)
    healthy = Health(HealthCode.HEALTHY)
    back, again = Proof("a", "at/a", "1", True, healthy), Proof("r", "at/r", "2", True, healthy)
    report = Report(
        plan := Plan("e", "cloud", (drifted, retried, replace(retried, name="a", address="at/a"))),
        done=("at/a", "at/b", "at/r"),
        proofs=(replace(back, rolled_back=True), again),
        failures=(Failure("a", "at/a", "it answered nonsense", errors.UNPROVED),),
        held=(Held("c", "at/c", "3", "a failed"), Held("d", "at/d", "3", until="tomorrow")),
    )
    told = [(what, name) for what, name, _ in notify.of_run(report, plan)]
    assert told == [
        *(("rolled back", "a"), ("failed", "a"), ("spared", "c")),
        *(("healed", "b"), ("recovered", "r")),
    ]


def shown_by(form: str, body: dict[str, Any]) -> str:
    """What a chat shows of a message; a `TextRun` of Teams is no Markdown, a `TextBlock` is."""
    if form == "slack":
        assert not body["mrkdwn"]
        return str(body["text"])
    (card,) = body["attachments"]
    blocks = card["content"]["body"]
    assert {block["type"] for block in blocks} == {"RichTextBlock"}
    return "\n".join(run["text"] for block in blocks for run in block["inlines"])


@pytest.mark.parametrize("form", ["slack", "teams"])
def test_slack_and_teams_get_their_own_shape(
    lab: Lab, command: Command, hook: Hook, form: str
) -> None:
    wants(lab, f"{{url: env:ALERTS_URL, form: {form}}}")
    fail(lab, command)
    ((_, body),) = hook.heard
    text = shown_by(form, body)
    assert text.startswith("local: reconciler apply\n")
    assert "diabetes-young failed: " in text


@pytest.mark.parametrize("form", ["slack", "teams"])
def test_what_others_say_stays_in_its_line_and_is_no_markup(
    lab: Lab, hook: Hook, form: str
) -> None:
    wants(lab, f"{{url: env:ALERTS_URL, form: {form}}}")
    told = "<!channel> [fix](https://e.example) \x1b[1A\u202e\n• b healed: all is well"
    notify.notify(lab.desired().environment, "apply", [("failed", "a", told)])
    ((_, body),) = hook.heard
    title, line = shown_by(form, body).split("\n")
    assert title == "local: reconciler apply"
    assert line.endswith("\\x1b[1A\\u202e; • b healed: all is well")
    assert ("<" in line) == (form == "teams")


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_webhook_that_refuses_is_said_and_fails_nothing(
    lab: Lab, command: Command, hook: Hook, status: int
) -> None:
    hook.status = status
    first = fail(lab, command)
    assert "nobody was notified: " in first.err
    assert PATH not in first.err
    wants(lab, "{url: env:NOBODY_SET_THIS}")
    again = command("apply", "--yes", "-t", "diabetes-young")
    assert first.code == again.code
    assert "nobody was notified: " in again.err
    assert "NOBODY_SET_THIS is not set" in again.err


def test_a_webhook_whose_address_is_no_url_is_said_and_fails_nothing(
    lab: Lab, command: Command, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = fail(lab, command).code
    monkeypatch.setenv("ALERTS_URL", "https://[a-word-that-opens-it/")
    again = command("apply", "--yes", "-t", "diabetes-young")
    assert code == again.code
    assert "nobody was notified: " in again.err
    assert "a-word-that-opens-it" not in again.err + again.out


def test_a_webhook_that_hangs_holds_a_run_up_for_a_bounded_time(
    lab: Lab, command: Command, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "TIMEOUT_S", (0.2, 0.2))
    hook.hanging.clear()
    ran = fail(lab, command)
    assert "nobody was notified: " in ran.err
    assert "a-word-that-opens-it" not in ran.err + ran.out


def test_the_message_goes_only_where_that_was_decided_outside_git(
    lab: Lab, command: Command, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_ORIGINS")
    ran = fail(lab, command)
    assert hook.heard == []
    assert "add it to RECONCILER_ORIGINS" in ran.err


def test_a_run_that_a_signal_ended_tells_what_it_changed_and_did_not_prove() -> None:
    change = Change("a", "Kind", "at/a", Action.BIND, Reason.VERSION_CHANGED, "why")
    left = (Unfinished("a", "at/a", Reached.CHANGED), Unfinished("b", "at/b", Reached.NOT_BEGUN))
    report = Report(Plan("e", "cloud", (change,)), ("at/a",), unfinished=left, stopped_by=15)
    what, name, message = notify.of_interrupted("e", report, "")
    assert (what, name) == ("interrupted", "e")
    assert message.startswith("Stopped by SIGTERM before the run finished")
    assert message.endswith("; a: changed, not proved")


@pytest.mark.parametrize("hangs", [False, True], ids=["answers", "hangs"])
def test_a_signal_that_ends_the_process_is_posted_for_a_bounded_time(
    lab: Lab, tmp_path: Path, hook: Hook, hangs: bool
) -> None:
    asked, released, serve = threading.Event(), threading.Event(), lab.cloud.handle

    def waits(request: Request) -> Response:
        asked.set()
        released.wait(60)
        return serve(request)

    lab.cloud.handle = waits  # type: ignore[method-assign]
    if hangs:
        hook.hanging.clear()
    process = subprocess.Popen(
        [*COMMAND, "apply", "--yes"],
        cwd=tmp_path,
        env=environment(lab),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert asked.wait(60)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        released.set()
    assert process.returncode == errors.TERMINATED
    ((_, body),) = hook.heard
    (event,) = body["events"]
    assert event == {"what": "interrupted", "name": "local", "message": "the run was terminated"}
    assert ("did not answer within 5 s" in err) is hangs
