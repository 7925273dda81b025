"""The program as a process: signals, a terminal that asks, the emulator and the demo."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from reconciler import errors

if TYPE_CHECKING:
    from tests.lab import Lab

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "reconciler"]


def environment(lab: Lab) -> dict[str, str]:
    return {**os.environ, **lab.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def started_jobs(lab: Lab) -> int:
    return sum(entry.route == "bes.start" and entry.status == 204 for entry in lab.cloud.log)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, errors.INTERRUPTED), (signal.SIGTERM, errors.TERMINATED)]
)
def test_a_signal_stops_cleanly_and_the_next_run_goes_on(
    lab: Lab, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    object.__setattr__(lab.cloud.options, "speed", 1.0)  # jobs of five seconds: time to stop in
    arguments = [*COMMAND, "apply", "--yes"]
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(lab), stdout=-1, stderr=-1, text=True
    )
    while started_jobs(lab) < 4:
        assert process.poll() is None
        select.select([], [], [], 0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "stopping after the steps under way" in err
    assert "Traceback" not in err
    assert "Stopped by SIG" in out
    object.__setattr__(lab.cloud.options, "speed", 100.0)
    again = subprocess.run(
        arguments, cwd=tmp_path, env=environment(lab), capture_output=True, text=True, check=False
    )
    assert again.returncode == errors.SUCCESS, again.stderr
    assert started_jobs(lab) == 4


@pytest.mark.parametrize("command", [["plan"], ["verify"], ["status"], ["apply", "--yes"]])
def test_ctrl_c_does_not_wait_for_a_service_that_never_answers(
    lab: Lab, tmp_path: Path, command: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*COMMAND, *command],
            cwd=tmp_path,
            env={**environment(lab), "RECONCILER_EMULATOR": url},
            stdout=-1,
            stderr=-1,
            text=True,
        )
        try:
            asked, _ = silent.accept()  # it waits for an answer now
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)  # far less than a read is waited for
            asked.close()
        finally:
            process.kill()
    assert process.returncode == errors.INTERRUPTED
    assert "Traceback" not in err


def on_terminal(lab: Lab, folder: Path, answer: str) -> tuple[int, str]:
    """The exit code and everything printed of an apply on a pseudo-terminal, answered once."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "apply"],
        cwd=folder,
        env={**environment(lab), "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        close_fds=True,
    )
    os.close(follower)
    seen = ""
    answered = False
    while True:
        try:
            seen += os.read(leader, 65536).decode(errors="replace")
        except OSError:
            break
        if not answered and "Only 'yes' is accepted" in seen:
            os.write(leader, f"{answer}\n".encode())
            answered = True
    os.close(leader)
    return process.wait(timeout=30), seen


def test_apply_asks_on_a_terminal_and_no_means_no(lab: Lab, tmp_path: Path) -> None:
    code, seen = on_terminal(lab, tmp_path, "y")
    assert code == errors.REFUSED
    assert "not approved; nothing was changed" in seen
    assert {entry.method for entry in lab.cloud.log} <= {"GET", "HEAD"}


def test_a_question_that_is_broken_off_ends_its_line(lab: Lab, tmp_path: Path) -> None:
    code, seen = on_terminal(lab, tmp_path, "\x04")  # Ctrl-D
    assert code == errors.REFUSED
    assert "\r\nerror: not approved; nothing was changed\r\n" in seen


def test_apply_goes_on_after_yes_and_shows_progress(lab: Lab, tmp_path: Path) -> None:
    code, seen = on_terminal(lab, tmp_path, "yes")
    assert code == errors.SUCCESS
    assert "4 proved" in seen
    assert "training" in seen or "swapping" in seen


def test_the_emulator_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    seed = ROOT / "services/local/_emulator/seed.yaml"
    arguments = ["emulator", "--port", "0", "--state", str(tmp_path / "s"), "--seed", str(seed)]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    url = line.split()[-1]
    assert "retired" in line
    health = requests.get(f"{url}/_emulator/health").json()
    assert health["status"] == "ok"
    assert f", world {health['world']}, " in line
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == errors.SUCCESS


BAD_EMULATORS = [
    (["--seed", "none.yaml"], "none.yaml"),
    (["--tls-cert", "x.pem"], "--tls-cert and --tls-key go together"),
    (["--tls-cert", "x.pem", "--tls-key", "y.pem"], "x.pem"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_EMULATORS)
def test_an_emulator_that_cannot_start_says_why(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = subprocess.run(
        [*COMMAND, "emulator", "--port", "0", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == errors.CONFIGURATION
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_ends_well_and_says_first_that_it_talks_to_an_emulator() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "demo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == errors.SUCCESS, done.stderr
    assert "emulator" in done.stdout.splitlines()[0]
    for words in ("train, then bind", "4 proved", "Nothing to do", "4 Synced", "ended well"):
        assert words in done.stdout
    told = done.stdout.partition("== 5.")[2].partition("== 6.")[0]
    assert "bind (drifted)" in told
    assert "drifted from 2026-11, proved here on " in told
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 120
