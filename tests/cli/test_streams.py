"""One way out: whatever is printed, on both streams, harms no terminal, runner, or encoding."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import console, errors
from reconciler.cli import applying, commands, rollback
from reconciler.console import Out, say
from reconciler.errors import RefusedError, WireError
from tests.runner import commands as obeyed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

ROOT = Path(__file__).parent.parent.parent
HOSTILE = "a\x1b]0;x\x07\x1b[2J\x9bK\r\u2028\u2029\x85\u202e\u2066\x0b\x7f\n::set-output name=a::b"
HOSTILE += "\n##[add-mask]c\n  ::warning::d"


def hidden(text: str) -> set[str]:
    """The characters that a terminal obeys, but the ends of lines."""
    kinds = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return {char for char in text if unicodedata.category(char) in kinds} - {"\n"}


def refuse(*_: object, **__: object) -> None:
    raise RefusedError(HOSTILE)


def break_down(*_: object, **__: object) -> None:
    raise ZeroDivisionError(HOSTILE)


def tell(*_: object, **__: object) -> int:
    say(HOSTILE)
    logging.getLogger("reconciler.x").debug(HOSTILE)
    print(HOSTILE)
    return errors.SUCCESS


@pytest.mark.parametrize("happens", [refuse, break_down, tell])
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["plan", "-vv"],
        ["plan", "-o", "json"],
        ["apply", "--yes"],
        ["train", "-vv"],
        ["status"],
        ["verify"],
        ["export", "-vv"],
        ["history", "breast-cancer"],
        ["unlock", "--force", "x"],
    ],
)
def test_no_command_prints_what_a_terminal_or_a_runner_obeys(
    lab: Lab,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    happens: Callable[..., None],
) -> None:
    rooms = {"apply": applying, "train": applying, "history": rollback, "unlock": rollback}
    monkeypatch.setattr(rooms.get(arguments[0], commands), arguments[0], happens)
    ran = command(*arguments)
    assert "set-output" in ran.err
    assert hidden(ran.out + ran.err) == set()
    assert obeyed(ran.out) + obeyed(ran.err) == []


def test_what_a_service_is_called_reaches_no_terminal(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_: object) -> None:
        raise WireError(f"the asset is called {HOSTILE}")

    monkeypatch.setattr("reconciler.platforms.studio.new.WebServices.export", export)
    ran = command("export", "breast-cancer")
    assert ran.code == errors.ERROR
    assert "is left out: the asset is called a\\x1b]0;x" in ran.err
    assert hidden(ran.out + ran.err) == set()
    assert obeyed(ran.err) == []
    # nothing that follows looks like a line of the program
    line = next(line for line in ran.err.split("\n") if "set-output" in line)
    assert line.startswith("    ")


def test_exported_text_is_escaped_in_json_and_reads_back(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    services = lab.cloud.world.services.values()
    (service,) = [s for s in services if s.name == "breast-cancer-predictive"]
    title = "T \x1b[31m\x9b\u202e\u2028 \N{SNOWMAN}"
    service.properties["title"] = title
    for arguments in (["export", "breast-cancer"], ["export", "--out", "e"], ["snapshot"]):
        ran = command(*arguments)
        assert ran.code == errors.SUCCESS
        assert hidden(ran.out + ran.err) == set()
    written = (tmp_path / "e" / "breast-cancer.json").read_text(encoding="utf-8")
    assert hidden(written) == set()
    assert json.loads(written)["properties"]["title"] == title
    assert command("snapshot", "--out", "s.json").code == errors.SUCCESS
    assert hidden(Path("s.json").read_text(encoding="utf-8")) == set()
    assert command("apply", "--yes", "--report", "r.json", "-t", "breast-cancer").code == 0
    assert hidden(Path("r.json").read_text(encoding="utf-8")) == set()


# --- encodings ---------------------------------------------------------------------------------


def process(
    lab: Lab, cwd: Path, *arguments: str, **options: object
) -> subprocess.CompletedProcess[bytes]:
    """A run of the program in a process of its own."""
    environ = {**os.environ, **lab.environ, "PYTHONPATH": str(ROOT)}
    environ.update(options.pop("environ", {}))  # type: ignore[call-overload]
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=cwd,
        env=environ,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},  # type: ignore[call-overload]
    )


def test_no_encoding_of_the_terminal_stops_a_command(lab: Lab, tmp_path: Path) -> None:
    lab.edit("breast-cancer.yaml", 'version: "2026-10"}', 'version: "2026-10"}   # für Ärzte → ☃')
    lab.cloud._core.blobs.put("mllocal", "datasets", "breast-cancer/2026-99.csv", b"x")
    environ = {"PYTHONIOENCODING": "ascii"}
    assert process(lab, tmp_path, "plan", "--out", "p.json").returncode == errors.SUCCESS
    kept = [
        ["ci", "comment", "--report", "p.json", "--dry-run"],
        ["plan", "-o", "json"],
        ["plan", "-o", "markdown"],
        ["export"],
        ["snapshot"],
        ["retrain", "--dry-run"],
    ]
    for arguments in [*kept, ["plan"], ["status"], ["history", "breast-cancer"], ["--help"]]:
        done = process(lab, tmp_path, *arguments, environ=environ)
        assert done.returncode == errors.SUCCESS, done.stderr
        assert b"bug of ours" not in done.stderr
        done.stdout.decode("utf-8" if arguments in kept else "ascii")
    for encoding in ("cp1252", "latin-1"):
        done = process(lab, tmp_path, "plan", environ={"PYTHONIOENCODING": encoding})
        assert done.returncode == errors.SUCCESS, done.stderr
        done.stdout.decode(encoding)
    shown = process(lab, tmp_path, *kept[0], environ=environ).stdout.decode("utf-8")
    assert shown == process(lab, tmp_path, *kept[0]).stdout.decode("utf-8")
    assert "→" in shown
    difference = process(lab, tmp_path, *kept[-1], environ=environ).stdout.decode("utf-8")
    assert "für Ärzte → ☃" in difference


def test_a_character_without_a_code_is_written_as_an_escape() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    out = Out(stream, "stdout")
    out.write("2026-10 → 2026-11 ☃\n")
    out.flush()
    assert stream.buffer.getvalue() == b"2026-10 -> 2026-11 \\u2603\n"  # type: ignore[attr-defined]


# --- streams that take nothing -----------------------------------------------------------------

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [["plan"], ["apply", "--yes"], ["export"], ["validate"]])
@pytest.mark.parametrize(
    ("redirection", "name"),
    [(">/dev/full", "stdout"), (">&-", "stdout"), ("2>&-", "stderr"), ("2>/dev/full", "stderr")],
)
def test_a_stream_that_takes_nothing_is_one_line_before_any_work(
    lab: Lab, tmp_path: Path, arguments: list[str], redirection: str, name: str
) -> None:
    requests = len(lab.cloud.log)
    line = f'exec "{sys.executable}" -m reconciler {" ".join(arguments)} {redirection}'
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=tmp_path,
        env={**os.environ, **lab.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == errors.ERROR
    (told,) = (done.stdout + done.stderr).splitlines()
    assert told.startswith(f"error: {name} cannot be written: ")
    assert len(lab.cloud.log) == requests


def test_apply_whose_reader_is_gone_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    requests = len(lab.cloud.log)
    done = process(lab, tmp_path, "apply", "--yes", "--report", "r.json", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (errors.READER_GONE, b"")
    assert len(lab.cloud.log) == requests


def test_a_disk_that_fills_up_later_is_one_line(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:  # noqa: ARG002
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(console.sys, "stdout", Full())
    ran = command("plan")
    assert ran.code == errors.ERROR
    (line,) = [line for line in ran.err.splitlines() if "error" in line]
    assert line == "error: stdout cannot be written: No space left on device; send it elsewhere"
