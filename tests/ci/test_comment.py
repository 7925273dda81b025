"""`comment`: one comment per environment, written by whoever may, about the commit that is there."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors, render
from reconciler.ci import comment_text as rendering
from reconciler.ci.github import GitHub
from reconciler.cli import ending
from reconciler.cli.choose import committed, pruning
from reconciler.http.client import Http
from reconciler.model import Action, Desired, Failure, Plan, Report
from tests.ci.conftest import HEAD, MERGE, TOKEN
from tests.ci.gits import git
from tests.ci.standin import BOT, PERSON, REPOSITORY, Answer, StandIn, User, turned_away
from tests.render import cases
from tests.test_plan import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

PLAN = replace(cases.EVERY_ACTION, commit=HEAD)
MARK = "<!-- reconciler:plan environment=local -->"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(document: Plan | Report, **more: Any) -> str:
    """The name of a file as `plan --out` or `apply --report` writes it."""
    if isinstance(document, Plan):
        text = render.plan_json(document)
    else:
        made = ending.Ending("apply", document, 0)
        text = ending._document(made, "2026-11-24T00:00:00Z")
    Path("report.json").write_text(json.dumps(json.loads(text) | more), encoding="utf-8")
    return "report.json"


def bodies(github: StandIn) -> list[str]:
    return [comment["body"] for comment in github.comments[7]]


def other_plan() -> Plan:
    return replace(cases.EMPTY, commit=HEAD)


# --- one comment, in place ---------------------------------------------------------------------


def test_a_plan_is_commented_on_its_pull_request(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.SUCCESS, ran.err
    assert "commented: https://github.com/octo/endpoints/pull/7#issuecomment-" in ran.err
    (body,) = bodies(github)
    assert body.startswith(f"{MARK}\n")
    assert f"Plan {PLAN.digest} of commit {HEAD}" in body
    assert [str(one) for one in github.asked] == [
        "GET /repos/octo/endpoints/pulls/7",
        "GET /repos/octo/endpoints/issues/7/comments",
        "POST /repos/octo/endpoints/issues/7/comments",
    ]


def test_the_same_plan_again_writes_nothing(github: StandIn, command: Command) -> None:
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    github.comments[7][0]["body"] = bodies(github)[0].replace("\n", "\r\n")
    github.asked.clear()
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert (ran.code, github.writes) == (errors.SUCCESS, [])
    assert "shown before: https://github.com/" in ran.err


def test_another_plan_takes_its_place_and_folds_it_away(github: StandIn, command: Command) -> None:
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    command("ci", "comment", "--report", write(other_plan()), "--pr", "7")
    (body,) = bodies(github)
    assert "2 bindings are in sync" in body
    assert "Superseded: 1 earlier plan" in body
    assert f"- plan {PLAN.digest} of commit {HEAD}" in body
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert f"- plan {other_plan().digest} of commit {HEAD}" in bodies(github)[0]
    assert f"- plan {PLAN.digest}" not in bodies(github)[0], "it is shown, not superseded"


def test_another_environment_has_a_comment_of_its_own(github: StandIn, command: Command) -> None:
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    command("ci", "comment", "--report", write(replace(PLAN, environment="live--> x")), "--pr", "7")
    first, second = bodies(github)
    assert first.startswith(MARK)
    assert second.startswith("<!-- reconciler:plan environment=live%2D%2D%3E%20x -->\n")


def test_a_mark_that_somebody_else_wrote_is_left_alone(github: StandIn, command: Command) -> None:
    github.write_comment(7, PERSON, f"{MARK}\nnot yours")
    github.write_comment(7, BOT, f"> {MARK}\nquoted")
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert bodies(github)[:2] == [f"{MARK}\nnot yours", f"> {MARK}\nquoted"]
    assert len(bodies(github)) == 3


def test_a_comment_of_a_user_who_is_gone_is_nobodys(github: StandIn, command: Command) -> None:
    github.write_comment(7, PERSON, f"{MARK}\nghost")["user"] = None
    assert command("ci", "comment", "--report", write(PLAN), "--pr", "7").code == errors.SUCCESS
    assert len(bodies(github)) == 2


def test_of_two_comments_one_is_kept_and_one_folded(github: StandIn, command: Command) -> None:
    for text in ("first", "second"):
        github.write_comment(7, BOT, f"{MARK}\n{text}")
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    first, second = bodies(github)
    assert first.startswith(MARK)
    assert f"Plan {PLAN.digest}" in first
    assert second == (
        "<details><summary>Superseded by another comment</summary>\n\nsecond\n\n</details>\n"
    )
    assert "folded: " in ran.err
    github.asked.clear()
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert github.writes == [], "what is folded is not found again"


def test_the_comment_is_found_on_the_last_page(github: StandIn, command: Command) -> None:
    for number in range(230):
        github.write_comment(7, PERSON, f"{number}")
    github.write_comment(7, BOT, f"{MARK}\nold")
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert len(bodies(github)) == 231
    assert f"Plan {PLAN.digest}" in bodies(github)[-1]
    pages = [one.query["page"] for one in github.asked if one.path.endswith("/comments")]
    assert pages == ["1", "2", "3"]


def test_a_page_that_is_just_full_is_followed_by_an_empty_one(
    github: StandIn, command: Command
) -> None:
    for number in range(100):
        github.write_comment(7, PERSON, f"{number}")
    assert command("ci", "comment", "--report", write(PLAN), "--pr", "7").code == errors.SUCCESS


def test_dry_run_prints_the_comment_and_asks_nobody(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    ran = command("ci", "comment", "--report", write(PLAN), "--dry-run")
    assert (ran.code, ran.err, github.asked) == (errors.SUCCESS, "", [])
    assert ran.out.startswith(MARK)


def test_the_page_of_the_job_is_the_comment(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert Path("summary.md").read_text(encoding="utf-8") == bodies(github)[0]


# --- which pull request, and which commit ------------------------------------------------------

PULL = {"number": 7, "head": {"sha": HEAD}}


@pytest.mark.parametrize(
    "event",
    [
        {"pull_request": PULL},
        {"issue": {"number": 7, "pull_request": {}}},
        {"workflow_run": {"head_sha": HEAD, "pull_requests": [PULL]}},
        {"merge_group": {"head_ref": f"refs/heads/gh-readonly-queue/main/pr-7-{HEAD}"}},
        {"merge_group": {"head_ref": f"refs/heads/gh-readonly-queue/release/1.0/pr-7-{HEAD}"}},
    ],
)
def test_the_event_says_which_pull_request(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    Path("event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    assert command("ci", "comment", "--report", write(PLAN)).code == errors.SUCCESS
    assert len(bodies(github)) == 1


@pytest.mark.parametrize(
    "event",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"issue": {"number": 7}}',
        '{"pull_request": {"number": "7"}}',
        '{"pull_request": {"number": true}}',
        '{"workflow_run": {"pull_requests": []}}',
        '{"workflow_run": {"pull_requests": [{"number": 7}, {"number": 8}]}}',
    ],
)
def test_an_event_of_no_pull_request_asks_for_the_number(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    Path("event.json").write_text(event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    ran = command("ci", "comment", "--report", write(PLAN))
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "pass --pr NUMBER" in ran.err


def test_a_merge_queue_shows_the_plan_of_the_commit_that_it_made(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "d" * 40
    Path("event.json").write_text(json.dumps({"merge_group": {"head_sha": made}}))
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    monkeypatch.setenv("GITHUB_REF", f"refs/heads/gh-readonly-queue/main/pr-7-{HEAD}")
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    ran = command("ci", "comment", "--report", write(replace(other_plan(), commit=made)))
    assert ran.code == errors.SUCCESS, ran.err
    (body,) = bodies(github)
    assert f"of commit {made}" in body
    assert rendering.shown_by(body)[1] == rendering.Shown(PLAN.digest, HEAD), "it was seen too"


def test_a_github_that_does_not_listen_here_is_not_taken_for_the_emulator(
    command: Command, github: StandIn, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{port}")
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert "connection refused; GITHUB_API_URL names this machine" in ran.err
    assert "emulator" not in ran.err


@pytest.mark.parametrize("commit", [HEAD, MERGE])
def test_the_head_and_what_github_checks_out_of_it_are_both_the_pull_request(
    github: StandIn, command: Command, commit: str
) -> None:
    ran = command("ci", "comment", "--report", write(replace(PLAN, commit=commit)), "--pr", "7")
    assert ran.code == errors.SUCCESS


def test_a_plan_of_another_commit_is_not_shown(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", write(replace(PLAN, commit="c" * 40)), "--pr", "7")
    assert (ran.code, github.writes) == (errors.STALE, [])
    assert f"is of commit {'c' * 40}, but pull request 7 is at {HEAD}" in ran.err


def test_a_plan_of_no_known_commit_is_not_shown(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", write(cases.EVERY_ACTION), "--pr", "7")
    assert (ran.code, github.writes) == (errors.STALE, [])
    assert "no known commit" in ran.err


@pytest.mark.parametrize(("merge", "state"), [(None, "closed"), (MERGE, "merged")])
def test_a_plan_is_not_shown_where_nobody_waits_for_it(
    github: StandIn, command: Command, merge: str | None, state: str
) -> None:
    github.close_pull(7, merge)
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert (ran.code, github.writes) == (errors.REFUSED, [])
    assert f"pull request 7 is {state}" in ran.err


def report(commit: str) -> Report:
    told = cases.REPORTS["failures"]
    return replace(told, plan=replace(told.plan, commit=commit))


def test_what_was_applied_is_told_where_it_was_merged(github: StandIn, command: Command) -> None:
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    github.close_pull(7, MERGE)
    ran = command("ci", "comment", "--report", write(report(MERGE)), "--pr", "7")
    assert ran.code == errors.SUCCESS, ran.err
    plan, told = bodies(github)
    assert plan.startswith(MARK), "what was approved is left as it was"
    assert told.startswith("<!-- reconciler:run environment=local -->\n")
    assert "### Failed or not proved" in told


def test_what_was_applied_is_not_told_where_it_was_given_up(
    github: StandIn, command: Command
) -> None:
    github.close_pull(7)
    ran = command("ci", "comment", "--report", write(report(HEAD)), "--pr", "7")
    assert (ran.code, github.writes) == (errors.REFUSED, [])


def commit_of(services: Path, **environ: str) -> str:
    wanted = Desired(ENVIRONMENT, ())
    return committed(wanted, services, environ).commit


def test_a_plan_says_the_commit_that_people_pushed(tmp_path: Path) -> None:
    Path("event.json").write_text(json.dumps({"pull_request": PULL}))
    environ = {"GITHUB_SHA": MERGE, "GITHUB_EVENT_PATH": "event.json"}
    assert commit_of(tmp_path, **environ, GITHUB_EVENT_NAME="pull_request") == HEAD
    assert commit_of(tmp_path, **environ, GITHUB_EVENT_NAME="push") == MERGE
    assert commit_of(tmp_path) == "", "outside of a repository nobody knows"


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The services of a repository that lies inside another one; both have a commit."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    services = tmp_path / "config" / "services"
    (services / "local").mkdir(parents=True)
    (services / "local" / "a.yaml").write_text("a: 1\n")
    (tmp_path / "config" / "tools.cmd").write_text("build\n")
    for folder in (tmp_path / "config", tmp_path):
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "First")
    return services


def test_the_commit_is_that_of_the_repository_around_the_services(
    clones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outer = git(clones, "rev-parse", "HEAD"), git(tmp_path, "rev-parse", "HEAD")
    assert inner != outer
    for folder in (tmp_path, tmp_path / "config", Path("/"), clones):
        monkeypatch.chdir(folder)
        assert commit_of(clones) == inner
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / ".git" / "objects"))
    monkeypatch.setenv("GIT_ICASE_PATHSPECS", "1")  # git takes no other way to read paths beside
    assert commit_of(clones) == inner
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": PULL}))
    job = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": f"{tmp_path}/event.json"}
    assert commit_of(clones, GITHUB_SHA=MERGE, **job) == inner, "the event is of another repository"
    assert commit_of(clones, GITHUB_SHA=inner, **job) == HEAD


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("../tools.cmd", "other", False),
        ("../new.yaml", "a: 2", False),
        ("notes.txt", "mine", False),
        (".reconciler/x.yaml", "a: 2", False),
        ("plan.json", '{\n  "schema": "reconciler/plan/v1"', False),
        ("local/a.yaml", "a: 2", True),
        ("local/new.yml", "a: 2", True),
        ("local/_sites.yaml", "a: 2", True),
        ("probes/p.json", "{}", True),
        ("local/ignored.yaml", "a: 2", True),
    ],
)
def test_what_is_not_committed_below_the_services_is_of_no_commit(
    clones: Path, name: str, text: str, counts: bool
) -> None:
    (clones.parent / ".gitignore").write_text("ignored.yaml\n")
    head = git(clones, "rev-parse", "HEAD")
    path = clones / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text}\n")
    found = committed(Desired(ENVIRONMENT, ()), clones, {"GITHUB_SHA": MERGE})
    assert found.commit == ("" if counts else head)
    assert [each.endswith(name) for each in found.uncommitted] == [True] * counts


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_was_told_not_to_look_at_is_compared(clones: Path, mark: str) -> None:
    """`git status` calls it clean whatever is in it."""
    head = git(clones, "rev-parse", "HEAD")
    git(clones / "local", "update-index", mark, "a.yaml")
    assert commit_of(clones) == head
    (clones / "local" / "a.yaml").write_text("a: 2\n")
    found = committed(Desired(ENVIRONMENT, ()), clones, {})
    assert (found.commit, found.uncommitted) == ("", (str(clones / "local" / "a.yaml"),))


@pytest.mark.parametrize("known", [False, True], ids=["another repository", "a submodule"])
def test_what_another_repository_below_the_services_declares_is_of_no_commit(
    clones: Path, *, known: bool
) -> None:
    """Its files are read; git itself names the folder at most."""
    (clones / "other").mkdir()
    git(clones / "other", "init", "-q")
    git(clones / "other", "commit", "-q", "--allow-empty", "-m", "First")
    if known:
        git(clones, "-c", "advice.addEmbeddedRepo=false", "add", "other")
        git(clones, "commit", "-qm", "Other")
        assert commit_of(clones) == git(clones, "rev-parse", "HEAD")
    (clones / "other" / "new.yaml").write_text("a: 2\n")
    assert commit_of(clones) == ""


@pytest.mark.parametrize("how", ["a sparse checkout", "a submodule that nobody fetched"])
def test_what_git_leaves_out_of_the_services_is_not_pruned_and_of_no_commit(
    clones: Path, how: str
) -> None:
    """`git status` calls both clean, and what the files declare would look forgotten."""
    (clones / "local" / "b.yaml").write_text("b: 1\n")
    git(clones, "add", ".")
    git(clones, "commit", "-qm", "Second")
    if how == "a sparse checkout":
        git(clones.parent, "sparse-checkout", "set", "--no-cone", "/*", "!a.yaml")
        missing = clones / "local" / "a.yaml"
    else:
        (clones / "other").mkdir()
        git(clones / "other", "init", "-q")
        git(clones / "other", "commit", "-q", "--allow-empty", "-m", "First")
        git(clones, "-c", "advice.addEmbeddedRepo=false", "add", "other")
        git(clones, "commit", "-qm", "Other")
        (clones / "other" / ".git").rename(clones.parent / "elsewhere")
        missing = clones / "other"
    found = committed(Desired(ENVIRONMENT, ()), clones, {})
    assert not missing.is_file()
    assert (found.commit, [Path(name) for name in found.unseen]) == ("", [missing])
    with pytest.raises(errors.ConfigurationError, match=r"in this working tree: .*; fetch it"):
        pruning(found, prune=True, force=None)


def test_a_repository_that_git_does_not_read_has_no_commit(
    clones: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit_of(clones, GITHUB_SHA=MERGE) == ""
    assert "git config --global --add safe.directory" in capsys.readouterr().err


def test_where_no_git_is_installed_the_commit_is_that_of_the_job(
    clones: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert commit_of(clones, GITHUB_SHA=MERGE) == MERGE
    assert capsys.readouterr().err == ""


def test_a_plan_file_of_no_commit_says_because_of_which_files(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "services")
    git(tmp_path, "commit", "-qm", "First")
    ran = command("plan", "--target", "breast-*", "--out", "plan.json")
    assert json.loads(Path("plan.json").read_text())["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert "is of no commit" not in ran.err
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    ran = command("plan", "--target", "breast-*", "--out", "plan.json")
    assert json.loads(Path("plan.json").read_text())["commit"] == ""
    assert "the plan is of no commit" in ran.err
    assert "services/local/breast-cancer.yaml" in ran.err


def test_what_plan_and_apply_write_can_be_shown(
    lab: Lab, github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_SHA", HEAD)
    command("plan", "--out", "plan.json")
    command("apply", "plan.json", "--report", "run.json")
    for name in ("plan.json", "run.json"):
        ran = command("ci", "comment", "--report", name, "--pr", "7")
        assert ran.code == errors.SUCCESS, ran.err
    plan, run = bodies(github)
    digest = json.loads(Path("plan.json").read_text(encoding="utf-8"))["digest"]
    assert f"Plan {digest} of commit {HEAD}, on emulator" in plan
    assert "**breast-cancer**" in plan
    assert "4 changed, 4 proved, 0 failed" in run


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("\xff", "neither a plan"),
        ("[]", "document: must be an object"),
        ('{"schema": "reconciler/status/v1"}', "'reconciler/status/v1' is neither"),
        ('{"schema": "reconciler/plan/v1"}', "document.changes: is missing"),
        ('{"schema": "reconciler/run/v1", "report": null, "error": "no network"}', "no network"),
        ('{"schema": "reconciler/run/v1", "report": {"schema": 1}}', "document.report.schema"),
    ],
)
def test_a_file_that_is_no_report_is_named(
    github: StandIn, command: Command, text: str, said: str
) -> None:
    Path("x.json").write_bytes(text.encode("latin-1"))
    ran = command("ci", "comment", "--report", "x.json", "--pr", "7")
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "x.json: neither a plan of" in ran.err
    assert said in ran.err


def test_a_report_whose_commit_is_no_commit_is_refused(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", write(PLAN, commit="--> @everyone"), "--pr", "7")
    assert ran.code == errors.CONFIGURATION
    assert "document.commit" in ran.err


def test_a_file_that_is_not_there_is_named(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", "nowhere.json", "--pr", "7")
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "nowhere.json: cannot be read: No such file" in ran.err


def test_a_file_that_never_ends_is_not_read_to_its_end(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.ci.comment.MOST_BYTES", 3 << 20)
    ran = command("ci", "comment", "--report", "/dev/zero", "--dry-run")
    assert "larger than 3 MiB" in ran.err


def too_long(of: Plan = PLAN) -> Plan:
    """A plan whose rows no comment can hold, and of whose refusals only some."""
    blocked = next(c for c in PLAN.changes if c.action is Action.BLOCK)
    bind = next(c for c in PLAN.changes if c.action is Action.BIND)
    changes = [
        replace(blocked, name=f"b{n}", address=f"b{n}", why=f"{n}: {'x' * 200}") for n in range(400)
    ]
    changes += [replace(bind, name=f"c{n}", address=f"c{n}", after=f"2026.{n}") for n in range(220)]
    return replace(of, changes=tuple(changes))


def test_a_plan_that_no_comment_can_hold_takes_the_place_of_the_one_before(
    github: StandIn, command: Command
) -> None:
    command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    plan = too_long()
    ran = command("ci", "comment", "--report", write(plan), "--pr", "7")
    assert ran.code == errors.REFUSED
    assert f"plan {plan.digest} is too long for its comment" in ran.err
    (body,) = bodies(github)
    assert len(body) < 65_536
    assert f"Plan {plan.digest} of commit {HEAD}" in body
    assert "220 to bind, 400 refused" in body
    (reasons,) = re.findall(r"(\d+) reasons and 620 rows are not shown here", body)
    assert body.count("\n- **b") == 400 - int(reasons) > 100
    assert "Merging approves nothing of this plan" in body
    assert "To apply: merge" not in body
    assert f"- plan {PLAN.digest} of commit {HEAD}" in body, "the one before is superseded"
    shown, before = rendering.shown_by(body)
    assert (shown.plan, shown.whole) == (plan.digest, False)
    assert (before.plan, before.whole) == (PLAN.digest, True)


def test_a_report_that_no_comment_can_hold_names_what_failed_as_far_as_it_fits(
    github: StandIn, command: Command
) -> None:
    failures = tuple(Failure(f"f{n}", f"a{n}", f"{n}: {'x' * 200}", 1) for n in range(600))
    made = replace(report(HEAD), failures=failures)
    ran = command("ci", "comment", "--report", write(made), "--pr", "7")
    assert ran.code == errors.SUCCESS, ran.err
    (body,) = bodies(github)
    assert "### Failed or not proved" in body
    assert "reasons and" in body
    assert "are not shown here" in body


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GITHUB_TOKEN", "", "`GITHUB_TOKEN: ${{ github.token }}` below `env:`"),
        ("GITHUB_TOKEN", "ghs_0123456789\n", "holds a blank or line end"),
        ("GITHUB_REPOSITORY", "", "GITHUB_REPOSITORY is not set"),
        ("GITHUB_REPOSITORY", "octo", "'octo'; it must be OWNER/NAME"),
        ("GITHUB_REPOSITORY", "../..", "must be OWNER/NAME"),
        ("GITHUB_REPOSITORY", "a/b/c", "must be OWNER/NAME"),
        ("GITHUB_API_URL", "http://api.github.com", "must be an https URL"),
        ("GITHUB_API_URL", "https://user@evil.example", "must be an https URL"),
        ("GITHUB_API_URL", "https://api.github.com?x=1", "must be an https URL"),
        ("GITHUB_API_URL", "file:///etc/passwd", "must be an https URL"),
    ],
)
def test_an_environment_that_does_not_fit_is_said_before_anything_is_asked(
    github: StandIn,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert said in ran.err


def test_secrets_in_a_report_are_not_shown(github: StandIn, command: Command) -> None:
    key = f"AccountKey={'k_' * 20};"
    change = replace(PLAN.changes[0], name=f"a{key}", why=f"with {key}")
    plan = replace(PLAN, changes=(change,))
    assert command("ci", "comment", "--report", write(plan), "--pr", "7").code == errors.SUCCESS
    (body,) = bodies(github)
    assert "k\\_" not in body
    assert "k_" not in body
    assert f"Plan {plan.digest}" in body, "it is the plan that people approve"


# --- what GitHub says --------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    made = Http.__init__

    def quiet(self: Http, **more: Any) -> None:
        made(self, **more)
        self.pause = found.append

    monkeypatch.setattr(Http, "__init__", quiet)
    return found


def test_a_token_that_may_not_write_says_which_line_is_missing(
    github: StandIn, command: Command
) -> None:
    github.tokens[TOKEN] = User(1, "reader", {"pull-requests": "read"})
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert "403 Resource not accessible by integration; " in ran.err
    assert "`pull-requests: write` below `permissions:`" in ran.err
    assert len(github.writes) == 1, "it is not tried again"


def test_a_token_of_another_github_is_said(github: StandIn, command: Command) -> None:
    github.tokens.clear()
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert "401 Bad credentials; GITHUB_TOKEN is not valid for this GitHub" in ran.err
    assert TOKEN not in ran.err


def test_a_pull_request_that_is_not_there_is_said(github: StandIn, command: Command) -> None:
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "8")
    assert ran.code == errors.ERROR
    assert "reading pull request 8" in ran.err
    assert "the number or GITHUB_REPOSITORY is wrong" in ran.err


def test_a_locked_conversation_is_no_matter_of_permissions(
    github: StandIn, command: Command
) -> None:
    locked = turned_away(403, "Unable to create comment because issue is locked.")
    github.instead = [None, None, locked]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert "issue is locked" in ran.err
    assert "permissions" not in ran.err


SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes."
LIMITS = [
    (turned_away(403, SECONDARY, Retry_After="17"), 17.0),
    (turned_away(429, SECONDARY, Retry_After="17"), 17.0),
    (turned_away(403, SECONDARY), 60.0),
]


@pytest.mark.parametrize(("limit", "wait_s"), LIMITS)
def test_a_rate_limit_is_waited_for_and_the_comment_written_once(
    github: StandIn, command: Command, pauses: list[float], limit: Any, wait_s: float
) -> None:
    github.instead = [None, None, limit, limit]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.SUCCESS, ran.err
    assert pauses == [wait_s, wait_s]
    assert len(bodies(github)) == 1


def test_a_read_is_limited_too(github: StandIn, command: Command, pauses: list[float]) -> None:
    github.instead = [turned_away(403, SECONDARY, Retry_After="5")]
    assert command("ci", "comment", "--report", write(PLAN), "--pr", "7").code == errors.SUCCESS
    assert pauses == [5.0]


def test_an_hour_that_is_used_up_is_waited_for_to_its_end(
    github: StandIn, pauses: list[float]
) -> None:
    gone = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1042"}
    github.instead = [turned_away(403, "API rate limit exceeded", **gone)]
    with Http() as http:
        GitHub(http, github.url, REPOSITORY, TOKEN, now=lambda: 1_000.0).pull(7)
    assert pauses == [42.0]


def test_a_rate_limit_that_lasts_is_said(
    github: StandIn, command: Command, pauses: list[float]
) -> None:
    github.instead = [turned_away(403, SECONDARY, Retry_After="1")] * 9
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert "run this again in 1 seconds" in ran.err
    assert len(pauses) == 3


def test_nobody_waits_an_hour(github: StandIn, command: Command, pauses: list[float]) -> None:
    github.instead = [turned_away(403, SECONDARY, Retry_After="3600")]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert (ran.code, pauses) == (errors.ERROR, [])
    assert "run this again in 3600 seconds" in ran.err


def test_a_lost_answer_to_a_new_comment_is_not_sent_again(
    github: StandIn, command: Command, pauses: list[float]
) -> None:
    github.instead = [None, None, turned_away(502, "Server Error")]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert len(github.writes) == 1


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"state": 4}', "null"])
def test_an_answer_that_is_no_pull_request_is_said(
    github: StandIn, command: Command, body: str
) -> None:
    github.instead = [Answer(200, body)]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert ran.code == errors.ERROR
    assert "reading pull request 7" in ran.err


def test_a_token_of_nobody_changes_no_comment(github: StandIn, command: Command) -> None:
    github.write_comment(7, BOT, f"{MARK}\nold")
    github.instead = [None, None, Answer(200, {"data": None, "errors": [{"message": "no"}]})]
    ran = command("ci", "comment", "--report", write(PLAN), "--pr", "7")
    assert (ran.code, github.writes) == (errors.ERROR, [])
    assert "asking GitHub whose token this is" in ran.err


def test_the_token_goes_nowhere_but_to_the_api(github: StandIn) -> None:
    with Http() as http:
        door = GitHub(http, "https://github.example/api/v3", "octo/endpoints", TOKEN)
        assert door.graphql == "https://github.example/api/graphql"
        assert door.authorization(door.graphql) == f"Bearer {TOKEN}"
        for url in ("https://github.example:8443/", "http://github.example/", "https://evil/"):
            with pytest.raises(errors.RefusedError):
                door.authorization(url)
        assert TOKEN not in repr(door)


def test_a_push_without_a_pull_request_is_no_error(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    ran = command("ci", "comment", "--report", write(PLAN))
    assert (ran.code, github.writes) == (errors.SUCCESS, [])
    assert "was pushed without a pull request to comment on; nothing was written" in ran.err


def test_a_push_is_told_on_the_pull_request_that_was_merged_as_it(
    github: StandIn, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    github.close_pull(7, MERGE)
    ran = command("ci", "comment", "--report", write(report(MERGE)))
    assert ran.code == errors.SUCCESS, ran.err
    assert len(bodies(github)) == 1
