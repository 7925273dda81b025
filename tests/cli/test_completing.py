"""The completion of a shell: names that the YAML declares, and never an error in their place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

YOUNGEST = "diabetes-middle diabetes-senior diabetes-young"
EVERY = f"breast-cancer {YOUNGEST}"
BIN = Path(sys.executable).parent
# As a shell does: the script is loaded, and its function asked about the last word of a line.
ASKED = """\
eval "$(_RECONCILER_COMPLETE=source_bash reconciler)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_reconciler_completion reconciler
echo "${COMPREPLY[*]}"
"""


@pytest.fixture
def complete(tmp_path: Path) -> Callable[[str], str]:
    """By the words of a line, what a shell offers for the last of them; the others stay typed."""
    shutil.copytree(LOCAL, tmp_path / "services")
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"

    def asked(line: str) -> str:
        done = subprocess.run(
            ["bash", "--norc", "-c", ASKED, "bash", "reconciler", *line.split(" ")],
            cwd=tmp_path,
            env={"PATH": path, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert not done.stderr
        return done.stdout.strip()

    return asked


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("plan -e ", "local"),
        ("plan -t diabetes-", YOUNGEST),
        ("history -e local ", EVERY),
        ("history -e nowhere ", EVERY),
        ("promote --from local --to ", "local"),
        ("rollback b", "breast-cancer"),
        ("plan -f nowhere -t ", ""),
        ("plan -f services/diabetes.yaml -t ", ""),
        ("plan -f -t ", ""),
        ("explain x", ""),
    ],
)
def test_a_shell_completes_the_names_that_are_declared(
    line: str, offered: str, complete: Callable[[str], str]
) -> None:
    assert complete(line) == offered


def test_what_cannot_be_read_hides_no_other_name_and_no_name_is_a_command(
    complete: Callable[[str], str], tmp_path: Path
) -> None:
    services = tmp_path / "services"
    (services / "breast-cancer.yaml").write_text('kind: "\n', encoding="utf-8")
    (services / "none.yaml").write_bytes(b"\xff")
    text = (services / "diabetes.yaml").read_text(encoding="utf-8")
    spoilt = text.replace("diabetes-young", "'$(touch spoilt)'")
    (services / "diabetes.yaml").write_text(spoilt, encoding="utf-8")
    assert spoilt != text
    assert complete("plan -t ") == "diabetes-middle diabetes-senior"


@pytest.mark.parametrize(
    ("home", "arguments", "said"),
    [
        ("file", "--install-completion bash", "file cannot be written: File exists; paste what "),
        ("gone", "validate -f x", "the folder that this runs in was deleted; change to another"),
    ],
)
def test_a_folder_that_is_none_is_said_and_is_no_bug(
    tmp_path: Path, home: str, arguments: str, said: str
) -> None:
    (tmp_path / "file").touch()
    begin = f'mkdir gone; cd gone; [ {home} = gone ] && rmdir ../gone; exec "$0" {arguments}'
    done = subprocess.run(
        ["bash", "--norc", "-c", begin, str(BIN / "reconciler")],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (errors.CONFIGURATION, "")
    (line,) = done.stderr.splitlines()
    assert said in line
