"""`--help` and `validate` stay quick: they load nothing that they do not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HEAVY = ["azure.identity", "cattrs", "requests", "deepdiff", "sklearn"]
PROGRAM = """
import json, sys
from reconciler.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]))
"""

AS_INSTALLED = """
import sys
sys.argv = ["reconciler"]
from reconciler.cli import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "not_needed"),
    [
        (["--help"], ["reconciler.model", "yaml", "logging"]),
        (["plan", "--help"], ["reconciler.model", "yaml", "logging"]),
        (["validate"], ["jsonschema", "reconciler.render"]),
    ],
)
def test_heavy_modules_are_not_imported(arguments: list[str], not_needed: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert not {*HEAVY, *not_needed} & set(modules)


def test_a_shell_completes_commands_and_those_below_them() -> None:
    for typed, offered in (
        ("reconciler ci ", {"comment", "fetch"}),
        ("reconciler ver", {"verify"}),
    ):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", AS_INSTALLED],
            cwd=ROOT,
            env={**os.environ, **words, "_RECONCILER_COMPLETE": "complete_bash"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert offered <= set(done.stdout.split())
