"""`init`: what it writes is valid and complete, and what exists is left alone."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from reconciler import errors
from reconciler.ci.workflows import Wanted, workflow
from reconciler.cli.compose import load, schema_text
from reconciler.platforms import platforms
from tests.ci.test_checked import BIN, WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

    Command = Callable[..., Ran]

ROOT = Path(__file__).parent.parent.parent
ACTION = f"acme/reconciler@{'a1' * 20}"
GITHUB = ("--ci", "github", "--action", ACTION)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def contents() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("platform", "sample"),
    [
        *((name, ()) for name in platforms()),
        *((name, ("--example",)) for name, each in platforms().items() if each.example),
        *((name, ("--existing",)) for name in platforms()),
    ],
)
def test_what_is_written_is_valid_and_its_schema_is_there(
    command: Command, platform: str, sample: tuple[str, ...]
) -> None:
    ran = command("init", "--platform", platform, "-e", "mine", *sample)
    assert ran.code == errors.SUCCESS, ran.err
    assert command("validate").code == errors.SUCCESS
    assert list(load(Path("services"))) == ["mine"]
    documents = list(Path("services").rglob("*.yaml"))
    assert documents
    for path in documents:
        if found := re.match(r"# yaml-language-server: \$schema=(\S+)", path.read_text("utf-8")):
            assert (path.parent / found[1]).read_text("utf-8") == schema_text()
    wanted = load(Path("services"))["mine"]
    assert bool(wanted.bindings) is ("--existing" not in sample)
    environment = wanted.environment
    for at in (environment.store, environment.data):
        assert at.parts[0] or (Path("services/mine") / at.url).is_dir()
    assert not Path(".github").exists()


@pytest.mark.parametrize("example", ["_azureml", "_home", "_mlflow", "_ray", "local"])
def test_an_example_is_the_shipped_one(command: Command, example: str) -> None:
    (platform,) = (name for name, each in platforms().items() if each.example == example)
    command("init", "--platform", platform, "--example", "-e", "mine")
    shipped = ROOT / "services" / example
    listed = subprocess.run(["git", "ls-files"], cwd=shipped, capture_output=True, text=True)
    names = set(listed.stdout.split())
    mine = Path("services/mine")
    made = {p.relative_to(mine).as_posix() for p in mine.rglob("*") if p.is_file()}
    assert made - {".reconciler/.gitignore"} == names - {".reconciler/.gitignore"}
    for name in names - {"environment.yaml"}:
        assert (mine / name).read_bytes() == (shipped / name).read_bytes()


def test_a_second_run_writes_nothing(command: Command) -> None:
    command("init", "--platform", "local", *GITHUB)
    before = contents()
    ran = command("init", "--platform", "local", *GITHUB)
    assert ran.code == errors.SUCCESS
    assert "wrote" not in ran.err
    assert contents() == before


def test_workflows_are_added_to_an_environment_and_nothing_else(command: Command) -> None:
    command("init", "--platform", "local", "--example")
    before = contents()
    ran = command("init", "--platform", "local", *GITHUB)
    assert (ran.code, "services/home is there already" in ran.err) == (errors.SUCCESS, True)
    added = contents().keys() - before.keys()
    assert added
    assert {path.parts[0] for path in added} == {".github"}


def test_a_second_environment_binds_the_model_of_the_first(command: Command) -> None:
    assert command("init", "--platform", "local", "-e", "staging").code == errors.SUCCESS
    ran = command("init", "--platform", "local", "-e", "production")
    assert ran.code == errors.SUCCESS, ran.err
    assert "the model churn is there already" in ran.err
    assert not Path("services/production/models").exists()
    found = load(Path("services"))
    assert {name: len(each.bindings) for name, each in found.items()} == {
        "production": 1,
        "staging": 1,
    }


def test_what_exists_is_left_and_said(command: Command) -> None:
    workflows = Path(".github/workflows")
    workflows.mkdir(parents=True)
    (workflows / "plan.yml").write_text("name: ours\n")
    Path(".gitignore").write_text("plan.json\n")
    ran = command("init", "--platform", "local", *GITHUB)
    assert ran.code == errors.SUCCESS
    assert (workflows / "plan.yml").read_text() == "name: ours\n"
    assert f"{workflows / 'plan.yml'} is there, and is left as it is" in ran.err
    assert "add to .gitignore: report.json report.html snapshot.json\n" in ran.err


def test_a_list_of_ignored_files_that_nobody_reads_is_left_too(command: Command) -> None:
    Path(".gitignore").write_text("plan.json\n", encoding="utf-16")  # as a shell of Windows does
    ran = command("init", "--platform", "local")
    assert ran.code == errors.SUCCESS
    assert "add to .gitignore: plan.json report.json report.html snapshot.json\n" in ran.err


def test_nothing_is_left_where_the_whole_would_not_be_valid(command: Command) -> None:
    command("init", "--platform", "local")
    Path("services/home").rename("services/theirs")
    before = contents()
    ran = command("init", "--platform", "local", *GITHUB)
    assert ran.code == errors.CONFIGURATION
    assert "removed the 3 files that this command wrote" in ran.err
    assert contents() == before
    assert not Path("services/home").exists()


def test_a_file_where_a_folder_must_be_is_said(command: Command) -> None:
    Path("schemas").write_text("")
    ran = command("init", "--platform", "local")
    assert (ran.code, list(contents())) == (errors.CONFIGURATION, [Path("schemas")])
    assert "schemas/reconciler.schema.json cannot be written: schemas is there" in ran.err


def test_a_folder_of_another_environment_is_said(command: Command) -> None:
    command("init", "--platform", "local")
    file = Path("services/home/environment.yaml")
    file.write_text(file.read_text().replace("name: home", "name: house"))
    before = contents()
    ran = command("init", "--platform", "local", "-e", "home")
    assert (ran.code, contents()) == (errors.CONFIGURATION, before)
    assert f"{file} names another environment" in ran.err


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("platform", ["local", "ray"])
def test_in_a_repository_git_knows_the_code_of_a_sample(command: Command, platform: str) -> None:
    git("init", "-q")
    ran = command("init", "--platform", platform, "--example")
    assert ran.code == errors.SUCCESS, ran.err
    assert "training/train.py" in git("ls-files")
    assert git("diff", "--cached", "--name-only") == ""
    assert command("validate").code == errors.SUCCESS


def test_the_commands_that_are_printed_can_be_typed(command: Command) -> None:
    ran = command("init", "my models", "--platform", "local")
    assert "git -C 'my models' add --all" in ran.err
    assert "--services 'my models/services'" in ran.err


def test_a_refused_beginning_leaves_nothing_in_git(command: Command) -> None:
    git("init", "-q")
    Path("services").mkdir()
    Path("services/odd.yaml").write_text("kind: Odd\n")
    assert command("init", "--platform", "local", "--example").code == errors.CONFIGURATION
    assert git("ls-files") == ""
    assert [path.name for path in Path("services").iterdir()] == ["odd.yaml"]


@pytest.mark.parametrize("name", ["../x", "On", "_x", "1", "a/b"])
def test_a_name_that_is_none_is_refused(command: Command, name: str) -> None:
    ran = command("init", "--platform", "local", "-e", name)
    assert ran.code == errors.CONFIGURATION
    assert contents() == {}


def test_a_store_is_written_into_the_environment(command: Command) -> None:
    assert command("init", "--platform", "mlflow", "--store", "s3://acme/models").code == 0
    (wanted,) = load(Path("services")).values()
    assert wanted.environment.store.url == "s3://acme/models"
    ran = command("init", "--platform", "ray", "--store", "s3://a b, key: env:X")
    assert ran.code == errors.CONFIGURATION
    assert not Path("services/ray").exists()


def test_without_a_terminal_the_platform_must_be_said(command: Command) -> None:
    ran = command("init")
    assert ran.code == errors.USAGE
    assert "--platform local|studio" in ran.err
    assert command("init", "--platform", "clouds").code == errors.USAGE
    assert contents() == {}


def test_a_person_is_asked_for_what_no_option_says() -> None:
    ours, theirs = pty.openpty()
    answers = ("mlfow", "mlflow", "Mine", "mine", "maybe", "yes", "gs://a b", "gs://acme/models")
    os.write(ours, "\n".join([*answers, "gitlab", "none", ""]).encode())
    command = [sys.executable, "-m", "reconciler", "init"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, stdin=theirs, stderr=theirs, env=environ, timeout=60, check=True)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert "Platform (local, studio, ray, mlflow, azureml) [local]: " in said
    for why in ('no platform "mlfow"', '"Mine" is no name', "write yes or no", 'no CI "gitlab"'):
        assert said.count(why) == 1
    (wanted,) = load(Path("services")).values()
    assert wanted.bindings == ()
    assert (wanted.environment.name, wanted.environment.store.url) == ("mine", "gs://acme/models")


def test_workflows_use_the_program_by_its_commit_and_hand_over_the_secrets(
    command: Command,
) -> None:
    command("init", "--platform", "ray", "--example", "-e", "prod", *GITHUB)
    for path in Path(".github/workflows").iterdir():
        text = path.read_text("utf-8")
        own = [line.split()[-1] for line in text.splitlines() if "reconciler/" in line]
        repository, _, commit = ACTION.partition("@")
        assert set(own) == {f"{repository}/.github/actions/reconcile@{commit}"}
        assert not re.search(r"uses: \./|emulator|[ -]local\b", text)
        for name, job in yaml.safe_load(text)["jobs"].items():
            asks = path.stem in ("plan", "reconcile", "drift") and name != "fork"
            assert ("RAY_AUTH_TOKEN" in job.get("env", {})) == asks, (path, name)
    assert "/services/prod/" in Path(".github/CODEOWNERS").read_text()


def test_the_seed_to_start_the_emulator_with_is_there(command: Command) -> None:
    for sample in (("-e", "own", "--example"), ()):
        said = command("init", "--platform", "studio", *sample).err
        for found in re.findall(r"--seed (\S+)|set -a; \. (\S+);", said):
            assert Path("".join(found)).is_file()
        assert said.count("--seed ") == said.count("set -a; ") == 1


def test_workflows_of_an_emulated_environment_start_its_emulator(command: Command) -> None:
    command("init", "--platform", "studio", "--example", "-e", "mine", *GITHUB)
    text = Path(".github/workflows/plan.yml").read_text("utf-8")
    assert "actions/emulator@" in text
    assert "folder: services/mine/_emulator" in text
    assert "secrets." not in text


def test_written_workflows_are_what_github_takes(tmp_path: Path) -> None:
    wanted = Wanted(ACTION, "a", secrets=("X", "Y"), here=True)
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for path in WORKFLOWS:
        (folder / path.name).write_text(workflow(path.read_text("utf-8"), wanted), "utf-8")
    done = subprocess.run(
        [str(BIN / "zizmor"), "--offline", "--no-progress", "--format=json", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [each["ident"] for each in json.loads(done.stdout)] == [], done.stdout
    kind = ("--builtin-schema", "vendor.github-workflows")
    files = map(str, folder.iterdir())
    done = subprocess.run([str(BIN / "check-jsonschema"), *kind, *files], capture_output=True)
    assert done.returncode == 0, done.stdout


def test_workflows_are_written_at_the_root_of_a_repository_only(command: Command) -> None:
    Path(".git").mkdir()
    ran = command("init", "below", "--platform", "local", *GITHUB)
    assert ran.code == errors.CONFIGURATION
    assert "root of a repository" in ran.err
    assert contents() == {}
