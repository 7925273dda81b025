"""What a command says beside its document, and where it can be written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.errors import READER_GONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

ROOT = Path(__file__).parent.parent.parent
LOGGED = re.compile(
    r"DEBUG reconciler\.http\.client: (GET|HEAD|PUT|PATCH|POST|DELETE) \S+: \d{3} in "
)


def test_vv_logs_each_request_on_stderr_and_no_secret(lab: Lab, command: Command) -> None:
    asked = len(lab.cloud.log)
    ran = command("apply", "--yes", "-vv")
    assert ran.code == errors.SUCCESS
    logged = [line for line in ran.err.splitlines() if LOGGED.match(line)]
    logged = [line for line in logged if "/_emulator/" not in line]  # which world it is
    assert len(logged) == len(lab.cloud.log) - asked
    assert not any("?" in line for line in logged)
    secrets = [value for value in lab.environ.values() if value != lab.url]
    for service in lab.cloud.world.classic.values():
        for endpoint in service.endpoints.values():
            secrets += endpoint.keys.values()
    for secret in (*secrets, "sig=", "Bearer"):
        assert secret not in ran.out + ran.err


def test_v_logs_no_request(lab: Lab, command: Command) -> None:
    assert "http.client" not in command("plan", "-v").err


# `export` prints without flushing, `--version` through click, `plan` flushes.
@pytest.mark.parametrize(
    "arguments", [["plan"], ["plan", "-o", "json"], ["export"], ["--version"], ["--help"]]
)
def test_a_reader_that_goes_away_ends_a_command_quietly(
    lab: Lab, tmp_path: Path, arguments: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=tmp_path,
        env={**os.environ, **lab.environ, "PYTHONPATH": str(ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == READER_GONE
    said = f"local: talking to the emulator at {lab.url}, world {lab.cloud.world.id}\n"
    assert done.stderr == ("" if arguments[0].startswith("--") else said)


def test_a_path_that_cannot_be_written_is_one_line_with_the_reason(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, why in [("file/plan.json", "Not a directory"), ("folder", "Is a directory")]:
        ran = command("plan", "--out", path)
        assert ran.code == errors.CONFIGURATION
        (line,) = [line for line in ran.err.splitlines() if line.startswith("error")]
        assert line == f"error: {path} cannot be written: {why}; choose another path"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", "services"}


def test_a_pipe_or_a_link_is_written_to_and_not_replaced(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text("old")
    (tmp_path / "link.json").symlink_to("plan.json")
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for path in ("link.json", "pipe", "/dev/null"):
        assert command("plan", "--out", path).code == errors.SUCCESS
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert not Path("/dev/null").is_file()
    written = json.loads((tmp_path / "plan.json").read_bytes())
    assert {**json.loads(os.read(reading, 1_000_000)), "id": ""} == {**written, "id": ""}
    os.close(reading)
