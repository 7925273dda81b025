"""The history keeps who approved a run: reviewers of pull requests and of environments."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.ci.approvers import MOST_S, approvers
from tests.ci.conftest import HEAD, MERGE, TOKEN
from tests.ci.standin import BOT, Answer, StandIn, turned_away
from tests.cli.test_explain import fits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

NAME = "breast-cancer"


@pytest.fixture(autouse=True)
def _job(github: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of a run whose token may read both, after the merge of pull request 7."""
    may = {"pull-requests": "read", "actions": "read"}
    github.tokens[TOKEN] = replace(BOT, may=may)
    github.close_pull(7, MERGE)
    for name, value in (("ACTIONS", "true"), ("RUN_ID", "42"), ("ACTOR", "octocat")):
        monkeypatch.setenv(f"GITHUB_{name}", value)


def known(*commits: str) -> list[str]:
    """Who approved, by this process's environment."""
    return list(map(str, approvers(os.environ, commits)))


def test_the_last_word_of_a_reviewer_counts_and_an_older_commit_is_said(github: StandIn) -> None:
    for login, state, commit in (
        ("ada", "APPROVED", ""),
        ("ada", "COMMENTED", ""),
        ("bob", "APPROVED", ""),
        ("bob", "CHANGES_REQUESTED", ""),
        ("eve", "CHANGES_REQUESTED", ""),
        ("eve", "APPROVED", "c3" * 20),
        ("joe", "DISMISSED", ""),
        (None, "APPROVED", ""),
    ):
        github.review(7, login, state, commit)
    github.answer_run("kim", "approved", "production", "eu")
    github.answer_run("lee", "rejected", "production")
    assert known(MERGE, "", HEAD) == [
        "ada (pull request 7)",
        "eve (an earlier commit of pull request 7)",
        "kim (environment production)",
        "kim (environment eu)",
    ]
    assert [str(asked) for asked in github.asked].count(
        "GET /repos/octo/endpoints/pulls/7/reviews"
    ) == 1
    assert not github.writes


def test_an_open_pull_request_and_a_run_elsewhere_have_no_approvers(
    github: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.open_pull(8, "d4" * 20)
    github.review(8, "ada", "APPROVED")
    assert known("d4" * 20) == []
    asked = len(github.asked)
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    github.answer_run("kim", "approved", "production")
    assert known(MERGE) == []
    assert len(github.asked) == asked


@pytest.mark.parametrize(
    ("refused", "kept", "said"),
    [
        ("pull-requests", ["kim (environment production)"], "`pull-requests: read`"),
        ("actions", ["ada (pull request 7)"], "`actions: read`"),
    ],
)
def test_what_a_token_may_not_read_is_said_and_the_rest_is_kept(
    github: StandIn, capsys: pytest.CaptureFixture[str], refused: str, kept: list[str], said: str
) -> None:
    github.review(7, "ada", "APPROVED")
    github.answer_run("kim", "approved", "production")
    may = {"pull-requests": "read", "actions": "read"}
    github.tokens[TOKEN] = replace(BOT, may={n: v for n, v in may.items() if n != refused})
    assert known(MERGE) == kept
    told = capsys.readouterr().err
    assert "the history will not say everybody who approved this" in told
    assert said in told


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([turned_away(403, "API rate limit exceeded", Retry_After="60")] * 2, "in 60 seconds"),
        ([Answer(200, [{"number": 7}])] * 2, "a JSON object"),
        ([Answer(200, "<html>")] * 2, "got an HTML page"),
    ],
)
def test_odd_answers_are_said_at_once_and_fail_nothing(
    github: StandIn, capsys: pytest.CaptureFixture[str], answers: list[Any], said: str
) -> None:
    github.instead = list(answers)
    assert known(MERGE) == []
    told = capsys.readouterr().err
    assert told.count("the history will not say everybody") == 2
    assert told.count(said) == 2


def test_many_pull_requests_are_asked_for_only_so_long(
    github: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    github.review(7, "ada", "APPROVED")
    github.open_pull(8, "d4" * 20)
    github.close_pull(8, "e5" * 20)
    github.review(8, "bob", "APPROVED")
    assert known(MERGE, "d4" * 20) == ["ada (pull request 7)", "bob (pull request 8)"]
    moments = iter([0.0, 0.0, MOST_S + 1])
    late = approvers(os.environ, (MERGE, "d4" * 20), lambda: next(moments))
    assert list(map(str, late)) == ["ada (pull request 7)"]
    assert "took longer than 20 s" in capsys.readouterr().err


def _committed() -> str:
    """The commit of everything in the folder."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "begin")):
        subprocess.run(["git", *words], check=True, capture_output=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


def test_explain_history_and_the_page_say_who_approved(
    github: StandIn, lab: Lab, command: Command
) -> None:
    github.close_pull(7, _committed())
    github.review(7, "ada", "APPROVED")
    github.answer_run("kim", "approved", "production")
    ran = command("apply", "--yes", "-t", NAME)
    assert ran.code == errors.SUCCESS, ran.err
    approval = "approved by ada (pull request 7), kim (environment production)"
    why = json.loads(command("explain", NAME, "-o", "json").out)
    fits(why, "explanation")
    who = [
        {"who": "ada", "of": "pull request 7"},
        {"who": "kim", "of": "environment production"},
    ]
    assert why["since"]["approvers"] == why["proof"]["approvers"] == who
    events = json.loads(command("history", NAME, "-o", "json").out)["events"]
    assert [event["approvers"] for event in events] == [who] * len(events)
    assert command("report", "--html", "page.html").code == errors.SUCCESS
    texts = [command(asking, NAME).out for asking in ("explain", "history")]
    texts += [command("explain", NAME, "-o", "markdown").out, Path("page.html").read_text()]
    for text in texts:
        assert approval in " ".join(text.split())
    markdown = command("history", NAME, "-o", "markdown").out
    assert "| ada (pull request 7), kim (environment production) |" in markdown
    asked = [a for a in github.asked if a.path.endswith(("/reviews", "/approvals"))]
    assert len(asked) == 2, "once for a run, by no command that only reads"


def test_a_way_back_has_the_approvers_of_its_run_and_of_no_pull_request(
    github: StandIn, lab: Lab, command: Command
) -> None:
    for version in ("2026-10", "2026-11"):
        lab.edit("breast-cancer.yaml", "2026-10", version)
        assert command("apply", "--yes", "-t", NAME).code == errors.SUCCESS
    github.close_pull(7, _committed())
    github.review(7, "ada", "APPROVED")
    github.answer_run("kim", "approved", "production")
    asked = len(github.asked)
    assert command("rollback", NAME, "--yes").code == errors.SUCCESS
    assert [a.path.rpartition("/")[2] for a in github.asked[asked:]] == ["approvals"]
    events = json.loads(command("history", NAME, "-o", "json").out)["events"]
    assert [event["what"] for event in events if event["approvers"]] == [
        "rejected",
        "roll back",
        "proof",
    ]
