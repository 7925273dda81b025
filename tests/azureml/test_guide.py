"""The commands of the guide, run on the emulator as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.compose import EMULATOR_VARIABLE, load
from reconciler.emulator import Cloud, Options, serve
from reconciler.errors import SUCCESS

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / ".github" / "AZUREML.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"## Try it\n.*?```sh\n(.*?)```", GUIDE, re.DOTALL)


def test_the_sample_is_valid() -> None:
    (wanted,) = load(ROOT / "services" / "_azureml").values()
    assert [binding.kind for binding in wanted.bindings] == ["OnlineEndpoint"]


@pytest.mark.long
def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    assert COMMANDS is not None
    cloud = Cloud(Options(speed=200.0))
    door = serve(cloud, 0)
    door.start()
    outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
    environ = {**outside, "PYTHONPATH": str(ROOT), EMULATOR_VARIABLE: door.url}
    printed = []
    try:
        for line in COMMANDS[1].splitlines():
            words, said = shlex.split(line, comments=True), re.search(r"# exit (\d+)", line)
            if words[0] == "cp":
                shutil.copytree(ROOT / words[2], tmp_path / words[3])
            elif words[1] == "emulator":
                cloud.seed(tmp_path / words[3])
            else:
                command = [sys.executable, "-m", "reconciler", *words[1:]]
                done = subprocess.run(
                    command,
                    cwd=tmp_path,
                    env=environ,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                shown = done.stdout + done.stderr
                assert done.returncode == (int(said[1]) if said else SUCCESS), f"{line}: {shown}"
                printed.append(" ".join(shown.split()))
    finally:
        door.stop()
    plan, first, again, back, last = printed
    assert "blue → 2 take the version in, then bind" in plan
    assert "1 changed, 1 proved" in first
    assert "Nothing to do" in again
    assert "rolled back, and proved" in back
    assert "refused: rejected" in last
