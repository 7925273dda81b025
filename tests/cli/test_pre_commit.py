"""The hook for pre-commit: its manifest is one, and what it runs is offline and quick."""

from __future__ import annotations

import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pre_commit.clientlib import load_manifest

from reconciler import errors
from tests.lab import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
(HOOK,) = load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))


def hook(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the entry of the hook does in a repository, as pre-commit runs it."""
    program, *arguments = shlex.split(HOOK["entry"])
    command = str(Path(sys.executable).parent / program)
    return subprocess.run(
        [command, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@pytest.fixture
def services(tmp_path: Path) -> Path:
    shutil.copytree(LOCAL, tmp_path / "services" / "local")
    return tmp_path / "services"


def test_it_is_run_once_for_whatever_changes_below_services() -> None:
    assert (HOOK["id"], HOOK["language"]) == ("reconciler-validate", "python")
    assert HOOK["pass_filenames"] is False
    files = ("services/a.yaml", "services/local/probes/a.json")
    assert all(re.search(HOOK["files"], name) for name in files)
    assert not re.search(HOOK["files"], "docs/services/a.yaml")


def test_it_passes_without_credentials_and_fails_on_a_mistake(services: Path) -> None:
    assert hook(services.parent).returncode == errors.SUCCESS
    (services / "local" / "x.yaml").write_text("kind: Mdel\n")
    done = hook(services.parent)
    assert done.returncode == errors.CONFIGURATION
    assert "services/local/x.yaml:1:7:" in done.stderr


def used_s() -> float:
    """Seconds of processor time of the children so far: others use the machine too."""
    used: Any = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def test_a_thousand_files_are_validated_and_the_time_is_said(
    services: Path, figure: Callable[[str], None]
) -> None:
    text = (services / "local" / "breast-cancer.yaml").read_text()
    for number in range(1_000):
        one = text.replace("name: breast-cancer, labels", f"name: b{number}, labels")
        one = one.replace("webService: breast-cancer", f"webService: b{number}")
        (services / "local" / f"b{number}.yaml").write_text(one)
    before = used_s()
    done = hook(services.parent)
    assert "local: 1,004 bindings are valid" in done.stderr
    figure(f"pre-commit: 1,000 files validated in {used_s() - before:.2f} s of processor time")
