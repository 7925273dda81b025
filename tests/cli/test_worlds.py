"""An emulated world has an id; what was planned in one is not done in another."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import emulator, errors
from reconciler.cli import emulate
from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

ROOT = Path(__file__).parents[2]
SEED = LOCAL / "_emulator" / "seed.yaml"


def served(port: int = 0) -> emulator.Server:
    cloud = emulator.Cloud(emulator.Options(speed=100.0), clock=time.time)
    cloud.seed(SEED)
    server = emulator.serve(cloud, port)
    server.start()
    return server


@pytest.fixture
def stranger() -> Iterator[emulator.Server]:
    """Another world of the same seed, so with the same keys."""
    server = served()
    yield server
    server.stop()


def test_every_command_says_which_world_it_talks_to(lab: Lab, command: Command) -> None:
    for arguments in (["plan"], ["status"], ["drift"], ["history", "breast-cancer"]):
        said = f"talking to the emulator at {lab.url}, world {lab.cloud.world.id}\n"
        assert said in command(*arguments).err


def test_a_plan_of_one_world_is_not_applied_to_another(
    lab: Lab, command: Command, stranger: emulator.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("plan", "--out", "plan.json").code == errors.SUCCESS
    kept = json.loads(Path("plan.json").read_text())
    assert kept["world"] == lab.cloud.world.id
    monkeypatch.setenv("RECONCILER_EMULATOR", stranger.url)
    ran = command("apply", "plan.json")
    assert ran.code == errors.STALE
    assert f"was made in world {lab.cloud.world.id} of the emulator" in ran.err
    assert f"world {stranger._cloud.world.id} answers now" in ran.err
    assert {entry.method for entry in stranger._cloud.log} <= {"GET", "HEAD"}
    monkeypatch.setenv("RECONCILER_EMULATOR", lab.url)
    assert command("apply", "plan.json").code == errors.SUCCESS


def test_a_world_that_was_exchanged_after_the_plan_is_not_written_to(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli import applying

    def exchanged(
        *_: object, **__: object
    ) -> None:  # somebody else's emulator took the port meanwhile
        lab.cloud.world.id = "def456"

    lab.cloud.world.id = "abc123"
    monkeypatch.setattr(applying, "check", exchanged)
    ran = command("apply", "--yes")
    assert ran.code == errors.STALE
    assert "planned in world abc123 of the emulator, but now world def456 answers" in ran.err
    assert {entry.method for entry in lab.cloud.log} <= {"GET", "HEAD"}


def test_a_variable_that_names_a_world_leads_to_no_other(
    lab: Lab, command: Command, stranger: emulator.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.cloud.world.id
    monkeypatch.setenv("RECONCILER_EMULATOR", f"{lab.url}#{mine}")
    assert command("apply", "--yes").code == errors.SUCCESS
    monkeypatch.setenv("RECONCILER_EMULATOR", f"{stranger.url}#{mine}")
    for arguments in (["plan"], ["apply", "--yes"], ["status"], ["history", "breast-cancer"]):
        ran = command(*arguments)
        assert ran.code == errors.CONFIGURATION
        assert f"leads to world {mine}, but world {stranger._cloud.world.id} answers" in ran.err
    assert stranger._cloud.log == []


def test_a_plan_from_before_worlds_had_ids_is_still_read(lab: Lab, command: Command) -> None:
    assert command("plan", "--out", "plan.json").code == errors.SUCCESS
    kept = json.loads(Path("plan.json").read_text())
    del kept["world"]
    Path("plan.json").write_text(json.dumps(kept))
    assert command("apply", "plan.json").code == errors.SUCCESS


def test_nobody_there_is_said_once_with_the_command_that_starts_it(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_EMULATOR", "http://127.0.0.1:9")
    for arguments in (["plan"], ["status"], ["apply", "--yes"], ["history", "breast-cancer"]):
        start = "reconciler emulator --port 9 --state .reconciler --seed services/local/_emulator/seed.yaml"
        assert command(*arguments).err.count(start) == 1


@pytest.mark.parametrize("answer", [{}, {"world": 5}, {"world": "\u001b[2J"}])
def test_what_names_no_world_is_not_called_the_emulator(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    monkeypatch.setattr(lab.cloud.world, "id", answer.get("world"))
    ran = command("plan")
    assert ran.code == errors.SUCCESS
    assert f"local: what answers at {lab.url} names no world of an emulator; " in ran.err
    assert "talking to the emulator" not in ran.err


# --- the emulator itself ------------------------------------------------------------------------


def started(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    code = [sys.executable, "-m", "reconciler", "emulator", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(code, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], after: str) -> str:
    """What it said on stderr until the line with this text, when it was stopped."""
    assert process.stderr is not None
    said = ""
    while after not in said and (line := process.stderr.readline()):
        said += line
    process.terminate()
    return said + process.communicate(timeout=30)[1]


def test_a_taken_port_names_who_is_there_and_the_ways_out(
    tmp_path: Path, stranger: emulator.Server
) -> None:
    port = stranger.url.rpartition(":")[2]
    process = started(tmp_path, "--port", port)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == errors.CONFIGURATION
    assert f"port {port}" in said
    assert f"by the emulator of world {stranger._cloud.world.id}" in said
    assert "--port 0" in said
    assert "RECONCILER_EMULATOR" in said


def test_a_world_keeps_its_id_and_a_seed_that_is_not_planted_is_said(tmp_path: Path) -> None:
    seed = tmp_path / "_emulator" / "seed.yaml"
    shutil.copytree(SEED.parent, seed.parent)
    arguments = ["--port", "0", "--state", "state", "--seed", str(seed)]
    first = ended(started(tmp_path, *arguments), "RECONCILER_EMULATOR=")
    again = ended(started(tmp_path, *arguments), "RECONCILER_EMULATOR=")
    ids = [re.findall(r"world ([0-9a-f]{8}), at ", said) for said in (first, again)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1
    assert "not planted" not in first
    assert f"{seed} was not planted: state holds this world already" in again
    assert "empty folder by --state" in again


def test_an_empty_world_says_how_to_plant_one(tmp_path: Path) -> None:
    said = ended(started(tmp_path, "--port", "0"), "RECONCILER_EMULATOR=")
    assert "this world is empty; --seed FILE plants one" in said


def test_at_the_usual_address_commands_need_no_variable_and_elsewhere_they_do(
    stranger: emulator.Server,
) -> None:
    cloud = stranger._cloud
    [usual] = emulate._notices(cloud, "http://127.0.0.1:8400", None, None)
    [elsewhere] = emulate._notices(cloud, "http://127.0.0.1:8401", None, None)
    assert "commands talk to this address anyway" in usual
    assert "only after" not in usual
    assert "only after: export RECONCILER_EMULATOR=http://127.0.0.1:8401#" in elsewhere
