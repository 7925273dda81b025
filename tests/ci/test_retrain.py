"""`retrain`: new versions where data changed or a model is too old, by one pull request."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from reconciler import errors
from reconciler.ci import proposal
from reconciler.engine import age
from reconciler.errors import RefusedError, UnreadableError
from tests.ci.conftest import TOKEN
from tests.ci.gits import git
from tests.ci.standin import StandIn, User, turned_away
from tests.cli.test_accept import drifted
from tests.lab import LOCAL
from tests.render import cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.ci.github import GitHub
    from reconciler.engine.world import World
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

BOT = User(1, "bot", {"pull-requests": "write", "contents": "write"})
BRANCH = "reconciler/retrain-local"
PULL = ("ci", "propose", "--base", "main")
FIXED = "datasets/breast-cancer/${version}.csv", "datasets/breast-cancer/2026-10.csv"
DIABETES = ("diabetes.yaml", "models/diabetes.yaml")
CANCER = Path("services/local/breast-cancer.yaml")


@pytest.fixture(autouse=True)
def repository(lab: Lab, github: StandIn, tmp_path: Path) -> Iterator[Path]:
    """A clone of a bare repository at GitHub, in the current folder."""
    github.tokens[TOKEN] = BOT
    github.pulls.clear()
    bare = tmp_path / "bare.git"
    bare.mkdir()
    git(bare, "init", "--bare", "--quiet")
    github.repository = bare
    for name in DIABETES:
        (lab.services / "local" / name).unlink()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", str(bare))
    push(tmp_path)
    return bare


def push(folder: Path) -> None:
    git(folder, "add", "services")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "a change")
    git(folder, "push", "--quiet", "--force", "origin", "HEAD:main")


def with_diabetes(lab: Lab) -> None:
    """Three more bindings of another model."""
    for name in DIABETES:
        shutil.copy(LOCAL / name, lab.services / "local" / name)


def fixed(lab: Lab, max_age: str = "") -> None:
    """The data of the model is always at one path, and it may become so old."""
    lab.edit("models/breast-cancer.yaml", *FIXED)
    if max_age:
        lab.edit(
            "models/breast-cancer.yaml", "timeout: 30m", f"timeout: 30m\n    maxAge: {max_age}"
        )


def applied(command: Command, version: str = "2026-10") -> None:
    ran = command("apply", "--yes", "--target", "breast-*")
    assert ran.code == errors.SUCCESS, ran.err


def upload(lab: Lab, name: str = "2026-10") -> None:
    """Somebody writes other data to the blob of a version."""
    rows = Path("services/local/_emulator/data/breast-cancer/2026-11.csv").read_bytes()
    lab.world().data.put(f"datasets/breast-cancer/{name}.csv", rows + b"\n")


def wanted() -> str:
    """The version that the YAML asks for."""
    return next(line for line in CANCER.read_text().splitlines() if "version:" in line).split('"')[
        1
    ]


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def files(bare: Path) -> str:
    return git(bare, "show", f"{BRANCH}:{CANCER}")


# --- what is to be made anew -----------------------------------------------------------------------


def test_a_newer_version_with_data_is_written_into_the_yaml(lab: Lab, command: Command) -> None:
    before = CANCER.read_text()
    ran = command("retrain", "--target", "breast-*")
    assert ran.code == errors.SUCCESS, ran.err
    assert "2026-10 → 2026-11, new data: datasets/breast-cancer/2026-11.csv" in ran.err
    assert CANCER.read_text() == before.replace("2026-10", "2026-11")
    assert '+  model: {name: breast-cancer, version: "2026-11"}' in ran.out
    assert "no version needs retraining" in command("retrain", "--target", "breast-*").err


@pytest.mark.parametrize("odd", ["\xa0", "\xad", "\u200b", "👩\u200d💻"])
def test_a_folder_whose_name_cannot_all_be_seen_is_retrained(
    lab: Lab, command: Command, repository: Path, odd: str
) -> None:
    folder = lab.services / "local" / f"Kunden{odd}Süd"
    folder.mkdir()
    moved = CANCER.rename(folder / CANCER.name)
    (lab.services / "local/probes").rename(folder / "probes")
    push(Path())
    assert "opened: " in command(*PULL).err
    path = f"services/local/{folder.name}/{CANCER.name}"
    assert 'version: "2026-11"' in git(repository, "show", f"{BRANCH}:{path}")
    assert command("retrain").code == errors.SUCCESS
    assert 'version: "2026-11"' in moved.read_text()


def test_every_binding_of_a_model_needs_its_data(lab: Lab, command: Command) -> None:
    with_diabetes(lab)
    ran = command("retrain", "--target", "diabetes-*", "--dry-run")
    assert ran.err.count("2026-10 → 2026-11") == 3
    assert "2026-10" in Path("services/local/diabetes.yaml").read_text(), "a dry run writes nothing"


def test_versions_are_in_the_order_that_people_mean(lab: Lab, command: Command) -> None:
    for name in ("2026-9", "2026-101", "2026-11x"):
        upload(lab, name)
    ran = command("retrain", "--target", "breast-*")
    assert wanted() == "2026-101", ran.err


def test_a_version_that_was_rejected_is_not_proposed(lab: Lab, command: Command) -> None:
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    applied(command)
    lab.edit("breast-cancer.yaml", "2026-11", "2026-10")
    applied(command)
    (binding,) = [b for b in lab.desired().bindings if b.name == "breast-cancer"]
    world = lab.world()
    entry = world.ledger.read(replace(binding.version, version="2026-11"))
    assert entry is not None
    world.ledger.reject(entry, "a test")
    ran = command("retrain", "--target", "breast-*")
    assert "2026-11 has data, but was refused" in ran.err
    assert wanted() == "2026-10"


def test_data_that_changed_in_place_is_a_version_of_that_day(lab: Lab, command: Command) -> None:
    fixed(lab)
    applied(command)
    assert "no version needs retraining" in command("retrain", "--target", "breast-*").err
    upload(lab)
    ran = command("retrain", "--target", "breast-*")
    assert f"changed on {today()} after 2026-10 was trained on it" in ran.err
    assert wanted() == today()
    applied(command)
    assert "no version needs retraining" in command("retrain", "--target", "breast-*").err
    rows = lab.world().data.get("datasets/breast-cancer/2026-10.csv")
    assert rows is not None
    lab.world().data.put("datasets/breast-cancer/2026-10.csv", rows.content + b"\n")
    command("retrain", "--target", "breast-*")
    assert wanted() == f"{today()}.2", "the day has a version already, of other data"


def test_data_that_changed_below_a_version_needs_a_new_name(lab: Lab, command: Command) -> None:
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    applied(command)
    upload(lab, "2026-11")
    ran = command("retrain", "--target", "breast-*")
    assert "upload newer data under the name of a newer version" in ran.err
    assert wanted() == "2026-11"


def test_a_model_that_is_too_old_is_a_version_of_the_day_it_became_so(
    lab: Lab, command: Command
) -> None:
    fixed(lab, "30d")
    applied(command)
    assert "no version needs retraining" in command("retrain", "--target", "breast-*").err
    made = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=40)
    (binding,) = [b for b in lab.desired().bindings if b.name == "breast-cancer"]
    ledger = lab.world().ledger
    entry = ledger.read(binding.version)
    assert entry is not None
    assert entry.manifest.evaluation is not None
    older = replace(entry.manifest.evaluation, noted_at=f"{made:%Y-%m-%dT%H:%M:%SZ}")
    ledger.write(entry, replace(entry.manifest, evaluation=older))
    ran = command("retrain", "--target", "breast-*")
    assert "2026-10 is 40 days old, and maxAge is 30d" in ran.err
    assert wanted() == (made + datetime.timedelta(days=30)).date().isoformat()


@pytest.mark.parametrize("stray", ["2026-12 (copy)", "2026-12'", '2026-12"x', "2026-12 # x"])
def test_a_blob_whose_name_is_no_version_is_named_and_skipped(
    lab: Lab, command: Command, stray: str
) -> None:
    with_diabetes(lab)
    upload(lab, stray)
    ran = command("retrain")
    assert ran.code == errors.SUCCESS, ran.err
    assert f'breast-cancer: "{stray}" has data and is no version; rename its file' in ran.err
    assert wanted() == "2026-11"
    assert ran.err.count("2026-10 → 2026-11") == 4


def test_a_binding_that_cannot_be_looked_at_keeps_no_other(
    lab: Lab, command: Command, github: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_diabetes(lab)
    asked = age.versions_with_data

    def refuse(world: World, templates: Iterable[str]) -> set[str]:
        if any("diabetes/young" in each for each in templates):
            raise UnreadableError("the list is half")
        return asked(world, templates)

    monkeypatch.setattr(age, "versions_with_data", refuse)
    ran = command("retrain")
    assert ran.code == errors.PARTIAL
    assert "diabetes-young: the list is half" in ran.err
    assert ran.err.count("2026-10 → 2026-11") == 3
    assert wanted() == "2026-11"


def test_where_none_can_be_looked_at_it_is_an_error_and_no_proposal_is_given_up(
    lab: Lab, command: Command, github: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(*PULL)

    def refuse(world: World, templates: Iterable[str]) -> set[str]:
        raise UnreadableError("the list is half")

    monkeypatch.setattr(age, "versions_with_data", refuse)
    assert command(*PULL).code == errors.ERROR
    assert github.pulls[1]["state"] == "open"


@pytest.mark.parametrize("how", ["paused: true", "protect: true"])
def test_what_is_to_be_left_alone_is_left_alone(lab: Lab, command: Command, how: str) -> None:
    lab.edit("breast-cancer.yaml", "spec:\n", f"spec:\n  {how}\n")
    assert command("retrain", "--target", "breast-*").code == errors.SUCCESS
    assert wanted() == "2026-10"


@pytest.mark.parametrize("said", ["30", "0d", "1w"])
def test_an_age_that_is_none_is_refused(lab: Lab, command: Command, said: str) -> None:
    fixed(lab, f'"{said}"')
    ran = command("retrain")
    assert ran.code == errors.CONFIGURATION
    assert "is not an age; write one whole number with one unit, such as 30d or 12h" in ran.err


# --- the one pull request ---------------------------------------------------------------------------


def test_a_pull_request_is_opened_kept_and_closed(
    lab: Lab, github: StandIn, command: Command, repository: Path
) -> None:
    applied(command)
    before = CANCER.read_text()
    ran = command(*PULL)
    assert ran.code == errors.SUCCESS, ran.err
    assert CANCER.read_text() == before, "nothing is written here"
    assert files(repository) == before.replace("2026-10", "2026-11").strip()
    assert git(repository, "log", "--format=%P", BRANCH).split("\n")[0] == git(
        repository, "rev-parse", "main"
    )
    ((number, pull),) = github.pulls.items()
    assert (pull["title"], pull["base"]["ref"]) == ("Retrain outdated versions in local", "main")
    assert "new data: datasets/breast-cancer/2026-11.csv" in pull["body"]
    assert "known after training" in pull["body"]
    assert [str(one).removeprefix("POST /repos/octo/endpoints") for one in github.asked][
        -1
    ] == "/pulls"

    github.asked.clear()
    assert "shown before" in command(*PULL).err
    assert github.writes == [], "nothing was new"

    command("retrain", "--target", "breast-*")
    assert command("train", "--yes", "--target", "breast-*").code == errors.SUCCESS
    git(Path.cwd(), "checkout", "--quiet", "--", "services")
    ran = command(*PULL)
    assert "proposes it already" in ran.err
    assert "AUC" in github.pulls[number]["body"]
    assert "known after training" not in github.pulls[number]["body"], "its metrics are there now"

    upload(lab, "2026-12")
    ran = command(*PULL)
    assert "wrote branch" in ran.err
    assert list(github.pulls) == [number], "it is the same pull request"
    assert "2026-12" in files(repository)
    assert git(repository, "rev-list", "--count", f"main..{BRANCH}") == "1"

    CANCER.write_text(before.replace("2026-10", "2026-12"))
    push(Path.cwd())
    ran = command(*PULL)
    assert "no version needs retraining" in ran.err
    assert github.pulls[number]["state"] == "closed"


def test_what_drifted_is_proposed_by_a_pull_request_of_its_own(
    lab: Lab, github: StandIn, command: Command, repository: Path
) -> None:
    before = drifted(lab, command)
    push(Path.cwd())
    proposed = ("drift", "--accept", "--pull-request", "--base", "main")
    ran = command(*proposed, "--dry-run")
    assert (ran.code, github.pulls) == (errors.SUCCESS, {})
    assert command(*proposed).out == ran.out
    assert CANCER.read_text() == before, "nothing is written here"
    written = git(repository, "show", f"reconciler/accept-drift-local:{CANCER}")
    assert written == before.replace("2026-11", "2026-10", 1).strip()
    ((number, pull),) = github.pulls.items()
    assert pull["title"] == "Accept what drifted in local"
    assert "2026-11 → 2026-10, drifted from 2026-11" in pull["body"]
    assert command("apply", "--yes").code == errors.SUCCESS
    assert "closed: " in command(*proposed).err
    assert github.pulls[number]["state"] == "closed"


def test_what_people_declined_is_not_proposed_again(
    github: StandIn, command: Command, repository: Path
) -> None:
    command(*PULL)
    github.close_pull(1)
    ran = command(*PULL)
    assert ran.code == errors.SUCCESS
    assert "was closed; it is not proposed again" in ran.err
    assert list(github.pulls) == [1]


def test_commits_of_others_on_the_branch_are_not_thrown_away(
    github: StandIn, command: Command, repository: Path
) -> None:
    command(*PULL)
    tree = git(repository, "rev-parse", f"{BRANCH}^{{tree}}")
    mine = git(repository, "commit-tree", tree, "-p", BRANCH, "-m", "by hand")
    git(repository, "update-ref", f"refs/heads/{BRANCH}", mine)
    ran = command(*PULL)
    assert ran.code == errors.REFUSED
    assert "has a commit that this program did not make" in ran.err
    assert git(repository, "rev-parse", BRANCH) == mine


def test_a_checkout_that_is_not_the_head_of_main_proposes_nothing(
    lab: Lab, github: StandIn, command: Command
) -> None:
    lab.edit("breast-cancer.yaml", "# Its model", "# Here only: its model")
    ran = command(*PULL)
    assert (ran.code, github.writes) == (errors.STALE, [])
    assert "differs between the head of main" in ran.err


def test_a_checkout_whose_line_ends_git_converts_proposes_what_the_repository_has(
    lab: Lab, github: StandIn, command: Command, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / ".gitattributes").write_text("*.yaml text eol=crlf\n")
    git(tmp_path, "add", ".gitattributes")
    push(tmp_path)
    lf = git(tmp_path, "show", f"HEAD:{CANCER}")
    CANCER.unlink()
    git(tmp_path, "checkout", "--", str(CANCER))
    assert b"\r\n" in CANCER.read_bytes()
    ran = command(*PULL)
    assert ran.code == errors.SUCCESS, ran.err
    shown = subprocess.run(
        ["git", "show", f"{BRANCH}:{CANCER}"], cwd=repository, capture_output=True, check=True
    )
    assert shown.stdout.decode().strip() == lf.replace("2026-10", "2026-11")


def test_the_repository_may_lie_below_the_workspace_of_the_job(
    github: StandIn, command: Command, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/")
    assert command(*PULL).code == errors.SUCCESS
    assert "2026-11" in files(repository)


def test_a_job_that_may_not_write_hears_which_line_is_missing(
    github: StandIn, command: Command
) -> None:
    github.tokens[TOKEN] = User(1, "bot", {"pull-requests": "write", "contents": "read"})
    ran = command(*PULL)
    assert ran.code == errors.ERROR
    assert "add the line `contents: write` below `permissions:` of the job" in ran.err


def test_the_version_of_a_fleet_is_changed_where_it_is_written(
    lab: Lab, github: StandIn, command: Command
) -> None:
    with_diabetes(lab)
    template = (
        'apiVersion: reconciler/v1\nkind: ClassicEndpoint\nmetadata: {name: "diabetes-${slice}"}\n'
        "forEach: {slice: [young, middle, senior]}\nspec:\n  webService: Diabetes Scoring\n"
        '  endpoint: "${slice}"\n  resource: Diabetes [trained model]\n'
        '  model: {name: diabetes, version: "2026-10", with: {slice: "${slice}"}}\n'
    )
    path = Path("services/local/diabetes.yaml")
    path.write_text(template)
    ran = command("retrain", "--target", "diabetes-*")
    assert "diabetes-middle and 2 more: 2026-10 → 2026-11" in ran.err, ran.err
    assert path.read_text() == template.replace("2026-10", "2026-11")


def test_a_proposal_of_a_part_is_refused(github: StandIn, command: Command) -> None:
    ran = command(*PULL, "--target", "breast-*")
    assert (ran.code, github.asked) == (errors.USAGE, [])


def test_a_repository_whose_jobs_may_open_no_pull_request_says_where_to_allow_it(
    github: StandIn, command: Command
) -> None:
    said = "GitHub Actions is not permitted to create or approve pull requests."
    github.refuses_pulls = turned_away(403, said)
    ran = command(*PULL)
    assert ran.code == errors.ERROR
    assert "below Actions, General, Workflow permissions" in ran.err


def test_a_proposal_that_no_pull_request_can_hold_is_refused() -> None:
    door = cast("GitHub", SimpleNamespace(repository="octo/endpoints"))
    for kind, command in ((proposal.RETRAINED, "retrain"), (proposal.ACCEPTED, "drift --accept")):
        with pytest.raises(RefusedError, match=f"merge a part first: reconciler {command} -t GLOB"):
            proposal._Proposal(door, "main", "local", kind).show(["x" * 70_000], cases.EMPTY)
