"""What a run of a fork left behind: shown on the pull request it is of, or not at all."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors, render
from reconciler.ci import comment_text as rendering
from reconciler.cli import ending
from reconciler.model import Report
from tests.ci.conftest import HEAD, TOKEN
from tests.ci.standin import StandIn, User, turned_away
from tests.ci.test_approved import BOMB, packed, with_forecasts, zipped
from tests.render import cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran

    Command = Callable[..., Ran]

PLAN = replace(cases.EVERY_ACTION, commit=HEAD, id="0123456789abcdef")
BOT = User(1, "bot", {"pull-requests": "write", "actions": "read"})
RUN = 9001
NAME = "fork-plan-local"


def event(head: str = HEAD, **more: Any) -> None:
    """The event of a run of the fork: it names no pull request."""
    repository = {"full_name": "hubot/endpoints", "owner": {"login": "hubot"}}
    run = {
        **{"id": RUN, "event": "pull_request", "head_sha": head, "head_branch": "change"},
        **{"head_repository": repository, "pull_requests": [], **more},
    }
    Path("event.json").write_text(json.dumps({"workflow_run": run}))


@pytest.fixture(autouse=True)
def _forked(tmp_path: Path, github: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "workflow_run")
    github.tokens[TOKEN] = BOT
    github.open_pull(7, HEAD, label="hubot:change")
    github.open_pull(8, "c" * 40, label="octo:change")
    event()


def left(github: StandIn, content: bytes | None = None, run: int = RUN) -> None:
    content = zipped(plan=render.plan_json(PLAN)) if content is None else content
    github.keep_artifact(NAME, content, run=run, commit=HEAD, fork=True)


def shown(command: Command) -> Ran:
    return command("ci", "comment", "--artifact", NAME)


def test_the_plan_of_a_fork_is_shown_with_a_warning(github: StandIn, command: Command) -> None:
    left(github)
    ran = shown(command)
    assert ran.code == errors.SUCCESS, ran.err
    (comment,) = github.comments[7]
    assert "This plan approves nothing." in comment["body"]
    assert "reconciler apply" not in comment["body"]
    assert not any(each.whole for each in rendering.shown_by(comment["body"])), "nor later"
    assert github.comments[8] == []
    assert [str(one).replace("/repos/octo/endpoints", "") for one in github.asked[:2]] == [
        f"GET /actions/runs/{RUN}/artifacts",
        f"GET /actions/artifacts/{github.artifacts[0].id}/zip",
    ]


def test_a_plan_of_a_fork_that_no_comment_can_hold_is_counted(
    github: StandIn, command: Command
) -> None:
    change = PLAN.changes[0]
    many = tuple(replace(change, name=f"n{n}", address=f"a{n}", after=f"{n}") for n in range(400))
    left(github, zipped(plan=render.plan_json(replace(PLAN, changes=many))))
    ran = shown(command)
    assert ran.code == errors.SUCCESS, ran.err
    assert "are not shown here" in github.comments[7][0]["body"]


def test_a_run_that_left_nothing_is_no_error(github: StandIn, command: Command) -> None:
    left(github, run=RUN + 1)
    ran = shown(command)
    assert ran.code == errors.SUCCESS
    assert "nothing was commented" in ran.err
    assert github.writes == []


def told_of(report: Report) -> str:
    return ending._document(ending.Ending("apply", report, 0), "2026-11-24T00:00:00Z")


LYING: list[tuple[bytes, int, str]] = [
    (b"<html>", errors.ERROR, "not a readable zip file"),
    (BOMB, errors.ERROR, "larger than 16 MiB"),
    (packed(zipfile.ZIP_LZMA), errors.ERROR, "neither stored nor deflated"),
    (zipped(plan=with_forecasts(1.7e308)), errors.CONFIGURATION, "is no forecast"),
    (zipped(other="{}"), errors.CONFIGURATION, "it holds no plan.json"),
    (zipped(plan="{"), errors.CONFIGURATION, "not a plan of `plan --out`"),
    (zipped(plan=b"\xff\xfe"), errors.CONFIGURATION, "not a plan of `plan --out`"),
    (zipped(plan="[" * 100_000), errors.CONFIGURATION, "nested too deeply"),
    (
        zipped(plan=render.plan_json(replace(PLAN, commit="c" * 40))),
        errors.STALE,
        "not of the run's",
    ),
    (zipped(plan=render.plan_json(replace(PLAN, commit=""))), errors.STALE, "of commit unknown"),
    (zipped(plan=told_of(Report(PLAN))), errors.CONFIGURATION, "a report instead of a plan"),
    (
        zipped(plan=render.plan_json(PLAN).replace('"BIND"', '"NOOP"')),
        errors.CONFIGURATION,
        "does not fit the changes",
    ),
]


@pytest.mark.parametrize(
    ("content", "code", "said"), LYING, ids=[str(n) for n in range(len(LYING))]
)
def test_what_is_no_plan_of_the_run_is_not_shown(
    github: StandIn, command: Command, content: bytes, code: int, said: str
) -> None:
    left(github, content)
    ran = shown(command)
    assert (ran.code, github.writes) == (code, [])
    assert said in ran.err


def test_a_number_in_the_file_chooses_no_pull_request(github: StandIn, command: Command) -> None:
    document = json.loads(render.plan_json(PLAN)) | {"number": 8, "pr": 8, "pull_request": 8}
    left(github, zipped(plan=json.dumps(document)))
    shown(command)
    assert (len(github.comments[7]), github.comments[8]) == (1, [])


def test_markup_of_a_fork_is_shown_as_text(github: StandIn, command: Command) -> None:
    hostile = replace(PLAN.changes[0], name="@octo/admins <img src=x> ::error::x --> ```")
    left(github, zipped(plan=render.plan_json(replace(PLAN, changes=(hostile,)))))
    ran = shown(command)
    assert ran.code == errors.SUCCESS, ran.err
    body = github.comments[7][0]["body"]
    assert "<img" not in body
    assert "@octo" not in body


def test_a_pull_request_that_went_on_is_left_to_its_newer_run(
    github: StandIn, command: Command
) -> None:
    left(github)
    github.pulls[7]["head"]["sha"] = "d" * 40
    ran = shown(command)
    assert (ran.code, github.writes) == (errors.STALE, [])
    assert "the run of the newer commit will comment" in ran.err


@pytest.mark.parametrize("merge", [None, "e" * 40])
def test_a_pull_request_that_is_closed_is_left_alone(
    github: StandIn, command: Command, merge: str | None
) -> None:
    left(github)
    github.close_pull(7, merge)
    ran = shown(command)
    assert (ran.code, github.writes) == (errors.STALE, [])
    assert "no open pull request is at commit" in ran.err


def test_two_pull_requests_of_one_commit_are_not_guessed_between(
    github: StandIn, command: Command
) -> None:
    left(github)
    github.open_pull(9, HEAD, label="hubot:change")
    assert shown(command).code == errors.STALE
    assert github.writes == []


def test_another_event_has_no_run(github: StandIn, command: Command) -> None:
    Path("event.json").write_text("{}")
    ran = shown(command)
    assert (ran.code, github.asked) == (errors.CONFIGURATION, [])
    assert "`on: workflow_run`" in ran.err


@pytest.mark.parametrize(
    "arguments", [(), ("--artifact", "a", "--report", "b"), ("--artifact", "a", "--pr", "7")]
)
def test_a_file_or_an_artifact_is_shown(
    github: StandIn, command: Command, arguments: tuple[str, ...]
) -> None:
    assert command("ci", "comment", *arguments).code == errors.USAGE
    assert github.asked == []


def test_a_limit_of_github_that_lasts_is_said(github: StandIn, command: Command) -> None:
    said = "You have exceeded a secondary rate limit. Please wait a few minutes."
    github.instead = [turned_away(403, said, Retry_After="3600")]
    ran = shown(command)
    assert ran.code == errors.ERROR
    assert "run this again in 3600 seconds" in ran.err


# --- what a fork may read ----------------------------------------------------------------------------


def fetched(command: Command) -> Ran:
    return command("ci", "fetch", "snapshot-local", "--branch", "main", "--out", "snapshot.json")


def keep(github: StandIn, text: str, **more: Any) -> None:
    given = {"run": 1, "commit": HEAD, **more}
    github.keep_artifact("snapshot-local", zipped(snapshot=text), **given)


def test_the_newest_file_that_main_published_is_fetched(github: StandIn, command: Command) -> None:
    github.tokens[TOKEN] = User(1, "bot", {"actions": "read"})
    keep(github, "{}")
    keep(github, '{"newer": 1}')
    keep(github, "fork", fork=True)
    keep(github, "branch", branch="change")
    keep(github, "gone", expired=True)
    ran = fetched(command)
    assert ran.code == errors.SUCCESS, ran.err
    assert Path("snapshot.json").read_text() == '{"newer": 1}'


def test_a_snapshot_of_a_large_fleet_is_fetched(github: StandIn, command: Command) -> None:
    keep(github, text := "x" * (40 << 20))
    assert fetched(command).code == errors.SUCCESS
    assert Path("snapshot.json").stat().st_size == len(text)


def test_what_nobody_published_is_said(github: StandIn, command: Command) -> None:
    keep(github, "{}", branch="change")
    ran = fetched(command)
    assert ran.code == errors.ERROR
    assert "no run of main has an artifact snapshot-local that is still kept" in ran.err
