"""`since`: what git knows, in real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli import compose
from reconciler.cli.since import since
from reconciler.errors import ConfigurationError
from reconciler.git import run
from tests.desired.trees import write
from tests.desired.two import FLEETS, NEW

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

SERVICES = Path("ml/services")
CHURN = SERVICES / "production" / "churn.yaml"
MODEL = SERVICES / "models" / "churn.yaml"
FLEET = {"bike-a", "bike-b", "bike-c"}
WORKSPACE = (
    "    workspace: {id: 9cd6d9da1c25b9e551f1bcf07e58daee, region: southcentralus, token: env:T}\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone with one commit on main, whose services are a folder below a folder."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    files = {
        name: text + WORKSPACE.replace("9cd6", f"{name.startswith('staging'):04x}")
        if name.endswith("environment.yaml")
        else text
        for name, text in FLEETS.items()
    }
    (tmp_path / "clone" / "ml").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clone")
    git("init", "-q", "-b", "main")
    write(SERVICES, files)
    Path("README.md").write_text("read me\n")
    commit()


def git(*arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(*, more: str = "-qm.") -> None:
    git("add", "-A")
    git("commit", more)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def names(ref: str = "main", services: Path = SERVICES) -> AbstractSet[str]:
    return since(services, compose.load(services)["production"], ref)


def refusal(ref: str, services: Path = SERVICES) -> str:
    wanted = compose.load(services)["production"]
    with pytest.raises(ConfigurationError) as caught:
        since(services, wanted, ref)
    return caught.value.message


def test_nothing_is_touched_since_now(capsys: pytest.CaptureFixture[str]) -> None:
    assert names() == set()
    assert capsys.readouterr().err == ("since main: 0 of 4 bindings touched; files changed: 0\n")


def test_a_commit_and_what_is_not_committed_count(capsys: pytest.CaptureFixture[str]) -> None:
    git("switch", "-qc", "change")
    edit(SERVICES / "production" / "bikes.yaml", '"7"', '"8"')
    commit()
    assert names() == FLEET
    edit(CHURN, "2026-10", "2026-11")
    assert names() == {*FLEET, "churn"}
    git("add", "-A")
    assert names("HEAD") == {"churn"}
    new = NEW.replace("churn\n", "new\n", 1).replace("churn-p", "n")
    (SERVICES / "production" / "new.yaml").write_text(new)
    assert names("HEAD") == {"churn", "new"}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "since HEAD: 2 of 5 bindings touched; files changed: 2"


def test_a_changed_model_touches_its_bindings_and_a_moved_one_none() -> None:
    edit(MODEL, "datasets", "data")
    assert names() == {"churn"}
    edit(MODEL, "data/", "datasets/")
    MODEL.rename(SERVICES / "models" / "moved.yaml")
    assert names() == set()


def test_a_file_that_a_document_reads_touches_its_bindings() -> None:
    edit(SERVICES / "production" / "bikes.yaml", "[a, b, c]", "{file: sites.csv}")
    sites = SERVICES / "production" / "sites.csv"
    sites.write_text("at\na\nb\nc\n")
    assert names() == set()
    commit()
    sites.write_text("at\na\nd\n")
    assert names("HEAD") == {"bike-d"}
    (SERVICES / "production" / "probe.json").write_text('{"Inputs": {}}')
    assert names("HEAD") == {"bike-d", "churn"}


def test_files_outside_of_the_services_touch_nothing() -> None:
    Path("README.md").write_text("read it\n")
    assert names() == set()


@pytest.mark.parametrize("ref", ["HEAD", "HEAD~0", "main", "first", "a tag", "refs/heads/main"])
def test_a_commit_can_be_named_in_many_ways(ref: str) -> None:
    git("tag", "-am.", "first")
    edit(CHURN, "2026-10", "2026-11")
    ref = git("rev-parse", "--short", "HEAD") if ref == "a tag" else ref
    assert names(ref) == {"churn"}


def test_the_services_may_be_the_whole_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SERVICES)
    git("init", "-q", "-b", "main")
    commit()
    edit(Path("production/churn.yaml"), "2026-10", "2026-11")
    assert names(services=Path()) == {"churn"}


def test_everything_is_touched_where_the_commit_had_no_services() -> None:
    SERVICES.rename("elsewhere")
    assert names(services=Path("elsewhere")) == {*FLEET, "churn"}


def test_everything_is_touched_where_the_commit_is_not_valid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(CHURN, '"2026-10"', "2026.10")
    commit()
    edit(CHURN, "2026.10", '"2026-10"')
    assert names() == {*FLEET, "churn"}
    assert capsys.readouterr().err.startswith(
        "main:ml/services/production/churn.yaml:9:14: spec.model.version: 2026.10 is a number; "
    )


def test_an_environment_that_is_new_is_touched_whole() -> None:
    (SERVICES / "production").rename(SERVICES / "live")
    edit(SERVICES / "live" / "environment.yaml", "name: production", "name: live")
    wanted = compose.load(SERVICES)["live"]
    assert since(SERVICES, wanted, "main") == {*FLEET, "churn"}


def test_the_repository_is_left_as_it_was() -> None:
    edit(CHURN, "2026-10", "2026-11")
    git("add", "-A")
    edit(CHURN, "2026-11", "2026-12")
    status, index = git("status", "--porcelain"), Path(".git/index").read_bytes()
    assert names() == {"churn"}
    assert Path(".git/index").read_bytes() == index
    assert git("status", "--porcelain") == status


def test_a_change_that_git_was_told_not_to_look_at_counts() -> None:
    git("update-index", "--assume-unchanged", str(CHURN))
    edit(CHURN, "2026-10", "2026-11")
    assert git("status", "--porcelain") == ""
    assert names() == {"churn"}


def test_a_hook_of_another_repository_does_not_lead_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(CHURN, "2026-10", "2026-11")
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert names() == {"churn"}
    assert not (tmp_path / "index").exists()


def test_a_sparse_clone_reads_all_of_the_commit() -> None:
    (SERVICES / "models" / "old").mkdir()
    git("mv", str(MODEL), str(SERVICES / "models" / "old"))
    commit()
    git("mv", str(SERVICES / "models" / "old" / "churn.yaml"), str(MODEL))
    edit(SERVICES / "production" / "bikes.yaml", '"7"', '"8"')
    commit()
    git("sparse-checkout", "set", "--no-cone", "/*", "!/ml/services/models/old/")
    assert names("HEAD~") == FLEET


def test_a_folder_of_no_repository_is_said(tmp_path: Path) -> None:
    SERVICES.rename(tmp_path / "services")
    assert refusal("main", tmp_path / "services") == (
        f"{tmp_path}/services is in no git repository, so nothing is known since a commit; run "
        "this in a clone, or without --since"
    )


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("mian", '; did you mean "main"?'),
        ("--all", "; known: main"),
        ("", "; known: main"),
        ("main..HEAD", "; known: main"),
        ("HEAD:README.md", "; known: main"),
    ],
)
def test_an_unknown_commit_is_said_with_what_is_near(ref: str, hint: str) -> None:
    assert refusal(ref) == f'there is no commit "{ref}" here, or it was not fetched{hint}'


def test_a_shallow_clone_is_said_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(CHURN, "2026-10", "2026-11")
    commit()
    git("clone", "-q", "--depth=1", f"file://{tmp_path}/clone", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert names("HEAD") == set()
    said = refusal("HEAD~")
    assert said.startswith('there is no commit "HEAD~" in this shallow clone; fetch the history: ')
    assert "`fetch-depth: 0`" in said


def test_a_machine_without_git_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal("main").startswith("git cannot be run: No such file or directory; install it")
    with pytest.raises(ConfigurationError, match="gone cannot be entered: No such file"):
        run(tmp_path / "gone", "status")


def test_what_git_says_otherwise_is_passed_on() -> None:
    blob = git("rev-parse", f"HEAD:{MODEL.as_posix()}")
    Path(".git/objects", blob[:2], blob[2:]).unlink()
    edit(CHURN, "2026-10", "2026-11")
    assert refusal("main").startswith("git: ")


def test_a_repository_of_somebody_else_is_said_with_the_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    first, *_, last = refusal("main").splitlines()
    assert first.startswith("git: fatal: detected dubious ownership")
    assert last.startswith("git: git config --global --add safe.directory")
