"""`--help` and `validate` stay quick: they load nothing that they do not need."""

from __future__ import annotations

import json
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
