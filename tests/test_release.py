"""What is published: a wheel that works where there is no checkout, an image, and what a tag needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / ".ci/Dockerfile").read_text(encoding="utf-8")
RELEASE = ROOT / ".ci/release"
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".reconciler")  # as the image's .dockerignore


def copied() -> Iterator[str]:
    """What the first stage of the image is built from."""
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        yield from line.split()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel that the image installs, built from what the image copies alone."""
    folder = tmp_path_factory.mktemp("image")
    for name in copied():
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=folder / "source", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program of the wheel, in a folder where no checkout can be found."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from reconciler.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", code, str(site), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("platform", ["local", "studio"])
def test_the_wheel_brings_what_the_first_commands_need(
    site: Path, tmp_path: Path, platform: str
) -> None:
    action = f"acme/reconciler@{'0' * 40}"  # no commit is known of a wheel
    hosted = ("--ci", "github", "--action", action)
    begun = run(site, tmp_path, "init", "--platform", platform, "--example", *hosted)
    assert begun.returncode == 0, begun.stderr
    assert (tmp_path / ".github/workflows/plan.yml").is_file()
    assert "reconciler doctor -e" in begun.stderr, "said at the end, of what was found valid"


def test_the_wheel_has_nothing_of_the_tests_or_of_a_run(site: Path) -> None:
    names = [path.relative_to(site).parts for path in site.rglob("*")]
    assert {parts[0] for parts in names} == {
        "reconciler",
        f"endpoint_reconciler-{__version__}.dist-info",
    }
    assert not [n for n in names if {"__pycache__", ".reconciler", "tests"} & set(n)]


def test_the_package_and_its_distribution_have_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("v9.9.9", f"pyproject.toml says {__version__}; tag v{__version__}"),
        (__version__, f"pyproject.toml says {__version__}; tag v{__version__}"),
        (f"v{__version__}", f'CHANGELOG.md has no heading "## {__version__} (YYYY-MM-DD)"'),
    ],
)
def test_a_tag_that_is_not_what_would_be_built_is_refused(
    tmp_path: Path, tag: str, why: str
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(RELEASE, tmp_path / ".ci/release")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(f"## {__version__} (unreleased)\n")
    done = subprocess.run(
        [tmp_path / ".ci/release", tag], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert why in done.stderr
    assert not (tmp_path / "dist").exists()


def test_the_image_runs_the_program_without_rights_and_holds_no_secret() -> None:
    *_, last = DOCKERFILE.split("\nFROM ")
    assert re.search(r"^USER [1-9]\d*$", last, re.MULTILINE), "a number, so a cluster can check it"
    assert last.rstrip().endswith('ENTRYPOINT ["reconciler"]')
    for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert re.fullmatch(r"python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert not re.search(r"^(ARG|ENV|ADD) ", DOCKERFILE, re.MULTILINE)


def test_the_image_is_sent_nothing_but_what_it_copies() -> None:
    text = (ROOT / ".ci/Dockerfile.dockerignore").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())
