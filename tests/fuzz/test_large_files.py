"""Large files: refused or read in bounded time and memory, measured in a process of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_SECONDS = 5.0
MOST_MIB = 300

_LOADING = """
import json, sys, time
from pathlib import Path
from reconciler.cli.compose import load
from reconciler.errors import ConfigurationError

began = time.process_time()
try:
    load(Path(sys.argv[1]))
    said = ""
except ConfigurationError as exc:
    said = exc.message
print(json.dumps([time.process_time() - began, len(said), said[:400]]))
"""
# A new process counts the memory of the one that made it, so a small one stands between.
_MEASURING = """
import resource, subprocess, sys

subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_COPYING = """
import sys
from pathlib import Path
from reconciler.platforms.ray import builder
from reconciler.stores.contract import copy_file, sha256_of
from reconciler.stores.folder import FolderStore

data, store = (FolderStore(Path(sys.argv[1]) / name) for name in ("data", "store"))
assert copy_file(data, "model", store, "taken")
digest, _ = sha256_of(store, "taken")
assert digest == builder.sha256_of(Path(sys.argv[1]) / "store" / "taken")
"""
MIB = 1024 * 1024
BINDING = (LOCAL / "breast-cancer.yaml").read_text(encoding="utf-8")
MODEL = (LOCAL / "models" / "breast-cancer.yaml").read_text(encoding="utf-8")


def bindings(number: int, model: str = "") -> str:
    """That many bindings, each with its own name; of an unknown model if one is named."""
    short = (
        "---\napiVersion: reconciler/v1\nkind: WebService\nmetadata: {name: b%d}\n"
        'spec: {webService: s%d, model: {name: %s, version: "1"}}\n'
    )
    return "".join(short % (at, at, model or "breast-cancer") for at in range(number))


def models(number: int) -> str:
    """That many documents of models, wrong but for their names."""
    return "".join(f"---\nkind: Model\nmetadata: {{name: m{at}}}\n" for at in range(number))


LARGE = {
    "10 MB of valid documents": (BINDING + "---\n") * (10 * MIB // len(BINDING)),
    "10 MB of one text": "a: " + "x" * 10 * MIB,
    "four thousand bindings of one model": bindings(4000),
    "a binding that names no model, four thousand times": bindings(4000, "nothing"),
    "models that bindings miss by a letter": models(3500) + bindings(3500, "mx"),
    "a name as long as the file": (
        MODEL.replace("name: breast-cancer", "name: " + "Z" * (MIB // 2), 1)
        + bindings(3000, "nothing")
    ),
    "a service as long as the file": (
        MODEL.replace("name: breast-cancer", "name: long", 1).replace(
            "service: breast-cancer-training", "service: " + "Z" * (MIB // 2), 1
        )
        + bindings(3000, "long")
    ),
    "unknown keys": "apiVersion: reconciler/v1\n"
    + "".join(f"k{at}: {at}\n" for at in range(60_000)),
    "one list": "a: [" + "1," * (MIB // 2 - 10) + "1]",
    "brackets": "[" * (MIB - 10),
    "dashes": "- " * (MIB // 2 - 10),
    "braces": "{a: " * (MIB // 4 - 10),
    "question marks": "? " * (MIB // 2 - 10),
    "documents that are empty": "---\n" * (MIB // 4 - 10),
    "anchors": "".join(f"- &a{at} x\n" for at in range(70_000)),
    "aliases": "a: &a x\nb:\n" + "- *a\n" * 150_000,
    "tags": "- !x y\n" * 100_000,
    "the same key": "a: 1\n" * 200_000,
    "one quoted text": 'a: "' + "\\n" * (MIB // 2 - 10) + '"',
    "comments that look like secrets": "# sig=abcdefghijkl\n" * 50_000 + "a: 1\n",
    "a very long line of dashes and a secret": "a: " + "://a:" * 200_000,
    "lines of a block": "a: |\n" + "  x\n" * 250_000,
    "placeholders": MODEL.replace("${version}", "${x}" * 200_000, 1),
}


# These need more than a second, or are much like another one.
SLOW = {
    "four thousand bindings of one model",
    "a binding that names no model, four thousand times",
    "models that bindings miss by a letter",
    "tags",
    "the same key",
    "comments that look like secrets",
    "a service as long as the file",
    "dashes",
    "braces",
    "question marks",
    "lines of a block",
    "one quoted text",
    "10 MB of one text",
    "anchors",
    "placeholders",
    "a very long line of dashes and a secret",
}
CASES = [pytest.param(what, marks=[pytest.mark.long] * (what in SLOW)) for what in LARGE]


@pytest.mark.parametrize("what", CASES)
def test_a_large_file_takes_bounded_time_and_memory(
    what: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    shutil.copytree(LOCAL, tmp_path / "local", ignore=shutil.ignore_patterns("_emulator"))
    (tmp_path / "local" / "large.yaml").write_text(LARGE[what], encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURING, _LOADING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded, peak = ran.stdout.splitlines()
    took_s, characters, _ = json.loads(loaded)
    peak_mib = int(peak) / (1024 if sys.platform != "darwin" else MIB)
    figure(f"large file, {what}: {took_s:.1f} s, {peak_mib:.0f} MiB")
    assert took_s < MOST_SECONDS
    assert peak_mib < MOST_MIB
    assert characters < 20 * MIB, "nobody can read such a message"


def test_a_model_larger_than_memory_is_copied_and_verified_in_pieces(tmp_path: Path) -> None:
    for name in ("data", "store"):
        (tmp_path / name).mkdir()
    with (tmp_path / "data" / "model").open("wb") as file:
        file.truncate(192 * MIB)
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURING, _COPYING, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(ran.stdout) / (1024 if sys.platform != "darwin" else MIB) < 128
